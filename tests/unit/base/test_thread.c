/* SPDX-License-Identifier: Apache-2.0 */

/* The library's own threads: their signals, names and stacks. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sonde/base.h>

#include "base/thread.h"

struct seen {
	sigset_t blocked;
	size_t stack_size;
};

static void *look(void *argument)
{
	struct seen *seen = argument;
	pthread_attr_t attributes;

	pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
	if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
		pthread_attr_getstacksize(&attributes, &seen->stack_size);
		pthread_attr_destroy(&attributes);
	}
	return argument;
}

static void test_only_faults_are_let_through(void **state)
{
	static const int let_through[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL,
					   SIGTRAP, SIGSYS, SIGABRT };
	static const int blocked[] = {
		SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGALRM, SIGCHLD, SIGPROF
	};
	struct seen seen = { .stack_size = 0 };
	sigset_t before;
	sigset_t after;
	pthread_t thread;
	void *value;

	(void)state;
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(sonde__thread_start(&thread, look, &seen, 256 * 1024, NULL), SONDE_OK);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	assert_int_equal(pthread_join(thread, &value), 0);
	assert_ptr_equal(value, &seen);
	for (size_t i = 0; i < 7; i++) {
		assert_false(sigismember(&seen.blocked, let_through[i]));
		assert_true(sigismember(&seen.blocked, blocked[i]));
		/* The maker's own are as they were. */
		assert_int_equal(sigismember(&after, blocked[i]), sigismember(&before, blocked[i]));
	}
	assert_in_range(seen.stack_size, 256 * 1024, 1024 * 1024);
}

static pthread_barrier_t barrier;

static void *wait_to_be_looked_at(void *argument)
{
	pthread_barrier_wait(&barrier);
	return argument;
}

static void test_name_is_cut(void **state)
{
	char name[64];
	pthread_t thread;

	(void)state;
	pthread_barrier_init(&barrier, NULL, 2);
	assert_int_equal(sonde__thread_start(&thread, wait_to_be_looked_at, NULL, 0,
					     "a-name-of-more-than-fifteen"),
			 SONDE_OK);
	assert_int_equal(pthread_getname_np(thread, name, sizeof(name)), 0);
	assert_string_equal(name, "a-name-of-more-");
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_faults_are_let_through),
		cmocka_unit_test(test_name_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
