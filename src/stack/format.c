/* SPDX-License-Identifier: Apache-2.0 */

/* Stacks as text: what frame.c says about each address, on lines. */

#include "stack/stack.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "stack/frame.h"

#define LINE_SIZE 320

static int line_write_named(char *line, size_t index, const struct sonde__frame *frame)
{
	char build_id[2 * SONDE__BUILD_ID_MAX + 1] = "none";
	char function[SONDE__SYMBOL_NAME_SIZE + 20] = "";

	for (size_t i = 0; i < frame->build_id_size; i++)
		snprintf(build_id + 2 * i, 3, "%02x", frame->build_id[i]);
	if (frame->function[0])
		snprintf(function, sizeof(function), "%s+0x%" PRIx64, frame->function,
			 frame->offset - frame->function_start);
	else
		snprintf(function, sizeof(function), "0x%" PRIx64, frame->address);
	return snprintf(line, LINE_SIZE, "#%zu %s (%s, build-id %s, +0x%" PRIx64 ")\n", index,
			function, frame->module, build_id, frame->offset);
}

static int line_write(char *line, size_t index, const struct sonde__frame *frame)
{
	if (frame->module[0])
		return line_write_named(line, index, frame);
	return snprintf(line, LINE_SIZE, "#%zu 0x%" PRIx64 "\n", index, frame->address);
}

size_t sonde__stack_format(const uint64_t *frames, size_t n_frames, char *buffer, size_t size)
{
	struct sonde__frame resolved[SONDE__FRAMES_RESOLVED];
	size_t n_resolved = sonde__stack_resolve(frames, n_frames, resolved,
						 SONDE__FRAMES_RESOLVED);
	size_t used = 0;

	if (size > 0)
		buffer[0] = '\0';
	for (size_t i = 0; i < n_resolved; i++) {
		char line[LINE_SIZE];
		int n = line_write(line, i, &resolved[i]);

		if (n < 0 || (size_t)n >= sizeof(line) || used + (size_t)n >= size)
			break;
		memcpy(buffer + used, line, (size_t)n + 1);
		used += (size_t)n;
	}
	return used;
}
