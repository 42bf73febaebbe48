/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states:
 *
 *	         too many failures            reset time is over
 *	CLOSED --------------------> OPEN ------------------------> HALF_OPEN
 *	   ^                          ^                               |    |
 *	   |                          '-------- trials fail ----------'    |
 *	   '-------------------------- trials succeed ---------------------'
 *
 * Every change of state is one exchange of one word and begins a new generation, and every permit
 * for a trial is one exchange of another. What else belongs to a generation names it, and counts as
 * not there where it names another: so there is no step that a killed process could leave half
 * done, and whoever comes next does what is due. That the trials have decided, that the reset time
 * was set, that a slot is of an old generation: all of it is found by looking.
 */

#include "resilience/circuit.h"

#include "base/testpoint.h"
#include "resilience/clock.h"
#include "resilience/trials.h"

/* ---- The word -------------------------------------------------------------------------------- */

/* state 3 | openings in a row 8 | failures in a row 21 | generation 32 */
#define OPENINGS_SHIFT 3
#define OPENINGS_MAX 0xffu
#define FAILURES_SHIFT 11
#define FAILURES_MAX 0x1fffffu

_Static_assert(SONDE__CIRCUIT_COUNT_MAX < FAILURES_MAX, "the limit can be counted to");

static uint32_t openings_of(uint64_t word)
{
	return (uint32_t)(word >> OPENINGS_SHIFT) & OPENINGS_MAX;
}

static uint32_t failures_of(uint64_t word)
{
	return (uint32_t)(word >> FAILURES_SHIFT) & FAILURES_MAX;
}

static uint64_t with_failures(uint64_t word, uint32_t failures)
{
	return (word & ~((uint64_t)FAILURES_MAX << FAILURES_SHIFT)) |
	       (uint64_t)failures << FAILURES_SHIFT;
}

/* The word after a change; generation 0 is nobody's, so that an empty ticket is of none. */
static uint64_t next_word(uint64_t word, enum sonde_breaker_state to)
{
	uint32_t generation = sonde__circuit_word_generation(word) + 1;
	uint32_t openings = 0;

	if (to == SONDE_BREAKER_OPEN || to == SONDE_BREAKER_HALF_OPEN)
		openings = openings_of(word);
	if (to == SONDE_BREAKER_OPEN && openings < OPENINGS_MAX)
		openings++;
	return (uint64_t)to | (uint64_t)openings << OPENINGS_SHIFT |
	       (uint64_t)(generation ? generation : 1) << 32;
}

/* ---- Reset time ------------------------------------------------------------------------------ */

/* Generation's last 12 bits | microseconds 52, which are 142 years; the last one is never. */
#define UNTIL_BITS 52
#define UNTIL_NEVER ((UINT64_C(1) << UNTIL_BITS) - 1)
#define UNTIL_GENERATION_MASK 0xfffu
#define NS_PER_US 1000

static uint64_t since_base_ns(const struct sonde__circuit *circuit, uint64_t now_ns)
{
	return sonde__time_until(now_ns, circuit->state->base_ns);
}

static uint64_t reset_ns_after(const struct sonde__circuit *circuit, uint32_t openings)
{
	const struct sonde__circuit_options *options = &circuit->options;
	double reset = (double)options->reset_ns;
	double jitter = options->reset_jitter;

	if (options->reset_ns == SONDE__NEVER)
		return SONDE__NEVER;
	for (uint32_t i = 1; i < openings && reset < (double)options->reset_max_ns; i++)
		reset *= options->reset_factor;
	if (openings > 1 && reset > (double)options->reset_max_ns)
		reset = (double)options->reset_max_ns;
	if (jitter > 0)
		reset *= 1 - jitter +
			 2 * jitter * sonde__chance(options->random, options->random_user);
	/* 2^63 and more: further than time goes. */
	return reset < 0x1p63 ? (uint64_t)reset : SONDE__NEVER;
}

static uint64_t until_tag(uint64_t word)
{
	return sonde__circuit_word_generation(word) & UNTIL_GENERATION_MASK;
}

static uint64_t until_make(const struct sonde__circuit *circuit, uint64_t word, uint64_t now_ns)
{
	uint64_t due_ns = sonde__moment_after(since_base_ns(circuit, now_ns),
					      reset_ns_after(circuit, openings_of(word)));
	/* Up: never before the time is over. */
	uint64_t due_us = due_ns / NS_PER_US + (due_ns % NS_PER_US != 0);

	if (due_us > UNTIL_NEVER)
		due_us = UNTIL_NEVER;
	return until_tag(word) << UNTIL_BITS | due_us;
}

/*
 * When the open circuit of `word` lets a trial through, since the base; 0: that state is over by
 * now. Whoever asks first says it; that is who opened it, unless he was stopped in between. Who was
 * stopped until the circuit was open once more says nothing: it would be in the way of what is said
 * now, and the reset time would begin anew.
 */
static uint64_t until_ns(const struct sonde__circuit *circuit, uint64_t word, uint64_t now_ns)
{
	_Atomic uint64_t *until = &circuit->state->until;
	uint64_t tag = until_tag(word);
	uint64_t found;
	uint64_t own;

	SONDE__TESTPOINT("circuit:ask");
	/* A2, partner R2 below: who finds what was said of a later state finds that state, too. */
	found = atomic_load_explicit(until, memory_order_acquire);
	if (found >> UNTIL_BITS != tag) {
		own = until_make(circuit, word, now_ns);
		/* What was found was there before the state is looked at: nothing later is lost. */
		while (found >> UNTIL_BITS != tag && sonde__circuit_word(circuit) == word) {
			/* R2, partner A2; it is A2 as well where somebody else was first. */
			if (atomic_compare_exchange_strong_explicit(until, &found, own,
								    memory_order_acq_rel,
								    memory_order_acquire))
				found = own;
		}
		SONDE__TESTPOINT("circuit:until");
	}
	if (found >> UNTIL_BITS != tag)
		return 0;
	found &= UNTIL_NEVER;
	return found == UNTIL_NEVER ? SONDE__NEVER : found * NS_PER_US;
}

static uint64_t open_wait_ns(const struct sonde__circuit *circuit, uint64_t word, uint64_t now_ns)
{
	uint64_t end_ns = until_ns(circuit, word, now_ns);

	return end_ns == SONDE__NEVER ? end_ns
				      : sonde__time_until(end_ns, since_base_ns(circuit, now_ns));
}

/* ---- Changes --------------------------------------------------------------------------------- */

/* False: somebody else has changed it. */
static bool change(const struct sonde__circuit *circuit, uint64_t word,
		   enum sonde_breaker_state to, uint64_t now_ns,
		   struct sonde__circuit_changes *changes)
{
	uint64_t next = next_word(word, to);
	enum sonde_breaker_state from = sonde__circuit_word_state(word);

	/* R1, partner A1 in sonde__circuit_word. Relaxed on failure: the caller looks again. */
	if (!atomic_compare_exchange_strong_explicit(&circuit->state->word, &word, next,
						     memory_order_acq_rel, memory_order_relaxed))
		return false;
	SONDE__TESTPOINT("circuit:changed");
	if (to == SONDE_BREAKER_OPEN)
		(void)until_ns(circuit, next, now_ns);
	if (to == SONDE_BREAKER_HALF_OPEN)
		sonde__trials_begin(circuit, next);
	if (from != to && changes->n < SONDE__CIRCUIT_CHANGES_MAX)
		changes->list[changes->n++] = (struct sonde__circuit_change){
			from, to, sonde__circuit_word_generation(next)
		};
	return true;
}

/* What the trials have shown. False: nothing yet. */
static bool decided(const struct sonde__circuit *circuit, uint64_t word,
		    enum sonde_breaker_state *ret)
{
	struct sonde__tally sum = sonde__trials_sum(circuit, word);
	bool is_bad = sonde__circuit_counts_rates(circuit)
			      ? sonde__outcomes_are_bad(&circuit->outcomes, &sum,
							circuit->options.calls)
			      : sum.n_failed > 0;

	if (!is_bad && sum.n < circuit->options.calls)
		return false;
	*ret = is_bad ? SONDE_BREAKER_OPEN : SONDE_BREAKER_CLOSED;
	return true;
}

/* True: `word` is over, by this call or another's. */
static bool decide(const struct sonde__circuit *circuit, uint64_t word, uint64_t now_ns,
		   struct sonde__circuit_changes *changes)
{
	enum sonde_breaker_state to;

	if (!decided(circuit, word, &to))
		return false;
	(void)change(circuit, word, to, now_ns, changes);
	return true;
}

/* ---- Admission ------------------------------------------------------------------------------- */

static void ticket_fill(struct sonde_breaker_ticket *ret, uint64_t word, uint64_t now_ns)
{
	*ret = (struct sonde_breaker_ticket){
		.started_ns = now_ns,
		.generation = sonde__circuit_word_generation(word),
	};
}

/* One look at a state in which not everything passes. SONDE__OVERTAKEN: look again. */
static enum sonde__taken admit_once(const struct sonde__circuit *circuit, uint64_t word,
				    uint64_t now_ns, struct sonde_breaker_ticket *ret,
				    struct sonde__circuit_changes *changes)
{
	enum sonde__taken taken;

	switch (sonde__circuit_word_state(word)) {
	case SONDE_BREAKER_OPEN:
		if (open_wait_ns(circuit, word, now_ns) > 0)
			return SONDE__NOT_TAKEN;
		(void)change(circuit, word, SONDE_BREAKER_HALF_OPEN, now_ns, changes);
		return SONDE__OVERTAKEN;
	case SONDE_BREAKER_HALF_OPEN:
		if (decide(circuit, word, now_ns, changes))
			return SONDE__OVERTAKEN;
		taken = sonde__trials_take(circuit, word, now_ns, ret);
		if (taken == SONDE__NOT_TAKEN && sonde__trials_look(circuit, word, now_ns))
			return SONDE__OVERTAKEN;
		return taken;
	default:
		return SONDE__NOT_TAKEN;
	}
}

/* Rounds of a call; it takes others who change the state meanwhile to use them up. */
#define ROUNDS 16

bool sonde__circuit_admit(const struct sonde__circuit *circuit, uint64_t now_ns,
			  struct sonde_breaker_ticket *ret_ticket,
			  struct sonde__circuit_changes *changes)
{
	for (int i = 0; i < ROUNDS && changes->n < SONDE__CIRCUIT_CHANGES_MAX; i++) {
		uint64_t word = sonde__circuit_word(circuit);
		enum sonde__taken taken;

		if (sonde__circuit_passes(word)) {
			ticket_fill(ret_ticket, word, now_ns);
			return true;
		}
		taken = admit_once(circuit, word, now_ns, ret_ticket, changes);
		if (taken != SONDE__OVERTAKEN)
			return taken == SONDE__TAKEN;
	}
	return false;
}

void sonde__circuit_admit_by_force(const struct sonde__circuit *circuit, uint64_t now_ns,
				   struct sonde_breaker_ticket *ret_ticket,
				   struct sonde__circuit_changes *changes)
{
	uint64_t word = sonde__circuit_word(circuit);

	for (int i = 0; i < ROUNDS && changes->n < SONDE__CIRCUIT_CHANGES_MAX; i++) {
		enum sonde_breaker_state state;

		word = sonde__circuit_word(circuit);
		state = sonde__circuit_word_state(word);
		if (state == SONDE_BREAKER_OPEN) {
			(void)change(circuit, word, SONDE_BREAKER_HALF_OPEN, now_ns, changes);
			continue;
		}
		if (state != SONDE_BREAKER_HALF_OPEN)
			break;
		if (decide(circuit, word, now_ns, changes))
			continue;
		if (sonde__trials_take(circuit, word, now_ns, ret_ticket) == SONDE__TAKEN ||
		    sonde__trials_take_over(circuit, word, now_ns, ret_ticket) == SONDE__TAKEN)
			return;
	}
	ticket_fill(ret_ticket, word, now_ns);
}

/* ---- Outcomes -------------------------------------------------------------------------------- */

/* Counts on in the word itself, so that the one who reaches the limit is one. */
static void report_in_a_row(const struct sonde__circuit *circuit, uint64_t word, uint64_t now_ns,
			    bool is_failed, struct sonde__circuit_changes *changes)
{
	uint32_t generation = sonde__circuit_word_generation(word);

	while (sonde__circuit_word_generation(word) == generation) {
		uint32_t n = failures_of(word);
		bool may_open = sonde__circuit_word_state(word) == SONDE_BREAKER_CLOSED;

		if (!is_failed && !n)
			return;
		if (is_failed && may_open && n + 1 >= circuit->options.failures) {
			if (change(circuit, word, SONDE_BREAKER_OPEN, now_ns, changes))
				return;
			word = sonde__circuit_word(circuit);
			continue;
		}
		if (is_failed && n == FAILURES_MAX)
			return;
		/* Relaxed: a count publishes nothing. */
		if (atomic_compare_exchange_weak_explicit(
			    &circuit->state->word, &word,
			    with_failures(word, is_failed ? n + 1 : 0), memory_order_relaxed,
			    memory_order_relaxed))
			return;
	}
}

static void report_rate(const struct sonde__circuit *circuit, uint64_t word, uint64_t now_ns,
			bool is_failed, bool is_slow, struct sonde__circuit_changes *changes)
{
	bool is_bad = sonde__outcomes_add(&circuit->outcomes, sonde__circuit_word_generation(word),
					  since_base_ns(circuit, now_ns), is_failed, is_slow);

	SONDE__TESTPOINT("circuit:counted");
	if (is_bad && sonde__circuit_word_state(word) == SONDE_BREAKER_CLOSED)
		(void)change(circuit, word, SONDE_BREAKER_OPEN, now_ns, changes);
}

void sonde__circuit_report(const struct sonde__circuit *circuit,
			   const struct sonde_breaker_ticket *ticket, uint64_t now_ns,
			   enum sonde_breaker_verdict verdict, bool is_slow,
			   struct sonde__circuit_changes *changes)
{
	uint64_t word = sonde__circuit_word(circuit);
	bool is_failed = verdict == SONDE_BREAKER_BAD;

	if (ticket->generation != sonde__circuit_word_generation(word))
		return;
	switch (sonde__circuit_word_state(word)) {
	case SONDE_BREAKER_CLOSED:
	case SONDE_BREAKER_FORCED_CLOSED:
		if (verdict == SONDE_BREAKER_NEITHER)
			return;
		if (sonde__circuit_counts_rates(circuit))
			report_rate(circuit, word, now_ns, is_failed, is_slow, changes);
		else
			report_in_a_row(circuit, word, now_ns, is_failed, changes);
		return;
	case SONDE_BREAKER_HALF_OPEN:
		if (!sonde__trials_end(circuit, ticket, word, verdict, is_slow))
			return;
		SONDE__TESTPOINT("circuit:reported");
		(void)decide(circuit, word, now_ns, changes);
		return;
	default:
		return;
	}
}

/* ---- The rest -------------------------------------------------------------------------------- */

void sonde__circuit_force(const struct sonde__circuit *circuit, enum sonde_breaker_state to,
			  uint64_t now_ns, struct sonde__circuit_changes *changes)
{
	while (!change(circuit, sonde__circuit_word(circuit), to, now_ns, changes))
		;
}

uint64_t sonde__circuit_wait_ns(const struct sonde__circuit *circuit, uint64_t now_ns)
{
	uint64_t word = sonde__circuit_word(circuit);
	enum sonde_breaker_state to;

	switch (sonde__circuit_word_state(word)) {
	case SONDE_BREAKER_OPEN:
		return open_wait_ns(circuit, word, now_ns);
	case SONDE_BREAKER_HALF_OPEN:
		/*
		 * What they have shown waits for whoever asks next, if he who ended the last died.
		 */
		return decided(circuit, word, &to)
			       ? 0
			       : sonde__trials_wait_ns(circuit, word, now_ns);
	case SONDE_BREAKER_FORCED_OPEN:
		return SONDE__NEVER;
	default:
		return 0;
	}
}

void sonde__circuit_counts(const struct sonde__circuit *circuit, uint64_t now_ns,
			   struct sonde_breaker_counts *ret)
{
	uint64_t word = sonde__circuit_word(circuit);
	uint32_t generation = sonde__circuit_word_generation(word);
	struct sonde__tally tally = sonde__outcomes_sum(&circuit->outcomes, generation,
							since_base_ns(circuit, now_ns));

	if (sonde__circuit_word_state(word) == SONDE_BREAKER_HALF_OPEN)
		tally = sonde__trials_sum(circuit, word);
	*ret = (struct sonde_breaker_counts){
		.state = sonde__circuit_word_state(word),
		.generation = generation,
		.n_failures_in_a_row = failures_of(word),
		.n_openings_in_a_row = openings_of(word),
		.n_calls = tally.n,
		.n_failures = tally.n_failed,
		.n_slow = tally.n_slow,
		.n_trials = sonde__trials_n_out(circuit, word),
	};
}

static void at_least_1(uint32_t *n)
{
	if (!*n)
		*n = 1;
}

int sonde__circuit_init(struct sonde__circuit *circuit,
			const struct sonde__circuit_options *options,
			const struct sonde__outcomes *outcomes, struct sonde__circuit_state *state,
			struct sonde__circuit_slot *slots)
{
	*circuit = (struct sonde__circuit){
		.options = *options,
		.state = state,
		.slots = slots,
		.outcomes = *outcomes,
	};
	if (!(options->reset_factor > 1))
		circuit->options.reset_factor = 1;
	if (options->reset_max_ns < options->reset_ns)
		circuit->options.reset_max_ns = options->reset_ns;
	at_least_1(&circuit->options.failures);
	at_least_1(&circuit->options.calls);
	at_least_1(&circuit->options.concurrent);
	if (circuit->options.concurrent > circuit->options.calls)
		circuit->options.concurrent = circuit->options.calls;
	if (circuit->options.concurrent > SONDE__CIRCUIT_SLOTS_MAX ||
	    circuit->options.failures > SONDE__CIRCUIT_COUNT_MAX ||
	    circuit->options.calls > (sonde__circuit_counts_rates(circuit)
					      ? SONDE__CIRCUIT_CALLS_MAX
					      : SONDE__CIRCUIT_COUNT_MAX))
		return SONDE_E_INVALID;
	/* Relaxed: it is nobody else's yet. */
	atomic_store_explicit(&state->word, next_word(0, SONDE_BREAKER_CLOSED),
			      memory_order_relaxed);
	return SONDE_OK;
}
