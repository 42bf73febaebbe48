/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans as trees. A batch holds whatever ended since the last one, children before their parents,
 * and nothing is held back to wait for the rest: a span whose parent is elsewhere stands at the
 * left, after "…" where the parent is a span of this process, after "←" and the parent's id where
 * it is the caller's. A client span shows its own id after "→", which is what the called side
 * shows.
 */
#include "console/render.h"

#include <sonde/span.h>

#include <string.h>

#include "console/fields.h"
#include "console/forest.h"
#include "console/line.h"

#define DEPTH_MAX 48
/*
 * Of opentelemetry.proto.trace.v1.Span.flags: it is known whether the parent is remote, and it is.
 */
#define REMOTE_PARENT 0x300u

static const char slow_prefix[] = "sonde.slow_operation.";

struct walk {
	struct text text;
	struct forest forest;
	int depth;
	bool has_next[DEPTH_MAX]; /* By depth: another child of the same parent follows. */
	bool has_children; /* Of the span whose lines are put. */
};

static void put_guides(struct walk *walk, int depth)
{
	sonde__line_put(&walk->text, "  ");
	sonde__line_style(&walk->text, STYLE_DIM);
	for (int i = 1; i < depth; i++)
		sonde__line_put(&walk->text, walk->has_next[i] ? "│  " : "   ");
}

static void put_branch(struct walk *walk)
{
	put_guides(walk, walk->depth);
	if (walk->depth)
		sonde__line_put(&walk->text, walk->has_next[walk->depth] ? "├─ " : "└─ ");
	sonde__line_style(&walk->text, STYLE_PLAIN);
}

static void put_margin(struct text *text, const void *user)
{
	struct walk *walk = (struct walk *)(uintptr_t)user;

	put_guides(walk, walk->depth + 1);
	sonde__line_put(text, walk->has_children ? "│  " : "   ");
	sonde__line_style(text, STYLE_PLAIN);
}

static bool has_parent(const struct sonde_span_view *span)
{
	static const uint8_t none[8];

	return memcmp(span->parent_id, none, sizeof(none)) != 0;
}

static bool is_remote(const struct sonde_span_view *span)
{
	return (span->flags & REMOTE_PARENT) == REMOTE_PARENT;
}

static const char *kind_word(uint8_t kind)
{
	static const char *const words[] = {
		[SONDE_KIND_SERVER] = "  server",
		[SONDE_KIND_CLIENT] = "  client",
		[SONDE_KIND_PRODUCER] = "  producer",
		[SONDE_KIND_CONSUMER] = "  consumer",
	};

	return kind < sizeof(words) / sizeof(words[0]) && words[kind] ? words[kind] : "";
}

static void put_slow(struct text *text, const struct fields *fields)
{
	struct sonde_value_view duration;
	struct sonde_text name;

	if (!sonde__fields_find_text(fields, "sonde.slow_operation.name", &name))
		return;
	sonde__line_style(text, STYLE_WARNING);
	sonde__line_put(text, "  SLOW ");
	sonde__line_put_captured(text, name);
	if (sonde__fields_find(fields, "sonde.slow_operation.duration", &duration) &&
	    duration.type == SONDE_VALUE_DOUBLE)
		sonde__line_format(text, " took %.3f s", duration.as.real);
	sonde__line_style(text, STYLE_PLAIN);
}

static void put_status(struct text *text, const struct sonde_span_view *span)
{
	if (span->status == SONDE_SPAN_UNSET)
		return;
	sonde__line_style(text, span->status == SONDE_SPAN_ERROR ? STYLE_BAD : STYLE_GOOD);
	sonde__line_put(text, span->status == SONDE_SPAN_ERROR ? "  ERROR" : "  OK");
	if (span->status_description.size) {
		sonde__line_put(text, " ");
		sonde__line_put_captured(text, span->status_description);
	}
	sonde__line_style(text, STYLE_PLAIN);
}

static void put_headline(struct walk *walk, const struct sonde_span_view *span,
			 const struct fields *fields)
{
	struct text *text = &walk->text;

	put_branch(walk);
	if (!walk->depth && has_parent(span)) {
		sonde__line_style(text, STYLE_DIM);
		sonde__line_put(text, is_remote(span) ? "← " : "… ");
		if (is_remote(span))
			sonde__line_put_hex(text, span->parent_id, sizeof(span->parent_id));
		sonde__line_put(text, is_remote(span) ? "  " : "");
		sonde__line_style(text, STYLE_PLAIN);
	}
	sonde__line_style(text, STYLE_STRONG);
	sonde__line_put_captured(text, span->name);
	sonde__line_style(text, STYLE_PLAIN);
	sonde__line_put(text, kind_word(span->kind));
	sonde__line_put(text, "  ");
	sonde__line_put_duration(text, span->end_unix_ns - span->start_unix_ns);
	put_slow(text, fields);
	put_status(text, span);
	if (span->kind == SONDE_KIND_CLIENT || span->kind == SONDE_KIND_PRODUCER) {
		sonde__line_style(text, STYLE_DIM);
		sonde__line_put(text, "  → ");
		sonde__line_put_hex(text, span->span_id, sizeof(span->span_id));
		sonde__line_style(text, STYLE_PLAIN);
	}
	sonde__line_put(text, "\n");
}

static void put_inner_margin(struct text *text, const void *user)
{
	put_margin(text, user);
	sonde__line_put(text, "  ");
}

static void put_event(struct walk *walk, const struct sonde_span_view *span,
		      const struct sonde_item_view *event)
{
	static const char *const error_keys[] = { "exception.", "sonde.breadcrumbs", NULL };
	const struct margin inner = { put_inner_margin, walk };
	const struct fields fields = { SONDE_FIELDS_EVENT, &event->attributes, 1 };
	struct text *text = &walk->text;

	put_margin(text, walk);
	if (event->name.size == 9 && sonde__line_starts_with(event->name, "exception")) {
		sonde__line_style(text, STYLE_BAD);
		sonde__line_put(text, "✗ ");
		sonde__fields_put_error(text, &fields, STYLE_BAD, STACK_FRAMES, &inner);
		sonde__fields_put(text, &fields, error_keys, &inner);
		return;
	}
	sonde__line_put(text, "• ");
	sonde__line_put_captured(text, event->name);
	if (event->unix_ns >= span->start_unix_ns) {
		sonde__line_style(text, STYLE_DIM);
		sonde__line_put(text, " at ");
		sonde__line_put_duration(text, event->unix_ns - span->start_unix_ns);
		sonde__line_style(text, STYLE_PLAIN);
	}
	sonde__line_put(text, "\n");
	sonde__fields_put(text, &fields, NULL, &inner);
}

static void put_link(struct walk *walk, const struct sonde_item_view *link)
{
	const struct margin inner = { put_inner_margin, walk };
	const struct fields fields = { SONDE_FIELDS_LINK, &link->attributes, 1 };

	put_margin(&walk->text, walk);
	sonde__line_put(&walk->text, "↗ span ");
	sonde__line_put_hex(&walk->text, link->span_id, sizeof(link->span_id));
	sonde__line_put(&walk->text, " of trace ");
	sonde__line_put_hex(&walk->text, link->trace_id, sizeof(link->trace_id));
	sonde__line_put(&walk->text, "\n");
	sonde__fields_put(&walk->text, &fields, NULL, &inner);
}

static void put_items(struct walk *walk, const struct sonde_span_view *span)
{
	struct sonde_item_view item;

	for (size_t i = 0; i < span->n_pieces; i++) {
		struct sonde_bytes rest = span->pieces[i];

		while (sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item)) {
			if (item.type == SONDE_ITEM_EVENT)
				put_event(walk, span, &item);
			else if (item.type == SONDE_ITEM_LINK)
				put_link(walk, &item);
		}
	}
}

static void put_span(struct walk *walk, uint32_t i)
{
	static const char *const shown_elsewhere[] = { slow_prefix, NULL };
	const struct sonde_span_view *span = &walk->forest.spans[i];
	const struct fields fields = { SONDE_FIELDS_SPAN, span->pieces, span->n_pieces };
	const struct margin margin = { put_margin, walk };

	walk->has_children = walk->forest.nodes[i].first_child != FOREST_NONE;
	put_headline(walk, span, &fields);
	sonde__fields_put(&walk->text, &fields, shown_elsewhere, &margin);
	put_items(walk, span);
}

/* Depth first; what is deeper than the array is left for put_trace. */
static void put_subtree(struct walk *walk, uint32_t i, int depth)
{
	struct forest_node *nodes = walk->forest.nodes;

	if (nodes[i].is_shown)
		return;
	nodes[i].is_shown = true;
	walk->depth = depth;
	put_span(walk, i);
	if (depth + 1 == DEPTH_MAX)
		return;
	for (uint32_t child = nodes[i].first_child; child != FOREST_NONE;
	     child = nodes[child].next_sibling) {
		walk->has_next[depth + 1] = nodes[child].next_sibling != FOREST_NONE;
		put_subtree(walk, child, depth + 1);
	}
}

static void put_trace_head(struct walk *walk, const struct sonde_batch *batch,
			   const struct sonde_span_view *span)
{
	const struct fields resource = { SONDE_FIELDS_RESOURCE, &batch->resource->attributes, 1 };
	struct text *text = &walk->text;
	struct sonde_text service;

	sonde__line_style(text, STYLE_DIM);
	sonde__line_put(text, "trace ");
	sonde__line_put_hex(text, span->trace_id, sizeof(span->trace_id));
	sonde__line_style(text, STYLE_PLAIN);
	if (sonde__fields_find_text(&resource, "service.name", &service)) {
		sonde__line_put(text, "  ");
		sonde__line_put_captured(text, service);
	}
	sonde__line_put(text, "\n");
}

/* What has no parent here, then what the walk did not come to: rings, and what is too deep. */
static void put_trace(struct walk *walk, uint32_t first)
{
	struct forest *forest = &walk->forest;
	uint32_t begin = sonde__forest_trace_begin(forest, first);
	uint32_t end = sonde__forest_trace_end(forest, begin);

	for (uint32_t root = forest->nodes[forest->by_id[begin]].first_root; root != FOREST_NONE;
	     root = forest->nodes[root].next_sibling)
		put_subtree(walk, root, 0);
	for (uint32_t k = begin; k < end; k++)
		put_subtree(walk, forest->by_id[k], 0);
}

int sonde__console_render_spans(const struct sonde_batch *batch, const struct look *look,
				struct sonde_buffer *out)
{
	struct walk walk = { .text = { .out = out, .has_colour = look->has_colour } };
	size_t size = out->size;
	int status = sonde__forest_init(&walk.forest, batch->spans, batch->n_items);

	if (status < 0)
		return status;
	for (uint32_t k = 0; k < walk.forest.n_spans; k++) {
		uint32_t span = walk.forest.by_start[k];

		if (walk.forest.nodes[span].is_shown)
			continue;
		put_trace_head(&walk, batch, &batch->spans[span]);
		put_trace(&walk, span);
	}
	sonde__forest_deinit(&walk.forest);
	if (walk.text.status < 0)
		out->size = size;
	return walk.text.status;
}
