/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One store for the process: a stack of batches, newest on top, pushed by compare-exchange and
 * taken whole by one exchange, so that nobody ever waits, and a child that was forked in the middle
 * of a push finds no lock held for ever. Nothing but a whole stack is taken, so a push can compare
 * addresses without harm.
 *
 *	R1	a push: the batch is written before it can be seen
 *	A1	a take: sees what the pushes wrote
 */

#include <sonde/memory.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sonde/exporter.h>

#include "json/json.h"

struct lines {
	struct lines *older;
	size_t size;
	char text[];
};

static struct lines *_Atomic newest;
static atomic_size_t n_held; /* Bytes; of those being pushed too, so never under what there is. */
static _Atomic uint64_t n_dropped;

/* Relaxed: a bound on memory, which orders nothing. */
static bool claim(size_t size)
{
	size_t held = atomic_load_explicit(&n_held, memory_order_relaxed);

	do {
		if (size > SONDE_MEMORY_SIZE - held)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&n_held, &held, held + size, memory_order_relaxed, memory_order_relaxed));
	return true;
}

static void give_back(size_t size)
{
	atomic_fetch_sub_explicit(&n_held, size, memory_order_relaxed);
}

static bool push(struct sonde_bytes body)
{
	struct lines *lines;

	if (!claim(body.size))
		return false;
	lines = malloc(sizeof(*lines) + body.size);
	if (!lines) {
		give_back(body.size);
		return false;
	}
	lines->size = body.size;
	memcpy(lines->text, body.data, body.size);
	lines->older = atomic_load_explicit(&newest, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&newest, &lines->older, lines,
						      memory_order_release, /* R1 pairs with A1. */
						      memory_order_relaxed))
		;
	return true;
}

/* All of them, the oldest first. */
static struct lines *take_all(void)
{
	struct lines *rest = atomic_exchange_explicit(&newest, NULL, memory_order_acquire); /* A1 */
	struct lines *oldest = NULL;

	while (rest) {
		struct lines *older = rest->older;

		rest->older = oldest;
		oldest = rest;
		rest = older;
	}
	return oldest;
}

static size_t size_of(const struct lines *lines)
{
	size_t size = 0;

	for (; lines; lines = lines->older)
		size += lines->size;
	return size;
}

/* Puts the text of `lines` into `text`, unless it is NULL, and frees them. */
static void use_up(struct lines *lines, char *text)
{
	while (lines) {
		struct lines *next = lines->older;

		if (text) {
			memcpy(text, lines->text, lines->size);
			text += lines->size;
		} else {
			atomic_fetch_add_explicit(&n_dropped, 1, memory_order_relaxed);
		}
		give_back(lines->size);
		free(lines);
		lines = next;
	}
}

SONDE_API char *sonde_memory_take(void)
{
	struct lines *lines = take_all();
	size_t size = size_of(lines);
	char *text = malloc(size + 1);

	if (text)
		text[size] = '\0';
	use_up(lines, text);
	return text;
}

SONDE_API uint64_t sonde_memory_dropped(void)
{
	return atomic_load_explicit(&n_dropped, memory_order_relaxed);
}

static int memory_open(const struct sonde_exporter_host *host, void **ret)
{
	(void)host;
	*ret = NULL;
	return SONDE_OK;
}

static bool memory_accepts(void *instance, enum sonde_signal signal)
{
	(void)instance;
	return signal == SONDE_SIGNAL_SPAN || signal == SONDE_SIGNAL_LOG ||
	       signal == SONDE_SIGNAL_METRIC;
}

static int memory_encode(void *instance, const struct sonde_batch *batch, struct sonde_buffer *out)
{
	(void)instance;
	return sonde__json_encode(batch, out);
}

static enum sonde_outcome memory_send(void *instance, const struct sonde_request *request,
				      struct sonde_result *ret)
{
	(void)instance;
	memset(ret, 0, sizeof(*ret));
	ret->outcome = SONDE_OUTCOME_ACCEPTED;
	ret->token = request->token;
	ret->retry_after_ms = -1;
	if (!push(request->body)) {
		atomic_fetch_add_explicit(&n_dropped, 1, memory_order_relaxed);
		ret->outcome = SONDE_OUTCOME_REFUSED;
		snprintf(ret->reason, sizeof(ret->reason),
			 "the memory exporter is full: nobody takes what it holds");
	}
	return ret->outcome;
}

/*
 * What a child inherited is the parent's. It stays allocated: an allocator may be in any state
 * here.
 */
static void memory_close(void *instance, bool forked)
{
	(void)instance;
	if (!forked)
		return;
	atomic_store_explicit(&newest, NULL, memory_order_relaxed);
	atomic_store_explicit(&n_held, 0, memory_order_relaxed);
}

const struct sonde_exporter sonde_memory_exporter = {
	.size = sizeof(struct sonde_exporter),
	.name = "memory",
	.open = memory_open,
	.accepts = memory_accepts,
	.encode = memory_encode,
	.send = memory_send,
	.close = memory_close,
};
