/* SPDX-License-Identifier: Apache-2.0 */
#include "console/line.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_US 1000u
#define NS_PER_MS 1000000u
#define NS_PER_S 1000000000u

static void put(struct text *text, const char *data, size_t size)
{
	if (text->status < 0 || !size)
		return;
	text->status = sonde_buffer_append(text->out, data, size);
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\n')
			text->column = 0;
		else
			text->column += ((unsigned char)data[i] & 0xc0) != 0x80;
	}
}

void sonde__line_put(struct text *text, const char *plain)
{
	put(text, plain, strlen(plain));
}

void sonde__line_format(struct text *text, const char *format, ...)
{
	char line[128];
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (n > 0)
		put(text, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/*
 * What a terminal would obey, or would show as something else than it is: C0 controls and DEL; C1
 * controls (in UTF-8 0xc2 0x80 to 0xc2 0x9f); the marks that turn the direction of text around
 * (U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069) and the line and paragraph ends U+2028,
 * U+2029.
 */
static size_t control_size(const unsigned char *data, size_t size)
{
	if (data[0] < 0x20 || data[0] == 0x7f)
		return 1;
	if (data[0] == 0xc2 && size > 1 && (data[1] & 0xe0) == 0x80)
		return 2;
	if (data[0] != 0xe2 || size < 3)
		return 0;
	if (data[1] == 0x80 && ((data[2] | 1) == 0x8f || (data[2] >= 0xa8 && data[2] <= 0xae)))
		return 3;
	return data[1] == 0x81 && data[2] >= 0xa6 && data[2] <= 0xa9 ? 3 : 0;
}

static void put_escape(struct text *text, const unsigned char *data, size_t size)
{
	if (size == 3)
		sonde__line_format(text, "\\u%04x", (data[0] & 0x0fu) << 12 | (data[1] & 0x3fu) << 6 |
							    (data[2] & 0x3fu));
	else if (data[0] == '\n' || data[0] == '\t' || data[0] == '\r')
		sonde__line_put(text, data[0] == '\n' ? "\\n" : data[0] == '\t' ? "\\t" : "\\r");
	else
		sonde__line_format(text, "\\x%02x", data[size - 1]);
}

void sonde__line_put_captured(struct text *text, struct sonde_text captured)
{
	size_t done = 0;

	for (size_t i = 0; i < captured.size; i++) {
		const unsigned char *at = (const unsigned char *)captured.data + i;
		size_t n = control_size(at, captured.size - i);

		if (!n)
			continue;
		put(text, captured.data + done, i - done);
		put_escape(text, at, n);
		i += n - 1;
		done = i + 1;
	}
	if (captured.size > done)
		put(text, captured.data + done, captured.size - done);
}

bool sonde__line_next(struct sonde_text *rest, struct sonde_text *ret)
{
	const char *end;

	if (!rest->size)
		return false;
	end = memchr(rest->data, '\n', rest->size);
	*ret = (struct sonde_text){ rest->data, end ? (size_t)(end - rest->data) : rest->size };
	rest->data += ret->size + (end != NULL);
	rest->size -= ret->size + (end != NULL);
	return true;
}

void sonde__line_style(struct text *text, enum style style)
{
	static const char *const codes[] = {
		[STYLE_PLAIN] = "\033[0m", [STYLE_STRONG] = "\033[1m",	 [STYLE_DIM] = "\033[2m",
		[STYLE_GOOD] = "\033[32m", [STYLE_WARNING] = "\033[33m", [STYLE_BAD] = "\033[1;31m",
	};
	size_t column = text->column;

	if (text->has_colour)
		sonde__line_put(text, codes[style]);
	text->column = column;
}

void sonde__line_put_duration(struct text *text, uint64_t ns)
{
	if (ns < NS_PER_US)
		sonde__line_format(text, "%" PRIu64 " ns", ns);
	else if (ns < NS_PER_MS)
		sonde__line_format(text, "%.1f µs", (double)ns / NS_PER_US);
	else if (ns < NS_PER_S)
		sonde__line_format(text, "%.1f ms", (double)ns / NS_PER_MS);
	else
		sonde__line_format(text, "%.3f s", (double)ns / NS_PER_S);
}

void sonde__line_put_time(struct text *text, uint64_t unix_ns)
{
	uint64_t ms = unix_ns / NS_PER_MS % 86400000;

	sonde__line_format(text, "%02u:%02u:%02u.%03uZ", (unsigned)(ms / 3600000),
			   (unsigned)(ms / 60000 % 60), (unsigned)(ms / 1000 % 60),
			   (unsigned)(ms % 1000));
}

void sonde__line_put_hex(struct text *text, const uint8_t *id, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sonde__line_format(text, "%02x", id[i]);
}

bool sonde__line_starts_with(struct sonde_text text, const char *prefix)
{
	size_t size = strlen(prefix);

	return text.size >= size && !memcmp(text.data, prefix, size);
}
