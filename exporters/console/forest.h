/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_EXPORTERS_CONSOLE_FOREST_H
#define SONDE_EXPORTERS_CONSOLE_FOREST_H

/*
 * The spans of a batch as trees: who is whose child, in the order they began. Built by sorting and
 * searching, n log n in the batch's size. Ids come from outside: spans may share one, be their own
 * parents or form a ring, so a walk must mark what it has seen (`is_shown`).
 */

#include <sonde/exporter.h>

#define FOREST_NONE UINT32_MAX

struct forest_node {
	uint32_t first_child;
	uint32_t next_sibling; /* Of a root: the trace's next root. */
	uint32_t first_root; /* Of the first span of each trace in `by_id`. */
	bool is_shown;
};

struct forest {
	const struct sonde_span_view *spans;
	uint32_t n_spans;
	struct forest_node *nodes; /* By span. */
	uint32_t *by_start;
	uint32_t *by_id; /* Trace by trace. */
};

/* SONDE_E_NOMEM. The spans must outlive the forest. */
int sonde__forest_init(struct forest *forest, const struct sonde_span_view *spans, size_t n_spans);
void sonde__forest_deinit(struct forest *forest);

/* Where the trace of `span` begins in `by_id`, and where it ends. */
uint32_t sonde__forest_trace_begin(const struct forest *forest, uint32_t span);
uint32_t sonde__forest_trace_end(const struct forest *forest, uint32_t begin);

#endif
