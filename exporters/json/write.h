/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_EXPORTERS_JSON_WRITE_H
#define SONDE_EXPORTERS_JSON_WRITE_H

/*
 * Writing JSON into a buffer that may run full: the first failure sticks in `status`, and
 * everything after it is a no-op, so that it is looked at once, at the end.
 */

#include <sonde/exporter.h>

struct sonde__json {
	struct sonde_buffer *out;
	int status;
};

void sonde__json_raw(struct sonde__json *json, const char *text);
/* A string in quotes, escaped; bytes that are not UTF-8 are taken as they are. */
void sonde__json_text(struct sonde__json *json, struct sonde_text text);
void sonde__json_hex(struct sonde__json *json, const uint8_t *bytes, size_t size);
void sonde__json_base64(struct sonde__json *json, struct sonde_bytes bytes);
/* 64-bit integers are strings in OTLP/JSON, 32-bit ones numbers. */
void sonde__json_u64(struct sonde__json *json, uint64_t value);
void sonde__json_i64(struct sonde__json *json, int64_t value);
void sonde__json_u32(struct sonde__json *json, uint32_t value);
void sonde__json_double(struct sonde__json *json, double value);

#endif
