/* SPDX-License-Identifier: Apache-2.0 */

/* The batcher with threads of its own, among threads that add. */

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/batcher.h>

#define THREADS 4
#define ITEMS 400
#define KEYS 6

struct service {
	struct sonde_batcher batcher;
	pthread_barrier_t barrier;
	_Atomic uint32_t next_thread;
	_Atomic uint32_t is_handling[KEYS]; /* By key. */
	uint64_t last[KEYS][THREADS]; /* Of each thread, the newest that was handled. */
	_Atomic uint64_t n_values;
	_Atomic uint64_t n_released;
	_Atomic uint64_t n_refused;
	sem_t entered;
	sem_t may_leave;
};

/* A value says who added it, and as which of his: thread << 32 | number from 1 on. */
static struct sonde_error *handle(void *user, struct sonde_batcher_batch *batch)
{
	struct service *service = user;

	/* Never twice at once for one key. */
	assert_int_equal(
		__atomic_exchange_n(&service->is_handling[batch->key], 1, __ATOMIC_ACQUIRE), 0);
	for (size_t i = 0; i < batch->n_items; i++) {
		struct sonde_batcher_item *item = &batch->items[i];
		uint64_t value = (uintptr_t)item->value;

		assert_true(service->last[batch->key][value >> 32] < (uint32_t)value);
		service->last[batch->key][value >> 32] = (uint32_t)value;
		item->result = item->value;
		if (value % 7 == 0)
			item->error = sonde_error_raise(&sonde_conflict, "%u", (unsigned)value);
	}
	__atomic_add_fetch(&service->n_values, batch->n_items, __ATOMIC_RELAXED);
	__atomic_store_n(&service->is_handling[batch->key], 0, __ATOMIC_RELEASE);
	return batch->n_items % 5 ? NULL : sonde_error_raise(&sonde_unavailable, "a fifth");
}

static void release(void *user, void *value, const struct sonde_error *why)
{
	struct service *service = user;

	(void)value;
	assert_non_null(why);
	__atomic_add_fetch(&service->n_released, 1, __ATOMIC_RELAXED);
}

static void ask(struct service *service, const struct sonde_batcher_item *item)
{
	void *result = NULL;
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		sonde_batcher_run(&service->batcher, item, NULL, &result);

	if (!error)
		assert_ptr_equal(result, item->value);
	else if (sonde_error_is(error, &sonde_conflict))
		assert_int_equal(strtoul(sonde_error_message(error), NULL, 10),
				 (uint32_t)(uintptr_t)item->value);
	else
		assert_true(sonde_error_is(error, &sonde_unavailable));
}

static void *add_all(void *argument)
{
	struct service *service = argument;
	uint64_t thread = __atomic_fetch_add(&service->next_thread, 1, __ATOMIC_RELAXED);

	pthread_barrier_wait(&service->barrier);
	for (uint64_t i = 1; i <= ITEMS; i++) {
		const struct sonde_batcher_item item = {
			.value = (void *)(uintptr_t)(thread << 32 | i),
			.key = i % KEYS,
			.n_bytes = i,
		};

		if (i % 50 == 0) {
			sonde_batcher_flush(&service->batcher);
			ask(service, &item);
		} else {
			SONDE_ERROR_AUTOFREE struct sonde_error *error =
				sonde_batcher_add(&service->batcher, &item, NULL, NULL);

			if (error)
				__atomic_add_fetch(&service->n_refused, 1, __ATOMIC_RELAXED);
		}
	}
	return NULL;
}

static void crowd_run(struct service *service, void *(*run)(void *))
{
	pthread_t threads[THREADS];

	pthread_barrier_init(&service->barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run, service), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&service->barrier);
}

static void all_is_handled(struct sonde_batcher_options options)
{
	struct service service = { .n_values = 0 };
	struct sonde_batcher_figures figures;

	options.handle = handle;
	options.user = &service;
	options.release = release;
	options.max_items = 10;
	options.delay_ms = 5;
	options.max_waiting = 40;
	assert_int_equal(sonde_batcher_init(&service.batcher, &options), SONDE_OK);
	crowd_run(&service, add_all);
	assert_null(sonde_batcher_stop(&service.batcher, /* timeout_ms= */ UINT64_MAX, NULL));
	sonde_batcher_figures(&service.batcher, &figures);
	assert_int_equal(figures.n_added, THREADS * ITEMS);
	assert_int_equal(figures.n_handled, service.n_values);
	assert_int_equal(figures.n_rejected, service.n_refused);
	assert_int_equal(figures.n_dropped + figures.n_cancelled, service.n_released);
	assert_int_equal(figures.n_added, figures.n_handled + figures.n_rejected +
						  figures.n_dropped + figures.n_cancelled);
	if (options.policy == SONDE_BATCHER_WAIT)
		assert_int_equal(figures.n_handled, THREADS * ITEMS);
	sonde_batcher_deinit(&service.batcher);
}

static void test_all_is_handled_in_order(void **state)
{
	(void)state;
	all_is_handled((struct sonde_batcher_options){ .max_keys = 3 });
	all_is_handled((struct sonde_batcher_options){ .max_keys = 3, .concurrency = 4,
						       .max_bytes = 1000 });
}

static void test_all_is_handled_on_a_pool(void **state)
{
	struct sonde_pool pool;

	(void)state;
	/* A queue of one: what the pool does not take is handled all the same. */
	for (uint32_t capacity = 1; capacity <= 16; capacity += 15) {
		assert_int_equal(sonde_pool_init(&pool,
						 &(struct sonde_pool_options){
							 .threads = 3, .capacity = capacity }),
				 SONDE_OK);
		all_is_handled((struct sonde_batcher_options){ .max_keys = 3, .concurrency = 4,
							       .pool = &pool });
		assert_int_equal(sonde_pool_stop(&pool, UINT64_MAX, NULL), SONDE_OK);
		sonde_pool_deinit(&pool);
	}
}

/* A batch that the pool has when it ends fails, and its items are told. */
static void test_a_pool_that_ends_fails_its_batches(void **state)
{
	struct service service = { .n_values = 0 };
	struct sonde_pool pool;
	struct sonde_batcher_ticket ticket;
	struct sonde_error *error;
	struct sonde_pool_figures figures;
	const struct sonde_batcher_item item = { .value = (void *)1 };

	(void)state;
	assert_int_equal(sonde_pool_init(&pool, &(struct sonde_pool_options){
							.threads = SONDE_POOL_NO_THREADS }),
			 SONDE_OK);
	assert_int_equal(sonde_batcher_init(&service.batcher,
					    &(struct sonde_batcher_options){
						    .handle = handle, .user = &service,
						    .pool = &pool }),
			 SONDE_OK);
	assert_null(sonde_batcher_add(&service.batcher, &item, &ticket, NULL));
	sonde_batcher_flush(&service.batcher);
	do
		sonde_pool_figures(&pool, &figures);
	while (!figures.queued);
	error = sonde_batcher_stop(&service.batcher, /* timeout_ms= */ 10, NULL);
	assert_true(sonde_error_is(error, &sonde_timeout));
	sonde_error_free(error);
	sonde_pool_deinit(&pool);
	error = sonde_batcher_ticket_wait(&ticket, NULL, NULL);
	assert_true(sonde_error_is(error, &sonde_closed));
	assert_int_equal(service.n_values, 0);
	sonde_error_free(error);
	sonde_batcher_ticket_deinit(&ticket);
	sonde_batcher_deinit(&service.batcher);
}

/* Who adds waits for nobody; who asks may be told that it was dropped. */
static void *add_some(void *argument)
{
	struct service *service = argument;
	uint64_t thread = __atomic_fetch_add(&service->next_thread, 1, __ATOMIC_RELAXED);

	pthread_barrier_wait(&service->barrier);
	for (uint64_t i = 1; i <= ITEMS; i++) {
		SONDE_BATCHER_TICKET_AUTODEINIT struct sonde_batcher_ticket ticket;
		const struct sonde_batcher_item item = {
			.value = (void *)(uintptr_t)(thread << 32 | i), .key = i % KEYS
		};
		SONDE_ERROR_AUTOFREE struct sonde_error *error =
			sonde_batcher_add(&service->batcher, &item, &ticket, NULL);

		if (error)
			__atomic_add_fetch(&service->n_refused, 1, __ATOMIC_RELAXED);
		else if (i % 3 == 0)
			sonde_batcher_ticket_cancel(&ticket);
	}
	return NULL;
}

static void all_is_accounted_for(enum sonde_batcher_policy policy)
{
	struct service service = { .n_values = 0 };
	struct sonde_batcher_figures figures;
	const struct sonde_batcher_options options = {
		.handle = handle, .user = &service, .release = release, .max_items = 5,
		.delay_ms = 1, .max_waiting = 12, .policy = policy, .concurrency = 2
	};

	assert_int_equal(sonde_batcher_init(&service.batcher, &options), SONDE_OK);
	crowd_run(&service, add_some);
	assert_null(sonde_batcher_stop(&service.batcher, /* timeout_ms= */ UINT64_MAX, NULL));
	sonde_batcher_figures(&service.batcher, &figures);
	assert_int_equal(figures.n_added, THREADS * ITEMS);
	assert_int_equal(figures.n_rejected, service.n_refused);
	assert_int_equal(figures.n_handled, service.n_values);
	assert_int_equal(figures.n_dropped + figures.n_cancelled, service.n_released);
	assert_int_equal(figures.n_added, figures.n_handled + figures.n_rejected +
						  figures.n_dropped + figures.n_cancelled);
	sonde_batcher_deinit(&service.batcher);
}

static void test_all_is_accounted_for(void **state)
{
	(void)state;
	all_is_accounted_for(SONDE_BATCHER_REJECT);
	all_is_accounted_for(SONDE_BATCHER_DROP_OLDEST);
	all_is_accounted_for(SONDE_BATCHER_WAIT);
}

static struct sonde_error *handle_slowly(void *user, struct sonde_batcher_batch *batch)
{
	struct service *service = user;

	(void)batch;
	sem_post(&service->entered);
	sem_wait(&service->may_leave);
	return NULL;
}

static void *wait_for_room(void *argument)
{
	struct service *service = argument;
	const struct sonde_batcher_item item = { .key = 0 };
	struct sonde_error *error;

	sem_post(&service->entered);
	error = sonde_batcher_add(&service->batcher, &item, NULL, NULL);
	assert_true(sonde_error_is(error, &sonde_closed));
	sonde_error_free(error);
	return NULL;
}

/* A handler that hangs: stop keeps its limit, and who waits for room is told. */
static void test_stop_keeps_its_limit(void **state)
{
	struct service service = { .n_values = 0 };
	struct sonde_batcher_ticket tickets[3];
	struct sonde_error *error;
	pthread_t thread;
	const struct sonde_batcher_item item = { .key = 0 };
	const struct sonde_batcher_options options = { .handle = handle_slowly, .user = &service,
						       .max_items = 1, .max_waiting = 2 };

	(void)state;
	sem_init(&service.entered, 0, 0);
	sem_init(&service.may_leave, 0, 0);
	assert_int_equal(sonde_batcher_init(&service.batcher, &options), SONDE_OK);
	assert_null(sonde_batcher_add(&service.batcher, &item, &tickets[0], NULL));
	sem_wait(&service.entered);
	for (int i = 1; i < 3; i++)
		assert_null(sonde_batcher_add(&service.batcher, &item, &tickets[i], NULL));
	pthread_create(&thread, NULL, wait_for_room, &service);
	sem_wait(&service.entered);
	error = sonde_batcher_stop(&service.batcher, /* timeout_ms= */ 20, NULL);
	assert_true(sonde_error_is(error, &sonde_timeout));
	sonde_error_free(error);
	pthread_join(thread, NULL);
	for (int i = 1; i < 3; i++) {
		error = sonde_batcher_ticket_wait(&tickets[i], NULL, NULL);
		assert_true(sonde_error_is(error, &sonde_closed));
		sonde_error_free(error);
	}
	assert_false(sonde_batcher_ticket_is_done(&tickets[0]));
	sem_post(&service.may_leave);
	assert_null(sonde_batcher_ticket_wait(&tickets[0], NULL, NULL));
	sonde_batcher_deinit(&service.batcher);
	for (int i = 0; i < 3; i++)
		sonde_batcher_ticket_deinit(&tickets[i]);
	sem_destroy(&service.entered);
	sem_destroy(&service.may_leave);
}

struct asker {
	struct sonde_batcher_ticket ticket;
	struct sonde_cancel cancel;
	sem_t begun;
};

static void *wait_for_outcome(void *argument)
{
	struct asker *asker = argument;
	struct sonde_error *error;

	sem_post(&asker->begun);
	error = sonde_batcher_ticket_wait(&asker->ticket, &asker->cancel, NULL);
	assert_true(sonde_error_is(error, &sonde_closed));
	sonde_error_free(error);
	return NULL;
}

/* Its memory cannot be touched from the deinit on: a fault would say who does. */
static void batcher_goes_while_asked(void)
{
	struct sonde_batcher *batcher = mmap(NULL, sizeof(*batcher), PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct sonde_batcher_item item = { .key = 0 };
	struct asker asker;
	pthread_t thread;

	assert_true(batcher != MAP_FAILED);
	assert_int_equal(sonde_batcher_init(batcher, NULL), SONDE_OK);
	assert_null(sonde_batcher_add(batcher, &item, &asker.ticket, NULL));
	sem_init(&asker.begun, 0, 0);
	sonde_cancel_init(&asker.cancel, NULL);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_outcome, &asker), 0);
	sem_wait(&asker.begun);
	sonde_batcher_deinit(batcher);
	assert_int_equal(mprotect(batcher, sizeof(*batcher), PROT_NONE), 0);
	pthread_join(thread, NULL);
	assert_true(sonde_batcher_ticket_is_done(&asker.ticket));
	sonde_batcher_ticket_deinit(&asker.ticket);
	sonde_cancel_deinit(&asker.cancel);
	sem_destroy(&asker.begun);
	munmap(batcher, sizeof(*batcher));
}

static void test_who_waits_for_a_ticket_outlives_the_batcher(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++)
		batcher_goes_while_asked();
}

static void test_a_forked_child_lets_go_of_it(void **state)
{
	struct service service = { .n_values = 0 };
	const struct sonde_batcher_options options = { .handle = handle, .user = &service,
						       .concurrency = 3 };
	const struct sonde_batcher_item item = { .value = (void *)1 };
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(sonde_batcher_init(&service.batcher, &options), SONDE_OK);
	assert_null(sonde_batcher_add(&service.batcher, &item, NULL, NULL));
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		sonde_batcher_deinit(&service.batcher);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_null(sonde_batcher_stop(&service.batcher, /* timeout_ms= */ UINT64_MAX, NULL));
	assert_int_equal(service.n_values, 1);
	sonde_batcher_deinit(&service.batcher);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_is_handled_in_order),
		cmocka_unit_test(test_all_is_handled_on_a_pool),
		cmocka_unit_test(test_a_pool_that_ends_fails_its_batches),
		cmocka_unit_test(test_all_is_accounted_for),
		cmocka_unit_test(test_stop_keeps_its_limit),
		cmocka_unit_test(test_who_waits_for_a_ticket_outlives_the_batcher),
		cmocka_unit_test(test_a_forked_child_lets_go_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
