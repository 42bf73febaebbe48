/* SPDX-License-Identifier: Apache-2.0 */

/* The mutex: who has it when, what a wait tells, and what it says to who misuses it. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/lock.h>

#include "base/clock.h"
#include "base/testpoint.h"
#include "context/context.h"
#include "support/actors.h"
#include "support/lock_heard.h"
#include "support/virtual_clock.h"

/* ---- One thread, and one that holds it ------------------------------------------------------- */

static void play_lock(void *user)
{
	sonde_mutex_lock((struct sonde_mutex *)user);
}

static void play_unlock(void *user)
{
	sonde_mutex_unlock(user);
}

struct held {
	struct stage stage; /* Its actor 0 holds the mutex. */
	struct virtual_clock clock;
	struct heard heard;
	struct sonde_observer observer;
	struct sonde_mutex mutex;
};

static void held_init(struct held *held, uint64_t slow_wait_ms)
{
	memset(held, 0, sizeof(*held));
	virtual_clock_init(&held->clock, 5 * SECOND);
	held->observer = (struct sonde_observer){ hear, &held->heard };
	assert_int_equal(sonde_mutex_init(&held->mutex,
					  &(struct sonde_lock_options){
						  .name = "table",
						  .slow_wait_ms = slow_wait_ms,
						  .clock = &held->clock.clock,
						  .observer = &held->observer,
					  }),
			 SONDE_OK);
	stage_init(&held->stage, 1);
	actor_play(&held->stage.actors[0], play_lock, &held->mutex);
}

static void held_deinit(struct held *held)
{
	actor_play(&held->stage.actors[0], play_unlock, &held->mutex);
	stage_deinit(&held->stage);
	assert_true(sonde_mutex_try_lock(&held->mutex));
	sonde_mutex_unlock(&held->mutex);
	sonde_mutex_deinit(&held->mutex);
}

static void test_wait_ends_at_its_limit(void **state)
{
	struct held held;

	(void)state;
	held_init(&held, 0);
	assert_false(sonde_mutex_try_lock(&held.mutex));
	error_expect(sonde_mutex_lock_within(&held.mutex, 0, NULL), &sonde_timeout);
	assert_int_equal(held.clock.now_ns, 5 * SECOND);
	error_expect(sonde_mutex_lock_within(&held.mutex, 250, NULL), &sonde_timeout);
	assert_int_equal(held.clock.now_ns, 5 * SECOND + 250 * MS);
	assert_int_equal(held.heard.n[SONDE_OBSERVED_REJECTION], 2);
	assert_int_equal(held.heard.duration_ns, 250 * MS);
	assert_string_equal(held.heard.name, "table");
	assert_non_null(strstr(held.heard.message, "waited 0.25 s for the mutex \"table\" in vain; "
						   "it was taken last at "));
	assert_non_null(strstr(held.heard.message, "test_mutex.c:"));
	held_deinit(&held);
}

static void test_wait_ends_at_the_deadline(void **state)
{
	struct held held;

	(void)state;
	held_init(&held, 0);
	sonde__thread.current.extension[SONDE__EXTENSION_DEADLINE] = 5 * SECOND + 100 * MS;
	error_expect(sonde_mutex_lock_within(&held.mutex, 250, NULL), &sonde_timeout);
	assert_int_equal(held.clock.now_ns, 5 * SECOND + 100 * MS);
	error_expect(sonde_mutex_lock_within(&held.mutex, UINT64_MAX, NULL), &sonde_timeout);
	assert_int_equal(held.clock.now_ns, 5 * SECOND + 100 * MS);
	sonde__thread.current.extension[SONDE__EXTENSION_DEADLINE] = 0;
	held_deinit(&held);
}

static void test_what_is_free_is_had_past_deadline_and_token(void **state)
{
	struct virtual_clock clock;
	struct sonde_cancel cancel;
	struct sonde_mutex mutex;

	(void)state;
	virtual_clock_init(&clock, 5 * SECOND);
	sonde_cancel_init(&cancel, NULL);
	sonde_cancel_fire(&cancel, NULL);
	sonde_mutex_init(&mutex, &(struct sonde_lock_options){ .clock = &clock.clock });
	sonde__thread.current.extension[SONDE__EXTENSION_DEADLINE] = 1;
	assert_null(sonde_mutex_lock_within(&mutex, 0, &cancel));
	sonde__thread.current.extension[SONDE__EXTENSION_DEADLINE] = 0;
	sonde_mutex_unlock(&mutex);
	sonde_mutex_deinit(&mutex);
	sonde_cancel_deinit(&cancel);
}

static void test_fired_token_ends_the_wait(void **state)
{
	struct sonde_cancel cancel;
	struct held held;
	struct sonde_error *error;

	(void)state;
	held_init(&held, 0);
	sonde_cancel_init(&cancel, NULL);
	sonde_cancel_fire(&cancel, "enough");
	error = sonde_mutex_lock_within(&held.mutex, UINT64_MAX, &cancel);
	assert_non_null(error);
	assert_true(sonde_error_is(error, &sonde_cancelled));
	assert_string_equal(sonde_error_message(sonde_error_cause(error)), "cancelled: enough");
	sonde_error_free(error);
	assert_int_equal(held.heard.n[SONDE_OBSERVED_REJECTION], 1);
	sonde_cancel_deinit(&cancel);
	held_deinit(&held);
}

static void test_slow_wait_is_told_after_a_second_by_default(void **state)
{
	struct held held;

	(void)state;
	held_init(&held, 0);
	error_expect(sonde_mutex_lock_within(&held.mutex, 1000, NULL), &sonde_timeout);
	assert_int_equal(held.heard.n[SONDE_OBSERVED_STALL], 0);
	error_expect(sonde_mutex_lock_within(&held.mutex, 1001, NULL), &sonde_timeout);
	assert_int_equal(held.heard.n[SONDE_OBSERVED_STALL], 1);
	assert_int_equal(held.heard.n[SONDE_OBSERVED_RECOVERY], 1);
	assert_int_equal(held.heard.n[SONDE_OBSERVED_REJECTION], 2);
	held_deinit(&held);
}

static void test_slow_wait_limit_is_the_options(void **state)
{
	struct held held;

	(void)state;
	held_init(&held, 30);
	error_expect(sonde_mutex_lock_within(&held.mutex, 31, NULL), &sonde_timeout);
	assert_int_equal(held.heard.n[SONDE_OBSERVED_STALL], 1);
	held_deinit(&held);
	held_init(&held, UINT64_MAX);
	error_expect(sonde_mutex_lock_within(&held.mutex, 3600 * 1000, NULL), &sonde_timeout);
	assert_int_equal(held.heard.n[SONDE_OBSERVED_STALL], 0);
	held_deinit(&held);
}

#ifdef SONDE_TESTPOINTS
static struct held *leaving;

static void unlock_for_the_leaving(const char *name)
{
	if (!strcmp(name, "mutex-leaving"))
		actor_play(&leaving->stage.actors[0], play_unlock, &leaving->mutex);
}

static void test_lock_that_comes_at_the_limit_counts(void **state)
{
	struct held held;

	(void)state;
	held_init(&held, 0);
	leaving = &held;
	__atomic_store_n(&sonde__testpoint_hook, unlock_for_the_leaving, __ATOMIC_RELEASE);
	assert_null(sonde_mutex_lock_within(&held.mutex, 10, NULL));
	__atomic_store_n(&sonde__testpoint_hook, NULL, __ATOMIC_RELEASE);
	assert_int_equal(held.heard.n[SONDE_OBSERVED_WAIT], 1);
	sonde_mutex_unlock(&held.mutex);
	actor_play(&held.stage.actors[0], play_lock, &held.mutex);
	held_deinit(&held);
}
#endif

static void test_misuse_is_said(void **state)
{
	struct held held;

	(void)state;
	held_init(&held, 0);
	sonde_mutex_unlock(&held.mutex);
	assert_int_equal(held.heard.n[SONDE_OBSERVED_ORPHAN], 1);
	assert_non_null(strstr(held.heard.message,
			       "the mutex \"table\" was unlocked by a thread that does not hold it"));
	assert_false(sonde_mutex_try_lock(&held.mutex));
	held_deinit(&held);

	assert_int_equal(sonde_mutex_init(NULL, NULL), SONDE_E_INVALID);
	sonde_mutex_deinit(NULL);
	sonde_mutex_lock((struct sonde_mutex *)NULL);
	sonde_mutex_unlock(NULL);
	assert_false(sonde_mutex_try_lock((struct sonde_mutex *)NULL));
	error_expect(sonde_mutex_lock_within((struct sonde_mutex *)NULL, 0, NULL), &sonde_internal);
}

static void test_who_has_it_is_refused_it_again(void **state)
{
	struct sonde_mutex mutex = SONDE_MUTEX_INIT;

	(void)state;
	sonde_mutex_lock(&mutex);
	error_expect(sonde_mutex_lock_within(&mutex, UINT64_MAX, NULL), &sonde_internal);
	assert_false(sonde_mutex_try_lock(&mutex));
	sonde_mutex_unlock(&mutex);
	assert_true(sonde_mutex_try_lock(&mutex));
	sonde_mutex_unlock(&mutex);
	sonde_mutex_deinit(&mutex);
}

static void lock_in_a_scope(struct sonde_mutex *mutex)
{
	SONDE_LOCK_SCOPE(mutex);
	error_expect(sonde_mutex_lock_within(mutex, 0, NULL), &sonde_internal);
}

static void test_scope_lets_go_at_its_end(void **state)
{
	SONDE_MUTEX_AUTODEINIT struct sonde_mutex mutex = SONDE_MUTEX_INIT;

	(void)state;
	lock_in_a_scope(&mutex);
	lock_in_a_scope(&mutex);
	assert_true(sonde_mutex_try_lock(&mutex));
	sonde_mutex_unlock(&mutex);
}

/* An observer that hears of a stall may use the mutex, where it has become free. */
struct meddler {
	struct held *held;
	bool had_it;
};

static void meddle(void *user, const struct sonde_observation *observation)
{
	struct meddler *meddler = user;

	if (observation->what != SONDE_OBSERVED_STALL)
		return;
	/* It goes on, and is not in vain. */
	assert_non_null(strstr(sonde_error_message(observation->error),
			       "has waited 1 s for the mutex \"table\"; it was taken last at "));
	actor_play(&meddler->held->stage.actors[0], play_unlock, &meddler->held->mutex);
	meddler->had_it = sonde_mutex_try_lock(&meddler->held->mutex);
	sonde_mutex_unlock(&meddler->held->mutex);
}

static void test_observer_of_a_stall_may_lock(void **state)
{
	struct meddler meddler = { 0 };
	struct held held;

	(void)state;
	held_init(&held, 0);
	meddler.held = &held;
	held.observer = (struct sonde_observer){ meddle, &meddler };
	sonde_mutex_lock(&held.mutex);
	assert_true(meddler.had_it);
	sonde_mutex_unlock(&held.mutex);
	held.observer = (struct sonde_observer){ hear, &held.heard };
	actor_play(&held.stage.actors[0], play_lock, &held.mutex);
	held_deinit(&held);
}

/* ---- Threads --------------------------------------------------------------------------------- */

#define N_THREADS 4
#define N_ROUNDS 3000

struct shared {
	struct sonde_mutex mutex;
	struct sonde_cancel cancel;
	unsigned value; /* Under the mutex. */
	unsigned inside;
};

static void *add_many(void *argument)
{
	struct shared *shared = argument;
	uintptr_t n = 0;

	for (unsigned i = 0; i < N_ROUNDS; i++) {
		struct sonde_error *error = NULL;

		if (i % 3 == 0)
			sonde_mutex_lock(&shared->mutex);
		else if (i % 3 == 1)
			error = sonde_mutex_lock_within(&shared->mutex, i % 2, &shared->cancel);
		else if (!sonde_mutex_try_lock(&shared->mutex))
			continue;
		if (error) {
			sonde_error_free(error);
			continue;
		}
		shared->inside++;
		shared->value++;
		n += shared->inside == 1;
		shared->inside--;
		sonde_mutex_unlock(&shared->mutex);
	}
	return (void *)n;
}

static void test_threads_exclude_each_other(void **state)
{
	struct shared shared = { .value = 0 };
	pthread_t threads[N_THREADS];
	uintptr_t sum = 0;

	(void)state;
	sonde_cancel_init(&shared.cancel, NULL);
	sonde_mutex_init(&shared.mutex, NULL);
	for (size_t i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, &shared), 0);
	for (size_t i = 0; i < N_THREADS; i++) {
		void *n;

		pthread_join(threads[i], &n);
		sum += (uintptr_t)n;
	}
	assert_int_equal(sum, shared.value);
	assert_true(sum >= N_THREADS * N_ROUNDS / 3);
	sonde_mutex_deinit(&shared.mutex);
	sonde_cancel_deinit(&shared.cancel);
}

/* Whoever is the last to unlock may free it at once. */
struct counted {
	struct sonde_mutex mutex;
	unsigned n_users;
};

static void *leave_and_free(void *argument)
{
	struct counted *counted = argument;
	bool is_last;

	sonde_mutex_lock(&counted->mutex);
	is_last = --counted->n_users == 0;
	sonde_mutex_unlock(&counted->mutex);
	if (is_last) {
		sonde_mutex_deinit(&counted->mutex);
		free(counted);
	}
	return NULL;
}

static void test_last_to_unlock_may_free_it(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		struct counted *counted = calloc(1, sizeof(*counted));
		pthread_t threads[2];

		counted->n_users = 3;
		sonde_mutex_init(&counted->mutex, NULL);
		sonde_mutex_lock(&counted->mutex);
		for (size_t j = 0; j < 2; j++)
			pthread_create(&threads[j], NULL, leave_and_free, counted);
		sonde_mutex_unlock(&counted->mutex);
		leave_and_free(counted);
		for (size_t j = 0; j < 2; j++)
			pthread_join(threads[j], NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait_ends_at_its_limit),
		cmocka_unit_test(test_wait_ends_at_the_deadline),
		cmocka_unit_test(test_what_is_free_is_had_past_deadline_and_token),
		cmocka_unit_test(test_fired_token_ends_the_wait),
		cmocka_unit_test(test_slow_wait_is_told_after_a_second_by_default),
		cmocka_unit_test(test_slow_wait_limit_is_the_options),
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test(test_lock_that_comes_at_the_limit_counts),
#endif
		cmocka_unit_test(test_misuse_is_said),
		cmocka_unit_test(test_who_has_it_is_refused_it_again),
		cmocka_unit_test(test_scope_lets_go_at_its_end),
		cmocka_unit_test(test_observer_of_a_stall_may_lock),
		cmocka_unit_test(test_threads_exclude_each_other),
		cmocka_unit_test(test_last_to_unlock_may_free_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
