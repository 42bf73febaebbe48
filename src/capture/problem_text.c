/* SPDX-License-Identifier: Apache-2.0 */
/* Text is put unit by unit, an escape or a character each, so that no cut falls inside one. */

#include "capture/problem_text.h"

#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

#define CUT_MARK "…"
#define REPLACEMENT "\xef\xbf\xbd"

static const char hex[] = "0123456789abcdef";

void sonde__json_put(struct sonde__json *json, const char *bytes, size_t size)
{
	if (json->is_full || size > json->limit - json->used) {
		json->is_full = true;
		return;
	}
	memcpy(json->buffer + json->used, bytes, size);
	json->used += size;
}

void sonde__json_put_text(struct sonde__json *json, const char *text)
{
	sonde__json_put(json, text, strlen(text));
}

bool sonde__json_settle(struct sonde__json *json, size_t mark)
{
	bool was_full = json->is_full;

	if (was_full)
		json->used = mark;
	json->is_full = false;
	return !was_full;
}

/* One byte as JSON has it in a string; the length. */
static size_t escape(unsigned char byte, char ret[6])
{
	static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";

	for (const char *form = short_forms; *form; form += 2) {
		if ((unsigned char)*form == byte) {
			ret[0] = '\\';
			ret[1] = form[1];
			return 2;
		}
	}
	if (byte >= 0x20 && byte != 0x7f) {
		ret[0] = (char)byte;
		return 1;
	}
	memcpy(ret, "\\u00", 4);
	ret[4] = hex[byte >> 4];
	ret[5] = hex[byte & 15];
	return 6;
}

/* Bytes of the first character; 0: they are none. */
static size_t character_size(const char *text, size_t size)
{
	unsigned char first = (unsigned char)*text;
	size_t wanted = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if (wanted > size)
		wanted = size;
	return sonde__utf8_is_valid(text, wanted) ? wanted : 0;
}

/* One character, or byte that is none; returns how many bytes of the text that was. */
static size_t unit_put(struct sonde__json *json, const char *text, size_t size)
{
	size_t n = character_size(text, size);
	char escaped[6];

	if (n > 1)
		sonde__json_put(json, text, n);
	else if (n == 1)
		sonde__json_put(json, escaped, escape((unsigned char)*text, escaped));
	else
		sonde__json_put(json, REPLACEMENT, sizeof(REPLACEMENT) - 1);
	return n ? n : 1;
}

void sonde__json_put_inside(struct sonde__json *json, const char *text, size_t size)
{
	while (size && !json->is_full) {
		size_t n = unit_put(json, text, size);

		text += n;
		size -= n;
	}
}

void sonde__json_put_string(struct sonde__json *json, const char *text, size_t size, bool may_cut)
{
	const size_t mark_size = sizeof(CUT_MARK) - 1;
	size_t last_fit; /* Where the mark and the quote still have room behind. */

	sonde__json_put(json, "\"", 1);
	if (json->is_full)
		return;
	last_fit = json->used;
	while (size && !json->is_full) {
		size_t n = unit_put(json, text, size);

		text += n;
		size -= n;
		if (json->used + mark_size + 1 <= json->limit)
			last_fit = json->used;
	}
	sonde__json_put(json, "\"", 1);
	if (!json->is_full || !may_cut || last_fit + mark_size + 1 > json->limit)
		return;
	json->is_full = false;
	json->used = last_fit;
	sonde__json_put(json, CUT_MARK "\"", mark_size + 1);
}

/* What stands for itself in a fragment; '~' and '/' have a meaning in the pointer. */
static bool is_plain(unsigned char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || (byte && strchr("-._!$&'()*+,;=:@?", byte));
}

void sonde__json_put_pointer(struct sonde__json *json, const char *field, size_t size)
{
	const bool is_pointer = size && field[0] == '/';

	sonde__json_put_text(json, is_pointer ? "#" : "#/");
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)field[i];
		char escaped[3] = { '%', hex[byte >> 4], hex[byte & 15] };

		if (is_plain(byte) || (is_pointer && (byte == '/' || byte == '~')))
			sonde__json_put(json, field + i, 1);
		else if (byte == '~' || byte == '/')
			sonde__json_put_text(json, byte == '~' ? "~0" : "~1");
		else
			sonde__json_put(json, escaped, sizeof(escaped));
	}
}
