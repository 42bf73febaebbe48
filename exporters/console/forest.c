/* SPDX-License-Identifier: Apache-2.0 */
#include "console/forest.h"

#include <stdlib.h>
#include <string.h>

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_traces(const struct sonde_span_view *a, const struct sonde_span_view *b)
{
	return memcmp(a->trace_id, b->trace_id, sizeof(a->trace_id));
}

static int compare_starts(const void *a, const void *b, void *spans)
{
	const struct sonde_span_view *span = spans;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	int order = compare_numbers(span[i].start_unix_ns, span[j].start_unix_ns);

	return order ? order : compare_numbers(i, j);
}

static int compare_ids(const void *a, const void *b, void *spans)
{
	const struct sonde_span_view *span = spans;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	int order = compare_traces(&span[i], &span[j]);

	if (!order)
		order = memcmp(span[i].span_id, span[j].span_id, sizeof(span[i].span_id));
	return order ? order : compare_numbers(i, j);
}

/* The first place in `by_id` that is not before the span id `id` of the trace of `span`. */
static uint32_t find(const struct forest *forest, const struct sonde_span_view *span,
		     const uint8_t *id)
{
	uint32_t low = 0, high = forest->n_spans;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct sonde_span_view *at = &forest->spans[forest->by_id[middle]];
		int order = compare_traces(at, span);

		if (!order)
			order = memcmp(at->span_id, id, sizeof(at->span_id));
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint32_t sonde__forest_trace_begin(const struct forest *forest, uint32_t span)
{
	static const uint8_t lowest[8];

	return find(forest, &forest->spans[span], lowest);
}

uint32_t sonde__forest_trace_end(const struct forest *forest, uint32_t begin)
{
	uint32_t end = begin;

	while (end < forest->n_spans && !compare_traces(&forest->spans[forest->by_id[end]],
							&forest->spans[forest->by_id[begin]]))
		end++;
	return end;
}

static uint32_t find_parent(const struct forest *forest, uint32_t span)
{
	const struct sonde_span_view *child = &forest->spans[span];
	uint32_t place = find(forest, child, child->parent_id);
	uint32_t parent = place < forest->n_spans ? forest->by_id[place] : span;

	if (parent == span || compare_traces(&forest->spans[parent], child) ||
	    memcmp(forest->spans[parent].span_id, child->parent_id, sizeof(child->parent_id)) != 0)
		return FOREST_NONE;
	return parent;
}

/* The latest first, each in front of its list. */
static void link_spans(struct forest *forest)
{
	for (uint32_t k = forest->n_spans; k-- > 0;) {
		uint32_t span = forest->by_start[k];
		uint32_t parent = find_parent(forest, span);
		uint32_t *list;

		if (parent != FOREST_NONE)
			list = &forest->nodes[parent].first_child;
		else
			list = &forest->nodes[forest->by_id[sonde__forest_trace_begin(forest,
										      span)]]
					.first_root;
		forest->nodes[span].next_sibling = *list;
		*list = span;
	}
}

int sonde__forest_init(struct forest *forest, const struct sonde_span_view *spans, size_t n_spans)
{
	*forest = (struct forest){ .spans = spans };
	if (n_spans >= FOREST_NONE)
		return SONDE_E_NOMEM;
	forest->n_spans = (uint32_t)n_spans;
	forest->nodes = calloc(n_spans, sizeof(*forest->nodes));
	forest->by_start = calloc(n_spans, sizeof(*forest->by_start));
	forest->by_id = calloc(n_spans, sizeof(*forest->by_id));
	if (!forest->nodes || !forest->by_start || !forest->by_id) {
		sonde__forest_deinit(forest);
		return SONDE_E_NOMEM;
	}
	for (uint32_t i = 0; i < forest->n_spans; i++) {
		forest->nodes[i] = (struct forest_node){ FOREST_NONE, FOREST_NONE, FOREST_NONE,
							 false };
		forest->by_start[i] = i;
		forest->by_id[i] = i;
	}
	qsort_r(forest->by_start, n_spans, sizeof(uint32_t), compare_starts,
		(void *)(uintptr_t)spans);
	qsort_r(forest->by_id, n_spans, sizeof(uint32_t), compare_ids, (void *)(uintptr_t)spans);
	link_spans(forest);
	return SONDE_OK;
}

void sonde__forest_deinit(struct forest *forest)
{
	free(forest->nodes);
	free(forest->by_start);
	free(forest->by_id);
	*forest = (struct forest){ 0 };
}
