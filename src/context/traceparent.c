/* SPDX-License-Identifier: Apache-2.0 */
/*
 * W3C Trace Context Level 2: "00-<32 hex>-<16 hex>-<2 hex>", strictly. What is not understood is
 * ignored, so that a broken caller starts a trace of its own instead of being glued to another one.
 * A version above 00 is read by the fields of version 00, which it must keep, and sent on as 00.
 */

#include "context/context.h"

#include <string.h>

#define KNOWN_FLAGS (SONDE_TRACE_FLAG_SAMPLED | SONDE_TRACE_FLAG_RANDOM)

/* Offsets of the fields. */
#define TRACE_ID_AT 3
#define SPAN_ID_AT 36
#define FLAGS_AT 53

/* The digit's value, or -1: upper case is not valid here. */
static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static bool parse_hex(const char *text, size_t size, uint8_t *ret)
{
	for (size_t i = 0; i < size; i++) {
		int high = digit_value(text[2 * i]);
		int low = digit_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static int parse_traceparent(const char *text, struct sonde_context *ret)
{
	struct sonde_context context = SONDE_CONTEXT_INIT;
	uint8_t version;
	uint8_t flags;

	/*
	 * A terminator anywhere in the 55 characters is found here, before anything is read past
	 * it.
	 */
	if (strnlen(text, SONDE_TRACEPARENT_LENGTH) < SONDE_TRACEPARENT_LENGTH)
		return SONDE_E_MALFORMED;
	if (text[2] != '-' || text[SPAN_ID_AT - 1] != '-' || text[FLAGS_AT - 1] != '-')
		return SONDE_E_MALFORMED;
	if (!parse_hex(text, sizeof(version), &version) || version == 0xff)
		return SONDE_E_MALFORMED;
	if (!parse_hex(text + TRACE_ID_AT, sizeof(context.trace_id), context.trace_id) ||
	    !parse_hex(text + SPAN_ID_AT, sizeof(context.span_id), context.span_id) ||
	    !parse_hex(text + FLAGS_AT, sizeof(flags), &flags) || !sonde_context_is_valid(&context))
		return SONDE_E_MALFORMED;
	if (text[SONDE_TRACEPARENT_LENGTH] &&
	    (version == 0 || text[SONDE_TRACEPARENT_LENGTH] != '-'))
		return SONDE_E_MALFORMED;
	context.trace_flags = flags & KNOWN_FLAGS;
	context.is_remote = true;
	*ret = context;
	return SONDE_OK;
}

static void add_tracestate(const char *text, struct sonde_context *context)
{
	char members[SONDE_TRACESTATE_LENGTH];
	size_t size;

	if (text && sonde__tracestate_parse(text, members, &size) == SONDE_OK && size)
		context->extension[SONDE__EXTENSION_TRACESTATE] = sonde__tracestate_keep(members,
											 size);
}

int sonde_context_from_traceparent(const char *traceparent, const char *tracestate,
				   struct sonde_context *ret)
{
	struct sonde_context context;
	int status;

	if (!traceparent || !*traceparent)
		return SONDE_E_NOT_FOUND;
	if (!ret)
		return SONDE_E_INVALID;
	status = parse_traceparent(traceparent, &context);
	if (status < 0)
		return status;
	add_tracestate(tracestate, &context);
	*ret = context;
	return SONDE_OK;
}

int sonde_context_to_traceparent(const struct sonde_context *context, char *buffer)
{
	static const char digits[] = "0123456789abcdef";

	if (!buffer)
		return SONDE_E_INVALID;
	buffer[0] = '\0';
	if (!sonde_context_is_valid(context))
		return SONDE_E_NOT_FOUND;
	buffer[0] = '0';
	buffer[1] = '0';
	buffer[2] = '-';
	sonde_trace_id_format(context, buffer + TRACE_ID_AT);
	buffer[SPAN_ID_AT - 1] = '-';
	sonde_span_id_format(context, buffer + SPAN_ID_AT);
	buffer[FLAGS_AT - 1] = '-';
	buffer[FLAGS_AT] = '0';
	buffer[FLAGS_AT + 1] = digits[context->trace_flags & KNOWN_FLAGS];
	buffer[FLAGS_AT + 2] = '\0';
	return SONDE_OK;
}

int sonde_context_to_tracestate(const struct sonde_context *context, char *buffer, size_t size)
{
	char text[SONDE_TRACESTATE_LENGTH];
	size_t length = 0;

	if (!buffer || !size)
		return SONDE_E_INVALID;
	if (sonde_context_is_valid(context))
		length = sonde__tracestate_read(context->extension[SONDE__EXTENSION_TRACESTATE],
						text);
	if (length >= size)
		return SONDE_E_TOO_BIG;
	memcpy(buffer, text, length);
	buffer[length] = '\0';
	return (int)length;
}

int sonde_context_extract(sonde_header_get_fn *get, void *carrier, struct sonde_context *ret)
{
	struct sonde_context context;
	const char *traceparent;
	int status;

	if (!get)
		return SONDE_E_NOT_FOUND;
	if (!ret)
		return SONDE_E_INVALID;
	traceparent = get(carrier, "traceparent");
	if (!traceparent || !*traceparent)
		return SONDE_E_NOT_FOUND;
	status = parse_traceparent(traceparent, &context);
	if (status < 0)
		return status;
	/* Only now: the first value lives until this call. */
	add_tracestate(get(carrier, "tracestate"), &context);
	*ret = context;
	return SONDE_OK;
}

void sonde_context_inject(const struct sonde_context *context, sonde_header_set_fn *set,
			  void *carrier)
{
	struct sonde_context current = sonde__thread.current;
	char traceparent[SONDE_TRACEPARENT_LENGTH + 1];
	char tracestate[SONDE_TRACESTATE_LENGTH + 1];

	if (!context)
		context = &current;
	if (!set || sonde_context_to_traceparent(context, traceparent) < 0)
		return;
	set(carrier, "traceparent", traceparent);
	if (sonde_context_to_tracestate(context, tracestate, sizeof(tracestate)) > 0)
		set(carrier, "tracestate", tracestate);
}
