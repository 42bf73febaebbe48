/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The headers of an incoming request: the first line is traceparent, the rest tracestate. What was
 * taken must come out again as a header that is taken for the same.
 */

#include <ctype.h>
#include <strings.h>

#include <sonde/context.h>

#include "context/context.h"
#include "target.h"

static void check_tracestate(const char *tracestate)
{
	char parsed[SONDE_TRACESTATE_LENGTH + 1];
	char again[SONDE_TRACESTATE_LENGTH];
	size_t size;
	size_t size_again;

	if (sonde__tracestate_parse(tracestate, parsed, &size) < 0)
		return;
	CHECK(size <= SONDE_TRACESTATE_LENGTH);
	parsed[size] = '\0';
	for (size_t i = 0; i < size; i++)
		CHECK(isprint((unsigned char)parsed[i]));
	if (!size)
		return;
	CHECK(sonde__tracestate_parse(parsed, again, &size_again) >= 0);
	CHECK(size_again == size && memcmp(parsed, again, size) == 0);
}

static void check_context(const char *traceparent, const char *tracestate)
{
	struct sonde_context context = SONDE_CONTEXT_INIT;
	struct sonde_context again = SONDE_CONTEXT_INIT;
	char text[SONDE_TRACEPARENT_LENGTH + 1];
	char state[SONDE_TRACESTATE_LENGTH + 1];

	if (sonde_context_from_traceparent(traceparent, tracestate, &context) < 0) {
		CHECK(!sonde_context_is_valid(&context));
		return;
	}
	CHECK(sonde_context_is_valid(&context));
	CHECK(context.is_remote);
	CHECK(sonde_context_to_traceparent(&context, text) == SONDE_OK);
	CHECK(strlen(text) == SONDE_TRACEPARENT_LENGTH);
	CHECK(strncasecmp(text + 3, traceparent + 3, 49) == 0);
	CHECK(sonde_context_to_tracestate(&context, state, sizeof(state)) <=
	      SONDE_TRACESTATE_LENGTH);
	CHECK(sonde_context_from_traceparent(text, state, &again) == SONDE_OK);
	CHECK(memcmp(again.trace_id, context.trace_id, 16) == 0 &&
	      memcmp(again.span_id, context.span_id, 8) == 0);
	CHECK((again.trace_flags & SONDE_TRACE_FLAG_SAMPLED) ==
	      (context.trace_flags & SONDE_TRACE_FLAG_SAMPLED));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	size_t first = end ? (size_t)(end - data) : size;
	char *traceparent = text_new(data, first);
	char *tracestate = end ? text_new(end + 1, size - first - 1) : NULL;

	check_context(traceparent, tracestate);
	if (tracestate)
		check_tracestate(tracestate);
	free(traceparent);
	free(tracestate);
	return 0;
}
