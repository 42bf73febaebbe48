/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TEST_OTLP_BATCH_H
#define SONDE_TEST_OTLP_BATCH_H

/*
 * Batches as the pipeline would hand them to an exporter, with every field of the views in use. The
 * contents are a function of the item's number, so that whoever decodes the request can say what
 * must be in it.
 */

#include <stddef.h>
#include <stdint.h>

#include <sonde/exporter.h>

struct otlp_batch {
	struct sonde_batch batch;
	struct sonde_resource resource;
	void *memory;
	struct sonde_metric_view *metrics;
	uint64_t (*buckets)[4];
};

void otlp_batch_spans(struct otlp_batch *made, size_t n);
void otlp_batch_logs(struct otlp_batch *made, size_t n);
void otlp_batch_points(struct otlp_batch *made, size_t n);
void otlp_batch_free(struct otlp_batch *made);

#endif
