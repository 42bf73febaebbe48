/* SPDX-License-Identifier: Apache-2.0 */

/* The mutex against a model of its header's words, with the test choosing who runs when. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/lock.h>

#include "support/actors.h"
#include "support/lock_heard.h"
#include "support/sequence.h"
#include "support/virtual_clock.h"

#define N_ACTORS 4
#define NOBODY N_ACTORS

/* What an actor is about, in the subject and in the model. */
struct seat {
	struct sonde_mutex *mutex;
	struct sonde_cancel cancel;
	uint64_t limit_ms;
	struct sonde_error *error;
	bool has_it; /* What the call said. */
	/* The model's. */
	bool waits;
	bool cancellable;
	bool is_fired;
	bool was_granted;
	bool is_woken;
	bool has_stalled;
	uint64_t number;
	uint64_t since_ns;
	uint64_t end_ns;
};

static struct stage stage;

struct model {
	struct sonde_mutex mutex;
	struct heard heard;
	struct heard expected;
	struct seat seats[N_ACTORS];
	unsigned holder;
	bool hands_over;
	uint64_t n_numbers;
};

static void seat_try(void *user)
{
	struct seat *seat = user;

	seat->has_it = sonde_mutex_try_lock(seat->mutex);
}

static void seat_lock(void *user)
{
	struct seat *seat = user;

	sonde_mutex_lock(seat->mutex);
	seat->has_it = true;
}

static void seat_lock_within(void *user)
{
	struct seat *seat = user;

	seat->error = sonde_mutex_lock_within(seat->mutex, seat->limit_ms, &seat->cancel);
	seat->has_it = !seat->error;
}

static void seat_unlock(void *user)
{
	struct seat *seat = user;

	sonde_mutex_unlock(seat->mutex);
}

static struct seat *model_first(struct model *model)
{
	struct seat *first = NULL;

	for (size_t i = 0; i < N_ACTORS; i++) {
		struct seat *seat = &model->seats[i];

		if (seat->waits && !seat->was_granted && (!first || seat->number < first->number))
			first = seat;
	}
	return first;
}

static void model_end_wait(struct model *model, struct seat *seat, enum sonde_observed what)
{
	seat->waits = false;
	model->expected.n[what]++;
	if (seat->has_stalled)
		model->expected.n[SONDE_OBSERVED_RECOVERY]++;
	if (!model_first(model))
		model->hands_over = false;
	if (what == SONDE_OBSERVED_WAIT)
		model->holder = (unsigned)(seat - model->seats);
}

/* The seat's thread runs: what will it find? */
static void model_run(struct model *model, struct seat *seat)
{
	while (seat->waits) {
		uint64_t slow_ns = seat->has_stalled ? UINT64_MAX : seat->since_ns + 1000 * MS;
		uint64_t until_ns = seat->end_ns < slow_ns ? seat->end_ns : slow_ns;
		bool was_woken = seat->is_woken;
		bool is_cancelled = seat->cancellable && seat->is_fired;

		if (seat->was_granted) {
			model_end_wait(model, seat, SONDE_OBSERVED_WAIT);
			return;
		}
		if (!was_woken && !is_cancelled && stage.now_ns < until_ns)
			return;
		seat->is_woken = false;
		if (model->holder == NOBODY) {
			model_end_wait(model, seat, SONDE_OBSERVED_WAIT);
			return;
		}
		if (was_woken) {
			model->hands_over |= stage.now_ns - seat->since_ns >= MS;
		} else if (is_cancelled || slow_ns >= seat->end_ns) {
			model_end_wait(model, seat, SONDE_OBSERVED_REJECTION);
		} else {
			seat->has_stalled = true;
			model->expected.n[SONDE_OBSERVED_STALL]++;
			/* Whoever leaves an empty queue leaves no claim. */
			seat->waits = false;
			if (!model_first(model))
				model->hands_over = false;
			seat->waits = true;
		}
	}
}

static void model_lock(struct model *model, struct seat *seat, bool cancellable)
{
	if (model->holder == NOBODY) {
		model->holder = (unsigned)(seat - model->seats);
		return;
	}
	seat->waits = true;
	seat->cancellable = cancellable;
	seat->was_granted = seat->is_woken = seat->has_stalled = false;
	seat->since_ns = stage.now_ns;
	seat->end_ns = cancellable ? stage.now_ns + seat->limit_ms * MS : UINT64_MAX;
	seat->number = model->n_numbers++;
	model_run(model, seat);
}

static void model_unlock(struct model *model)
{
	struct seat *first = model_first(model);
	bool is_any_woken = false;

	for (size_t i = 0; i < N_ACTORS; i++)
		is_any_woken |= model->seats[i].waits && model->seats[i].is_woken;
	model->holder = NOBODY;
	if (model->hands_over) {
		first->was_granted = true;
		model->holder = (unsigned)(first - model->seats);
		model->hands_over = false;
	} else if (first && !is_any_woken) {
		first->is_woken = true;
	}
}

static bool model_agrees(const struct model *model, char *why, size_t size)
{
	for (unsigned i = 0; i < N_ACTORS; i++) {
		const struct seat *seat = &model->seats[i];

		if (stage.actors[i].is_busy != seat->waits)
			return snprintf(why, size, "%u %s", i,
					seat->waits ? "should wait" : "waits") < 0;
		if (!seat->waits && seat->has_it != (model->holder == i))
			return snprintf(why, size, "%u %s", i,
					seat->has_it ? "has it" : "should have it") < 0;
	}
	for (unsigned i = 0; i < SONDE_OBSERVED_COUNT; i++)
		if (model->heard.n[i] != model->expected.n[i])
			return snprintf(why, size, "%s told %u times, not %u",
					sonde_observed_name((enum sonde_observed)i),
					model->heard.n[i], model->expected.n[i]) < 0;
	return true;
}

static void step_lock(struct model *model, unsigned i, uint32_t what, uint64_t b)
{
	struct seat *seat = &model->seats[i];

	seat->limit_ms = b % 4 ? b / 4 % 3000 : 0;
	seat->error = sonde_error_free(seat->error);
	if (what == 0) {
		if (model->holder == NOBODY)
			model->holder = i;
		actor_play(&stage.actors[i], seat_try, seat);
	} else {
		model_lock(model, seat, what == 1);
		actor_play(&stage.actors[i], what == 1 ? seat_lock_within : seat_lock, seat);
	}
}

static void step_unlock(struct model *model, unsigned i)
{
	if (model->holder == i)
		model_unlock(model);
	else
		model->expected.n[SONDE_OBSERVED_ORPHAN]++;
	actor_play(&stage.actors[i], seat_unlock, &model->seats[i]);
	model->seats[i].has_it = false;
}

static void step_fire(struct model *model, unsigned i)
{
	struct seat *seat = &model->seats[i];

	if (!seat->is_fired) {
		sonde_cancel_fire(&seat->cancel, NULL);
		seat->is_fired = true;
	} else if (!seat->waits) {
		sonde_cancel_deinit(&seat->cancel);
		sonde_cancel_init(&seat->cancel, NULL);
		seat->is_fired = false;
	}
}

static void step_run(struct model *model, const struct sequence_step *step)
{
	unsigned i = step->a % N_ACTORS;
	struct actor *actor = &stage.actors[i];
	uint32_t what = step->what % 16;

	if (what < 2 || what == 15) {
		static const uint64_t scales[] = { 1, MS / 2, 300 * MS, 2 * SECOND };

		stage.now_ns += step->b % scales[step->a / N_ACTORS % 4];
	} else if (what == 2) {
		step_fire(model, i);
	} else if (actor->is_busy) {
		model_run(model, &model->seats[i]);
		actor_go_on(actor);
	} else if (model->holder == i || what == 3) {
		step_unlock(model, i);
	} else {
		step_lock(model, i, what % 3, step->b);
	}
}

static void model_init(struct model *model)
{
	static struct sonde_observer observer;

	memset(model, 0, sizeof(*model));
	observer = (struct sonde_observer){ hear, &model->heard };
	sonde_mutex_init(&model->mutex, &(struct sonde_lock_options){ .clock = &stage.clock,
								      .observer = &observer });
	model->holder = NOBODY;
	for (size_t i = 0; i < N_ACTORS; i++) {
		model->seats[i].mutex = &model->mutex;
		sonde_cancel_init(&model->seats[i].cancel, NULL);
	}
}

/* Whoever has it lets it go until nobody is left; false: somebody is never served. */
static bool model_finish(struct model *model)
{
	bool is_busy = true;

	for (unsigned round = 0; is_busy && round < 100; round++) {
		is_busy = false;
		for (unsigned i = 0; i < N_ACTORS; i++) {
			struct seat *seat = &model->seats[i];

			if (stage.actors[i].is_busy)
				actor_go_on(&stage.actors[i]);
			if (!stage.actors[i].is_busy && seat->has_it) {
				actor_play(&stage.actors[i], seat_unlock, seat);
				seat->has_it = false;
			}
			is_busy |= stage.actors[i].is_busy;
		}
	}
	for (unsigned i = 0; i < N_ACTORS; i++) {
		sonde_error_free(model->seats[i].error);
		sonde_cancel_deinit(&model->seats[i].cancel);
	}
	sonde_mutex_deinit(&model->mutex);
	return !is_busy;
}

static bool play_model(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	static struct model model;
	bool agrees = true;

	model_init(&model);
	for (size_t i = 0; i < n_steps && agrees; i++) {
		step_run(&model, &steps[i]);
		agrees = model_agrees(&model, why, size);
	}
	if (!model_finish(&model) && agrees) {
		(void)snprintf(why, size, "somebody is never served");
		agrees = false;
	}
	return agrees;
}

static void test_model(void **state)
{
	(void)state;
	stage_init(&stage, N_ACTORS);
	sequence_check(play_model, 1000, 240);
	stage_deinit(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
