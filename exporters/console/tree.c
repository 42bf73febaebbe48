/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans as trees. A batch holds whatever ended since the last one, children before their parents,
 * and nothing is held back to wait for the rest: a span whose parent is not in the batch stands at
 * the left, and says so when it has one.
 */
#include "console/render.h"

#include <stdlib.h>
#include <string.h>

#include <sonde/span.h>

#include "console/line.h"

#define INDENT 2
#define DEPTH_MAX 48

struct forest {
	const struct sonde_span_view *spans;
	size_t n_spans;
	bool *is_printed; /* By span. */
};

static bool same_trace(const struct sonde_span_view *a, const struct sonde_span_view *b)
{
	return !memcmp(a->trace_id, b->trace_id, sizeof(a->trace_id));
}

static bool is_child_of(const struct sonde_span_view *child, const struct sonde_span_view *parent)
{
	return same_trace(child, parent) &&
	       !memcmp(child->parent_id, parent->span_id, sizeof(child->parent_id));
}

static bool has_parent(const struct sonde_span_view *span)
{
	static const uint8_t none[8];

	return memcmp(span->parent_id, none, sizeof(none)) != 0;
}

static bool parent_is_here(const struct forest *forest, const struct sonde_span_view *span)
{
	for (size_t i = 0; has_parent(span) && i < forest->n_spans; i++) {
		if (is_child_of(span, &forest->spans[i]))
			return true;
	}
	return false;
}

static const char *kind_word(uint8_t kind)
{
	static const char *const words[] = { "", "", "server", "client", "producer", "consumer" };

	return kind < sizeof(words) / sizeof(words[0]) ? words[kind] : "";
}

static void put_exception(struct text *text, const struct sonde_item_view *event, int indent)
{
	struct sonde_text type = { "", 0 };
	struct sonde_text value;

	sonde__line_find(SONDE_FIELDS_EVENT, &event->attributes, 1, "exception.type", &type);
	sonde__line_style(text, STYLE_BAD);
	sonde__line_put(text, "error ");
	sonde__line_put_captured(text, type);
	if (sonde__line_find(SONDE_FIELDS_EVENT, &event->attributes, 1, "exception.message", &value)) {
		sonde__line_put(text, ": ");
		sonde__line_put_captured(text, value);
	}
	sonde__line_style(text, STYLE_PLAIN);
	sonde__line_put_attributes(text, SONDE_FIELDS_EVENT, &event->attributes, 1, "exception.");
	sonde__line_put(text, "\n");
	if (sonde__line_find(SONDE_FIELDS_EVENT, &event->attributes, 1, "exception.stacktrace", &value))
		sonde__line_put_lines(text, value, indent + INDENT);
}

static void put_event(struct text *text, const struct sonde_span_view *span,
		      const struct sonde_item_view *event, int indent)
{
	sonde__line_indent(text, indent);
	if (event->name.size == 9 && !memcmp(event->name.data, "exception", 9)) {
		put_exception(text, event, indent);
		return;
	}
	sonde__line_put(text, "* ");
	sonde__line_put_captured(text, event->name);
	if (event->unix_ns >= span->start_unix_ns) {
		sonde__line_put(text, " at ");
		sonde__line_put_duration(text, event->unix_ns - span->start_unix_ns);
	}
	sonde__line_put_attributes(text, SONDE_FIELDS_EVENT, &event->attributes, 1, NULL);
	sonde__line_put(text, "\n");
}

static void put_events(struct text *text, const struct sonde_span_view *span, int indent)
{
	struct sonde_item_view item;

	for (size_t i = 0; i < span->n_pieces; i++) {
		struct sonde_bytes rest = span->pieces[i];

		while (sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item)) {
			if (item.type == SONDE_ITEM_EVENT)
				put_event(text, span, &item, indent);
		}
	}
}

static void put_status(struct text *text, const struct sonde_span_view *span)
{
	if (span->status == SONDE_SPAN_UNSET)
		return;
	sonde__line_style(text, span->status == SONDE_SPAN_ERROR ? STYLE_BAD : STYLE_GOOD);
	sonde__line_put(text, span->status == SONDE_SPAN_ERROR ? "  ERROR" : "  OK");
	sonde__line_style(text, STYLE_PLAIN);
	if (span->status_description.size) {
		sonde__line_put(text, " ");
		sonde__line_put_captured(text, span->status_description);
	}
}

static void put_span(struct text *text, const struct sonde_span_view *span, int indent)
{
	sonde__line_indent(text, indent);
	sonde__line_style(text, STYLE_STRONG);
	sonde__line_put_captured(text, span->name);
	sonde__line_style(text, STYLE_PLAIN);
	if (kind_word(span->kind)[0])
		sonde__line_format(text, "  %s", kind_word(span->kind));
	sonde__line_put(text, "  ");
	sonde__line_put_duration(text, span->end_unix_ns - span->start_unix_ns);
	put_status(text, span);
	sonde__line_put_attributes(text, SONDE_FIELDS_SPAN, span->pieces, span->n_pieces, NULL);
	sonde__line_put(text, "\n");
	put_events(text, span, indent + INDENT);
}

/* The next child of `parent` that is not printed, in the order they began; NULL: no more. */
static const struct sonde_span_view *next_child(const struct forest *forest,
						const struct sonde_span_view *parent)
{
	const struct sonde_span_view *first = NULL;

	for (size_t i = 0; i < forest->n_spans; i++) {
		const struct sonde_span_view *span = &forest->spans[i];

		if (!forest->is_printed[i] && is_child_of(span, parent) &&
		    (!first || span->start_unix_ns < first->start_unix_ns))
			first = span;
	}
	return first;
}

/* Depth first. Each span is marked before its children are looked for, so that a cycle ends. */
static void put_subtree(struct text *text, struct forest *forest,
			const struct sonde_span_view *span, int depth)
{
	const struct sonde_span_view *child;

	forest->is_printed[span - forest->spans] = true;
	put_span(text, span, INDENT * (depth + 1));
	while (depth < DEPTH_MAX && (child = next_child(forest, span)))
		put_subtree(text, forest, child, depth + 1);
}

static void put_trace_head(struct text *text, const struct sonde_batch *batch,
			   const struct sonde_span_view *span)
{
	struct sonde_text service = { "", 0 };

	sonde__line_find(SONDE_FIELDS_RESOURCE, &batch->resource->attributes, 1, "service.name", &service);
	sonde__line_style(text, STYLE_DIM);
	sonde__line_put(text, "trace ");
	for (size_t i = 0; i < sizeof(span->trace_id); i++)
		sonde__line_format(text, "%02x", span->trace_id[i]);
	sonde__line_put(text, "  ");
	sonde__line_put_captured(text, service);
	sonde__line_style(text, STYLE_PLAIN);
	sonde__line_put(text, "\n");
}

/* All of the trace that `first` belongs to: what has its parent elsewhere, then what is left. */
static void put_trace(struct text *text, struct forest *forest, size_t first)
{
	const struct sonde_span_view *example = &forest->spans[first];

	for (size_t i = first; i < forest->n_spans; i++) {
		const struct sonde_span_view *span = &forest->spans[i];

		if (!forest->is_printed[i] && same_trace(span, example) &&
		    !parent_is_here(forest, span))
			put_subtree(text, forest, span, 0);
	}
	for (size_t i = first; i < forest->n_spans; i++) {
		if (!forest->is_printed[i] && same_trace(&forest->spans[i], example))
			put_subtree(text, forest, &forest->spans[i], 0);
	}
}

int sonde__console_render_spans(const struct sonde_batch *batch, bool has_colour,
				struct sonde_buffer *out)
{
	struct text text = { .out = out, .has_colour = has_colour };
	struct forest forest = { batch->spans, batch->n_items, NULL };
	size_t size = out->size;

	forest.is_printed = calloc(batch->n_items, sizeof(*forest.is_printed));
	if (!forest.is_printed)
		return SONDE_E_NOMEM;
	for (size_t i = 0; i < batch->n_items; i++) {
		if (forest.is_printed[i])
			continue;
		put_trace_head(&text, batch, &batch->spans[i]);
		put_trace(&text, &forest, i);
	}
	free(forest.is_printed);
	if (text.status < 0)
		out->size = size;
	return text.status;
}
