/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_METRIC_H
#define SONDE_OTLP_METRIC_H

/* A Metric on the wire: the points of a batch that stand together and share a metric. */

#include <sonde/exporter.h>

#include "sink.h"

/* How many of the `n` points, from the first on, are of the first one's metric; n > 0. */
size_t sonde__otlp_metric_run(const struct sonde_point_view *points, size_t n);

size_t sonde__otlp_metric_size(const struct sonde_point_view *points, size_t n_run);
/* Writes exactly as many bytes as the size said. */
void sonde__otlp_metric_write(const struct sonde_point_view *points, size_t n_run,
			      struct sonde__otlp_sink *sink);

#endif
