/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The breaker against a model that keeps no state of its own but the list of what happened, and
 * answers every question by walking that list: written from the description of the states, not from
 * the code.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "resilience/breaker.h"

#define STEPS 100000
#define MS UINT64_C(1000000)

enum happening {
	ALLOWED, /* A yes to allow, or a forced attempt. */
	SUCCEEDED,
	FAILED,
};

struct event {
	enum happening what;
	uint64_t at_ns;
};

struct model {
	struct sonde__breaker_options options;
	struct event events[STEPS]; /* Since the last time it closed or opened. */
	size_t n_events;
	bool is_open; /* Opened at `opened_ns` and not closed since. */
	uint64_t opened_ns;
};

/* How many in a row, counted from the end. */
static uint32_t model_run(const struct model *model, enum happening what, enum happening breaks)
{
	uint32_t n = 0;

	for (size_t i = model->n_events; i-- > 0;) {
		if (model->events[i].what == breaks)
			break;
		n += model->events[i].what == what;
	}
	return n;
}

static bool model_has_trial(const struct model *model)
{
	return model->n_events > 0;
}

static uint64_t model_wait_ns(const struct model *model, uint64_t now_ns)
{
	uint64_t from_ns;

	if (!model->is_open)
		return 0;
	from_ns = model->opened_ns;
	if (model_has_trial(model)) {
		if (model->events[model->n_events - 1].what != ALLOWED)
			return 0;
		from_ns = model->events[model->n_events - 1].at_ns;
	}
	if (now_ns < from_ns)
		return model->options.reset_ns;
	return now_ns - from_ns >= model->options.reset_ns ?
		       0 :
		       model->options.reset_ns - (now_ns - from_ns);
}

static void model_note(struct model *model, enum happening what, uint64_t now_ns)
{
	assert_true(model->n_events < STEPS);
	model->events[model->n_events++] = (struct event){ what, now_ns };
}

static bool model_allow(struct model *model, uint64_t now_ns)
{
	if (model_wait_ns(model, now_ns))
		return false;
	if (model->is_open)
		model_note(model, ALLOWED, now_ns);
	return true;
}

static void model_report(struct model *model, uint64_t now_ns, bool is_ok)
{
	if (model->is_open && !model_has_trial(model))
		return;
	model_note(model, is_ok ? SUCCEEDED : FAILED, now_ns);
	if (!model->is_open && model_run(model, FAILED, SUCCEEDED) >= model->options.failures) {
		model->is_open = true;
	} else if (model->is_open && is_ok) {
		if (model_run(model, SUCCEEDED, FAILED) >= model->options.trials) {
			model->is_open = false;
			model->n_events = 0;
		}
		return;
	} else if (!model->is_open) {
		if (is_ok)
			model->n_events = 0;
		return;
	}
	model->opened_ns = now_ns;
	model->n_events = 0;
}

static enum sonde__breaker_state model_state(const struct model *model)
{
	if (!model->is_open)
		return SONDE__BREAKER_CLOSED;
	return model_has_trial(model) ? SONDE__BREAKER_HALF_OPEN : SONDE__BREAKER_OPEN;
}

static void compare_step(struct sonde__breaker *breaker, struct model *model, uint64_t random,
			 uint64_t now_ns)
{
	switch (random % 8) {
	case 0:
		sonde__breaker_force(breaker, now_ns);
		if (model->is_open)
			model_note(model, ALLOWED, now_ns);
		break;
	case 1:
	case 2:
	case 3:
		assert_int_equal(sonde__breaker_allow(breaker, now_ns), model_allow(model, now_ns));
		break;
	default:
		sonde__breaker_report(breaker, now_ns, (random >> 8) % 5 < 2);
		model_report(model, now_ns, (random >> 8) % 5 < 2);
		break;
	}
	assert_int_equal(breaker->state, model_state(model));
	assert_int_equal(sonde__breaker_wait_ns(breaker, now_ns), model_wait_ns(model, now_ns));
}

static void test_breaker_against_model(void **state)
{
	struct model *model = calloc(1, sizeof(*model));

	(void)state;
	assert_non_null(model);
	for (uint32_t round = 0; round < 10; round++) {
		struct sonde__breaker_options options = { .failures = 1 + round % 5,
							  .trials = 1 + round % 3,
							  .reset_ns = (round % 4) * 20 * MS };
		struct sonde__breaker breaker;
		uint64_t now_ns = 1000 * MS;

		*model = (struct model){ .options = options };
		sonde__breaker_init(&breaker, &options);
		for (uint64_t step = 0; step < STEPS / 10; step++) {
			uint64_t random = sonde__mix64(round * UINT64_C(1000003) + step);

			now_ns += (random >> 16) % (7 * MS);
			if ((random >> 48) % 64 == 0)
				now_ns -= 30 * MS; /* A clock that goes backwards. */
			compare_step(&breaker, model, random, now_ns);
		}
	}
	free(model);
}

static struct sonde__breaker make(uint32_t failures, uint32_t trials, uint64_t reset_ns)
{
	struct sonde__breaker breaker;

	sonde__breaker_init(&breaker,
			    &(struct sonde__breaker_options){ failures, trials, reset_ns });
	return breaker;
}

static void test_breaker_opens_and_closes(void **state)
{
	struct sonde__breaker breaker = make(5, 3, 60000 * MS);

	(void)state;
	for (int i = 0; i < 4; i++)
		sonde__breaker_report(&breaker, 0, /* is_ok= */ false);
	assert_true(sonde__breaker_allow(&breaker, 0));
	sonde__breaker_report(&breaker, 0, /* is_ok= */ false);
	assert_int_equal(breaker.state, SONDE__BREAKER_OPEN);
	assert_false(sonde__breaker_allow(&breaker, 60000 * MS - 1));
	assert_int_equal(sonde__breaker_wait_ns(&breaker, 59999 * MS), MS);
	for (int i = 0; i < 3; i++) {
		assert_true(sonde__breaker_allow(&breaker, 60000 * MS));
		assert_false(sonde__breaker_allow(&breaker, 60000 * MS));
		assert_int_equal(breaker.state, SONDE__BREAKER_HALF_OPEN);
		sonde__breaker_report(&breaker, 60000 * MS, /* is_ok= */ true);
	}
	assert_int_equal(breaker.state, SONDE__BREAKER_CLOSED);
}

static void test_breaker_success_between_failures(void **state)
{
	struct sonde__breaker breaker = make(2, 1, MS);

	(void)state;
	for (int i = 0; i < 100; i++)
		sonde__breaker_report(&breaker, 0, /* is_ok= */ i % 2);
	assert_int_equal(breaker.state, SONDE__BREAKER_CLOSED);
}

static void test_breaker_force(void **state)
{
	struct sonde__breaker breaker = make(1, 2, 1000 * MS);

	(void)state;
	sonde__breaker_report(&breaker, 0, /* is_ok= */ false);
	sonde__breaker_report(&breaker, MS, /* is_ok= */ true); /* Late: says nothing. */
	assert_int_equal(breaker.state, SONDE__BREAKER_OPEN);
	sonde__breaker_force(&breaker, 2 * MS);
	sonde__breaker_report(&breaker, 3 * MS, /* is_ok= */ false);
	assert_false(sonde__breaker_allow(&breaker, 1002 * MS));
	assert_true(sonde__breaker_allow(&breaker, 1003 * MS));
	sonde__breaker_report(&breaker, 1004 * MS, /* is_ok= */ true);
	sonde__breaker_force(&breaker, 1004 * MS);
	sonde__breaker_report(&breaker, 1004 * MS, /* is_ok= */ true);
	assert_int_equal(breaker.state, SONDE__BREAKER_CLOSED);
}

static void test_breaker_forgotten_trial(void **state)
{
	struct sonde__breaker breaker = make(1, 1, 10 * MS);

	(void)state;
	sonde__breaker_report(&breaker, 0, /* is_ok= */ false);
	assert_true(sonde__breaker_allow(&breaker, 10 * MS));
	assert_false(sonde__breaker_allow(&breaker, 20 * MS - 1));
	assert_true(sonde__breaker_allow(&breaker, 20 * MS));
}

static void test_breaker_zero_options(void **state)
{
	struct sonde__breaker breaker = make(0, 0, 0);

	(void)state;
	sonde__breaker_report(&breaker, 5, /* is_ok= */ false);
	assert_int_equal(breaker.state, SONDE__BREAKER_OPEN);
	assert_true(sonde__breaker_allow(&breaker, 5));
	sonde__breaker_report(&breaker, 5, /* is_ok= */ true);
	assert_int_equal(breaker.state, SONDE__BREAKER_CLOSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_breaker_against_model),
		cmocka_unit_test(test_breaker_opens_and_closes),
		cmocka_unit_test(test_breaker_success_between_failures),
		cmocka_unit_test(test_breaker_force),
		cmocka_unit_test(test_breaker_forgotten_trial),
		cmocka_unit_test(test_breaker_zero_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
