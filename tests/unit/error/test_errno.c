/* SPDX-License-Identifier: Apache-2.0 */

/* Errors of the operating system, from real calls. */

#include "support.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <netinet/in.h>

#include <sonde/error_errno.h>

#include "adapter.h"

static void test_each_number(void **state)
{
	static const struct {
		int number;
		const struct sonde_error_type *type;
		const char *name;
	} cases[] = {
		{ ENOENT, &sonde_not_found, "ENOENT" },
		{ ESRCH, &sonde_not_found, "ESRCH" },
		{ EACCES, &sonde_forbidden, "EACCES" },
		{ EPERM, &sonde_forbidden, "EPERM" },
		{ EEXIST, &sonde_conflict, "EEXIST" },
		{ ETIMEDOUT, &sonde_timeout, "ETIMEDOUT" },
		{ ENOMEM, &sonde_out_of_memory, "ENOMEM" },
		{ EMFILE, &sonde_exhausted, "EMFILE" },
		{ ENOSPC, &sonde_exhausted, "ENOSPC" },
		{ EAGAIN, &sonde_unavailable, "EAGAIN" },
		{ ECONNREFUSED, &sonde_unavailable, "ECONNREFUSED" },
		{ EHOSTUNREACH, &sonde_unavailable, "EHOSTUNREACH" },
		{ EINTR, &sonde_cancelled, "EINTR" },
		{ EINVAL, &sonde_internal, "EINVAL" },
		{ EFAULT, &sonde_internal, "EFAULT" },
		{ 0, &sonde_internal, "" },
		{ -5, &sonde_internal, "" },
		{ 4711, &sonde_internal, "" },
		{ INT32_MIN, &sonde_internal, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sonde_error *error;
		int n_evaluated = 0;

		errno = 7;
		error = sonde_error_raise_errno((n_evaluated++, cases[i].number), "file %d", 3);
		assert_int_equal(errno, 7);
		assert_int_equal(n_evaluated, 1);
		assert_ptr_equal(sonde_error_type_of(error), cases[i].type);
		assert_int_equal(sonde_error_errno(error), cases[i].number);
		assert_string_equal(sonde_error_errno_name(error), cases[i].name);
		assert_string_equal(sonde_error_message(error), "file 3");
		assert_string_equal(sonde_error_detail(error), strerror(cases[i].number));
		assert_string_equal(sonde_error_function(error), __func__);
		sonde_error_free(error);
	}
}

static struct sonde_error *failing_open(const char *path, int flags)
{
	int file = open(path, flags, 0600);

	if (file < 0)
		return sonde_error_raise_errno(errno, "the file cannot be opened");
	close(file);
	return NULL;
}

static void test_real_calls(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	struct sonde_error *error = failing_open("/nowhere/at/all", O_RDONLY);
	char text[500];

	(void)state;
	assert_type(error, sonde_not_found);
	sonde_error_format_chain(error, text, sizeof(text));
	assert_non_null(strstr(text, "sonde_not_found: the file cannot be opened (tests/"));
	assert_non_null(strstr(text, " in failing_open) [ENOENT]\ndetail: No such file or directory"));
	sonde_error_free(error);
	error = failing_open("/dev/null", O_CREAT | O_EXCL);
	assert_type(error, sonde_conflict);
	sonde_error_free(error);
	/* A port that was free a moment ago and is bound, but nobody listens. */
	assert_int_equal(bind(listener, (void *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(listener, (void *)&address, &size), 0);
	assert_int_equal(connect(client, (void *)&address, sizeof(address)), -1);
	error = sonde_error_raise_errno(errno, "nobody listens");
	assert_type(error, sonde_unavailable);
	assert_true(sonde_error_is_retryable(error));
	assert_string_equal(sonde_error_errno_name(error), "ECONNREFUSED");
	sonde_error_free(error);
	close(listener);
	close(client);
}

/* What is worth saying of errno, and what something else left there. */
static void test_what_counts(void **state)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = NULL;

	(void)state;
	errno = EAGAIN;
	error = sonde_error_raise(&sonde_validation, "the client's mistake");
	assert_int_equal(sonde_error_errno(error), EAGAIN);
	assert_int_equal(sonde__error_said_errno(error), 0);
	sonde_error_set_errno(error, EDOM);
	assert_int_equal(sonde__error_said_errno(error), EDOM);
	sonde_error_set_errno(error, 0);
	assert_int_equal(sonde__error_said_errno(error), 0);
	sonde_error_free(error);
	error = sonde_error_raise(&sonde_internal, "100 %%m is left of something %s", "else");
	assert_int_equal(sonde__error_said_errno(error), 0);
	sonde_error_free(error);
	error = sonde_error_raise(&sonde_internal, "%d%% done: %m", 5);
	assert_int_equal(sonde__error_said_errno(error), EAGAIN);
	error = sonde_error_wrap(error, &sonde_internal, "outer");
	assert_int_equal(sonde__error_said_errno(error), 0);
	sonde_error_set_errno(NULL, 5);
	assert_null(sonde_error_note_errno(NULL, 5));
	assert_string_equal(sonde_error_errno_name(NULL), "");
	assert_int_equal(sonde__error_said_errno(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_number),
		cmocka_unit_test(test_real_calls),
		cmocka_unit_test(test_what_counts),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
