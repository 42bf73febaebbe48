/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log records: time, level and body on one line, then where it comes from and the attributes. An
 * error that also stands on its span as an event shows its stack there, and here only what caused
 * it.
 */
#include "console/render.h"

#include <inttypes.h>
#include <string.h>

#include "console/fields.h"
#include "console/line.h"

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

static bool has_trace(const struct sonde_log_view *log)
{
	static const uint8_t none[16];

	return memcmp(log->trace_id, none, sizeof(none)) != 0;
}

static void put_margin(struct text *text, const void *user)
{
	(void)user;
	sonde__line_put(text, "    ");
}

static void put_place(struct text *text, const struct fields *fields)
{
	struct sonde_value_view line;
	struct sonde_text path, function;

	if (!sonde__fields_find_text(fields, "code.file.path", &path))
		return;
	sonde__line_put(text, "  ");
	sonde__line_put_captured(text, path);
	if (sonde__fields_find(fields, "code.line.number", &line) && line.type == SONDE_VALUE_INT)
		sonde__line_format(text, ":%" PRId64, line.as.integer);
	if (sonde__fields_find_text(fields, "code.function.name", &function)) {
		sonde__line_put(text, " in ");
		sonde__line_put_captured(text, function);
	}
}

/* The trace, and the place in the source, which an error has said already. */
static void put_origin(struct text *text, const struct sonde_log_view *log,
		       const struct fields *fields, bool is_error)
{
	sonde__line_style(text, STYLE_DIM);
	put_margin(text, /* user= */ NULL);
	if (has_trace(log)) {
		sonde__line_put(text, "trace ");
		sonde__line_put_hex(text, log->trace_id, sizeof(log->trace_id));
	} else {
		sonde__line_put(text, "no trace");
	}
	if (!is_error)
		put_place(text, fields);
	sonde__line_style(text, STYLE_PLAIN);
	sonde__line_put(text, "\n");
}

static void put_log(struct text *text, const struct sonde_log_view *log, const struct look *look)
{
	static const char *const shown_elsewhere[] = { "exception.", "code.", "error.type",
						       "sonde.slow_operation.",
						       "sonde.breadcrumbs", NULL };
	static const struct margin margin = { put_margin, NULL };
	const struct fields fields = { SONDE_FIELDS_LOG, log->pieces, log->n_pieces };
	bool is_error = log->event_name.size == 9 && sonde__line_starts_with(log->event_name, "exception");
	bool has_stack = look->has_stacks_in_logs || !has_trace(log);

	sonde__line_put_time(text, log->unix_ns);
	sonde__line_put(text, " ");
	sonde__line_style(text, level_style(log->severity));
	sonde__line_put(text, level_word(log->severity));
	sonde__line_put(text, " ");
	if (is_error) {
		sonde__fields_put_error(text, &fields, level_style(log->severity),
					has_stack ? STACK_FRAMES : STACK_CHAIN, &margin);
	} else {
		sonde__line_put_captured(text, log->body);
		sonde__line_style(text, STYLE_PLAIN);
		sonde__line_put(text, "\n");
	}
	put_origin(text, log, &fields, is_error);
	sonde__fields_put(text, &fields, shown_elsewhere, &margin);
}

int sonde__console_render_logs(const struct sonde_batch *batch, const struct look *look,
			       struct sonde_buffer *out)
{
	struct text text = { .out = out, .has_colour = look->has_colour };
	size_t size = out->size;

	for (size_t i = 0; i < batch->n_items; i++)
		put_log(&text, &batch->logs[i], look);
	if (text.status < 0)
		out->size = size;
	return text.status;
}
