/* SPDX-License-Identifier: Apache-2.0 */

/* Its life: memory, threads, flushing and stopping. */

#include "resilience/batcher.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "resilience/name.h"
#include "resilience/observe.h"

/* False: a number past its limit. */
static bool options_settle(struct sonde_batcher_options *options)
{
	if (!options->max_items)
		options->max_items = SONDE_BATCHER_ITEMS_DEFAULT;
	if (!options->max_keys)
		options->max_keys = SONDE_BATCHER_KEYS_DEFAULT;
	if (!options->delay_ms)
		options->delay_ms = SONDE_BATCHER_DELAY_MS_DEFAULT;
	if (!options->concurrency)
		options->concurrency = SONDE_BATCHER_CONCURRENCY_DEFAULT;
	if (!options->wait_ms)
		options->wait_ms = UINT64_MAX;
	if (options->max_items > SONDE_BATCHER_ITEMS_MAX)
		return false;
	if (!options->max_waiting) {
		uint32_t n = options->max_items * SONDE_BATCHER_WAITING_BATCHES_DEFAULT;

		options->max_waiting = n < SONDE_BATCHER_ITEMS_MAX ? n : SONDE_BATCHER_ITEMS_MAX;
	}
	return options->max_waiting <= SONDE_BATCHER_ITEMS_MAX &&
	       options->max_keys <= SONDE_BATCHER_ITEMS_MAX &&
	       options->concurrency <= SONDE_BATCHER_CONCURRENCY_MAX &&
	       (unsigned)options->policy <= SONDE_BATCHER_DROP_OLDEST;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void memory_free(struct sonde__batcher *batcher)
{
	for (size_t i = 0; batcher->slots && i < batcher->options.concurrency; i++) {
		free(batcher->slots[i].batch.items);
		free(batcher->slots[i].tickets);
		free(batcher->slots[i].is_asked);
	}
	free(batcher->slots);
	batcher->slots = NULL;
	free(batcher->threads);
	sonde__batching_deinit(&batcher->batching);
}

static int memory_take(struct sonde__batcher *batcher)
{
	const struct sonde_batcher_options *options = &batcher->options;
	size_t n = options->max_items < options->max_waiting ? options->max_items :
							       options->max_waiting;

	batcher->slots = calloc(options->concurrency, sizeof(*batcher->slots));
	batcher->threads = calloc(options->concurrency, sizeof(*batcher->threads));
	if (!batcher->slots || !batcher->threads)
		return SONDE_E_NOMEM;
	for (size_t i = 0; i < options->concurrency; i++) {
		struct sonde__batcher_slot *slot = &batcher->slots[i];

		slot->batcher = batcher;
		slot->batch.items = calloc(n, sizeof(*slot->batch.items));
		slot->tickets = calloc(n, sizeof(struct sonde__ticket *));
		slot->is_asked = calloc(n, sizeof(*slot->is_asked));
		if (!slot->batch.items || !slot->tickets || !slot->is_asked)
			return SONDE_E_NOMEM;
	}
	return sonde__batching_init(&batcher->batching, options);
}

/* ---- Threads --------------------------------------------------------------------------------- */

static bool is_finished(const struct sonde__batcher *batcher)
{
	return batcher->is_closed && !batcher->batching.n_waiting;
}

/* Under the lock, which it gives up. */
static void thread_rest(struct sonde__batcher *batcher)
{
	uint64_t due_ns = sonde__batcher_due_ns(batcher);
	struct sonde__waiter waiter;

	sonde__waiter_init(&waiter);
	sonde__waiters_push(&batcher->idle, &waiter);
	pthread_mutex_unlock(&batcher->lock);
	sonde__park(&waiter.parker, batcher->options.clock, due_ns, /* cancel= */ NULL);
	pthread_mutex_lock(&batcher->lock);
	if (!waiter.is_granted)
		sonde__waiters_remove(&batcher->idle, &waiter);
}

static void slot_handle(struct sonde__batcher_slot *slot)
{
	struct sonde__batcher *batcher = slot->batcher;

	sonde_batcher_report((struct sonde_batcher *)(void *)batcher, &slot->batch,
			     batcher->options.handle(batcher->options.user, &slot->batch));
}

static struct sonde_error *slot_task(void *argument, struct sonde_cancel *cancel, void **ret_result)
{
	(void)cancel;
	(void)ret_result;
	slot_handle(argument);
	return NULL;
}

/* The pool took it, and was stopped before its turn came. */
static void slot_discard(void *argument)
{
	struct sonde__batcher_slot *slot = argument;

	sonde_batcher_report((struct sonde_batcher *)(void *)slot->batcher, &slot->batch,
			     sonde_error_raise(&sonde_closed, "the pool did not run the batch"));
}

/* Here, where there is no pool, or it does not take it. */
static void slot_run(struct sonde__batcher_slot *slot)
{
	static const struct sonde_task_options options = { .discard = slot_discard };
	struct sonde_pool *pool = slot->batcher->options.pool;

	if (!pool || sonde_pool_try_submit(pool, slot_task, slot, &options, /* future= */ NULL) !=
			     SONDE_OK)
		slot_handle(slot);
}

static void *thread_main(void *argument)
{
	struct sonde__batcher *batcher = argument;

	pthread_mutex_lock(&batcher->lock);
	while (!is_finished(batcher)) {
		struct sonde__batcher_slot *slot = sonde__batcher_take_slot(batcher);

		if (!slot) {
			thread_rest(batcher);
			continue;
		}
		/* Somebody else looks after what comes next. */
		sonde__batcher_rouse(batcher);
		pthread_mutex_unlock(&batcher->lock);
		slot_run(slot);
		pthread_mutex_lock(&batcher->lock);
	}
	/* Those that rest are finished, too. */
	sonde__batcher_rouse(batcher);
	pthread_mutex_unlock(&batcher->lock);
	return NULL;
}

static int threads_start(struct sonde__batcher *batcher)
{
	sigset_t all;
	sigset_t previous;
	size_t n = batcher->options.pool ? 1 : batcher->options.concurrency;
	int error = 0;

	if (!batcher->options.handle)
		return SONDE_OK;
	/* The host's signals are handled by the host's threads. */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGTRAP);
	sigdelset(&all, SIGSYS);
	sigdelset(&all, SIGABRT);
	pthread_sigmask(SIG_SETMASK, &all, &previous);
	for (size_t i = 0; i < n && !error; i++) {
		error = pthread_create(&batcher->threads[i], NULL, thread_main, batcher);
		batcher->n_threads += !error;
	}
	pthread_sigmask(SIG_SETMASK, &previous, NULL);
	return error ? SONDE_E_SYSTEM : SONDE_OK;
}

/* ---- Beginning and ending -------------------------------------------------------------------- */

int sonde_batcher_init(struct sonde_batcher *public, const struct sonde_batcher_options *options)
{
	struct sonde__batcher *batcher = sonde__batcher_of(public);
	int status;

	if (!public)
		return SONDE_E_INVALID;
	memset(batcher, 0, sizeof(*batcher));
	if (options)
		batcher->options = *options;
	if (!options_settle(&batcher->options))
		return SONDE_E_INVALID;
	status = memory_take(batcher);
	if (status < 0) {
		memory_free(batcher);
		return status;
	}
	pthread_mutex_init(&batcher->lock, NULL);
	batcher->process = getpid();
	status = threads_start(batcher);
	if (status < 0)
		sonde_batcher_deinit(public);
	return status;
}

/* Withdraws all that waits; how many. */
static uint64_t cancel_waiting(struct sonde__batcher *batcher)
{
	uint64_t n = 0;

	pthread_mutex_lock(&batcher->lock);
	while (batcher->batching.oldest) {
		struct sonde__withdrawn item = sonde__batcher_withdraw(
			batcher, batcher->batching.oldest, &sonde_closed,
			"the batcher was stopped before it was handled");

		batcher->figures.n_cancelled++;
		n++;
		pthread_mutex_unlock(&batcher->lock);
		sonde__batcher_release(batcher, item.value, item.why);
		pthread_mutex_lock(&batcher->lock);
	}
	/* They are finished. */
	sonde__batcher_rouse(batcher);
	sonde__batcher_settle_stop(batcher);
	pthread_mutex_unlock(&batcher->lock);
	if (n)
		sonde__batcher_observe(batcher, SONDE_OBSERVED_DROP, /* duration_ns= */ 0, n,
				       /* error= */ NULL);
	return n;
}

void sonde_batcher_flush(struct sonde_batcher *public)
{
	struct sonde__batcher *batcher = sonde__batcher_of(public);

	if (!public)
		return;
	pthread_mutex_lock(&batcher->lock);
	sonde__batching_flush(&batcher->batching);
	sonde__batcher_rouse(batcher);
	pthread_mutex_unlock(&batcher->lock);
}

void sonde_batcher_close(struct sonde_batcher *public)
{
	struct sonde__batcher *batcher = sonde__batcher_of(public);

	if (!public)
		return;
	pthread_mutex_lock(&batcher->lock);
	batcher->is_closed = true;
	sonde__batching_flush(&batcher->batching);
	while (batcher->adders.first) {
		((struct sonde__adder *)(void *)batcher->adders.first)->is_refused = true;
		sonde__waiters_grant(&batcher->adders);
	}
	sonde__batcher_rouse(batcher);
	pthread_mutex_unlock(&batcher->lock);
}

/* ---- Stopping -------------------------------------------------------------------------------- */

void sonde__batcher_settle_stop(struct sonde__batcher *batcher)
{
	if (batcher->batching.n_waiting || batcher->n_slots_used)
		return;
	while (sonde__waiters_grant(&batcher->stoppers))
		;
}

/* Until all is handled. */
static enum sonde__woken stop_wait(struct sonde__batcher *batcher, uint64_t end_ns,
				   struct sonde_cancel *cancel)
{
	enum sonde__woken woken = SONDE__WOKEN;
	struct sonde__waiter waiter;

	sonde__waiter_init(&waiter);
	pthread_mutex_lock(&batcher->lock);
	if (batcher->batching.n_waiting || batcher->n_slots_used) {
		sonde__waiters_push(&batcher->stoppers, &waiter);
		pthread_mutex_unlock(&batcher->lock);
		woken = sonde__park(&waiter.parker, batcher->options.clock, end_ns, cancel);
		pthread_mutex_lock(&batcher->lock);
		if (waiter.is_granted)
			woken = SONDE__WOKEN;
		else
			sonde__waiters_remove(&batcher->stoppers, &waiter);
	}
	pthread_mutex_unlock(&batcher->lock);
	return woken;
}

struct sonde_error *sonde_batcher_stop(struct sonde_batcher *public, uint64_t timeout_ms,
				       struct sonde_cancel *cancel)
{
	struct sonde__batcher *batcher = sonde__batcher_of(public);
	struct sonde__name name;
	enum sonde__woken woken;
	uint64_t n_cancelled;
	uint64_t end_ns;

	if (!public)
		return NULL;
	sonde_batcher_close(public);
	end_ns = sonde__wait_end(sonde__batcher_now_ns(batcher), sonde__ms_to_ns(timeout_ms));
	woken = stop_wait(batcher, end_ns, cancel);
	if (woken == SONDE__WOKEN)
		return NULL;
	n_cancelled = cancel_waiting(batcher);
	name = sonde__name_of(batcher->options.name);
	if (woken == SONDE__WOKEN_CANCELLED)
		return sonde_error_wrap(sonde_cancel_error(cancel), &sonde_cancelled,
					"batcher%s%s was stopped with %llu items not handled",
					name.space, name.text, (unsigned long long)n_cancelled);
	return sonde_error_raise(&sonde_timeout,
				 "batcher%s%s was not done in time: %llu items not handled",
				 name.space, name.text, (unsigned long long)n_cancelled);
}

void sonde_batcher_deinit(struct sonde_batcher *public)
{
	struct sonde__batcher *batcher = sonde__batcher_of(public);

	if (!public || !batcher->slots)
		return;
	/* In a forked child there is nobody, and the lock may be held for ever. */
	if (batcher->process == getpid()) {
		sonde_batcher_close(public);
		cancel_waiting(batcher);
		for (size_t i = 0; i < batcher->n_threads; i++)
			pthread_join(batcher->threads[i], NULL);
		/* What a pool still has. */
		if (batcher->options.pool)
			stop_wait(batcher, SONDE__NEVER, /* cancel= */ NULL);
		pthread_mutex_destroy(&batcher->lock);
	}
	memory_free(batcher);
}

void sonde_batcher_figures(struct sonde_batcher *public, struct sonde_batcher_figures *ret)
{
	struct sonde__batcher *batcher = sonde__batcher_of(public);

	if (!public || !ret)
		return;
	pthread_mutex_lock(&batcher->lock);
	*ret = batcher->figures;
	ret->n_waiting = batcher->batching.n_waiting;
	pthread_mutex_unlock(&batcher->lock);
}
