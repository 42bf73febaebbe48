/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captured errors by type and place, as the box counted them: exact whatever was sampled out, held
 * back or lost. The attributes are those of the error's log record, so that one leads to the other.
 */

#include "base/compiler.h"
#include "pipeline/label.h"
#include "pipeline/metrics.h"
#include "pipeline/state.h"

static const struct sonde__metric errors = { "sonde.errors", "{error}", "Errors captured",
					     SONDE__COUNTER, false };

/* Site 0: all that have none. */
static void add_site(struct sonde__points *points, uint32_t site, uint64_t n)
{
	struct sonde__label label;

	if (!n)
		return;
	sonde__label_site(&label, points, "error.type", site);
	sonde__label_count(&label, &errors, site, n, points);
}

void sonde__error_metrics(struct sonde__pipeline *pipeline SONDE__UNUSED,
			  struct sonde__points *points)
{
	struct sonde__site_view view;

	for (uint32_t site = 1; site < SONDE__FIGURES_READ_SITES; site++) {
		if (sonde__site_get(site, &view) && view.kind == SONDE__SITE_ERROR)
			add_site(points, site, sonde__errors_read(site));
	}
	add_site(points, /* site= */ 0, sonde__errors_misplaced());
}
