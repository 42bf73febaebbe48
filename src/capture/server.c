/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server spans. With a way to read the headers the parent is the caller's, or none: what happens to
 * be current on a thread that takes up a new request is no part of it. Without, whoever calls has
 * attached the caller's context, and it is the parent.
 *
 * Standard: semantic conventions for HTTP server spans.
 */

#include <errno.h>
#include <string.h>

#include <sonde/span.h>

#include "base/text.h"
#include "capture/span.h"
#include "context/context.h"

#define NAME_MAX_SIZE 256

#define CUT_MARK "…"

/* Copies what there is room for, marked where it is not all; returns its length. */
static size_t part_copy(char *ret, size_t room, const char *text)
{
	const size_t mark_size = sizeof(CUT_MARK) - 1;
	size_t size = strlen(text);

	if (size > room) {
		size = sonde__utf8_cut(text, size, room - mark_size);
		memcpy(ret + size, CUT_MARK, mark_size);
		memcpy(ret, text, size);
		return size + mark_size;
	}
	memcpy(ret, text, size);
	return size;
}

/* "<method> <route>", or the method alone. */
static size_t name_make(const char *method, const char *route, char ret[NAME_MAX_SIZE])
{
	size_t size = part_copy(ret, NAME_MAX_SIZE / 2, method);

	if (route && *route) {
		ret[size++] = ' ';
		size += part_copy(ret + size, NAME_MAX_SIZE - size, route);
	}
	return size;
}

/* The methods that are said as they are: those of RFC 9110, PATCH and QUERY. */
static bool method_is_known(const char *method)
{
	static const char *const known[] = { "GET", "HEAD", "POST", "PUT", "DELETE",
					     "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY" };

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(known); i++)
		if (!strcmp(method, known[i]))
			return true;
	return false;
}

static void attribute_set(struct sonde_span *memory, const char *key, const char *value)
{
	sonde__span_set_strn(memory, key, strlen(key), value, strlen(value));
}

static void attributes_set(struct sonde_span *memory, const char *method, const char *route)
{
	if (method_is_known(method)) {
		attribute_set(memory, "http.request.method", method);
	} else {
		attribute_set(memory, "http.request.method", "_OTHER");
		if (*method)
			attribute_set(memory, "http.request.method_original", method);
	}
	if (route && *route)
		attribute_set(memory, "http.route", route);
}

void sonde__span_begin_server(struct sonde_span *memory, const char *method, const char *route,
			      sonde_header_get_fn *get, void *carrier)
{
	struct sonde_span_options options = SONDE_SPAN_OPTIONS_INIT;
	struct sonde_context caller = SONDE_CONTEXT_INIT;
	struct sonde__span *span;
	int saved_errno = errno;
	char name[NAME_MAX_SIZE];

	if (!memory)
		return;
	if (!method)
		method = "";
	options.kind = SONDE_KIND_SERVER;
	if (get) {
		options.parent = &caller;
		sonde_context_extract(get, carrier, &caller);
		errno = saved_errno;
	}
	span = sonde__span_start(memory, &options);
	/* The slot is the span's, recorded or not; without a span there is nobody to free it. */
	if (memory->opaque[0])
		((struct sonde__span *)memory)->own_flags |= SONDE__SPAN_OWNS_TRACESTATE;
	else
		sonde__tracestate_free(caller.extension[SONDE__EXTENSION_TRACESTATE]);
	if (!span)
		return;
	sonde__span_name(span, name, name_make(method_is_known(method) ? method : "HTTP", route, name));
	attributes_set(memory, method, route);
	sonde__span_open(span);
}
