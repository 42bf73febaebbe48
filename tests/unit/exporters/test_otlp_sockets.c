/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A descriptor is closed once, by whoever opened it, and never when its number is somebody else's.
 */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sockets.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void test_sockets_are_not_inherited_by_programs(void **state)
{
	struct sonde__otlp_sockets sockets = { .n = 0 };
	int fd = sonde__otlp_sockets_open(&sockets, AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(sonde__otlp_sockets_are_ours(&sockets));
	sonde__otlp_sockets_close(&sockets, fd);
	assert_false(is_open(fd));
	assert_int_equal(sockets.n, 0);
}

static void test_somebody_elses_descriptor_is_left_alone(void **state)
{
	struct sonde__otlp_sockets sockets = { .n = 0 };
	int fd = sonde__otlp_sockets_open(&sockets, AF_INET, SOCK_STREAM, 0);
	int other = open("/dev/null", O_RDONLY);

	(void)state;
	assert_int_equal(dup2(other, fd), fd);
	assert_false(sonde__otlp_sockets_are_ours(&sockets));
	sonde__otlp_sockets_close_all(&sockets);
	assert_true(is_open(fd));
	assert_int_equal(sockets.n, 0);
	close(fd);
	close(other);
}

static void test_a_socket_in_the_place_of_ours_is_somebody_elses_too(void **state)
{
	struct sonde__otlp_sockets sockets = { .n = 0 };
	int fd = sonde__otlp_sockets_open(&sockets, AF_INET, SOCK_STREAM, 0);
	int other;

	(void)state;
	close(fd);
	other = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(other, fd);
	sonde__otlp_sockets_close(&sockets, fd);
	assert_true(is_open(other));
	close(other);
}

static void test_the_table_is_bounded(void **state)
{
	struct sonde__otlp_sockets sockets = { .n = 0 };

	(void)state;
	for (int i = 0; i < SONDE__OTLP_SOCKETS_MAX; i++)
		assert_true(sonde__otlp_sockets_open(&sockets, AF_INET, SOCK_STREAM, 0) >= 0);
	assert_int_equal(sonde__otlp_sockets_open(&sockets, AF_INET, SOCK_STREAM, 0), -1);
	assert_int_equal(sonde__otlp_sockets_open(&sockets, -1, SOCK_STREAM, 0), -1);
	sonde__otlp_sockets_close(&sockets, sockets.all[3].fd);
	assert_true(sonde__otlp_sockets_open(&sockets, AF_INET, SOCK_STREAM, 0) >= 0);
	sonde__otlp_sockets_close_all(&sockets);
	assert_int_equal(sockets.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sockets_are_not_inherited_by_programs),
		cmocka_unit_test(test_somebody_elses_descriptor_is_left_alone),
		cmocka_unit_test(test_a_socket_in_the_place_of_ours_is_somebody_elses_too),
		cmocka_unit_test(test_the_table_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
