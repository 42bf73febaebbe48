/* SPDX-License-Identifier: Apache-2.0 */

/* Breadcrumbs: what is left on a thread's trail stands in the errors that it captures. */

#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sonde/breadcrumb.h>
#include <sonde/scope.h>

#include "capture/state.h"
#include "capture/trail.h"

#define TRAILS 16

static struct sonde__crumb_view views[64];

/* Captures an error and reads the breadcrumbs of its record; their number. */
static size_t capture(void)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");
	const struct sonde__crumb *walk = NULL;
	size_t n = 0;

	sonde_error_capture(error);
	fixture_take();
	while (sonde__error_record_crumb(fixture_error(), &walk, &views[n]))
		n++;
	return n;
}

static int open_trails(void **state)
{
	int status = fixture_open(state);

	sonde__trails_open(TRAILS);
	sonde_breadcrumbs_clear();
	return status;
}

static void test_left_and_found(void **state)
{
	(void)state;
	assert_int_equal(capture(), 0);
	sonde_breadcrumb(SONDE_INFO, "cart", "%d items", 3);
	sonde_breadcrumb(SONDE_WARN, "auth", "no conversion");
	sonde_breadcrumb_text(SONDE_DEBUG, "sql", "SELECT 100%");
	assert_int_equal(capture(), 3);
	fixture_assert_text(views[0].category, "cart");
	fixture_assert_text(views[0].message, "3 items");
	assert_int_equal(views[0].level, SONDE_INFO);
	fixture_assert_text(views[1].message, "no conversion");
	fixture_assert_text(views[2].category, "sql");
	fixture_assert_text(views[2].message, "SELECT 100%");
	assert_int_equal(views[2].level, SONDE_DEBUG);
	assert_true(views[0].ticks <= views[1].ticks && views[1].ticks <= views[2].ticks);
	/* They stay for the next error, until they are cleared. */
	assert_int_equal(capture(), 3);
	sonde_breadcrumbs_clear();
	assert_int_equal(capture(), 0);
	sonde_breadcrumb_text(SONDE_INFO, "after", "1");
	assert_int_equal(capture(), 1);
}

static void test_the_last_32(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++)
		sonde_breadcrumb(SONDE_INFO, "n", "%d", i);
	assert_int_equal(capture(), 32);
	fixture_assert_text(views[0].message, "968");
	fixture_assert_text(views[31].message, "999");
}

static void test_odd_texts(void **state)
{
	static char huge[1 << 20];

	(void)state;
	memset(huge, 'x', sizeof(huge) - 1);
	sonde_breadcrumb_text((enum sonde_level)-5, NULL, NULL);
	sonde_breadcrumb_text((enum sonde_level)900, "", "");
	sonde_breadcrumb_text(SONDE_INFO, "big", huge);
	sonde_breadcrumb_text(SONDE_INFO, huge, huge);
	sonde_breadcrumb(SONDE_INFO, "formatted", "%s", huge);
	sonde__breadcrumb(SONDE_INFO, "no format", NULL);
	errno = ENOENT;
	sonde_breadcrumb(SONDE_INFO, "errno", "%m");
	assert_int_equal(errno, ENOENT);
	for (size_t i = 0; i + 1 < sizeof(huge); i += 2)
		memcpy(huge + i, "\xc3\xa4", 2);
	sonde_breadcrumb_text(SONDE_INFO, "x", huge);
	assert_int_equal(capture(), 8);
	assert_int_equal(views[0].level, SONDE_TRACE);
	assert_int_equal(views[1].level, 24);
	assert_int_equal(views[2].message.size, 112 - 3);
	assert_int_equal(views[2].cuts, SONDE__CRUMB_MESSAGE_CUT);
	assert_int_equal(views[3].category.size + views[3].message.size, 112);
	assert_int_equal(views[3].cuts, SONDE__CRUMB_MESSAGE_CUT | SONDE__CRUMB_CATEGORY_CUT);
	assert_int_equal(views[4].cuts, SONDE__CRUMB_MESSAGE_CUT);
	assert_int_equal(views[4].category.size + views[4].message.size, 112);
	fixture_assert_text(views[6].message, "No such file or directory");
	assert_int_equal(views[7].message.size % 2, 0);
}

static void test_messages_may_leave_them(void **state)
{
	(void)state;
	sonde_message(SONDE_INFO, "not yet");
	atomic_store(&sonde__capture.breadcrumb_level, SONDE_INFO);
	sonde_message(SONDE_DEBUG, "too low");
	sonde_message(SONDE_WARN, "%d orders wait", 3);
	sonde_log(SONDE_INFO, "body", SONDE_NO_ATTRS);
	fixture_take();
	assert_int_equal(capture(), 2);
	fixture_assert_text(views[0].category, "log");
	fixture_assert_text(views[0].message, "3 orders wait");
	assert_int_equal(views[0].level, SONDE_WARN);
	fixture_assert_text(views[1].message, "body");
}

static void test_a_record_takes_the_newest_that_fit(void **state)
{
	struct sonde__trail_view view;
	uint8_t record[256] __attribute__((aligned(8)));
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 20; i++)
		sonde_breadcrumb(SONDE_INFO, "n", "%d", i);
	sonde__trail_open(&view, sizeof(record));
	assert_true(view.n > 4 && view.n < 12);
	assert_true(view.size <= sizeof(record));
	sonde__trail_write(&view, record);
	sonde__trail_close(&view);
	for (size_t at = 0; at < view.size; n++) {
		const struct sonde__crumb *crumb = (const void *)(record + at);

		at += sonde__crumb_size(crumb);
		if (at == view.size)
			assert_memory_equal(crumb + 1, "n19", 3);
	}
	assert_int_equal(n, view.n);
	sonde__trail_open(&view, 0);
	assert_int_equal(view.n, 0);
	sonde__trail_close(&view);
}

static void test_a_large_error_leaves_what_room_there_is(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "root");
	static char text[1000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < 32; i++)
		sonde_breadcrumb_text(SONDE_INFO, "category", text);
	for (int i = 0; i < 40; i++)
		error = sonde_error_wrap(error, &sonde_timeout, "%s", text);
	sonde_error_capture(error);
	sonde_error_free(error);
	assert_int_equal(fixture_take(), 1);
	assert_true(fixture_error()->head.size <= SONDE__RECORD_MAX_SIZE);
}

/* ---- Many threads ---------------------------------------------------------------------------- */

static void *short_life(void *argument)
{
	(void)argument;
	sonde_breadcrumb_text(SONDE_INFO, "short", "life");
	return NULL;
}

static void test_threads_by_the_thousand(void **state)
{
	const uint64_t losses = sonde__trail_losses();

	(void)state;
	sonde_breadcrumb_text(SONDE_INFO, "main", "1");
	for (int i = 0; i < 2000; i++) {
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, short_life, NULL), 0);
		pthread_join(thread, NULL);
		if (i % 4 == 0)
			sonde_breadcrumb(SONDE_INFO, "main", "%d", i);
	}
	/* The others' are taken, those of a thread that is busy are not. */
	assert_int_equal(sonde__trail_losses(), losses);
	assert_int_equal(capture(), 32);
	fixture_assert_text(views[31].message, "1996");
}

static void *taker(void *argument)
{
	for (int i = 0; i < 64; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, short_life, NULL) == 0)
			pthread_join(thread, NULL);
	}
	return argument;
}

static void test_a_trail_that_was_taken(void **state)
{
	const uint64_t losses = sonde__trail_losses();
	pthread_t thread;

	(void)state;
	sonde_breadcrumb_text(SONDE_INFO, "main", "before");
	pthread_create(&thread, NULL, taker, NULL);
	pthread_join(thread, NULL);
	/* Ours was silent longest: somebody has it, and nobody else's is ours. */
	assert_int_equal(capture(), 0);
	sonde_breadcrumb_text(SONDE_INFO, "main", "after");
	assert_int_equal(sonde__trail_losses(), losses + 1);
	assert_int_equal(capture(), 1);
	fixture_assert_text(views[0].message, "after");
}

static void test_no_trails_at_all(void **state)
{
	pthread_t thread;
	const uint64_t losses = sonde__trail_losses();

	(void)state;
	sonde__trails_open(0);
	pthread_create(&thread, NULL, short_life, NULL);
	pthread_join(thread, NULL);
	assert_int_equal(sonde__trail_losses(), losses + 1);
}

/* Each thread's breadcrumbs bear its number, and it captures what it left alone. */
static void *busy_main(void *argument)
{
	const unsigned long me = (unsigned long)(uintptr_t)argument;
	unsigned long bad = 0;

	for (int i = 0; i < 20000; i++) {
		struct sonde__trail_view view;
		_Alignas(8) uint8_t bytes[4096];

		sonde_breadcrumb_text(SONDE_INFO, "busy", (char[]){ (char)('A' + me), 0 });
		if (i % 10)
			continue;
		sonde__trail_open(&view, sizeof(bytes));
		sonde__trail_write(&view, bytes);
		sonde__trail_close(&view);
		for (size_t at = 0; at < view.size;) {
			const struct sonde__crumb *crumb = (const void *)(bytes + at);

			if (!crumb->level)
				break;
			bad += crumb->message_size != 1 || crumb->category_size != 4 ||
			       memcmp(crumb + 1, "busy", 4) != 0 ||
			       ((const char *)(crumb + 1))[4] != (char)('A' + me);
			at += sonde__crumb_size(crumb);
		}
	}
	return (void *)(uintptr_t)bad;
}

static void test_more_threads_than_trails_never_mix(void **state)
{
	pthread_t threads[TRAILS / 2];

	(void)state;
	sonde__trails_open(4);
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, busy_main, (void *)(uintptr_t)i);
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(threads); i++) {
		void *bad;

		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
}

/* ---- Signals and forks ----------------------------------------------------------------------- */

static void on_signal(int number)
{
	(void)number;
	sonde_breadcrumb_text(SONDE_WARN, "handler", "in between");
}

static void *interrupted_main(void *done)
{
	unsigned long bad = 0;

	for (int i = 0; i < 20000; i++) {
		struct sonde__trail_view view;
		_Alignas(8) uint8_t bytes[4096];

		sonde_breadcrumb_text(SONDE_INFO, "usual", "a message of some length");
		sonde__trail_open(&view, sizeof(bytes));
		sonde__trail_write(&view, bytes);
		sonde__trail_close(&view);
		for (size_t at = 0; at < view.size;) {
			const struct sonde__crumb *crumb = (const void *)(bytes + at);
			const char *text = (const char *)(crumb + 1);

			if (!crumb->level)
				break;
			bad += (crumb->level != SONDE_INFO ||
				memcmp(text, "usuala message of some length", 29) != 0) &&
			       (crumb->level != SONDE_WARN ||
				memcmp(text, "handlerin between", 17) != 0);
			at += sonde__crumb_size(crumb);
		}
	}
	__atomic_store_n((bool *)done, true, __ATOMIC_RELEASE);
	return (void *)(uintptr_t)bad;
}

static void test_signals_in_the_middle(void **state)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct sigaction before;
	bool done = false;
	pthread_t thread;
	void *bad;

	(void)state;
	sigaction(SIGUSR1, &action, &before);
	pthread_create(&thread, NULL, interrupted_main, &done);
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		pthread_kill(thread, SIGUSR1);
	pthread_join(thread, &bad);
	sigaction(SIGUSR1, &before, NULL);
	assert_null(bad);
}

static void test_a_forked_child_goes_on_with_its_own(void **state)
{
	int status;
	pid_t child;

	(void)state;
	sonde_breadcrumb_text(SONDE_INFO, "parent", "1");
	child = fork();
	if (child == 0) {
		sonde_breadcrumb_text(SONDE_INFO, "child", "2");
		_exit(capture() != 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(capture(), 1);
	fixture_assert_text(views[0].category, "parent");
}

static void test_nothing_without_an_agent(void **state)
{
	(void)state;
	sonde__capture_close();
	sonde_breadcrumb(SONDE_INFO, "none", "%d", 1);
	sonde_breadcrumb_text(SONDE_INFO, "none", "1");
	sonde_breadcrumbs_clear();
	fixture_reopen(/* limit= */ 128, SONDE_EXCEPTION_BOTH);
	assert_int_equal(capture(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_trails, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_left_and_found),
		TEST(test_the_last_32),
		TEST(test_odd_texts),
		TEST(test_messages_may_leave_them),
		TEST(test_a_record_takes_the_newest_that_fit),
		TEST(test_a_large_error_leaves_what_room_there_is),
		TEST(test_threads_by_the_thousand),
		TEST(test_a_trail_that_was_taken),
		TEST(test_no_trails_at_all),
		TEST(test_more_threads_than_trails_never_mix),
		TEST(test_signals_in_the_middle),
		TEST(test_a_forked_child_goes_on_with_its_own),
		TEST(test_nothing_without_an_agent),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
