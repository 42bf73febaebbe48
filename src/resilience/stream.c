/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue of items, an error behind the last of them, and a token that points the other way.
 *
 *	producer  ──push──▶ queue ──next──▶  consumer
 *	          ──end(error)──▶ behind it
 *	          ◀── closed queue, fired token ── leave
 *
 * The end closes the queue after the error was put down, and the consumer looks for the error only
 * when the queue is closed and empty: so it finds it, after all items. Leaving sets its mark under
 * the same lock as the end puts its error down: an error is the consumer's, or an orphan.
 */

#include "resilience/stream.h"

#include <string.h>

#include "base/thread.h"
#include "resilience/clock.h"
#include "resilience/name.h"
#include "resilience/observe.h"
#include "resilience/stream_state.h"

#define DEFAULT_CAPACITY 16
#define DEFAULT_SLOW_MS 10
#define DEFAULT_PROGRESS_MS 1000

static const struct sonde__stream_telemetry *_Atomic installed;

void sonde__stream_telemetry_install(const struct sonde__stream_telemetry *telemetry)
{
	/* Release, R1, partner A1: what it stands on was made before. */
	atomic_store_explicit(&installed, telemetry, memory_order_release);
}

void sonde__stream_tell(const struct sonde__stream *stream,
			const struct sonde_observation *observation)
{
	struct sonde_observation whole = *observation;

	whole.pattern = SONDE_PATTERN_STREAM;
	whole.name = stream->name;
	sonde__observe(stream->observer, &whole);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static uint64_t ms_or(uint64_t ms, uint64_t fallback_ms)
{
	return sonde__ms_to_ns(ms ? ms : fallback_ms);
}

static void options_take(struct sonde__stream *stream, const struct sonde_stream_options *options)
{
	stream->name = options->name ? options->name : "";
	stream->item_timeout_ns = ms_or(options->item_timeout_ms, UINT64_MAX);
	stream->slow_ns = ms_or(options->slow_ms, DEFAULT_SLOW_MS);
	stream->progress_ns = ms_or(options->progress_ms, DEFAULT_PROGRESS_MS);
	stream->release = options->release;
	stream->size_of = options->size_of;
	stream->user = options->user;
	stream->clock = options->clock;
	stream->observer = options->observer;
}

static void begin(struct sonde__stream *stream)
{
	stream->begun_ns = sonde__now_ns(stream->clock);
	stream->progress_at_ns = sonde__moment_after(stream->begun_ns, stream->progress_ns);
	/* Acquire, A1, partner R1. */
	stream->telemetry = atomic_load_explicit(&installed, memory_order_acquire);
	if (stream->telemetry)
		stream->telemetry->begin(stream->room, stream->name);
}

int sonde_stream_init(struct sonde_stream *public, const struct sonde_stream_options *options)
{
	static const struct sonde_stream_options defaults;
	const struct sonde_stream_options *given = options ? options : &defaults;
	const struct sonde_queue_options queue_options = {
		.name = given->name,
		.capacity = given->capacity ? given->capacity : DEFAULT_CAPACITY,
		.slots = given->slots,
		.slow_ms = UINT64_MAX, /* The stream tells of waits itself. */
		.clock = given->clock,
		.observer = given->observer,
	};
	struct sonde__stream *stream = sonde__stream_of(public);
	int status;

	if (!public)
		return SONDE_E_INVALID;
	memset(stream, 0, sizeof(*stream));
	status = sonde_queue_init(&stream->queue, &queue_options);
	if (status < 0)
		return status;
	(void)sonde_cancel_init(&stream->left, /* parent= */ NULL);
	pthread_mutex_init(&stream->lock, /* attributes= */ NULL);
	options_take(stream, given);
	stream->is_open = true;
	begin(stream);
	return SONDE_OK;
}

void sonde_stream_deinit(struct sonde_stream *public)
{
	struct sonde__stream *stream = sonde__stream_of(public);

	if (!public || !stream->is_open)
		return;
	sonde_stream_leave(public);
	if (stream->has_thread)
		pthread_join(stream->thread, /* value= */ NULL);
	/* Relaxed: nobody else is there any more. */
	sonde_error_free(atomic_load_explicit(&stream->last_error, memory_order_relaxed));
	sonde_queue_deinit(&stream->queue);
	sonde_cancel_deinit(&stream->left);
	pthread_mutex_destroy(&stream->lock);
	stream->is_open = false;
}

/* ---- The producer's thread ------------------------------------------------------------------- */

void sonde_stream_produce(struct sonde_stream *stream, sonde_producer_fn *producer, void *argument)
{
	sonde_stream_end(stream, producer(stream, argument));
}

static void *thread_main(void *user)
{
	struct sonde__stream *stream = user;

	(void)sonde_context_attach(&stream->context);
	sonde_stream_produce(user, stream->producer, stream->argument);
	return NULL;
}

static bool thread_claim(struct sonde__stream *stream)
{
	bool is_mine;

	pthread_mutex_lock(&stream->lock);
	is_mine = !stream->has_thread;
	stream->has_thread = true;
	pthread_mutex_unlock(&stream->lock);
	return is_mine;
}

int sonde_stream_start(struct sonde_stream *public, sonde_producer_fn *producer, void *argument)
{
	struct sonde__stream *stream = sonde__stream_of(public);
	int status;

	if (!public || !producer)
		return SONDE_E_INVALID;
	if (!thread_claim(stream))
		return SONDE_E_EXISTS;
	stream->producer = producer;
	stream->argument = argument;
	stream->context = sonde_context_current();
	status = sonde__thread_start(&stream->thread, thread_main, public, /* stack_size= */ 0,
				     "sonde-stream");
	if (status == SONDE_OK)
		return SONDE_OK;
	pthread_mutex_lock(&stream->lock);
	stream->has_thread = false;
	pthread_mutex_unlock(&stream->lock);
	return status;
}

/* ---- Pushing --------------------------------------------------------------------------------- */

/* The item is there: what went wrong before it no longer holds it up. */
static void last_error_forget(struct sonde__stream *stream)
{
	/* Relaxed: a look, which may come late; the exchange is what counts. */
	if (SONDE__UNLIKELY(atomic_load_explicit(&stream->last_error, memory_order_relaxed)))
		sonde_stream_report((struct sonde_stream *)stream, /* error= */ NULL);
}

static SONDE__COLD struct sonde_error *push_error(struct sonde__stream *stream,
						  enum sonde__queue_end end,
						  const struct sonde_cancel *cancel)
{
	const struct sonde__name name = sonde__name_of(stream->name);

	if (end == SONDE__QUEUE_CANCELLED)
		return sonde_cancel_error(cancel);
	if (end == SONDE__QUEUE_CLOSED)
		return sonde_error_raise(&sonde_closed, "stream%s%s: %s", name.space, name.text,
					 sonde_cancel_is_fired(&stream->left) ?
						 "the consumer has left" :
						 "it has ended");
	return sonde_error_raise(&sonde_timeout, "stream%s%s: no space before the deadline",
				 name.space, name.text);
}

static SONDE__COLD enum sonde__queue_end push_slowly(struct sonde__stream *stream, void *item,
						     struct sonde_cancel *cancel)
{
	const uint64_t begun_ns = sonde__now_ns(stream->clock);
	const uint64_t until_ns = sonde__wait_end(begun_ns, SONDE__NEVER);
	enum sonde__queue_end end =
		sonde__queue_push_until(&stream->queue, item, until_ns, cancel);
	const uint64_t waited_ns = sonde__now_ns(stream->clock) - begun_ns;

	if (end == SONDE__QUEUE_DONE && waited_ns >= stream->slow_ns)
		sonde__stream_tell(stream, &(struct sonde_observation){
						   .what = SONDE_OBSERVED_WAIT,
						   .duration_ns = waited_ns,
					   });
	return end;
}

struct sonde_error *sonde_stream_push(struct sonde_stream *public, void *item,
				      struct sonde_cancel *cancel)
{
	struct sonde__stream *stream = sonde__stream_of(public);
	enum sonde__queue_end end;

	if (!public || !item)
		return sonde_error_raise(&sonde_internal, "there is no %s to push",
					 public ? "item" : "stream");
	end = sonde__queue_push_until(&stream->queue, item, /* until_ns= */ 0, cancel);
	if (SONDE__UNLIKELY(end == SONDE__QUEUE_FULL))
		end = push_slowly(stream, item, cancel);
	if (SONDE__UNLIKELY(end != SONDE__QUEUE_DONE))
		return push_error(stream, end, cancel);
	last_error_forget(stream);
	return NULL;
}

int sonde_stream_try_push(struct sonde_stream *public, void *item)
{
	struct sonde__stream *stream = sonde__stream_of(public);
	enum sonde__queue_end end;

	if (!public || !item)
		return SONDE_E_INVALID;
	end = sonde__queue_push_until(&stream->queue, item, /* until_ns= */ 0, /* cancel= */ NULL);
	if (end != SONDE__QUEUE_DONE)
		return end == SONDE__QUEUE_CLOSED ? SONDE_E_CLOSED : SONDE_E_LIMITED;
	last_error_forget(stream);
	return SONDE_OK;
}

/* ---- What the producer says ------------------------------------------------------------------ */

void sonde_stream_report(struct sonde_stream *public, struct sonde_error *error)
{
	if (!public) {
		sonde_error_free(error);
		return;
	}
	/* R2, partner A2 where it is taken out; and A2 for the one that it replaces. */
	sonde_error_free(atomic_exchange_explicit(&sonde__stream_of(public)->last_error, error,
						  memory_order_acq_rel));
}

/* It only says that nobody wanted the items. */
static bool is_of_leaving(const struct sonde_error *error)
{
	return !sonde_error_joined(error, 0) && (sonde_error_is(error, &sonde_closed) ||
						 sonde_error_is(error, &sonde_cancelled));
}

/* Frees it, and tells of it. */
static void orphan(struct sonde__stream *stream, struct sonde_error *error)
{
	if (error && !is_of_leaving(error))
		sonde__stream_tell(stream, &(struct sonde_observation){
						   .what = SONDE_OBSERVED_ORPHAN,
						   .error = error,
					   });
	sonde_error_free(error);
}

void sonde_stream_end(struct sonde_stream *public, struct sonde_error *error)
{
	struct sonde__stream *stream = sonde__stream_of(public);

	if (!public) {
		sonde_error_free(error);
		return;
	}
	pthread_mutex_lock(&stream->lock);
	if (!stream->has_left) {
		stream->error = sonde_error_join(stream->error, error);
		error = NULL;
	}
	pthread_mutex_unlock(&stream->lock);
	sonde_queue_close(&stream->queue);
	orphan(stream, error);
}

struct sonde_cancel *sonde_stream_cancel(struct sonde_stream *public)
{
	return public ? &sonde__stream_of(public)->left : NULL;
}

/* ---- Leaving --------------------------------------------------------------------------------- */

static void release_all(struct sonde__stream *stream)
{
	uint64_t n = 0;
	void *item;

	while (sonde__queue_pop_until(&stream->queue, /* until_ns= */ 0, /* cancel= */ NULL,
				      &item) == SONDE__QUEUE_DONE) {
		if (stream->release)
			stream->release(stream->user, item);
		n++;
	}
	if (n)
		sonde__stream_tell(stream, &(struct sonde_observation){
						   .what = SONDE_OBSERVED_DROP,
						   .count = n,
					   });
}

void sonde_stream_leave(struct sonde_stream *public)
{
	struct sonde__stream *stream = sonde__stream_of(public);
	struct sonde_error *error;
	bool is_first;

	if (!public)
		return;
	pthread_mutex_lock(&stream->lock);
	is_first = !stream->has_left;
	stream->has_left = true;
	error = stream->error;
	stream->error = NULL;
	pthread_mutex_unlock(&stream->lock);
	if (!is_first)
		return;
	sonde_cancel_fire(&stream->left, "the consumer has left");
	sonde_queue_close(&stream->queue);
	release_all(stream);
	sonde__stream_finish(stream, "left", error);
	orphan(stream, error);
}
