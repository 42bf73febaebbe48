/* SPDX-License-Identifier: Apache-2.0 */
/* The ring through the box's door: what one thread can see. */

#include "box/box.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../support/pattern.h"
#include "box/ring.h"
#include "box/shape.h"

#define N_IDS 200000
#define N_REFS 4096

static struct sonde__record_ref refs[N_REFS];
static struct ledger ledger;
static uint64_t next_id;

static int setup(void **state)
{
	struct sonde__box_options options = { .size_bytes = 256 * 1024,
					      .service_name = "unit-ring" };
	struct sonde__box_info info;

	(void)state;
	ledger = (struct ledger){ .fates = calloc(N_IDS, 1),
				  .seen = calloc(N_IDS, 1),
				  .n_ids = N_IDS };
	next_id = 0;
	assert_int_equal(sonde__box_open(&options, &info), SONDE_OK);
	assert_string_equal(info.reason, "");
	assert_int_equal(info.n_rings, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ledger_drain(&ledger);
	ledger_close(&ledger);
	assert_true(ledger_balances(&ledger, /* unfinished= */ 0));
	assert_int_equal(ledger.n_wrong, 0);
	sonde__box_close();
	free(ledger.fates);
	free(ledger.seen);
	return 0;
}

/* The accounts are the test's own matter. */
static int close_box(void **state)
{
	(void)state;
	sonde__box_close();
	return 0;
}

static bool put(void)
{
	return pattern_put(&ledger, next_id++, /* urgent= */ false);
}

static uint64_t lost(enum sonde_signal signal, enum sonde_loss reason)
{
	struct sonde__box_account account;

	sonde__box_account(signal, &account);
	return account.lost[reason];
}

static void records_come_out_as_they_went_in(void **state)
{
	(void)state;
	for (int round = 0; round < 300; round++) {
		for (int i = 0; i < 200; i++)
			assert_true(put());
		assert_true(ledger_drain(&ledger) >= 180);
		assert_true(ledger_balances(&ledger, /* unfinished= */ 0));
	}
}

static void order_is_that_of_reservation(void **state)
{
	struct sonde__slot slots[3];
	bool is_complete;

	(void)state;
	for (uint64_t i = 0; i < 3; i++) {
		assert_true(sonde__box_reserve(pattern_size(i), pattern_signal(i),
					       /* urgent= */ false, &slots[i]));
		pattern_fill(slots[i].record, i);
		ledger.fates[i] = FATE_COMMITTED;
	}
	sonde__box_commit(&slots[2]);
	sonde__box_commit(&slots[0]);
	sonde__box_commit(&slots[1]);
	assert_int_equal(sonde__box_collect(refs, N_REFS, &is_complete), 3);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(refs[i].record->time, i);
		ledger_see(&ledger, refs[i].record);
		sonde__box_release(&refs[i]);
	}
}

static void an_unfinished_record_is_stepped_over(void **state)
{
	struct sonde__slot slot;
	size_t n;

	(void)state;
	assert_true(sonde__box_reserve(100, SONDE_SIGNAL_LOG, /* urgent= */ false, &slot));
	for (int i = 0; i < 20; i++)
		put();
	n = ledger_drain(&ledger);
	assert_true(n >= 18);
	assert_int_equal(ledger_drain(&ledger), 0);
	assert_true(ledger_balances(&ledger, /* unfinished= */ 1));
	while (put())
		;
	ledger_drain(&ledger);
	assert_true(ledger_balances(&ledger, /* unfinished= */ 1));
	sonde__box_discard(&slot);
	ledger_drain(&ledger);
	assert_true(ledger_balances(&ledger, /* unfinished= */ 0));
}

static void what_is_not_released_stays(void **state)
{
	bool is_complete;
	size_t n;

	(void)state;
	for (int i = 0; i < 50; i++)
		put();
	n = sonde__box_collect(refs, N_REFS, &is_complete);
	assert_true(n > 40);
	for (int round = 0; round < 5; round++) {
		while (put())
			;
		ledger_drain(&ledger);
	}
	for (size_t i = 0; i < n; i++) {
		ledger_see(&ledger, refs[i].record);
		sonde__box_release(&refs[i]);
		sonde__box_release(&refs[i]); /* Twice is harmless. */
	}
}

static void a_small_capacity_goes_on_where_it_stopped(void **state)
{
	bool is_complete = false;

	(void)state;
	for (int i = 0; i < 700; i++)
		put();
	assert_int_equal(sonde__box_collect(refs, /* capacity= */ 0, &is_complete), 0);
	assert_false(is_complete);
	for (uint64_t expected = 0; !is_complete;) {
		size_t n = sonde__box_collect(refs, 3, &is_complete);

		assert_true(n <= 3 && (n == 3 || is_complete));
		for (size_t i = 0; i < n; i++) {
			assert_true(refs[i].record->time >= expected);
			expected = refs[i].record->time + 1;
			ledger_see(&ledger, refs[i].record);
			sonde__box_release(&refs[i]);
		}
	}
}

static void a_full_ring_counts_and_recovers(void **state)
{
	uint64_t n_before;

	(void)state;
	while (put())
		;
	assert_true(sonde__box_fill_percent() > 90);
	n_before = lost(SONDE_SIGNAL_SPAN, SONDE_LOSS_RING_FULL);
	for (int i = 0; i < 300; i++)
		assert_false(sonde__box_reserve(2000, SONDE_SIGNAL_SPAN, /* urgent= */ false,
						&(struct sonde__slot){ 0 }));
	assert_int_equal(lost(SONDE_SIGNAL_SPAN, SONDE_LOSS_RING_FULL), n_before + 300);
	assert_true(ledger_balances(&ledger, /* unfinished= */ 0));
	ledger_drain(&ledger);
	assert_true(sonde__box_fill_percent() < 25);
	assert_true(put());
}

static void errors_have_a_reserve(void **state)
{
	size_t n_urgent = 0;

	(void)state;
	while (put())
		;
	while (pattern_put(&ledger, next_id, /* urgent= */ true)) {
		next_id++;
		n_urgent++;
	}
	next_id++;
	assert_true(n_urgent > 200);
	assert_int_equal(sonde__box_fill_percent() > 90, 1);
	assert_true(ledger_balances(&ledger, /* unfinished= */ 0));
}

static bool is_rung(void)
{
	return sonde__bell_wait(&sonde__box_bell, /* timeout_ns= */ 1);
}

static void an_urgent_record_rings_the_bell(void **state)
{
	(void)state;
	is_rung();
	put();
	assert_false(is_rung());
	pattern_put(&ledger, 16, /* urgent= */ true);
	assert_true(is_rung());
}

static void half_full_rings_the_bell(void **state)
{
	(void)state;
	is_rung();
	while (sonde__box_fill_percent() < 30)
		put();
	assert_false(is_rung());
	while (sonde__box_fill_percent() < 65)
		put();
	assert_true(is_rung());
}

static void sizes_have_limits(void **state)
{
	struct sonde__slot slot;
	struct sonde__record *record;
	bool is_complete;

	(void)state;
	assert_false(sonde__box_reserve(SONDE__RECORD_MAX_SIZE + 1, SONDE_SIGNAL_LOG,
					/* urgent= */ true, &slot));
	assert_false(sonde__box_reserve(SIZE_MAX, SONDE_SIGNAL_LOG, /* urgent= */ true, &slot));
	assert_false(sonde__box_reserve(0, SONDE_SIGNAL_LOG, /* urgent= */ true, &slot));
	assert_int_equal(lost(SONDE_SIGNAL_LOG, SONDE_LOSS_TOO_BIG), 3);
	assert_true(sonde__box_reserve(SONDE__RECORD_MAX_SIZE, SONDE_SIGNAL_LOG,
				       /* urgent= */ false, &slot));
	record = slot.record;
	memset(record, 0xee, SONDE__RECORD_MAX_SIZE);
	record->size = SONDE__RECORD_MAX_SIZE;
	sonde__box_commit(&slot);
	assert_int_equal(sonde__box_collect(refs, N_REFS, &is_complete), 1);
	assert_ptr_equal(refs[0].record, record);
	sonde__box_release(&refs[0]);
	ledger.n_seen++;
	assert_int_equal((uintptr_t)record % 8, 0);
}

static void a_record_that_lies_about_its_size_is_counted(void **state)
{
	static const uint32_t lies[] = { 0, 15, 300, SONDE__RECORD_MAX_SIZE + 1, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct sonde__slot slot;

		assert_true(sonde__box_reserve(64, SONDE_SIGNAL_PART, /* urgent= */ false, &slot));
		((struct sonde__record *)slot.record)->size = lies[i];
		sonde__box_commit(&slot);
		put();
		put();
		put();
	}
	ledger_drain(&ledger);
	assert_true(lost(SONDE_SIGNAL_PART, SONDE_LOSS_INVALID) >= sizeof(lies) / sizeof(lies[0]));
}

static void losses_outside_the_ring_are_captured_too(void **state)
{
	struct sonde__box_account account;

	(void)state;
	sonde__box_count_loss(SONDE_SIGNAL_SPAN, SONDE_LOSS_TOO_BIG);
	sonde__box_count_loss((enum sonde_signal)77, SONDE_LOSS_TOO_BIG);
	sonde__box_count_loss(SONDE_SIGNAL_SPAN, (enum sonde_loss)77);
	sonde__box_account(SONDE_SIGNAL_SPAN, &account);
	assert_int_equal(account.captured, 1);
	assert_int_equal(account.lost[SONDE_LOSS_TOO_BIG], 1);
	sonde__box_account((enum sonde_signal)77, &account);
	assert_int_equal(account.captured, 0);
}

/* A block takes as many of the smallest records as its word can count, and no more. */
static void the_word_cannot_overflow(void **state)
{
	static _Alignas(4096) uint8_t memory[512 * 1024];
	struct sonde__ring *ring = (struct sonde__ring *)memory;
	struct sonde__ring_shape shape;
	struct sonde__ring_account account;
	struct sonde__place place;
	size_t n = 0;

	(void)state;
	assert_true(sonde__ring_shape_fit(sizeof(memory), /* block_shift= */ 16, &shape));
	sonde__ring_open(ring, &shape,
			 /* sequence= */ (UINT64_C(1) << SONDE__WORD_SEQUENCE_BITS) - 2,
			 /* number= */ 0);
	while (sonde__ring_reserve(ring, &shape, 1, SONDE_SIGNAL_PART, &place))
		n++;
	assert_int_equal(n, shape.n_blocks * SONDE__WORD_MAX);
	sonde__ring_account(ring, &shape, SONDE_SIGNAL_PART, &account);
	assert_int_equal(account.captured, n);
	assert_int_equal(account.unfinished, n);
	sonde__ring_account(ring, &shape, SONDE_SIGNAL_LOG, &account);
	assert_int_equal(account.captured, 0);
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(records_come_out_as_they_went_in),
		RING_TEST(order_is_that_of_reservation),
		RING_TEST(an_unfinished_record_is_stepped_over),
		RING_TEST(what_is_not_released_stays),
		RING_TEST(a_small_capacity_goes_on_where_it_stopped),
		RING_TEST(a_full_ring_counts_and_recovers),
		RING_TEST(errors_have_a_reserve),
		RING_TEST(an_urgent_record_rings_the_bell),
		RING_TEST(half_full_rings_the_bell),
		RING_TEST(sizes_have_limits),
		RING_TEST(a_record_that_lies_about_its_size_is_counted),
		cmocka_unit_test_setup_teardown(losses_outside_the_ring_are_captured_too, setup,
						close_box),
		cmocka_unit_test(the_word_cannot_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
