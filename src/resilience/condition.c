/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue behind a guard. Who waits enters it while he holds the mutex, so that a signal that comes
 * after he has let it go finds him there. A signal takes the first out and is his, even where his
 * limit is over at the same moment: it is never lost with somebody who leaves.
 *
 * Whoever signalled may end the condition at once, as nobody waits any more; who was signalled may
 * not have run yet, and is counted until he has left.
 */
#include "resilience/lock.h"

#include <pthread.h>
#include <string.h>

#include "base/testpoint.h"

struct condition {
	pthread_mutex_t guard; /* All zero is initialised. Held for a few instructions. */
	struct sonde__waiters waiters;
	size_t n_leaving; /* Signalled, and still here. */
	struct sonde__parker *ender; /* Of the deinit, which waits for them; or NULL. */
	struct sonde__lock_settings settings;
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct condition) <= sizeof(struct sonde_condition), "a condition fits");
_Static_assert(_Alignof(struct condition) <= _Alignof(struct sonde_condition), "and is aligned");

static struct condition *condition_of(struct sonde_condition *condition)
{
	return (struct condition *)condition;
}

int sonde_condition_init(struct sonde_condition *sonde_condition,
			 const struct sonde_lock_options *options)
{
	struct condition *condition = condition_of(sonde_condition);

	if (!condition)
		return SONDE_E_INVALID;
	memset(condition, 0, sizeof(*sonde_condition));
	pthread_mutex_init(&condition->guard, /* attributes= */ NULL);
	sonde__lock_settings_init(&condition->settings, options);
	return SONDE_OK;
}

void sonde_condition_deinit(struct sonde_condition *sonde_condition)
{
	struct condition *condition = condition_of(sonde_condition);
	struct sonde__parker parker;

	if (!condition)
		return;
	sonde__parker_init(&parker);
	pthread_mutex_lock(&condition->guard);
	if (condition->n_leaving) {
		condition->ender = &parker;
		pthread_mutex_unlock(&condition->guard);
		sonde__park(&parker, /* clock= */ NULL, SONDE__NEVER, /* cancel= */ NULL);
		/* The last one may still hold the guard. */
		pthread_mutex_lock(&condition->guard);
	}
	pthread_mutex_unlock(&condition->guard);
	pthread_mutex_destroy(&condition->guard);
}

/* In the queue from before the mutex is let go. True: signalled. */
static bool queue_through(struct condition *condition, struct sonde_mutex *mutex,
			  struct sonde__lock_wait *wait, enum sonde__lock_woken *ret_why)
{
	struct sonde__waiter waiter;
	bool is_signalled;

	sonde__waiter_init(&waiter);
	pthread_mutex_lock(&condition->guard);
	sonde__waiters_push(&condition->waiters, &waiter);
	pthread_mutex_unlock(&condition->guard);
	sonde_mutex_unlock(mutex);
	while ((*ret_why = sonde__lock_wait_park(wait, &waiter.parker)) == SONDE__LOCK_SLOW)
		sonde__lock_wait_stall(wait, /* place= */ NULL);
	SONDE__TESTPOINT("condition-leaving");
	pthread_mutex_lock(&condition->guard);
	is_signalled = waiter.is_granted;
	if (!is_signalled)
		sonde__waiters_remove(&condition->waiters, &waiter);
	pthread_mutex_unlock(&condition->guard);
	return is_signalled;
}

/* Of who was signalled: he does not touch it any more. */
static void leave(struct condition *condition)
{
	pthread_mutex_lock(&condition->guard);
	if (--condition->n_leaving == 0 && condition->ender)
		sonde__unpark(condition->ender);
	pthread_mutex_unlock(&condition->guard);
}

/* With the guard held. False: nobody waits. */
static bool signal_first(struct condition *condition)
{
	if (!sonde__waiters_grant(&condition->waiters))
		return false;
	condition->n_leaving++;
	return true;
}

static struct sonde_error *wait_within(struct sonde_condition *sonde_condition,
				       struct sonde_mutex *mutex,
				       const struct sonde__lock_limits *limits, const char *place)
{
	struct condition *condition = condition_of(sonde_condition);
	struct sonde_error *error = NULL;
	struct sonde__lock_wait wait;
	enum sonde__lock_woken why;

	sonde__lock_wait_begin(&wait, &condition->settings, "condition", limits,
			       /* slow_wait_ms= */ UINT64_MAX);
	if (queue_through(condition, mutex, &wait, &why)) {
		sonde__lock_wait_granted(&wait);
		leave(condition);
	} else {
		error = sonde__lock_wait_refused(&wait, why, /* place= */ NULL);
	}
	sonde_mutex_lock_at(mutex, place);
	return error;
}

struct sonde_error *sonde_condition_wait_at(struct sonde_condition *condition,
					    struct sonde_mutex *mutex, uint64_t limit_ms,
					    struct sonde_cancel *cancel, const char *place)
{
	const struct sonde__lock_limits limits = { .limit_ns = sonde__ms_to_ns(limit_ms),
						   .cancel = cancel };

	if (!condition || !mutex)
		return sonde_error_raise(&sonde_internal, "there is nothing to wait for");
	return wait_within(condition, mutex, &limits, place);
}

struct sonde_error *sonde_condition_wait_for_at(struct sonde_condition *condition,
						struct sonde_mutex *mutex,
						sonde_condition_fn *is_so, void *user,
						uint64_t limit_ms, struct sonde_cancel *cancel,
						const char *place)
{
	struct sonde__lock_limits limits = { .limit_ns = sonde__ms_to_ns(limit_ms),
					     .cancel = cancel };
	const struct sonde_clock *clock;
	uint64_t end_ns;

	if (!condition || !mutex || !is_so)
		return sonde_error_raise(&sonde_internal, "there is nothing to wait for");
	if (is_so(user))
		return NULL;
	clock = condition_of(condition)->settings.clock;
	end_ns = sonde__moment_after(sonde__now_ns(clock), limits.limit_ns);
	for (;;) {
		struct sonde_error *error = wait_within(condition, mutex, &limits, place);

		if (is_so(user)) {
			sonde_error_free(error);
			return NULL;
		}
		if (error)
			return error;
		if (end_ns != SONDE__NEVER)
			limits.limit_ns = sonde__time_until(end_ns, sonde__now_ns(clock));
	}
}

void sonde_condition_signal(struct sonde_condition *sonde_condition)
{
	struct condition *condition = condition_of(sonde_condition);

	if (!condition)
		return;
	pthread_mutex_lock(&condition->guard);
	(void)signal_first(condition);
	pthread_mutex_unlock(&condition->guard);
}

void sonde_condition_broadcast(struct sonde_condition *sonde_condition)
{
	struct condition *condition = condition_of(sonde_condition);

	if (!condition)
		return;
	pthread_mutex_lock(&condition->guard);
	while (signal_first(condition))
		;
	pthread_mutex_unlock(&condition->guard);
}
