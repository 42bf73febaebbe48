/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A circuit (resilience/circuit.h) with what makes it an object for services: options, what an
 * error means, whom to tell, and the error that opened it, so that a rejection can say why.
 */

#include <sonde/breaker.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/compiler.h"
#include "base/process.h"
#include "resilience/breaker_cause.h"
#include "resilience/breaker_list.h"
#include "resilience/breaker_options.h"
#include "resilience/circuit.h"
#include "resilience/clock.h"
#include "resilience/observe.h"

/* What it counts in: shared with other processes, perhaps. Slots and outcomes follow. */
struct memory {
	struct sonde__circuit_state state;
	struct sonde__breaker_cause cause;
	_Atomic uint64_t teller; /* Whose agent counts it, where it is shared. */
	struct sonde__circuit_slot slots[];
};

struct breaker {
	struct sonde__circuit circuit;
	struct memory *memory;
	size_t memory_size;
	struct sonde__breaker_entry *entry; /* In the list of those that live. */
	uint64_t slow_ns;
	bool is_shared;
	bool measures; /* Whether it matters how long a call took. */
	struct sonde_breaker_options options;
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct breaker) <= sizeof(struct sonde_breaker), "a breaker fits");
_Static_assert(_Alignof(struct breaker) <= _Alignof(struct sonde_breaker), "and is aligned");

static struct breaker *breaker_of(const struct sonde_breaker *breaker)
{
	return (struct breaker *)(uintptr_t)breaker;
}

/* ---- Life ------------------------------------------------------------------------------------ */

/* Whole cache lines. */
static size_t memory_size(const struct sonde__breaker_plan *plan)
{
	size_t size = sizeof(struct memory) +
		      plan->circuit.concurrent * sizeof(struct sonde__circuit_slot) +
		      sonde__outcomes_n_words(&plan->outcomes) * sizeof(uint64_t);

	return (size + SONDE__CACHE_LINE - 1) & ~(size_t)(SONDE__CACHE_LINE - 1);
}

static struct memory *memory_take(size_t size, bool is_shared)
{
	void *memory;

	if (!is_shared) {
		/* Aligned to a cache line, so that the word shares none with a stranger. */
		memory = aligned_alloc(SONDE__CACHE_LINE, size);
		return memory ? memset(memory, 0, size) : NULL;
	}
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, /* fd= */ -1,
		      /* offset= */ 0);
	return memory != MAP_FAILED ? memory : NULL;
}

static void memory_give(struct memory *memory, size_t size, bool is_shared)
{
	if (memory && is_shared)
		munmap(memory, size);
	else
		free(memory);
}

static int list_enter(struct breaker *breaker)
{
	struct memory *memory = breaker->memory;

	breaker->entry = sonde__breaker_list_add(breaker->options.name, &memory->state,
						 breaker->is_shared ? &memory->teller : NULL);
	return breaker->entry ? SONDE_OK : SONDE_E_NOMEM;
}

int sonde_breaker_init(struct sonde_breaker *object, const struct sonde_breaker_options *options)
{
	static const struct sonde_breaker_options defaults;
	struct breaker *breaker = breaker_of(object);
	struct sonde__breaker_plan plan;
	size_t size;
	int status;

	if (!object)
		return SONDE_E_INVALID;
	if (!options)
		options = &defaults;
	/* Nothing to end, where this fails. */
	memset(breaker, 0, sizeof(*breaker));
	status = sonde__breaker_plan(options, &plan);
	if (status < 0)
		return status;
	size = memory_size(&plan);
	if (options->shared)
		(void)sonde__process_init();
	breaker->memory = memory_take(size, options->shared);
	if (!breaker->memory)
		return SONDE_E_NOMEM;
	breaker->memory_size = size;
	breaker->is_shared = options->shared;
	breaker->measures = plan.measures;
	breaker->slow_ns = plan.slow_ns;
	breaker->options = *options;
	breaker->memory->state.base_ns = sonde__now_ns(options->clock);
	plan.outcomes.words = (_Atomic uint64_t *)&breaker->memory->slots[plan.circuit.concurrent];
	status = sonde__circuit_init(&breaker->circuit, &plan.circuit, &plan.outcomes,
				     &breaker->memory->state, breaker->memory->slots);
	if (status == SONDE_OK)
		status = list_enter(breaker);
	if (status < 0)
		sonde_breaker_deinit(object);
	return status;
}

void sonde_breaker_deinit(struct sonde_breaker *object)
{
	struct breaker *breaker = breaker_of(object);
	int number = errno;

	if (!object)
		return;
	sonde__breaker_list_remove(breaker->entry);
	memory_give(breaker->memory, breaker->memory_size, breaker->is_shared);
	memset(breaker, 0, sizeof(*breaker));
	errno = number;
}

/* ---- Telling --------------------------------------------------------------------------------- */

static void observe_changes(const struct breaker *breaker,
			    const struct sonde__circuit_changes *changes, uint64_t now_ns,
			    const struct sonde_error *error)
{
	for (uint32_t i = 0; i < changes->n; i++) {
		const struct sonde__circuit_change *change = &changes->list[i];
		bool is_opened = change->to == SONDE_BREAKER_OPEN;

		if (is_opened && error)
			sonde__breaker_cause_write(&breaker->memory->cause, change->generation,
						   error, breaker->is_shared);
		sonde__observe(breaker->options.observer,
			       &(struct sonde_observation){
				       .pattern = SONDE_PATTERN_BREAKER,
				       .what = SONDE_OBSERVED_STATE,
				       .name = breaker->options.name,
				       .from = sonde_breaker_state_name(change->from),
				       .to = sonde_breaker_state_name(change->to),
				       .delay_ns = is_opened ? sonde__circuit_wait_ns(
								       &breaker->circuit, now_ns)
							     : 0,
				       .error = is_opened ? error : NULL,
			       });
	}
}

static struct sonde_error *rejection(const struct breaker *breaker, uint64_t word, uint64_t wait_ns)
{
	const char *name = breaker->options.name ? breaker->options.name : "";
	enum sonde_breaker_state state = sonde__circuit_word_state(word);
	struct sonde_error *error;

	if (state == SONDE_BREAKER_FORCED_OPEN)
		return sonde_error_raise(&sonde_circuit_open,
					 "the circuit breaker \"%s\" is held open", name);
	error = sonde__breaker_cause_read(&breaker->memory->cause, word);
	if (state == SONDE_BREAKER_HALF_OPEN)
		return sonde_error_wrap(error, &sonde_circuit_open,
					"the circuit breaker \"%s\" has its trials under way",
					name);
	if (wait_ns == SONDE__NEVER)
		return sonde_error_wrap(error, &sonde_circuit_open,
					"the circuit breaker \"%s\" is open", name);
	error = sonde_error_wrap(error, &sonde_circuit_open,
				 "the circuit breaker \"%s\" is open for another %.3f s", name,
				 (double)wait_ns / (double)SONDE__NS_PER_S);
	sonde_error_set_retry_after(error, wait_ns);
	return error;
}

static SONDE__COLD struct sonde_error *reject(const struct breaker *breaker, uint64_t now_ns)
{
	uint64_t word = sonde__circuit_word(&breaker->circuit);
	uint64_t wait_ns = sonde__circuit_wait_ns(&breaker->circuit, now_ns);
	struct sonde_error *error = rejection(breaker, word, wait_ns);

	sonde__observe(breaker->options.observer, &(struct sonde_observation){
							  .pattern = SONDE_PATTERN_BREAKER,
							  .what = SONDE_OBSERVED_REJECTION,
							  .name = breaker->options.name,
							  .delay_ns = wait_ns,
							  .error = error,
						  });
	return error;
}

/* ---- Attempts -------------------------------------------------------------------------------- */

static SONDE__COLD struct sonde_error *acquire_slowly(const struct breaker *breaker,
						      struct sonde_breaker_ticket *ret_ticket)
{
	struct sonde__circuit_changes changes = { 0 };
	uint64_t now_ns = sonde__now_ns(breaker->options.clock);
	bool is_admitted = sonde__circuit_admit(&breaker->circuit, now_ns, ret_ticket, &changes);

	observe_changes(breaker, &changes, now_ns, /* error= */ NULL);
	return is_admitted ? NULL : reject(breaker, now_ns);
}

struct sonde_error *sonde_breaker_try_acquire(struct sonde_breaker *object,
					      struct sonde_breaker_ticket *ret_ticket)
{
	const struct breaker *breaker = breaker_of(object);
	uint64_t word;

	if (SONDE__UNLIKELY(!object)) {
		*ret_ticket = (struct sonde_breaker_ticket){ 0 };
		return NULL;
	}
	word = sonde__circuit_word(&breaker->circuit);
	if (SONDE__UNLIKELY(!sonde__circuit_passes(word)))
		return acquire_slowly(breaker, ret_ticket);
	*ret_ticket = (struct sonde_breaker_ticket){
		.started_ns = breaker->measures ? sonde__now_ns(breaker->options.clock) : 0,
		.generation = sonde__circuit_word_generation(word),
	};
	return NULL;
}

static void end(const struct breaker *breaker, const struct sonde_breaker_ticket *ticket,
		enum sonde_breaker_verdict verdict, const struct sonde_error *error)
{
	struct sonde__circuit_changes changes = { 0 };
	uint64_t now_ns;
	bool is_slow;

	if (sonde__circuit_is_nothing(&breaker->circuit, ticket, verdict))
		return;
	now_ns = sonde__now_ns(breaker->options.clock);
	is_slow = breaker->measures &&
		  sonde__time_until(now_ns, ticket->started_ns) >= breaker->slow_ns;
	sonde__circuit_report(&breaker->circuit, ticket, now_ns, verdict, is_slow, &changes);
	if (changes.n)
		observe_changes(breaker, &changes, now_ns, error);
}

void sonde_breaker_report(struct sonde_breaker *object, struct sonde_breaker_ticket ticket,
			  const struct sonde_error *error)
{
	const struct breaker *breaker = breaker_of(object);

	if (object)
		end(breaker, &ticket,
		    error ? sonde__breaker_verdict(&breaker->options, error) : SONDE_BREAKER_GOOD,
		    error);
}

void sonde_breaker_release(struct sonde_breaker *object, struct sonde_breaker_ticket ticket)
{
	if (object)
		end(breaker_of(object), &ticket, SONDE_BREAKER_NEITHER, /* error= */ NULL);
}

struct sonde_error *sonde_breaker_run(struct sonde_breaker *breaker, sonde_operation_fn *operation,
				      void *argument)
{
	struct sonde_breaker_ticket ticket;
	struct sonde_error *error = sonde_breaker_try_acquire(breaker, &ticket);

	if (error)
		return error;
	error = operation(argument);
	sonde_breaker_report(breaker, ticket, error);
	return error;
}

/* ---- By hand, and questions ------------------------------------------------------------------ */

int sonde_breaker_force(struct sonde_breaker *object, enum sonde_breaker_state state)
{
	const struct breaker *breaker = breaker_of(object);
	struct sonde__circuit_changes changes = { 0 };
	uint64_t now_ns;

	if (!object || (unsigned)state > SONDE_BREAKER_DISABLED)
		return SONDE_E_INVALID;
	now_ns = sonde__now_ns(breaker->options.clock);
	sonde__circuit_force(&breaker->circuit, state, now_ns, &changes);
	observe_changes(breaker, &changes, now_ns, /* error= */ NULL);
	return SONDE_OK;
}

enum sonde_breaker_state sonde_breaker_state_of(const struct sonde_breaker *object)
{
	return object ? sonde__circuit_state_of(&breaker_of(object)->circuit)
		      : SONDE_BREAKER_DISABLED;
}

uint64_t sonde_breaker_wait_ns(const struct sonde_breaker *object)
{
	const struct breaker *breaker = breaker_of(object);

	return object ? sonde__circuit_wait_ns(&breaker->circuit,
					       sonde__now_ns(breaker->options.clock))
		      : 0;
}

void sonde_breaker_counts(const struct sonde_breaker *object, struct sonde_breaker_counts *ret)
{
	const struct breaker *breaker = breaker_of(object);

	if (object)
		sonde__circuit_counts(&breaker->circuit, sonde__now_ns(breaker->options.clock),
				      ret);
	else
		*ret = (struct sonde_breaker_counts){ .state = SONDE_BREAKER_DISABLED };
}

const char *sonde_breaker_state_name(enum sonde_breaker_state state)
{
#define NAME(name, number, text) text,
	static const char *const names[] = { SONDE_BREAKER_STATE_MAP(NAME) };
#undef NAME

	return (unsigned)state < SONDE__ARRAY_SIZE(names) ? names[state] : "unknown";
}
