/* SPDX-License-Identifier: Apache-2.0 */

/* Streams against a model of what their header says, on virtual time. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/deadline.h>
#include <sonde/stream.h>

#include "support/sequence.h"
#include "support/virtual_clock.h"

static void *item_of(uintptr_t number)
{
	return (void *)number;
}

#define CAPACITY_MAX 4
#define ITEMS_MAX 16

struct world {
	struct sonde_stream stream;
	struct virtual_clock time;
	struct sonde_observer observer;
	const char *why;
	/* What was seen of the stream. */
	uintptr_t released[CAPACITY_MAX];
	size_t n_released;
	uint64_t n_dropped;
	uint64_t n_waits;
	uint64_t n_orphans;
	uint64_t n_runs;
	uint64_t n_run_items;
	bool run_had_error;
	/* The model. */
	size_t capacity;
	uint64_t item_timeout_ns; /* 0: none. */
	uintptr_t items[CAPACITY_MAX];
	size_t n_items;
	uintptr_t n_made;
	uint64_t n_pulled;
	uint64_t n_errors; /* In what the consumer will get, */
	uint64_t n_real; /* and of these not of a stream that was left. */
	uint64_t last_report; /* 0: none. */
	uint64_t n_reports;
	uint64_t expected_orphans;
	bool has_ended;
	bool has_left;
	bool has_finished;
	bool finished_with_error;
};

static void on_release(void *user, void *item)
{
	struct world *world = user;

	SEQUENCE_EXPECT(world, world->n_released < CAPACITY_MAX);
	if (world->n_released < CAPACITY_MAX)
		world->released[world->n_released++] = (uintptr_t)item;
}

static void on_observation(void *user, const struct sonde_observation *observation)
{
	struct world *world = user;

	SEQUENCE_EXPECT(world, observation->pattern == SONDE_PATTERN_STREAM);
	SEQUENCE_EXPECT(world, !strcmp(observation->name, "modelled"));
	switch (observation->what) {
	case SONDE_OBSERVED_DROP:
		world->n_dropped += observation->count;
		break;
	case SONDE_OBSERVED_WAIT:
		world->n_waits++;
		break;
	case SONDE_OBSERVED_ORPHAN:
		SEQUENCE_EXPECT(world, observation->error);
		world->n_orphans++;
		break;
	case SONDE_OBSERVED_RUN:
		world->n_runs++;
		world->n_run_items = observation->count;
		world->run_had_error = observation->error != NULL;
		break;
	default:
		SEQUENCE_EXPECT(world, !"an observation that streams do not make");
	}
}

static bool model_is_closed(const struct world *world)
{
	return world->has_ended || world->has_left;
}

static uintptr_t model_shift(struct world *world)
{
	uintptr_t item = world->items[0];

	memmove(world->items, world->items + 1, --world->n_items * sizeof(item));
	world->n_pulled++;
	return item;
}

static void model_finish(struct world *world)
{
	if (!world->has_finished)
		world->finished_with_error = world->n_errors > 0;
	world->has_finished = true;
}

static void model_push(struct world *world)
{
	world->items[world->n_items++] = world->n_made;
	world->last_report = 0;
}

static void play_try_push(struct world *world)
{
	int status = sonde_stream_try_push(&world->stream, item_of(++world->n_made));

	if (model_is_closed(world)) {
		SEQUENCE_EXPECT(world, status == SONDE_E_CLOSED);
	} else if (world->n_items == world->capacity) {
		SEQUENCE_EXPECT(world, status == SONDE_E_LIMITED);
	} else {
		SEQUENCE_EXPECT(world, status == SONDE_OK);
		model_push(world);
	}
}

static void play_push(struct world *world, uint64_t limit_ms)
{
	const uint64_t begun_ns = world->time.now_ns;
	struct sonde_error *error;

	{
		struct sonde_deadline deadline;

		sonde_deadline_begin(&deadline, limit_ms, &world->time.clock);
		error = sonde_stream_push(&world->stream, item_of(++world->n_made),
					  /* cancel= */ NULL);
		sonde_deadline_end(&deadline);
	}
	if (model_is_closed(world)) {
		SEQUENCE_EXPECT(world, sonde_error_is(error, &sonde_closed));
		SEQUENCE_EXPECT(world, world->time.now_ns == begun_ns);
	} else if (world->n_items == world->capacity) {
		SEQUENCE_EXPECT(world, sonde_error_is(error, &sonde_timeout));
		SEQUENCE_EXPECT(world, world->time.now_ns == begun_ns + limit_ms * MS);
	} else {
		SEQUENCE_EXPECT(world, !error);
		SEQUENCE_EXPECT(world, world->time.now_ns == begun_ns);
		model_push(world);
	}
	sonde_error_free(error);
}

/* The timeout's cause is the last report, if there was one since the last item. */
static void expect_timeout(struct world *world, const struct sonde_error *error)
{
	const struct sonde_error *cause = sonde_error_cause(error);
	char text[32];

	(void)snprintf(text, sizeof(text), "report %llu", (unsigned long long)world->last_report);
	SEQUENCE_EXPECT(world, sonde_error_type_of(error) == &sonde_timeout);
	SEQUENCE_EXPECT(world, !cause == !world->last_report);
	SEQUENCE_EXPECT(world, !cause || !strcmp(sonde_error_message(cause), text));
	world->last_report = 0;
}

/* How the model says that a pull ends, when nothing is there. */
static void expect_end(struct world *world, const struct sonde_error *error)
{
	SEQUENCE_EXPECT(world, !error == !world->n_errors);
	SEQUENCE_EXPECT(world, !error || (size_t)world->n_errors == 1 ||
			      sonde_error_joined(error, (size_t)world->n_errors - 1));
	model_finish(world);
	world->n_errors = world->n_real = 0;
}

/* Several errors are worth telling of, whatever they are. */
static void model_leave(struct world *world)
{
	model_finish(world);
	world->expected_orphans += world->n_errors > 1 || world->n_real;
	world->n_errors = world->n_real = 0;
	world->n_items = 0;
	world->has_left = true;
}

static uint64_t model_wait_ns(const struct world *world, uint64_t limit_ms)
{
	uint64_t limit_ns = limit_ms * MS;

	return world->item_timeout_ns && world->item_timeout_ns < limit_ns ? world->item_timeout_ns
									   : limit_ns;
}

static void play_next(struct world *world, uint64_t limit_ms)
{
	const uint64_t begun_ns = world->time.now_ns;
	struct sonde_deadline deadline;
	struct sonde_error *error;
	void *item = world;

	sonde_deadline_begin(&deadline, limit_ms, &world->time.clock);
	error = sonde_stream_next(&world->stream, /* cancel= */ NULL, &item);
	sonde_deadline_end(&deadline);
	if (world->n_items) {
		SEQUENCE_EXPECT(world, !error && (uintptr_t)item == model_shift(world));
		SEQUENCE_EXPECT(world, world->time.now_ns == begun_ns);
	} else if (model_is_closed(world)) {
		SEQUENCE_EXPECT(world, error ? item == world : !item);
		SEQUENCE_EXPECT(world, world->time.now_ns == begun_ns);
		expect_end(world, error);
	} else {
		SEQUENCE_EXPECT(world, item == world);
		SEQUENCE_EXPECT(world,
				world->time.now_ns == begun_ns + model_wait_ns(world, limit_ms));
		expect_timeout(world, error);
	}
	sonde_error_free(error);
}

static void play_try_next(struct world *world)
{
	void *item = world;
	int status = sonde_stream_try_next(&world->stream, &item);

	if (world->n_items) {
		SEQUENCE_EXPECT(world, status == SONDE_OK && (uintptr_t)item == model_shift(world));
		return;
	}
	SEQUENCE_EXPECT(world, item == world);
	SEQUENCE_EXPECT(world,
			status == (model_is_closed(world) ? SONDE_E_CLOSED : SONDE_E_NOT_FOUND));
}

static void play_chunk(struct world *world, size_t capacity, uint64_t limit_ms)
{
	const uint64_t begun_ns = world->time.now_ns;
	struct sonde_deadline deadline;
	struct sonde_error *error;
	void *items[CAPACITY_MAX + 1];
	size_t n = 99;

	sonde_deadline_begin(&deadline, 50, &world->time.clock);
	error = sonde_stream_next_chunk(&world->stream, items, capacity, limit_ms,
					/* cancel= */ NULL, &n);
	sonde_deadline_end(&deadline);
	if (world->n_items) {
		const size_t n_there = world->n_items;
		const bool waits = n_there < capacity && !model_is_closed(world) && limit_ms;

		SEQUENCE_EXPECT(world, !error && n == (n_there < capacity ? n_there : capacity));
		for (size_t i = 0; i < n && i < CAPACITY_MAX; i++)
			SEQUENCE_EXPECT(world, (uintptr_t)items[i] == model_shift(world));
		SEQUENCE_EXPECT(world,
				world->time.now_ns == begun_ns + (waits ? limit_ms * MS : 0));
	} else if (model_is_closed(world)) {
		SEQUENCE_EXPECT(world, error ? n == 99 : n == 0);
		expect_end(world, error);
	} else {
		SEQUENCE_EXPECT(world, n == 99);
		expect_timeout(world, error);
	}
	sonde_error_free(error);
}

static void play_report(struct world *world)
{
	world->n_reports++;
	sonde_stream_report(&world->stream,
			    sonde_error_raise(&sonde_external_service, "report %llu",
					      (unsigned long long)world->n_reports));
	world->last_report = world->n_reports;
}

static void play_end(struct world *world, uint32_t how)
{
	const struct sonde_error_type *types[] = { &sonde_external_service, &sonde_closed,
						   &sonde_cancelled };
	struct sonde_error *error = NULL;

	if (how % 4)
		error = sonde_error_raise(types[how % 4 - 1], "the end");
	if (world->has_left) {
		world->expected_orphans += how % 4 == 1;
	} else {
		world->n_errors += error != NULL;
		world->n_real += how % 4 == 1;
	}
	sonde_stream_end(&world->stream, error);
	world->has_ended = true;
}

static void play_error(struct world *world)
{
	struct sonde_error *error = sonde_stream_error(&world->stream);

	if (!model_is_closed(world) || world->n_items)
		SEQUENCE_EXPECT(world, !error);
	else
		expect_end(world, error);
	sonde_error_free(error);
}

static void play_leave(struct world *world, uint32_t how)
{
	const size_t n_items = world->n_items;
	const uint64_t n_dropped = world->n_dropped;

	if (how % 4) /* Leaving is for ever: not so often. */
		return;
	world->n_released = 0;
	sonde_stream_leave(&world->stream);
	SEQUENCE_EXPECT(world, world->n_released == n_items);
	SEQUENCE_EXPECT(world, world->n_dropped == n_dropped + n_items);
	for (size_t i = 0; i < n_items && i < world->n_released; i++)
		SEQUENCE_EXPECT(world, world->released[i] == world->items[i]);
	SEQUENCE_EXPECT(world, sonde_cancel_is_fired(sonde_stream_cancel(&world->stream)));
	if (!world->has_left)
		model_leave(world);
}

static void play_step(struct world *world, const struct sequence_step *step)
{
	switch (step->what % 12) {
	case 0:
	case 1:
		play_try_push(world);
		break;
	case 2:
		play_push(world, step->a % 5);
		break;
	case 3:
		play_try_next(world);
		break;
	case 4:
	case 5:
		play_next(world, step->a % 5);
		break;
	case 6:
	case 7:
		play_chunk(world, 1 + step->a % (CAPACITY_MAX + 1), step->b % 3);
		break;
	case 8:
		play_report(world);
		break;
	case 9:
		play_error(world);
		break;
	case 10:
		if (step->b % 4 == 0)
			play_end(world, step->a);
		break;
	default:
		play_leave(world, step->a);
	}
}

static void world_begin(struct world *world, const struct sequence_step *first)
{
	struct sonde_stream_options options = { .name = "modelled", .release = on_release };

	memset(world, 0, sizeof(*world));
	virtual_clock_init(&world->time, SECOND);
	world->observer = (struct sonde_observer){ on_observation, world };
	world->capacity = 1 + first->a % CAPACITY_MAX;
	world->item_timeout_ns = first->b % 3 * MS;
	options.user = world;
	options.capacity = world->capacity;
	options.item_timeout_ms = first->b % 3;
	options.clock = &world->time.clock;
	options.observer = &world->observer;
	assert_int_equal(sonde_stream_init(&world->stream, &options), SONDE_OK);
}

/* Errors that count are told as orphans at the latest when it is gone. */
static void world_end(struct world *world)
{
	if (!world->has_left)
		model_leave(world);
	sonde_stream_deinit(&world->stream);
	SEQUENCE_EXPECT(world, world->n_waits == 0);
	SEQUENCE_EXPECT(world, world->n_runs == 1);
	SEQUENCE_EXPECT(world, world->n_run_items <= world->n_pulled);
	SEQUENCE_EXPECT(world, world->run_had_error == world->finished_with_error);
	SEQUENCE_EXPECT(world, world->n_orphans == world->expected_orphans);
}

static bool play(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	struct world world;

	if (!n_steps)
		return true;
	world_begin(&world, steps);
	for (size_t i = 0; i < n_steps && !world.why; i++)
		play_step(&world, &steps[i]);
	world_end(&world);
	if (world.why)
		(void)snprintf(why, size, "%s", world.why);
	return !world.why;
}

static void does_as_its_model(void **state)
{
	(void)state;
	sequence_check(play, /* n_sequences= */ 4000, /* n_steps= */ 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(does_as_its_model),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
