/* SPDX-License-Identifier: Apache-2.0 */
/* Callback and user pointer always belong together; silence is allowed; errno is kept. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/diagnostic.h"
#include "base/testpoint.h"

struct heard {
	char text[1024];
	enum sonde_level level;
	unsigned n;
};

static void hear(void *user, enum sonde_level level, const char *text)
{
	struct heard *heard = user;

	heard->level = level;
	heard->n++;
	snprintf(heard->text, sizeof(heard->text), "%s", text);
	errno = EBUSY;
}

static void test_says_one_sentence(void **state)
{
	struct heard heard = { .n = 0 };

	(void)state;
	sonde__diagnostic_set(hear, &heard);
	errno = 77;
	sonde__report(SONDE_WARN, "%s is %d", "answer", 42);
	assert_int_equal(errno, 77);
	assert_int_equal(heard.n, 1);
	assert_int_equal(heard.level, SONDE_WARN);
	assert_string_equal(heard.text, "answer is 42");
	sonde__diagnostic_set(NULL, NULL);
	sonde__report(SONDE_WARN, "nobody hears this");
	assert_int_equal(heard.n, 1);
}

static void test_long_text_is_cut(void **state)
{
	struct heard heard = { .n = 0 };
	char text[3000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	sonde__diagnostic_set(hear, &heard);
	sonde__report(SONDE_INFO, "%s", text);
	sonde__diagnostic_set(NULL, NULL);
	assert_int_equal(strlen(heard.text), 511);
	/* And marked, for the filter to know. */
	assert_string_equal(heard.text + 508, "…");
}

static void star(char *text, size_t capacity)
{
	for (char *at = text; *at && (size_t)(at - text) < capacity; at++)
		*at = *at == 's' ? '*' : *at;
}

static void test_what_is_said_is_filtered(void **state)
{
	struct heard heard = { .n = 0 };

	(void)state;
	sonde__diagnostic_set(hear, &heard);
	sonde__diagnostic_filter_set(star);
	sonde__report(SONDE_INFO, "%s", "a secret");
	assert_string_equal(heard.text, "a *ecret");
	sonde__diagnostic_filter_set(NULL);
	sonde__diagnostic_set(NULL, NULL);
}

static atomic_bool is_over;
static atomic_uint n_wrong;
static int first_user;
static int second_user;

static void expect_first(void *user, enum sonde_level level, const char *text)
{
	(void)level;
	(void)text;
	atomic_fetch_add_explicit(&n_wrong, user != &first_user, memory_order_relaxed);
}

static void expect_second(void *user, enum sonde_level level, const char *text)
{
	(void)level;
	(void)text;
	atomic_fetch_add_explicit(&n_wrong, user != &second_user, memory_order_relaxed);
}

#ifdef SONDE_TESTPOINTS
static const char *hook_point;
static unsigned n_hooked;

static void count_first(void *user, enum sonde_level level, const char *text)
{
	n_hooked++;
	expect_first(user, level, text);
}

/* Another thread's report falls into the middle of a change. */
static void report_at_point(const char *name)
{
	if (strcmp(name, hook_point) == 0)
		sonde__report(SONDE_INFO, "in between");
}

static void test_report_in_a_half_change_is_silent(void **state)
{
	(void)state;
	n_hooked = 0;
	hook_point = "diagnostic:half";
	sonde__testpoint_hook = report_at_point;
	sonde__diagnostic_set(count_first, &first_user);
	assert_int_equal(n_hooked, 0);
	sonde__testpoint_hook = NULL;
	sonde__report(SONDE_INFO, "afterwards");
	assert_int_equal(n_hooked, 1);
	sonde__diagnostic_set(NULL, NULL);
	assert_int_equal(n_wrong, 0);
}

/* A whole change falls into the middle of a report. */
static void change_at_point(const char *name)
{
	if (strcmp(name, hook_point) != 0)
		return;
	sonde__testpoint_hook = NULL;
	sonde__diagnostic_set(count_first, &first_user);
}

static void test_change_in_a_report_is_seen(void **state)
{
	(void)state;
	n_hooked = 0;
	sonde__diagnostic_set(expect_second, &second_user);
	hook_point = "diagnostic:reading";
	sonde__testpoint_hook = change_at_point;
	sonde__report(SONDE_INFO, "to whom");
	assert_int_equal(n_hooked, 1);
	sonde__diagnostic_set(NULL, NULL);
	assert_int_equal(n_wrong, 0);
}
#endif

static void *report_on(void *unused)
{
	(void)unused;
	while (!atomic_load_explicit(&is_over, memory_order_relaxed))
		sonde__report(SONDE_INFO, "on and on");
	return NULL;
}

static void test_callback_and_user_stay_together(void **state)
{
	pthread_t reporter;

	(void)state;
	assert_int_equal(pthread_create(&reporter, NULL, report_on, NULL), 0);
	for (int i = 0; i < 20000; i++) {
		sonde__diagnostic_set(expect_first, &first_user);
		sonde__diagnostic_set(expect_second, &second_user);
	}
	atomic_store_explicit(&is_over, true, memory_order_relaxed);
	pthread_join(reporter, NULL);
	sonde__diagnostic_set(NULL, NULL);
	assert_int_equal(n_wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_says_one_sentence),
		cmocka_unit_test(test_long_text_is_cut),
		cmocka_unit_test(test_what_is_said_is_filtered),
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test(test_report_in_a_half_change_is_silent),
		cmocka_unit_test(test_change_in_a_report_is_seen),
#endif
		cmocka_unit_test(test_callback_and_user_stay_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
