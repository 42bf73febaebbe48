/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Stacks as text, for people and for tools that read it: what frame.c says about each address.
 *
 * Where a stack does not fit with the source around each place it is written with the very lines
 * alone, or without: all of a stack says more than the most of it does with the text.
 */

#include "stack/stack.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "stack/frame.h"
#include "stack/options.h"

#define FRAME_SIZE 768
#define GUTTER_SIZE 24 /* Before each line of source. */

enum source_level { SOURCE_NONE, SOURCE_LINE, SOURCE_AROUND };

struct line {
	char text[FRAME_SIZE + SONDE__SOURCE_SIZE + SONDE__SOURCE_LINES_MAX * GUTTER_SIZE];
	size_t size;
};

/* What can be written, cut at a character. */
static SONDE_PRINTF(2, 3) void put(struct line *line, const char *format, ...)
{
	size_t left = sizeof(line->text) - line->size;
	va_list arguments;
	int wanted;

	va_start(arguments, format);
	wanted = vsnprintf(line->text + line->size, left, format, arguments);
	va_end(arguments);
	if (wanted > 0)
		line->size += (size_t)wanted < left ? (size_t)wanted : left - 1;
}

static void put_function(struct line *line, const struct sonde__frame *frame)
{
	if (!frame->function[0])
		put(line, "0x%" PRIx64, frame->address);
	else if (frame->file[0] || frame->line || !frame->function_start)
		put(line, "%s", frame->function);
	else
		put(line, "%s+0x%" PRIx64, frame->function, frame->offset - frame->function_start);
}

static void put_place(struct line *line, const struct sonde__frame *frame)
{
	if (!frame->file[0])
		return;
	put(line, " at %s", frame->file);
	if (frame->line)
		put(line, ":%u", (unsigned)frame->line);
	if (frame->line && frame->column)
		put(line, ":%u", (unsigned)frame->column);
}

static void put_module(struct line *line, const struct sonde__frame *frame)
{
	put(line, " (%s, build-id ", frame->module);
	for (size_t i = 0; i < frame->build_id_size; i++)
		put(line, "%02x", frame->build_id[i]);
	put(line, "%s, +0x%" PRIx64 ")", frame->build_id_size ? "" : "none", frame->offset);
}

/* The lines around it with their numbers, the very one marked. */
static void put_source(struct line *line, const struct sonde__frame *frame, enum source_level level)
{
	char text[SONDE__SOURCE_SIZE];
	const char *at = text;

	if (level == SOURCE_NONE || !frame->is_in_app ||
	    !sonde__stack_source(&frame->source, text))
		return;
	for (uint32_t number = frame->source.first; *at; number++) {
		int size = (int)strcspn(at, "\n");
		bool is_it = number == frame->line;

		if (is_it || level == SOURCE_AROUND)
			put(line, "    %c %5u |%s%.*s\n", is_it ? '>' : ' ', (unsigned)number,
			    size ? " " : "", size, at);
		at += size;
		at += *at == '\n';
	}
}

static void line_write(struct line *line, size_t index, const struct sonde__frame *frame,
		       enum source_level level)
{
	line->size = 0;
	put(line, "#%zu ", index);
	put_function(line, frame);
	put_place(line, frame);
	if (frame->is_inlined)
		put(line, " [inlined]");
	if (frame->module[0])
		put_module(line, frame);
	if (frame->module[0] && !frame->is_in_app)
		put(line, " [system]");
	put(line, "\n");
	put_source(line, frame, level);
}

/* Whole lines; returns the length. */
static size_t write_all(const struct sonde__frame *frames, size_t n, enum source_level level,
			char *buffer, size_t size, bool *ret_is_complete)
{
	size_t used = 0;

	*ret_is_complete = false;
	if (size > 0)
		buffer[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		struct line line;

		line_write(&line, i, &frames[i], level);
		if (used + line.size >= size)
			return used;
		memcpy(buffer + used, line.text, line.size + 1);
		used += line.size;
	}
	*ret_is_complete = true;
	return used;
}

size_t sonde__stack_format(const uint64_t *frames, size_t n_frames, char *buffer, size_t size)
{
	struct sonde__frame resolved[SONDE__FRAMES_RESOLVED];
	size_t n_resolved = sonde__stack_resolve(frames, n_frames, resolved,
						 SONDE__FRAMES_RESOLVED);
	bool is_complete = false;
	size_t used = 0;

	for (int level = SOURCE_AROUND; level >= SOURCE_NONE && !is_complete; level--)
		used = write_all(resolved, n_resolved, (enum source_level)level, buffer, size,
				 &is_complete);
	return used;
}
