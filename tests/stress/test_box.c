/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads write as fast as they can while one reader drains: every byte of every record is checked,
 * order within each thread, and the account at the end. SONDE_STRESS_SECONDS says how long
 * (default: 3).
 */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/pattern.h"
#include "base/clock.h"
#include "base/text.h"

#define N_WRITERS 6
#define N_REFS 512
#define THREAD_SHIFT 40

struct writer {
	pthread_t thread;
	uint64_t number;
	uint64_t n_committed;
	uint64_t n_discarded;
	uint64_t n_refused;
};

static _Atomic bool is_over;
static uint64_t last_seen[N_WRITERS][2]; /* By writer and urgency: the newest that came. */
static uint64_t n_seen;
static uint64_t n_late;

static uint64_t seconds(void)
{
	const char *text = getenv("SONDE_STRESS_SECONDS");
	uint64_t value;

	return text && sonde__parse_uint(text, &value) && value > 0 ? value : 3;
}

static void *write_all(void *argument)
{
	struct writer *writer = argument;

	/* Relaxed: nothing hangs on when exactly it is seen. */
	for (uint64_t i = 1; !atomic_load_explicit(&is_over, memory_order_relaxed); i++) {
		uint64_t id = writer->number << THREAD_SHIFT | i;
		struct sonde__slot slot;

		if (!sonde__box_reserve(pattern_size(id), pattern_signal(id), i % 64 == 0, &slot)) {
			writer->n_refused++;
			continue;
		}
		pattern_fill(slot.record, id);
		if (i % 32 == 7) {
			sonde__box_discard(&slot);
			writer->n_discarded++;
		} else {
			sonde__box_commit(&slot);
			writer->n_committed++;
		}
	}
	return NULL;
}

static void see(const struct sonde__record *record)
{
	uint64_t id = record->time;
	uint64_t writer = id >> THREAD_SHIFT;
	uint64_t i = id & ((UINT64_C(1) << THREAD_SHIFT) - 1);

	assert_true(writer < N_WRITERS && i % 32 != 7);
	assert_int_equal(record->size, pattern_size(id));
	assert_true(pattern_is_right(record, id, sizeof(*record), record->size));
	/*
	 * A thread that was moved to another CPU has records in two rings: late is possible, twice
	 * is not.
	 */
	n_late += i <= last_seen[writer][i % 64 == 0];
	last_seen[writer][i % 64 == 0] = i;
	n_seen++;
}

/* Keeps what it collected for a while, as the pipeline does. */
static void drain(void)
{
	struct sonde__record_ref refs[N_REFS];
	bool is_complete = false;

	while (!is_complete) {
		size_t n = sonde__box_collect(refs, N_REFS, &is_complete);

		for (size_t i = 0; i < n; i++)
			see(refs[i].record);
		for (size_t i = 0; i < n; i++)
			sonde__box_release(&refs[i]);
	}
}

static void check_while_running(void)
{
	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		struct sonde__box_account account;
		uint64_t lost = 0;

		sonde__box_account((enum sonde_signal)signal, &account);
		for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
			lost += account.lost[reason];
		assert_true(lost <= account.captured);
		assert_true(account.queued <= account.captured);
	}
}

static void threads_and_a_reader(void **state)
{
	struct sonde__box_options options = { .size_bytes = 1 << 20, .service_name = "stress" };
	struct writer writers[N_WRITERS] = { 0 };
	struct ledger ledger = { 0 };
	struct sonde__box_info info;
	uint64_t end = sonde__monotonic_ns() + seconds() * SONDE__NS_PER_S;
	uint64_t n_committed = 0;

	(void)state;
	assert_int_equal(sonde__box_open(&options, &info), SONDE_OK);
	for (uint64_t i = 0; i < N_WRITERS; i++) {
		writers[i].number = i;
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_all, &writers[i]),
				 0);
	}
	while (sonde__monotonic_ns() < end) {
		drain();
		check_while_running();
	}
	atomic_store_explicit(&is_over, true, memory_order_relaxed);
	for (int i = 0; i < N_WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		n_committed += writers[i].n_committed;
	}
	drain();
	assert_int_equal(n_seen, n_committed);
	ledger.n_seen = n_seen;
	assert_true(ledger_balances(&ledger, /* unfinished= */ 0));
	print_message("%llu records, %llu of them out of order\n", (unsigned long long)n_seen,
		      (unsigned long long)n_late);
	sonde__box_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_and_a_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
