/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_ENCODE_H
#define SONDE_OTLP_ENCODE_H

/* A batch as an Export{Trace,Logs,Metrics}ServiceRequest. */

#include <stdbool.h>
#include <stddef.h>

#include <protobuf-c/protobuf-c.h>
#include <sonde/exporter.h>

#include "sink.h"

/* OTLP: a client does not send more, before compression. */
#define SONDE__OTLP_REQUEST_MAX ((size_t)64 << 20)

/* What one instance keeps between batches. */
struct sonde__otlp_encoder {
	ProtobufCBinaryData *items; /* Grows to the largest batch there was. */
	size_t capacity;
	struct sonde__otlp_gzip *gzip; /* Made by the first batch that wants it. */
};

void sonde__otlp_encoder_init(struct sonde__otlp_encoder *encoder);
void sonde__otlp_encoder_deinit(struct sonde__otlp_encoder *encoder);

/*
 * Appends the request to `out`. SONDE_E_TOO_BIG: more than SONDE__OTLP_REQUEST_MAX; SONDE_E_NOMEM:
 * more than `out` may hold; SONDE_E_INVALID: not a batch of this library. `out` is then as it was.
 */
int sonde__otlp_encode(struct sonde__otlp_encoder *encoder, const struct sonde_batch *batch,
		       bool gzip, struct sonde_buffer *out);

#endif
