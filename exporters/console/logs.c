/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log records, a line each: time, level, body, where it belongs, attributes. An error that also
 * stands on its span as an event shows its stack there, and here only when there is no span to look
 * at.
 */
#include "console/render.h"

#include <string.h>

#include "console/line.h"

#define INDENT 2

static const char *level_word(uint8_t severity)
{
	static const char *const words[] = { "TRACE", "DEBUG", "INFO ", "WARN ", "ERROR", "FATAL" };

	return severity >= 1 && severity <= 24 ? words[(severity - 1) / 4] : "-    ";
}

static enum style level_style(uint8_t severity)
{
	if (severity >= SONDE_ERROR)
		return STYLE_BAD;
	return severity >= SONDE_WARN ? STYLE_WARNING : STYLE_PLAIN;
}

static bool put_ids(struct text *text, const struct sonde_log_view *log)
{
	static const uint8_t none[16];

	if (!memcmp(log->trace_id, none, sizeof(none)))
		return false;
	sonde__line_style(text, STYLE_DIM);
	sonde__line_put(text, "  trace=");
	for (size_t i = 0; i < sizeof(log->trace_id); i++)
		sonde__line_format(text, "%02x", log->trace_id[i]);
	sonde__line_style(text, STYLE_PLAIN);
	return true;
}

static void put_log(struct text *text, const struct sonde_log_view *log)
{
	struct sonde_text value;
	bool has_span;

	sonde__line_put_time(text, log->unix_ns);
	sonde__line_put(text, " ");
	sonde__line_style(text, level_style(log->severity));
	sonde__line_put(text, level_word(log->severity));
	sonde__line_put(text, " ");
	if (log->event_name.size &&
	    sonde__line_find(SONDE_FIELDS_LOG, log->pieces, log->n_pieces, "exception.type", &value)) {
		sonde__line_put_captured(text, value);
		sonde__line_put(text, ": ");
	}
	sonde__line_put_captured(text, log->body);
	sonde__line_style(text, STYLE_PLAIN);
	has_span = put_ids(text, log);
	sonde__line_put_attributes(text, SONDE_FIELDS_LOG, log->pieces, log->n_pieces, "exception.");
	sonde__line_put(text, "\n");
	if (!has_span &&
	    sonde__line_find(SONDE_FIELDS_LOG, log->pieces, log->n_pieces, "exception.stacktrace", &value))
		sonde__line_put_lines(text, value, INDENT);
}

int sonde__console_render_logs(const struct sonde_batch *batch, bool has_colour,
			       struct sonde_buffer *out)
{
	struct text text = { .out = out, .has_colour = has_colour };
	size_t size = out->size;

	for (size_t i = 0; i < batch->n_items; i++)
		put_log(&text, &batch->logs[i]);
	if (text.status < 0)
		out->size = size;
	return text.status;
}
