/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_VIEW_H
#define SONDE_PIPELINE_VIEW_H

/*
 * From records to what an exporter is shown. Every builder takes what it needs from the batch's
 * arena and fills *ret completely: SONDE_E_NOMEM where the arena is full, SONDE_E_MALFORMED for
 * fields that passed the check and are wrong all the same. Adds to *repairs.
 */

#include "pipeline/batch.h"
#include "record/view.h"

/* The texts and numbers every view shares. */
struct sonde__view_maker {
	struct sonde__pipeline *pipeline;
	struct sonde__arena *arena;
	struct sonde_repairs repairs;
	struct sonde__mend_counts counts;
};

int sonde__span_view_make(struct sonde__view_maker *maker, const struct sonde__span_record *record,
			  const struct sonde__part *parts, struct sonde_span_view *ret);
/*
 * The same for a span to which nothing was added and of which nothing has to be told or mended, as
 * nearly all are. False: it is none, and nothing was taken from the arena.
 */
bool sonde__span_view_plain(struct sonde__pipeline *pipeline, struct sonde__arena *arena,
			    const struct sonde__span_record *record, struct sonde_span_view *ret);
int sonde__log_view_make(struct sonde__view_maker *maker, const struct sonde__log_record *record,
			 struct sonde_log_view *ret);
int sonde__error_view_make(struct sonde__view_maker *maker,
			   const struct sonde__error_record *record,
			   const struct sonde__exception *exception, struct sonde_log_view *ret);
/* A log record of an error that was captured again. */
int sonde__again_view_make(struct sonde__view_maker *maker,
			   const struct sonde__error_record *record, struct sonde_log_view *ret);
/* A log record of what a group holds back. */
int sonde__summary_view_make(struct sonde__view_maker *maker, const struct sonde__group *group,
			     struct sonde_log_view *ret);
/* A log record of a part that found no span. */
int sonde__part_view_make(struct sonde__view_maker *maker, const struct sonde__part *part,
			  struct sonde_log_view *ret);

/* ---- Shared by the log views ----------------------------------------------------------------- */

/* Encodes attributes into the arena as fields of a log. */
int sonde__view_encode(struct sonde__view_maker *maker, const struct sonde_attr *attrs, size_t n,
		       struct sonde_bytes *ret);
/* Mends the two runs of fields, the second beating the first, into view->pieces, and the body. */
int sonde__view_finish_log(struct sonde__view_maker *maker, struct sonde_bytes low,
			   struct sonde_bytes fields, struct sonde_log_view *view);
uint64_t sonde__view_time(const struct sonde__view_maker *maker, uint64_t time, bool is_unix);

#endif
