/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deadlines on their way to others and from them: as the time that is left, because clocks differ.
 * What comes in is a stranger's word: read strictly, by a bounded number of characters, and never
 * into more than a number.
 */

#include <sonde/deadline.h>

#include <inttypes.h>
#include <stdio.h>

#include "resilience/clock.h"

#define GRPC_VALUE_MAX 99999999u
#define GRPC_DIGITS 8
/* Of a number in the other headers: far more than any time needs. */
#define DIGITS_MAX 20

/* Smallest first. */
static const struct unit {
	char name;
	uint64_t ns;
} units[] = {
	{ 'n', 1 },
	{ 'u', 1000 },
	{ 'm', SONDE__NS_PER_MS },
	{ 'S', SONDE__NS_PER_S },
	{ 'M', 60 * SONDE__NS_PER_S },
	{ 'H', 3600 * SONDE__NS_PER_S },
};
#define N_UNITS (sizeof(units) / sizeof(units[0]))

static uint64_t at_least_1(uint64_t n)
{
	return n ? n : 1;
}

/* Longer than time goes is for ever. */
static uint64_t times(uint64_t n, uint64_t unit_ns)
{
	uint64_t ns;

	return __builtin_mul_overflow(n, unit_ns, &ns) ? SONDE__NEVER : ns;
}

/* Up to `max` digits; how many there were, 0 also where there are more. */
static size_t digits_read(const char **text, size_t max, uint64_t *ret)
{
	const char *c = *text;
	uint64_t n = 0;
	size_t n_digits = 0;

	for (; *c >= '0' && *c <= '9'; c++) {
		if (++n_digits > max)
			return 0;
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*c - '0'), &n))
			n = UINT64_MAX;
	}
	*text = c;
	*ret = n;
	return n_digits;
}

void sonde_deadline_format_grpc(uint64_t limit_ns, char buffer[SONDE_DEADLINE_GRPC_SIZE])
{
	const struct unit *unit = units;
	uint32_t n;

	if (!buffer)
		return;
	/* Time ends before the hours need a ninth digit. */
	while (limit_ns / unit->ns > GRPC_VALUE_MAX)
		unit++;
	n = (uint32_t)at_least_1(limit_ns / unit->ns) % (GRPC_VALUE_MAX + 1);
	snprintf(buffer, SONDE_DEADLINE_GRPC_SIZE, "%" PRIu32 "%c", n, unit->name);
}

int sonde_deadline_parse_grpc(const char *value, uint64_t *ret_limit_ns)
{
	uint64_t n;

	if (!value || !ret_limit_ns)
		return SONDE_E_INVALID;
	if (!digits_read(&value, GRPC_DIGITS, &n) || !value[0] || value[1])
		return SONDE_E_MALFORMED;
	for (size_t i = 0; i < N_UNITS; i++)
		if (units[i].name == value[0]) {
			*ret_limit_ns = times(n, units[i].ns);
			return SONDE_OK;
		}
	return SONDE_E_MALFORMED;
}

/* ".25" in billionths; without a point 0. Digits past the ninth say nothing. */
static bool fraction_read(const char **text, uint64_t *ret)
{
	uint64_t place = SONDE__NS_PER_S;
	const char *c = *text;

	*ret = 0;
	if (*c != '.')
		return true;
	for (c++; *c >= '0' && *c <= '9'; c++) {
		if (c - *text > DIGITS_MAX)
			return false;
		place /= 10;
		*ret += (uint64_t)(*c - '0') * place;
	}
	if (c - *text == 1)
		return false;
	*text = c;
	return true;
}

/* "2", "0.25", "2s", "250ms". */
static int seconds_parse(const char *value, uint64_t *ret_limit_ns)
{
	uint64_t whole;
	uint64_t billionths;
	uint64_t whole_ns;
	bool is_ms;

	if (!digits_read(&value, DIGITS_MAX, &whole) || !fraction_read(&value, &billionths))
		return SONDE_E_MALFORMED;
	is_ms = value[0] == 'm' && value[1] == 's';
	value += is_ms ? 2 : value[0] == 's';
	if (*value)
		return SONDE_E_MALFORMED;
	whole_ns = times(whole, is_ms ? SONDE__NS_PER_MS : SONDE__NS_PER_S);
	if (is_ms)
		billionths /= SONDE__NS_PER_S / SONDE__NS_PER_MS;
	*ret_limit_ns = sonde__moment_after(whole_ns, billionths);
	return SONDE_OK;
}

/* Whole milliseconds; 0 is no limit, as Envoy has it. */
static int envoy_parse(const char *value, uint64_t *ret_limit_ns)
{
	uint64_t ms;

	if (!digits_read(&value, DIGITS_MAX, &ms) || *value)
		return SONDE_E_MALFORMED;
	*ret_limit_ns = ms ? times(ms, SONDE__NS_PER_MS) : SONDE__NEVER;
	return SONDE_OK;
}

static const struct header {
	const char *name;
	int (*parse)(const char *value, uint64_t *ret_limit_ns);
} headers_in[] = {
	{ "grpc-timeout", sonde_deadline_parse_grpc },
	{ "x-request-timeout", seconds_parse },
	{ "x-envoy-expected-rq-timeout-ms", envoy_parse },
};

int sonde_deadline_extract(sonde_header_get_fn *get, void *carrier, uint64_t *ret_limit_ns)
{
	uint64_t shortest_ns = SONDE__NEVER;
	int status = SONDE_E_NOT_FOUND;

	if (!get || !ret_limit_ns)
		return SONDE_E_INVALID;
	for (size_t i = 0; i < sizeof(headers_in) / sizeof(headers_in[0]); i++) {
		const char *value = get(carrier, headers_in[i].name);
		uint64_t limit_ns;

		if (!value || !*value)
			continue;
		if (headers_in[i].parse(value, &limit_ns)) {
			status = status == SONDE_OK ? SONDE_OK : SONDE_E_MALFORMED;
			continue;
		}
		status = SONDE_OK;
		shortest_ns = limit_ns < shortest_ns ? limit_ns : shortest_ns;
	}
	if (status == SONDE_OK)
		*ret_limit_ns = shortest_ns;
	return status;
}

void sonde_deadline_begin_request(struct sonde_deadline *deadline, uint64_t limit_ms,
				  const struct sonde_clock *clock, sonde_header_get_fn *get,
				  void *carrier)
{
	uint64_t limit_ns = sonde__ms_to_ns(limit_ms);
	uint64_t left_ns;

	if (!sonde_deadline_extract(get, carrier, &left_ns) && left_ns < limit_ns)
		limit_ns = left_ns;
	sonde_deadline_begin_ns(deadline, limit_ns, clock);
}

void sonde_deadline_inject(unsigned headers, const struct sonde_clock *clock,
			   sonde_header_set_fn *set, void *carrier)
{
	uint64_t left_ns = sonde_deadline_left_ns(clock);
	uint64_t left_ms = at_least_1(left_ns / SONDE__NS_PER_MS);
	char grpc[SONDE_DEADLINE_GRPC_SIZE];
	char text[40];

	if (!set || left_ns == SONDE__NEVER)
		return;
	if (headers & SONDE_DEADLINE_HEADER_GRPC) {
		sonde_deadline_format_grpc(left_ns, grpc);
		set(carrier, "grpc-timeout", grpc);
	}
	if (headers & SONDE_DEADLINE_HEADER_SECONDS) {
		snprintf(text, sizeof(text), "%" PRIu64 ".%03" PRIu64, left_ms / 1000,
			 left_ms % 1000);
		set(carrier, "x-request-timeout", text);
	}
	if (headers & SONDE_DEADLINE_HEADER_ENVOY) {
		snprintf(text, sizeof(text), "%" PRIu64, left_ms);
		set(carrier, "x-envoy-upstream-rq-timeout-ms", text);
	}
}
