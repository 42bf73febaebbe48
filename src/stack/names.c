/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A ring of answers: the newest take the place of the oldest. Numbers run on, so whoever holds an
 * old one finds out that it is gone.
 *
 * A provider is another library's code, which read files that could say anything: texts are made
 * valid UTF-8 of one line, and cut.
 */

#include "stack/names.h"

#include <stdio.h>
#include <string.h>

#include <sonde/stack.h>

#include "base/utf8.h"
#include "stack/identity.h"
#include "stack/provider.h"

#define NAMES_MAX 512
#define INLINED_MAX 12

_Static_assert(SONDE__FRAME_FUNCTION_SIZE <= SONDE__FRAME_FILE_SIZE &&
		       SONDE__FRAME_SOURCE_SIZE <= SONDE__FRAME_FILE_SIZE,
	       "the largest text");

static struct {
	struct sonde__name names[NAMES_MAX];
	uint64_t next;
} ring;

/* A text that is longer loses its beginning: of a path the end says more. */
static const char *fitting_end(const char *text, size_t size)
{
	size_t length = strlen(text);

	return length < size ? text : text + length - (size - 1);
}

static void text_set(char *ret, size_t size, const char *text)
{
	char repaired[3 * SONDE__FRAME_FILE_SIZE];
	size_t length = sonde__utf8_cut(text, strnlen(text, size + 4), size - 1);

	length = sonde__utf8_repair(text, length, repaired);
	length = sonde__utf8_cut(repaired, length, size - 1);
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)repaired[i];

		ret[i] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
	ret[length] = '\0';
}

static void name_set(struct sonde__name *name, const struct sonde_symbol_frame *frame)
{
	*name = (struct sonde__name){
		.line = frame->line,
		.column = frame->column,
		.is_inlined = frame->is_inlined,
	};
	if (frame->linkage_name)
		name->identity =
			sonde__name_identity(frame->linkage_name, strlen(frame->linkage_name));
	else if (frame->function)
		name->identity = sonde__name_identity(frame->function, strlen(frame->function));
	if (frame->function)
		text_set(name->function, sizeof(name->function), frame->function);
	if (frame->file)
		text_set(name->file, sizeof(name->file),
			 fitting_end(frame->file, sizeof(name->file)));
	if (frame->source)
		text_set(name->source, sizeof(name->source), frame->source);
}

struct sonde__names sonde__names_ask(const struct sonde__stack_options *options,
				     const struct sonde__module *module, uint64_t address)
{
	const struct sonde_symbol_provider *provider = sonde__symbol_provider();
	struct sonde_symbol_frame frames[INLINED_MAX];
	struct sonde__names names = { .first = ring.next };
	struct sonde_symbol_query query = {
		.size = sizeof(query),
		.path = module->path,
		.build_id = module->build_id,
		.build_id_size = module->build_id_size,
		.address = address,
		.debug_path = options->debug_path,
		.memory_limit_bytes = options->memory_limit_bytes,
		.wants_source = !options->has_no_source,
	};
	size_t n;

	if (!provider || options->has_no_symbols)
		return names;
	n = provider->resolve(&query, frames, INLINED_MAX);
	n = n < INLINED_MAX ? n : INLINED_MAX;
	for (size_t i = 0; i < n; i++) {
		struct sonde__name *name = &ring.names[ring.next++ % NAMES_MAX];

		name_set(name, &frames[i]);
		name->is_inlined = i + 1 < n;
	}
	names.n = (uint8_t)n;
	return names;
}

const struct sonde__name *sonde__name_at(const struct sonde__names *names, size_t i)
{
	uint64_t number = names->first + i;

	return ring.next - names->first <= NAMES_MAX ? &ring.names[number % NAMES_MAX] : NULL;
}

void sonde__names_abandon(void)
{
	const struct sonde_symbol_provider *provider = sonde__symbol_provider();

	ring.next += NAMES_MAX;
	if (provider)
		provider->abandon();
}

void sonde__names_clear(void)
{
	const struct sonde_symbol_provider *provider = sonde__symbol_provider();

	if (provider)
		provider->clear();
}
