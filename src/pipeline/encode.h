/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_ENCODE_H
#define SONDE_PIPELINE_ENCODE_H

#include <stdbool.h>
#include <stdint.h>

#include <sonde/agent.h>
#include <sonde/exporter.h>

#include "pipeline/pipeline.h"

struct sonde__batch;
struct sonde__batch_item;
struct sonde__pipeline;

/*
 * Encodes the batch for every destination that takes it, queues what comes out, releases the
 * records, books it all, and leaves the batch empty. An empty batch is left alone.
 */
void sonde__batch_emit(struct sonde__pipeline *pipeline, struct sonde__batch *batch);

/* Drops every item, counted for every destination alike; leaves the batch empty. */
void sonde__batch_drop(struct sonde__pipeline *pipeline, struct sonde__batch *batch,
		       enum sonde_loss reason);

/* The same for one item that is in no batch. */
void sonde__batch_drop_item(struct sonde__pipeline *pipeline, enum sonde_signal signal,
			    struct sonde__batch_item *item, enum sonde_loss reason);

/* Encodes points and queues them for the destinations that want them with that temporality. */
void sonde__encode_points(struct sonde__pipeline *pipeline, const struct sonde_batch *batch,
			  enum sonde__temporality temporality);
/* Counts a point that could not be made, for the same. */
void sonde__encode_lose_point(struct sonde__pipeline *pipeline, enum sonde__temporality temporality,
			      enum sonde_loss reason);

/* Whether to wait with the next batch: it would push one out that is about to leave by itself. */
bool sonde__encode_must_pause(const struct sonde__pipeline *pipeline,
			      const struct sonde__batch *batch);

#endif
