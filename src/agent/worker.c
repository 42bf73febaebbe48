/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's loop: take orders, turn the pipeline, rest.
 *
 * Orders (flush, stop) and answers are fields under `lock`; the worker holds it for a few
 * instructions only, so that whoever asks is not kept waiting by a delivery.
 */
#include "agent/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/observe.h"
#include "agent/opened.h"
#include "agent/privacy.h"
#include "agent/resource.h"
#include "agent/rest.h"
#include "base/bell.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/diagnostic.h"
#include "base/random.h"
#include "base/thread.h"
#include "box/box.h"
#include "capture/capture.h"
#include "pipeline/pipeline.h"
#include "stack/namer.h"

/* Not much of it is used, but by what symbol providers call. */
#define STACK_SIZE (1024 * 1024)
#define EXPIRY_MARGIN_MAX_NS (50 * SONDE__NS_PER_MS)

struct sonde__worker {
	const struct sonde__settings *settings;
	uint64_t dead_records[SONDE_SIGNAL_COUNT];
	struct sonde__redactor redactor; /* Worker only, once it runs. */
	struct sonde__resource resource;
	struct sonde__opened opened[SONDE__DESTINATIONS_MAX];
	size_t n_opened;
	pthread_t thread;
	uint64_t random_state; /* Worker only. */
	struct sonde__rest rest; /* Worker only. */

	/* Guards everything below; never held while anything is waited for. */
	pthread_mutex_t turn; /* Held in every call into the pipeline and the exporters. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* NULL before the child's thread made it, and after the end. */
	struct sonde__pipeline *pipeline;
	uint64_t flush_asked; /* Tickets. */
	uint64_t names_until_ns; /* While some are not answered, stacks wait for names so long. */
	uint64_t flush_begun;
	uint64_t flush_answered;
	bool flush_incomplete; /* Of the last answer. */
	bool stop_asked;
	bool has_ended;
	uint64_t stop_deadline_ns;
	/* Once ended. */
	struct sonde_account accounts[SONDE__DESTINATIONS_MAX][SONDE__SIGNAL_ROWS];
	struct sonde_repairs repairs;
	struct sonde_redactions redactions;
};

static double next_random(void *user)
{
	struct sonde__worker *worker = user;

	worker->random_state += UINT64_C(0x9e3779b97f4a7c15);
	return (double)(sonde__mix64(worker->random_state) >> 11) * 0x1p-53;
}

static uint64_t at_least_1ms(uint32_t ms)
{
	return (ms ? ms : 1) * SONDE__NS_PER_MS;
}

static void fill_options(struct sonde__worker *worker, struct sonde__pipeline_options *ret)
{
	const struct sonde__settings *settings = worker->settings;

	*ret = (struct sonde__pipeline_options){
		.n_destinations = worker->n_opened,
		.resource = worker->resource.view,
		.redactor = &worker->redactor,
		.audit = { settings->audit_path, settings->audit_limit_bytes,
			   sonde_file_exporter.encode },
		.before_send = settings->before_send,
		.before_send_user = settings->before_send_user,
		.limits = settings->limits,
		.counts_figures = settings->has_figures,
		.memory_limit_bytes = settings->memory_limit_bytes / 4 * 3 - settings->trails_size,
		.before_breadcrumb = settings->before_breadcrumb,
		.before_breadcrumb_user = settings->before_breadcrumb_user,
		.trail_losses = sonde__trail_losses,
		.names_apart = true,
		.span_delay_ns = at_least_1ms(settings->delay_ms[SONDE_SIGNAL_SPAN]),
		.log_delay_ns = at_least_1ms(settings->delay_ms[SONDE_SIGNAL_LOG]),
		.metric_interval_ns = at_least_1ms(settings->metric_interval_ms),
		.max_batch_bytes = settings->max_batch_bytes,
		.state_directory = settings->state_directory,
		.regression_days = settings->regression_days,
		.fingerprint = settings->fingerprint,
		.fingerprint_user = settings->fingerprint_user,
		.breaker_failures = settings->breaker_failures,
		.breaker_reset_ns = at_least_1ms(settings->breaker_reset_ms),
		.breaker_trials = settings->breaker_trials,
		.retry_initial_ns = at_least_1ms(settings->retry_initial_ms),
		.retry_max_ns = at_least_1ms(settings->retry_max_ms),
		.flood = settings->flood,
		.random = next_random,
		.random_user = worker,
	};
	memcpy(ret->dead_records, worker->dead_records, sizeof(ret->dead_records));
	for (int signal = 0; signal < SONDE__SIGNAL_ROWS; signal++)
		ret->export_timeout_ns[signal] = at_least_1ms(settings->export_timeout_ms[signal]);
	memcpy(ret->max_batch_items, settings->max_batch_items, sizeof(ret->max_batch_items));
	memcpy(ret->max_queue_items, settings->max_queue_items, sizeof(ret->max_queue_items));
	for (size_t i = 0; i < worker->n_opened; i++) {
		ret->destinations[i] = (struct sonde__pipeline_destination){
			.exporter = worker->opened[i].exporter,
			.instance = worker->opened[i].instance,
			.name = worker->opened[i].exporter->name,
			.takes_spans = worker->opened[i].takes_spans,
			.takes_logs = worker->opened[i].takes_logs,
			.takes_metrics = worker->opened[i].takes_metrics,
			.temporality = worker->opened[i].temporality,
		};
	}
}

/* Opens the destinations and makes the pipeline. On failure nothing is left open. */
static int open_pipeline(struct sonde__worker *worker)
{
	struct sonde__pipeline_options options;
	struct sonde__pipeline *pipeline;
	int status;

	status = sonde__privacy_init(&worker->redactor, worker->settings);
	if (status < 0)
		return status;
	sonde__resource_init(&worker->resource, worker->settings, &worker->redactor);
	worker->n_opened = sonde__destinations_open(worker->settings, worker->opened);
	if (!worker->n_opened)
		return SONDE_E_NOT_FOUND;
	fill_options(worker, &options);
	status = sonde__pipeline_new(&options, &pipeline);
	if (status < 0) {
		sonde__destinations_close(worker->opened, worker->n_opened, /* forked= */ false);
		worker->n_opened = 0;
		return status;
	}
	pthread_mutex_lock(&worker->lock);
	worker->pipeline = pipeline;
	pthread_mutex_unlock(&worker->lock);
	return SONDE_OK;
}

struct orders {
	bool begin_flush;
	bool stop;
	bool flush_is_running;
	uint64_t names_until_ns;
	uint64_t stop_deadline_ns;
};

static struct orders take_orders(struct sonde__worker *worker)
{
	struct orders orders;

	pthread_mutex_lock(&worker->lock);
	orders.begin_flush = worker->flush_begun == worker->flush_answered &&
			     worker->flush_asked > worker->flush_begun;
	if (orders.begin_flush)
		worker->flush_begun = worker->flush_asked;
	orders.flush_is_running = worker->flush_begun != worker->flush_answered;
	orders.stop = worker->stop_asked;
	orders.names_until_ns = worker->flush_asked > worker->flush_answered ?
					worker->names_until_ns :
					UINT64_MAX;
	orders.stop_deadline_ns = worker->stop_deadline_ns;
	pthread_mutex_unlock(&worker->lock);
	return orders;
}

/* True when no flush is running any more. */
static bool answer_flush(struct sonde__worker *worker)
{
	bool is_incomplete = false;

	if (!sonde__pipeline_flush_is_done(worker->pipeline, &is_incomplete))
		return false;
	pthread_mutex_lock(&worker->lock);
	worker->flush_answered = worker->flush_begun;
	worker->flush_incomplete = is_incomplete;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
	return true;
}

/* Turns until the stop: its flush is done, or its deadline is near. */
static void run(struct sonde__worker *worker)
{
	for (;;) {
		struct orders orders = take_orders(worker);
		uint64_t now_ns = sonde__monotonic_ns();
		uint64_t wait_ns;

		pthread_mutex_lock(&worker->turn);
		sonde__pipeline_name_until(worker->pipeline, orders.names_until_ns);
		if (orders.begin_flush && orders.stop)
			sonde__pipeline_finish_begin(worker->pipeline, now_ns);
		else if (orders.begin_flush)
			sonde__pipeline_flush_begin(worker->pipeline, now_ns);
		wait_ns = sonde__pipeline_turn(worker->pipeline, now_ns);
		pthread_mutex_unlock(&worker->turn);
		if (orders.flush_is_running && answer_flush(worker))
			continue;
		if (orders.stop && (!orders.flush_is_running || now_ns >= orders.stop_deadline_ns))
			return;
		if (orders.stop && orders.stop_deadline_ns - now_ns < wait_ns)
			wait_ns = orders.stop_deadline_ns - now_ns;
		sonde__rest(&worker->rest, worker->pipeline, &worker->turn, wait_ns);
	}
}

/* The last figures are kept, the pipeline goes. */
static void end(struct sonde__worker *worker)
{
	struct sonde__pipeline *pipeline = worker->pipeline;

	pthread_mutex_lock(&worker->turn);
	if (pipeline)
		sonde__pipeline_expire(pipeline);
	pthread_mutex_lock(&worker->lock);
	for (size_t i = 0; pipeline && i < worker->n_opened; i++) {
		for (int signal = 0; signal < SONDE__SIGNAL_ROWS; signal++)
			(void)sonde__pipeline_account(pipeline, i, (enum sonde_signal)signal,
						      &worker->accounts[i][signal]);
	}
	if (pipeline)
		sonde__pipeline_repairs(pipeline, &worker->repairs);
	if (pipeline)
		sonde__pipeline_redactions(pipeline, &worker->redactions);
	worker->pipeline = NULL;
	pthread_mutex_unlock(&worker->lock);

	sonde__pipeline_free(pipeline, /* forked= */ false);
	pthread_mutex_unlock(&worker->turn);

	pthread_mutex_lock(&worker->lock);
	if (worker->flush_answered != worker->flush_asked)
		worker->flush_incomplete = true;
	worker->flush_answered = worker->flush_asked;
	worker->has_ended = true;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
}

static void rouse(void)
{
	sonde__bell_ring(&sonde__box_bell);
}

static void *thread_main(void *argument)
{
	struct sonde__worker *worker = argument;

	sonde__observe_leave_out_thread();
	if (!worker->pipeline) {
		int status;

		pthread_mutex_lock(&worker->turn);
		status = open_pipeline(worker);
		pthread_mutex_unlock(&worker->turn);
		if (status < 0)
			sonde__report(SONDE_ERROR, "the forked process exports nothing: %s",
				      sonde_status_text(status));
	}
	sonde__namer_start(rouse);
	if (worker->pipeline)
		run(worker);
	sonde__namer_stop();
	end(worker);
	return NULL;
}

static void init_lock(struct sonde__worker *worker)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&worker->turn, /* attributes= */ NULL);
	pthread_mutex_init(&worker->lock, /* attributes= */ NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&worker->changed, &attributes);
	pthread_condattr_destroy(&attributes);
}

int sonde__worker_new(const struct sonde__settings *settings, const uint64_t *dead_records,
		      bool in_child, struct sonde__worker **ret)
{
	struct sonde__worker *worker = calloc(1, sizeof(*worker));
	int status = SONDE_OK;

	if (!worker)
		return SONDE_E_NOMEM;
	if (in_child)
		sonde__redact_count_anew();
	worker->settings = settings;
	memcpy(worker->dead_records, dead_records, sizeof(worker->dead_records));
	(void)sonde__random_bytes(&worker->random_state, sizeof(worker->random_state));
	init_lock(worker);
	if (!in_child)
		status = open_pipeline(worker);
	if (status == SONDE_OK) {
		status = sonde__thread_start(&worker->thread, thread_main, worker, STACK_SIZE,
					     "sonde");
		if (status < 0)
			worker->pipeline =
				sonde__pipeline_free(worker->pipeline, /* forked= */ false);
	}
	if (status < 0) {
		worker->has_ended = true;
		sonde__worker_free(worker);
		return status;
	}
	*ret = worker;
	return SONDE_OK;
}

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / SONDE__NS_PER_S),
				  .tv_nsec = (long)(ns % SONDE__NS_PER_S) };
}

/*
 * Waits, with the lock held, until `ticket` is answered or the worker ended; false at the deadline.
 */
static bool wait_for_answer(struct sonde__worker *worker, uint64_t ticket, uint64_t deadline_ns)
{
	struct timespec deadline = to_timespec(deadline_ns);

	while (worker->flush_answered < ticket) {
		if (pthread_cond_timedwait(&worker->changed, &worker->lock, &deadline) == ETIMEDOUT)
			return worker->flush_answered >= ticket;
	}
	return true;
}

/*
 * Half of the time is for stacks to be named, the rest for what they are in to be delivered. With
 * the lock held, before the flush is asked for.
 */
static void set_names_until(struct sonde__worker *worker, uint64_t deadline_ns)
{
	uint64_t now_ns = sonde__monotonic_ns();
	uint64_t until_ns = deadline_ns > now_ns ? now_ns + (deadline_ns - now_ns) / 2 : now_ns;

	if (worker->flush_asked == worker->flush_answered || until_ns < worker->names_until_ns)
		worker->names_until_ns = until_ns;
}

int sonde__worker_flush(struct sonde__worker *worker, uint64_t deadline_ns)
{
	uint64_t ticket;
	int status;

	pthread_mutex_lock(&worker->lock);
	set_names_until(worker, deadline_ns);
	ticket = ++worker->flush_asked;
	pthread_mutex_unlock(&worker->lock);
	sonde__bell_ring(&sonde__box_bell);

	pthread_mutex_lock(&worker->lock);
	status = wait_for_answer(worker, ticket, deadline_ns) && !worker->flush_incomplete ?
			 SONDE_OK :
			 SONDE_INCOMPLETE;
	pthread_mutex_unlock(&worker->lock);
	return status;
}

static uint64_t expiry(uint64_t now_ns, uint64_t deadline_ns)
{
	uint64_t margin_ns = deadline_ns > now_ns ? (deadline_ns - now_ns) / 4 : 0;

	return deadline_ns - (margin_ns < EXPIRY_MARGIN_MAX_NS ? margin_ns : EXPIRY_MARGIN_MAX_NS);
}

int sonde__worker_stop(struct sonde__worker *worker, uint64_t deadline_ns)
{
	struct timespec deadline = to_timespec(deadline_ns);
	bool is_incomplete;
	bool has_ended;

	pthread_mutex_lock(&worker->lock);
	set_names_until(worker, deadline_ns);
	worker->flush_asked++;
	worker->stop_asked = true;
	worker->stop_deadline_ns = expiry(sonde__monotonic_ns(), deadline_ns);
	pthread_mutex_unlock(&worker->lock);
	sonde__bell_ring(&sonde__box_bell);

	pthread_mutex_lock(&worker->lock);
	while (!worker->has_ended &&
	       pthread_cond_timedwait(&worker->changed, &worker->lock, &deadline) != ETIMEDOUT)
		;
	has_ended = worker->has_ended;
	is_incomplete = worker->flush_incomplete;
	pthread_mutex_unlock(&worker->lock);
	if (has_ended)
		pthread_join(worker->thread, /* value= */ NULL);
	else
		pthread_detach(worker->thread);
	return has_ended && !is_incomplete ? SONDE_OK : SONDE_INCOMPLETE;
}

bool sonde__worker_is_running_here(struct sonde__worker *worker)
{
	/* A thread that ended may have left its number to somebody else's. */
	return worker && !sonde__worker_has_ended(worker) &&
	       pthread_equal(pthread_self(), worker->thread);
}

bool sonde__worker_has_ended(struct sonde__worker *worker)
{
	bool has_ended;

	pthread_mutex_lock(&worker->lock);
	has_ended = worker->has_ended;
	pthread_mutex_unlock(&worker->lock);
	return has_ended;
}

struct sonde__worker *sonde__worker_free(struct sonde__worker *worker)
{
	if (!worker || !worker->has_ended)
		return NULL;
	pthread_cond_destroy(&worker->changed);
	pthread_mutex_destroy(&worker->lock);
	pthread_mutex_destroy(&worker->turn);
	sonde__redactor_deinit(&worker->redactor);
	free(worker);
	return NULL;
}

void sonde__worker_forsake(struct sonde__worker *worker)
{
	if (worker)
		sonde__destinations_close(worker->opened, worker->n_opened, /* forked= */ true);
}

bool sonde__worker_hold(struct sonde__worker *worker, const struct timespec *deadline)
{
	return !pthread_equal(pthread_self(), worker->thread) &&
	       pthread_mutex_timedlock(&worker->turn, deadline) == 0;
}

void sonde__worker_let(struct sonde__worker *worker)
{
	pthread_mutex_unlock(&worker->turn);
}

int sonde__worker_account(struct sonde__worker *worker, size_t destination,
			  enum sonde_signal signal, struct sonde_account *ret)
{
	int status = SONDE_E_NOT_FOUND;

	pthread_mutex_lock(&worker->lock);
	if (worker->pipeline) {
		status = sonde__pipeline_account(worker->pipeline, destination, signal, ret);
	} else if (destination < worker->n_opened) {
		*ret = worker->accounts[destination][signal];
		status = SONDE_OK;
	}
	pthread_mutex_unlock(&worker->lock);
	return status;
}

void sonde__worker_repairs(struct sonde__worker *worker, struct sonde_repairs *ret)
{
	pthread_mutex_lock(&worker->lock);
	if (worker->pipeline)
		sonde__pipeline_repairs(worker->pipeline, ret);
	else
		*ret = worker->repairs;
	pthread_mutex_unlock(&worker->lock);
}

void sonde__worker_redactions(struct sonde__worker *worker, struct sonde_redactions *ret)
{
	pthread_mutex_lock(&worker->lock);
	if (worker->pipeline)
		sonde__pipeline_redactions(worker->pipeline, ret);
	else
		*ret = worker->redactions;
	pthread_mutex_unlock(&worker->lock);
}
