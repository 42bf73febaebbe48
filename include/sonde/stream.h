/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_STREAM_H
#define SONDE_STREAM_H

/*
 * Items one by one from who makes them to who asks for them, with room for a few in between: who
 * makes them waits while that is full. What other languages call an async generator.
 *
 *	static struct sonde_error *read_rows(struct sonde_stream *stream, void *query)
 *	{
 *		struct row *row;
 *		…	while ((row = row_fetch(query))) {
 *				error = sonde_stream_push(stream, row, NULL);
 *				if (error)
 *					…the consumer has left: free the row, return error
 *			}
 *		return NULL; …or what went wrong: the consumer gets it after the last row
 *	}
 *
 *	sonde_stream_init(&stream, NULL);
 *	sonde_stream_start(&stream, read_rows, query);
 *	while (!(error = sonde_stream_next(&stream, NULL, &item)) && item)
 *		…
 *	sonde_stream_deinit(&stream);
 *
 * The producer is a thread of the stream's own (sonde_stream_start), a task of a pool that calls
 * sonde_stream_produce, or whatever calls push and in the end sonde_stream_end; several threads may
 * push. One thread at a time pulls. With an agent each stream is one span, of the context in which
 * it was made, with its progress, its items and its bytes; of each it is told how long it took and
 * how many items it had.
 *
 * Calls take a lock for a moment; the try forms never wait for space or items. None is
 * async-signal-safe. A stream is of the process that made it.
 */

#include <sonde/cancel.h>
#include <sonde/queue.h>
#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

/* Caller's memory; nothing in it is to be read. */
struct sonde_stream {
	uint64_t opaque[192];
};

struct sonde_stream_options {
	const char *name; /* For telemetry; default "". */
	size_t capacity; /* Items between producer and consumer, at most 2^24; default 16. */
	/* Room for `capacity` items, of the caller. Default: allocated by init. */
	void **slots;
	/* The longest that a pull waits for an item; default and UINT64_MAX: no limit. */
	uint64_t item_timeout_ms;
	/* Is given each item that nobody will pull, without locks. Default: only counted. */
	void (*release)(void *user, void *item);
	/* Bytes of an item, for telemetry. Called by the pull, without locks. Default: none. */
	uint64_t (*size_of)(void *user, const void *item);
	void *user; /* Of both. */
	/* A push that waited as long is told to the observer. Default 10; UINT64_MAX: none. */
	uint64_t slow_ms;
	/* The span is told of progress after this, then each time twice as long. Default 1000. */
	uint64_t progress_ms;
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
};

/* NULL: all is said; else the error, which the stream owns from then on. */
typedef struct sonde_error *sonde_producer_fn(struct sonde_stream *stream, void *argument);

/* ---- Life ------------------------------------------------------------------------------------ */

/*
 * `options` may be NULL; they are copied. SONDE_E_INVALID: no stream, or a capacity that is none.
 * SONDE_E_NOMEM.
 */
SONDE_API int sonde_stream_init(struct sonde_stream *stream,
				const struct sonde_stream_options *options);

/*
 * Leaves, if nobody has, and waits for the stream's own thread to return. Nobody else uses it any
 * more. Harmless for NULL, for one that is all zero, and the second time.
 */
SONDE_API void sonde_stream_deinit(struct sonde_stream *stream);

/* ---- The producer ---------------------------------------------------------------------------- */

/*
 * Runs `producer` on a thread of the stream's own, in the context that is current here; the stream
 * ends with what it returns. SONDE_E_EXISTS: it has one already. SONDE_E_SYSTEM: no thread.
 */
SONDE_API int sonde_stream_start(struct sonde_stream *stream, sonde_producer_fn *producer,
				 void *argument);

/* The same on the calling thread: for a task of a pool. */
SONDE_API void sonde_stream_produce(struct sonde_stream *stream, sonde_producer_fn *producer,
				    void *argument);

/*
 * Waits for space, until the deadline of the current context. `item` is not NULL. It stays the
 * caller's on failure: sonde_closed: the consumer has left, or the stream has ended; sonde_timeout;
 * sonde_cancelled: `cancel`, which may be NULL, was fired.
 */
SONDE_API struct sonde_error *sonde_stream_push(struct sonde_stream *stream, void *item,
						struct sonde_cancel *cancel)
	__attribute__((warn_unused_result));

/* SONDE_E_LIMITED: no space. SONDE_E_CLOSED: as above. SONDE_E_INVALID: no item. Never waits. */
SONDE_API int sonde_stream_try_push(struct sonde_stream *stream, void *item);

/*
 * Something went wrong and is tried again: should the consumer wait too long for the next item,
 * this is why. Owns the error. The last one counts, until an item is pushed.
 */
SONDE_API void sonde_stream_report(struct sonde_stream *stream, struct sonde_error *error);

/*
 * There is no more; owns `error`, NULL when all is well, which the consumer is given after the last
 * item. Errors of several ends are joined. Where the consumer has left, an error other than
 * sonde_closed and sonde_cancelled is told to the observer as an orphan.
 */
SONDE_API void sonde_stream_end(struct sonde_stream *stream, struct sonde_error *error);

/* Is fired when the consumer leaves: for whatever else the producer waits for. */
SONDE_API struct sonde_cancel *sonde_stream_cancel(struct sonde_stream *stream);

/* ---- The consumer ---------------------------------------------------------------------------- */

/*
 * The next item; *ret_item is NULL at the end. Waits at most for the item's time and until the
 * deadline of the current context: sonde_timeout, whose cause is what the producer reported last;
 * the stream goes on, and may be asked again. sonde_cancelled. Or the producer's error, after all
 * items, once; from then on it is the end.
 */
SONDE_API struct sonde_error *sonde_stream_next(struct sonde_stream *stream,
						struct sonde_cancel *cancel, void **ret_item)
	__attribute__((warn_unused_result));

/*
 * Up to `capacity` items: waits for the first as above, then for more until `limit_ms` after it
 * (UINT64_MAX: until the chunk is full or the stream ends; 0: takes what is there). *ret_n is 0 at
 * the end. What ends the wait for more comes with the next call.
 */
SONDE_API struct sonde_error *sonde_stream_next_chunk(struct sonde_stream *stream, void **items,
						      size_t capacity, uint64_t limit_ms,
						      struct sonde_cancel *cancel, size_t *ret_n)
	__attribute__((warn_unused_result));

/*
 * SONDE_E_NOT_FOUND: none yet. SONDE_E_CLOSED: the end, see sonde_stream_error. *ret_item is
 * untouched then. Never waits.
 */
SONDE_API int sonde_stream_try_next(struct sonde_stream *stream, void **ret_item);

/* The producer's error, for the caller to own, once; NULL: there is none, or not yet. */
SONDE_API struct sonde_error *sonde_stream_error(struct sonde_stream *stream)
	__attribute__((warn_unused_result));

/*
 * No more is wanted: fires the producer's token, fails its pushes and releases what is left.
 * Harmless the second time, and after the end.
 */
SONDE_API void sonde_stream_leave(struct sonde_stream *stream);

/* As sonde_queue_fd: readable while sonde_stream_try_next would not say SONDE_E_NOT_FOUND. */
SONDE_API int sonde_stream_fd(struct sonde_stream *stream);

/* Ends at the end of the block: SONDE_STREAM_AUTODEINIT struct sonde_stream stream; */
#define SONDE_STREAM_AUTODEINIT SONDE_CLEANUP(sonde_stream_deinit)

SONDE_END_DECLS

#endif
