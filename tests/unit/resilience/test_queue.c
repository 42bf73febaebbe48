/* SPDX-License-Identifier: Apache-2.0 */

/* The queue against a model of what its header says, on virtual time; its defaults and edges. */

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/context.h>
#include <sonde/queue.h>

#include "support/sequence.h"
#include "support/virtual_clock.h"

#define FOR_EVER UINT64_MAX

static void *item_of(uintptr_t number)
{
	return (void *)number;
}

static bool is_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

/* ---- Against a model ------------------------------------------------------------------------- */

/*
 * The model: a list of items, and the calls that wait. A call that waits has the following steps
 * played while it does, so that calls wait one inside the other.
 */
#define CAPACITY_MAX 4
#define DEPTH_MAX 6

struct call {
	bool is_push;
	bool has_token;
	uintptr_t item;
	bool is_granted;
	bool is_closed;
};

struct world {
	struct sonde_queue queue;
	struct virtual_clock time;
	struct sonde_clock clock;
	struct sonde_observer observer;
	struct sonde_cancel cancel;
	const struct sequence_step *steps;
	size_t n_steps;
	int fd;
	/* The model. */
	enum sonde_queue_policy policy;
	size_t capacity;
	uintptr_t items[CAPACITY_MAX];
	size_t n_items;
	struct call *waiting[DEPTH_MAX];
	size_t n_waiting;
	size_t depth;
	bool is_closed;
	bool is_fired;
	uintptr_t n_made;
	uint64_t n_waits;
	uint64_t n_rejections;
	uint64_t n_drops;
	/* What was seen of the queue. */
	uint64_t seen[SONDE_OBSERVED_COUNT];
	uintptr_t dropped;
	const char *why;
};

static void on_drop(void *user, void *item)
{
	struct world *world = user;

	SEQUENCE_EXPECT(world, !world->dropped);
	world->dropped = (uintptr_t)item;
}

static void on_observation(void *user, const struct sonde_observation *observation)
{
	struct world *world = user;

	SEQUENCE_EXPECT(world, observation->pattern == SONDE_PATTERN_QUEUE);
	SEQUENCE_EXPECT(world, !strcmp(observation->name, "modelled"));
	world->seen[observation->what] += observation->what == SONDE_OBSERVED_DROP ?
						  observation->count :
						  1;
	if (observation->what == SONDE_OBSERVED_WAIT)
		SEQUENCE_EXPECT(world, observation->duration_ns >= 2 * MS);
	SEQUENCE_EXPECT(world,
			(observation->what == SONDE_OBSERVED_REJECTION) == !!observation->error);
}

static struct call *model_first(struct world *world, bool is_push)
{
	for (size_t i = 0; i < world->n_waiting; i++)
		if (world->waiting[i]->is_push == is_push)
			return world->waiting[i];
	return NULL;
}

static void model_leave(struct world *world, const struct call *call)
{
	size_t kept = 0;

	for (size_t i = 0; i < world->n_waiting; i++)
		if (world->waiting[i] != call)
			world->waiting[kept++] = world->waiting[i];
	world->n_waiting = kept;
}

static uintptr_t model_shift(struct world *world)
{
	uintptr_t item = world->items[0];

	memmove(world->items, world->items + 1, --world->n_items * sizeof(item));
	return item;
}

/* What a push does at once; SONDE_E_LIMITED: nothing. */
static int model_push(struct world *world, uintptr_t item, uintptr_t *ret_dropped)
{
	struct call *popping = model_first(world, /* is_push= */ false);

	if (world->is_closed)
		return SONDE_E_CLOSED;
	if (popping) {
		popping->item = item;
		popping->is_granted = true;
		model_leave(world, popping);
		return SONDE_OK;
	}
	if (world->n_items == world->capacity) {
		if (world->policy != SONDE_QUEUE_DROP_OLDEST)
			return SONDE_E_LIMITED;
		*ret_dropped = model_shift(world);
		world->n_drops++;
	}
	world->items[world->n_items++] = item;
	return SONDE_OK;
}

static int model_pop(struct world *world, uintptr_t *ret_item)
{
	struct call *pushing = model_first(world, /* is_push= */ true);

	if (!world->n_items)
		return world->is_closed ? SONDE_E_CLOSED : SONDE_E_NOT_FOUND;
	*ret_item = model_shift(world);
	if (pushing) {
		world->items[world->n_items++] = pushing->item;
		pushing->is_granted = true;
		model_leave(world, pushing);
	}
	return SONDE_OK;
}

static void model_close(struct world *world)
{
	world->is_closed = true;
	while (world->n_waiting) {
		world->waiting[0]->is_closed = true;
		model_leave(world, world->waiting[0]);
	}
}

/* How a call ended that the model could not do at once; NULL: well. */
static const struct sonde_error_type *model_end(struct world *world, const struct call *call,
						bool was_for_deadline)
{
	model_leave(world, call);
	if (call->is_granted)
		return NULL;
	if (call->is_closed)
		return &sonde_closed;
	if (call->has_token && world->is_fired)
		return &sonde_cancelled;
	return call->is_push && !was_for_deadline ? &sonde_queue_full : &sonde_timeout;
}

static void check_type(struct world *world, struct sonde_error *error,
		       const struct sonde_error_type *expected)
{
	SEQUENCE_EXPECT(world, !error == !expected);
	SEQUENCE_EXPECT(world, !error || sonde_error_type_of(error) == expected);
	sonde_error_free(error);
}

static void set_deadline(uint64_t moment_ns)
{
	struct sonde_context context = sonde_context_current();

	context.extension[0] = moment_ns;
	sonde_context_attach(&context);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A call that may wait. */
static void play_waiting(struct world *world, const struct sequence_step *step, bool is_push)
{
	struct call call = { .is_push = is_push, .has_token = step->b % 3 == 0 };
	struct sonde_cancel *cancel = call.has_token ? &world->cancel : NULL;
	const struct sonde_error_type *expected = NULL;
	uint64_t limit_ms = (step->a >> 8) % 8 ? (step->a >> 8) % 8 * 3 : (step->a >> 12) % 2;
	uint64_t begun_ns = world->time.now_ns;
	uint64_t deadline_ns = (step->a >> 4) % 4 ? FOR_EVER : begun_ns + step->b % 9 * MS;
	struct sonde_error *error;
	uintptr_t dropped = 0;
	void *item = NULL;
	int status;

	call.item = is_push ? ++world->n_made : 0;
	status = call.has_token && world->is_fired ? SONDE_E_UNSUPPORTED :
		 is_push			   ? model_push(world, call.item, &dropped) :
						     model_pop(world, &call.item);
	if (status == SONDE_E_UNSUPPORTED)
		expected = &sonde_cancelled;
	else if (status == SONDE_E_CLOSED)
		expected = &sonde_closed;
	else if (status && (!limit_ms || (is_push && world->policy != SONDE_QUEUE_WAIT)))
		expected = is_push ? &sonde_queue_full : &sonde_timeout;
	else if (status)
		world->waiting[world->n_waiting++] = &call;
	world->depth++;
	set_deadline(deadline_ns == FOR_EVER ? 0 : deadline_ns);
	error = is_push ? sonde_queue_push(&world->queue, item_of(call.item), limit_ms, cancel) :
			  sonde_queue_pop(&world->queue, limit_ms, cancel, &item);
	world->depth--;
	set_deadline(0);
	if (status && !expected) {
		uint64_t limit_ns = begun_ns + limit_ms * MS;

		expected = model_end(world, &call, deadline_ns <= limit_ns);
		/* Not before its time. */
		SEQUENCE_EXPECT(world,
				(expected != &sonde_timeout && expected != &sonde_queue_full) ||
					world->time.now_ns >= smaller(deadline_ns, limit_ns));
		world->n_waits += is_push && !expected && world->time.now_ns - begun_ns >= 2 * MS;
	}
	world->n_rejections += is_push && expected;
	check_type(world, error, expected);
	SEQUENCE_EXPECT(world, is_push || (uintptr_t)item == (expected ? 0 : call.item));
	SEQUENCE_EXPECT(world, status || world->dropped == dropped);
	world->dropped = 0;
}

static void play_try_push(struct world *world)
{
	uintptr_t dropped = 0;
	int expected = model_push(world, ++world->n_made, &dropped);

	SEQUENCE_EXPECT(world,
			sonde_queue_try_push(&world->queue, item_of(world->n_made)) == expected);
	SEQUENCE_EXPECT(world, world->dropped == dropped);
	world->dropped = 0;
	world->n_rejections += expected != SONDE_OK;
}

static void play_try_pop(struct world *world)
{
	uintptr_t item = 0;
	void *popped = NULL;
	int expected = model_pop(world, &item);

	SEQUENCE_EXPECT(world, sonde_queue_try_pop(&world->queue, &popped) == expected);
	SEQUENCE_EXPECT(world, (uintptr_t)popped == item);
}

static void check_state(struct world *world)
{
	SEQUENCE_EXPECT(world, sonde_queue_length(&world->queue) == world->n_items);
	SEQUENCE_EXPECT(world, sonde_queue_is_closed(&world->queue) == world->is_closed);
	SEQUENCE_EXPECT(world, world->seen[SONDE_OBSERVED_DROP] == world->n_drops);
	SEQUENCE_EXPECT(world, world->fd < 0 ||
			      is_readable(world->fd) == (world->n_items || world->is_closed));
}

/* One step; false: there is none left. */
static bool play_next(struct world *world)
{
	const struct sequence_step *step = world->steps;

	if (!world->n_steps || world->why)
		return false;
	world->steps++;
	world->n_steps--;
	switch (step->what % 64) {
	case 0:
		sonde_queue_close(&world->queue);
		model_close(world);
		break;
	case 1:
		sonde_cancel_fire(&world->cancel, "played");
		world->is_fired = true;
		break;
	case 2 ... 5:
		world->time.now_ns += step->b % 5 * MS;
		break;
	case 6 ... 19:
		play_try_push(world);
		break;
	case 20 ... 33:
		play_try_pop(world);
		break;
	default:
		if (world->depth < DEPTH_MAX)
			play_waiting(world, step, step->what % 2);
	}
	check_state(world);
	return true;
}

/* While a call waits the world goes on, without its deadline; where it has ended time passes. */
static void on_wait(void *user, uint64_t until_ns)
{
	struct world *world = user;
	struct sonde_context context = sonde_context_current();

	set_deadline(0);
	if (!play_next(world))
		virtual_clock_wait(&world->time, until_ns);
	sonde_context_attach(&context);
}

static uint64_t on_now(void *user)
{
	return ((const struct world *)user)->time.now_ns;
}

static void world_init(struct world *world, const struct sequence_step *steps, size_t n_steps)
{
	struct sonde_queue_options options = { .name = "modelled", .slow_ms = 2 };

	memset(world, 0, sizeof(*world));
	virtual_clock_init(&world->time, SECOND);
	world->clock = (struct sonde_clock){ on_now, on_wait, world };
	world->observer = (struct sonde_observer){ on_observation, world };
	world->steps = steps;
	world->n_steps = n_steps;
	world->policy = (enum sonde_queue_policy)(n_steps ? steps->b % 5 % 3 : 0);
	world->capacity = n_steps ? 1 + steps->a % CAPACITY_MAX : 1;
	options.capacity = world->capacity;
	options.policy = world->policy;
	options.drop = on_drop;
	options.drop_user = world;
	options.clock = &world->clock;
	options.observer = &world->observer;
	assert_int_equal(sonde_cancel_init(&world->cancel, NULL), SONDE_OK);
	assert_int_equal(sonde_queue_init(&world->queue, &options), SONDE_OK);
	/* System calls: not in all of them. */
	world->fd = n_steps && steps->b % 7 == 0 ? sonde_queue_fd(&world->queue) : -1;
}

static bool play(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	struct world world;
	size_t n_left;

	world_init(&world, steps, n_steps);
	while (play_next(&world))
		;
	SEQUENCE_EXPECT(&world, world.seen[SONDE_OBSERVED_WAIT] == world.n_waits);
	SEQUENCE_EXPECT(&world, world.seen[SONDE_OBSERVED_REJECTION] == world.n_rejections);
	n_left = world.n_items;
	for (void *item; sonde_queue_try_pop(&world.queue, &item) == SONDE_OK; n_left--)
		SEQUENCE_EXPECT(&world, (uintptr_t)item == model_shift(&world));
	SEQUENCE_EXPECT(&world, !n_left);
	sonde_queue_deinit(&world.queue);
	sonde_cancel_deinit(&world.cancel);
	if (world.why)
		snprintf(why, size, "%s", world.why);
	return !world.why;
}

static void test_does_as_the_model(void **state)
{
	(void)state;
	sequence_check(play, 5000, 120);
}

/* ---- Defaults and edges ---------------------------------------------------------------------- */

static void test_default_capacity_is_1024_and_policy_to_wait(void **state)
{
	SONDE_QUEUE_AUTODEINIT struct sonde_queue queue;
	struct sonde_error *error;
	void *item;

	(void)state;
	assert_int_equal(sonde_queue_init(&queue, NULL), SONDE_OK);
	for (uintptr_t i = 1; i <= 1024; i++)
		assert_int_equal(sonde_queue_try_push(&queue, item_of(i)), SONDE_OK);
	assert_int_equal(sonde_queue_try_push(&queue, NULL), SONDE_E_LIMITED);
	error = sonde_queue_push(&queue, NULL, 1, NULL);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_queue_full);
	assert_string_equal(sonde_error_message(error), "queue is full");
	sonde_error_free(error);
	for (uintptr_t i = 1; i <= 1024; i++) {
		assert_int_equal(sonde_queue_try_pop(&queue, &item), SONDE_OK);
		assert_ptr_equal(item, item_of(i));
	}
	assert_int_equal(sonde_queue_try_pop(&queue, &item), SONDE_E_NOT_FOUND);
}

static void count_waits(void *user, const struct sonde_observation *observation)
{
	*(int *)user += observation->what == SONDE_OBSERVED_WAIT;
}

struct passing {
	struct virtual_clock time;
	struct sonde_clock clock;
	struct sonde_queue *queue;
	uint64_t after_ns;
};

static void pop_after_a_while(void *user, uint64_t until_ns)
{
	struct passing *passing = user;
	void *item;

	(void)until_ns;
	passing->time.now_ns += passing->after_ns;
	assert_int_equal(sonde_queue_try_pop(passing->queue, &item), SONDE_OK);
}

static uint64_t passing_now(void *user)
{
	return ((const struct passing *)user)->time.now_ns;
}

static void test_default_slow_push_is_10_ms(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct passing passing = { .after_ns = 10 * MS - (uint64_t)i };
		struct sonde_queue queue;
		int n_waits = 0;
		struct sonde_observer observer = { count_waits, &n_waits };
		void *slots[1];
		struct sonde_queue_options options = { .capacity = 1, .slots = slots };

		passing.clock = (struct sonde_clock){ passing_now, pop_after_a_while, &passing };
		passing.queue = &queue;
		options.clock = &passing.clock;
		options.observer = &observer;
		assert_int_equal(sonde_queue_init(&queue, &options), SONDE_OK);
		assert_null(sonde_queue_push(&queue, item_of(1), FOR_EVER, NULL));
		assert_null(sonde_queue_push(&queue, item_of(2), FOR_EVER, NULL));
		assert_ptr_equal(slots[0], item_of(2));
		assert_int_equal(n_waits, !i);
		sonde_queue_deinit(&queue);
	}
}

static void test_nonsense(void **state)
{
	struct sonde_queue_options options = { .policy = (enum sonde_queue_policy)3 };
	struct sonde_queue none = { { 0 } };
	struct sonde_queue queue;
	struct sonde_error *error;
	void *item;

	(void)state;
	assert_int_equal(sonde_queue_init(NULL, NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_queue_init(&queue, &options), SONDE_E_INVALID);
	options = (struct sonde_queue_options){ .capacity = (1u << 24) + 1 };
	assert_int_equal(sonde_queue_init(&queue, &options), SONDE_E_INVALID);
	assert_int_equal(sonde_queue_try_push(NULL, NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_queue_try_pop(NULL, &item), SONDE_E_INVALID);
	assert_int_equal(sonde_queue_fd(NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_queue_length(NULL), 0);
	assert_true(sonde_queue_is_closed(NULL));
	error = sonde_queue_push(NULL, NULL, 0, NULL);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_internal);
	sonde_error_free(error);
	error = sonde_queue_pop(NULL, 0, NULL, &item);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_internal);
	sonde_error_free(error);
	sonde_queue_close(NULL);
	sonde_queue_deinit(NULL);
	sonde_queue_deinit(&none);
	assert_int_equal(sonde_queue_init(&queue, NULL), SONDE_OK);
	assert_int_equal(sonde_queue_try_pop(&queue, NULL), SONDE_E_INVALID);
	sonde_queue_deinit(&queue);
	sonde_queue_deinit(&queue);
}

struct left {
	uintptr_t items[4];
	size_t n;
	uint64_t n_told;
};

static void on_left(void *user, void *item)
{
	struct left *left = user;

	left->items[left->n++] = (uintptr_t)item;
}

static void on_left_told(void *user, const struct sonde_observation *observation)
{
	struct left *left = user;

	assert_int_equal(observation->what, SONDE_OBSERVED_DROP);
	assert_string_equal(observation->name, "");
	left->n_told += observation->count;
}

static void test_what_is_left_is_given_back(void **state)
{
	struct left left = { .n = 0 };
	struct sonde_observer observer = { on_left_told, &left };
	struct sonde_queue_options options = { .drop = on_left, .drop_user = &left };
	struct sonde_queue queue;
	void *item;

	(void)state;
	options.observer = &observer;
	assert_int_equal(sonde_queue_init(&queue, &options), SONDE_OK);
	for (uintptr_t i = 1; i <= 4; i++)
		assert_int_equal(sonde_queue_try_push(&queue, item_of(i)), SONDE_OK);
	assert_int_equal(sonde_queue_try_pop(&queue, &item), SONDE_OK);
	sonde_queue_close(&queue);
	sonde_queue_deinit(&queue);
	assert_int_equal(left.n, 3);
	assert_int_equal(left.n_told, 3);
	for (uintptr_t i = 0; i < 3; i++)
		assert_int_equal(left.items[i], i + 2);
}

static void test_descriptor_follows_the_content(void **state)
{
	SONDE_QUEUE_AUTODEINIT struct sonde_queue queue;
	void *item;
	int fd;

	(void)state;
	assert_int_equal(sonde_queue_init(&queue, NULL), SONDE_OK);
	assert_int_equal(sonde_queue_try_push(&queue, item_of(1)), SONDE_OK);
	fd = sonde_queue_fd(&queue);
	assert_true(fd >= 0);
	assert_int_equal(sonde_queue_fd(&queue), fd);
	assert_true(is_readable(fd));
	assert_int_equal(sonde_queue_try_push(&queue, item_of(2)), SONDE_OK);
	assert_int_equal(sonde_queue_try_pop(&queue, &item), SONDE_OK);
	assert_true(is_readable(fd));
	errno = 4711;
	assert_int_equal(sonde_queue_try_pop(&queue, &item), SONDE_OK);
	assert_int_equal(errno, 4711);
	assert_false(is_readable(fd));
	sonde_queue_close(&queue);
	assert_true(is_readable(fd));
	assert_int_equal(sonde_queue_try_pop(&queue, &item), SONDE_E_CLOSED);
	assert_true(is_readable(fd));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_does_as_the_model),
		cmocka_unit_test(test_default_capacity_is_1024_and_policy_to_wait),
		cmocka_unit_test(test_default_slow_push_is_10_ms),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_what_is_left_is_given_back),
		cmocka_unit_test(test_descriptor_follows_the_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
