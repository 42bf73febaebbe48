/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file exporter on files that are full, gone, replaced or not files; and lines that were
 * written in part.
 */

#include <sonde/exporter.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static char path[128];
static char said[512];
static struct sonde_exporter_host host;

static const char *setting(void *context, const char *name)
{
	(void)context;
	return strcmp(name, "SONDE_FILE_PATH") == 0 ? path : NULL;
}

static void report(void *context, enum sonde_level level, const char *text)
{
	(void)context;
	assert_int_equal(level, SONDE_ERROR);
	snprintf(said, sizeof(said), "%s", text);
}

static void *open_file(void)
{
	void *file = NULL;

	assert_int_equal(sonde_file_exporter.open(&host, &file), SONDE_OK);
	return file;
}

static enum sonde_outcome send_to(void *file, enum sonde_signal signal, const char *line,
				  struct sonde_result *ret)
{
	struct sonde_request request = { .size = sizeof(request),
					 .token = &request,
					 .signal = signal,
					 .body = { line, strlen(line) },
					 .n_items = 1 };

	enum sonde_outcome outcome = sonde_file_exporter.send(file, &request, ret);

	assert_int_equal(outcome, ret->outcome);
	assert_ptr_equal(ret->token, &request);
	assert_int_equal(ret->retry_after_ms, -1);
	assert_int_equal(ret->n_rejected, 0);
	return ret->outcome;
}

static void expect(void *file, const char *line, enum sonde_outcome outcome, const char *reason)
{
	struct sonde_result result;

	assert_int_equal(send_to(file, SONDE_SIGNAL_SPAN, line, &result), outcome);
	if (reason)
		assert_non_null(strstr(result.reason, reason));
	else
		assert_string_equal(result.reason, "");
}

static const char *name_of(const char *suffix)
{
	static char name[192];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return name;
}

static void expect_content(const char *suffix, const char *text)
{
	char found[4096] = "";
	int fd = open(name_of(suffix), O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, found, sizeof(found) - 1);

	assert_true(n >= 0);
	close(fd);
	assert_string_equal(found, text);
}

static void each_signal_has_its_file(void **state)
{
	struct sonde_result result;
	void *file = open_file();
	struct stat status;

	(void)state;
	assert_int_equal(stat(name_of(".metrics.jsonl"), &status), -1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(send_to(file, SONDE_SIGNAL_SPAN, "spans\n", &result), SONDE_OUTCOME_ACCEPTED);
		assert_int_equal(send_to(file, SONDE_SIGNAL_LOG, "logs\n", &result), SONDE_OUTCOME_ACCEPTED);
		assert_int_equal(send_to(file, SONDE_SIGNAL_METRIC, "points\n", &result), SONDE_OUTCOME_ACCEPTED);
	}
	sonde_file_exporter.close(file, /* forked= */ false);
	expect_content(".traces.jsonl", "spans\nspans\n");
	expect_content(".logs.jsonl", "logs\nlogs\n");
	expect_content(".metrics.jsonl", "points\npoints\n");
	assert_int_equal(stat(name_of(".traces.jsonl"), &status), 0);
	assert_int_equal(status.st_mode & 0007, 0);
	assert_true(sonde_file_exporter.accepts(NULL, SONDE_SIGNAL_METRIC));
	assert_false(sonde_file_exporter.accepts(NULL, SONDE_SIGNAL_PART));
	assert_false(sonde_file_exporter.accepts(NULL, (enum sonde_signal)99));
}

static void refuse_to_open(const char *why)
{
	void *file = NULL;

	said[0] = '\0';
	assert_int_equal(sonde_file_exporter.open(&host, &file), SONDE_E_SYSTEM);
	assert_null(file);
	assert_non_null(strstr(said, path));
	assert_non_null(strstr(said, why));
}

static void places_that_cannot_be_written(void **state)
{
	char whole[128];

	(void)state;
	memcpy(whole, path, sizeof(whole));
	snprintf(path, sizeof(path), "%s/not/there", folder);
	refuse_to_open("No such file");
	memcpy(path, whole, sizeof(whole));
	/* A pipe, whose reader would hold up the worker; a folder. */
	assert_int_equal(mkfifo(name_of(".traces.jsonl"), 0600), 0);
	refuse_to_open("");
	assert_int_equal(unlink(name_of(".traces.jsonl")), 0);
	assert_int_equal(mkdir(name_of(".logs.jsonl"), 0700), 0);
	refuse_to_open("directory");
	assert_int_equal(rmdir(name_of(".logs.jsonl")), 0);
	assert_int_equal(unlink(name_of(".traces.jsonl")), 0);
	assert_int_equal(symlink("/dev/full", name_of(".traces.jsonl")), 0);
	refuse_to_open("not a regular file");
}

/* As many bytes as fit, and then no more: a disk that is full. */
static void fill_up_at(rlim_t n)
{
	struct rlimit limit = { n, RLIM_INFINITY };

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_line_is_continued_by_its_batch(void **state)
{
	void *file = open_file();

	(void)state;
	fill_up_at(4);
	expect(file, "0123456789\n", SONDE_OUTCOME_REFUSED, "File too large");
	fill_up_at(RLIM_INFINITY);
	expect(file, "0123456789\n", SONDE_OUTCOME_ACCEPTED, NULL);
	expect(file, "next\n", SONDE_OUTCOME_ACCEPTED, NULL);
	sonde_file_exporter.close(file, /* forked= */ false);
	expect_content(".traces.jsonl", "0123456789\nnext\n");
}

static void a_line_is_ended_for_another_batch(void **state)
{
	void *file = open_file();

	(void)state;
	fill_up_at(4);
	expect(file, "0123456789\n", SONDE_OUTCOME_REFUSED, "File too large");
	fill_up_at(RLIM_INFINITY);
	expect(file, "another\n", SONDE_OUTCOME_ACCEPTED, NULL);
	sonde_file_exporter.close(file, /* forked= */ false);
	expect_content(".traces.jsonl", "0123\nanother\n");
}

static void a_line_with_more_behind_is_ended(void **state)
{
	void *file = open_file();
	int other;

	(void)state;
	fill_up_at(4);
	expect(file, "0123456789\n", SONDE_OUTCOME_REFUSED, "File too large");
	fill_up_at(RLIM_INFINITY);
	other = open(name_of(".traces.jsonl"), O_WRONLY | O_APPEND);
	assert_int_equal(write(other, "XY", 2), 2);
	close(other);
	expect(file, "0123456789\n", SONDE_OUTCOME_ACCEPTED, NULL);
	sonde_file_exporter.close(file, /* forked= */ false);
	expect_content(".traces.jsonl", "0123XY\n0123456789\n");
}

/* The descriptor is the host's now, and means a file of its own. */
static void a_number_that_means_another_file(void **state)
{
	void *file = open_file();
	char own[160];
	int host_file;
	char byte;

	(void)state;
	expect(file, "one\n", SONDE_OUTCOME_ACCEPTED, NULL);
	snprintf(own, sizeof(own), "%s/own", folder);
	host_file = open(own, O_RDWR | O_CREAT, 0600);
	for (int fd = 3; fd < 64; fd++)
		if (fd != host_file)
			dup2(host_file, fd);
	expect(file, "two\n", SONDE_OUTCOME_ACCEPTED, NULL);
	sonde_file_exporter.close(file, /* forked= */ false);
	assert_int_equal(pread(host_file, &byte, 1, 0), 0);
	for (int fd = 3; fd < 64; fd++) {
		if (fd != host_file && fcntl(fd, F_GETFD) >= 0)
			close(fd);
	}
	close(host_file);
	expect_content(".traces.jsonl", "one\ntwo\n");
}

/* No descriptor to open it again with: kept for another attempt. */
static void no_descriptor_left(void **state)
{
	struct rlimit limit;
	void *file = open_file();
	rlim_t before;

	(void)state;
	expect(file, "one\n", SONDE_OUTCOME_ACCEPTED, NULL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = 3;
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	expect(file, "two\n", SONDE_OUTCOME_RETRY, "Too many open files");
	limit.rlim_cur = before;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	expect(file, "two\n", SONDE_OUTCOME_ACCEPTED, NULL);
	sonde_file_exporter.close(file, /* forked= */ false);
	expect_content(".traces.jsonl", "one\ntwo\n");
}

/* Cut, moved away by a rotation, removed: the next line is where a reader looks for it. */
static void rotated_and_cut(void **state)
{
	void *file = open_file();
	char moved[192];

	(void)state;
	expect(file, "one\n", SONDE_OUTCOME_ACCEPTED, NULL);
	assert_int_equal(truncate(name_of(".traces.jsonl"), 0), 0);
	expect(file, "two\n", SONDE_OUTCOME_ACCEPTED, NULL);
	expect_content(".traces.jsonl", "two\n");
	snprintf(moved, sizeof(moved), "%s/moved", folder);
	assert_int_equal(rename(name_of(".traces.jsonl"), moved), 0);
	expect(file, "three\n", SONDE_OUTCOME_ACCEPTED, NULL);
	expect_content(".traces.jsonl", "three\n");
	assert_int_equal(unlink(name_of(".traces.jsonl")), 0);
	expect(file, "four\n", SONDE_OUTCOME_ACCEPTED, NULL);
	expect_content(".traces.jsonl", "four\n");
	/* Something else in its place: the old one goes on. */
	assert_int_equal(rename(name_of(".traces.jsonl"), moved), 0);
	assert_int_equal(mkdir(name_of(".traces.jsonl"), 0700), 0);
	expect(file, "five\n", SONDE_OUTCOME_ACCEPTED, NULL);
	assert_int_equal(rmdir(name_of(".traces.jsonl")), 0);
	assert_int_equal(rename(moved, name_of(".traces.jsonl")), 0);
	expect_content(".traces.jsonl", "four\nfive\n");
	sonde_file_exporter.close(file, /* forked= */ false);
}

static int setup(void **state)
{
	(void)state;
	memcpy(folder, "/dev/shm/sonde-test-XXXXXX", 27);
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/out", folder);
	host = (struct sonde_exporter_host){ sizeof(host), NULL, setting, report };
	signal(SIGXFSZ, SIG_IGN);
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "out.traces.jsonl", "out.logs.jsonl", "out.metrics.jsonl",
					     "own", "moved" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char name[160];

		snprintf(name, sizeof(name), "%s/%s", folder, names[i]);
		(void)unlink(name);
	}
	assert_int_equal(rmdir(folder), 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_signal_has_its_file, setup, teardown),
		cmocka_unit_test_setup_teardown(places_that_cannot_be_written, setup, teardown),
		cmocka_unit_test_setup_teardown(a_line_is_continued_by_its_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(a_line_is_ended_for_another_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(a_line_with_more_behind_is_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(a_number_that_means_another_file, setup, teardown),
		cmocka_unit_test_setup_teardown(no_descriptor_left, setup, teardown),
		cmocka_unit_test_setup_teardown(rotated_and_cut, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
