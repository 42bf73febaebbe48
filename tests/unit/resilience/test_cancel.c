/* SPDX-License-Identifier: Apache-2.0 */

/* Tokens: what firing tells, to whom, and what it costs nobody. */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/cancel.h>

#include "base/testpoint.h"
#include "resilience/cancel.h"

static bool is_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

static void test_fires_once_for_good(void **state)
{
	struct sonde_cancel cancel;
	struct sonde_error *error;
	int fd;

	(void)state;
	assert_int_equal(sonde_cancel_init(&cancel, NULL), SONDE_OK);
	assert_false(sonde_cancel_is_fired(&cancel));
	assert_null(sonde_cancel_error(&cancel));
	fd = sonde_cancel_fd(&cancel);
	assert_true(fd >= 0);
	assert_int_equal(sonde_cancel_fd(&cancel), fd);
	assert_false(is_readable(fd));
	errno = 4711;
	sonde_cancel_fire(&cancel, "the client has gone");
	sonde_cancel_fire(&cancel, "too late");
	assert_int_equal(errno, 4711);
	assert_true(sonde_cancel_is_fired(&cancel));
	assert_true(is_readable(fd));
	error = sonde_cancel_error(&cancel);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_cancelled);
	assert_string_equal(sonde_error_message(error), "cancelled: the client has gone");
	sonde_error_free(error);
	sonde_cancel_deinit(&cancel);
	assert_int_equal(poll(&(struct pollfd){ .fd = fd }, 1, 0), 1); /* Closed: POLLNVAL. */
}

static void test_descriptor_asked_for_afterwards(void **state)
{
	struct sonde_cancel cancel;
	struct sonde_error *error;

	(void)state;
	sonde_cancel_init(&cancel, NULL);
	sonde_cancel_fire(&cancel, NULL);
	assert_true(is_readable(sonde_cancel_fd(&cancel)));
	error = sonde_cancel_error(&cancel);
	assert_string_equal(sonde_error_message(error), "cancelled");
	sonde_error_free(error);
	sonde_cancel_deinit(&cancel);
}

static void test_long_reason_is_cut(void **state)
{
	struct sonde_cancel cancel;
	struct sonde_error *error;
	char reason[300];

	(void)state;
	memset(reason, 'r', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	sonde_cancel_init(&cancel, NULL);
	sonde_cancel_fire(&cancel, reason);
	error = sonde_cancel_error(&cancel);
	assert_int_equal(strlen(sonde_error_message(error)),
			 strlen("cancelled: ") + SONDE_CANCEL_REASON_SIZE - 1);
	sonde_error_free(error);
	sonde_cancel_deinit(&cancel);
}

static void test_children_are_fired_and_not_parents(void **state)
{
	struct sonde_cancel parent;
	struct sonde_cancel children[3];
	struct sonde_cancel grandchild;
	struct sonde_cancel late;
	struct sonde_error *error;

	(void)state;
	sonde_cancel_init(&parent, NULL);
	for (int i = 0; i < 3; i++)
		sonde_cancel_init(&children[i], &parent);
	sonde_cancel_init(&grandchild, &children[2]);
	sonde_cancel_fire(&children[0], "alone");
	assert_false(sonde_cancel_is_fired(&parent));
	assert_false(sonde_cancel_is_fired(&children[2]));
	sonde_cancel_deinit(&children[1]);
	sonde_cancel_fire(&parent, "all");
	assert_true(sonde_cancel_is_fired(&grandchild));
	error = sonde_cancel_error(&grandchild);
	assert_string_equal(sonde_error_message(error), "cancelled: all");
	sonde_error_free(error);
	error = sonde_cancel_error(&children[0]);
	assert_string_equal(sonde_error_message(error), "cancelled: alone");
	sonde_error_free(error);
	sonde_cancel_init(&late, &parent);
	assert_true(sonde_cancel_is_fired(&late));
	sonde_cancel_deinit(&late);
	sonde_cancel_deinit(&grandchild);
	sonde_cancel_deinit(&children[2]);
	sonde_cancel_deinit(&children[0]);
	sonde_cancel_deinit(&parent);
}

static void test_nothing_is_no_token(void **state)
{
	(void)state;
	assert_int_equal(sonde_cancel_init(NULL, NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_cancel_fd(NULL), SONDE_E_INVALID);
	assert_false(sonde_cancel_is_fired(NULL));
	assert_null(sonde_cancel_error(NULL));
	sonde_cancel_fire(NULL, "nobody");
	sonde_cancel_deinit(NULL);
}

static void count_call(void *user)
{
	++*(int *)user;
}

static void test_hooks(void **state)
{
	struct sonde_cancel cancel;
	int n_calls[4] = { 0 };
	struct sonde__cancel_hook hooks[4];

	(void)state;
	sonde_cancel_init(&cancel, NULL);
	for (int i = 0; i < 4; i++)
		hooks[i] = (struct sonde__cancel_hook){ .call = count_call, .user = &n_calls[i] };
	for (int i = 0; i < 3; i++)
		sonde__cancel_hook_add(&cancel, &hooks[i]);
	sonde__cancel_hook_remove(&cancel, &hooks[1]);
	sonde_cancel_fire(&cancel, "now");
	sonde__cancel_hook_add(&cancel, &hooks[3]);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(n_calls[i], i != 1);
		sonde__cancel_hook_remove(&cancel, &hooks[i]);
	}
	sonde_cancel_deinit(&cancel);
}

static void test_hooks_of_the_service(void **state)
{
	struct sonde_cancel_hook hooks[3];
	struct sonde_cancel cancel;
	int n_calls[3] = { 0 };

	(void)state;
	sonde_cancel_init(&cancel, NULL);
	sonde_cancel_hook_add(&cancel, &hooks[0], count_call, &n_calls[0]);
	sonde_cancel_hook_add(&cancel, &hooks[1], count_call, &n_calls[1]);
	sonde_cancel_hook_add(NULL, &hooks[2], count_call, &n_calls[2]);
	sonde_cancel_hook_add(&cancel, NULL, count_call, &n_calls[2]);
	sonde_cancel_hook_add(&cancel, &hooks[2], NULL, &n_calls[2]);
	sonde_cancel_hook_remove(&cancel, &hooks[1]);
	sonde_cancel_hook_remove(&cancel, NULL);
	sonde_cancel_hook_remove(NULL, &hooks[0]);
	sonde_cancel_fire(&cancel, "now");
	assert_int_equal(n_calls[0], 1);
	assert_int_equal(n_calls[1], 0);
	sonde_cancel_hook_add(&cancel, &hooks[2], count_call, &n_calls[2]);
	assert_int_equal(n_calls[2], 1);
	sonde_cancel_hook_remove(&cancel, &hooks[2]);
	sonde_cancel_hook_remove(&cancel, &hooks[0]);
	sonde_cancel_deinit(&cancel);
	assert_int_equal(n_calls[0], 1);
}

struct race {
	struct sonde_cancel parent;
	pthread_barrier_t barrier;
};

static void *come_and_go(void *argument)
{
	struct race *race = argument;

	pthread_barrier_wait(&race->barrier);
	for (int i = 0; i < 2000; i++) {
		struct sonde_cancel child;

		sonde_cancel_init(&child, &race->parent);
		if (sonde_cancel_is_fired(&child))
			sonde_error_free(sonde_cancel_error(&child));
		sonde_cancel_deinit(&child);
	}
	return NULL;
}

static void test_children_come_and_go_while_the_parent_fires(void **state)
{
	struct race race;
	pthread_t threads[3];

	(void)state;
	sonde_cancel_init(&race.parent, NULL);
	pthread_barrier_init(&race.barrier, NULL, 4);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &race), 0);
	pthread_barrier_wait(&race.barrier);
	sonde_cancel_fire(&race.parent, "go");
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_true(sonde_cancel_is_fired(&race.parent));
	pthread_barrier_destroy(&race.barrier);
	sonde_cancel_deinit(&race.parent);
}

#ifdef SONDE_TESTPOINTS
static atomic_bool has_ended;
static atomic_bool has_ended_early;

/* Gives the other thread time to end the token below the one that fires it: it must not. */
static void hold_the_firing(const char *name)
{
	if (strcmp(name, "cancel-fired") != 0)
		return;
	for (int i = 0; i < 30 && !has_ended; i++)
		(void)poll(NULL, 0, /* timeout= */ 1);
	has_ended_early = has_ended;
}

static void *fire(void *argument)
{
	sonde_cancel_fire(argument, "the client has gone");
	return NULL;
}

static void test_ends_once_it_is_seen_fired(void **state)
{
	struct sonde_cancel cancel;
	pthread_t thread;

	(void)state;
	sonde_cancel_init(&cancel, NULL);
	__atomic_store_n(&sonde__testpoint_hook, hold_the_firing, __ATOMIC_RELEASE);
	assert_int_equal(pthread_create(&thread, NULL, fire, &cancel), 0);
	while (!sonde_cancel_is_fired(&cancel))
		sched_yield();
	sonde_cancel_deinit(&cancel);
	has_ended = true;
	pthread_join(thread, NULL);
	__atomic_store_n(&sonde__testpoint_hook, NULL, __ATOMIC_RELEASE);
	assert_false(has_ended_early);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fires_once_for_good),
		cmocka_unit_test(test_descriptor_asked_for_afterwards),
		cmocka_unit_test(test_long_reason_is_cut),
		cmocka_unit_test(test_children_are_fired_and_not_parents),
		cmocka_unit_test(test_nothing_is_no_token),
		cmocka_unit_test(test_hooks),
		cmocka_unit_test(test_hooks_of_the_service),
		cmocka_unit_test(test_children_come_and_go_while_the_parent_fires),
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test(test_ends_once_it_is_seen_fired),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
