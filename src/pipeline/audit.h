/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_AUDIT_H
#define SONDE_PIPELINE_AUDIT_H

/*
 * A file that says what was sent: lines of JSON, one for each request when it is made, with its
 * items as they are after redaction, one when it is sent for the first time, and one with what
 * became of it. docs/design/redaction.md shows them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/exporter.h>

struct sonde__pipeline;
struct sonde__blob;

struct sonde__audit_options {
	const char *path; /* Absolute, and lives as long as the pipeline; NULL: no audit. */
	uint64_t limit_bytes; /* Of one file; the one before is kept beside it. */
	/* Writes a batch as one line; of an exporter that needs no instance. */
	int (*encode)(void *instance, const struct sonde_batch *batch, struct sonde_buffer *out);
};

struct sonde__audit {
	struct sonde__audit_options options;
	uint64_t n_requests;
	bool is_torn; /* The last line was not written whole. */
	bool has_failed; /* It was said that nothing can be written. */
};

/* Says so where nothing can be written there. */
void sonde__audit_open(struct sonde__audit *audit, const struct sonde__audit_options *options);

/* The batch has become the blob. Uses the blob store's open buffer. */
void sonde__audit_made(struct sonde__pipeline *pipeline, size_t destination,
		       const struct sonde_batch *batch, struct sonde__blob *blob);
/* The blob is about to be sent. */
void sonde__audit_sent(struct sonde__pipeline *pipeline, struct sonde__blob *blob);
/* `exported` of its items were accepted, `reason` tells of the rest. */
void sonde__audit_done(struct sonde__pipeline *pipeline, const struct sonde__blob *blob,
		       uint64_t exported, const char *reason);

#endif
