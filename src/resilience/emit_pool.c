/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Handlers side by side. Each is picked as by an emit, so that its subscription stays, is given to
 * the pool, and let go when it has run. Who waits for them has what they need in its stack, for so
 * many at once; who does not, on the heap.
 *
 * A handler on a pool's thread has a frame of its own, as an emit has: it, too, must not wait for
 * others.
 */

#include <stdlib.h>

#include <sonde/context.h>

#include "resilience/clock.h"
#include "resilience/emitter.h"

#define AT_ONCE 16

/* A handler that a pool is to run. */
struct job {
	struct sonde__emitter *emitter;
	struct sonde__emitter_entry *entry;
	struct sonde_event event;
	struct sonde_future future; /* Of who waits. */
	bool is_submitted;
};

static struct sonde_error *job_run(struct job *job)
{
	struct sonde__emitter *emitter = job->emitter;
	struct sonde__emit_frame frame;
	struct sonde_error *error;

	pthread_mutex_lock(&emitter->lock);
	sonde__emit_frame_push(emitter, &frame, /* is_emit= */ false);
	pthread_mutex_unlock(&emitter->lock);
	error = sonde__emit_handler_run(emitter, &job->entry->what, &job->event);
	pthread_mutex_lock(&emitter->lock);
	sonde__emit_frame_pop(emitter, &frame);
	pthread_mutex_unlock(&emitter->lock);
	return error;
}

/* ---- Waiting for all ------------------------------------------------------------------------- */

static struct sonde_error *job_task(void *argument, struct sonde_cancel *cancel, void **ret_result)
{
	(void)cancel;
	(void)ret_result;
	return job_run(argument);
}

/*
 * Until it has ended, whatever the deadline: it works in this stack. What its own deadline makes of
 * it is its outcome.
 */
static struct sonde_error *job_wait(struct job *job)
{
	struct sonde_context timeless = sonde_context_current();
	struct sonde_context previous;
	struct sonde_error *error;

	timeless.extension[SONDE__EXTENSION_DEADLINE] = 0;
	previous = sonde_context_attach(&timeless);
	error = sonde_future_wait(&job->future, UINT64_MAX, /* cancel= */ NULL,
				  /* ret_result= */ NULL);
	sonde_context_attach(&previous);
	sonde_future_deinit(&job->future);
	return error;
}

static struct sonde_error *jobs_run(struct job *jobs, size_t n_jobs, struct sonde_pool *pool,
				    struct sonde_error *all)
{
	for (size_t i = 0; i < n_jobs; i++)
		jobs[i].is_submitted = sonde_pool_try_submit(pool, job_task, &jobs[i],
							     /* options= */ NULL,
							     &jobs[i].future) == SONDE_OK;
	for (size_t i = 0; i < n_jobs; i++) {
		struct sonde_error *error = jobs[i].is_submitted ? job_wait(&jobs[i]) :
								   job_run(&jobs[i]);

		if (error)
			all = sonde_error_join(all, error);
	}
	return all;
}

/* Picks the next ones, from *at on, and moves it to the last of them. Under the lock. */
static size_t jobs_pick(struct sonde__emitter *emitter, const struct sonde_event *event,
			uint64_t hash, uint64_t sequence, struct sonde__emitter_entry *at,
			struct job jobs[AT_ONCE])
{
	size_t n = 0;

	at = sonde__subscription_find(at, event, hash, sequence);
	while (at && n < AT_ONCE) {
		sonde__subscription_pick(emitter, at);
		jobs[n++] = (struct job){ .emitter = emitter, .entry = at, .event = *event };
		at = sonde__subscription_find(at->next, event, hash, sequence);
	}
	return n;
}

/* Under the lock, which it gives up. The last one holds the place until all others are gone. */
static struct sonde_error *emit_on(struct sonde__emitter *emitter, const struct sonde_event *event,
				   uint64_t hash, struct sonde_pool *pool)
{
	struct sonde__emitter_entry *at = emitter->first;
	uint64_t sequence = emitter->sequence;
	struct sonde_error *all = NULL;
	struct job jobs[AT_ONCE];
	size_t n;

	while ((n = jobs_pick(emitter, event, hash, sequence, at, jobs)) > 0) {
		pthread_mutex_unlock(&emitter->lock);
		all = jobs_run(jobs, n, pool, all);
		pthread_mutex_lock(&emitter->lock);
		for (size_t i = 0; i < n; i++)
			at = sonde__subscription_let_go(emitter, jobs[i].entry);
	}
	return all;
}

struct sonde_error *sonde_emitter_emit_on(struct sonde_emitter *public,
					  const struct sonde_event *event, struct sonde_pool *pool)
{
	struct sonde__emitter *emitter = sonde__emitter_of(public);
	struct sonde__emit_frame frame;
	struct sonde_error *error = NULL;
	uint64_t hash;

	if (!public || !event)
		return NULL;
	hash = sonde__event_hash(event->name, event->number);
	if (!sonde__event_is_wanted(emitter, hash) ||
	    !sonde__emit_begin(emitter, event, &frame, &error))
		return error;
	error = emit_on(emitter, event, hash, pool);
	sonde__emit_frame_pop(emitter, &frame);
	pthread_mutex_unlock(&emitter->lock);
	return error;
}

/* ---- Waiting for none ------------------------------------------------------------------------ */

/* Under the lock: it has run, or never will. */
static void posted_let_go(struct job *job)
{
	sonde__subscription_let_go(job->emitter, job->entry);
}

static void posted_discard(void *argument)
{
	struct job *job = argument;
	struct sonde__emitter *emitter = job->emitter;

	pthread_mutex_lock(&emitter->lock);
	posted_let_go(job);
	pthread_mutex_unlock(&emitter->lock);
	free(job);
}

static struct sonde_error *posted_task(void *argument, struct sonde_cancel *cancel,
				       void **ret_result)
{
	struct job *job = argument;
	struct sonde__emitter *emitter = job->emitter;
	bool is_left;

	(void)cancel;
	(void)ret_result;
	pthread_mutex_lock(&emitter->lock);
	is_left = job->entry->is_left;
	pthread_mutex_unlock(&emitter->lock);
	if (!is_left)
		sonde__emit_orphan(emitter, job_run(job));
	posted_discard(job);
	return NULL;
}

/* Of a subscription that is picked. Without the lock. */
static void post(struct sonde__emitter *emitter, struct sonde__emitter_entry *entry,
		 const struct sonde_event *event, struct sonde_pool *pool)
{
	static const struct sonde_task_options options = { .discard = posted_discard };
	struct job here = { .emitter = emitter, .entry = entry, .event = *event };
	struct job *job = malloc(sizeof(*job));

	if (job) {
		*job = here;
		if (sonde_pool_try_submit(pool, posted_task, job, &options, /* future= */ NULL) ==
		    SONDE_OK)
			return;
		free(job);
	}
	sonde__emit_orphan(emitter, job_run(&here));
	pthread_mutex_lock(&emitter->lock);
	posted_let_go(&here);
	pthread_mutex_unlock(&emitter->lock);
}

/* Under the lock, which it gives up. */
static size_t post_all(struct sonde__emitter *emitter, const struct sonde_event *event,
		       uint64_t hash, struct sonde_pool *pool)
{
	uint64_t sequence = emitter->sequence;
	struct sonde__emitter_entry *entry =
		sonde__subscription_find(emitter->first, event, hash, sequence);
	size_t n = 0;

	while (entry) {
		sonde__subscription_pick(emitter, entry);
		/* Ours as well, so that it stays where it is. */
		entry->n_running++;
		pthread_mutex_unlock(&emitter->lock);
		post(emitter, entry, event, pool);
		pthread_mutex_lock(&emitter->lock);
		entry = sonde__subscription_find(sonde__subscription_let_go(emitter, entry), event,
						 hash, sequence);
		n++;
	}
	return n;
}

size_t sonde_emitter_post(struct sonde_emitter *public, const struct sonde_event *event,
			  struct sonde_pool *pool)
{
	struct sonde__emitter *emitter = sonde__emitter_of(public);
	struct sonde__emit_frame frame;
	struct sonde_error *error;
	uint64_t hash;
	size_t n;

	if (!public || !event)
		return 0;
	hash = sonde__event_hash(event->name, event->number);
	if (!sonde__event_is_wanted(emitter, hash))
		return 0;
	if (!sonde__emit_begin(emitter, event, &frame, &error)) {
		sonde__emit_orphan(emitter, error);
		return 0;
	}
	n = post_all(emitter, event, hash, pool);
	sonde__emit_frame_pop(emitter, &frame);
	pthread_mutex_unlock(&emitter->lock);
	return n;
}
