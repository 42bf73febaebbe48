/* SPDX-License-Identifier: Apache-2.0 */

/* Deadlines in headers: what is written, what is read, and what strangers may send. */

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/deadline.h>

#include "support/sequence.h"
#include "support/virtual_clock.h"

#define HOUR (3600 * SECOND)

static void test_grpc_is_written_in_the_smallest_unit(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} table[] = {
		{ 0, "1n" },
		{ 1, "1n" },
		{ 99999999, "99999999n" },
		{ 100000000, "100000u" },
		{ 250 * MS, "250000u" },
		{ 100 * SECOND - 1, "99999999u" },
		{ 100 * SECOND, "100000m" },
		{ 100000 * SECOND, "100000S" },
		{ 99999999 * SECOND + 999999999, "99999999S" },
		{ 100000000 * SECOND, "1666666M" },
		{ 6000000000 * SECOND, "1666666H" },
		{ UINT64_MAX - 1, "5124095H" },
	};
	char text[SONDE_DEADLINE_GRPC_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		sonde_deadline_format_grpc(table[i].ns, text);
		assert_string_equal(text, table[i].text);
	}
	sonde_deadline_format_grpc(1, NULL);
}

static void test_grpc_is_read_strictly(void **state)
{
	static const struct {
		const char *text;
		int status;
		uint64_t ns;
	} table[] = {
		{ "1n", SONDE_OK, 1 },
		{ "0S", SONDE_OK, 0 },
		{ "00000001S", SONDE_OK, SECOND },
		{ "20u", SONDE_OK, 20000 },
		{ "100m", SONDE_OK, 100 * MS },
		{ "30S", SONDE_OK, 30 * SECOND },
		{ "2M", SONDE_OK, 120 * SECOND },
		{ "1H", SONDE_OK, HOUR },
		{ "5124095H", SONDE_OK, 5124095 * HOUR },
		{ "99999999H", SONDE_OK, UINT64_MAX },
		{ "99999999M", SONDE_OK, 99999999 * (60 * SECOND) },
		{ "", SONDE_E_MALFORMED, 0 },
		{ "S", SONDE_E_MALFORMED, 0 },
		{ "1", SONDE_E_MALFORMED, 0 },
		{ "1s", SONDE_E_MALFORMED, 0 },
		{ "1h", SONDE_E_MALFORMED, 0 },
		{ "1 S", SONDE_E_MALFORMED, 0 },
		{ " 1S", SONDE_E_MALFORMED, 0 },
		{ "1S ", SONDE_E_MALFORMED, 0 },
		{ "1SS", SONDE_E_MALFORMED, 0 },
		{ "+1S", SONDE_E_MALFORMED, 0 },
		{ "-1S", SONDE_E_MALFORMED, 0 },
		{ "1.5S", SONDE_E_MALFORMED, 0 },
		{ "000000001S", SONDE_E_MALFORMED, 0 },
		{ "99999999999999999999999999S", SONDE_E_MALFORMED, 0 },
		{ "1\xc2\xb5", SONDE_E_MALFORMED, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint64_t ns = 4711;

		assert_int_equal(sonde_deadline_parse_grpc(table[i].text, &ns), table[i].status);
		assert_true(ns == (table[i].status ? 4711 : table[i].ns));
	}
	assert_int_equal(sonde_deadline_parse_grpc(NULL, &(uint64_t){ 0 }), SONDE_E_INVALID);
	assert_int_equal(sonde_deadline_parse_grpc("1S", NULL), SONDE_E_INVALID);
}

/* ---- A request's headers --------------------------------------------------------------------- */

struct request {
	const char *grpc;
	const char *seconds;
	const char *envoy_in;
	char set[128]; /* What was set, a line each. */
};

static const char *header_get(void *carrier, const char *name)
{
	const struct request *request = carrier;

	if (!strcmp(name, "grpc-timeout"))
		return request->grpc;
	if (!strcmp(name, "x-request-timeout"))
		return request->seconds;
	if (!strcmp(name, "x-envoy-expected-rq-timeout-ms"))
		return request->envoy_in;
	return NULL;
}

static void header_set(void *carrier, const char *name, const char *value)
{
	struct request *request = carrier;
	size_t size = strlen(request->set);

	snprintf(request->set + size, sizeof(request->set) - size, "%s: %s\n", name, value);
}

static void test_shortest_header_counts(void **state)
{
	static const struct {
		struct request request;
		int status;
		uint64_t ns;
	} table[] = {
		{ { .grpc = NULL }, SONDE_E_NOT_FOUND, 0 },
		{ { .grpc = "" }, SONDE_E_NOT_FOUND, 0 },
		{ { .grpc = "x" }, SONDE_E_MALFORMED, 0 },
		{ { .grpc = "2S" }, SONDE_OK, 2 * SECOND },
		{ { .grpc = "2S", .seconds = "x" }, SONDE_OK, 2 * SECOND },
		{ { .grpc = "x", .seconds = "2" }, SONDE_OK, 2 * SECOND },
		{ { .grpc = "2S", .seconds = "1.5", .envoy_in = "1750" }, SONDE_OK, 1500 * MS },
		{ { .grpc = "2S", .envoy_in = "1750" }, SONDE_OK, 1750 * MS },
		{ { .envoy_in = "0" }, SONDE_OK, UINT64_MAX },
		{ { .envoy_in = "-1" }, SONDE_E_MALFORMED, 0 },
		{ { .envoy_in = "1.5" }, SONDE_E_MALFORMED, 0 },
		{ { .envoy_in = "18446744073709551616" }, SONDE_OK, UINT64_MAX },
		{ { .seconds = "0" }, SONDE_OK, 0 },
		{ { .seconds = "0.25" }, SONDE_OK, 250 * MS },
		{ { .seconds = "0.0000000019" }, SONDE_OK, 1 },
		{ { .seconds = "2s" }, SONDE_OK, 2 * SECOND },
		{ { .seconds = "2.5ms" }, SONDE_OK, 2500000 },
		{ { .seconds = "2m" }, SONDE_E_MALFORMED, 0 },
		{ { .seconds = "2 s" }, SONDE_E_MALFORMED, 0 },
		{ { .seconds = "." }, SONDE_E_MALFORMED, 0 },
		{ { .seconds = "1." }, SONDE_E_MALFORMED, 0 },
		{ { .seconds = ".5" }, SONDE_E_MALFORMED, 0 },
		{ { .seconds = "1.5.5" }, SONDE_E_MALFORMED, 0 },
		{ { .seconds = "1e3" }, SONDE_E_MALFORMED, 0 },
		{ { .seconds = "0x10" }, SONDE_E_MALFORMED, 0 },
		{ { .seconds = "inf" }, SONDE_E_MALFORMED, 0 },
		{ { .seconds = "-0" }, SONDE_E_MALFORMED, 0 },
		{ { .seconds = "99999999999999999999" }, SONDE_OK, UINT64_MAX },
		{ { .seconds = "999999999999999999999" }, SONDE_E_MALFORMED, 0 },
		{ { .seconds = "1.000000000000000000000000000" }, SONDE_E_MALFORMED, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct request request = table[i].request;
		uint64_t ns = 4711;

		assert_int_equal(sonde_deadline_extract(header_get, &request, &ns),
				 table[i].status);
		assert_true(ns == (table[i].status ? 4711 : table[i].ns));
	}
	assert_int_equal(sonde_deadline_extract(NULL, NULL, &(uint64_t){ 0 }), SONDE_E_INVALID);
	assert_int_equal(sonde_deadline_extract(header_get, &(struct request){ 0 }, NULL),
			 SONDE_E_INVALID);
}

static uint64_t left_of_request(const char *grpc, uint64_t limit_ms)
{
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;
	struct request request = { .grpc = grpc };
	struct virtual_clock clock;

	virtual_clock_init(&clock, SECOND);
	sonde_deadline_begin_request(&deadline, limit_ms, &clock.clock, header_get, &request);
	return sonde_deadline_left_ns(&clock.clock);
}

static void test_request_has_no_more_than_its_server_allows(void **state)
{
	(void)state;
	assert_true(left_of_request("2S", 5000) == 2 * SECOND);
	assert_true(left_of_request("2H", 5000) == 5 * SECOND);
	assert_true(left_of_request("99999999H", 5000) == 5 * SECOND);
	assert_true(left_of_request("bad", 5000) == 5 * SECOND);
	assert_true(left_of_request(NULL, 5000) == 5 * SECOND);
	assert_true(left_of_request("0n", 5000) == 0);
	assert_true(left_of_request(NULL, UINT64_MAX) == UINT64_MAX);
	SONDE_REQUEST_DEADLINE(1000, NULL, NULL);
	assert_true(sonde_deadline_left_ns(NULL) <= SECOND);
}

static void assert_sent(uint64_t left_ns, unsigned headers, const char *wanted)
{
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;
	struct request request = { .grpc = NULL };
	struct virtual_clock clock;

	virtual_clock_init(&clock, SECOND);
	sonde_deadline_begin_ns(&deadline, left_ns, &clock.clock);
	sonde_deadline_inject(headers, &clock.clock, header_set, &request);
	assert_string_equal(request.set, wanted);
}

static void test_what_is_sent(void **state)
{
	const unsigned all = SONDE_DEADLINE_HEADER_GRPC | SONDE_DEADLINE_HEADER_SECONDS |
			     SONDE_DEADLINE_HEADER_ENVOY;

	(void)state;
	assert_sent(UINT64_MAX, all, "");
	assert_sent(SECOND, 0, "");
	assert_sent(1500 * MS, all,
		    "grpc-timeout: 1500000u\nx-request-timeout: 1.500\n"
		    "x-envoy-upstream-rq-timeout-ms: 1500\n");
	assert_sent(1500 * MS - 1, SONDE_DEADLINE_HEADER_SECONDS, "x-request-timeout: 1.499\n");
	assert_sent(0, all,
		    "grpc-timeout: 1n\nx-request-timeout: 0.001\n"
		    "x-envoy-upstream-rq-timeout-ms: 1\n");
	sonde_deadline_inject(all, NULL, NULL, NULL);
}

/* What is written is read again: never longer, and shorter by a hundred-thousandth. */
static bool play_round_trip(const struct sequence_step *steps, size_t n_steps, char *why,
			    size_t size)
{
	for (size_t i = 0; i < n_steps; i++) {
		uint64_t ns = steps[i].b >> steps[i].a % 64;
		char text[SONDE_DEADLINE_GRPC_SIZE];
		uint64_t read_ns = UINT64_MAX;

		sonde_deadline_format_grpc(ns, text);
		ns = ns ? ns : 1;
		if (sonde_deadline_parse_grpc(text, &read_ns) || read_ns > ns ||
		    ns - read_ns > ns / 100000) {
			snprintf(why, size, "%" PRIu64 " ns, written %s, read %" PRIu64, ns, text,
				 read_ns);
			return false;
		}
	}
	return true;
}

static void test_round_trip(void **state)
{
	(void)state;
	sequence_check(play_round_trip, 1000, 100);
}

/* Any bytes: read as a number or refused, by what stands in their place alone. */
static bool play_noise(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	static const char letters[] = "0123456789numSMHs. -+\xff";
	char text[64] = "";
	struct request request = { text, text, text, "" };
	uint64_t ns = 0;

	(void)why;
	(void)size;
	for (size_t i = 0; i < n_steps && i < sizeof(text) - 1; i++)
		text[i] = letters[steps[i].a % (sizeof(letters) - 1)];
	(void)sonde_deadline_parse_grpc(text, &ns);
	return sonde_deadline_extract(header_get, &request, &ns) != SONDE_E_INVALID;
}

static void test_noise(void **state)
{
	(void)state;
	sequence_check(play_noise, 20000, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grpc_is_written_in_the_smallest_unit),
		cmocka_unit_test(test_grpc_is_read_strictly),
		cmocka_unit_test(test_shortest_header_counts),
		cmocka_unit_test(test_request_has_no_more_than_its_server_allows),
		cmocka_unit_test(test_what_is_sent),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
