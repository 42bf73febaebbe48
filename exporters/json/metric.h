/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_EXPORTERS_JSON_METRIC_H
#define SONDE_EXPORTERS_JSON_METRIC_H

#include "json/write.h"

/* The points as a comma-separated list of Metric objects, one for each run of the same metric. */
void sonde__json_metrics(struct sonde__json *json, const struct sonde_point_view *points,
			 size_t n_points);

#endif
