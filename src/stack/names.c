/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A ring of answers: the newest take the place of the oldest. Numbers run on, so whoever holds an
 * old one finds out that it is gone.
 *
 * The source text around each place lies in a ring of bytes, in the same way.
 *
 * Who is asking and who keeps answers may be two threads: each place has its owner word.
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
#include "stack/owner.h"
#include "stack/provider.h"

#define NAMES_MAX 512
#define SOURCES_SIZE 65536 /* A multiple of what one may take. */

#define CUT_MARK "…"

_Static_assert(SONDE__FRAME_FUNCTION_SIZE <= SONDE__FRAME_FILE_SIZE &&
		       SONDE__SOURCE_LINE_SIZE <= SONDE__FRAME_FILE_SIZE,
	       "the largest text");

static struct {
	struct sonde__name names[NAMES_MAX];
	uint64_t next;
	char sources[SOURCES_SIZE];
	uint64_t next_source;
} ring;

/* Who is in the provider. Nobody waits for it. */
static struct sonde__owner asker;

/* A text that is longer loses its beginning: of a path the end says more. */
static const char *fitting_end(const char *text, size_t size)
{
	size_t length = strlen(text);

	return length < size ? text : text + length - (size - 1);
}

/* Returns the length. */
static size_t text_set(char *ret, size_t size, const char *text, size_t text_size)
{
	char repaired[3 * SONDE__FRAME_FILE_SIZE];
	size_t length = sonde__utf8_cut(text, text_size, size - 1);

	length = sonde__utf8_repair(text, length, repaired);
	length = sonde__utf8_cut(repaired, length, size - 1);
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)repaired[i];

		ret[i] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
	ret[length] = '\0';
	return length;
}

static void text_copy(char *ret, size_t size, const char *text)
{
	text_set(ret, size, text, strnlen(text, size + 4));
}

/* Writes a line with its newline; returns its size. */
static size_t line_set(char ret[SONDE__SOURCE_LINE_SIZE], const char *text, size_t size)
{
	size_t room = SONDE__SOURCE_LINE_SIZE - 1; /* The newline takes the place of the zero. */
	size_t length = text_set(ret, room, text, size);

	if (size >= room) {
		length = text_set(ret, room - strlen(CUT_MARK), text, size);
		memcpy(ret + length, CUT_MARK, strlen(CUT_MARK));
		length += strlen(CUT_MARK);
	}
	ret[length] = '\n';
	return length + 1;
}

/* Nothing where the line that it is about is not in it. */
static struct sonde__source source_keep(const struct sonde_symbol_frame *frame, uint32_t n_wanted)
{
	struct sonde__source source = { .first = frame->source_first };
	const char *text = frame->source;
	uint32_t n = 0;
	char *place;

	if (!text || !n_wanted || !frame->line || frame->source_first > frame->line)
		return source;
	if (ring.next_source % SOURCES_SIZE > SOURCES_SIZE - SONDE__SOURCE_SIZE)
		ring.next_source += SOURCES_SIZE - ring.next_source % SOURCES_SIZE;
	source.at = ring.next_source;
	place = ring.sources + source.at % SOURCES_SIZE;
	for (; text && n < n_wanted; n++) {
		size_t size = strcspn(text, "\n");

		source.size += (uint32_t)line_set(place + source.size, text, size);
		text = text[size] ? text + size + 1 : NULL;
	}
	if (frame->line - source.first >= n)
		source.size = 0;
	ring.next_source += source.size;
	return source;
}

static void name_set(struct sonde__name *name, const struct sonde_symbol_frame *frame,
		     uint32_t n_source_lines)
{
	*name = (struct sonde__name){
		.line = frame->line,
		.column = frame->column,
		.is_inlined = frame->is_inlined,
		.source = source_keep(frame, n_source_lines),
	};
	if (frame->linkage_name)
		name->identity =
			sonde__name_identity(frame->linkage_name, strlen(frame->linkage_name));
	else if (frame->function)
		name->identity = sonde__name_identity(frame->function, strlen(frame->function));
	if (frame->function)
		text_copy(name->function, sizeof(name->function), frame->function);
	if (frame->file)
		text_copy(name->file, sizeof(name->file),
			  fitting_end(frame->file, sizeof(name->file)));
}

bool sonde__names_ask(const struct sonde__stack_options *options,
		      const struct sonde__module *module, uint64_t address, bool is_in_app,
		      struct sonde__answer *ret)
{
	const struct sonde_symbol_provider *provider;
	struct sonde_symbol_query query = {
		.size = sizeof(query),
		.path = module->path,
		.build_id = module->build_id,
		.build_id_size = module->build_id_size,
		.address = address,
		.debug_path = options->debug_path,
		.memory_limit_bytes = options->memory_limit_bytes,
		.source_lines = is_in_app && !options->has_no_source ? options->source_lines : 0,
	};
	enum sonde__entered entered = sonde__owner_enter(&asker);

	if (entered == SONDE__ENTERED_NOT)
		return false;
	provider = sonde__symbol_provider();
	if (entered == SONDE__ENTERED_TORN && provider)
		provider->abandon();
	ret->n = 0;
	ret->n_source_lines = query.source_lines;
	if (!provider || options->has_no_symbols)
		return true;
	ret->n = provider->resolve(&query, ret->frames, SONDE__INLINED_MAX);
	ret->n = ret->n < SONDE__INLINED_MAX ? ret->n : SONDE__INLINED_MAX;
	return true;
}

void sonde__names_release(void)
{
	sonde__owner_leave(&asker);
}

struct sonde__names sonde__names_keep(const struct sonde__answer *answer)
{
	struct sonde__names names = { .first = ring.next, .n = (uint8_t)answer->n };

	for (size_t i = 0; i < answer->n; i++) {
		struct sonde__name *name = &ring.names[ring.next++ % NAMES_MAX];

		name_set(name, &answer->frames[i], answer->n_source_lines);
		name->is_inlined = i + 1 < answer->n;
	}
	return names;
}

const struct sonde__name *sonde__name_at(const struct sonde__names *names, size_t i)
{
	uint64_t number = names->first + i;

	return ring.next - names->first <= NAMES_MAX ? &ring.names[number % NAMES_MAX] : NULL;
}

static bool source_is_kept(const struct sonde__source *source)
{
	return ring.next_source - source->at <= SOURCES_SIZE;
}

bool sonde__names_are_kept(const struct sonde__names *names)
{
	return names->n == 0 || sonde__name_at(names, 0);
}

bool sonde__names_have_source(const struct sonde__names *names)
{
	for (size_t i = 0; i < names->n; i++) {
		const struct sonde__name *name = sonde__name_at(names, i);

		if (!name || (name->source.size && !source_is_kept(&name->source)))
			return false;
	}
	return true;
}

bool sonde__source_read(const struct sonde__source *source, char ret[SONDE__SOURCE_SIZE])
{
	if (!source->size || !source_is_kept(source))
		return false;
	memcpy(ret, ring.sources + source->at % SOURCES_SIZE, source->size);
	ret[source->size] = '\0';
	return true;
}

void sonde__names_forget(void)
{
	ring.next += NAMES_MAX + 1;
	ring.next_source += 2 * SOURCES_SIZE;
}

bool sonde__names_clear(void)
{
	const struct sonde_symbol_provider *provider = sonde__symbol_provider();
	enum sonde__entered entered = sonde__owner_enter(&asker);

	if (entered == SONDE__ENTERED_NOT)
		return false;
	if (provider && entered == SONDE__ENTERED_TORN)
		provider->abandon();
	else if (provider)
		provider->clear();
	sonde__owner_leave(&asker);
	return true;
}
