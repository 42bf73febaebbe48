/* SPDX-License-Identifier: Apache-2.0 */
#include "admits.h"

#include <stdio.h>
#include <stdlib.h>

#include <sonde/breaker.h>
#include <sonde/bulkhead.h>
#include <sonde/deadline.h>
#include <sonde/emitter.h>
#include <sonde/limiter.h>
#include <sonde/lock.h>
#include <sonde/queue.h>
#include <sonde/retry.h>
#include <sonde/watchdog.h>

/* What one needs as the floor beside it: a short record. */
#define BYTES 128
#define MANY UINT32_MAX

static struct sonde_retry retry;
static struct sonde_breaker breaker;
static struct sonde_bulkhead bulkhead;
static struct sonde_limiter limiter;
static struct sonde_queue queue;
static struct sonde_mutex mutex;
static struct sonde_watchdog watchdog;
static struct sonde_emitter emitter;

/* A measurement of what was turned away would be one of something else. */
static void require(bool is_so, const char *what)
{
	if (is_so)
		return;
	fprintf(stderr, "%s was not let in\n", what);
	exit(1);
}

static void retry_begin(size_t n)
{
	(void)n;
	require(sonde_retry_init(&retry, /* options= */ NULL) == SONDE_OK, "a retry");
}

static void retry_run(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct sonde_retry_call call;
		uint64_t delay_ns;

		sonde_retry_call_begin(&call, &retry);
		require(!sonde_retry_call_report(&call, /* error= */ NULL, SONDE_RETRY_NO_WISH,
						 &delay_ns) &&
				!sonde_retry_call_end(&call),
			"a call");
	}
}

static void retry_finish(void)
{
	sonde_retry_deinit(&retry);
}

static void breaker_begin(size_t n)
{
	(void)n;
	require(sonde_breaker_init(&breaker, /* options= */ NULL) == SONDE_OK, "a breaker");
}

static void breaker_rate_begin(size_t n)
{
	const struct sonde_breaker_options options = { .mode = SONDE_BREAKER_COUNT_WINDOW };

	(void)n;
	require(sonde_breaker_init(&breaker, &options) == SONDE_OK, "a breaker");
}

static void breaker_shared_begin(size_t n)
{
	const struct sonde_breaker_options options = { .shared = true };

	(void)n;
	require(sonde_breaker_init(&breaker, &options) == SONDE_OK, "a shared breaker");
}

static void breaker_run(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct sonde_breaker_ticket ticket;

		require(!sonde_breaker_try_acquire(&breaker, &ticket), "a call");
		sonde_breaker_report(&breaker, ticket, /* error= */ NULL);
	}
}

static void breaker_finish(void)
{
	sonde_breaker_deinit(&breaker);
}

static void bulkhead_begin(size_t n)
{
	(void)n;
	require(sonde_bulkhead_init(&bulkhead, /* options= */ NULL) == SONDE_OK, "a bulkhead");
}

static void bulkhead_shared_begin(size_t n)
{
	const struct sonde_bulkhead_options options = { .shared = true };

	(void)n;
	require(sonde_bulkhead_init(&bulkhead, &options) == SONDE_OK, "a shared bulkhead");
}

static void bulkhead_run(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		require(sonde_bulkhead_try_acquire(&bulkhead), "a call");
		sonde_bulkhead_release(&bulkhead);
	}
}

static void bulkhead_finish(void)
{
	sonde_bulkhead_deinit(&bulkhead);
}

static void limiter_begin(size_t n)
{
	const struct sonde_limiter_options options = { .permits = 1000000000, .burst = 1000000000 };

	(void)n;
	require(sonde_limiter_init(&limiter, &options) == SONDE_OK, "a limiter");
}

static void limiter_run(size_t n)
{
	for (size_t i = 0; i < n; i++)
		require(sonde_limiter_try_acquire(&limiter, /* key= */ NULL, 1, NULL), "a call");
}

static void limiter_key_run(size_t n)
{
	for (size_t i = 0; i < n; i++)
		require(sonde_limiter_try_acquire(&limiter, "192.0.2.17", 1, NULL), "a call");
}

static void limiter_finish(void)
{
	sonde_limiter_deinit(&limiter);
}

static void queue_begin(size_t n)
{
	(void)n;
	require(sonde_queue_init(&queue, /* options= */ NULL) == SONDE_OK, "a queue");
}

static void queue_run(size_t n)
{
	void *item = &queue;

	for (size_t i = 0; i < n; i++)
		require(sonde_queue_try_push(&queue, item) == SONDE_OK &&
				sonde_queue_try_pop(&queue, &item) == SONDE_OK,
			"an item");
}

static void queue_finish(void)
{
	sonde_queue_deinit(&queue);
}

static void lock_begin(size_t n)
{
	(void)n;
	require(sonde_mutex_init(&mutex, /* options= */ NULL) == SONDE_OK, "a mutex");
}

static void lock_run(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sonde_mutex_lock(&mutex);
		sonde_mutex_unlock(&mutex);
	}
}

static void lock_finish(void)
{
	sonde_mutex_deinit(&mutex);
}

static void feed_begin(size_t n)
{
	const struct sonde_watchdog_options options = { .is_without_thread = true };

	(void)n;
	require(sonde_watchdog_init(&watchdog, &options) == SONDE_OK, "a watchdog");
}

static void feed_run(size_t n)
{
	for (size_t i = 0; i < n; i++)
		sonde_watchdog_feed(&watchdog);
}

static void feed_finish(void)
{
	sonde_watchdog_deinit(&watchdog);
}

static struct sonde_error *handle(void *user, const struct sonde_event *event)
{
	(void)user;
	(void)event;
	return NULL;
}

/* Somebody is there, for another event. */
static void emit_begin(size_t n)
{
	const struct sonde_subscription other = { .event = "other", .handle = handle };

	(void)n;
	require(sonde_emitter_init(&emitter, /* options= */ NULL) == SONDE_OK &&
			sonde_emitter_subscribe(&emitter, &other, /* ret_id= */ NULL) == SONDE_OK,
		"an emitter");
}

static void emit_run(size_t n)
{
	const struct sonde_event event = { .name = "order placed" };

	for (size_t i = 0; i < n; i++)
		require(sonde_emitter_emit(&emitter, &event) == 0, "nobody");
}

static void emit_finish(void)
{
	sonde_emitter_deinit(&emitter);
}

static void deadline_run(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		SONDE_DEADLINE(1000);
	}
}

#define OPERATION(full, does, begin, finish) \
	{ \
		.name = full, .run = does, .enter = begin, .leave = finish, .bytes = BYTES \
	}
#define ADMIT(what) OPERATION("admit_" #what, what##_run, what##_begin, what##_finish)
#define CONTENDED(what) OPERATION("contended_" #what, what##_run, what##_begin, what##_finish)

const struct operation admits[] = {
	ADMIT(retry),
	ADMIT(breaker),
	OPERATION("admit_breaker_rate", breaker_run, breaker_rate_begin, breaker_finish),
	OPERATION("admit_breaker_shared", breaker_run, breaker_shared_begin, breaker_finish),
	ADMIT(bulkhead),
	OPERATION("admit_bulkhead_shared", bulkhead_run, bulkhead_shared_begin, bulkhead_finish),
	ADMIT(limiter),
	OPERATION("admit_limiter_key", limiter_key_run, limiter_begin, limiter_finish),
	ADMIT(queue),
	ADMIT(lock),
	ADMIT(feed),
	ADMIT(emit),
	OPERATION("admit_deadline", deadline_run, /* begin= */ NULL, /* finish= */ NULL),
};

const size_t n_admits = sizeof(admits) / sizeof(admits[0]);

const struct operation contended[] = {
	CONTENDED(breaker),
	OPERATION("contended_breaker_rate", breaker_run, breaker_rate_begin, breaker_finish),
	OPERATION("contended_breaker_shared", breaker_run, breaker_shared_begin, breaker_finish),
	CONTENDED(bulkhead),
	OPERATION("contended_bulkhead_shared", bulkhead_run, bulkhead_shared_begin, bulkhead_finish),
	CONTENDED(limiter),
	OPERATION("contended_limiter_key", limiter_key_run, limiter_begin, limiter_finish),
	CONTENDED(queue),
	CONTENDED(lock),
};

const size_t n_contended = sizeof(contended) / sizeof(contended[0]);
