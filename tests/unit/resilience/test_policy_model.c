/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Four calls of a loop through one policy with all guards, in any order, against a model of the
 * declared order. The model's guards are the simplest that keep what the headers promise: a breaker
 * with one trial, a count of permits, tokens as a real.
 */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/sequence.h"
#include "support/virtual_clock.h"

#include <sonde/exporter.h>
#include <sonde/policy.h>

#include "error/error.h"

#define SEQUENCES 2500
#define STEPS 120
#define CALLS 4
#define NEVER UINT64_MAX

#define PERMITS 2
#define ATTEMPTS 3
#define FIRST_NS SECOND
#define FAILURES 2
#define RESET_NS (3 * SECOND)
#define TIMEOUT_NS (6 * SECOND)
#define BURST 3
#define TOKENS_PER_S 1

/* ---- The model ------------------------------------------------------------------------------- */

enum breaker_state { CLOSED, OPENED, TRYING };

enum phase { NONE, WAITING, GOING, OVER };

struct model_call {
	enum phase phase;
	uint64_t began_ns;
	uint64_t next_ns;
	uint32_t n_attempts;
	uint32_t generation; /* Of its ticket. */
	/* In the end: */
	const struct sonde_error_type *type; /* NULL: it went well. */
	const char *stage;
};

struct model {
	bool retries_rejections;
	enum breaker_state breaker;
	uint32_t generation;
	uint32_t n_failures;
	bool has_trial;
	uint64_t opened_ns;
	int n_taken;
	double tokens;
	struct model_call calls[CALLS];
};

static void breaker_become(struct model *model, enum breaker_state state, uint64_t now_ns)
{
	model->breaker = state;
	model->generation++;
	model->n_failures = 0;
	model->has_trial = false;
	model->opened_ns = now_ns;
}

static bool breaker_admits(struct model *model, struct model_call *call, uint64_t now_ns)
{
	if (model->breaker == OPENED && now_ns >= model->opened_ns + RESET_NS)
		breaker_become(model, TRYING, now_ns);
	if (model->breaker == OPENED || (model->breaker == TRYING && model->has_trial))
		return false;
	model->has_trial = model->breaker == TRYING;
	call->generation = model->generation;
	return true;
}

/* 1: good, -1: bad, 0: neither. */
static void breaker_hears(struct model *model, const struct model_call *call, int verdict,
			  uint64_t now_ns)
{
	if (call->generation != model->generation)
		return;
	model->has_trial = false;
	if (verdict > 0 && model->breaker == TRYING)
		breaker_become(model, CLOSED, now_ns);
	else if (verdict > 0)
		model->n_failures = 0;
	else if (verdict < 0 && (model->breaker == TRYING || ++model->n_failures == FAILURES))
		breaker_become(model, OPENED, now_ns);
}

static void call_over(struct model_call *call, const struct sonde_error_type *type,
		      const char *stage)
{
	call->phase = OVER;
	call->type = type;
	call->stage = stage;
}

/* The retry's part: an attempt, or its admission, failed. */
static void call_failed(struct model *model, struct model_call *call, uint64_t now_ns,
			const struct sonde_error_type *type, const char *rejected_by,
			uint64_t wish_ns)
{
	const uint64_t end_ns = call->began_ns + TIMEOUT_NS;
	bool is_late = now_ns >= end_ns && type != &sonde_timeout && type != &sonde_cancelled;
	uint64_t delay_ns = FIRST_NS << call->n_attempts++;

	if (wish_ns != NEVER)
		delay_ns = wish_ns;
	if ((rejected_by && !model->retries_rejections) || !sonde_error_type_is_retryable(type))
		call_over(call, is_late ? &sonde_timeout : type,
			  is_late ? "deadline" : rejected_by ? rejected_by : "operation");
	else if (call->n_attempts == ATTEMPTS)
		call_over(call, is_late ? &sonde_timeout : type, is_late ? "deadline" : "retry");
	else if (now_ns + delay_ns >= end_ns)
		call_over(call, &sonde_timeout, "deadline");
	else
		*call = (struct model_call){ WAITING, call->began_ns, now_ns + delay_ns,
					     call->n_attempts, 0, NULL, NULL };
}

/* False: too close for reals to say. */
static bool call_asks(struct model *model, struct model_call *call, uint64_t now_ns)
{
	if (call->phase != WAITING || now_ns < call->next_ns)
		return true;
	if (now_ns >= call->began_ns + TIMEOUT_NS) {
		call_over(call, &sonde_timeout, "deadline");
	} else if (!breaker_admits(model, call, now_ns)) {
		call_failed(model, call, now_ns, &sonde_circuit_open, "breaker", NEVER);
	} else if (model->n_taken == PERMITS) {
		breaker_hears(model, call, 0, now_ns);
		call_failed(model, call, now_ns, &sonde_bulkhead_full, "bulkhead", NEVER);
	} else if (fabs(model->tokens - 1) < 1e-6) {
		return false;
	} else if (model->tokens < 1) {
		breaker_hears(model, call, 0, now_ns);
		call_failed(model, call, now_ns, &sonde_rate_limited, "limiter",
			    (uint64_t)((1 - model->tokens) * 1e9 / TOKENS_PER_S));
	} else {
		model->tokens -= 1;
		model->n_taken++;
		call->phase = GOING;
	}
	return true;
}

static void call_reports(struct model *model, struct model_call *call, uint64_t now_ns,
			 const struct sonde_error_type *type, int verdict)
{
	if (call->phase != GOING)
		return;
	model->n_taken--;
	breaker_hears(model, call, verdict, now_ns);
	if (type)
		call_failed(model, call, now_ns, type, NULL, NEVER);
	else
		call_over(call, NULL, NULL);
}

/* ---- The subject ----------------------------------------------------------------------------- */

struct subject {
	struct virtual_clock clock;
	struct sonde_retry retry;
	struct sonde_breaker breaker;
	struct sonde_bulkhead bulkhead;
	struct sonde_limiter limiter;
	struct sonde_policy policy;
	struct sonde_policy_call calls[CALLS];
};

static void subject_init(struct subject *s, bool retries_rejections)
{
	const struct sonde_clock *clock = &s->clock.clock;

	memset(s, 0, sizeof(*s));
	virtual_clock_init(&s->clock, 1000 * SECOND);
	assert_int_equal(sonde_retry_init(&s->retry, &(struct sonde_retry_options){
							     .jitter = SONDE_JITTER_NONE,
							     .clock = clock }),
			 SONDE_OK);
	assert_int_equal(sonde_breaker_init(&s->breaker, &(struct sonde_breaker_options){
								 .failures = FAILURES,
								 .half_open_calls = 1,
								 .reset_ms = RESET_NS / MS,
								 .trial_timeout_ms = UINT64_MAX,
								 .clock = clock }),
			 SONDE_OK);
	assert_int_equal(sonde_bulkhead_init(&s->bulkhead, &(struct sonde_bulkhead_options){
								   .limit = PERMITS,
								   .clock = clock }),
			 SONDE_OK);
	assert_int_equal(sonde_limiter_init(&s->limiter, &(struct sonde_limiter_options){
								 .permits = TOKENS_PER_S,
								 .burst = BURST,
								 .max_keys = 1,
								 .clock = clock }),
			 SONDE_OK);
	assert_int_equal(sonde_policy_init(&s->policy, &(struct sonde_policy_options){
							       .timeout_ms = TIMEOUT_NS / MS,
							       .retry = &s->retry,
							       .breaker = &s->breaker,
							       .bulkhead = &s->bulkhead,
							       .limiter = &s->limiter,
							       .retries_rejections =
								       retries_rejections }),
			 SONDE_OK);
}

static void subject_deinit(struct subject *s)
{
	for (int i = 0; i < CALLS; i++)
		sonde_policy_call_deinit(&s->calls[i]);
	sonde_policy_deinit(&s->policy);
	sonde_limiter_deinit(&s->limiter);
	sonde_bulkhead_deinit(&s->bulkhead);
	sonde_breaker_deinit(&s->breaker);
	sonde_retry_deinit(&s->retry);
}

/* ---- Both ------------------------------------------------------------------------------------ */

static bool stage_is(const struct sonde_error *error, const char *stage)
{
	struct sonde_item_view item;
	uint16_t n_dropped;
	struct sonde_bytes rest = sonde__error_attributes(error, &n_dropped);

	while (sonde_item_next(SONDE_FIELDS_LOG, &rest, &item))
		if (item.name.size == 18 && !memcmp(item.name.data, "sonde.policy.stage", 18))
			return item.value.as.string.size == strlen(stage) &&
			       !memcmp(item.value.as.string.data, stage, strlen(stage));
	return false;
}

static bool end_agrees(struct subject *s, struct model *model, int i, char *why, size_t size)
{
	struct model_call *expected = &model->calls[i];
	struct sonde_error *error = sonde_policy_call_end(&s->calls[i]);
	bool agrees = true;

	(void)snprintf(why, size, "call %d ends with %s, model at %s", i,
		       sonde_error_message(error), expected->stage ? expected->stage : "nothing");
	if (expected->phase == OVER && expected->type)
		agrees = sonde_error_type_of(error) == expected->type &&
			 stage_is(error, expected->stage);
	else if (expected->phase == OVER)
		agrees = !error;
	if (expected->phase == GOING) {
		model->n_taken--;
		breaker_hears(model, expected, 0, s->clock.now_ns);
	}
	*expected = (struct model_call){ 0 };
	sonde_error_free(error);
	return agrees;
}

/* *ret_unclear: the model cannot say. */
static bool next_agrees(struct subject *s, struct model *model, int i, char *why, size_t size,
			bool *ret_unclear)
{
	static const int steps[] = { [WAITING] = SONDE_POLICY_WAIT,
				     [GOING] = SONDE_POLICY_GO,
				     [OVER] = SONDE_POLICY_DONE,
				     [NONE] = SONDE_POLICY_DONE };
	struct model_call *expected = &model->calls[i];
	uint64_t now_ns = s->clock.now_ns;
	uint64_t ns = 0;
	uint64_t expected_ns = 0;
	int step;

	*ret_unclear = !call_asks(model, expected, now_ns);
	if (*ret_unclear)
		return true;
	step = (int)sonde_policy_call_next(&s->calls[i], &ns);
	if (expected->phase == WAITING)
		expected_ns = expected->next_ns - now_ns;
	if (expected->phase == GOING && now_ns < expected->began_ns + TIMEOUT_NS)
		expected_ns = expected->began_ns + TIMEOUT_NS - now_ns;
	(void)snprintf(why, size, "call %d says %d in %llu, model %d in %llu", i, step,
		       (unsigned long long)ns, steps[expected->phase],
		       (unsigned long long)expected_ns);
	return step == steps[expected->phase] &&
	       fabs((double)ns - (double)expected_ns) <= 1000 + (double)expected_ns * 1e-6;
}

static void report(struct subject *s, struct model *model, int i, uint32_t a)
{
	static const struct {
		const struct sonde_error_type *type;
		int verdict;
	} outcomes[] = {
		{ NULL, 1 },
		{ &sonde_unavailable, -1 },
		{ &sonde_timeout, -1 },
		{ &sonde_not_found, 1 },
		{ &sonde_cancelled, 0 },
		{ &sonde_external_service, -1 },
	};
	size_t k = a % (sizeof(outcomes) / sizeof(outcomes[0]));

	call_reports(model, &model->calls[i], s->clock.now_ns, outcomes[k].type,
		     outcomes[k].verdict);
	sonde_policy_call_report(&s->calls[i], outcomes[k].type ?
						       sonde_error_raise(outcomes[k].type, "x") :
						       NULL);
}

static bool guards_agree(struct subject *s, const struct model *model, char *why, size_t size)
{
	static const enum sonde_breaker_state states[] = { [CLOSED] = SONDE_BREAKER_CLOSED,
							   [OPENED] = SONDE_BREAKER_OPEN,
							   [TRYING] = SONDE_BREAKER_HALF_OPEN };
	struct sonde_bulkhead_figures figures;
	enum sonde_breaker_state state = sonde_breaker_state_of(&s->breaker);

	sonde_bulkhead_read(&s->bulkhead, &figures);
	if (state == states[model->breaker] && (int)figures.n_taken == model->n_taken)
		return true;
	(void)snprintf(why, size, "breaker %d, model %d; permits %u, model %d", (int)state,
		       (int)states[model->breaker], figures.n_taken, model->n_taken);
	return false;
}

static bool step_agrees(struct subject *s, struct model *model, const struct sequence_step *step,
			char *why, size_t size, bool *ret_unclear)
{
	int i = (int)(step->a % CALLS);
	uint64_t passes_ns = step->b % (2 * SECOND);
	bool agrees = true;

	switch (step->what % 8) {
	case 0:
		s->clock.now_ns += passes_ns;
		model->tokens = fmin(BURST,
				     model->tokens + (double)passes_ns * 1e-9 * TOKENS_PER_S);
		break;
	case 1:
	case 2:
		if (model->calls[i].phase == NONE) {
			sonde_policy_call_begin(&s->calls[i], &s->policy, NULL);
			model->calls[i] = (struct model_call){ WAITING, s->clock.now_ns,
							       s->clock.now_ns, 0, 0, NULL, NULL };
		} else if (model->calls[i].phase == OVER || step->b % 8 == 0) {
			agrees = end_agrees(s, model, i, why, size);
		}
		break;
	case 3:
	case 4:
		if (model->calls[i].phase != NONE)
			report(s, model, i, (uint32_t)(step->b >> 8));
		break;
	default:
		if (model->calls[i].phase != NONE)
			agrees = next_agrees(s, model, i, why, size, ret_unclear);
	}
	return agrees && (*ret_unclear || guards_agree(s, model, why, size));
}

static bool play(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	struct model model = { .retries_rejections = steps[0].a & 1, .tokens = BURST };
	struct subject subject;
	bool is_unclear = false;
	bool agrees = true;

	subject_init(&subject, model.retries_rejections);
	for (size_t i = 1; i < n_steps && agrees && !is_unclear; i++)
		agrees = step_agrees(&subject, &model, &steps[i], why, size, &is_unclear);
	subject_deinit(&subject);
	return agrees;
}

static void test_against_a_model(void **state)
{
	(void)state;
	sequence_check(play, SEQUENCES, STEPS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
