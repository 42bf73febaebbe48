/* SPDX-License-Identifier: Apache-2.0 */

/* New, known or back: over restarts, releases and days. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "seen_rig.h"

/* ---- What is remembered ---------------------------------------------------------------------- */

static void test_in_memory(void **state)
{
	struct sonde__seen seen;

	(void)state;
	open_at(&seen, /* where= */ NULL, "1");
	assert_int_equal(answer_of(&seen, 7, START), 'f');
	assert_int_equal(answer_of(&seen, 7, START), 'k');
	assert_int_equal(answer_of(&seen, 8, START), 'f');
	assert_int_equal(answer_of(&seen, 7, START + 14 * DAY), 'k');
	assert_int_equal(answer_of(&seen, 7, START + 29 * DAY), 'r');
	assert_int_equal(answer_of(&seen, 7, START + 29 * DAY), 'k');
	/* The clock is set back. */
	assert_int_equal(answer_of(&seen, 7, START), 'k');
	assert_int_equal(answer_of(&seen, 8, 0), 'k');
	/* Bounded: any number of bugs, and those seen last are known. */
	for (uint64_t i = 100; i < 100000; i++)
		assert_int_equal(answer_of(&seen, i, START), 'f');
	assert_int_equal(answer_of(&seen, 99999, START), 'k');
	assert_string_equal(seen_said, "");
	sonde__seen_deinit(&seen);
}

static void test_over_restarts_and_releases(void **state)
{
	struct stat status;

	(void)state;
	assert_int_equal(fresh_answer("1", 7, START), 'f');
	assert_int_equal(fresh_answer("1", 7, START + 1), 'k');
	assert_int_equal(fresh_answer("2", 7, START + 2), 'k');
	assert_int_equal(fresh_answer("2", 8, START + 2), 'f');
	assert_int_equal(fresh_answer("2", UINT64_MAX, START + 2), 'f');
	assert_int_equal(lstat(path_of("checkout.seen"), &status), 0);
	assert_int_equal(status.st_mode, S_IFREG | 0600);
	assert_int_equal(status.st_size, FILE_SIZE);
	assert_true(status.st_blocks * 512 >= FILE_SIZE);
	assert_string_equal(seen_said, "");
}

static void test_regressed_after_days(void **state)
{
	struct sonde__seen seen;

	(void)state;
	assert_int_equal(fresh_answer("1", 7, START), 'f');
	assert_int_equal(fresh_answer("1", 7, START + 14 * DAY), 'k');
	assert_int_equal(fresh_answer("1", 7, START + 29 * DAY), 'r');
	assert_int_equal(fresh_answer("1", 7, START + 29 * DAY + 1), 'k');
	/* A process that lives long tells the file that the bug is still there. */
	open_at(&seen, seen_directory, "1");
	for (uint64_t day = 30; day < 60; day++)
		assert_int_equal(answer_of(&seen, 7, START + day * DAY), 'k');
	assert_int_equal(fresh_answer("1", 7, START + 62 * DAY), 'k');
	assert_int_equal(answer_of(&seen, 7, START + 90 * DAY), 'r');
	sonde__seen_deinit(&seen);
	/* A clock that was far ahead once does not hide it for ever. */
	assert_int_equal(fresh_answer("1", 9, START + 10000 * DAY), 'f');
	assert_int_equal(fresh_answer("1", 9, START), 'k');
	assert_int_equal(fresh_answer("1", 9, START + 20 * DAY), 'r');
}

static void test_oldest_goes(void **state)
{
	struct sonde__seen seen;
	size_t n_known = 0;

	(void)state;
	open_at(&seen, seen_directory, "1");
	for (uint64_t i = 1; i <= 20000; i++)
		assert_int_equal(answer_of(&seen, i, START + i), 'f');
	sonde__seen_deinit(&seen);
	assert_int_equal(size_of("checkout.seen"), FILE_SIZE);
	/* Nearly all of the newest are there. */
	for (uint64_t i = 18001; i <= 20000; i++)
		n_known += fresh_answer("1", i, START + 30000) == 'k';
	assert_in_range(n_known, 1980, 2000);
	assert_int_equal(fresh_answer("1", 1, START + 30000), 'f');
}

static void test_services_are_apart(void **state)
{
	static const char *const names[] = { "a/b", "a_b", "a b", "", ".", "..", "../x", "a\nb",
					     "caf\xc3\xa9" };
	char longest[300];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(names) + 2; i++) {
		struct sonde__seen_options options = { .directory = seen_directory,
						       .regression_days = 14, .n_slots = 8 };
		struct sonde__seen seen;

		options.service = i < SONDE__ARRAY_SIZE(names) ? text(names[i]) :
				  (struct sonde_text){ longest, 290 + i % 2 };
		for (int round = 0; round < 2; round++) {
			assert_int_equal(sonde__seen_init(&seen, &options), SONDE_OK);
			assert_null(strchr(seen.place.file, '/'));
			assert_true(seen.place.file[0] != '.');
			assert_int_equal(answer_of(&seen, 7, START), round ? 'k' : 'f');
			sonde__seen_deinit(&seen);
		}
	}
	assert_string_equal(seen_said, "");
}

/* ---- What people say is resolved ------------------------------------------------------------- */

static void test_resolved_from_now_on(void **state)
{
	struct sonde__seen seen;

	(void)state;
	assert_int_equal(fresh_answer("1", 0x7, START), 'f');
	write_file("checkout.resolved", "# mine\n0000000000000007\n0000000000000008 2.0\n", "w");
	assert_int_equal(fresh_answer("1", 7, START + 1), 'r');
	assert_int_equal(fresh_answer("1", 7, START + 2), 'k');
	open_at(&seen, seen_directory, "1");
	assert_int_equal(answer_of(&seen, 7, START + 3), 'k');
	/* Resolved again, while a process runs that knows it. */
	write_file("checkout.resolved", "7", "a");
	assert_int_equal(answer_of(&seen, 7, START + 4), 'r');
	assert_int_equal(answer_of(&seen, 7, START + 5), 'k');
	sonde__seen_deinit(&seen);
	assert_int_equal(fresh_answer("1", 7, START + 6), 'k');
	/* Marked, and long forgotten: it is known all the same. */
	assert_int_equal(unlink(path_of("checkout.seen")), 0);
	assert_int_equal(fresh_answer("1", 7, START + 7), 'r');
}

static void test_resolved_in_a_release(void **state)
{
	(void)state;
	assert_int_equal(fresh_answer("2.4.0", 7, START), 'f');
	write_file("checkout.resolved", "0000000000000007 2.4.1 # by Ann\r\n", "w");
	/* What was there before the fix has the bug, and nobody is told. */
	assert_int_equal(fresh_answer("2.4.0", 7, START + 1), 'k');
	assert_int_equal(fresh_answer("2.3.99", 7, START + 1), 'k');
	assert_int_equal(fresh_answer("2.4.1-rc1", 7, START + 1), 'k');
	assert_int_equal(fresh_answer("2.10.0", 7, START + 2), 'r');
	assert_int_equal(fresh_answer("2.10.0", 7, START + 2), 'k');
	assert_int_equal(fresh_answer("2.4.1", 7, START + 2), 'k');
}

/* Commits have no order: what it was last seen in has the bug, another one should not. */
static void test_resolved_in_a_commit(void **state)
{
	(void)state;
	assert_int_equal(fresh_answer("4f3a9c1", 7, START), 'f');
	write_file("checkout.resolved", "0000000000000007 b81d02e\n", "w");
	assert_int_equal(fresh_answer("4f3a9c1", 7, START + 1), 'k');
	assert_int_equal(fresh_answer("b81d02e", 7, START + 2), 'r');
	assert_int_equal(fresh_answer("4f3a9c1", 7, START + 3), 'k');
	assert_int_equal(fresh_answer("", 8, START), 'f');
	write_file("checkout.resolved", "8 b81d02e\n", "a");
	assert_int_equal(fresh_answer("", 8, START + 1), 'r');
}

static void test_marks_of_any_kind(void **state)
{
	char line[20000];

	(void)state;
	assert_int_equal(fresh_answer("1", 7, START), 'f');
	memset(line, '7', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	write_file("checkout.resolved", line, "w");
	memset(line, ' ', sizeof(line) - 1);
	write_file("checkout.resolved", line, "a");
	write_file("checkout.resolved", "7\n7 7\nx7\n 77777777777777777\n\n\r\n#7\n7", "a");
	/* Line by line: the long one is none, "7 7" and "7" are two marks, the last one counts. */
	assert_int_equal(fresh_answer("1", 7, START + 1), 'r');
	assert_int_equal(fresh_answer("1", 7, START + 2), 'k');
	unlink(path_of("checkout.resolved"));
	assert_int_equal(mkfifo(path_of("checkout.resolved"), 0600), 0);
	assert_int_equal(fresh_answer("1", 7, START + 3), 'k');
	assert_int_equal(fresh_answer("1", 9, START + 3), 'f');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_in_memory),
		TEST(test_over_restarts_and_releases),
		TEST(test_regressed_after_days),
		TEST(test_oldest_goes),
		TEST(test_services_are_apart),
		TEST(test_resolved_from_now_on),
		TEST(test_resolved_in_a_release),
		TEST(test_resolved_in_a_commit),
		TEST(test_marks_of_any_kind),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
