/* SPDX-License-Identifier: Apache-2.0 */

/* Streams between threads: all items, in order, once; the error behind them; leaving early. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/context.h>
#include <sonde/stream.h>

#define N_ITEMS 5000
#define N_PRODUCERS 3

static void *item_of(uintptr_t number)
{
	return (void *)number;
}

static struct sonde_error *count_up(struct sonde_stream *stream, void *argument)
{
	const uintptr_t n = (uintptr_t)argument;

	for (uintptr_t i = 1; i <= n; i++) {
		struct sonde_error *error = sonde_stream_push(stream, item_of(i), NULL);

		if (error)
			return error;
	}
	return sonde_error_raise(&sonde_external_service, "no more than %zu", (size_t)n);
}

static void all_items_in_order_and_then_the_error(void **state)
{
	SONDE_STREAM_AUTODEINIT struct sonde_stream stream;
	const struct sonde_stream_options options = { .capacity = 3 };
	struct sonde_error *error;
	uintptr_t n = 0;
	void *item;

	(void)state;
	assert_int_equal(sonde_stream_init(&stream, &options), SONDE_OK);
	assert_int_equal(sonde_stream_start(&stream, count_up, (void *)(uintptr_t)N_ITEMS),
			 SONDE_OK);
	assert_int_equal(sonde_stream_start(&stream, count_up, NULL), SONDE_E_EXISTS);
	while (!(error = sonde_stream_next(&stream, /* cancel= */ NULL, &item)) && item)
		assert_int_equal((uintptr_t)item, ++n);
	assert_int_equal(n, N_ITEMS);
	assert_true(sonde_error_is(error, &sonde_external_service));
	sonde_error_free(error);
	assert_null(sonde_stream_next(&stream, /* cancel= */ NULL, &item));
	assert_null(item);
}

static void chunks_have_them_all(void **state)
{
	SONDE_STREAM_AUTODEINIT struct sonde_stream stream;
	struct sonde_error *error;
	void *items[7];
	uintptr_t at = 0;
	size_t n;

	(void)state;
	assert_int_equal(sonde_stream_init(&stream, /* options= */ NULL), SONDE_OK);
	assert_int_equal(sonde_stream_start(&stream, count_up, (void *)(uintptr_t)N_ITEMS),
			 SONDE_OK);
	while (!(error = sonde_stream_next_chunk(&stream, items, 7, UINT64_MAX, NULL, &n)) && n) {
		for (size_t i = 0; i < n; i++)
			assert_int_equal((uintptr_t)items[i], ++at);
		/* Only the last is not full. */
		assert_true(n == 7 || at == N_ITEMS);
	}
	assert_int_equal(at, N_ITEMS);
	sonde_error_free(error);
}

/* ---- Leaving --------------------------------------------------------------------------------- */

struct told {
	_Atomic int n_orphans;
	_Atomic uint64_t n_dropped;
	_Atomic uint64_t n_released;
	_Atomic int n_returned;
	const struct sonde_error_type *returns;
	const struct sonde_error_type *got; /* By the producer, from its push. */
};

static void observe(void *user, const struct sonde_observation *observation)
{
	struct told *told = user;

	if (observation->what == SONDE_OBSERVED_ORPHAN)
		atomic_fetch_add(&told->n_orphans, 1);
	if (observation->what == SONDE_OBSERVED_DROP)
		atomic_fetch_add(&told->n_dropped, observation->count);
}

static void release(void *user, void *item)
{
	struct told *told = user;

	assert_non_null(item);
	atomic_fetch_add(&told->n_released, 1);
}

static struct sonde_error *push_for_ever(struct sonde_stream *stream, void *argument)
{
	struct told *told = argument;
	struct sonde_error *error = NULL;

	for (uintptr_t i = 1; !error; i++)
		error = sonde_stream_push(stream, item_of(i), NULL);
	told->got = sonde_error_type_of(error);
	atomic_fetch_add(&told->n_returned, 1);
	if (!told->returns)
		return error;
	return sonde_error_wrap(error, told->returns, "and therefore");
}

static void leave_early(struct told *told)
{
	const struct sonde_observer observer = { observe, told };
	const struct sonde_stream_options options = {
		.capacity = 4, .release = release, .user = told, .observer = &observer
	};
	struct sonde_stream stream;
	void *item;

	assert_int_equal(sonde_stream_init(&stream, &options), SONDE_OK);
	assert_int_equal(sonde_stream_start(&stream, push_for_ever, told), SONDE_OK);
	for (uintptr_t i = 1; i <= 10; i++) {
		assert_null(sonde_stream_next(&stream, /* cancel= */ NULL, &item));
		assert_int_equal((uintptr_t)item, i);
	}
	sonde_stream_deinit(&stream);
	assert_int_equal(atomic_load(&told->n_returned), 1);
	assert_ptr_equal(told->got, &sonde_closed);
	assert_int_equal(atomic_load(&told->n_released), atomic_load(&told->n_dropped));
}

static void who_leaves_early_ends_the_producer(void **state)
{
	struct told told = { .returns = NULL };

	(void)state;
	leave_early(&told);
	/* That it was closed is no news to anybody. */
	assert_int_equal(atomic_load(&told.n_orphans), 0);
}

static void an_error_after_the_consumer_left_is_an_orphan(void **state)
{
	struct told told = { .returns = &sonde_external_service };

	(void)state;
	leave_early(&told);
	assert_int_equal(atomic_load(&told.n_orphans), 1);
}

static struct sonde_error *wait_for_the_token(struct sonde_stream *stream, void *argument)
{
	struct sonde_queue *queue = argument;
	void *item;

	return sonde_queue_pop(queue, UINT64_MAX, sonde_stream_cancel(stream), &item);
}

static void the_token_wakes_a_producer_that_waits_elsewhere(void **state)
{
	SONDE_QUEUE_AUTODEINIT struct sonde_queue queue;
	struct sonde_stream stream;

	(void)state;
	assert_int_equal(sonde_queue_init(&queue, /* options= */ NULL), SONDE_OK);
	assert_int_equal(sonde_stream_init(&stream, /* options= */ NULL), SONDE_OK);
	assert_int_equal(sonde_stream_start(&stream, wait_for_the_token, &queue), SONDE_OK);
	sonde_stream_deinit(&stream); /* Would wait for ever. */
}

/* ---- Several producers, and the context ------------------------------------------------------ */

struct fan_in {
	struct sonde_stream stream;
	_Atomic int n_left;
};

static void *produce_some(void *argument)
{
	struct fan_in *fan_in = argument;

	for (uintptr_t i = 1; i <= N_ITEMS; i++) {
		struct sonde_error *error = sonde_stream_push(&fan_in->stream, item_of(i), NULL);

		assert_null(error);
	}
	if (atomic_fetch_sub(&fan_in->n_left, 1) == 1)
		sonde_stream_end(&fan_in->stream, /* error= */ NULL);
	return NULL;
}

static void several_threads_may_push(void **state)
{
	static struct fan_in fan_in;
	pthread_t threads[N_PRODUCERS];
	uintptr_t sum = 0;
	void *item;

	(void)state;
	atomic_store(&fan_in.n_left, N_PRODUCERS);
	assert_int_equal(sonde_stream_init(&fan_in.stream, /* options= */ NULL), SONDE_OK);
	for (int i = 0; i < N_PRODUCERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, produce_some, &fan_in), 0);
	while (!sonde_stream_next(&fan_in.stream, /* cancel= */ NULL, &item) && item)
		sum += (uintptr_t)item;
	for (int i = 0; i < N_PRODUCERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(sum, (uintptr_t)N_PRODUCERS * N_ITEMS * (N_ITEMS + 1) / 2);
	sonde_stream_deinit(&fan_in.stream);
}

static struct sonde_error *look_at_the_context(struct sonde_stream *stream, void *argument)
{
	(void)stream;
	*(struct sonde_context *)argument = sonde_context_current();
	return NULL;
}

static void the_thread_works_in_the_starters_context(void **state)
{
	const struct sonde_context remote = { { 1 }, { 2 }, 1, true, { 0 }, { 0 } };
	struct sonde_context seen;
	struct sonde_stream stream;
	void *item;

	(void)state;
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(sonde_stream_init(&stream, /* options= */ NULL), SONDE_OK);
	{
		SONDE_CONTEXT_SCOPE(&remote);
		assert_int_equal(sonde_stream_start(&stream, look_at_the_context, &seen), SONDE_OK);
	}
	assert_null(sonde_stream_next(&stream, /* cancel= */ NULL, &item));
	assert_null(item);
	sonde_stream_deinit(&stream);
	assert_memory_equal(seen.trace_id, remote.trace_id, sizeof(seen.trace_id));
	assert_memory_equal(seen.span_id, remote.span_id, sizeof(seen.span_id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_items_in_order_and_then_the_error),
		cmocka_unit_test(chunks_have_them_all),
		cmocka_unit_test(who_leaves_early_ends_the_producer),
		cmocka_unit_test(an_error_after_the_consumer_left_is_an_orphan),
		cmocka_unit_test(the_token_wakes_a_producer_that_waits_elsewhere),
		cmocka_unit_test(several_threads_may_push),
		cmocka_unit_test(the_thread_works_in_the_starters_context),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
