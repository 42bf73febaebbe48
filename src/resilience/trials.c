/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trials of a half-open circuit. Each slot is one permit, which is out or not, with what came
 * of the trials that had it: one word, so that giving an outcome and giving the permit back are one
 * exchange. A slot of an earlier generation counts as empty.
 *
 *	free ──take──▶ out ──end──▶ free, with one outcome more
 *	                │
 *	                └──overdue, or its owner is dead──▶ free, or out for somebody else
 */

#include "resilience/trials.h"

#include "base/testpoint.h"
#include "resilience/clock.h"
#include "resilience/owner.h"

/*
 * Generation's last 16 bits | serial 17 | out 1 | outcomes 30. The serial tells a permit from an
 * earlier one of the same slot. Outcomes are, where rates decide, 10 bits each of all, failed and
 * slow ones; else a bit "failed" and the number of successes.
 */
#define PERMIT_GENERATION_SHIFT 48
#define PERMIT_SERIAL_SHIFT 31
#define PERMIT_SERIAL_MASK 0x1ffffu
#define PERMIT_OUT (UINT64_C(1) << 30)
#define PERMIT_OUTCOMES (PERMIT_OUT - 1)
#define HAS_FAILED (UINT64_C(1) << 29)
#define TALLY_MASK 0x3ffu

static bool is_of(uint64_t permit, uint64_t word)
{
	return permit >> PERMIT_GENERATION_SHIFT == (sonde__circuit_word_generation(word) & 0xffff);
}

static uint32_t serial_of(uint64_t permit)
{
	return (uint32_t)(permit >> PERMIT_SERIAL_SHIFT) & PERMIT_SERIAL_MASK;
}

/* The permit of `word`'s generation that comes after `old`. */
static uint64_t next_permit(uint64_t old, uint64_t word, bool is_out)
{
	uint64_t outcomes = is_of(old, word) ? old & PERMIT_OUTCOMES : 0;
	uint64_t serial = (serial_of(old) + 1) & PERMIT_SERIAL_MASK;

	return (uint64_t)(sonde__circuit_word_generation(word) & 0xffff)
		       << PERMIT_GENERATION_SHIFT |
	       serial << PERMIT_SERIAL_SHIFT | (is_out ? PERMIT_OUT : 0) | outcomes;
}

static struct sonde__tally tally_of(const struct sonde__circuit *circuit, uint64_t permit)
{
	uint64_t outcomes = permit & PERMIT_OUTCOMES;

	if (!sonde__circuit_counts_rates(circuit))
		return (struct sonde__tally){
			.n = (uint32_t)(outcomes & ~HAS_FAILED),
			.n_failed = (outcomes & HAS_FAILED) != 0,
		};
	return (struct sonde__tally){
		.n = (uint32_t)outcomes & TALLY_MASK,
		.n_failed = (uint32_t)(outcomes >> 10) & TALLY_MASK,
		.n_slow = (uint32_t)(outcomes >> 20) & TALLY_MASK,
	};
}

/* The permit after one more trial. */
static uint64_t ended(const struct sonde__circuit *circuit, uint64_t permit,
		      enum sonde_breaker_verdict verdict, bool is_slow)
{
	bool is_failed = verdict == SONDE_BREAKER_BAD;

	if (verdict == SONDE_BREAKER_NEITHER)
		return permit;
	if (!sonde__circuit_counts_rates(circuit))
		return is_failed ? permit | HAS_FAILED : permit + 1;
	return permit + 1 + (is_failed ? UINT64_C(1) << 10 : 0) +
	       (is_slow ? UINT64_C(1) << 20 : 0);
}

static uint64_t permit_load(const struct sonde__circuit *circuit, uint32_t i)
{
	/*
	 * S1: sequentially consistent, as is every change S2 of a permit. Of two who give one back
	 * and then add up, the later one sees both.
	 */
	return atomic_load_explicit(&circuit->slots[i].permit, memory_order_seq_cst);
}

static bool permit_change(const struct sonde__circuit *circuit, uint32_t i, uint64_t from,
			  uint64_t to)
{
	/* S2, see S1. */
	return atomic_compare_exchange_strong_explicit(&circuit->slots[i].permit, &from, to,
						       memory_order_seq_cst, memory_order_relaxed);
}

struct sonde__tally sonde__trials_sum(const struct sonde__circuit *circuit, uint64_t word)
{
	struct sonde__tally sum = { 0 };

	for (uint32_t i = 0; i < circuit->options.concurrent; i++) {
		uint64_t permit = permit_load(circuit, i);
		struct sonde__tally tally = tally_of(circuit, permit);

		if (!is_of(permit, word))
			continue;
		sum.n += tally.n;
		sum.n_failed += tally.n_failed;
		sum.n_slow += tally.n_slow;
	}
	return sum;
}

/* How long until the permit of slot i comes back by itself. */
static uint64_t overdue_in_ns(const struct sonde__circuit *circuit, uint32_t i, uint64_t now_ns)
{
	/* Relaxed: any moment that was ever written is one at which it was out or free. */
	uint64_t since_ns =
		atomic_load_explicit(&circuit->slots[i].since_ns, memory_order_relaxed);
	uint64_t end_ns = sonde__moment_after(since_ns, circuit->options.trial_ns);

	return end_ns == SONDE__NEVER ? end_ns : sonde__time_until(end_ns, now_ns);
}

/*
 * Before the permit goes out, so that there is none out without its time. Somebody who comes too
 * late for the permit moves it to his own now, which is no later than the present.
 */
static void slot_stamp(struct sonde__circuit_slot *slot, uint64_t now_ns)
{
	/* Relaxed: see overdue_in_ns. */
	uint64_t since_ns = atomic_load_explicit(&slot->since_ns, memory_order_relaxed);

	while (since_ns < now_ns &&
	       !atomic_compare_exchange_weak_explicit(&slot->since_ns, &since_ns, now_ns,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

void sonde__trials_begin(const struct sonde__circuit *circuit, uint64_t word)
{
	for (uint32_t i = 0; i < circuit->options.concurrent; i++) {
		uint64_t permit = permit_load(circuit, i);

		if (!is_of(permit, word))
			permit_change(circuit, i, permit,
				      next_permit(permit, word, /* is_out= */ false));
	}
}

static bool slot_is_open(const struct sonde__circuit *circuit, uint32_t i, uint64_t permit,
			 uint64_t word, uint64_t now_ns)
{
	if (!is_of(permit, word))
		return true;
	return !(permit & PERMIT_OUT) || overdue_in_ns(circuit, i, now_ns) == 0;
}

/* Trials that have shown something, or still may. */
static uint32_t n_used(const struct sonde__circuit *circuit, uint64_t word, uint64_t now_ns)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < circuit->options.concurrent; i++) {
		uint64_t permit = permit_load(circuit, i);
		struct sonde__tally tally = tally_of(circuit, permit);

		if (!is_of(permit, word))
			continue;
		n += tally.n + !slot_is_open(circuit, i, permit, word, now_ns);
		/* The first failure ends it, although nobody came to say so yet. */
		if (tally.n_failed && !sonde__circuit_counts_rates(circuit))
			n += circuit->options.calls;
	}
	return n;
}

static enum sonde__taken slot_take(const struct sonde__circuit *circuit, uint32_t i,
				   uint64_t permit, uint64_t word, uint64_t now_ns,
				   struct sonde_breaker_ticket *ret)
{
	struct sonde__circuit_slot *slot = &circuit->slots[i];
	uint64_t own = next_permit(permit, word, /* is_out= */ true);

	slot_stamp(slot, now_ns);
	SONDE__TESTPOINT("circuit:stamped");
	if (!permit_change(circuit, i, permit, own))
		return SONDE__NOT_TAKEN;
	SONDE__TESTPOINT("circuit:taken");
	if (circuit->options.has_owners)
		sonde__owner_sign(&slot->owner, serial_of(own));
	/*
	 * Looked at again with the own one counted: of two who each saw one place left, the later
	 * one sees both (S1, S2), and goes.
	 */
	if (sonde__circuit_word(circuit) != word ||
	    n_used(circuit, word, now_ns) > circuit->options.calls) {
		(void)permit_change(circuit, i, own, own & ~PERMIT_OUT);
		return sonde__circuit_word(circuit) != word ? SONDE__OVERTAKEN : SONDE__NOT_TAKEN;
	}
	*ret = (struct sonde_breaker_ticket){
		.started_ns = now_ns,
		.generation = sonde__circuit_word_generation(word),
		.permit = serial_of(own) << 8 | (i + 1),
	};
	return SONDE__TAKEN;
}

enum sonde__taken sonde__trials_take(const struct sonde__circuit *circuit, uint64_t word,
				     uint64_t now_ns, struct sonde_breaker_ticket *ret)
{
	if (n_used(circuit, word, now_ns) >= circuit->options.calls)
		return SONDE__NOT_TAKEN;
	for (uint32_t i = 0; i < circuit->options.concurrent; i++) {
		uint64_t permit = permit_load(circuit, i);
		enum sonde__taken taken;

		if (!slot_is_open(circuit, i, permit, word, now_ns))
			continue;
		taken = slot_take(circuit, i, permit, word, now_ns, ret);
		if (taken != SONDE__NOT_TAKEN)
			return taken;
	}
	return SONDE__NOT_TAKEN;
}

enum sonde__taken sonde__trials_take_over(const struct sonde__circuit *circuit, uint64_t word,
				  uint64_t now_ns, struct sonde_breaker_ticket *ret)
{
	uint32_t oldest = circuit->options.concurrent;
	uint64_t shortest_ns = SONDE__NEVER;
	uint64_t permit;

	for (uint32_t i = 0; i < circuit->options.concurrent; i++) {
		uint64_t left_ns = overdue_in_ns(circuit, i, now_ns);

		permit = permit_load(circuit, i);
		if (!(permit & PERMIT_OUT) || !is_of(permit, word) ||
		    (oldest < circuit->options.concurrent && left_ns >= shortest_ns))
			continue;
		oldest = i;
		shortest_ns = left_ns;
	}
	if (oldest == circuit->options.concurrent)
		return SONDE__NOT_TAKEN;
	permit = permit_load(circuit, oldest);
	return slot_take(circuit, oldest, permit, word, now_ns, ret);
}

/* So seldom it is looked whether those who have a permit are alive. */
#define LOOK_NS (100 * SONDE__NS_PER_MS)

bool sonde__trials_look(const struct sonde__circuit *circuit, uint64_t word, uint64_t now_ns)
{
	_Atomic uint64_t *looked_ns = &circuit->state->looked_ns;
	/* Relaxed, both: it only keeps the others from looking as well. */
	uint64_t last_ns = atomic_load_explicit(looked_ns, memory_order_relaxed);
	bool is_any = false;

	if (!circuit->options.has_owners || now_ns - last_ns < LOOK_NS ||
	    !atomic_compare_exchange_strong_explicit(looked_ns, &last_ns, now_ns,
						     memory_order_relaxed, memory_order_relaxed))
		return false;
	for (uint32_t i = 0; i < circuit->options.concurrent; i++) {
		uint64_t permit = permit_load(circuit, i);

		if (is_of(permit, word) && permit & PERMIT_OUT &&
		    !sonde__owner_is_alive(&circuit->slots[i].owner, serial_of(permit)))
			is_any |= permit_change(circuit, i, permit, permit & ~PERMIT_OUT);
	}
	return is_any;
}

bool sonde__trials_end(const struct sonde__circuit *circuit,
		       const struct sonde_breaker_ticket *ticket, uint64_t word,
		       enum sonde_breaker_verdict verdict, bool is_slow)
{
	uint32_t i = (ticket->permit & 0xff) - 1;
	uint64_t permit;

	if (i >= circuit->options.concurrent)
		return false;
	permit = permit_load(circuit, i);
	if (!is_of(permit, word) || !(permit & PERMIT_OUT) ||
	    serial_of(permit) != ticket->permit >> 8)
		return false;
	return permit_change(circuit, i, permit,
			     ended(circuit, permit & ~PERMIT_OUT, verdict, is_slow));
}

uint64_t sonde__trials_wait_ns(const struct sonde__circuit *circuit, uint64_t word,
			       uint64_t now_ns)
{
	bool is_any = n_used(circuit, word, now_ns) < circuit->options.calls;
	uint64_t shortest_ns = SONDE__NEVER;

	for (uint32_t i = 0; i < circuit->options.concurrent; i++) {
		uint64_t permit = permit_load(circuit, i);
		uint64_t left_ns = overdue_in_ns(circuit, i, now_ns);

		if (slot_is_open(circuit, i, permit, word, now_ns)) {
			if (is_any)
				return 0;
			continue;
		}
		if (left_ns < shortest_ns)
			shortest_ns = left_ns;
	}
	return shortest_ns;
}

uint32_t sonde__trials_n_out(const struct sonde__circuit *circuit, uint64_t word)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < circuit->options.concurrent; i++) {
		uint64_t permit = permit_load(circuit, i);

		n += is_of(permit, word) && permit & PERMIT_OUT;
	}
	return n;
}
