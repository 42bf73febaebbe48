/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentences are those that the guides on retries have people write by hand. Durations are
 * printed by whole numbers: printing a double may allocate.
 */

#include "agent/observe_text.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "error/error.h"

#define DURATION_SIZE 32
#define NAME_SIZE_MAX 100
#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

/* ---- Attributes ------------------------------------------------------------------------------ */

void sonde__observe_name(const struct sonde_observation *observation,
			 char ret[SONDE__OBSERVE_NAME_SIZE])
{
	(void)snprintf(ret, SONDE__OBSERVE_NAME_SIZE, "sonde.%s.%s",
		       sonde_pattern_name(observation->pattern),
		       sonde_observed_name(observation->what));
}

static double seconds(uint64_t ns)
{
	return (double)ns * 1e-9;
}

static bool has_delay(const struct sonde_observation *observation)
{
	return observation->what == SONDE_OBSERVED_ATTEMPT && observation->error &&
	       !observation->is_last;
}

/* Has it a duration, even if that is 0? */
static bool has_duration(const struct sonde_observation *observation)
{
	return observation->what != SONDE_OBSERVED_STATE &&
	       observation->what != SONDE_OBSERVED_ORPHAN &&
	       observation->what != SONDE_OBSERVED_DROP &&
	       (observation->duration_ns || observation->what != SONDE_OBSERVED_REJECTION);
}

static size_t error_attributes(const struct sonde_error *error, struct sonde_attr *ret)
{
	const char *message = sonde_error_message(error);
	size_t n = 0;

	ret[n++] = sonde_str("error.type", sonde__error_type_name(error));
	if (message[0])
		ret[n++] = sonde_str("error.message", message);
	return n;
}

size_t sonde__observe_attributes(const struct sonde_observation *observation,
				 struct sonde_attr ret[SONDE__OBSERVE_ATTRS])
{
	size_t n = 0;

	ret[n++] = sonde_str("sonde.resilience.pattern", sonde_pattern_name(observation->pattern));
	if (observation->name[0])
		ret[n++] = sonde_str("sonde.resilience.name", observation->name);
	if (observation->from)
		ret[n++] = sonde_str("sonde.resilience.from", observation->from);
	if (observation->to)
		ret[n++] = sonde_str("sonde.resilience.to", observation->to);
	if (observation->attempt)
		ret[n++] = sonde_int("sonde.resilience.attempt", observation->attempt);
	if (has_duration(observation))
		ret[n++] = sonde_double("sonde.resilience.duration",
					seconds(observation->duration_ns));
	if (has_delay(observation))
		ret[n++] = sonde_double("sonde.resilience.delay", seconds(observation->delay_ns));
	if (observation->count)
		ret[n++] = sonde_int("sonde.resilience.count", (int64_t)observation->count);
	if (observation->error)
		n += error_attributes(observation->error, &ret[n]);
	return n;
}

/* ---- The sentence ---------------------------------------------------------------------------- */

/* "1.31 s", "350.00 ms", "12.40 us", "7 ns" */
static const char *duration_print(uint64_t ns, char ret[DURATION_SIZE])
{
	static const struct {
		uint64_t ns;
		const char *unit;
	} units[] = { { NS_PER_S, "s" }, { NS_PER_MS, "ms" }, { NS_PER_US, "us" } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		uint64_t hundredth = units[i].ns / 100;
		uint64_t n = ns / hundredth + (ns % hundredth >= (hundredth + 1) / 2);

		if (n < 100)
			continue;
		(void)snprintf(ret, DURATION_SIZE, "%llu.%02llu %s", (unsigned long long)n / 100,
			       (unsigned long long)n % 100, units[i].unit);
		return ret;
	}
	(void)snprintf(ret, DURATION_SIZE, "%llu ns", (unsigned long long)ns);
	return ret;
}

/* What the error says, else what it is. */
static const char *error_text(const struct sonde_error *error)
{
	const char *message = sonde_error_message(error);

	return message[0] ? message : sonde__error_type_name(error);
}

/* The object: "breaker payments", or "breaker" where it has no name. */
struct who {
	const char *pattern;
	const char *space;
	int name_size; /* What there is room for beside the rest. */
	const char *name;
};

static struct who who_is(const struct sonde_observation *observation)
{
	const char *name = observation->name;

	return (struct who){ sonde_pattern_name(observation->pattern), name[0] ? " " : "",
			     (int)sonde__utf8_cut(name, strlen(name), NAME_SIZE_MAX), name };
}

static int attempt_print(const struct sonde_observation *observation, char *ret)
{
	char delay[DURATION_SIZE];

	if (observation->is_last)
		return snprintf(ret, SONDE__OBSERVE_TEXT_SIZE, "attempt %u failed: %s, giving up",
				observation->attempt, error_text(observation->error));
	return snprintf(ret, SONDE__OBSERVE_TEXT_SIZE, "attempt %u failed: %s, retrying in %s",
			observation->attempt, error_text(observation->error),
			duration_print(observation->delay_ns, delay));
}

static int state_print(const struct sonde_observation *observation, char *ret)
{
	const struct who who = who_is(observation);

	return snprintf(ret, SONDE__OBSERVE_TEXT_SIZE, "%s%s%.*s: %s -> %s%s%s", who.pattern,
			who.space, who.name_size, who.name,
			observation->from ? observation->from : "?",
			observation->to ? observation->to : "?",
			observation->error ? " after: " : "",
			observation->error ? error_text(observation->error) : "");
}

static int drop_print(const struct sonde_observation *observation, char *ret)
{
	const struct who who = who_is(observation);

	return snprintf(ret, SONDE__OBSERVE_TEXT_SIZE, "%s%s%.*s: %llu dropped", who.pattern,
			who.space, who.name_size, who.name, (unsigned long long)observation->count);
}

static int stall_print(const struct sonde_observation *observation, char *ret)
{
	const struct who who = who_is(observation);
	char duration[DURATION_SIZE];

	return snprintf(ret, SONDE__OBSERVE_TEXT_SIZE, "%s%s%.*s: stalled for %s%s%s",
			who.pattern, who.space, who.name_size, who.name,
			duration_print(observation->duration_ns, duration),
			observation->error ? ": " : "",
			observation->error ? error_text(observation->error) : "");
}

static int recovery_print(const struct sonde_observation *observation, char *ret)
{
	const struct who who = who_is(observation);
	char duration[DURATION_SIZE];

	return snprintf(ret, SONDE__OBSERVE_TEXT_SIZE, "%s%s%.*s: went on after %s", who.pattern,
			who.space, who.name_size, who.name,
			duration_print(observation->duration_ns, duration));
}

static bool is_bad_state(const struct sonde_observation *observation)
{
	const char *to = observation->to ? observation->to : "";

	return observation->error || !strcmp(to, "open") || !strcmp(to, "forced_open");
}

static int text_print(const struct sonde_observation *observation, char *ret,
		      enum sonde_level *ret_level)
{
	*ret_level = SONDE_WARN;
	switch (observation->what) {
	case SONDE_OBSERVED_ATTEMPT:
		return observation->error ? attempt_print(observation, ret) : 0;
	case SONDE_OBSERVED_STATE:
		*ret_level = is_bad_state(observation) ? SONDE_WARN : SONDE_INFO;
		return state_print(observation, ret);
	case SONDE_OBSERVED_DROP:
		return drop_print(observation, ret);
	case SONDE_OBSERVED_STALL:
		return stall_print(observation, ret);
	case SONDE_OBSERVED_RECOVERY:
		*ret_level = SONDE_INFO;
		return recovery_print(observation, ret);
	case SONDE_OBSERVED_REJECTION:
	case SONDE_OBSERVED_WAIT:
	case SONDE_OBSERVED_RUN:
	case SONDE_OBSERVED_ORPHAN: /* An error record of its own. */
		break;
	}
	return 0;
}

size_t sonde__observe_text(const struct sonde_observation *observation,
			   char ret[SONDE__OBSERVE_TEXT_SIZE], enum sonde_level *ret_level)
{
	int size = text_print(observation, ret, ret_level);

	if (size < SONDE__OBSERVE_TEXT_SIZE)
		return size > 0 ? (size_t)size : 0;
	return sonde__utf8_cut(ret, SONDE__OBSERVE_TEXT_SIZE - 1, SONDE__OBSERVE_TEXT_SIZE - 4);
}
