/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One store for the process: a buffer of whole lines under a mutex, which the background thread
 * holds while it appends a batch and a test while it takes the buffer away.
 */

#include <sonde/memory.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sonde/exporter.h>

#include "json/json.h"

static struct {
	pthread_mutex_t lock;
	struct sonde_buffer lines;
	uint64_t n_dropped;
} store = { .lock = PTHREAD_MUTEX_INITIALIZER, .lines = { .limit = SONDE_MEMORY_SIZE } };

/* Drops the oldest lines until `size` more bytes fit. */
static void make_room(size_t size)
{
	while (store.lines.size + size > store.lines.limit && store.lines.size) {
		uint8_t *end = memchr(store.lines.data, '\n', store.lines.size);
		size_t n = end ? (size_t)(end - store.lines.data) + 1 : store.lines.size;

		memmove(store.lines.data, store.lines.data + n, store.lines.size - n);
		store.lines.size -= n;
		store.n_dropped++;
	}
}

char *sonde_memory_take(void)
{
	char *text;

	pthread_mutex_lock(&store.lock);
	text = malloc(store.lines.size + 1);
	if (text) {
		if (store.lines.size)
			memcpy(text, store.lines.data, store.lines.size);
		text[store.lines.size] = '\0';
		store.lines.size = 0;
	}
	pthread_mutex_unlock(&store.lock);
	return text;
}

uint64_t sonde_memory_dropped(void)
{
	uint64_t n;

	pthread_mutex_lock(&store.lock);
	n = store.n_dropped;
	pthread_mutex_unlock(&store.lock);
	return n;
}

static int memory_open(const struct sonde_exporter_host *host, void **ret)
{
	(void)host;
	*ret = NULL;
	return SONDE_OK;
}

static int memory_encode(void *instance, const struct sonde_batch *batch, struct sonde_buffer *out)
{
	(void)instance;
	return sonde__json_encode(batch, out);
}

static enum sonde_outcome memory_send(void *instance, const struct sonde_request *request,
				      struct sonde_result *ret)
{
	int status;

	(void)instance;
	pthread_mutex_lock(&store.lock);
	make_room(request->body.size);
	status = sonde_buffer_append(&store.lines, request->body.data, request->body.size);
	pthread_mutex_unlock(&store.lock);
	memset(ret, 0, sizeof(*ret));
	ret->outcome = status < 0 ? SONDE_OUTCOME_REFUSED : SONDE_OUTCOME_ACCEPTED;
	ret->token = request->token;
	ret->retry_after_ms = -1;
	return ret->outcome;
}

static void memory_close(void *instance, bool forked)
{
	(void)instance;
	(void)forked;
}

const struct sonde_exporter sonde_memory_exporter = {
	.size = sizeof(struct sonde_exporter),
	.name = "memory",
	.open = memory_open,
	.encode = memory_encode,
	.send = memory_send,
	.close = memory_close,
};
