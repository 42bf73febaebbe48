/* SPDX-License-Identifier: Apache-2.0 */

/* The bulkhead on virtual time, in one process alone and in shared memory, against a model. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/bulkhead.h>
#include <sonde/deadline.h>

#include "support/sequence.h"
#include "support/virtual_clock.h"

static struct sonde_bulkhead_figures figures_of(struct sonde_bulkhead *bulkhead)
{
	struct sonde_bulkhead_figures figures;

	sonde_bulkhead_read(bulkhead, &figures);
	return figures;
}

#define WAITERS 6

/*
 * By the header's words: how many are inside, who waits in which order. A waiter is granted in its
 * turn, when there are fewer inside than the limit.
 */
struct model {
	uint32_t limit;
	uint32_t max_queue;
	uint64_t max_wait_ns;
	uint32_t n_inside;
	uint32_t queue[WAITERS];
	uint32_t n_queue;
	bool is_granted[WAITERS];
	bool is_queued[WAITERS];
	bool has_place[WAITERS]; /* That may be given up, once. */
	uint64_t n_said; /* Of what nobody had. */
	uint32_t granted_as[WAITERS]; /* The how manieth of all grants. */
	uint32_t n_grants;
	struct sonde_bulkhead_figures figures;
};

struct asker {
	struct sonde_bulkhead_waiter waiter;
	uint32_t number;
	bool was_called;
	uint32_t *order; /* Of grants, all askers'. */
	uint32_t granted_as;
};

static void be_granted(void *user)
{
	struct asker *asker = user;

	asker->was_called = true;
	asker->granted_as = ++*asker->order;
}

static void model_let_in(struct model *model)
{
	while (model->n_queue && model->n_inside < model->limit) {
		model->n_inside++;
		model->figures.n_waited++;
		model->is_granted[model->queue[0]] = true;
		model->granted_as[model->queue[0]] = ++model->n_grants;
		model->is_queued[model->queue[0]] = false;
		memmove(model->queue, model->queue + 1, --model->n_queue * sizeof(uint32_t));
	}
}

static void model_withdraw(struct model *model, uint32_t number)
{
	uint32_t at = 0;

	while (model->queue[at] != number)
		at++;
	memmove(model->queue + at, model->queue + at + 1,
		(--model->n_queue - at) * sizeof(uint32_t));
	model->is_queued[number] = false;
	model->figures.n_withdrawn++;
}

static bool model_has_permit(struct model *model)
{
	if (model->n_queue || model->n_inside >= model->limit)
		return false;
	model->n_inside++;
	return true;
}

struct game {
	struct sonde_bulkhead bulkhead;
	struct virtual_clock clock;
	struct model model;
	struct asker askers[WAITERS];
	uint32_t n_grants;
	uint64_t n_said;
	bool is_shared;
	char *why;
	size_t size;
};

static void hear_misuse(void *user, const struct sonde_observation *observation)
{
	struct game *game = user;

	game->n_said += observation->what == SONDE_OBSERVED_ORPHAN &&
			sonde_error_is(observation->error, &sonde_internal);
}

static bool differs(struct game *game, const char *what, uint64_t is, uint64_t expected)
{
	if (is != expected)
		snprintf(game->why, game->size, "%s is %llu, expected %llu", what,
			 (unsigned long long)is, (unsigned long long)expected);
	return is != expected;
}

static bool play_try(struct game *game)
{
	bool expected = model_has_permit(&game->model);

	if (!expected)
		game->model.figures.n_rejected_limit++;
	return !differs(game, "try_acquire", sonde_bulkhead_try_acquire(&game->bulkhead), expected);
}

/* Nobody gives back while it waits: what is not there at once is late. */
static bool play_acquire(struct game *game, uint64_t deadline_ms, struct sonde_cancel *cancel)
{
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;
	struct model *model = &game->model;
	uint64_t expected_ns = game->clock.now_ns;
	const struct sonde_error_type *expected = NULL;
	struct sonde_error *error;
	bool is_right;

	if (sonde_cancel_is_fired(cancel)) {
		expected = &sonde_cancelled;
		model->figures.n_withdrawn++;
	} else if (!model_has_permit(model)) {
		expected = &sonde_bulkhead_full;
		if (!model->max_queue) {
			model->figures.n_rejected_limit++;
		} else if (model->n_queue >= model->max_queue) {
			model->figures.n_rejected_queue++;
		} else {
			bool is_deadline = deadline_ms * MS <= model->max_wait_ns;

			expected_ns += is_deadline ? deadline_ms * MS : model->max_wait_ns;
			if (is_deadline)
				expected = &sonde_timeout;
			model->figures.n_rejected_wait++;
		}
	}
	sonde_deadline_begin(&deadline, deadline_ms, &game->clock.clock);
	error = sonde_bulkhead_acquire(&game->bulkhead, cancel);
	is_right = !differs(game, "acquire's error", (uintptr_t)(error ? sonde_error_type_of(error) : NULL),
			    (uintptr_t)expected) &&
		   !differs(game, "the time after acquire", game->clock.now_ns, expected_ns);
	sonde_error_free(error);
	return is_right;
}

static bool play_release(struct game *game)
{
	if (game->model.n_inside) {
		game->model.n_inside--;
		model_let_in(&game->model);
	} else {
		game->model.n_said++;
	}
	sonde_bulkhead_release(&game->bulkhead);
	return true;
}

static bool play_ask(struct game *game, uint32_t number)
{
	struct model *model = &game->model;
	struct asker *asker = &game->askers[number];
	int expected = SONDE_BULKHEAD_REJECTED;

	if (game->is_shared || model->is_queued[number])
		return true;
	model->is_granted[number] = false;
	model->has_place[number] = true;
	asker->was_called = false;
	if (model_has_permit(model)) {
		expected = SONDE_BULKHEAD_GRANTED;
	} else if (model->n_queue < model->max_queue) {
		expected = SONDE_BULKHEAD_QUEUED;
		model->queue[model->n_queue++] = number;
		model->is_queued[number] = true;
	} else {
		model->has_place[number] = false;
		if (model->max_queue)
			model->figures.n_rejected_queue++;
		else
			model->figures.n_rejected_limit++;
	}
	return !differs(game, "ask", (uint64_t)sonde_bulkhead_ask(&game->bulkhead, &asker->waiter,
								  be_granted, asker),
			(uint64_t)expected);
}

static bool play_withdraw(struct game *game, uint32_t number)
{
	struct model *model = &game->model;
	bool expected = model->is_queued[number] || !model->has_place[number];

	if (model->is_queued[number])
		model_withdraw(model, number);
	model->n_said += !model->has_place[number];
	model->has_place[number] = false;
	return !differs(game, "withdraw",
			sonde_bulkhead_withdraw(&game->bulkhead, &game->askers[number].waiter),
			expected);
}

static bool is_as_the_model(struct game *game)
{
	struct sonde_bulkhead_figures is = figures_of(&game->bulkhead);
	const struct model *model = &game->model;
	const struct sonde_bulkhead_figures *expected = &model->figures;

	for (uint32_t i = 0; i < WAITERS; i++) {
		if (differs(game, "whether one was called", game->askers[i].was_called,
			    model->is_granted[i]) ||
		    differs(game, "when one was called", game->askers[i].granted_as,
			    model->granted_as[i]))
			return false;
	}
	return !differs(game, "limit", is.limit, model->limit) &&
	       !differs(game, "n_taken", is.n_taken, model->n_inside) &&
	       !differs(game, "n_waiting", is.n_waiting, model->n_queue) &&
	       !differs(game, "n_rejected_limit", is.n_rejected_limit, expected->n_rejected_limit) &&
	       !differs(game, "n_rejected_queue", is.n_rejected_queue, expected->n_rejected_queue) &&
	       !differs(game, "n_rejected_wait", is.n_rejected_wait, expected->n_rejected_wait) &&
	       !differs(game, "what was said", game->n_said, model->n_said) &&
	       !differs(game, "n_withdrawn", is.n_withdrawn, expected->n_withdrawn) &&
	       !differs(game, "n_waited", is.n_waited, model->figures.n_waited);
}

static bool play_step(struct game *game, const struct sequence_step *step,
		      struct sonde_cancel *fired)
{
	switch (step->what % 8) {
	case 0:
	case 1:
		return play_try(game);
	case 2:
		return play_acquire(game, step->a % 40, step->b % 8 ? NULL : fired);
	case 3:
	case 4:
		return play_release(game);
	case 5:
		return play_ask(game, step->a % WAITERS);
	case 6:
		return play_withdraw(game, step->a % WAITERS);
	default:
		game->model.limit = step->a % 5;
		model_let_in(&game->model);
		return !differs(game, "set_limit",
				(uint64_t)sonde_bulkhead_set_limit(&game->bulkhead, step->a % 5),
				SONDE_OK);
	}
}

static bool play(const struct sequence_step *steps, size_t n_steps, char *why, size_t size,
		 bool is_shared)
{
	struct game game = { .is_shared = is_shared, .why = why, .size = size };
	struct sonde_observer observer = { hear_misuse, &game };
	struct sonde_bulkhead_options options = {
		.observer = &observer,
		.limit = 1 + steps[0].a % 4,
		.max_limit = 4,
		.max_queue = (uint32_t)(steps[0].b % 5),
		.max_wait_ms = (steps[0].b >> 8) % 30,
		.shared = is_shared,
		.clock = &game.clock.clock,
	};
	SONDE_CANCEL_AUTODEINIT struct sonde_cancel fired;
	bool is_right = true;

	sonde_cancel_init(&fired, NULL);
	sonde_cancel_fire(&fired, NULL);
	virtual_clock_init(&game.clock, 7);
	assert_int_equal(sonde_bulkhead_init(&game.bulkhead, &options), SONDE_OK);
	game.model.limit = options.limit;
	game.model.max_queue = options.max_queue || !options.max_wait_ms ? options.max_queue :
									   UINT32_MAX;
	game.model.max_wait_ns = options.max_wait_ms ? options.max_wait_ms * MS : UINT64_MAX;
	for (uint32_t i = 0; i < WAITERS; i++)
		game.askers[i] = (struct asker){ .number = i, .order = &game.n_grants };
	for (size_t i = 0; i < n_steps && is_right; i++)
		is_right = play_step(&game, &steps[i], &fired) && is_as_the_model(&game);
	for (uint32_t i = 0; i < WAITERS; i++) {
		if (game.model.is_queued[i] && is_right)
			is_right = sonde_bulkhead_withdraw(&game.bulkhead, &game.askers[i].waiter);
	}
	sonde_bulkhead_deinit(&game.bulkhead);
	return is_right;
}

static bool play_own(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	return play(steps, n_steps, why, size, /* is_shared= */ false);
}

static bool play_shared(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	return play(steps, n_steps, why, size, /* is_shared= */ true);
}

static void test_is_what_the_header_says(void **state)
{
	(void)state;
	sequence_check(play_own, 1300, 80);
}

static void test_shared_is_what_the_header_says(void **state)
{
	(void)state;
	sequence_check(play_shared, 1300, 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_what_the_header_says),
		cmocka_unit_test(test_shared_is_what_the_header_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
