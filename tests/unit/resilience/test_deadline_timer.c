/* SPDX-License-Identifier: Apache-2.0 */

/* Deadlines as descriptors: readable when, and only when, it is over. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/deadline.h>

static int is_readable(int fd, int wait_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, wait_ms);
}

static void test_readable_when_it_is_over(void **state)
{
	int fd;

	(void)state;
	SONDE_DEADLINE(5);
	fd = sonde_deadline_timer_open();
	assert_true(fd >= 0);
	assert_int_equal(is_readable(fd, -1), 1);
	assert_true(sonde_deadline_is_over(NULL));
	close(fd);
	fd = sonde_deadline_timer_open();
	assert_int_equal(is_readable(fd, -1), 1);
	close(fd);
}

static void test_follows_the_current_one(void **state)
{
	int fd = sonde_deadline_timer_open();

	(void)state;
	assert_int_equal(is_readable(fd, 0), 0);
	{
		SONDE_DEADLINE(0);
		assert_int_equal(sonde_deadline_timer_set(fd), SONDE_OK);
		assert_int_equal(is_readable(fd, -1), 1);
	}
	{
		SONDE_DEADLINE(3600 * 1000);
		assert_int_equal(sonde_deadline_timer_set(fd), SONDE_OK);
		assert_int_equal(is_readable(fd, 0), 0);
	}
	{
		SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;

		sonde_deadline_begin_at(&deadline, UINT64_MAX - 1);
		assert_int_equal(sonde_deadline_timer_set(fd), SONDE_OK);
		assert_int_equal(is_readable(fd, 0), 0);
		sonde_deadline_end(&deadline);
		sonde_deadline_begin_at(&deadline, 0);
		assert_int_equal(sonde_deadline_timer_set(fd), SONDE_OK);
		assert_int_equal(is_readable(fd, -1), 1);
	}
	assert_int_equal(sonde_deadline_timer_set(fd), SONDE_OK);
	assert_int_equal(is_readable(fd, 0), 0);
	close(fd);
}

static void test_what_the_system_refuses(void **state)
{
	struct rlimit limit;
	struct rlimit none;

	(void)state;
	errno = 4711;
	assert_int_equal(sonde_deadline_timer_set(-1), SONDE_E_SYSTEM);
	assert_int_equal(sonde_deadline_timer_set(STDIN_FILENO), SONDE_E_SYSTEM);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ 0, limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(sonde_deadline_timer_open(), SONDE_E_SYSTEM);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(errno, 4711);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readable_when_it_is_over),
		cmocka_unit_test(test_follows_the_current_one),
		cmocka_unit_test(test_what_the_system_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
