/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_PIPELINE_FLOOD_RIG_H
#define SONDE_TESTS_PIPELINE_FLOOD_RIG_H

/* A rig with one destination that limits errors: ten of one kind at once, then one a second. */

#include "rig.h"

static struct rig rig;

static int begin(void **state)
{
	(void)state;
	rig_init(&rig, /* n_destinations= */ 1);
	rig.options.flood = (struct sonde__flood_options){
		.group = { .burst = 10, .period_ns = RIG_S },
		.total = { .burst = 200, .period_ns = 10 * RIG_MS },
		.summary_ns = 60 * RIG_S,
	};
	return 0;
}

static int end(void **state)
{
	(void)state;
	rig_end(&rig);
	return 0;
}

#endif
