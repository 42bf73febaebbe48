/* SPDX-License-Identifier: Apache-2.0 */
/* The books: who answers for what, and that they hold while records come in and others read. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "record/layout.h"
#include "rig.h"
#include "support/records.h"

static struct rig rig;

static int begin(void **state)
{
	(void)state;
	rig_init(&rig, /* n_destinations= */ 2);
	return 0;
}

static int end(void **state)
{
	(void)state;
	rig_end(&rig);
	return 0;
}

static void put_one_of_each(uint64_t id)
{
	const uint8_t flags = SONDE__RECORD_WITH_EVENT | SONDE__RECORD_WITH_LOG;

	(void)record_part(&(struct record_spec){ .trace = 1, .span = id, .event = "e" });
	(void)record_error(
		&(struct error_spec){ .record = { .trace = 1, .span = id, .flags = flags },
				      .types = { "t" },
				      .messages = { "m" } });
	(void)record_log(&(struct record_spec){ .name = "m" });
	(void)record_span(&(struct record_spec){ .trace = 1, .span = id, .name = "s" });
}

static void destinations_answer_for_what_they_take(void **state)
{
	(void)state;
	rig.options.destinations[0].takes_logs = false;
	rig.options.destinations[1].takes_spans = false;
	rig_start(&rig);
	put_one_of_each(1);
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_PART).exported, 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).captured, 0);
	assert_int_equal(rig_account(&rig, 1, SONDE_SIGNAL_SPAN).captured, 0);
	assert_int_equal(rig_account(&rig, 1, SONDE_SIGNAL_PART).captured, 0);
	assert_int_equal(rig_account(&rig, 1, SONDE_SIGNAL_LOG).exported, 2);
	assert_int_equal(rig_delivered(&rig, 0, "event:exception@"), 1);
}

static void spans_that_nobody_takes_are_said_to_be_so(void **state)
{
	(void)state;
	rig.options.destinations[0].takes_spans = false;
	rig.options.destinations[1].takes_spans = false;
	rig_start(&rig);
	put_one_of_each(1);
	assert_true(rig_flush(&rig, NULL));
	(void)rig_turn(&rig, 5 * RIG_S);
	for (size_t d = 0; d < 2; d++) {
		assert_int_equal(
			rig_account(&rig, d, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_NO_EXPORTER], 1);
		assert_int_equal(
			rig_account(&rig, d, SONDE_SIGNAL_PART).lost[SONDE_LOSS_NO_EXPORTER], 1);
		assert_int_equal(rig_account(&rig, d, SONDE_SIGNAL_LOG).exported, 2);
	}
	assert_int_equal(rig.n_diagnostics, 0); /* Somebody wanted it so. */
}

static void error_goes_as_event_where_nobody_takes_logs(void **state)
{
	(void)state;
	rig.options.destinations[0].takes_logs = false;
	rig.options.destinations[1].takes_logs = false;
	rig_start(&rig);
	put_one_of_each(1);
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, "event:exception@"), 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).lost[SONDE_LOSS_NO_EXPORTER], 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_PART).exported, 2);
}

static void what_is_not_there_is_not_found(void **state)
{
	struct sonde_account account = { .captured = 77 };

	(void)state;
	rig_start(&rig);
	assert_int_equal(sonde__pipeline_account(rig.pipeline, 2, SONDE_SIGNAL_SPAN, &account),
			 SONDE_E_NOT_FOUND);
	assert_int_equal(sonde__pipeline_account(rig.pipeline, 0, (enum sonde_signal)4, &account),
			 SONDE_E_NOT_FOUND);
	assert_int_equal(account.captured, 77);
}

/* ---- While everything runs ------------------------------------------------------------------- */

static _Atomic bool is_over;
static _Atomic uint64_t n_unsound;
static _Atomic uint64_t n_looks;

static void *write_records(void *argument)
{
	for (uint64_t id = 1; id <= 3000; id++)
		put_one_of_each((uint64_t)(uintptr_t)argument * 1000000 + id);
	return NULL;
}

static void *read_accounts(void *argument)
{
	(void)argument;
	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		for (int i = 0; i < 2 * SONDE_SIGNAL_COUNT; i++) {
			struct sonde_account account;
			uint64_t found;

			(void)sonde__pipeline_account(rig.pipeline, (size_t)i % 2,
						      (enum sonde_signal)(i / 2), &account);
			found = account.exported;
			for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
				found += account.lost[reason];
			if (found > account.captured)
				atomic_fetch_add_explicit(&n_unsound, 1, memory_order_relaxed);
		}
		atomic_fetch_add_explicit(&n_looks, 1, memory_order_relaxed);
	}
	return NULL;
}

static void accounts_hold_while_everything_runs(void **state)
{
	pthread_t writers[2];
	pthread_t reader;

	(void)state;
	rig.options.memory_limit_bytes = 512 << 10;
	rig.fakes[0].otherwise = (struct fake_step){ .what = FAKE_RETRY };
	rig.fakes[1].otherwise = (struct fake_step){ .pending = true };
	rig_start(&rig);
	for (uintptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&writers[i], NULL, write_records, (void *)(i + 1)),
				 0);
	assert_int_equal(pthread_create(&reader, NULL, read_accounts, NULL), 0);
	for (int i = 0; i < 200 || !atomic_load(&n_looks); i++)
		(void)rig_turn(&rig, 50 * RIG_MS);
	pthread_join(writers[0], NULL);
	pthread_join(writers[1], NULL);
	for (int i = 0; i < 200; i++)
		(void)rig_turn(&rig, 50 * RIG_MS);
	atomic_store(&is_over, true);
	pthread_join(reader, NULL);
	assert_int_equal(atomic_load(&n_unsound), 0);
	assert_int_equal(rig_account(&rig, 1, SONDE_SIGNAL_SPAN).captured, 6000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(destinations_answer_for_what_they_take, begin, end),
		cmocka_unit_test_setup_teardown(spans_that_nobody_takes_are_said_to_be_so, begin,
						end),
		cmocka_unit_test_setup_teardown(error_goes_as_event_where_nobody_takes_logs, begin,
						end),
		cmocka_unit_test_setup_teardown(what_is_not_there_is_not_found, begin, end),
		cmocka_unit_test_setup_teardown(accounts_hold_while_everything_runs, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
