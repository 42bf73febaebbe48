/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks that ask the agent for what only the service may ask. They run on the agent's own thread:
 * flush and stop are refused there, before anything is changed, and everything else answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/exporter.h>
#include <sonde/fingerprint.h>
#include <sonde/hooks.h>
#include <sonde/memory.h>
#include <sonde/sonde.h>

/* What the agent answered in each kind of call on its thread. */
struct calls {
	struct sonde_agent *agent;
	_Atomic unsigned n;
	_Atomic unsigned n_wrong;
};

static struct calls calls;

static void ask_everything(void)
{
	struct sonde_redactions redactions;
	struct sonde_repairs repairs;
	struct sonde_account account;
	struct sonde_agent *other;
	bool is_right = true;

	atomic_fetch_add_explicit(&calls.n, 1, memory_order_relaxed);
	is_right &= sonde_agent_flush(calls.agent, 5000) == SONDE_E_INVALID;
	is_right &= sonde_agent_stop(calls.agent, 5000) == SONDE_E_INVALID;
	is_right &= sonde_agent_account(calls.agent, 0, SONDE_SIGNAL_LOG, &account) == SONDE_OK;
	is_right &= sonde_agent_repairs(calls.agent, &repairs) == SONDE_OK;
	is_right &= sonde_agent_redactions(calls.agent, &redactions) == SONDE_OK;
	is_right &= sonde_agent_start(NULL, &other) == SONDE_E_EXISTS;
	if (!is_right)
		atomic_fetch_add_explicit(&calls.n_wrong, 1, memory_order_relaxed);
}

static void before_send(void *user, struct sonde_outgoing *item)
{
	(void)user;
	(void)item;
	ask_everything();
}

static bool before_breadcrumb(void *user, struct sonde_breadcrumb *breadcrumb)
{
	(void)user;
	(void)breadcrumb;
	ask_everything();
	return true;
}

static const char *fingerprint(void *user, const struct sonde_fingerprint_view *error)
{
	(void)user;
	(void)error;
	ask_everything();
	return NULL;
}

static void start(void)
{
	static const struct sonde_destination destination = { .exporter = &sonde_memory_exporter };
	struct sonde_options options = SONDE_OPTIONS_INIT;

	memset(&calls, 0, sizeof(calls));
	options.destinations = &destination;
	options.n_destinations = 1;
	options.state_directory = "none";
	options.before_send = before_send;
	options.before_breadcrumb = before_breadcrumb;
	options.fingerprint = fingerprint;
	assert_int_equal(sonde_agent_start(&options, &calls.agent), SONDE_OK);
}

static void break_down(const char *message)
{
	struct sonde_error *error = sonde_error_raise(&sonde_internal, "%s", message);

	sonde_breadcrumb(SONDE_INFO, "test", "about to fail");
	sonde_error_capture(error);
	sonde_error_free(error);
}

/* All that was captured left, and the agent said so. */
static void assert_delivered(unsigned n_logs)
{
	struct sonde_account account;

	assert_int_equal(sonde_agent_account(calls.agent, 0, SONDE_SIGNAL_LOG, &account), SONDE_OK);
	assert_int_equal(account.captured, n_logs);
	assert_int_equal(account.exported, n_logs);
	assert_int_equal(account.queued, 0);
}

static void test_hooks_cannot_stop_the_agent(void **state)
{
	char *text;

	(void)state;
	start();
	break_down("first");
	assert_int_equal(sonde_agent_flush(calls.agent, 10000), SONDE_OK);
	assert_in_range(calls.n, 3, 6);
	assert_int_equal(calls.n_wrong, 0);
	/* The agent still records. */
	assert_true(sonde_is_recording());
	break_down("second");
	assert_int_equal(sonde_agent_stop(calls.agent, 10000), SONDE_OK);
	text = sonde_memory_take();
	assert_non_null(strstr(text, "\"first\""));
	assert_non_null(strstr(text, "\"second\""));
	free(text);
	assert_delivered(2);
}

/* Nor while somebody else stops it. */
static void test_hooks_cannot_stop_an_agent_that_is_being_stopped(void **state)
{
	(void)state;
	start();
	break_down("last");
	assert_int_equal(sonde_agent_stop(calls.agent, 10000), SONDE_OK);
	assert_true(calls.n > 0);
	assert_int_equal(calls.n_wrong, 0);
	assert_delivered(1);
	free(sonde_memory_take());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hooks_cannot_stop_the_agent),
		cmocka_unit_test(test_hooks_cannot_stop_an_agent_that_is_being_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
