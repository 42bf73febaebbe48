/* SPDX-License-Identifier: Apache-2.0 */

/* The emitter among threads that emit, subscribe and unsubscribe at the same time. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sonde/emitter.h>

#define THREADS 4

struct crowd {
	struct sonde_emitter emitter;
	pthread_barrier_t barrier;
	int n_calls;
	int n_emits;
	uint64_t id;
};

static void crowd_run(struct crowd *crowd, void *(*run)(void *), size_t n)
{
	pthread_t threads[THREADS];

	pthread_barrier_init(&crowd->barrier, NULL, (unsigned)n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run, crowd), 0);
	for (size_t i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&crowd->barrier);
}

static struct sonde_error *count(void *user, const struct sonde_event *event)
{
	(void)event;
	__atomic_add_fetch((int *)user, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *emit_together(void *argument)
{
	struct crowd *crowd = argument;

	pthread_barrier_wait(&crowd->barrier);
	for (int i = 0; i < crowd->n_emits; i++)
		sonde_emitter_emit(&crowd->emitter, &(struct sonde_event){ .name = "e" });
	return NULL;
}

static void test_once_is_once_for_all_threads(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		struct crowd crowd = { .n_emits = 3 };
		const struct sonde_subscription once = { .event = "e", .is_once = true,
							 .handle = count, .user = &crowd.n_calls };

		sonde_emitter_init(&crowd.emitter, NULL);
		sonde_emitter_subscribe(&crowd.emitter, &once, NULL);
		sonde_emitter_subscribe(&crowd.emitter, &once, NULL);
		crowd_run(&crowd, emit_together, THREADS);
		assert_int_equal(crowd.n_calls, 2);
		assert_int_equal(sonde_emitter_subscriptions(&crowd.emitter), 0);
		sonde_emitter_deinit(&crowd.emitter);
	}
}

static struct sonde_error *touch(void *user, const struct sonde_event *event)
{
	(void)event;
	*(uint64_t *)user += 1;
	return NULL;
}

/* What its handlers touch is freed as soon as unsubscribe_wait has returned. */
static void *come_and_go(void *argument)
{
	struct crowd *crowd = argument;
	uint64_t id;

	pthread_barrier_wait(&crowd->barrier);
	for (int i = 0; i < 300; i++) {
		uint64_t *memory = calloc(1, sizeof(*memory));
		const struct sonde_subscription subscription = { .event = "f", .handle = touch,
								 .user = memory };

		assert_int_equal(sonde_emitter_subscribe(&crowd->emitter, &subscription, &id),
				 SONDE_OK);
		sonde_emitter_emit(&crowd->emitter, &(struct sonde_event){ .name = "e" });
		assert_int_equal(sonde_emitter_unsubscribe_wait(&crowd->emitter, id, NULL),
				 SONDE_OK);
		free(memory);
	}
	return NULL;
}

/*
 * Emits "f" alone, so that what a subscription of one thread touches is touched by one at a time.
 */
static void *emit_meanwhile(void *argument)
{
	struct crowd *crowd = argument;

	pthread_barrier_wait(&crowd->barrier);
	for (int i = 0; i < 2000; i++)
		sonde_emitter_emit(&crowd->emitter, &(struct sonde_event){ .name = "f" });
	return NULL;
}

static void *come_go_or_emit(void *argument)
{
	struct crowd *crowd = argument;

	if (__atomic_fetch_add(&crowd->n_emits, 1, __ATOMIC_RELAXED) == 0)
		return emit_meanwhile(argument);
	return come_and_go(argument);
}

static void test_waits_until_the_handler_is_out(void **state)
{
	struct crowd crowd = { 0 };

	(void)state;
	sonde_emitter_init(&crowd.emitter, NULL);
	crowd_run(&crowd, come_go_or_emit, THREADS);
	assert_int_equal(sonde_emitter_subscriptions(&crowd.emitter), 0);
	sonde_emitter_deinit(&crowd.emitter);
}

static struct sonde_error *leave_both(void *user, const struct sonde_event *event)
{
	struct crowd *crowd = user;
	const uint64_t *ids = event->data;

	/* Both threads are in their handlers, and each unsubscribes both. */
	pthread_barrier_wait(&crowd->barrier);
	assert_true(sonde_emitter_unsubscribe_wait(&crowd->emitter, ids[0], NULL) != SONDE_OK);
	assert_true(sonde_emitter_unsubscribe_wait(&crowd->emitter, ids[1], NULL) != SONDE_OK);
	pthread_barrier_wait(&crowd->barrier);
	return NULL;
}

struct pair {
	struct crowd crowd;
	uint64_t ids[2];
};

static void *emit_pair(void *argument)
{
	struct pair *pair = argument;
	int which = __atomic_fetch_add(&pair->crowd.n_emits, 1, __ATOMIC_RELAXED);
	const struct sonde_event event = { .name = which ? "one" : "other", .data = pair->ids };

	assert_int_equal(sonde_emitter_emit(&pair->crowd.emitter, &event), 1);
	return NULL;
}

static void test_handlers_that_unsubscribe_each_other_do_not_wait(void **state)
{
	struct pair pair = { .crowd = { .n_emits = 0 } };
	struct sonde_subscription subscription = { .handle = leave_both, .user = &pair.crowd };

	(void)state;
	sonde_emitter_init(&pair.crowd.emitter, NULL);
	subscription.event = "one";
	sonde_emitter_subscribe(&pair.crowd.emitter, &subscription, &pair.ids[0]);
	subscription.event = "other";
	sonde_emitter_subscribe(&pair.crowd.emitter, &subscription, &pair.ids[1]);
	crowd_run(&pair.crowd, emit_pair, 2);
	assert_int_equal(sonde_emitter_subscriptions(&pair.crowd.emitter), 0);
	sonde_emitter_deinit(&pair.crowd.emitter);
}

static struct sonde_error *stay(void *user, const struct sonde_event *event)
{
	struct crowd *crowd = user;

	(void)event;
	pthread_barrier_wait(&crowd->barrier);
	pthread_barrier_wait(&crowd->barrier);
	return NULL;
}

static void *stay_or_leave(void *argument)
{
	struct crowd *crowd = argument;
	struct sonde_cancel cancel;

	if (__atomic_fetch_add(&crowd->n_emits, 1, __ATOMIC_RELAXED) == 0) {
		sonde_emitter_emit(&crowd->emitter, &(struct sonde_event){ .name = "e" });
		return NULL;
	}
	pthread_barrier_wait(&crowd->barrier);
	sonde_cancel_init(&cancel, NULL);
	sonde_cancel_fire(&cancel, "no time");
	assert_int_equal(sonde_emitter_unsubscribe_wait(&crowd->emitter, crowd->id, &cancel),
			 SONDE_INCOMPLETE);
	assert_int_equal(sonde_emitter_unsubscribe(&crowd->emitter, crowd->id), SONDE_INCOMPLETE);
	sonde_cancel_deinit(&cancel);
	pthread_barrier_wait(&crowd->barrier);
	return NULL;
}

static void test_a_wait_can_be_cancelled(void **state)
{
	struct crowd crowd = { 0 };
	const struct sonde_subscription subscription = { .event = "e", .handle = stay,
							 .user = &crowd };

	(void)state;
	sonde_emitter_init(&crowd.emitter, NULL);
	sonde_emitter_subscribe(&crowd.emitter, &subscription, &crowd.id);
	crowd_run(&crowd, stay_or_leave, 2);
	assert_int_equal(sonde_emitter_unsubscribe_wait(&crowd.emitter, crowd.id, NULL),
			 SONDE_E_NOT_FOUND);
	sonde_emitter_deinit(&crowd.emitter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once_is_once_for_all_threads),
		cmocka_unit_test(test_waits_until_the_handler_is_out),
		cmocka_unit_test(test_handlers_that_unsubscribe_each_other_do_not_wait),
		cmocka_unit_test(test_a_wait_can_be_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
