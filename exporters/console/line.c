/* SPDX-License-Identifier: Apache-2.0 */
#include "console/line.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1000000.0
#define VALUE_SIZE_MAX 200

static void put(struct text *text, const char *data, size_t size)
{
	if (text->status == SONDE_OK && size)
		text->status = sonde_buffer_append(text->out, data, size);
}

void sonde__line_put(struct text *text, const char *plain)
{
	put(text, plain, strlen(plain));
}

void sonde__line_format(struct text *text, const char *format, ...)
{
	char line[512];
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (n > 0)
		put(text, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* C0 controls and DEL, and the C1 controls, which in UTF-8 are 0xc2 0x80 to 0xc2 0x9f. */
static size_t control_size(const char *data, size_t size)
{
	unsigned char c = (unsigned char)data[0];

	if (c < 0x20 || c == 0x7f)
		return 1;
	return c == 0xc2 && size > 1 && ((unsigned char)data[1] & 0xe0) == 0x80 ? 2 : 0;
}

void sonde__line_put_captured(struct text *text, struct sonde_text captured)
{
	size_t done = 0;

	for (size_t i = 0; i < captured.size; i++) {
		size_t n = control_size(captured.data + i, captured.size - i);

		if (!n)
			continue;
		put(text, captured.data + done, i - done);
		sonde__line_format(text, "\\x%02x", (unsigned char)captured.data[i + n - 1]);
		i += n - 1;
		done = i + 1;
	}
	put(text, captured.data + done, captured.size - done);
}

void sonde__line_put_lines(struct text *text, struct sonde_text captured, int indent)
{
	while (captured.size) {
		const char *end = memchr(captured.data, '\n', captured.size);
		size_t n = end ? (size_t)(end - captured.data) : captured.size;

		sonde__line_indent(text, indent);
		sonde__line_put_captured(text, (struct sonde_text){ captured.data, n });
		sonde__line_put(text, "\n");
		n += end != NULL;
		captured.data += n;
		captured.size -= n;
	}
}

void sonde__line_indent(struct text *text, int n)
{
	for (int i = 0; i < n; i++)
		put(text, " ", 1);
}

void sonde__line_style(struct text *text, enum style style)
{
	static const char *const codes[] = {
		[STYLE_PLAIN] = "\033[0m", [STYLE_STRONG] = "\033[1m",	 [STYLE_DIM] = "\033[2m",
		[STYLE_GOOD] = "\033[32m", [STYLE_WARNING] = "\033[33m", [STYLE_BAD] = "\033[1;31m",
	};

	if (text->has_colour)
		sonde__line_put(text, codes[style]);
}

void sonde__line_put_duration(struct text *text, uint64_t ns)
{
	if (ns < 1000)
		sonde__line_format(text, "%" PRIu64 " ns", ns);
	else if (ns < 1000000)
		sonde__line_format(text, "%.1f us", (double)ns / 1000.0);
	else if (ns < 1000000000)
		sonde__line_format(text, "%.1f ms", (double)ns / NS_PER_MS);
	else
		sonde__line_format(text, "%.3f s", (double)ns / (1000.0 * NS_PER_MS));
}

void sonde__line_put_time(struct text *text, uint64_t unix_ns)
{
	uint64_t ms = unix_ns / 1000000 % 86400000;

	sonde__line_format(text, "%02u:%02u:%02u.%03u", (unsigned)(ms / 3600000),
		    (unsigned)(ms / 60000 % 60), (unsigned)(ms / 1000 % 60), (unsigned)(ms % 1000));
}

static void put_string(struct text *text, struct sonde_text string)
{
	bool is_long = string.size > VALUE_SIZE_MAX;

	sonde__line_put_captured(
		text, (struct sonde_text){ string.data, is_long ? VALUE_SIZE_MAX : string.size });
	if (is_long)
		sonde__line_put(text, "…");
}

static void put_value(struct text *text, const struct sonde_value_view *value)
{
	struct sonde_bytes rest = value->as.array;
	struct sonde_value_view element;
	const char *separator = "";

	switch (value->type) {
	case SONDE_VALUE_STR:
		put_string(text, value->as.string);
		break;
	case SONDE_VALUE_BOOL:
		sonde__line_put(text, value->as.boolean ? "true" : "false");
		break;
	case SONDE_VALUE_INT:
		sonde__line_format(text, "%" PRId64, value->as.integer);
		break;
	case SONDE_VALUE_DOUBLE:
		sonde__line_format(text, "%g", value->as.real);
		break;
	case SONDE_VALUE_BYTES:
		sonde__line_format(text, "(%zu bytes)", value->as.bytes.size);
		break;
	case SONDE_VALUE_ARRAY:
		sonde__line_put(text, "[");
		while (sonde_value_next(&rest, &element)) {
			sonde__line_put(text, separator);
			put_value(text, &element);
			separator = ", ";
		}
		sonde__line_put(text, "]");
		break;
	case SONDE_VALUE_EMPTY:
		break;
	}
}

static bool starts_with(struct sonde_text text, const char *prefix)
{
	size_t size = strlen(prefix);

	return text.size >= size && !memcmp(text.data, prefix, size);
}

void sonde__line_put_attributes(struct text *text, enum sonde_fields fields,
			 const struct sonde_bytes *pieces, size_t n_pieces, const char *without)
{
	struct sonde_item_view item;

	for (size_t i = 0; i < n_pieces; i++) {
		struct sonde_bytes rest = pieces[i];

		while (sonde_item_next(fields, &rest, &item)) {
			if (item.type != SONDE_ITEM_ATTRIBUTE ||
			    (without && starts_with(item.name, without)))
				continue;
			sonde__line_put(text, "  ");
			sonde__line_style(text, STYLE_DIM);
			sonde__line_put_captured(text, item.name);
			sonde__line_put(text, "=");
			sonde__line_style(text, STYLE_PLAIN);
			put_value(text, &item.value);
		}
	}
}

bool sonde__line_find(enum sonde_fields fields, const struct sonde_bytes *pieces, size_t n_pieces,
	       const char *key, struct sonde_text *ret)
{
	struct sonde_item_view item;

	for (size_t i = 0; i < n_pieces; i++) {
		struct sonde_bytes rest = pieces[i];

		while (sonde_item_next(fields, &rest, &item)) {
			if (item.type == SONDE_ITEM_ATTRIBUTE && item.name.size == strlen(key) &&
			    starts_with(item.name, key) && item.value.type == SONDE_VALUE_STR) {
				*ret = item.value.as.string;
				return true;
			}
		}
	}
	return false;
}
