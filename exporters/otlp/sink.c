/* SPDX-License-Identifier: Apache-2.0 */
#include "sink.h"

#include <limits.h>
#include <stdlib.h>

/* 15 bits of window, and 16 for a gzip head in place of zlib's. */
#define GZIP_WINDOW (15 + 16)
#define GZIP_MEMORY 8
#define GZIP_LEVEL 1
#define OUT_CHUNK 16384

int sonde__otlp_gzip_new(struct sonde__otlp_gzip **ret)
{
	struct sonde__otlp_gzip *gzip = calloc(1, sizeof(*gzip));

	if (!gzip)
		return SONDE_E_NOMEM;
	if (deflateInit2(&gzip->stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
			 Z_DEFAULT_STRATEGY) != Z_OK) {
		free(gzip);
		return SONDE_E_NOMEM;
	}
	*ret = gzip;
	return SONDE_OK;
}

struct sonde__otlp_gzip *sonde__otlp_gzip_free(struct sonde__otlp_gzip *gzip)
{
	if (gzip)
		deflateEnd(&gzip->stream);
	free(gzip);
	return NULL;
}

int sonde__otlp_sink_begin(struct sonde__otlp_sink *sink, struct sonde_buffer *out,
			   struct sonde__otlp_gzip *gzip, size_t size)
{
	sink->out = out;
	sink->gzip = gzip;
	sink->first_size = out->size;
	sink->error = SONDE_OK;
	if (gzip) {
		if (deflateReset(&gzip->stream) != Z_OK)
			return SONDE_E_NOMEM;
		sink->at = gzip->stage;
		sink->end = gzip->stage + sizeof(gzip->stage);
		return SONDE_OK;
	}
	/* The slack lets a writer ask for its most where less is left. */
	sink->at = sonde_buffer_reserve(out, size + SONDE__OTLP_ROOM_MAX);
	if (!sink->at)
		return SONDE_E_NOMEM;
	sink->end = sink->at + size + SONDE__OTLP_ROOM_MAX;
	return SONDE_OK;
}

/* Feeds `size` bytes to zlib, and what comes out to the buffer; after an error, nothing. */
static void sink_deflate(struct sonde__otlp_sink *sink, const uint8_t *data, size_t size, int mode)
{
	z_stream *stream = &sink->gzip->stream;
	int status = Z_OK;

	/* zlib counts in unsigned int; a request is at most 64 MiB. */
	if (size > UINT_MAX)
		sink->error = SONDE_E_TOO_BIG;
	if (sink->error < 0)
		return;
	stream->next_in = (z_const Bytef *)(uintptr_t)data;
	stream->avail_in = (uInt)size;
	do {
		stream->next_out = sonde_buffer_reserve(sink->out, OUT_CHUNK);
		if (!stream->next_out) {
			sink->error = SONDE_E_NOMEM;
			return;
		}
		stream->avail_out = OUT_CHUNK;
		status = deflate(stream, mode);
		sink->out->size += OUT_CHUNK - stream->avail_out;
	} while (status == Z_OK && (stream->avail_in || mode == Z_FINISH));
	if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
		sink->error = SONDE_E_NOMEM;
}

void sonde__otlp_sink_flush(struct sonde__otlp_sink *sink)
{
	if (sink->gzip) {
		sink_deflate(sink, sink->gzip->stage, (size_t)(sink->at - sink->gzip->stage),
			     Z_NO_FLUSH);
		sink->at = sink->gzip->stage;
		return;
	}
	/* More than was announced: write over what is there, and fail at the end. */
	sink->error = SONDE_E_INVALID;
	sink->at = sink->out->data + sink->first_size;
}

void sonde__otlp_sink_copy_slow(struct sonde__otlp_sink *sink, const void *data, size_t size)
{
	sonde__otlp_sink_flush(sink);
	if (!sink->gzip)
		return;
	if (size > sizeof(sink->gzip->stage) / 2) {
		sink_deflate(sink, data, size, Z_NO_FLUSH);
		return;
	}
	memcpy(sink->at, data, size);
	sink->at += size;
}

int sonde__otlp_sink_end(struct sonde__otlp_sink *sink)
{
	if (sink->gzip)
		sink_deflate(sink, sink->gzip->stage, (size_t)(sink->at - sink->gzip->stage),
			     Z_FINISH);
	else if (sink->error == SONDE_OK)
		sink->out->size = (size_t)(sink->at - sink->out->data);
	if (sink->error < 0)
		sink->out->size = sink->first_size;
	return sink->error;
}
