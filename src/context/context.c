/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The current context: a value in the thread. Nothing points from it to a span, so what longjmp,
 * pthread_exit or a coroutine switch leaves behind can make it stale but never dangling.
 */

#include "context/context.h"

#include <string.h>

SONDE__THREAD_LOCAL struct sonde__thread sonde__thread;

_Static_assert(sizeof(struct sonde_context) == 56, "part of the ABI");

static const struct sonde_context empty = SONDE_CONTEXT_INIT;

bool sonde_context_is_valid(const struct sonde_context *context)
{
	return context && sonde__context_words_are_valid(sonde__context_words(context));
}

struct sonde_context sonde_context_current(void)
{
	struct sonde_context context = sonde__thread.current;
	uint64_t *values = &context.extension[SONDE__EXTENSION_VALUES];

	if (*values)
		*values = sonde__values_lend(*values);
	return context;
}

/* Half a pair of ids is none: the current context has both or neither. */
static void make_current(const struct sonde_context *context)
{
	struct sonde_context *current = &sonde__thread.current;

	*current = *context;
	if (!sonde_context_is_valid(context)) {
		memset(current->trace_id, 0, sizeof(current->trace_id));
		memset(current->span_id, 0, sizeof(current->span_id));
	}
}

struct sonde_context sonde_context_attach(const struct sonde_context *context)
{
	struct sonde_context previous = sonde__thread.current;

	make_current(context ? context : &empty);
	return previous;
}

struct sonde_context sonde__context_enter(const struct sonde_context *context)
{
	struct sonde_context previous = sonde_context_attach(context);
	uint64_t *values = &sonde__thread.current.extension[SONDE__EXTENSION_VALUES];

	*values = sonde__values_seal(*values);
	return previous;
}

void sonde__context_restore(struct sonde_context *previous)
{
	const uint64_t values = sonde__thread.current.extension[SONDE__EXTENSION_VALUES];

	if (!previous)
		return;
	make_current(previous);
	/* What was set since the begin; only now, see sonde__scope_end. */
	if (values)
		sonde__values_release_run(values);
}

static void format_hex(const uint8_t *bytes, size_t size, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		ret[2 * i] = digits[bytes[i] >> 4];
		ret[2 * i + 1] = digits[bytes[i] & 0xf];
	}
	ret[2 * size] = '\0';
}

void sonde_trace_id_format(const struct sonde_context *context,
			   char buffer[SONDE_TRACE_ID_LENGTH + 1])
{
	if (buffer)
		format_hex((context ? context : &empty)->trace_id, sizeof(empty.trace_id), buffer);
}

void sonde_span_id_format(const struct sonde_context *context,
			  char buffer[SONDE_SPAN_ID_LENGTH + 1])
{
	if (buffer)
		format_hex((context ? context : &empty)->span_id, sizeof(empty.span_id), buffer);
}
