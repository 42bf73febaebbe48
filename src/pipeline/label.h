/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_LABEL_H
#define SONDE_PIPELINE_LABEL_H

/*
 * The attributes of a metric's series, with room for texts that must be mended. What is to be
 * redacted is, by key and by value; series whose labels would be the same then are told apart by
 * sonde.series, the series' number in this process.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/attribute.h>

#include "base/arena.h"
#include "box/box.h"
#include "pipeline/points.h"

#define SONDE__LABEL_ATTRS 7
/*
 * Names and paths, at most 512 bytes each. A byte that is mended becomes three at worst, and what
 * is redacted four times its size.
 */
#define SONDE__LABEL_TEXTS (3 * (3 + 4) * 520)

struct sonde__redactor;

struct sonde__label {
	const struct sonde__redactor *redactor; /* NULL: nothing is redacted. */
	bool is_redacted; /* Something was. */
	struct sonde_attr attrs[SONDE__LABEL_ATTRS];
	size_t n_attrs;
	struct sonde__arena arena; /* Of texts. */
	uint8_t texts[SONDE__LABEL_TEXTS];
};

void sonde__label_init(struct sonde__label *label, const struct sonde__points *points);

/* An empty text is left out. */
void sonde__label_text(struct sonde__label *label, const char *key, struct sonde_text text);

/* Marks the series of all that has none of its own, the way the standard does. */
void sonde__label_overflow(struct sonde__label *label);

/* A site's name under `name_key`, and its place; overflow where there is no such site. */
void sonde__label_site(struct sonde__label *label, const struct sonde__points *points,
		       const char *name_key, uint32_t id);

/* What a counter stands at under these attributes; `number` is the series'. */
void sonde__label_count(struct sonde__label *label, const struct sonde__metric *metric,
			uint64_t number, uint64_t n, struct sonde__points *points);

/* A site's durations under these attributes. */
void sonde__label_figures(struct sonde__label *label, const struct sonde__metric *metric,
			  const struct sonde__figures *figures, struct sonde__points *points);

#endif
