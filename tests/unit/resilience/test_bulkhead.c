/* SPDX-License-Identifier: Apache-2.0 */

/* The bulkhead on virtual time, in one process alone and in shared memory. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/bulkhead.h>
#include <sonde/deadline.h>

#include "support/virtual_clock.h"

/* ---- What is heard --------------------------------------------------------------------------- */

struct ear {
	struct sonde_observer observer;
	uint32_t n_rejections;
	uint32_t n_waits;
	uint32_t n_others;
	uint64_t duration_ns; /* Of the last one. */
	const struct sonde_error_type *type;
	char name[32];
};

static void hear(void *user, const struct sonde_observation *observation)
{
	struct ear *ear = user;

	assert_int_equal(observation->pattern, SONDE_PATTERN_BULKHEAD);
	if (observation->what == SONDE_OBSERVED_REJECTION)
		ear->n_rejections++;
	else if (observation->what == SONDE_OBSERVED_WAIT)
		ear->n_waits++;
	else
		ear->n_others++;
	ear->duration_ns = observation->duration_ns;
	ear->type = observation->error ? sonde_error_type_of(observation->error) : NULL;
	snprintf(ear->name, sizeof(ear->name), "%s", observation->name);
}

static void ear_init(struct ear *ear)
{
	*ear = (struct ear){ .observer = { hear, ear } };
}

/* Frees the error, having looked at it. */
static void assert_error(struct sonde_error *error, const struct sonde_error_type *type,
			 const char *message)
{
	assert_non_null(error);
	assert_ptr_equal(sonde_error_type_of(error), type);
	assert_string_equal(sonde_error_message(error), message);
	sonde_error_free(error);
}

static struct sonde_bulkhead_figures figures_of(struct sonde_bulkhead *bulkhead)
{
	struct sonde_bulkhead_figures figures;

	sonde_bulkhead_read(bulkhead, &figures);
	return figures;
}

/* ---- By hand --------------------------------------------------------------------------------- */

static void test_default_is_25_and_nobody_waits(void **state)
{
	struct virtual_clock clock;
	struct sonde_bulkhead_options options = { .name = "defaults", .clock = &clock.clock };
	struct sonde_bulkhead bulkhead;

	(void)state;
	virtual_clock_init(&clock, SECOND);
	for (int is_null = 0; is_null < 2; is_null++) {
		assert_int_equal(sonde_bulkhead_init(&bulkhead, is_null ? NULL : &options),
				 SONDE_OK);
		for (int i = 0; i < 25; i++)
			assert_true(sonde_bulkhead_try_acquire(&bulkhead));
		assert_false(sonde_bulkhead_try_acquire(&bulkhead));
		assert_int_equal(figures_of(&bulkhead).limit, 25);
		if (!is_null)
			assert_error(sonde_bulkhead_acquire(&bulkhead, NULL), &sonde_bulkhead_full,
				     "bulkhead \"defaults\" is full: no permit is left, and nobody may wait");
		sonde_bulkhead_deinit(&bulkhead);
	}
	assert_int_equal(clock.n_waits, 0);
}

static void test_503_and_worth_trying_again(void **state)
{
	struct sonde_bulkhead_options options = { .limit = 1 };
	struct sonde_bulkhead bulkhead;
	struct sonde_error *error;

	(void)state;
	assert_int_equal(sonde_bulkhead_init(&bulkhead, &options), SONDE_OK);
	assert_null(sonde_bulkhead_acquire(&bulkhead, NULL));
	error = sonde_bulkhead_acquire(&bulkhead, NULL);
	assert_int_equal(sonde_error_http_status(error), 503);
	assert_string_equal(sonde_error_code(error), "BULKHEAD_FULL");
	sonde_error_free(error);
	sonde_bulkhead_deinit(&bulkhead);
}

static void test_nonsense_is_refused(void **state)
{
	const struct sonde_bulkhead_options nonsense[] = {
		{ .limit = UINT32_C(0x80000000) },
		{ .limit = 8, .max_limit = 7 },
		{ .max_limit = 24, .shared = true }, /* Below the default. */
		{ .limit = 65537, .shared = true },
		{ .limit = 1, .max_limit = 65537, .shared = true },
		{ .limit = 1, .max_queue = 65537, .shared = true },
	};
	struct sonde_bulkhead bulkhead;

	(void)state;
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
		assert_int_equal(sonde_bulkhead_init(&bulkhead, &nonsense[i]), SONDE_E_INVALID);
	assert_int_equal(sonde_bulkhead_init(NULL, NULL), SONDE_E_INVALID);
	sonde_bulkhead_deinit(NULL);
	sonde_bulkhead_release(NULL);
	assert_int_equal(sonde_bulkhead_init(&bulkhead, NULL), SONDE_OK);
	assert_int_equal(sonde_bulkhead_set_limit(&bulkhead, UINT32_C(0x80000000)),
			 SONDE_E_INVALID);
	assert_int_equal(figures_of(&bulkhead).limit, 25);
	assert_int_equal(sonde_bulkhead_ask(&bulkhead, NULL, NULL, NULL), SONDE_E_INVALID);
	sonde_bulkhead_deinit(&bulkhead);
}

static void test_waits_as_long_as_one_may(void **state)
{
	struct virtual_clock clock;
	struct ear ear;
	struct sonde_bulkhead_options options = {
		.name = "payments",
		.limit = 1,
		.max_queue = 3,
		.max_wait_ms = 500,
		.clock = &clock.clock,
		.observer = &ear.observer,
	};
	struct sonde_bulkhead bulkhead;

	for (int is_shared = 0; is_shared < 2; is_shared++) {
		(void)state;
		ear_init(&ear);
		virtual_clock_init(&clock, SECOND);
		options.shared = is_shared;
		assert_int_equal(sonde_bulkhead_init(&bulkhead, &options), SONDE_OK);
		assert_null(sonde_bulkhead_acquire(&bulkhead, NULL));
		assert_int_equal(ear.n_rejections + ear.n_waits + ear.n_others, 0);
		errno = 4711;
		assert_error(sonde_bulkhead_acquire(&bulkhead, NULL), &sonde_bulkhead_full,
			     "bulkhead \"payments\" is full: no permit in 500 ms");
		assert_int_equal(errno, 4711);
		assert_int_equal(clock.now_ns, SECOND + 500 * MS);
		assert_int_equal(ear.n_rejections, 1);
		assert_int_equal(ear.duration_ns, 500 * MS);
		assert_ptr_equal(ear.type, &sonde_bulkhead_full);
		assert_string_equal(ear.name, "payments");
		assert_int_equal(figures_of(&bulkhead).n_rejected_wait, 1);
		assert_int_equal(figures_of(&bulkhead).n_waiting, 0);
		sonde_bulkhead_deinit(&bulkhead);
	}
}

static void test_deadline_ends_the_wait(void **state)
{
	struct virtual_clock clock;
	struct sonde_bulkhead_options options = {
		.name = "payments",
		.limit = 1,
		.max_queue = 3,
		.clock = &clock.clock,
	};
	struct sonde_bulkhead bulkhead;

	for (int is_shared = 0; is_shared < 2; is_shared++) {
		SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;
		struct sonde_error *error;
		const struct sonde_error *cause;

		(void)state;
		virtual_clock_init(&clock, SECOND);
		options.shared = is_shared;
		assert_int_equal(sonde_bulkhead_init(&bulkhead, &options), SONDE_OK);
		assert_true(sonde_bulkhead_try_acquire(&bulkhead));
		sonde_deadline_begin(&deadline, 250, &clock.clock);
		error = sonde_bulkhead_acquire(&bulkhead, NULL);
		assert_int_equal(clock.now_ns, SECOND + 250 * MS);
		cause = sonde_error_cause(error);
		assert_string_equal(sonde_error_message(cause),
				    "bulkhead \"payments\" is full: no permit in 250 ms");
		assert_ptr_equal(sonde_error_type_of(cause), &sonde_bulkhead_full);
		assert_error(error, &sonde_timeout,
			     "the deadline came before a permit of bulkhead \"payments\"");
		/* It is over now: nobody waits any more, and nobody is refused what is there. */
		error = sonde_bulkhead_acquire(&bulkhead, NULL);
		assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
		sonde_error_free(error);
		assert_int_equal(clock.now_ns, SECOND + 250 * MS);
		sonde_bulkhead_release(&bulkhead);
		assert_null(sonde_bulkhead_acquire(&bulkhead, NULL));
		sonde_bulkhead_deinit(&bulkhead);
	}
}

static void test_token_that_was_fired(void **state)
{
	struct sonde_bulkhead_options options = { .limit = 1, .max_queue = UINT32_MAX };
	struct sonde_bulkhead bulkhead;
	SONDE_CANCEL_AUTODEINIT struct sonde_cancel cancel;

	sonde_cancel_init(&cancel, NULL);
	sonde_cancel_fire(&cancel, "enough");
	for (int is_shared = 0; is_shared < 2; is_shared++) {
		(void)state;
		options.shared = is_shared;
		assert_int_equal(sonde_bulkhead_init(&bulkhead, &options), SONDE_OK);
		assert_error(sonde_bulkhead_acquire(&bulkhead, &cancel), &sonde_cancelled,
			     "cancelled: enough");
		assert_int_equal(figures_of(&bulkhead).n_taken, 0);
		assert_int_equal(figures_of(&bulkhead).n_withdrawn, 1);
		sonde_bulkhead_deinit(&bulkhead);
	}
}

static struct sonde_error *look_inside(void *argument)
{
	struct sonde_bulkhead *bulkhead = argument;

	assert_int_equal(figures_of(bulkhead).n_taken, 1);
	return sonde_error_raise(&sonde_not_found, "as the operation says");
}

static void test_run_gives_back_and_hands_the_error_on(void **state)
{
	struct sonde_bulkhead_options options = { .limit = 1 };
	struct sonde_bulkhead bulkhead;

	for (int is_shared = 0; is_shared < 2; is_shared++) {
		(void)state;
		options.shared = is_shared;
		assert_int_equal(sonde_bulkhead_init(&bulkhead, &options), SONDE_OK);
		assert_error(sonde_bulkhead_run(&bulkhead, NULL, look_inside, &bulkhead),
			     &sonde_not_found, "as the operation says");
		assert_int_equal(figures_of(&bulkhead).n_taken, 0);
		assert_true(sonde_bulkhead_try_acquire(&bulkhead));
		assert_error(sonde_bulkhead_run(&bulkhead, NULL, look_inside, &bulkhead),
			     &sonde_bulkhead_full,
			     "bulkhead \"\" is full: no permit is left, and nobody may wait");
		sonde_bulkhead_deinit(&bulkhead);
	}
}

static void test_try_tells_an_observer_why(void **state)
{
	struct ear ear;
	struct sonde_bulkhead_options options = { .name = "n", .limit = 1,
						  .observer = &ear.observer };
	struct sonde_bulkhead bulkhead;

	(void)state;
	ear_init(&ear);
	assert_int_equal(sonde_bulkhead_init(&bulkhead, &options), SONDE_OK);
	assert_true(sonde_bulkhead_try_acquire(&bulkhead));
	assert_false(sonde_bulkhead_try_acquire(&bulkhead));
	assert_int_equal(ear.n_rejections, 1);
	assert_int_equal(ear.duration_ns, 0);
	assert_ptr_equal(ear.type, &sonde_bulkhead_full);
	assert_int_equal(figures_of(&bulkhead).n_rejected_limit, 1);
	sonde_bulkhead_deinit(&bulkhead);
}

static void test_one_given_back_too_many(void **state)
{
	struct sonde_bulkhead_options options = { .limit = 2 };
	struct sonde_bulkhead bulkhead;

	for (int is_shared = 0; is_shared < 2; is_shared++) {
		(void)state;
		options.shared = is_shared;
		assert_int_equal(sonde_bulkhead_init(&bulkhead, &options), SONDE_OK);
		for (int i = 0; i < 3; i++)
			sonde_bulkhead_release(&bulkhead);
		assert_true(sonde_bulkhead_try_acquire(&bulkhead));
		assert_true(sonde_bulkhead_try_acquire(&bulkhead));
		assert_false(sonde_bulkhead_try_acquire(&bulkhead));
		sonde_bulkhead_deinit(&bulkhead);
	}
}

/* ---- Places for loops ------------------------------------------------------------------------ */

static void forbid_grant(void *user)
{
	(void)user;
	fail();
}

static void test_shared_has_no_places_for_loops(void **state)
{
	struct sonde_bulkhead_options options = { .limit = 1, .max_limit = 2, .shared = true };
	struct sonde_bulkhead_waiter waiter;
	struct sonde_bulkhead bulkhead;

	(void)state;
	assert_int_equal(sonde_bulkhead_init(&bulkhead, &options), SONDE_OK);
	assert_int_equal(sonde_bulkhead_ask(&bulkhead, &waiter, forbid_grant, NULL),
			 SONDE_E_UNSUPPORTED);
	assert_int_equal(sonde_bulkhead_set_limit(&bulkhead, 3), SONDE_E_INVALID);
	assert_int_equal(sonde_bulkhead_set_limit(&bulkhead, 2), SONDE_OK);
	sonde_bulkhead_deinit(&bulkhead);
}

static void test_withdrawal_is_told(void **state)
{
	struct ear ear;
	const struct sonde_bulkhead_options options = { .name = "n", .limit = 1, .max_queue = 1,
							.observer = &ear.observer };
	struct sonde_bulkhead_waiter waiter;
	struct sonde_bulkhead bulkhead;

	(void)state;
	ear_init(&ear);
	assert_int_equal(sonde_bulkhead_init(&bulkhead, &options), SONDE_OK);
	assert_true(sonde_bulkhead_try_acquire(&bulkhead));
	assert_int_equal(sonde_bulkhead_ask(&bulkhead, &waiter, forbid_grant, NULL),
			 SONDE_BULKHEAD_QUEUED);
	assert_int_equal(ear.n_rejections, 0);
	assert_true(sonde_bulkhead_withdraw(&bulkhead, &waiter));
	assert_int_equal(ear.n_rejections, 1);
	assert_ptr_equal(ear.type, &sonde_cancelled);
	assert_int_equal(figures_of(&bulkhead).n_withdrawn, 1);
	sonde_bulkhead_deinit(&bulkhead);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_is_25_and_nobody_waits),
		cmocka_unit_test(test_503_and_worth_trying_again),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_waits_as_long_as_one_may),
		cmocka_unit_test(test_deadline_ends_the_wait),
		cmocka_unit_test(test_token_that_was_fired),
		cmocka_unit_test(test_run_gives_back_and_hands_the_error_on),
		cmocka_unit_test(test_try_tells_an_observer_why),
		cmocka_unit_test(test_one_given_back_too_many),
		cmocka_unit_test(test_shared_has_no_places_for_loops),
		cmocka_unit_test(test_withdrawal_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
