/* SPDX-License-Identifier: Apache-2.0 */
/* Standard: RFC 8259, RFC 4648 section 4, and the proto3 JSON mapping for numbers. */

#include "json/write.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(struct sonde__json *json, const char *text, size_t size)
{
	if (json->status == SONDE_OK)
		json->status = sonde_buffer_append(json->out, text, size);
}

void sonde__json_raw(struct sonde__json *json, const char *text)
{
	put(json, text, strlen(text));
}

static void put_escape(struct sonde__json *json, unsigned char c)
{
	char escape[8];

	snprintf(escape, sizeof(escape), "\\u%04x", c);
	sonde__json_raw(json, escape);
}

static bool needs_escape(unsigned char c)
{
	return c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

void sonde__json_text(struct sonde__json *json, struct sonde_text text)
{
	size_t done = 0;

	put(json, "\"", 1);
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (!needs_escape(c))
			continue;
		put(json, text.data + done, i - done);
		if (c == '"' || c == '\\')
			put(json, (const char[]){ '\\', (char)c }, 2);
		else
			put_escape(json, c);
		done = i + 1;
	}
	if (text.size > done)
		put(json, text.data + done, text.size - done);
	put(json, "\"", 1);
}

void sonde__json_hex(struct sonde__json *json, const uint8_t *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";

	put(json, "\"", 1);
	for (size_t i = 0; i < size; i++)
		put(json, (const char[]){ digits[bytes[i] >> 4], digits[bytes[i] & 15] }, 2);
	put(json, "\"", 1);
}

void sonde__json_base64(struct sonde__json *json, struct sonde_bytes bytes)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *data = bytes.data;

	put(json, "\"", 1);
	for (size_t i = 0; i < bytes.size; i += 3) {
		size_t left = bytes.size - i;
		uint32_t group = (uint32_t)data[i] << 16 |
				 (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
				 (left > 2 ? data[i + 2] : 0);
		const char quad[4] = { digits[group >> 18], digits[group >> 12 & 63],
				       left > 1 ? digits[group >> 6 & 63] : '=',
				       left > 2 ? digits[group & 63] : '=' };

		put(json, quad, sizeof(quad));
	}
	put(json, "\"", 1);
}

void sonde__json_u64(struct sonde__json *json, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "\"%" PRIu64 "\"", value);
	sonde__json_raw(json, text);
}

void sonde__json_i64(struct sonde__json *json, int64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "\"%" PRId64 "\"", value);
	sonde__json_raw(json, text);
}

void sonde__json_u32(struct sonde__json *json, uint32_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "%" PRIu32, value);
	sonde__json_raw(json, text);
}

/* Whatever a locale writes between the digits, in one byte or more, is a point in JSON. */
static void put_number(struct sonde__json *json, const char *text)
{
	size_t digits = strspn(text, "-0123456789");

	put(json, text, digits);
	text += digits;
	if (!*text)
		return;
	if (*text != 'e')
		put(json, ".", 1);
	text += strcspn(text, "0123456789e");
	put(json, text, strlen(text));
}

/* The shortest form that reads back as the same value. */
void sonde__json_double(struct sonde__json *json, double value)
{
	char text[40];

	if (isnan(value)) {
		sonde__json_raw(json, "\"NaN\"");
		return;
	}
	if (isinf(value)) {
		sonde__json_raw(json, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
		return;
	}
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(text, sizeof(text), "%.*g", precision, value);
		if (strtod(text, NULL) == value)
			break;
	}
	put_number(json, text);
}
