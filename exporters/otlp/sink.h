/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_SINK_H
#define SONDE_OTLP_SINK_H

/*
 * Where an encoded request goes: straight into the pipeline's buffer, or through zlib into it.
 * Errors are remembered and told once, at the end, so that the writers need not ask after each
 * field.
 *
 * Plain: the whole size is reserved at the beginning, and writing is copying. Gzip: small pieces
 * are gathered in a stage, because a call of deflate() costs more than most fields.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <zlib.h>

#include <sonde/exporter.h>

/* The most that may be asked of sonde__otlp_sink_room() at once. */
#define SONDE__OTLP_ROOM_MAX 256
#define SONDE__OTLP_STAGE_SIZE 32768

/* One for an instance: 256 KiB of zlib's own, kept from request to request. */
struct sonde__otlp_gzip {
	z_stream stream;
	uint8_t stage[SONDE__OTLP_STAGE_SIZE];
};

int sonde__otlp_gzip_new(struct sonde__otlp_gzip **ret);
struct sonde__otlp_gzip *sonde__otlp_gzip_free(struct sonde__otlp_gzip *gzip);

struct sonde__otlp_sink {
	uint8_t *at; /* Written so far, and the end of the room there is. */
	uint8_t *end;
	struct sonde_buffer *out;
	struct sonde__otlp_gzip *gzip; /* NULL: plain. */
	size_t first_size; /* What `out` held before. */
	int error;
};

/* `size`: how much will be written in all, before compression. */
int sonde__otlp_sink_begin(struct sonde__otlp_sink *sink, struct sonde_buffer *out,
			   struct sonde__otlp_gzip *gzip, size_t size);
/* On failure `out` is as it was before the beginning. */
int sonde__otlp_sink_end(struct sonde__otlp_sink *sink);

void sonde__otlp_sink_flush(struct sonde__otlp_sink *sink);
void sonde__otlp_sink_copy_slow(struct sonde__otlp_sink *sink, const void *data, size_t size);

/* Room for `size` <= SONDE__OTLP_ROOM_MAX bytes; the caller moves `at`. Never NULL. */
static inline uint8_t *sonde__otlp_sink_room(struct sonde__otlp_sink *sink, size_t size)
{
	if (__builtin_expect((size_t)(sink->end - sink->at) < size, 0))
		sonde__otlp_sink_flush(sink);
	return sink->at;
}

static inline void sonde__otlp_sink_copy(struct sonde__otlp_sink *sink, const void *data,
					 size_t size)
{
	if (__builtin_expect((size_t)(sink->end - sink->at) < size, 0)) {
		sonde__otlp_sink_copy_slow(sink, data, size);
		return;
	}
	if (size) {
		memcpy(sink->at, data, size);
		sink->at += size;
	}
}

#endif
