/* SPDX-License-Identifier: Apache-2.0 */

/* Handlers on a pool: side by side, waited for or not, and never lost. */

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/emitter.h>

struct rig {
	struct sonde_emitter emitter;
	struct sonde_pool pool;
	struct sonde_observer observer;
	pthread_barrier_t barrier;
	sem_t entered;
	sem_t may_leave;
	_Atomic int n_calls;
	_Atomic int n_ends;
	_Atomic int n_orphans;
	uint64_t id;
};

static void hear(void *user, const struct sonde_observation *observation)
{
	struct rig *rig = user;

	if (observation->pattern == SONDE_PATTERN_EMITTER &&
	    observation->what == SONDE_OBSERVED_ORPHAN)
		__atomic_add_fetch(&rig->n_orphans, 1, __ATOMIC_RELAXED);
}

static void count_end(void *user)
{
	__atomic_add_fetch(&((struct rig *)user)->n_ends, 1, __ATOMIC_RELAXED);
}

static void rig_open(struct rig *rig, uint32_t n_threads, uint32_t capacity)
{
	memset(rig, 0, sizeof(*rig));
	rig->observer = (struct sonde_observer){ hear, rig };
	assert_int_equal(sonde_emitter_init(&rig->emitter,
					    &(struct sonde_emitter_options){
						    .observer = &rig->observer }),
			 SONDE_OK);
	assert_int_equal(sonde_pool_init(&rig->pool,
					 &(struct sonde_pool_options){ .threads = n_threads,
								       .capacity = capacity }),
			 SONDE_OK);
	pthread_barrier_init(&rig->barrier, NULL, 3);
	sem_init(&rig->entered, 0, 0);
	sem_init(&rig->may_leave, 0, 0);
}

static void rig_close(struct rig *rig)
{
	sonde_emitter_deinit(&rig->emitter);
	sonde_pool_stop(&rig->pool, UINT64_MAX, NULL);
	sonde_pool_deinit(&rig->pool);
	pthread_barrier_destroy(&rig->barrier);
	sem_destroy(&rig->entered);
	sem_destroy(&rig->may_leave);
}

static uint64_t subscribe(struct rig *rig, sonde_event_fn *handle, bool is_once)
{
	const struct sonde_subscription subscription = {
		.event = "e", .handle = handle, .user = rig, .end = count_end, .is_once = is_once
	};
	uint64_t id = 0;

	assert_int_equal(sonde_emitter_subscribe(&rig->emitter, &subscription, &id), SONDE_OK);
	return id;
}

static const struct sonde_event event = { .name = "e" };

static struct sonde_error *meet(void *user, const struct sonde_event *what)
{
	struct rig *rig = user;

	assert_string_equal(what->name, "e");
	pthread_barrier_wait(&rig->barrier);
	__atomic_add_fetch(&rig->n_calls, 1, __ATOMIC_RELAXED);
	return NULL;
}

static struct sonde_error *count(void *user, const struct sonde_event *what)
{
	(void)what;
	__atomic_add_fetch(&((struct rig *)user)->n_calls, 1, __ATOMIC_RELAXED);
	return NULL;
}

static struct sonde_error *fail_always(void *user, const struct sonde_event *what)
{
	count(user, what);
	return sonde_error_raise(&sonde_conflict, "no");
}

static void test_handlers_run_side_by_side(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, /* n_threads= */ 3, /* capacity= */ 0);
	for (int i = 0; i < 3; i++)
		subscribe(&rig, meet, /* is_once= */ false);
	assert_null(sonde_emitter_emit_on(&rig.emitter, &event, &rig.pool));
	assert_int_equal(rig.n_calls, 3);
	rig_close(&rig);
	assert_int_equal(rig.n_ends, 3);
}

static void test_all_are_waited_for_and_all_errors_returned(void **state)
{
	struct rig rig;
	struct sonde_error *error;

	(void)state;
	rig_open(&rig, /* n_threads= */ 2, /* capacity= */ 0);
	for (int i = 0; i < 40; i++)
		subscribe(&rig, i % 10 ? count : fail_always, /* is_once= */ i % 2);
	error = sonde_emitter_emit_on(&rig.emitter, &event, &rig.pool);
	assert_int_equal(rig.n_calls, 40);
	assert_int_equal(rig.n_ends, 20);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(sonde_error_message(sonde_error_joined(error, i)), "no");
	assert_null(sonde_error_joined(error, 4));
	sonde_error_free(error);
	assert_int_equal(rig.n_orphans, 0);
	assert_int_equal(sonde_emitter_subscriptions(&rig.emitter), 20);
	rig_close(&rig);
}

static void test_what_the_pool_does_not_take_runs_here(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, /* n_threads= */ 1, /* capacity= */ 0);
	sonde_pool_stop(&rig.pool, UINT64_MAX, NULL);
	for (int i = 0; i < 5; i++)
		subscribe(&rig, count, /* is_once= */ false);
	assert_null(sonde_emitter_emit_on(&rig.emitter, &event, &rig.pool));
	assert_int_equal(sonde_emitter_post(&rig.emitter, &event, &rig.pool), 5);
	assert_int_equal(rig.n_calls, 10);
	rig_close(&rig);
}

static struct sonde_error *emit_in_task(void *argument, struct sonde_cancel *cancel,
					void **ret_result)
{
	struct rig *rig = argument;

	(void)cancel;
	(void)ret_result;
	return sonde_emitter_emit_on(&rig->emitter, &event, &rig->pool);
}

static void test_a_task_may_emit_on_its_own_pool(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, /* n_threads= */ 1, /* capacity= */ 4);
	for (int i = 0; i < 10; i++)
		subscribe(&rig, count, /* is_once= */ false);
	assert_null(sonde_pool_run(&rig.pool, emit_in_task, &rig, NULL, NULL));
	assert_int_equal(rig.n_calls, 10);
	rig_close(&rig);
}

static struct sonde_error *hold(void *user, const struct sonde_event *what)
{
	struct rig *rig = user;

	(void)what;
	sem_post(&rig->entered);
	sem_wait(&rig->may_leave);
	__atomic_add_fetch(&rig->n_calls, 1, __ATOMIC_RELAXED);
	return sonde_error_raise(&sonde_conflict, "held");
}

static void test_who_posts_does_not_wait(void **state)
{
	struct rig rig;
	uint64_t held;
	uint64_t queued;

	(void)state;
	rig_open(&rig, /* n_threads= */ 1, /* capacity= */ 0);
	held = subscribe(&rig, hold, /* is_once= */ true);
	queued = subscribe(&rig, count, /* is_once= */ false);
	subscribe(&rig, count, /* is_once= */ true);
	assert_int_equal(sonde_emitter_post(&rig.emitter, &event, &rig.pool), 3);
	sem_wait(&rig.entered);
	/* One runs, and one is queued that is not wanted any more. */
	assert_int_equal(sonde_emitter_unsubscribe(&rig.emitter, held), SONDE_INCOMPLETE);
	assert_int_equal(sonde_emitter_unsubscribe(&rig.emitter, queued), SONDE_INCOMPLETE);
	assert_int_equal(rig.n_ends, 0);
	sem_post(&rig.may_leave);
	assert_true(sonde_emitter_unsubscribe_wait(&rig.emitter, queued, NULL) != SONDE_INCOMPLETE);
	/* The third: deinit would have it not run any more. */
	assert_null(sonde_pool_wait(&rig.pool, UINT64_MAX, NULL));
	rig_close(&rig);
	assert_int_equal(rig.n_calls, 2);
	assert_int_equal(rig.n_ends, 3);
	assert_int_equal(rig.n_orphans, 1);
}

/* What is queued when the pool ends is let go of without being run. */
static void test_a_pool_that_ends_lets_go(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, /* n_threads= */ SONDE_POOL_NO_THREADS, /* capacity= */ 0);
	for (int i = 0; i < 4; i++)
		subscribe(&rig, count, /* is_once= */ i % 2);
	assert_int_equal(sonde_emitter_post(&rig.emitter, &event, &rig.pool), 4);
	assert_true(sonde_pool_turn(&rig.pool));
	sonde_pool_deinit(&rig.pool);
	assert_int_equal(rig.n_calls, 1);
	assert_int_equal(sonde_emitter_subscriptions(&rig.emitter), 2);
	rig_close(&rig);
	assert_int_equal(rig.n_ends, 4);
}

static struct sonde_error *unsubscribe_itself(void *user, const struct sonde_event *what)
{
	struct rig *rig = user;

	/* It would wait for itself. */
	assert_int_equal(sonde_emitter_unsubscribe_wait(&rig->emitter, rig->id, NULL),
			 SONDE_INCOMPLETE);
	assert_int_equal(rig->n_ends, 0);
	return count(user, what);
}

static void test_a_handler_on_the_pool_unsubscribes_itself(void **state)
{
	struct rig rig;

	(void)state;
	for (int posts = 0; posts < 2; posts++) {
		rig_open(&rig, /* n_threads= */ 2, /* capacity= */ 0);
		rig.id = subscribe(&rig, unsubscribe_itself, /* is_once= */ false);
		if (posts)
			assert_int_equal(sonde_emitter_post(&rig.emitter, &event, &rig.pool), 1);
		else
			assert_null(sonde_emitter_emit_on(&rig.emitter, &event, &rig.pool));
		assert_null(sonde_pool_wait(&rig.pool, UINT64_MAX, NULL));
		assert_int_equal(rig.n_calls, 1);
		assert_int_equal(rig.n_ends, 1);
		assert_int_equal(sonde_emitter_subscriptions(&rig.emitter), 0);
		rig_close(&rig);
	}
}

static struct sonde_error *emit_again(void *user, const struct sonde_event *what)
{
	struct rig *rig = user;

	count(user, what);
	return sonde_emitter_emit_on(&rig->emitter, &event, &rig->pool);
}

/* One level each, whether or not the pool takes the handler. */
static void test_depth_counts_emits(void **state)
{
	struct rig rig;
	struct sonde_error *error;

	(void)state;
	rig_open(&rig, /* n_threads= */ 1, /* capacity= */ 0);
	sonde_pool_stop(&rig.pool, UINT64_MAX, NULL);
	subscribe(&rig, emit_again, /* is_once= */ false);
	error = sonde_emitter_emit_on(&rig.emitter, &event, &rig.pool);
	assert_true(sonde_error_is(error, &sonde_exhausted));
	sonde_error_free(error);
	assert_int_equal(rig.n_calls, SONDE_EMITTER_DEPTH_DEFAULT);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handlers_run_side_by_side),
		cmocka_unit_test(test_all_are_waited_for_and_all_errors_returned),
		cmocka_unit_test(test_what_the_pool_does_not_take_runs_here),
		cmocka_unit_test(test_a_task_may_emit_on_its_own_pool),
		cmocka_unit_test(test_who_posts_does_not_wait),
		cmocka_unit_test(test_a_pool_that_ends_lets_go),
		cmocka_unit_test(test_a_handler_on_the_pool_unsubscribes_itself),
		cmocka_unit_test(test_depth_counts_emits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
