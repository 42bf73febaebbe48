/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_SUPPORT_PATTERN_H
#define SONDE_TESTS_SUPPORT_PATTERN_H

/*
 * Records whose every byte follows from an id, and a ledger of what became of each id: so that a
 * test notices a lost, a doubled, a torn and an invented record alike.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "box/box.h"

enum fate {
	FATE_NONE = 0,
	FATE_COMMITTED,
	FATE_DISCARDED,
	FATE_REFUSED,
};

struct ledger {
	_Atomic uint8_t *fates; /* By id, set by its writer. */
	uint8_t *seen; /* By id, by the reader. */
	uint64_t n_ids;
	uint64_t n_seen;
	uint64_t n_wrong;
};

/* 16 to 399 bytes: from one granule to thirteen. */
static inline uint32_t pattern_size(uint64_t id)
{
	return 16 + (uint32_t)(sonde__mix64(id) % 384);
}

static inline enum sonde_signal pattern_signal(uint64_t id)
{
	return (enum sonde_signal)(id % SONDE_SIGNAL_COUNT);
}

static inline uint8_t pattern_byte(uint64_t id, uint32_t at)
{
	return (uint8_t)(sonde__mix64(id ^ ((uint64_t)(at / 8) << 40)) >> (at % 8 * 8));
}

static inline void pattern_write(void *memory, uint64_t id, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		((uint8_t *)memory)[i] = pattern_byte(id, i);
}

static inline bool pattern_is_right(const void *memory, uint64_t id, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		if (((const uint8_t *)memory)[i] != pattern_byte(id, i))
			return false;
	return true;
}

/* The whole record, head included. */
static inline void pattern_fill(struct sonde__record *record, uint64_t id)
{
	record->size = pattern_size(id);
	record->type = SONDE__RECORD_LOG;
	record->flags = 0;
	record->n_dropped_attributes = 0;
	record->time = id;
	pattern_write(record, id, sizeof(*record), record->size);
}

/* Reserves, writes and commits, or discards every 16th; false: refused. */
static inline bool pattern_put(struct ledger *ledger, uint64_t id, bool urgent)
{
	struct sonde__slot slot;
	enum fate fate = id % 16 == 5 ? FATE_DISCARDED : FATE_COMMITTED;

	if (!sonde__box_reserve(pattern_size(id), pattern_signal(id), urgent, &slot)) {
		atomic_store_explicit(&ledger->fates[id], FATE_REFUSED, memory_order_relaxed);
		return false;
	}
	atomic_store_explicit(&ledger->fates[id], fate, memory_order_relaxed);
	pattern_fill(slot.record, id);
	if (fate == FATE_COMMITTED)
		sonde__box_commit(&slot);
	else
		sonde__box_discard(&slot);
	return true;
}

static inline void ledger_fault(struct ledger *ledger, const char *what, uint64_t id)
{
	if (ledger->n_wrong++ < 10)
		fprintf(stderr, "record %llu: %s\n", (unsigned long long)id, what);
}

/* The reader's side: what came out is whole, was committed, and comes for the first time. */
static inline void ledger_see(struct ledger *ledger, const struct sonde__record *record)
{
	uint64_t id = record->time;

	if (id >= ledger->n_ids) {
		ledger_fault(ledger, "no such id", id);
		return;
	}
	if (record->size != pattern_size(id) ||
	    !pattern_is_right(record, id, sizeof(*record), record->size))
		ledger_fault(ledger, "torn", id);
	if (ledger->seen[id]++)
		ledger_fault(ledger, "came twice", id);
	if (atomic_load_explicit(&ledger->fates[id], memory_order_relaxed) != FATE_COMMITTED)
		ledger_fault(ledger, "came without having been committed", id);
	ledger->n_seen++;
}

/* When all is over: everything committed was seen. */
static inline void ledger_close(struct ledger *ledger)
{
	for (uint64_t id = 0; id < ledger->n_ids; id++)
		if (atomic_load_explicit(&ledger->fates[id], memory_order_relaxed) ==
			    FATE_COMMITTED &&
		    !ledger->seen[id])
			ledger_fault(ledger, "committed, and never came", id);
}

/* Collects and releases everything that is there. */
static inline size_t ledger_drain(struct ledger *ledger)
{
	struct sonde__record_ref refs[64];
	bool is_complete = false;
	size_t n_all = 0;

	while (!is_complete) {
		size_t n = sonde__box_collect(refs, sizeof(refs) / sizeof(refs[0]), &is_complete);

		for (size_t i = 0; i < n; i++) {
			ledger_see(ledger, refs[i].record);
			sonde__box_release(&refs[i]);
		}
		n_all += n;
	}
	return n_all;
}

/* captured = released + queued + lost, over all signals; and `unfinished` among the queued. */
static inline bool ledger_balances(const struct ledger *ledger, uint64_t unfinished)
{
	uint64_t captured = 0;
	uint64_t queued = 0;
	uint64_t lost = 0;
	uint64_t found_unfinished = 0;

	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		struct sonde__box_account account;

		sonde__box_account((enum sonde_signal)signal, &account);
		captured += account.captured;
		queued += account.queued;
		found_unfinished += account.unfinished;
		for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
			lost += account.lost[reason];
	}
	if (captured == ledger->n_seen + queued + lost && found_unfinished == unfinished)
		return true;
	fprintf(stderr,
		"captured %llu, released %llu, queued %llu, lost %llu, unfinished %llu of %llu\n",
		(unsigned long long)captured, (unsigned long long)ledger->n_seen,
		(unsigned long long)queued, (unsigned long long)lost,
		(unsigned long long)found_unfinished, (unsigned long long)unfinished);
	return false;
}

#endif
