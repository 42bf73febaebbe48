/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine of the breaker from inside: as the pipeline's lanes use it, with one trial at a time
 * and by force, and where its numbers come round.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/testpoint.h"
#include "resilience/trials.h"

#define MS UINT64_C(1000000)

static struct sonde__circuit circuit;
static struct sonde__circuit_state circuit_state;
static struct sonde__circuit_slot slots[SONDE__CIRCUIT_SLOTS_MAX];
static struct sonde__circuit_changes changes;

static void make_of(const struct sonde__circuit_options *options)
{
	memset(&circuit_state, 0, sizeof(circuit_state));
	memset(slots, 0, sizeof(slots));
	changes.n = 0;
	assert_int_equal(sonde__circuit_init(&circuit, options, &(struct sonde__outcomes){ 0 },
					     &circuit_state, slots),
			 SONDE_OK);
}

static void make(uint32_t failures, uint32_t calls, uint64_t reset_ns)
{
	make_of(&(struct sonde__circuit_options){ .failures = failures,
						  .calls = calls,
						  .concurrent = 1,
						  .reset_ns = reset_ns,
						  .trial_ns = reset_ns });
}

static enum sonde_breaker_state state_of(void)
{
	return sonde__circuit_state_of(&circuit);
}

/* One attempt after another, as a lane makes them: the ticket is the last one's. */
static struct sonde_breaker_ticket ticket;

static bool allow(uint64_t now_ns)
{
	changes.n = 0;
	return sonde__circuit_admit(&circuit, now_ns, &ticket, &changes);
}

static void force(uint64_t now_ns)
{
	changes.n = 0;
	sonde__circuit_admit_by_force(&circuit, now_ns, &ticket, &changes);
}

static void report(uint64_t now_ns, bool is_ok)
{
	changes.n = 0;
	sonde__circuit_report(&circuit, &ticket, now_ns,
			      is_ok ? SONDE_BREAKER_GOOD : SONDE_BREAKER_BAD, /* is_slow= */ false,
			      &changes);
}

static void fail_one(uint64_t now_ns)
{
	assert_true(allow(now_ns));
	report(now_ns, /* is_ok= */ false);
}

static void test_opens_and_closes(void **state)
{
	(void)state;
	make(5, 3, 60000 * MS);
	for (int i = 0; i < 4; i++)
		fail_one(0);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	fail_one(0);
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
	assert_int_equal(changes.n, 1);
	assert_false(allow(60000 * MS - 1));
	assert_int_equal(sonde__circuit_wait_ns(&circuit, 59999 * MS), MS);
	for (int i = 0; i < 3; i++) {
		struct sonde_breaker_ticket other;

		assert_true(allow(60000 * MS));
		assert_false(
			sonde__circuit_admit(&circuit, 60000 * MS, &other, &changes));
		assert_int_equal(state_of(), SONDE_BREAKER_HALF_OPEN);
		report(60000 * MS, /* is_ok= */ true);
	}
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
}

static void test_success_between_failures(void **state)
{
	(void)state;
	make(2, 1, MS);
	for (int i = 0; i < 100; i++) {
		assert_true(allow(0));
		report(0, /* is_ok= */ i % 2);
	}
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
}

static void test_by_force(void **state)
{
	struct sonde_breaker_ticket late;

	(void)state;
	make(1, 2, 1000 * MS);
	assert_true(allow(0));
	late = ticket;
	fail_one(0);
	ticket = late;
	report(MS, /* is_ok= */ true); /* Late: says nothing. */
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
	force(2 * MS);
	assert_int_equal(state_of(), SONDE_BREAKER_HALF_OPEN);
	report(3 * MS, /* is_ok= */ false);
	assert_false(allow(1002 * MS));
	assert_true(allow(1003 * MS));
	report(1004 * MS, /* is_ok= */ true);
	force(1004 * MS);
	report(1004 * MS, /* is_ok= */ true);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	force(1005 * MS); /* While closed it is an attempt as any. */
	report(1005 * MS, /* is_ok= */ false);
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
}

/* A failure from before the circuit was closed is none of the new state. */
static void test_late_failure(void **state)
{
	(void)state;
	make(1, 1, MS);
	assert_true(allow(0));
	sonde__circuit_force(&circuit, SONDE_BREAKER_CLOSED, 0, &changes);
	report(0, /* is_ok= */ false);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
}

/* The place of the one that runs is taken: it counts no more. */
static void test_force_takes_over(void **state)
{
	struct sonde_breaker_ticket first;

	(void)state;
	make(1, 1, 10 * MS);
	fail_one(0);
	assert_true(allow(10 * MS));
	first = ticket;
	force(11 * MS);
	assert_int_not_equal(ticket.permit, first.permit);
	assert_int_equal(sonde__circuit_wait_ns(&circuit, 12 * MS), 9 * MS);
	sonde__circuit_report(&circuit, &first, 12 * MS, SONDE_BREAKER_BAD, false, &changes);
	assert_int_equal(state_of(), SONDE_BREAKER_HALF_OPEN);
	report(12 * MS, /* is_ok= */ true);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
}

static void test_forgotten_trial(void **state)
{
	(void)state;
	make(1, 1, 10 * MS);
	fail_one(0);
	assert_true(allow(10 * MS));
	assert_false(allow(20 * MS - 1));
	assert_true(allow(20 * MS));
}

static void test_zero_options(void **state)
{
	(void)state;
	make(0, 0, 0);
	fail_one(5);
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
	assert_true(allow(5 + 1000)); /* Rounded up to a microsecond. */
	report(5 + 1000, /* is_ok= */ true);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
}

static void test_clock_that_goes_back(void **state)
{
	(void)state;
	make(1, 1, 10 * MS);
	fail_one(100 * MS);
	assert_false(allow(MS));
	assert_int_equal(sonde__circuit_wait_ns(&circuit, 0), 110 * MS);
	assert_true(allow(110 * MS));
	assert_false(allow(50 * MS));
	assert_int_equal(sonde__circuit_wait_ns(&circuit, 50 * MS), 70 * MS);
	report(0, /* is_ok= */ true);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
}

/* ---- Numbers that come round ----------------------------------------------------------------- */

static void set_generation(uint32_t generation)
{
	uint64_t word = sonde__circuit_word(&circuit);

	atomic_store(&circuit_state.word, (word & UINT32_MAX) | (uint64_t)generation << 32);
}

static void test_generations_come_round(void **state)
{
	(void)state;
	make(1, 2, 10 * MS);
	set_generation(UINT32_MAX - 4);
	for (uint64_t t = 1; t < 20; t++) {
		fail_one(t * 100 * MS);
		assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
		assert_false(allow(t * 100 * MS + 9 * MS));
		for (int i = 0; i < 2; i++) {
			assert_true(allow(t * 100 * MS + 10 * MS));
			assert_int_not_equal(ticket.generation, 0);
			report(t * 100 * MS + 10 * MS, /* is_ok= */ true);
		}
		assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
		/* A ticket of nobody is of no generation. */
		memset(&ticket, 0, sizeof(ticket));
		report(t * 100 * MS, /* is_ok= */ false);
		assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	}
}

/* What a slot holds of a generation with the same last bits is not there. */
static void test_slots_are_cleared(void **state)
{
	(void)state;
	make_of(&(struct sonde__circuit_options){
		.failures = 1, .calls = 3, .concurrent = 3, .reset_ns = MS, .trial_ns = MS });
	fail_one(0);
	assert_true(allow(MS));
	report(MS, /* is_ok= */ true);
	assert_true(allow(MS));
	report(MS, /* is_ok= */ true);
	/* Round once, through every other generation. */
	for (uint32_t i = 0; i < 65536; i++)
		sonde__circuit_force(&circuit,
				     i % 2 ? SONDE_BREAKER_HALF_OPEN : SONDE_BREAKER_CLOSED,
				     2 * MS, &changes);
	assert_int_equal(state_of(), SONDE_BREAKER_HALF_OPEN);
	for (int i = 0; i < 2; i++) {
		assert_true(allow(3 * MS));
		report(3 * MS, /* is_ok= */ true);
		assert_int_equal(state_of(), SONDE_BREAKER_HALF_OPEN);
	}
	assert_true(allow(3 * MS));
	report(3 * MS, /* is_ok= */ true);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
}

static void test_a_million_trials(void **state)
{
	uint64_t now_ns = MS;

	(void)state;
	make(1, 1000000, MS);
	fail_one(now_ns);
	now_ns += MS;
	for (int i = 0; i < 1000000; i++) {
		assert_int_not_equal(state_of(), SONDE_BREAKER_CLOSED);
		assert_true(allow(now_ns));
		report(now_ns, /* is_ok= */ true);
	}
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
}

static void test_limits(void **state)
{
	const struct sonde__circuit_options rows[] = {
		{ .failures = SONDE__CIRCUIT_COUNT_MAX + 1 },
		{ .calls = SONDE__CIRCUIT_COUNT_MAX + 1 },
		{ .calls = 20, .concurrent = SONDE__CIRCUIT_SLOTS_MAX + 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(sonde__circuit_init(&circuit, &rows[i],
						     &(struct sonde__outcomes){ 0 },
						     &circuit_state, slots),
				 SONDE_E_INVALID);
}

/* ---- A rival between two steps --------------------------------------------------------------- */

#ifdef SONDE_TESTPOINTS
#define RIVALS 8
#define OPEN_TICKETS 64

static uint64_t rival_now_ns;
static int rival;
static int rival_at;
static bool rival_was_there;
static uint32_t n_changes;
static struct sonde_breaker_ticket out[OPEN_TICKETS]; /* Trials of the present generation. */
static uint32_t n_out;
static uint32_t n_ended;
static uint32_t out_generation;
static bool has_failed; /* One of them. */

static void note_generation(uint32_t generation)
{
	if (generation <= out_generation)
		return;
	out_generation = generation;
	n_out = n_ended = 0;
	has_failed = false;
}

static void note_changes(const struct sonde__circuit_changes *made)
{
	n_changes += made->n;
	for (uint32_t i = 0; i < made->n; i++)
		note_generation(made->list[i].generation);
}

static bool acquire_one(void)
{
	struct sonde__circuit_changes made = { 0 };
	struct sonde_breaker_ticket got;
	bool is_admitted = sonde__circuit_admit(&circuit, rival_now_ns, &got, &made);

	note_changes(&made);
	if (is_admitted)
		note_generation(got.generation);
	/* What was admitted is of the state that there is. */
	if (is_admitted)
		assert_int_equal(got.generation,
				 sonde__circuit_word_generation(sonde__circuit_word(&circuit)));
	/* After the first failure there is nothing to try. */
	if (is_admitted && got.permit)
		assert_false(has_failed);
	if (is_admitted && got.permit && got.generation == out_generation)
		out[n_out++] = got;
	return is_admitted;
}

static void report_one(enum sonde_breaker_verdict verdict)
{
	struct sonde__circuit_changes made = { 0 };
	struct sonde_breaker_ticket which;

	if (!n_out)
		return;
	which = out[--n_out];
	n_ended += verdict != SONDE_BREAKER_NEITHER;
	has_failed |= verdict == SONDE_BREAKER_BAD;
	sonde__circuit_report(&circuit, &which, rival_now_ns, verdict, false, &made);
	note_changes(&made);
}

/* As one who is stopped before he changes the state. */
static void report_half(void)
{
	uint64_t word = sonde__circuit_word(&circuit);

	if (!n_out)
		return;
	assert_true(sonde__trials_end(&circuit, &out[--n_out], word, SONDE_BREAKER_BAD, false));
	has_failed = true;
}

static void force_one(enum sonde_breaker_state to)
{
	struct sonde__circuit_changes made = { 0 };

	sonde__circuit_force(&circuit, to, rival_now_ns - MS, &made);
	note_changes(&made);
	/* To the same is told nobody, and begins anew. */
	n_changes += !made.n;
}

static void rival_come(const char *name)
{
	static bool is_inside;

	(void)name;
	if (is_inside || rival_at-- != 0)
		return;
	is_inside = rival_was_there = true;
	switch (rival) {
	case 0:
		acquire_one();
		break;
	case 1:
		acquire_one();
		acquire_one();
		break;
	case 2:
		report_one(SONDE_BREAKER_GOOD);
		break;
	case 3:
		report_one(SONDE_BREAKER_BAD);
		break;
	case 4:
		acquire_one();
		report_one(SONDE_BREAKER_NEITHER);
		break;
	case 5:
		force_one(SONDE_BREAKER_OPEN);
		break;
	case 6:
		report_half();
		break;
	default:
		report_one(SONDE_BREAKER_GOOD);
		acquire_one();
		report_one(SONDE_BREAKER_GOOD);
		break;
	}
	is_inside = false;
}

/* Never more trials than wanted; every change told to one; and it goes on. */
static void assert_sound(void)
{
	if (state_of() == SONDE_BREAKER_HALF_OPEN) {
		assert_true(n_out <= 2);
		assert_true(n_out + n_ended <= 3);
	}
	assert_int_equal(n_changes,
			 sonde__circuit_word_generation(sonde__circuit_word(&circuit)) - 1);
}

static void with_rival(int which, int at, bool is_one_by_one)
{
	make_of(&(struct sonde__circuit_options){
		.failures = 1, .calls = 3, .concurrent = 2, .reset_ns = MS, .trial_ns = 100 * MS });
	n_changes = n_out = n_ended = 0;
	has_failed = false;
	out_generation = 1;
	rival_now_ns = 10 * MS;
	rival = which;
	rival_at = at;
	rival_was_there = false;
	force_one(SONDE_BREAKER_OPEN);
	__atomic_store_n(&sonde__testpoint_hook, rival_come, __ATOMIC_RELEASE);
	acquire_one();
	assert_sound();
	report_one(SONDE_BREAKER_GOOD);
	assert_sound();
	acquire_one();
	if (is_one_by_one)
		report_one(SONDE_BREAKER_GOOD);
	acquire_one();
	acquire_one();
	assert_sound();
	report_one(SONDE_BREAKER_GOOD);
	assert_sound();
	acquire_one();
	report_one(SONDE_BREAKER_BAD);
	__atomic_store_n(&sonde__testpoint_hook, NULL, __ATOMIC_RELEASE);
	assert_sound();
	for (int i = 0; state_of() != SONDE_BREAKER_CLOSED; i++) {
		assert_true(i < 10);
		rival_now_ns += MS;
		(void)acquire_one();
		while (n_out)
			report_one(SONDE_BREAKER_GOOD);
		assert_sound();
	}
}

static void test_rival_at_each_point(void **state)
{
	bool is_any = true;

	(void)state;
	for (int which = 0; which < RIVALS; which++) {
		is_any = true;
		for (int at = 0; is_any; at++) {
			with_rival(which, at, /* is_one_by_one= */ false);
			is_any = rival_was_there;
			with_rival(which, at, /* is_one_by_one= */ true);
			is_any |= rival_was_there;
		}
	}
}

/* ---- Who was stopped before he said how long ------------------------------------------------- */

/* The circuit is tried and opens once more; half the reset time later the stopped one goes on. */
static void open_once_more(const char *name)
{
	if (strcmp(name, "circuit:ask") != 0)
		return;
	sonde__testpoint_hook = NULL;
	fail_one(1000 * MS);
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
	assert_int_equal(sonde__circuit_wait_ns(&circuit, 1500 * MS), 500 * MS);
}

static void test_who_comes_late_lengthens_no_reset_time(void **state)
{
	(void)state;
	make(1, 1, 1000 * MS);
	fail_one(0);
	sonde__testpoint_hook = open_once_more;
	assert_int_equal(sonde__circuit_wait_ns(&circuit, 999 * MS), 0);
	assert_null(sonde__testpoint_hook);
	assert_int_equal(sonde__circuit_wait_ns(&circuit, 1500 * MS), 500 * MS);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opens_and_closes),
		cmocka_unit_test(test_success_between_failures),
		cmocka_unit_test(test_by_force),
		cmocka_unit_test(test_late_failure),
		cmocka_unit_test(test_force_takes_over),
		cmocka_unit_test(test_forgotten_trial),
		cmocka_unit_test(test_zero_options),
		cmocka_unit_test(test_clock_that_goes_back),
		cmocka_unit_test(test_generations_come_round),
		cmocka_unit_test(test_slots_are_cleared),
		cmocka_unit_test(test_a_million_trials),
		cmocka_unit_test(test_limits),
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test(test_rival_at_each_point),
		cmocka_unit_test(test_who_comes_late_lengthens_no_reset_time),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
