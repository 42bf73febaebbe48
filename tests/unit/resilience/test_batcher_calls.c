/* SPDX-License-Identifier: Apache-2.0 */

/* What the batcher does by default, what its calls say, and who gets which error. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/batcher.h>

#include "context/context.h"
#include "support/virtual_clock.h"

struct rig {
	struct virtual_clock clock;
	struct sonde_observer observer;
	struct sonde_batcher batcher;
	int n_orphans;
	int n_waits;
	uint64_t waited_ns;
};

static void hear(void *user, const struct sonde_observation *observation)
{
	struct rig *rig = user;

	rig->n_orphans += observation->what == SONDE_OBSERVED_ORPHAN ? (int)observation->count : 0;
	if (observation->what == SONDE_OBSERVED_WAIT) {
		rig->n_waits++;
		rig->waited_ns = observation->duration_ns;
	}
}

static void rig_open(struct rig *rig, struct sonde_batcher_options options)
{
	memset(rig, 0, sizeof(*rig));
	virtual_clock_init(&rig->clock, 100 * SECOND);
	rig->observer = (struct sonde_observer){ hear, rig };
	options.name = "rows";
	options.clock = &rig->clock.clock;
	options.observer = &rig->observer;
	assert_int_equal(sonde_batcher_init(&rig->batcher, &options), SONDE_OK);
}

static void put(struct rig *rig, uint64_t key)
{
	const struct sonde_batcher_item item = { .key = key };

	assert_null(sonde_batcher_add(&rig->batcher, &item, NULL, NULL));
}

static void test_default_is_100_items(void **state)
{
	struct rig rig;
	struct sonde_batcher_batch *batch;

	(void)state;
	rig_open(&rig, (struct sonde_batcher_options){ .max_items = 0 });
	for (int i = 0; i < 99; i++)
		put(&rig, 0);
	assert_null(sonde_batcher_take(&rig.batcher));
	put(&rig, 0);
	assert_int_equal(sonde_batcher_next_due_ns(&rig.batcher), 0);
	batch = sonde_batcher_take(&rig.batcher);
	assert_int_equal(batch->n_items, 100);
	assert_int_equal(batch->reason, SONDE_BATCHER_FULL);
	sonde_batcher_report(&rig.batcher, batch, NULL);
	sonde_batcher_deinit(&rig.batcher);
}

static void test_default_is_one_second(void **state)
{
	struct rig rig;
	struct sonde_batcher_batch *batch;

	(void)state;
	rig_open(&rig, (struct sonde_batcher_options){ .max_items = 0 });
	assert_int_equal(sonde_batcher_next_due_ns(&rig.batcher), UINT64_MAX);
	put(&rig, 0);
	assert_int_equal(sonde_batcher_next_due_ns(&rig.batcher), 101 * SECOND);
	rig.clock.now_ns += SECOND - 1;
	assert_null(sonde_batcher_take(&rig.batcher));
	rig.clock.now_ns += 1;
	batch = sonde_batcher_take(&rig.batcher);
	assert_int_equal(batch->n_items, 1);
	assert_int_equal(batch->reason, SONDE_BATCHER_DELAY);
	sonde_batcher_report(&rig.batcher, batch, NULL);
	sonde_batcher_deinit(&rig.batcher);
}

static void test_default_is_no_limit_of_bytes(void **state)
{
	struct rig rig;
	const struct sonde_batcher_item huge = { .n_bytes = UINT64_MAX / 4 };

	(void)state;
	rig_open(&rig, (struct sonde_batcher_options){ .max_items = 0 });
	for (int i = 0; i < 3; i++)
		assert_null(sonde_batcher_add(&rig.batcher, &huge, NULL, NULL));
	assert_null(sonde_batcher_take(&rig.batcher));
	sonde_batcher_deinit(&rig.batcher);
}

static void test_default_is_64_keys_and_one_batch_at_a_time(void **state)
{
	struct rig rig;
	struct sonde_batcher_batch *batch;

	(void)state;
	rig_open(&rig, (struct sonde_batcher_options){ .max_items = 0 });
	for (uint64_t key = 0; key < 64; key++)
		put(&rig, key);
	assert_null(sonde_batcher_take(&rig.batcher));
	put(&rig, 64);
	put(&rig, 65);
	batch = sonde_batcher_take(&rig.batcher);
	assert_int_equal(batch->key, 0);
	assert_int_equal(batch->reason, SONDE_BATCHER_KEYS);
	/* Another one is due, but one is taken. */
	assert_int_equal(sonde_batcher_next_due_ns(&rig.batcher), UINT64_MAX);
	assert_null(sonde_batcher_take(&rig.batcher));
	sonde_batcher_report(&rig.batcher, batch, NULL);
	batch = sonde_batcher_take(&rig.batcher);
	assert_int_equal(batch->key, 1);
	sonde_batcher_report(&rig.batcher, batch, NULL);
	sonde_batcher_deinit(&rig.batcher);
}

static struct sonde_error *try_add(struct rig *rig)
{
	const struct sonde_batcher_item item = { .key = 0 };

	return sonde_batcher_try_add(&rig->batcher, &item, NULL);
}

static void test_default_is_1000_waiting(void **state)
{
	struct rig rig;
	struct sonde_error *error;

	(void)state;
	rig_open(&rig, (struct sonde_batcher_options){ .max_items = 0 });
	for (int i = 0; i < 1000; i++)
		assert_null(try_add(&rig));
	error = try_add(&rig);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_queue_full);
	assert_string_equal(sonde_error_message(error), "batcher rows has 1000 items waiting");
	sonde_error_free(error);
	sonde_batcher_deinit(&rig.batcher);
}

static void test_without_a_name_its_errors_are_sentences(void **state)
{
	const struct sonde_batcher_item item = { .key = 0 };
	struct sonde_batcher batcher;
	struct sonde_error *error;

	(void)state;
	assert_int_equal(sonde_batcher_init(&batcher, NULL), SONDE_OK);
	sonde_batcher_close(&batcher);
	error = sonde_batcher_try_add(&batcher, &item, NULL);
	assert_string_equal(sonde_error_message(error), "batcher is closed");
	sonde_error_free(error);
	sonde_batcher_deinit(&batcher);
}

static void test_nonsense_is_refused(void **state)
{
	struct sonde_batcher batcher;
	struct sonde_error *error;

	(void)state;
	assert_int_equal(sonde_batcher_init(NULL, NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_batcher_init(&batcher, &(struct sonde_batcher_options){
							      .max_items = 1000001 }),
			 SONDE_E_INVALID);
	assert_int_equal(sonde_batcher_init(&batcher, &(struct sonde_batcher_options){
							      .concurrency = 65 }),
			 SONDE_E_INVALID);
	assert_int_equal(sonde_batcher_init(&batcher,
					    &(struct sonde_batcher_options){
						    .policy = (enum sonde_batcher_policy)3 }),
			 SONDE_E_INVALID);
	sonde_batcher_deinit(NULL);
	assert_null(sonde_batcher_take(NULL));
	error = sonde_batcher_add(NULL, NULL, NULL, NULL);
	assert_true(sonde_error_is(error, &sonde_bad_request));
	sonde_error_free(error);
	sonde_batcher_ticket_deinit(NULL);
}

/* ---- Waiting for room ------------------------------------------------------------------------ */

static struct sonde_error *add_to_full(struct rig *rig, uint64_t wait_ms,
				       struct sonde_cancel *cancel)
{
	const struct sonde_batcher_item item = { .key = 0 };

	rig_open(rig, (struct sonde_batcher_options){ .max_waiting = 1, .wait_ms = wait_ms });
	put(rig, 0);
	return sonde_batcher_add(&rig->batcher, &item, NULL, cancel);
}

static void test_waits_for_as_long_as_it_is_told(void **state)
{
	struct rig rig;
	struct sonde_error *error = add_to_full(&rig, /* wait_ms= */ 250, NULL);

	(void)state;
	assert_ptr_equal(sonde_error_type_of(error), &sonde_queue_full);
	assert_int_equal(rig.clock.waited_ns, 250 * MS);
	sonde_error_free(error);
	sonde_batcher_deinit(&rig.batcher);
}

static void test_waits_until_the_deadline(void **state)
{
	struct rig rig;
	struct sonde_context context = SONDE_CONTEXT_INIT;
	struct sonde_context previous;
	struct sonde_error *error;

	(void)state;
	context.extension[0] = 100 * SECOND + 70 * MS;
	previous = sonde_context_attach(&context);
	error = add_to_full(&rig, /* wait_ms= */ 0, NULL);
	sonde_context_attach(&previous);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	assert_ptr_equal(sonde_error_type_of(sonde_error_cause(error)), &sonde_queue_full);
	assert_int_equal(rig.clock.waited_ns, 70 * MS);
	sonde_error_free(error);
	sonde_batcher_deinit(&rig.batcher);
}

static void test_waits_until_it_is_cancelled(void **state)
{
	struct rig rig;
	struct sonde_cancel cancel;
	struct sonde_error *error;

	(void)state;
	sonde_cancel_init(&cancel, NULL);
	sonde_cancel_fire(&cancel, "the client has gone");
	error = add_to_full(&rig, /* wait_ms= */ 0, &cancel);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_cancelled);
	sonde_error_free(error);
	sonde_cancel_deinit(&cancel);
	sonde_batcher_deinit(&rig.batcher);
}

static void take_and_report(struct rig *rig, struct sonde_error *error)
{
	struct sonde_batcher_batch *batch = sonde_batcher_take(&rig->batcher);

	assert_non_null(batch);
	sonde_batcher_report(&rig->batcher, batch, error);
}

/* The clock's wait is where the loop would run. */
static void wait_and_take(void *user, uint64_t until_ns)
{
	struct rig *rig = user;

	(void)until_ns;
	rig->clock.now_ns += 5 * MS;
	take_and_report(rig, NULL);
}

static void test_pressure_makes_room(void **state)
{
	struct rig rig;
	const struct sonde_batcher_item item = { .key = 1 };

	(void)state;
	rig_open(&rig, (struct sonde_batcher_options){ .max_waiting = 2 });
	rig.clock.clock.wait = wait_and_take;
	rig.clock.clock.user = &rig;
	/* The clock is the first of the rig: its own user, all the same. */
	put(&rig, 0);
	put(&rig, 1);
	assert_null(sonde_batcher_add(&rig.batcher, &item, NULL, NULL));
	assert_int_equal(rig.n_waits, 1);
	assert_int_equal(rig.waited_ns, 5 * MS);
	sonde_batcher_deinit(&rig.batcher);
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static void test_a_batch_that_fails_gives_each_its_own_error(void **state)
{
	struct rig rig;
	struct sonde_batcher_ticket tickets[2];
	struct sonde_error *errors[2];
	const struct sonde_batcher_item item = { .key = 0 };

	(void)state;
	rig_open(&rig, (struct sonde_batcher_options){ .max_items = 3 });
	for (int i = 0; i < 2; i++)
		assert_null(sonde_batcher_add(&rig.batcher, &item, &tickets[i], NULL));
	put(&rig, 0);
	take_and_report(&rig, sonde_error_wrap(sonde_error_raise(&sonde_timeout, "no answer"),
					       &sonde_external_service, "the rows were not stored"));
	for (int i = 0; i < 2; i++) {
		assert_true(sonde_batcher_ticket_is_done(&tickets[i]));
		errors[i] = sonde_batcher_ticket_wait(&tickets[i], NULL, NULL);
		assert_ptr_equal(sonde_error_type_of(errors[i]), &sonde_external_service);
		assert_string_equal(sonde_error_message(errors[i]), "the rows were not stored");
		assert_string_equal(sonde_error_message(sonde_error_cause(errors[i])), "no answer");
		sonde_batcher_ticket_deinit(&tickets[i]);
	}
	assert_ptr_not_equal(errors[0], errors[1]);
	sonde_error_free(errors[0]);
	assert_string_equal(sonde_error_message(sonde_error_cause(errors[1])), "no answer");
	sonde_error_free(errors[1]);
	/* The third had nobody who asked. */
	assert_int_equal(rig.n_orphans, 1);
	sonde_batcher_deinit(&rig.batcher);
}

static void test_a_wait_for_an_outcome_ends_early(void **state)
{
	struct rig rig;
	struct sonde_batcher_ticket ticket;
	struct sonde_cancel cancel;
	struct sonde_error *error;
	const struct sonde_batcher_item item = { .key = 0 };

	(void)state;
	rig_open(&rig, (struct sonde_batcher_options){ .max_items = 3 });
	sonde_cancel_init(&cancel, NULL);
	sonde_cancel_fire(&cancel, "no time");
	assert_null(sonde_batcher_add(&rig.batcher, &item, &ticket, NULL));
	error = sonde_batcher_ticket_wait(&ticket, &cancel, NULL);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_cancelled);
	sonde_error_free(error);
	assert_false(sonde_batcher_ticket_is_done(&ticket));
	/* The next wait knows nothing of it. */
	sonde__thread.current.extension[SONDE__EXTENSION_DEADLINE] = 1;
	error = sonde_batcher_ticket_wait(&ticket, NULL, NULL);
	sonde__thread.current.extension[SONDE__EXTENSION_DEADLINE] = 0;
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	sonde_error_free(error);
	sonde_batcher_flush(&rig.batcher);
	take_and_report(&rig, NULL);
	assert_true(sonde_batcher_ticket_is_done(&ticket));
	assert_null(sonde_batcher_ticket_wait(&ticket, &cancel, NULL));
	sonde_batcher_ticket_deinit(&ticket);
	/* The sugar takes back what nobody waits for any more. */
	error = sonde_batcher_run(&rig.batcher, &item, &cancel, NULL);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_cancelled);
	sonde_error_free(error);
	sonde_batcher_flush(&rig.batcher);
	assert_null(sonde_batcher_take(&rig.batcher));
	assert_int_equal(rig.n_orphans, 0);
	sonde_cancel_deinit(&cancel);
	sonde_batcher_deinit(&rig.batcher);
}

static void test_an_outcome_outlives_the_batcher(void **state)
{
	struct rig rig;
	struct sonde_batcher_ticket ticket;
	struct sonde_error *error;
	const struct sonde_batcher_item item = { .key = 0 };

	(void)state;
	rig_open(&rig, (struct sonde_batcher_options){ .max_items = 3 });
	assert_null(sonde_batcher_add(&rig.batcher, &item, &ticket, NULL));
	sonde_batcher_deinit(&rig.batcher);
	sonde_batcher_deinit(&rig.batcher);
	error = sonde_batcher_ticket_wait(&ticket, NULL, NULL);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_closed);
	sonde_error_free(error);
	sonde_batcher_ticket_deinit(&ticket);
}

static void test_stop_cancels_what_is_not_taken_in_time(void **state)
{
	struct rig rig;
	struct sonde_batcher_figures figures;
	struct sonde_error *error;

	(void)state;
	rig_open(&rig, (struct sonde_batcher_options){ .max_items = 3 });
	put(&rig, 0);
	put(&rig, 1);
	error = sonde_batcher_stop(&rig.batcher, /* timeout_ms= */ 300, NULL);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	assert_string_equal(sonde_error_message(error),
			    "batcher rows was not done in time: 2 items not handled");
	assert_int_equal(rig.clock.waited_ns, 300 * MS);
	sonde_error_free(error);
	error = try_add(&rig);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_closed);
	sonde_error_free(error);
	sonde_batcher_figures(&rig.batcher, &figures);
	assert_int_equal(figures.n_cancelled, 2);
	assert_int_equal(figures.n_rejected, 1);
	assert_null(sonde_batcher_stop(&rig.batcher, 0, NULL));
	sonde_batcher_deinit(&rig.batcher);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_is_100_items),
		cmocka_unit_test(test_default_is_one_second),
		cmocka_unit_test(test_default_is_no_limit_of_bytes),
		cmocka_unit_test(test_default_is_64_keys_and_one_batch_at_a_time),
		cmocka_unit_test(test_default_is_1000_waiting),
		cmocka_unit_test(test_without_a_name_its_errors_are_sentences),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_waits_for_as_long_as_it_is_told),
		cmocka_unit_test(test_waits_until_the_deadline),
		cmocka_unit_test(test_waits_until_it_is_cancelled),
		cmocka_unit_test(test_pressure_makes_room),
		cmocka_unit_test(test_a_batch_that_fails_gives_each_its_own_error),
		cmocka_unit_test(test_a_wait_for_an_outcome_ends_early),
		cmocka_unit_test(test_an_outcome_outlives_the_batcher),
		cmocka_unit_test(test_stop_cancels_what_is_not_taken_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
