/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three ways out, by what the scan found: the pieces as they are; copies of the pieces with events
 * in which only the nine bytes of each event's time differ (a tick and a time take the same room,
 * which is why the layout has them so); or everything written anew (record/rewrite.c).
 */

#include "record/mend.h"

#include "base/utf8.h"
#include "record/cursor.h"
#include "record/rewrite.h"
#include "record/scan.h"

void sonde__mender_init(struct sonde__mender *mender, const struct sonde__mend_limits *limits,
			const struct sonde__clock *clock)
{
	memset(mender, 0, sizeof(*mender));
	mender->limits = *limits;
	mender->clock = clock;
}

/* Replaces ticks by times; `fields` has been scanned. Returns how many there were. */
static size_t ticks_replace(const struct sonde__clock *clock, uint8_t *fields, size_t size)
{
	struct sonde__cursor rest = { fields, fields + size };
	struct sonde__cursor body;
	size_t n = 0;

	while (rest.at != rest.end) {
		uint8_t tag = *rest.at++;
		uint8_t *time;

		if (!sonde__bytes_take(&rest, &body))
			break;
		if (tag != SONDE__TAG_SPAN_EVENT || !sonde__tag_take(&body, SONDE__TAG_EVENT_TICKS))
			continue;
		time = fields + (body.at - fields);
		time[-1] = SONDE__TAG_EVENT_TIME;
		sonde__fixed64_put(time, sonde__clock_unix_ns(clock, sonde__fixed64_get(time)));
		n++;
	}
	return n;
}

static int pieces_stamp(const struct sonde__mender *mender, const struct sonde_bytes *pieces,
			size_t n_pieces, struct sonde__arena *arena,
			const struct sonde_bytes **ret_pieces)
{
	struct sonde_bytes *stamped = sonde__arena_take(arena, n_pieces * sizeof(*stamped));

	if (!stamped)
		return SONDE_E_NOMEM;
	for (size_t i = 0; i < n_pieces; i++) {
		size_t before = arena->used;
		uint8_t *copy = sonde__arena_take(arena, pieces[i].size);

		if (!copy)
			return SONDE_E_NOMEM;
		if (pieces[i].size)
			memcpy(copy, pieces[i].data, pieces[i].size);
		stamped[i] = (struct sonde_bytes){ copy, pieces[i].size };
		/* Without a tick the original will do. */
		if (ticks_replace(mender->clock, copy, pieces[i].size) == 0) {
			arena->used = before;
			stamped[i] = pieces[i];
		}
	}
	*ret_pieces = stamped;
	return SONDE_OK;
}

static void counts_add(struct sonde__mend_counts *counts, const struct sonde__mend_counts *more)
{
	counts->invalid_utf8 += more->invalid_utf8;
	counts->dropped_attributes += more->dropped_attributes;
	counts->dropped_nested += more->dropped_nested;
	counts->dropped_events += more->dropped_events;
	counts->dropped_links += more->dropped_links;
	counts->cut_values += more->cut_values;
	for (int kind = 0; kind < SONDE_REDACTION_COUNT; kind++)
		counts->redacted.n[kind] += more->redacted.n[kind];
}

int sonde__mend(struct sonde__mender *mender, enum sonde_fields type,
		const struct sonde_bytes *pieces, size_t n_pieces, struct sonde__arena *arena,
		struct sonde__mend_counts *counts, const struct sonde_bytes **ret_pieces,
		size_t *ret_n_pieces)
{
	struct sonde__mend_counts more = { 0 };
	struct sonde_bytes *rewritten;
	struct sonde__scan scan;
	int r = sonde__scan_pieces(mender, type, pieces, n_pieces, &scan);

	if (r < 0)
		return r;
	if (!scan.is_dirty) {
		if (!scan.has_ticks)
			*ret_pieces = pieces;
		else if ((r = pieces_stamp(mender, pieces, n_pieces, arena, ret_pieces)) < 0)
			return r;
		*ret_n_pieces = n_pieces;
		return SONDE_OK;
	}
	rewritten = sonde__arena_take(arena, sizeof(*rewritten));
	if (!rewritten)
		return SONDE_E_NOMEM;
	r = sonde__rewrite_pieces(mender, type, pieces, n_pieces, arena, &more, rewritten);
	if (r < 0)
		return r;
	counts_add(counts, &more);
	*ret_pieces = rewritten;
	*ret_n_pieces = 1;
	return SONDE_OK;
}

/* *text is in the arena then. */
static int text_redact(const struct sonde__redactor *redactor, struct sonde__arena *arena,
		       struct sonde__redact_counts *counts, struct sonde_text *text)
{
	size_t size;
	char *redacted;

	if (!sonde__redact_measure(redactor, *text, SONDE__KEY_PLAIN, &size))
		return SONDE_OK;
	redacted = sonde__arena_take(arena, size);
	if (!redacted)
		return SONDE_E_NOMEM;
	(void)sonde__redact_write(redactor, *text, SONDE__KEY_PLAIN, redacted, counts);
	*text = (struct sonde_text){ redacted, size };
	return SONDE_OK;
}

int sonde__mend_text(const struct sonde__redactor *redactor, struct sonde_text text,
		     struct sonde__arena *arena, struct sonde__mend_counts *counts,
		     struct sonde_text *ret)
{
	struct sonde__redact_counts redacted = { { 0 } };
	size_t size;
	char *repaired;
	int r = text_redact(redactor, arena, &redacted, &text);

	if (r < 0)
		return r;
	if (!sonde__utf8_is_valid(text.data, text.size)) {
		if (text.size > SIZE_MAX / 3)
			return SONDE_E_NOMEM;
		repaired = sonde__arena_take(arena, 3 * text.size);
		if (!repaired)
			return SONDE_E_NOMEM;
		size = sonde__utf8_repair(text.data, text.size, repaired);
		sonde__arena_trim(arena, repaired + size);
		counts->invalid_utf8++;
		text = (struct sonde_text){ repaired, size };
	}
	for (int kind = 0; kind < SONDE_REDACTION_COUNT; kind++)
		counts->redacted.n[kind] += redacted.n[kind];
	*ret = text;
	return SONDE_OK;
}
