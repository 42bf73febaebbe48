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

	sonde__label_site(&label, points, "sonde.site.name", figures->site);
	sonde__label_figures(&label, &durations, figures, points);
}

static void add_errors(struct sonde__points *points, uint32_t site, uint64_t n_errors)
{
	struct sonde__label label;

	sonde__label_site(&label, points, "sonde.site.name", site);
	sonde__label_count(&label, &errors, site, n_errors, points);
}

/* The toolkit's, which has metrics of its own. */
static bool is_event(uint32_t site)
{
	struct sonde__site_view view;

	return sonde__site_get(site, &view) && view.kind == SONDE__SITE_EVENT;
}

void sonde__site_metrics(struct sonde__pipeline *pipeline SONDE__UNUSED,
			 struct sonde__points *points)
{
	/* Told after all durations, and from the same look at the figures. */
	uint64_t n_errors[SONDE__FIGURES_READ_SITES] = { 0 };
	struct sonde__figures figures;

	for (uint32_t site = 0; site < SONDE__FIGURES_READ_SITES; site++) {
		if (is_event(site) || !sonde__figures_read(site, &figures))
			continue;
		n_errors[site] = figures.errors;
		add_durations(points, &figures);
	}
	for (uint32_t site = 0; site < SONDE__FIGURES_READ_SITES; site++) {
		if (n_errors[site])
			add_errors(points, site, n_errors[site]);
	}
}
