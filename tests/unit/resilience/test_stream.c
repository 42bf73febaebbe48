/* SPDX-License-Identifier: Apache-2.0 */

/* Streams: their defaults, their span, their edges. */

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/deadline.h>
#include <sonde/stream.h>

#include "resilience/stream.h"
#include "support/virtual_clock.h"

static void *item_of(uintptr_t number)
{
	return (void *)number;
}

/* ---- Defaults -------------------------------------------------------------------------------- */

static void sixteen_items_by_default(void **state)
{
	SONDE_STREAM_AUTODEINIT struct sonde_stream stream;

	(void)state;
	assert_int_equal(sonde_stream_init(&stream, /* options= */ NULL), SONDE_OK);
	for (uintptr_t i = 1; i <= 16; i++)
		assert_int_equal(sonde_stream_try_push(&stream, item_of(i)), SONDE_OK);
	assert_int_equal(sonde_stream_try_push(&stream, item_of(17)), SONDE_E_LIMITED);
}

static void items_may_take_any_time_by_default(void **state)
{
	struct virtual_clock time;
	struct sonde_stream_options options = { .clock = &time.clock };
	struct sonde_deadline deadline;
	struct sonde_error *error;
	struct sonde_stream stream;
	void *item;

	(void)state;
	virtual_clock_init(&time, SECOND);
	assert_int_equal(sonde_stream_init(&stream, &options), SONDE_OK);
	sonde_deadline_begin(&deadline, 365 * 86400 * UINT64_C(1000), &time.clock);
	error = sonde_stream_next(&stream, /* cancel= */ NULL, &item);
	sonde_deadline_end(&deadline);
	assert_true(sonde_error_is(error, &sonde_timeout));
	assert_int_equal(time.waited_ns, 365 * 86400 * SECOND);
	sonde_error_free(error);
	sonde_stream_deinit(&stream);
}

static uint64_t n_waits_told;

/* Time passes, and the consumer takes an item: from inside the producer's wait. */
struct slow_world {
	struct sonde_stream stream;
	struct virtual_clock time;
	struct sonde_clock clock;
	uint64_t takes_ns;
};

static uint64_t slow_now_ns(void *user)
{
	return ((const struct slow_world *)user)->time.now_ns;
}

static void slow_wait(void *user, uint64_t until_ns)
{
	struct slow_world *world = user;
	void *item;

	(void)until_ns;
	world->time.now_ns += world->takes_ns;
	assert_int_equal(sonde_stream_try_next(&world->stream, &item), SONDE_OK);
}

static void count_waits(void *user, const struct sonde_observation *observation)
{
	(void)user;
	if (observation->what == SONDE_OBSERVED_WAIT)
		n_waits_told++;
}

static void push_slowly(uint64_t takes_ns)
{
	static const struct sonde_observer observer = { count_waits, NULL };
	struct slow_world world = { .takes_ns = takes_ns };
	struct sonde_stream_options options = { .capacity = 1, .observer = &observer };

	virtual_clock_init(&world.time, SECOND);
	world.clock = (struct sonde_clock){ slow_now_ns, slow_wait, &world };
	options.clock = &world.clock;
	assert_int_equal(sonde_stream_init(&world.stream, &options), SONDE_OK);
	assert_null(sonde_stream_push(&world.stream, item_of(1), /* cancel= */ NULL));
	assert_null(sonde_stream_push(&world.stream, item_of(2), /* cancel= */ NULL));
	sonde_stream_deinit(&world.stream);
}

static void pushes_are_slow_from_10_ms_on_by_default(void **state)
{
	(void)state;
	n_waits_told = 0;
	push_slowly(10 * MS - 1);
	assert_int_equal(n_waits_told, 0);
	push_slowly(10 * MS);
	assert_int_equal(n_waits_told, 1);
}

/* ---- The span -------------------------------------------------------------------------------- */

static struct {
	int n_begun;
	int n_progress;
	int n_ended;
	struct sonde__stream_figures last;
	bool had_error;
} told;

static void tell_begin(uint64_t room[SONDE__STREAM_ROOM], const char *name)
{
	assert_int_equal(room[0], 0);
	assert_int_equal(room[SONDE__STREAM_ROOM - 1], 0);
	assert_string_equal(name, "rows");
	memset(room, 0x5a, SONDE__STREAM_ROOM * sizeof(room[0]));
	told.n_begun++;
}

static void tell_progress(uint64_t room[SONDE__STREAM_ROOM],
			  const struct sonde__stream_figures *figures)
{
	assert_int_equal(room[SONDE__STREAM_ROOM - 1], UINT64_C(0x5a5a5a5a5a5a5a5a));
	told.last = *figures;
	told.n_progress++;
}

static void tell_end(uint64_t room[SONDE__STREAM_ROOM], const struct sonde__stream_figures *figures)
{
	assert_int_equal(room[0], UINT64_C(0x5a5a5a5a5a5a5a5a));
	told.last = *figures;
	told.had_error = figures->error != NULL;
	told.n_ended++;
}

static const struct sonde__stream_telemetry telemetry = { tell_begin, tell_progress, tell_end };

static uint64_t size_of(void *user, const void *item)
{
	(void)user;
	return (uintptr_t)item;
}

static void the_span_has_progress_items_and_bytes(void **state)
{
	struct virtual_clock time;
	struct sonde_stream_options options = {
		.name = "rows", .clock = &time.clock, .size_of = size_of
	};
	struct sonde_stream stream;
	struct sonde_error *error;
	void *item;

	(void)state;
	memset(&told, 0, sizeof(told));
	sonde__stream_telemetry_install(&telemetry);
	virtual_clock_init(&time, SECOND);
	assert_int_equal(sonde_stream_init(&stream, &options), SONDE_OK);
	assert_int_equal(told.n_begun, 1);
	/* At 1 s, 3 s, 7 s and 15 s: each time twice as long, by default from 1 s on. */
	for (int i = 0; i < 200; i++) {
		assert_int_equal(sonde_stream_try_push(&stream, item_of(10)), SONDE_OK);
		time.now_ns += 100 * MS;
		assert_null(sonde_stream_next(&stream, /* cancel= */ NULL, &item));
		if (i == 8)
			assert_int_equal(told.n_progress, 0);
		if (i == 9)
			assert_int_equal(told.n_progress, 1);
	}
	assert_int_equal(told.n_progress, 4);
	assert_int_equal(told.last.n_items, 150);
	assert_int_equal(told.last.n_bytes, 1500);
	sonde_stream_end(&stream, sonde_error_raise(&sonde_external_service, "gone"));
	assert_int_equal(told.n_ended, 0);
	error = sonde_stream_next(&stream, /* cancel= */ NULL, &item);
	assert_true(sonde_error_is(error, &sonde_external_service));
	sonde_error_free(error);
	assert_int_equal(told.n_ended, 1);
	assert_string_equal(told.last.outcome, "failed");
	assert_true(told.had_error);
	assert_int_equal(told.last.n_items, 200);
	assert_null(sonde_stream_next(&stream, /* cancel= */ NULL, &item));
	assert_null(item);
	sonde_stream_deinit(&stream);
	assert_int_equal(told.n_ended, 1);
	sonde__stream_telemetry_install(/* telemetry= */ NULL);
}

static void a_stream_without_anybody_to_tell_has_no_span(void **state)
{
	struct sonde_stream stream;

	(void)state;
	memset(&told, 0, sizeof(told));
	assert_int_equal(sonde_stream_init(&stream, /* options= */ NULL), SONDE_OK);
	/* It began with nobody there, and so it ends. */
	sonde__stream_telemetry_install(&telemetry);
	sonde_stream_deinit(&stream);
	sonde__stream_telemetry_install(/* telemetry= */ NULL);
	assert_int_equal(told.n_begun + told.n_ended, 0);
}

/* ---- Edges ----------------------------------------------------------------------------------- */

static void nonsense_is_refused(void **state)
{
	const struct sonde_stream_options huge = { .capacity = SIZE_MAX };
	struct sonde_stream stream;
	struct sonde_stream zero;
	struct sonde_error *error;
	void *items[1];
	void *item;
	size_t n;

	(void)state;
	assert_int_equal(sonde_stream_init(/* stream= */ NULL, /* options= */ NULL),
			 SONDE_E_INVALID);
	assert_int_equal(sonde_stream_init(&stream, &huge), SONDE_E_INVALID);
	assert_int_equal(sonde_stream_init(&stream, /* options= */ NULL), SONDE_OK);
	assert_int_equal(sonde_stream_try_push(&stream, /* item= */ NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_stream_try_next(&stream, /* ret= */ NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_stream_start(&stream, /* producer= */ NULL, NULL), SONDE_E_INVALID);
	error = sonde_stream_push(&stream, /* item= */ NULL, /* cancel= */ NULL);
	assert_true(sonde_error_is(error, &sonde_internal));
	sonde_error_free(error);
	error = sonde_stream_next_chunk(&stream, items, /* capacity= */ 0, 0, NULL, &n);
	assert_true(sonde_error_is(error, &sonde_internal));
	sonde_error_free(error);
	sonde_stream_deinit(&stream);
	sonde_stream_deinit(&stream);
	memset(&zero, 0, sizeof(zero));
	sonde_stream_deinit(&zero);
	sonde_stream_deinit(NULL);
	sonde_stream_leave(NULL);
	sonde_stream_report(NULL, sonde_error_raise(&sonde_internal, "freed all the same"));
	sonde_stream_end(NULL, sonde_error_raise(&sonde_internal, "freed all the same"));
	assert_null(sonde_stream_cancel(NULL));
	assert_null(sonde_stream_error(NULL));
	error = sonde_stream_next(NULL, NULL, &item);
	assert_true(sonde_error_is(error, &sonde_internal));
	sonde_error_free(error);
}

static void a_fired_token_ends_pulls_and_pushes(void **state)
{
	SONDE_STREAM_AUTODEINIT struct sonde_stream stream;
	SONDE_CANCEL_AUTODEINIT struct sonde_cancel cancel;
	struct sonde_error *error;
	void *item = &stream;

	(void)state;
	assert_int_equal(sonde_stream_init(&stream, /* options= */ NULL), SONDE_OK);
	sonde_cancel_init(&cancel, /* parent= */ NULL);
	sonde_cancel_fire(&cancel, "enough");
	error = sonde_stream_next(&stream, &cancel, &item);
	assert_true(sonde_error_is(error, &sonde_cancelled));
	assert_ptr_equal(item, &stream);
	sonde_error_free(error);
	error = sonde_stream_push(&stream, item_of(1), &cancel);
	assert_true(sonde_error_is(error, &sonde_cancelled));
	sonde_error_free(error);
}

static void a_loop_can_wait_for_items_and_the_end(void **state)
{
	SONDE_STREAM_AUTODEINIT struct sonde_stream stream;
	struct pollfd poll_fd = { .events = POLLIN };
	void *item;

	(void)state;
	assert_int_equal(sonde_stream_init(&stream, /* options= */ NULL), SONDE_OK);
	poll_fd.fd = sonde_stream_fd(&stream);
	assert_true(poll_fd.fd >= 0);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	assert_int_equal(sonde_stream_try_push(&stream, item_of(1)), SONDE_OK);
	assert_int_equal(poll(&poll_fd, 1, 0), 1);
	assert_int_equal(sonde_stream_try_next(&stream, &item), SONDE_OK);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	sonde_stream_end(&stream, /* error= */ NULL);
	assert_int_equal(poll(&poll_fd, 1, 0), 1);
	assert_int_equal(sonde_stream_try_next(&stream, &item), SONDE_E_CLOSED);
}

static struct sonde_error *three_and_an_error(struct sonde_stream *stream, void *argument)
{
	for (uintptr_t i = 1; i <= 3; i++) {
		struct sonde_error *error = sonde_stream_push(stream, item_of(i), NULL);

		if (error)
			return error;
	}
	return sonde_error_raise(&sonde_external_service, "%s", (const char *)argument);
}

static void a_producer_runs_where_it_is_called(void **state)
{
	SONDE_STREAM_AUTODEINIT struct sonde_stream stream;
	char why[] = "cut off";
	struct sonde_error *error;
	void *items[8];
	size_t n;

	(void)state;
	assert_int_equal(sonde_stream_init(&stream, /* options= */ NULL), SONDE_OK);
	sonde_stream_produce(&stream, three_and_an_error, why);
	error = sonde_stream_error(&stream); /* Not before its items. */
	assert_null(error);
	error = sonde_stream_next_chunk(&stream, items, 8, UINT64_MAX, /* cancel= */ NULL, &n);
	assert_null(error);
	assert_int_equal(n, 3);
	error = sonde_stream_next_chunk(&stream, items, 8, UINT64_MAX, /* cancel= */ NULL, &n);
	assert_true(sonde_error_is(error, &sonde_external_service));
	assert_string_equal(sonde_error_message(error), "cut off");
	sonde_error_free(error);
	error = sonde_stream_next_chunk(&stream, items, 8, UINT64_MAX, /* cancel= */ NULL, &n);
	assert_null(error);
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sixteen_items_by_default),
		cmocka_unit_test(items_may_take_any_time_by_default),
		cmocka_unit_test(pushes_are_slow_from_10_ms_on_by_default),
		cmocka_unit_test(the_span_has_progress_items_and_bytes),
		cmocka_unit_test(a_stream_without_anybody_to_tell_has_no_span),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(a_fired_token_ends_pulls_and_pushes),
		cmocka_unit_test(a_loop_can_wait_for_items_and_the_end),
		cmocka_unit_test(a_producer_runs_where_it_is_called),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
