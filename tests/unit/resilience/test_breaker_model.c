/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Breakers against a model written from what <sonde/breaker.h> says: it keeps the list of all
 * outcomes since the state began and counts through it for every answer, knows no generations, and
 * finds out by looking at its own list whether a ticket still means something.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/breaker.h>

#include "support/sequence.h"
#include "support/virtual_clock.h"

#define US UINT64_C(1000)
#define TICKETS_MAX 512
#define OUTCOMES_MAX 512
#define PLACES_MAX 16

struct outcome {
	uint64_t at_ns;
	bool is_failed;
	bool is_slow;
};

/* A ticket that was given out, and what the model knows of it. */
struct holder {
	struct sonde_breaker_ticket ticket;
	uint64_t started_ns;
	uint32_t epoch; /* States since the beginning. */
	uint32_t trial; /* Which one; 0: none. */
};

struct model {
	struct sonde_breaker_options options; /* With every default filled in. */
	enum sonde_breaker_state state;
	uint32_t epoch;
	uint64_t begun_ns;
	uint32_t n_openings;
	uint32_t n_changes; /* To another state. */
	uint64_t due_ns; /* While open. */
	struct outcome outcomes[OUTCOMES_MAX]; /* Since the state began; of the trials too. */
	uint32_t n_outcomes;
	uint32_t places[PLACES_MAX]; /* Trials under way; 0: none. */
	uint32_t n_trials;
	uint64_t base_ns;
	uint64_t latest_ns[PLACES_MAX]; /* When a place was last given out, ever. */
};

static bool counts_rates(const struct model *model)
{
	return model->options.mode != SONDE_BREAKER_CONSECUTIVE;
}

static void model_enter(struct model *model, enum sonde_breaker_state state, uint64_t now_ns)
{
	double reset_ms = (double)model->options.reset_ms;

	model->epoch++;
	model->n_changes += model->state != state;
	model->begun_ns = now_ns;
	model->n_outcomes = 0;
	memset(model->places, 0, sizeof(model->places));
	if (state == SONDE_BREAKER_OPEN) {
		model->n_openings++;
		for (uint32_t i = 1; i < model->n_openings; i++)
			if (reset_ms < (double)model->options.reset_max_ms)
				reset_ms *= model->options.reset_factor;
		if (reset_ms > (double)model->options.reset_max_ms)
			reset_ms = (double)model->options.reset_max_ms;
		model->due_ns = now_ns + (uint64_t)(reset_ms * 1e6);
	} else if (state != SONDE_BREAKER_HALF_OPEN) {
		model->n_openings = 0;
	}
	model->state = state;
}

/* How much of the list counts at this moment. */
static bool is_in_window(const struct model *model, uint32_t i, uint64_t now_ns)
{
	uint64_t tenth_ns = model->options.window_ms * MS / 10;
	uint64_t age;

	if (model->options.mode != SONDE_BREAKER_TIME_WINDOW)
		return i + model->options.window_calls >= model->n_outcomes;
	age = (now_ns - model->base_ns) / tenth_ns -
	      (model->outcomes[i].at_ns - model->base_ns) / tenth_ns;
	return age < 10;
}

struct sums {
	uint32_t n;
	uint32_t n_failed;
	uint32_t n_slow;
};

static struct sums model_sums(const struct model *model, uint64_t now_ns)
{
	struct sums sums = { 0 };
	bool is_trial = model->state == SONDE_BREAKER_HALF_OPEN;

	for (uint32_t i = 0; i < model->n_outcomes; i++) {
		if (!is_trial && !is_in_window(model, i, now_ns))
			continue;
		sums.n++;
		sums.n_failed += model->outcomes[i].is_failed;
		sums.n_slow += model->outcomes[i].is_slow;
	}
	return sums;
}

static uint32_t model_failures_in_a_row(const struct model *model)
{
	uint32_t n = 0;

	while (n < model->n_outcomes && model->outcomes[model->n_outcomes - 1 - n].is_failed)
		n++;
	return n;
}

static bool are_too_many(const struct model *model, struct sums sums, uint32_t n)
{
	return (double)sums.n_failed / n >= model->options.failure_rate ||
	       (double)sums.n_slow / n >= model->options.slow_rate;
}

/* After an outcome. */
static void model_conclude(struct model *model, uint64_t now_ns)
{
	struct sums sums = model_sums(model, now_ns);
	const struct sonde_breaker_options *options = &model->options;

	if (model->state == SONDE_BREAKER_CLOSED && !counts_rates(model)) {
		if (model_failures_in_a_row(model) >= options->failures)
			model_enter(model, SONDE_BREAKER_OPEN, now_ns);
	} else if (model->state == SONDE_BREAKER_CLOSED) {
		if (sums.n >= options->minimum_calls && are_too_many(model, sums, sums.n))
			model_enter(model, SONDE_BREAKER_OPEN, now_ns);
	} else if (model->state == SONDE_BREAKER_HALF_OPEN) {
		if (counts_rates(model) ? are_too_many(model, sums, options->half_open_calls)
					: sums.n_failed > 0)
			model_enter(model, SONDE_BREAKER_OPEN, now_ns);
		else if (sums.n >= options->half_open_calls)
			model_enter(model, SONDE_BREAKER_CLOSED, now_ns);
	}
}

/* Time that went back only lets everybody wait longer. */
static uint64_t place_left_ns(const struct model *model, uint32_t i, uint64_t now_ns)
{
	uint64_t end_ns = model->latest_ns[i] + model->options.trial_timeout_ms * MS;

	return end_ns > now_ns ? end_ns - now_ns : 0;
}

static uint32_t model_running(const struct model *model, uint64_t now_ns)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < model->options.half_open_at_once; i++)
		n += model->places[i] && place_left_ns(model, i, now_ns) > 0;
	return n;
}

static bool model_has_place(const struct model *model, uint64_t now_ns)
{
	uint32_t n = model_running(model, now_ns);

	return n < model->options.half_open_at_once &&
	       n + model->n_outcomes < model->options.half_open_calls;
}

static bool model_acquire(struct model *model, struct holder *holder, uint64_t now_ns)
{
	uint32_t i = 0;

	if (model->state == SONDE_BREAKER_FORCED_OPEN ||
	    (model->state == SONDE_BREAKER_OPEN && now_ns < model->due_ns))
		return false;
	if (model->state == SONDE_BREAKER_OPEN)
		model_enter(model, SONDE_BREAKER_HALF_OPEN, now_ns);
	*holder = (struct holder){ .started_ns = now_ns, .epoch = model->epoch };
	if (model->state != SONDE_BREAKER_HALF_OPEN)
		return true;
	if (!model_has_place(model, now_ns))
		return false;
	while (model->places[i] && place_left_ns(model, i, now_ns) > 0)
		i++;
	model->places[i] = holder->trial = ++model->n_trials;
	if (model->latest_ns[i] < now_ns)
		model->latest_ns[i] = now_ns;
	return true;
}

static void model_report(struct model *model, struct holder *holder, uint64_t now_ns,
			 enum sonde_breaker_verdict verdict)
{
	uint64_t took_ns = now_ns > holder->started_ns ? now_ns - holder->started_ns : 0;
	bool is_known = !holder->trial;

	if (holder->epoch != model->epoch || model->state == SONDE_BREAKER_DISABLED)
		return;
	for (uint32_t i = 0; i < PLACES_MAX; i++) {
		if (!holder->trial || model->places[i] != holder->trial)
			continue;
		model->places[i] = 0;
		is_known = true;
	}
	if (!is_known || verdict == SONDE_BREAKER_NEITHER)
		return;
	assert_true(model->n_outcomes < OUTCOMES_MAX);
	model->outcomes[model->n_outcomes++] = (struct outcome){
		now_ns, verdict == SONDE_BREAKER_BAD,
		counts_rates(model) && took_ns >= model->options.slow_call_ms * MS
	};
	model_conclude(model, now_ns);
}

static uint64_t model_wait_ns(const struct model *model, uint64_t now_ns)
{
	uint64_t shortest_ns = UINT64_MAX;

	if (model->state == SONDE_BREAKER_FORCED_OPEN)
		return UINT64_MAX;
	if (model->state == SONDE_BREAKER_OPEN)
		return model->due_ns > now_ns ? model->due_ns - now_ns : 0;
	if (model->state != SONDE_BREAKER_HALF_OPEN || model_has_place(model, now_ns))
		return 0;
	for (uint32_t i = 0; i < model->options.half_open_at_once; i++) {
		uint64_t left_ns = place_left_ns(model, i, now_ns);

		if (model->places[i] && left_ns && left_ns < shortest_ns)
			shortest_ns = left_ns;
	}
	return shortest_ns;
}

/* ---- Played side by side --------------------------------------------------------------------- */

struct pair {
	struct virtual_clock clock;
	struct sonde_breaker breaker;
	struct model model;
	struct holder holders[TICKETS_MAX];
	uint32_t n_holders;
	uint32_t n_told;
	uint64_t latest_ns; /* As far as the clock ever was. */
};

static enum sonde_breaker_mode mode;

static void count_states(void *user, const struct sonde_observation *observation)
{
	struct pair *pair = user;

	if (observation->what == SONDE_OBSERVED_STATE)
		pair->n_told++;
}

static void pair_begin(struct pair *pair, const struct sonde_observer *observer, uint64_t b)
{
	struct sonde_breaker_options *options = &pair->model.options;

	memset(pair, 0, sizeof(*pair));
	virtual_clock_init(&pair->clock, 77 * SECOND + 13);
	*options = (struct sonde_breaker_options){
		.mode = mode,
		.clock = &pair->clock.clock,
		.observer = observer,
		.reset_ms = 1 + b % 40,
		.reset_factor = 1 + (double)(b >> 8 & 1),
		.reset_max_ms = 100,
		.half_open_calls = 1 + (b >> 16) % 5,
		.trial_timeout_ms = 1 + (b >> 24) % 30,
	};
	options->half_open_at_once = 1 + (uint32_t)(b >> 32) % options->half_open_calls;
	if (mode == SONDE_BREAKER_CONSECUTIVE) {
		options->failures = 1 + (b >> 40) % 5;
	} else {
		options->failure_rate = (double)(1 + (b >> 40) % 10) / 10;
		options->slow_rate = (double)(1 + (b >> 44) % 10) / 10;
		options->slow_call_ms = 1 + (b >> 48) % 20;
		options->minimum_calls = 1 + (b >> 52) % 10;
	}
	if (mode == SONDE_BREAKER_COUNT_WINDOW)
		options->window_calls = options->minimum_calls + (uint32_t)(b >> 56) % 90;
	if (mode == SONDE_BREAKER_TIME_WINDOW)
		options->window_ms = 10 * (1 + (b >> 56) % 20);
	pair->model.base_ns = pair->clock.now_ns;
	assert_int_equal(sonde_breaker_init(&pair->breaker, options), SONDE_OK);
}

static bool step_acquire(struct pair *pair)
{
	struct holder *holder = &pair->holders[pair->n_holders];
	struct sonde_breaker_ticket ticket = { 0 };
	struct sonde_error *error = sonde_breaker_try_acquire(&pair->breaker, &ticket);
	bool is_admitted = !error;
	bool is_right;

	sonde_error_free(error);
	is_right = model_acquire(&pair->model, holder, pair->clock.now_ns) == is_admitted;
	holder->ticket = ticket;
	if (is_admitted && pair->n_holders < TICKETS_MAX - 1)
		pair->n_holders++;
	return is_right;
}

static void step_report(struct pair *pair, uint32_t which, uint32_t how)
{
	static const struct {
		const struct sonde_error_type *type;
		enum sonde_breaker_verdict verdict;
	} ends[] = {
		{ &sonde_unavailable, SONDE_BREAKER_BAD },
		{ &sonde_timeout, SONDE_BREAKER_BAD },
		{ &sonde_not_found, SONDE_BREAKER_GOOD },
		{ NULL, SONDE_BREAKER_GOOD },
		{ NULL, SONDE_BREAKER_GOOD },
		{ &sonde_cancelled, SONDE_BREAKER_NEITHER },
	};
	struct holder *holder;
	struct sonde_error *error;

	if (!pair->n_holders)
		return;
	/* Mostly a late one, sometimes any: one that was reported is reported again. */
	holder = &pair->holders[which % 4 ? pair->n_holders - 1 - which / 4 % pair->n_holders % 6 %
							       pair->n_holders
					  : which / 4 % pair->n_holders];
	if (how % 7 == 6) {
		sonde_breaker_release(&pair->breaker, holder->ticket);
		model_report(&pair->model, holder, pair->clock.now_ns, SONDE_BREAKER_NEITHER);
		return;
	}
	error = ends[how % 7].type ? sonde_error_raise(ends[how % 7].type, "no") : NULL;
	sonde_breaker_report(&pair->breaker, holder->ticket, error);
	model_report(&pair->model, holder, pair->clock.now_ns, ends[how % 7].verdict);
	sonde_error_free(error);
	/* A closed state's ticket is a claim on nothing: it counts each time, so each but once. */
	if (!holder->trial)
		*holder = pair->holders[--pair->n_holders];
}

static void step_force(struct pair *pair, uint32_t to)
{
	enum sonde_breaker_state state = (enum sonde_breaker_state)(to % 6);
	struct model *model = &pair->model;

	sonde_breaker_force(&pair->breaker, state);
	model_enter(model, state, pair->clock.now_ns);
}

static bool step(struct pair *pair, const struct sequence_step *step)
{
	switch (step->what % 16) {
	case 0:
	case 1:
		pair->clock.now_ns += step->b % (4 * MS) / US * US;
		return true;
	case 2:
		pair->clock.now_ns += step->b % (60 * MS) / US * US;
		return true;
	case 3:
		/* To the moment. */
		if (model_wait_ns(&pair->model, pair->clock.now_ns) != UINT64_MAX)
			pair->clock.now_ns += model_wait_ns(&pair->model, pair->clock.now_ns);
		return true;
	case 4:
		/* A clock that goes back. What has left a window of time may not be there again. */
		if (step->a % 8 == 1 && mode != SONDE_BREAKER_TIME_WINDOW &&
		    pair->clock.now_ns > pair->model.base_ns + 6 * MS) {
			pair->clock.now_ns = pair->latest_ns - step->b % (5 * MS) / US * US;
			return true;
		}
		if (step->a % 8 == 0)
			step_force(pair, step->a / 8);
		return true;
	case 5:
	case 6:
	case 7:
	case 8:
	case 9:
		return step_acquire(pair);
	default:
		step_report(pair, step->a, (uint32_t)step->b);
		return true;
	}
}

static bool is_same(struct pair *pair, char *why, size_t size)
{
	struct sonde_breaker_counts counts;
	const struct model *model = &pair->model;
	uint64_t now_ns = pair->clock.now_ns;
	bool is_trial = model->state == SONDE_BREAKER_HALF_OPEN;
	struct sums sums = model_sums(model, now_ns);

	sonde_breaker_counts(&pair->breaker, &counts);
	if (pair->n_told != model->n_changes) {
		(void)snprintf(why, size, "told %u changes, not %u", pair->n_told,
			       model->n_changes);
		return false;
	}
	if (counts.state != model->state || counts.generation != model->epoch + 1) {
		(void)snprintf(why, size, "%s %u, not %s %u", sonde_breaker_state_name(counts.state),
			       counts.generation, sonde_breaker_state_name(model->state),
			       model->epoch + 1);
		return false;
	}
	if (sonde_breaker_wait_ns(&pair->breaker) != model_wait_ns(model, now_ns)) {
		(void)snprintf(why, size, "waits %llu, not %llu",
			       (unsigned long long)sonde_breaker_wait_ns(&pair->breaker),
			       (unsigned long long)model_wait_ns(model, now_ns));
		return false;
	}
	if ((counts_rates(model) || is_trial) &&
	    (counts.n_failures != (counts_rates(model) ? sums.n_failed : 0) ||
	     counts.n_calls != sums.n || counts.n_slow != sums.n_slow)) {
		(void)snprintf(why, size, "%u/%u/%u, not %u/%u/%u", counts.n_calls,
			       counts.n_failures, counts.n_slow, sums.n, sums.n_failed,
			       sums.n_slow);
		return false;
	}
	return true;
}

static bool play(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	static struct pair pair;
	struct sonde_observer observer = { count_states, &pair };
	bool is_right = true;

	if (!n_steps)
		return true;
	pair_begin(&pair, &observer, steps[0].b);
	for (size_t i = 1; i < n_steps && is_right; i++) {
		if (pair.latest_ns < pair.clock.now_ns)
			pair.latest_ns = pair.clock.now_ns;
		is_right = step(&pair, &steps[i]);
		if (!is_right)
			(void)snprintf(why, size, "admission differs");
		else
			is_right = is_same(&pair, why, size);
		/* The list is finite. */
		if (pair.model.n_outcomes > OUTCOMES_MAX - 2)
			step_force(&pair, SONDE_BREAKER_CLOSED);
	}
	sonde_breaker_deinit(&pair.breaker);
	return is_right;
}

static void test_consecutive(void **state)
{
	(void)state;
	mode = SONDE_BREAKER_CONSECUTIVE;
	sequence_check(play, 1500, 400);
}

static void test_count_window(void **state)
{
	(void)state;
	mode = SONDE_BREAKER_COUNT_WINDOW;
	sequence_check(play, 1500, 400);
}

static void test_time_window(void **state)
{
	(void)state;
	mode = SONDE_BREAKER_TIME_WINDOW;
	sequence_check(play, 1500, 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_consecutive),
		cmocka_unit_test(test_count_window),
		cmocka_unit_test(test_time_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
