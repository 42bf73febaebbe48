/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Calls against a model of what the header says: delays by closed formula, the reason for each end,
 * and which errors are left. The model knows errors by number alone.
 */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/sequence.h"
#include "support/virtual_clock.h"

#include <sonde/deadline.h>
#include <sonde/retry.h>

#define SEQUENCES 3000
#define STEPS 150
#define NEVER UINT64_MAX
/* Delays are whole nanoseconds at each step. */
#define ROUNDING(ns) (32 + (ns) * 4e-6)

static double chance;
static uint32_t n_drawn;

static double draw(void *user)
{
	(void)user;
	n_drawn++;
	return chance;
}

/* ---- The model ------------------------------------------------------------------------------- */

enum end { OPEN, WELL, AS_IT_IS, GAVE_UP, ASKED_TOO_MUCH, LATE, POOR };

struct model {
	struct sonde_retry_options options;
	uint64_t began_ns;
	uint64_t deadline_ns;
	double before_ns; /* Decorrelated. */
	double credit; /* The budget's; less than 0: there is none. */
	uint32_t n_attempts;
	uint32_t n_told;
	enum end end;
	int last; /* Errors' numbers. */
	int real; /* The last real one; 0: none. */
};

static double base_of(const struct model *model)
{
	double first_ns = (double)model->options.first_delay_ms * 1e6;
	double max_ns = model->options.max_delay_ms == NEVER ?
				0x1p64 :
				(double)model->options.max_delay_ms * 1e6;

	return fmin(first_ns * pow(model->options.factor, model->n_attempts - 1), max_ns);
}

static double delay_of(struct model *model)
{
	double base_ns = base_of(model);
	double max_ns = (double)model->options.max_delay_ms * 1e6;
	double first_ns = fmin((double)model->options.first_delay_ms * 1e6, max_ns);

	switch (model->options.jitter) {
	case SONDE_JITTER_SPREAD:
		return base_ns * (0.5 + chance);
	case SONDE_JITTER_FULL:
		return base_ns * chance;
	case SONDE_JITTER_EQUAL:
		return base_ns / 2 + base_ns / 2 * chance;
	case SONDE_JITTER_NONE:
		return base_ns;
	case SONDE_JITTER_DECORRELATED:
		break;
	}
	if (model->before_ns == 0)
		model->before_ns = first_ns;
	model->before_ns =
		fmin(max_ns, first_ns + chance * (3 * model->before_ns - first_ns));
	return model->before_ns;
}

struct outcome {
	int number; /* 0: it went well. */
	bool is_retryable;
	bool is_real;
	uint64_t wish_ns;
};

static void model_errors(struct model *model, const struct outcome *outcome)
{
	model->last = outcome->number;
	if (!outcome->number)
		model->real = 0;
	else if (outcome->is_real)
		model->real = outcome->number;
}

/* The delay, or -1: no other attempt; *ret_unclear: too close to the deadline for reals. */
static double model_report(struct model *model, const struct outcome *outcome, uint64_t now_ns,
			   bool *ret_unclear)
{
	double delay_ns = 0;
	double left_ns = model->deadline_ns == NEVER ? INFINITY :
			 (double)model->deadline_ns - (double)now_ns;

	if (model->end != OPEN)
		return -1;
	model->n_attempts++;
	model_errors(model, outcome);
	if (outcome->number || model->n_attempts > 1)
		model->n_told++;
	if (!outcome->number)
		model->end = WELL;
	else if (!outcome->is_retryable)
		model->end = AS_IT_IS;
	else if (model->n_attempts == model->options.attempts)
		model->end = GAVE_UP;
	else if (outcome->wish_ns != NEVER &&
		 outcome->wish_ns > model->options.max_retry_after_ms * MS)
		model->end = ASKED_TOO_MUCH;
	if (model->end != OPEN)
		return -1;
	if (outcome->wish_ns == NEVER || model->options.jitter == SONDE_JITTER_DECORRELATED)
		delay_ns = delay_of(model);
	if (outcome->wish_ns != NEVER)
		delay_ns = (double)outcome->wish_ns;
	*ret_unclear = fabs(delay_ns - left_ns) < ROUNDING(delay_ns);
	if (delay_ns >= left_ns)
		model->end = LATE;
	else if (model->credit >= 0 && model->credit < 1)
		model->end = POOR;
	if (model->end == POOR)
		model->n_told++;
	if (model->end != OPEN)
		return -1;
	if (model->credit >= 0)
		model->credit -= 1;
	return delay_ns;
}

/* ---- The subject ----------------------------------------------------------------------------- */

struct subject {
	struct virtual_clock clock;
	struct sonde_retry_budget budget;
	struct sonde_retry retry;
	struct sonde_retry_call call;
	uint32_t n_told;
	struct sonde_observer observer;
};

static void count(void *user, const struct sonde_observation *observation)
{
	(void)observation;
	++*(uint32_t *)user;
}

static void both_init(struct subject *subject, struct model *model,
		      const struct sequence_step *step)
{
	struct sonde_deadline deadline;

	memset(subject, 0, sizeof(*subject));
	memset(model, 0, sizeof(*model));
	virtual_clock_init(&subject->clock, 1000 * SECOND);
	subject->observer = (struct sonde_observer){ count, &subject->n_told };
	model->options = (struct sonde_retry_options){
		.attempts = 1 + step->a % 12,
		.jitter = (enum sonde_jitter)(step->what % 5),
		.first_delay_ms = 1 + step->b % 3000,
		.max_delay_ms = 1 + (step->b >> 12) % 20000,
		.factor = 1 + (double)((step->b >> 32) % 300) / 100,
		.max_retry_after_ms = 1 + (step->b >> 40) % 5000,
		.budget = step->a >> 8 & 1 ? &subject->budget : NULL,
		.clock = &subject->clock.clock,
		.observer = &subject->observer,
		.random = draw,
	};
	model->credit = model->options.budget ? (double)(step->a >> 16 & 7) : -1;
	model->deadline_ns = step->a >> 9 & 1
				     ? subject->clock.now_ns + (step->b >> 20) % (60 * SECOND)
				     : NEVER;
	model->began_ns = subject->clock.now_ns;
	assert_int_equal(sonde_retry_init(&subject->retry, &model->options), SONDE_OK);
	/* The call itself pays the last whole one in. */
	assert_int_equal(sonde_retry_budget_init(
				 &subject->budget,
				 &(struct sonde_retry_budget_options){ .ratio = 1,
								       .min_per_second = -1 }),
			 SONDE_OK);
	for (int i = 1; i < (int)model->credit; i++)
		sonde_retry_budget_add_call(&subject->budget);
	if (model->credit == 0)
		model->credit = 1;
	sonde_deadline_begin_at(&deadline, model->deadline_ns);
	sonde_retry_call_begin(&subject->call, &subject->retry);
	sonde_deadline_end(&deadline);
}

/* Every error says its number. */
static struct sonde_error *error_make(const struct sequence_step *step, struct outcome *ret)
{
	static const struct {
		const struct sonde_error_type *type;
		bool is_retryable;
		bool is_real;
	} kinds[] = {
		{ &sonde_unavailable, true, true },	 { &sonde_external_service, true, true },
		{ &sonde_timeout, true, false },	 { &sonde_bulkhead_full, true, false },
		{ &sonde_out_of_memory, true, true },	 { &sonde_rate_limited, true, false },
		{ &sonde_unavailable, true, true },	 { &sonde_timeout, true, false },
		{ &sonde_circuit_open, false, false },	 { &sonde_not_found, false, true },
	};
	/* Mostly those that go on. */
	size_t kind = step->a % 16 == 0 ? 8 + step->a / 16 % 2 : step->a / 16 % 8;
	struct sonde_error *error = sonde_error_raise(kinds[kind].type, "error %d", ret->number);

	ret->is_retryable = kinds[kind].is_retryable;
	ret->is_real = kinds[kind].is_real;
	if (step->b % 5 == 0) {
		ret->wish_ns = (step->b >> 8) % 6000 * MS;
		sonde_error_set_retry_after(error, ret->wish_ns);
	}
	return error;
}

static bool says(const struct sonde_error *error, int number)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "error %d", number);
	return strcmp(sonde_error_message(error), text) == 0;
}

/* The errors that the call leaves, from the outside in. */
static bool end_agrees(struct subject *subject, const struct model *model, char *why, size_t size)
{
	static const char *const endings[] = { "", "", "", "", ": asked to wait",
					       ": the deadline is before", ": the retry budget" };
	struct sonde_error *error = sonde_retry_call_end(&subject->call);
	const struct sonde_error *at = error;
	bool agrees = true;

	(void)snprintf(why, size, "end %d: %s", model->end, sonde_error_message(error));
	if (model->end >= GAVE_UP) {
		agrees = strncmp(sonde_error_message(at), "gave up after ", 14) == 0 &&
			 strstr(sonde_error_message(at), endings[model->end]) &&
			 sonde_error_is(at, model->end == LATE ?
						    &sonde_timeout :
						    sonde_error_type_of(sonde_error_cause(at)));
		at = sonde_error_cause(at);
	}
	if (!model->last)
		agrees = agrees && !at;
	else
		agrees = agrees && says(at, model->last);
	at = sonde_error_cause(at);
	if (model->last && model->real && model->real != model->last)
		agrees = agrees && at && says(at, model->real) && !sonde_error_cause(at);
	else
		agrees = agrees && !at;
	if (subject->n_told != model->n_told)
		agrees = false;
	(void)sonde_error_free(error);
	return agrees;
}

static bool report_agrees(struct subject *subject, struct model *model,
			  const struct sequence_step *step, int number, char *why, size_t size,
			  bool *ret_unclear)
{
	struct outcome outcome = { .number = step->what / 8 % 16 ? number : 0, .wish_ns = NEVER };
	struct sonde_error *error = outcome.number ? error_make(step, &outcome) : NULL;
	uint64_t wish_ns = SONDE_RETRY_NO_WISH;
	uint64_t delay_ns = 0;
	double expected_ns;
	bool goes_on;

	if (step->b % 7 == 0)
		outcome.wish_ns = wish_ns = (step->b >> 16) % 6000 * MS;
	chance = (double)(step->b >> 11) * 0x1p-53;
	expected_ns = model_report(model, &outcome, subject->clock.now_ns, ret_unclear);
	goes_on = sonde_retry_call_report(&subject->call, error, wish_ns, &delay_ns);
	if (*ret_unclear)
		return true;
	(void)snprintf(why, size, "error %d: goes on %d in %f, model in %f", outcome.number,
		       goes_on, (double)delay_ns, expected_ns);
	if (goes_on != (expected_ns >= 0))
		return false;
	return !goes_on || fabs((double)delay_ns - expected_ns) <= ROUNDING(expected_ns);
}

static bool step_agrees(struct subject *subject, struct model *model,
			const struct sequence_step *step, int number, char *why, size_t size)
{
	bool is_unclear = false;
	bool agrees = true;

	/* What comes after the end changes nothing; now and then another call begins. */
	if (step->what % 8 == 0 && model->end != OPEN) {
		agrees = end_agrees(subject, model, why, size);
		both_init(subject, model, step);
	} else if (step->what % 8 == 0) {
		subject->clock.now_ns += step->b % (2 * SECOND);
	} else {
		agrees = report_agrees(subject, model, step, number, why, size, &is_unclear);
	}
	if (is_unclear) {
		(void)sonde_error_free(sonde_retry_call_end(&subject->call));
		both_init(subject, model, step);
	}
	if (agrees && sonde_retry_call_attempts(&subject->call) != model->n_attempts) {
		(void)snprintf(why, size, "attempts");
		agrees = false;
	}
	return agrees;
}

static bool play(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	struct subject subject;
	struct model model;
	bool agrees = true;

	both_init(&subject, &model, &steps[0]);
	for (size_t i = 1; i < n_steps && agrees; i++)
		agrees = step_agrees(&subject, &model, &steps[i], (int)i, why, size);
	agrees = agrees && end_agrees(&subject, &model, why, size);
	sonde_retry_call_deinit(&subject.call);
	return agrees;
}

static void test_against_a_model(void **state)
{
	(void)state;
	n_drawn = 0;
	sequence_check(play, SEQUENCES, STEPS);
	/* It was about something. */
	assert_true(n_drawn > SEQUENCES / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
