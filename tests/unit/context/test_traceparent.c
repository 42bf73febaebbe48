/* SPDX-License-Identifier: Apache-2.0 */

/* Reading, writing and carrying traceparent, by the cases of W3C Trace Context Level 2. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/context.h>

#include "context/context.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static void test_good(void **state)
{
	static const struct {
		const char *text;
		const char *sent;
	} cases[] = {
		{ "00-" TRACE "-" SPAN "-00", "00-" TRACE "-" SPAN "-00" },
		{ "00-" TRACE "-" SPAN "-01", "00-" TRACE "-" SPAN "-01" },
		{ "00-" TRACE "-" SPAN "-02", "00-" TRACE "-" SPAN "-02" },
		{ "00-" TRACE "-" SPAN "-03", "00-" TRACE "-" SPAN "-03" },
		{ "00-" TRACE "-" SPAN "-ff", "00-" TRACE "-" SPAN "-03" },
		{ "00-" TRACE "-" SPAN "-fc", "00-" TRACE "-" SPAN "-00" },
		{ "01-" TRACE "-" SPAN "-01", "00-" TRACE "-" SPAN "-01" },
		{ "fe-" TRACE "-" SPAN "-01-what-will-be", "00-" TRACE "-" SPAN "-01" },
		{ "cc-" TRACE "-" SPAN "-01-", "00-" TRACE "-" SPAN "-01" },
		{ "00-00000000000000000000000000000001-0000000000000001-00",
		  "00-00000000000000000000000000000001-0000000000000001-00" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sonde_context context;
		char sent[SONDE_TRACEPARENT_LENGTH + 1];

		assert_int_equal(sonde_context_from_traceparent(cases[i].text, NULL, &context),
				 SONDE_OK);
		assert_true(context.is_remote);
		assert_int_equal(sonde_context_to_traceparent(&context, sent), SONDE_OK);
		assert_string_equal(sent, cases[i].sent);
	}
}

static const char *const malformed[] = {
	"0",
	"00-",
	"ff-" TRACE "-" SPAN "-01",
	"FF-" TRACE "-" SPAN "-01",
	"0x-" TRACE "-" SPAN "-01",
	"0-" TRACE "-" SPAN "-01",
	"00-" TRACE "-" SPAN "-0",
	"00-" TRACE "-" SPAN "-0g",
	"00-" TRACE "-" SPAN "-0A",
	"00-" TRACE "-" SPAN "-01-",
	"00-" TRACE "-" SPAN "-01.",
	"00-" TRACE "-" SPAN "-01 ",
	" 00-" TRACE "-" SPAN "-01",
	"01-" TRACE "-" SPAN "-01.",
	"01-" TRACE "-" SPAN "-0",
	"00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
	"00-" TRACE "-B7AD6B7169203331-01",
	"00-00000000000000000000000000000000-" SPAN "-01",
	"00-" TRACE "-0000000000000000-01",
	"00-" TRACE "." SPAN "-01",
	"00." TRACE "-" SPAN "-01",
	"00-" TRACE "-" SPAN ".01",
	"00-0af7651916cd43dd8448eb211c8031-" SPAN "-0101",
	"00-0af7651916cd43dd8448eb211c80319\xc3\xa4" SPAN "-01",
};

static void test_malformed_leaves_result_untouched(void **state)
{
	struct sonde_context before;

	(void)state;
	memset(&before, 0x5a, sizeof(before));
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		struct sonde_context context = before;

		assert_int_equal(sonde_context_from_traceparent(malformed[i], "a=b", &context),
				 SONDE_E_MALFORMED);
		assert_memory_equal(&context, &before, sizeof(context));
	}
}

static void test_absent(void **state)
{
	struct sonde_context context = SONDE_CONTEXT_INIT;
	char text[SONDE_TRACEPARENT_LENGTH + 1] = "x";

	(void)state;
	assert_int_equal(sonde_context_from_traceparent(NULL, "a=b", &context), SONDE_E_NOT_FOUND);
	assert_int_equal(sonde_context_from_traceparent("", "a=b", &context), SONDE_E_NOT_FOUND);
	assert_int_equal(sonde_context_from_traceparent("00-" TRACE "-" SPAN "-01", NULL, NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_context_to_traceparent(NULL, text), SONDE_E_NOT_FOUND);
	assert_string_equal(text, "");
	assert_int_equal(sonde_context_to_traceparent(&context, NULL), SONDE_E_INVALID);
}

static void test_tracestate_goes_through(void **state)
{
	struct sonde_context context;
	char text[SONDE_TRACESTATE_LENGTH + 1] = "x";

	(void)state;
	assert_int_equal(sonde_context_from_traceparent("00-" TRACE "-" SPAN "-01", " a=1 ,, b@c= 2\t", &context), 0);
	assert_int_equal(sonde_context_to_tracestate(&context, text, 9), SONDE_E_TOO_BIG);
	assert_string_equal(text, "x");
	assert_int_equal(sonde_context_to_tracestate(&context, text, 11), 10);
	assert_string_equal(text, "a=1,b@c= 2");
	assert_int_equal(sonde_context_to_tracestate(&context, NULL, 11), SONDE_E_INVALID);
	assert_int_equal(sonde_context_to_tracestate(&context, text, 0), SONDE_E_INVALID);
	assert_int_equal(sonde_context_to_tracestate(NULL, text, sizeof(text)), 0);
	assert_string_equal(text, "");
}

static void test_bad_tracestate_is_dropped_alone(void **state)
{
	struct sonde_context context;
	char text[SONDE_TRACESTATE_LENGTH + 1];

	(void)state;
	assert_int_equal(sonde_context_from_traceparent("00-" TRACE "-" SPAN "-01", "A=1", &context), SONDE_OK);
	assert_int_equal(sonde_context_to_tracestate(&context, text, sizeof(text)), 0);
	assert_string_equal(text, "");
}

/* A carrier of two headers whose `get` uses one buffer again, as it may. */
struct carrier {
	const char *traceparent;
	const char *tracestate;
	char buffer[600];
	unsigned n_set;
};

static const char *carrier_get(void *carrier, const char *name)
{
	struct carrier *headers = carrier;
	const char *value = !strcmp(name, "traceparent") ? headers->traceparent : headers->tracestate;

	if (!value)
		return NULL;
	snprintf(headers->buffer, sizeof(headers->buffer), "%s", value);
	return headers->buffer;
}

static void carrier_set(void *carrier, const char *name, const char *value)
{
	struct carrier *headers = carrier;

	assert_string_equal(name, headers->n_set ? "tracestate" : "traceparent");
	assert_string_equal(value, headers->n_set ? headers->tracestate : headers->traceparent);
	headers->n_set++;
}

static void test_carriers(void **state)
{
	struct carrier headers = { "00-" TRACE "-" SPAN "-03", "k=v,l=w", "", 0 };
	struct sonde_context context;

	(void)state;
	assert_int_equal(sonde_context_extract(carrier_get, &headers, &context), SONDE_OK);
	sonde_context_inject(&context, carrier_set, &headers);
	assert_int_equal(headers.n_set, 2);

	headers.n_set = 0;
	{
		SONDE_CONTEXT_SCOPE(&context);
		sonde_context_inject(/* context= */ NULL, carrier_set, &headers);
	}
	assert_int_equal(headers.n_set, 2);
	sonde_context_inject(&context, /* set= */ NULL, &headers);

	headers.n_set = 0;
	sonde_context_inject(/* context= */ NULL, carrier_set, &headers);
	assert_int_equal(headers.n_set, 0);

	headers.tracestate = NULL;
	assert_int_equal(sonde_context_extract(carrier_get, &headers, &context), SONDE_OK);
	sonde_context_inject(&context, carrier_set, &headers);
	assert_int_equal(headers.n_set, 1);

	headers.traceparent = NULL;
	assert_int_equal(sonde_context_extract(carrier_get, &headers, &context), SONDE_E_NOT_FOUND);
	headers.traceparent = "";
	assert_int_equal(sonde_context_extract(carrier_get, &headers, &context), SONDE_E_NOT_FOUND);
	headers.traceparent = "nonsense";
	assert_int_equal(sonde_context_extract(carrier_get, &headers, &context), SONDE_E_MALFORMED);
	assert_int_equal(sonde_context_extract(/* get= */ NULL, &headers, &context),
			 SONDE_E_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_malformed_leaves_result_untouched),
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_tracestate_goes_through),
		cmocka_unit_test(test_bad_tracestate_is_dropped_alone),
		cmocka_unit_test(test_carriers),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
