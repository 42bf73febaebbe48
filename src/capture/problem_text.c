/* SPDX-License-Identifier: Apache-2.0 */
/* Text is put unit by unit, an escape or a character each, so that no cut falls inside one. */

#include "capture/problem_text.h"

#include <stdint.h>
#include <string.h>

#include "base/utf8.h"
#include "redact/redact.h"

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

/* A text on its way, with what is to be redacted next. */
struct passage {
	struct sonde_text text;
	size_t at;
	struct sonde__match match; /* .from is past the end: nothing. */
	struct sonde__redact_counts counts;
};

static void match_find(struct passage *passage)
{
	if (!sonde__redact_next(&sonde__redactor_usual, passage->text, SONDE__KEY_PLAIN,
				passage->at, &passage->match))
		passage->match.from = SIZE_MAX;
}

static struct passage passage_begin(const char *text, size_t size)
{
	struct passage passage = { .text = { text, size } };

	match_find(&passage);
	return passage;
}

/* Puts a character of the text, or what stands in the place of a secret. */
static void passage_put(struct sonde__json *json, struct passage *passage)
{
	if (passage->at == passage->match.from) {
		sonde__json_put(json, passage->match.by.data, passage->match.by.size);
		passage->counts.n[passage->match.kind]++;
		passage->at = passage->match.to;
		match_find(passage);
		return;
	}
	passage->at += unit_put(json, passage->text.data + passage->at,
				passage->text.size - passage->at);
}

static bool passage_is_put(const struct passage *passage, const struct sonde__json *json)
{
	if (passage->at < passage->text.size && !json->is_full)
		return false;
	sonde__redact_count(&passage->counts);
	return true;
}

void sonde__json_put_inside(struct sonde__json *json, const char *text, size_t size)
{
	struct passage passage = passage_begin(text, size);

	while (!passage_is_put(&passage, json))
		passage_put(json, &passage);
}

void sonde__json_put_string(struct sonde__json *json, const char *text, size_t size, bool may_cut)
{
	const size_t mark_size = sizeof(CUT_MARK) - 1;
	struct passage passage = passage_begin(text, size);
	size_t last_fit; /* Where the mark and the quote still have room behind. */

	sonde__json_put(json, "\"", 1);
	if (json->is_full)
		return;
	last_fit = json->used;
	while (!passage_is_put(&passage, json)) {
		passage_put(json, &passage);
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
	const struct passage passage = passage_begin(field, size);
	const bool is_pointer = size && field[0] == '/';

	/* With a part of it replaced it would point to nothing: so to all of it. */
	if (passage.match.from != SIZE_MAX) {
		sonde__redact_count(&(struct sonde__redact_counts){
			{ [SONDE_REDACTION_KEY] = 1 } });
		sonde__json_put_text(json, "#");
		return;
	}

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
