/* SPDX-License-Identifier: Apache-2.0 */

/* What a service chose, checked once, with the defaults filled in. */

#include "resilience/retry_call.h"

#include <string.h>

#include "resilience/clock.h"

#define ATTEMPTS 3
#define FIRST_DELAY_NS SONDE__NS_PER_S
#define FACTOR 2.0
#define MAX_DELAY_NS (60 * SONDE__NS_PER_S)
#define MAX_RETRY_AFTER_NS (60 * SONDE__NS_PER_S)

_Static_assert(sizeof(struct rules) <= sizeof(struct sonde_retry), "they fit");
_Static_assert(_Alignof(struct rules) <= _Alignof(struct sonde_retry), "and are aligned");

static const struct rules default_rules = {
	.machine = { .initial_ns = FIRST_DELAY_NS,
		     .max_ns = MAX_DELAY_NS,
		     .factor = FACTOR,
		     .attempts = ATTEMPTS,
		     .wish_max_ns = MAX_RETRY_AFTER_NS },
	.attempt_timeout_ns = SONDE__NEVER,
};

const struct rules *sonde__retry_rules(const struct sonde_retry *retry)
{
	return retry ? (const struct rules *)(const void *)retry : &default_rules;
}

const struct sonde_clock *sonde__retry_clock(const struct sonde_retry *retry)
{
	return sonde__retry_rules(retry)->clock;
}

static uint64_t duration(uint64_t ms, uint64_t otherwise_ns)
{
	return ms ? sonde__ms_to_ns(ms) : otherwise_ns;
}

static bool are_valid(const struct sonde_retry_options *options)
{
	/* So that NaN is refused, too. */
	if (options->factor != 0 && !(options->factor >= 1.0 && options->factor <= 1e6))
		return false;
	if ((unsigned)options->jitter > SONDE_JITTER_NONE)
		return false;
	return !options->n_types || options->types;
}

static void machine_fill(struct sonde__retry_options *machine,
			 const struct sonde_retry_options *options)
{
	machine->initial_ns = duration(options->first_delay_ms, FIRST_DELAY_NS);
	machine->max_ns = duration(options->max_delay_ms, MAX_DELAY_NS);
	if (options->is_immediate)
		machine->initial_ns = machine->max_ns = 0;
	machine->factor = options->factor != 0 ? options->factor : FACTOR;
	machine->random = options->random;
	machine->random_user = options->random_user;
	machine->jitter = options->jitter;
	machine->attempts = options->attempts ? options->attempts : ATTEMPTS;
	if (options->attempts == UINT32_MAX)
		machine->attempts = 0;
	machine->wish_max_ns = duration(options->max_retry_after_ms, MAX_RETRY_AFTER_NS);
}

int sonde_retry_init(struct sonde_retry *retry, const struct sonde_retry_options *options)
{
	struct rules *rules = (struct rules *)(void *)retry;

	if (!retry || (options && !are_valid(options)))
		return SONDE_E_INVALID;
	memset(retry, 0, sizeof(*retry));
	*rules = default_rules;
	if (!options)
		return SONDE_OK;
	machine_fill(&rules->machine, options);
	rules->name = options->name;
	rules->attempt_timeout_ns = duration(options->attempt_timeout_ms, SONDE__NEVER);
	rules->types = options->types;
	rules->n_types = options->n_types;
	rules->filter = options->filter;
	rules->filter_user = options->filter_user;
	rules->budget = options->budget;
	rules->clock = options->clock;
	rules->observer = options->observer;
	return SONDE_OK;
}

void sonde__retry_init_single(struct sonde_retry *retry, const struct sonde_clock *clock)
{
	struct rules *rules = (struct rules *)(void *)retry;

	*rules = default_rules;
	rules->machine.attempts = 1;
	rules->clock = clock;
	rules->is_single = true;
}

void sonde_retry_deinit(struct sonde_retry *retry)
{
	(void)retry;
}
