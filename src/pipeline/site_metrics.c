/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was counted at each site: how long its calls took, whose number the histogram has, and how
 * many were errors. Counted before any sampling, so exact whatever is sampled out. What the box
 * has no room to count by site is one series more, marked the way the standard marks overflow.
 */

#include "base/compiler.h"
#include "pipeline/label.h"
#include "pipeline/metrics.h"
#include "pipeline/state.h"

static const struct sonde__metric durations = { "sonde.site.duration", "s",
						"How long the calls of a site took",
						SONDE__HISTOGRAM, false };
static const struct sonde__metric errors = { "sonde.site.errors", "{error}",
					     "Calls of a site that ended in an error",
					     SONDE__COUNTER, false };

static void add_durations(struct sonde__points *points, const struct sonde__figures *figures)
{
	struct sonde__label label;
	struct sonde__sample sample = {
		.metric = &durations,
		.number = figures->site,
		.attrs = label.attrs,
		.histogram = {
			.count = figures->calls,
			.sum = figures->sum_seconds,
			.zero_count = figures->zero_count,
			.zero_threshold = SONDE__FIGURES_ZERO_THRESHOLD,
			.scale = figures->scale,
			.offset = figures->offset,
			.buckets = figures->buckets,
			.n_buckets = figures->n_buckets,
		},
	};

	sonde__label_site(&label, "sonde.site.name", figures->site);
	sample.n_attrs = label.n_attrs;
	sonde__points_add(points, &sample);
}

static void add_errors(struct sonde__points *points, uint32_t site, uint64_t n_errors)
{
	struct sonde__label label;

	sonde__label_site(&label, "sonde.site.name", site);
	sonde__label_count(&label, &errors, site, n_errors, points);
}

void sonde__site_metrics(struct sonde__pipeline *pipeline SONDE__UNUSED,
			 struct sonde__points *points)
{
	/* Told after all durations, and from the same look at the figures. */
	uint64_t n_errors[SONDE__FIGURES_READ_SITES] = { 0 };
	struct sonde__figures figures;

	for (uint32_t site = 0; site < SONDE__FIGURES_READ_SITES; site++) {
		if (!sonde__figures_read(site, &figures))
			continue;
		n_errors[site] = figures.errors;
		add_durations(points, &figures);
	}
	for (uint32_t site = 0; site < SONDE__FIGURES_READ_SITES; site++) {
		if (n_errors[site])
			add_errors(points, site, n_errors[site]);
	}
}
