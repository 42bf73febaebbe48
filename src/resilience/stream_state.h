/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_STREAM_STATE_H
#define SONDE_RESILIENCE_STREAM_STATE_H

/* What a stream is made of, for its own sources alone: stream.c has its life, stream_pull.c. */

#include <pthread.h>
#include <stdatomic.h>

#include "base/compiler.h"
#include "resilience/queue.h"
#include "resilience/stream.h"

struct sonde__stream {
	struct sonde_queue queue;
	struct sonde_cancel left; /* Fired when the consumer leaves. */
	/* What the producer met last, until it had an item. Taken by exchange. */
	struct sonde_error *_Atomic last_error;

	pthread_mutex_t lock; /* Of all up to the next blank line. */
	struct sonde_error *error; /* For the consumer, after the last item. */
	bool has_left;
	bool has_thread;

	pthread_t thread;
	sonde_producer_fn *producer;
	void *argument;
	struct sonde_context context;

	/* The consumer's. */
	bool has_finished; /* Its span, and what is told at the end of it all. */
	uint64_t begun_ns;
	uint64_t progress_at_ns;
	uint64_t progress_ns;
	uint64_t n_items;
	uint64_t n_bytes;
	const struct sonde__stream_telemetry *telemetry; /* NULL: it has no span. */
	uint64_t room[SONDE__STREAM_ROOM];

	/* As the options have them. */
	const char *name;
	uint64_t item_timeout_ns;
	uint64_t slow_ns;
	void (*release)(void *user, void *item);
	uint64_t (*size_of)(void *user, const void *item);
	void *user;
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
	bool is_open; /* Between init and deinit. */
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct sonde__stream) <= sizeof(struct sonde_stream) - 64,
	       "a stream fits, and may grow");
_Static_assert(_Alignof(struct sonde__stream) <= _Alignof(struct sonde_stream), "and is aligned");

static inline struct sonde__stream *sonde__stream_of(struct sonde_stream *stream)
{
	return (struct sonde__stream *)stream;
}

void sonde__stream_tell(const struct sonde__stream *stream,
			const struct sonde_observation *observation);

/* The end of the consumer's part, once: the span, and what is told of the whole. */
void sonde__stream_finish(struct sonde__stream *stream, const char *outcome,
			  const struct sonde_error *error);

#endif
