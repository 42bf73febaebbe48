/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_PIPELINE_METERED_RIG_H
#define SONDE_TESTS_PIPELINE_METERED_RIG_H

/* A rig for metrics: its first exporter is told totals, its second what was added. */

#include "box/box.h"
#include "rig.h"

#define SECOND (UINT64_C(1) << 32) /* In units of figures. */
#define TOTALS 0 /* Destinations. */
#define DELTAS 1

static struct rig rig;

static int begin(void **state)
{
	(void)state;
	rig_init(&rig, /* n_destinations= */ 2);
	rig.options.destinations[TOTALS].takes_metrics = true;
	rig.options.destinations[DELTAS].takes_metrics = true;
	rig.options.destinations[DELTAS].temporality = SONDE__DELTA;
	return 0;
}

static int end(void **state)
{
	(void)state;
	rig_end(&rig);
	return 0;
}

static void start(void)
{
	rig_start(&rig);
	(void)rig_turn(&rig, 0);
}

static void collect(void)
{
	(void)rig_turn(&rig, 60 * RIG_S);
}

static void count_calls(struct sonde_site *of, size_t n, bool is_error)
{
	while (n--)
		sonde__figures_count(sonde__site_id(of), SECOND, is_error);
}

#endif
