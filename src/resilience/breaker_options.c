/* SPDX-License-Identifier: Apache-2.0 */
#include "resilience/breaker_options.h"

#include "base/clock.h"
#include "base/compiler.h"
#include "resilience/clock.h"

#define FAILURES 5
#define RESET_MS 60000
#define RESET_MAX_MS 600000
#define HALF_OPEN_CALLS 3
#define TRIAL_TIMEOUT_MS 60000
#define WINDOW_CALLS 100
#define WINDOW_MS 60000
#define MINIMUM_CALLS 100
#define FAILURE_RATE 0.5
#define SLOW_RATE 1.0
#define SLOW_CALL_MS 60000

/* ---- Verdicts -------------------------------------------------------------------------------- */

static bool is_one_of(const struct sonde_error *error, const struct sonde_error_type *const *types,
		      size_t n_types)
{
	for (size_t i = 0; i < n_types; i++)
		if (sonde_error_is(error, types[i]))
			return true;
	return false;
}

static bool is_neither(const struct sonde_error *error)
{
	static const struct sonde_error_type *const types[] = {
		&sonde_cancelled,  &sonde_circuit_open, &sonde_bulkhead_full,
		&sonde_queue_full, &sonde_rate_limited,
	};

	return is_one_of(error, types, SONDE__ARRAY_SIZE(types));
}

enum sonde_breaker_verdict sonde_breaker_judge(const struct sonde_error *error)
{
	if (!error)
		return SONDE_BREAKER_GOOD;
	if (is_neither(error))
		return SONDE_BREAKER_NEITHER;
	return sonde_error_http_status(error) >= 500 ? SONDE_BREAKER_BAD : SONDE_BREAKER_GOOD;
}

enum sonde_breaker_verdict sonde__breaker_verdict(const struct sonde_breaker_options *options,
						  const struct sonde_error *error)
{
	if (options->judge)
		return options->judge(options->judge_user, error);
	if (is_one_of(error, options->ignored_types, options->n_ignored_types))
		return SONDE_BREAKER_NEITHER;
	if (!options->n_failure_types)
		return sonde_breaker_judge(error);
	if (is_one_of(error, options->failure_types, options->n_failure_types))
		return SONDE_BREAKER_BAD;
	return is_neither(error) ? SONDE_BREAKER_NEITHER : SONDE_BREAKER_GOOD;
}

/* ---- Options --------------------------------------------------------------------------------- */

static uint64_t ns_of(uint64_t ms, uint64_t fallback_ms)
{
	if (!ms)
		ms = fallback_ms;
	return ms < SONDE__NEVER / SONDE__NS_PER_MS ? ms * SONDE__NS_PER_MS : SONDE__NEVER;
}

static bool is_share(double share)
{
	/* Also no for what is not a number. */
	return share > 0 && share <= 1;
}

static int plan_outcomes(const struct sonde_breaker_options *options, struct sonde__outcomes *ret)
{
	bool counts_calls = options->mode == SONDE_BREAKER_COUNT_WINDOW;
	uint32_t most = counts_calls ? (options->window_calls ? options->window_calls
							      : WINDOW_CALLS)
				     : UINT32_MAX;

	*ret = (struct sonde__outcomes){
		.mode = options->mode,
		.calls = counts_calls ? most : 0,
		.window_ns = ns_of(options->window_ms, WINDOW_MS),
		.minimum = options->minimum_calls ? options->minimum_calls : MINIMUM_CALLS,
		.failure_rate = options->failure_rate != 0 ? options->failure_rate : FAILURE_RATE,
		.slow_rate = options->slow_rate != 0 ? options->slow_rate : SLOW_RATE,
	};
	if (!options->minimum_calls && ret->minimum > most)
		ret->minimum = most;
	if (options->failures || (counts_calls ? options->window_ms : options->window_calls) ||
	    ret->calls > SONDE_BREAKER_WINDOW_CALLS_MAX || ret->minimum > most ||
	    (options->window_ms && options->window_ms < SONDE__OUTCOMES_BUCKETS) ||
	    !is_share(ret->failure_rate) || !is_share(ret->slow_rate))
		return SONDE_E_INVALID;
	return SONDE_OK;
}

static bool has_window_options(const struct sonde_breaker_options *options)
{
	return options->window_calls || options->window_ms || options->minimum_calls ||
	       options->failure_rate != 0 || options->slow_rate != 0 || options->slow_call_ms;
}

static int plan_mode(const struct sonde_breaker_options *options, struct sonde__breaker_plan *plan)
{
	switch (options->mode) {
	case SONDE_BREAKER_CONSECUTIVE:
		plan->circuit.failures = options->failures ? options->failures : FAILURES;
		return has_window_options(options) ||
				       plan->circuit.failures > SONDE_BREAKER_FAILURES_MAX
			       ? SONDE_E_INVALID
			       : SONDE_OK;
	case SONDE_BREAKER_COUNT_WINDOW:
	case SONDE_BREAKER_TIME_WINDOW:
		plan->measures = true;
		plan->slow_ns = ns_of(options->slow_call_ms, SLOW_CALL_MS);
		return plan_outcomes(options, &plan->outcomes);
	}
	return SONDE_E_INVALID;
}

static int plan_trials(const struct sonde_breaker_options *options,
		       struct sonde__circuit_options *circuit)
{
	uint32_t calls = options->half_open_calls ? options->half_open_calls : HALF_OPEN_CALLS;
	uint32_t at_once = options->half_open_at_once;

	if (!at_once)
		at_once = calls < SONDE_BREAKER_TRIALS_AT_ONCE_MAX
				  ? calls
				  : SONDE_BREAKER_TRIALS_AT_ONCE_MAX;
	circuit->calls = calls;
	circuit->concurrent = at_once;
	circuit->trial_ns = ns_of(options->trial_timeout_ms, TRIAL_TIMEOUT_MS);
	return calls > SONDE_BREAKER_HALF_OPEN_CALLS_MAX ||
			       at_once > SONDE_BREAKER_TRIALS_AT_ONCE_MAX || at_once > calls
		       ? SONDE_E_INVALID
		       : SONDE_OK;
}

static int plan_reset(const struct sonde_breaker_options *options,
		      struct sonde__circuit_options *circuit)
{
	circuit->reset_ns = ns_of(options->reset_ms, RESET_MS);
	circuit->reset_max_ns = ns_of(options->reset_max_ms, RESET_MAX_MS);
	circuit->reset_factor = options->reset_factor != 0 ? options->reset_factor : 1;
	circuit->reset_jitter = options->reset_jitter;
	if (!options->reset_max_ms && circuit->reset_max_ns < circuit->reset_ns)
		circuit->reset_max_ns = circuit->reset_ns;
	/* Also invalid: what is not a number. */
	return circuit->reset_max_ns >= circuit->reset_ns && circuit->reset_factor >= 1 &&
			       circuit->reset_factor <= 1e9 && circuit->reset_jitter >= 0 &&
			       circuit->reset_jitter <= 1
		       ? SONDE_OK
		       : SONDE_E_INVALID;
}

int sonde__breaker_plan(const struct sonde_breaker_options *options,
			struct sonde__breaker_plan *ret)
{
	struct sonde__breaker_plan plan = {
		.circuit = {
			.has_owners = options->shared,
			.random = options->random,
			.random_user = options->random_user,
		},
	};

	if ((options->n_failure_types && !options->failure_types) ||
	    (options->n_ignored_types && !options->ignored_types) ||
	    plan_mode(options, &plan) < 0 || plan_trials(options, &plan.circuit) < 0 ||
	    plan_reset(options, &plan.circuit) < 0)
		return SONDE_E_INVALID;
	*ret = plan;
	return SONDE_OK;
}
