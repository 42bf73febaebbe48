/* SPDX-License-Identifier: Apache-2.0 */
#include "resilience/pool.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "resilience/clock.h"
#include "resilience/observe.h"
#include "resilience/pool_core.h"

#define DEFAULT_CAPACITY 1024
#define CAPACITY_MAX (UINT32_C(1) << 20)
#define THREADS_MAX 4096
/* Beside what is queued and what runs: tasks that have ended while somebody fired their token. */
#define SPARE_SLOTS 16

_Static_assert(sizeof(struct sonde__pool) <= sizeof(struct sonde_pool), "a pool fits");
_Static_assert(sizeof(struct sonde__future) <= sizeof(struct sonde_future), "a future fits");

/* ---- Life ------------------------------------------------------------------------------------ */

static uint32_t default_threads(void)
{
	cpu_set_t cpus;
	long n_online;

	if (sched_getaffinity(/* pid= */ 0, sizeof(cpus), &cpus) == 0)
		return (uint32_t)CPU_COUNT(&cpus);
	n_online = sysconf(_SC_NPROCESSORS_ONLN);
	return n_online > 0 ? (uint32_t)n_online : 1;
}

static struct sonde__pool_core *core_new(const struct sonde_pool_options *options)
{
	struct sonde__pool_core *core = calloc(1, sizeof(*core));

	if (!core)
		return NULL;
	pthread_mutex_init(&core->lock, /* attributes= */ NULL);
	core->process = sonde__process_key();
	core->n_holders = 1;
	core->capacity = options->capacity ? options->capacity : DEFAULT_CAPACITY;
	core->policy = options->policy;
	core->stack_size = options->stack_size;
	atomic_init(&core->clock, options->clock);
	atomic_init(&core->observer, options->observer);
	core->has_no_threads = options->threads == SONDE_POOL_NO_THREADS;
	if (!core->has_no_threads)
		core->n_threads_wanted = options->threads ? options->threads : default_threads();
	if (options->name)
		strncpy(core->name, options->name, sizeof(core->name) - 1);
	return core;
}

static void core_free(struct sonde__pool_core *core)
{
	sonde__pool_slots_free(core);
	pthread_mutex_destroy(&core->lock);
	free(core);
}

void sonde__pool_core_release(struct sonde__pool_core *core)
{
	bool is_last = --core->n_holders == 0;

	sonde__pool_unlock(core);
	if (is_last)
		core_free(core);
}

static bool are_valid(const struct sonde_pool_options *options)
{
	return (options->threads <= THREADS_MAX || options->threads == SONDE_POOL_NO_THREADS) &&
	       options->capacity <= CAPACITY_MAX &&
	       (unsigned int)options->policy <= SONDE_QUEUE_DROP_OLDEST;
}

int sonde_pool_init(struct sonde_pool *public, const struct sonde_pool_options *options)
{
	static const struct sonde_pool_options defaults;
	const struct sonde_pool_options *given = options ? options : &defaults;
	struct sonde__pool *pool = (struct sonde__pool *)public;
	struct sonde__pool_core *core;
	int status;

	if (!public)
		return SONDE_E_INVALID;
	/* Nothing to end, where this fails. */
	pool->core = NULL;
	if (!are_valid(given))
		return SONDE_E_INVALID;
	status = sonde__process_init();
	if (status < 0)
		return status;
	core = core_new(given);
	if (!core)
		return SONDE_E_NOMEM;
	status = sonde__pool_slots_add(core, core->capacity + SPARE_SLOTS + SONDE__POOL_INLINE_MAX);
	if (status == SONDE_OK)
		status = sonde__pool_threads_start(core);
	pool->core = core;
	if (status < 0)
		sonde_pool_deinit(public);
	return status;
}

bool sonde__pool_core_is_foreign(const struct sonde__pool_core *core)
{
	return core->process != sonde__process_key();
}

struct sonde__pool_core *sonde__pool_core_of(const struct sonde_pool *public)
{
	const struct sonde__pool *pool = (const struct sonde__pool *)public;

	if (!pool || !pool->core || sonde__pool_core_is_foreign(pool->core))
		return NULL;
	return pool->core;
}

const struct sonde_clock *sonde__pool_clock(const struct sonde__pool_core *core)
{
	return atomic_load_explicit(&core->clock, memory_order_relaxed);
}

uint64_t sonde__pool_now(const struct sonde__pool_core *core)
{
	return sonde__now_ns(sonde__pool_clock(core));
}

int sonde_pool_resize(struct sonde_pool *pool, uint32_t threads)
{
	struct sonde__pool_core *core = sonde__pool_core_of(pool);
	int status;

	if (!core)
		return SONDE_E_CLOSED;
	if (threads > THREADS_MAX || core->has_no_threads)
		return SONDE_E_INVALID;
	sonde__pool_lock(core);
	if (core->is_closed) {
		sonde__pool_unlock(core);
		return SONDE_E_CLOSED;
	}
	core->n_threads_wanted = threads ? threads : default_threads();
	sonde__pool_threads_rouse(core);
	sonde__pool_unlock(core);
	status = sonde__pool_threads_start(core);
	sonde__pool_threads_join(core);
	return status;
}

void sonde__pool_tell(const struct sonde__pool_core *core, enum sonde_observed what,
		      uint64_t duration_ns, uint64_t count, const struct sonde_error *error)
{
	struct sonde_observation observation = {
		.pattern = SONDE_PATTERN_POOL,
		.what = what,
		.name = core->name,
		.duration_ns = duration_ns,
		.count = count,
		.error = error,
	};

	sonde__observe(atomic_load_explicit(&core->observer, memory_order_relaxed), &observation);
}

/* ---- Others ---------------------------------------------------------------------------------- */

bool sonde__pool_withdraw(struct sonde_pool *pool, struct sonde__pool_task *task,
			  struct sonde_error *error)
{
	struct sonde__pool_core *core = sonde__pool_core_of(pool);
	bool is_queued;

	if (!core)
		return false;
	sonde__pool_lock(core);
	is_queued = task->state == SONDE__POOL_QUEUED;
	if (is_queued) {
		sonde__pool_take_this(core, /* runner= */ NULL, task);
		sonde__pool_refuse(core, task, error, SONDE__POOL_CANCELLED);
	}
	sonde__pool_unlock(core);
	return is_queued;
}

bool sonde__pool_run_here(struct sonde_pool *pool, struct sonde__pool_task *task)
{
	struct sonde__pool_core *core = sonde__pool_core_of(pool);
	bool has_run;

	if (!core)
		return false;
	sonde__pool_lock(core);
	has_run = sonde__pool_turn(core, task);
	sonde__pool_unlock(core);
	return has_run;
}

bool sonde__pool_is_own_thread(struct sonde_pool *pool)
{
	struct sonde__pool_core *core = sonde__pool_core_of(pool);
	bool is_own;

	if (!core)
		return false;
	sonde__pool_lock(core);
	is_own = sonde__pool_own_runner(core) != NULL;
	sonde__pool_unlock(core);
	return is_own;
}

bool sonde_pool_turn(struct sonde_pool *pool)
{
	struct sonde__pool_core *core = sonde__pool_core_of(pool);
	bool has_run;

	if (!core)
		return false;
	sonde__pool_lock(core);
	has_run = sonde__pool_turn(core, /* task= */ NULL);
	sonde__pool_unlock(core);
	return has_run;
}

void sonde_pool_figures(struct sonde_pool *pool, struct sonde_pool_figures *ret)
{
	struct sonde__pool_core *core = sonde__pool_core_of(pool);

	if (!ret)
		return;
	memset(ret, 0, sizeof(*ret));
	if (!core)
		return;
	sonde__pool_lock(core);
	*ret = core->figures;
	ret->queued = core->n_queued;
	ret->running = core->n_running - core->n_ending;
	ret->threads = core->n_threads;
	ret->idle = core->idle.n_waiters;
	sonde__pool_unlock(core);
}
