/* SPDX-License-Identifier: Apache-2.0 */
/* The consumer's side: items, chunks, the end, and what is known of all of them. */

#include "resilience/clock.h"
#include "resilience/name.h"
#include "resilience/observe.h"
#include "resilience/stream.h"
#include "resilience/stream_state.h"

/* ---- Figures --------------------------------------------------------------------------------- */

static struct sonde__stream_figures figures_of(const struct sonde__stream *stream)
{
	return (struct sonde__stream_figures){ .n_items = stream->n_items,
					       .n_bytes = stream->n_bytes };
}

static void progress(struct sonde__stream *stream)
{
	const uint64_t now_ns = sonde__now_ns(stream->clock);
	const struct sonde__stream_figures figures = figures_of(stream);

	if (now_ns < stream->progress_at_ns)
		return;
	/* Each time twice as long: a stream of a day says it seventeen times. */
	stream->progress_ns = stream->progress_ns < SONDE__NEVER / 2 ? stream->progress_ns * 2
								     : SONDE__NEVER;
	stream->progress_at_ns = sonde__moment_after(now_ns, stream->progress_ns);
	stream->telemetry->progress(stream->room, &figures);
}

static void count_item(struct sonde__stream *stream, const void *item)
{
	stream->n_items++;
	if (stream->size_of)
		stream->n_bytes += stream->size_of(stream->user, item);
	if (stream->telemetry)
		progress(stream);
}

void sonde__stream_finish(struct sonde__stream *stream, const char *outcome,
			  const struct sonde_error *error)
{
	struct sonde__stream_figures figures = figures_of(stream);

	if (stream->has_finished)
		return;
	stream->has_finished = true;
	figures.outcome = outcome;
	figures.error = error;
	if (stream->telemetry)
		stream->telemetry->end(stream->room, &figures);
	sonde__stream_tell(stream, &(struct sonde_observation){
					   .what = SONDE_OBSERVED_RUN,
					   .duration_ns = sonde__now_ns(stream->clock) -
							  stream->begun_ns,
					   .count = stream->n_items,
					   .error = error,
				   });
}

/* ---- The end --------------------------------------------------------------------------------- */

/* Nothing is left, and nothing will come. */
static struct sonde_error *end_take(struct sonde__stream *stream)
{
	struct sonde_error *error;

	pthread_mutex_lock(&stream->lock);
	error = stream->error;
	stream->error = NULL;
	pthread_mutex_unlock(&stream->lock);
	sonde__stream_finish(stream, error ? "failed" : "ended", error);
	return error;
}

struct sonde_error *sonde_stream_error(struct sonde_stream *public)
{
	struct sonde__stream *stream = sonde__stream_of(public);

	/* Not before the last item. */
	if (!public || !sonde_queue_is_closed(&stream->queue) ||
	    sonde_queue_length(&stream->queue))
		return NULL;
	return end_take(stream);
}

/* ---- Items ----------------------------------------------------------------------------------- */

static SONDE__COLD struct sonde_error *late_error(struct sonde__stream *stream)
{
	const struct sonde__name name = sonde__name_of(stream->name);
	/* A2, partner R2 in sonde_stream_report: the error is whole. */
	struct sonde_error *cause = atomic_exchange_explicit(&stream->last_error, NULL,
							     memory_order_acq_rel);

	return sonde_error_wrap(cause, &sonde_timeout, "stream%s%s: no item in time", name.space,
				name.text);
}

/* Waits until the moment; 0: not at all. */
static enum sonde__queue_end pull(struct sonde__stream *stream, uint64_t until_ns,
				  struct sonde_cancel *cancel, void **ret_item)
{
	enum sonde__queue_end end =
		sonde__queue_pop_until(&stream->queue, until_ns, cancel, ret_item);

	if (end == SONDE__QUEUE_DONE)
		count_item(stream, *ret_item);
	return end;
}

static uint64_t item_end(const struct sonde__stream *stream)
{
	return sonde__wait_end(sonde__now_ns(stream->clock), stream->item_timeout_ns);
}

struct sonde_error *sonde_stream_next(struct sonde_stream *public, struct sonde_cancel *cancel,
				      void **ret_item)
{
	struct sonde__stream *stream = sonde__stream_of(public);
	struct sonde_error *error;
	enum sonde__queue_end end;

	if (!public || !ret_item)
		return sonde_error_raise(&sonde_internal, "there is no stream to pull from");
	end = pull(stream, /* until_ns= */ 0, cancel, ret_item);
	if (end == SONDE__QUEUE_LATE)
		end = pull(stream, item_end(stream), cancel, ret_item);
	if (SONDE__LIKELY(end == SONDE__QUEUE_DONE))
		return NULL;
	if (end == SONDE__QUEUE_CANCELLED)
		return sonde_cancel_error(cancel);
	if (end == SONDE__QUEUE_LATE)
		return late_error(stream);
	error = end_take(stream);
	if (!error)
		*ret_item = NULL;
	return error;
}

int sonde_stream_try_next(struct sonde_stream *public, void **ret_item)
{
	enum sonde__queue_end end;

	if (!public || !ret_item)
		return SONDE_E_INVALID;
	end = pull(sonde__stream_of(public), /* until_ns= */ 0, /* cancel= */ NULL, ret_item);
	if (end == SONDE__QUEUE_DONE)
		return SONDE_OK;
	return end == SONDE__QUEUE_CLOSED ? SONDE_E_CLOSED : SONDE_E_NOT_FOUND;
}

struct sonde_error *sonde_stream_next_chunk(struct sonde_stream *public, void **items,
					    size_t capacity, uint64_t limit_ms,
					    struct sonde_cancel *cancel, size_t *ret_n)
{
	struct sonde__stream *stream = sonde__stream_of(public);
	struct sonde_error *error;
	uint64_t until_ns = 0;
	size_t n = 1;
	void *first;

	if (!public || !items || !capacity || !ret_n)
		return sonde_error_raise(&sonde_internal, "there is no chunk to pull");
	error = sonde_stream_next(public, cancel, &first);
	if (error)
		return error;
	if (!first) {
		*ret_n = 0;
		return NULL;
	}
	items[0] = first;
	if (limit_ms)
		until_ns = sonde__wait_end(sonde__now_ns(stream->clock), sonde__ms_to_ns(limit_ms));
	while (n < capacity && pull(stream, until_ns, cancel, &items[n]) == SONDE__QUEUE_DONE)
		n++;
	*ret_n = n;
	return NULL;
}

int sonde_stream_fd(struct sonde_stream *public)
{
	return public ? sonde_queue_fd(&sonde__stream_of(public)->queue) : SONDE_E_INVALID;
}
