/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One measured wait. Its clock is read when it begins, which is after the lock was found taken, and
 * when it ends. It is parked until the first of its end and the moment from which on it is slow, so
 * that a stall is told by the thread that is held up, and needs nobody to watch.
 */
#include "resilience/lock.h"

#include "resilience/observe.h"

void sonde__lock_settings_init(struct sonde__lock_settings *settings,
			       const struct sonde_lock_options *options)
{
	*settings = (struct sonde__lock_settings){ 0 };
	if (!options)
		return;
	settings->name = options->name;
	settings->clock = options->clock;
	settings->observer = options->observer;
	settings->slow_wait_ms = options->slow_wait_ms;
}

void sonde__lock_queue_enter(struct sonde__lock_queue *queue, struct sonde__lock_waiter *waiter)
{
	waiter->number = queue->n_numbers++;
	sonde__waiters_push(&queue->waiters, &waiter->waiter);
}

void sonde__lock_queue_return(struct sonde__lock_queue *queue, struct sonde__lock_waiter *waiter)
{
	struct sonde__waiter *next = queue->waiters.first;

	while (next && ((struct sonde__lock_waiter *)next)->number < waiter->number)
		next = next->next;
	sonde__waiters_insert(&queue->waiters, &waiter->waiter, next);
}

void sonde__lock_wait_begin(struct sonde__lock_wait *wait,
			    const struct sonde__lock_settings *settings, const char *kind,
			    const struct sonde__lock_limits *limits, uint64_t slow_wait_ms)
{
	uint64_t now_ns = sonde__now_ns(settings->clock);

	if (settings->slow_wait_ms)
		slow_wait_ms = settings->slow_wait_ms;
	*wait = (struct sonde__lock_wait){
		.settings = settings,
		.kind = kind,
		.cancel = limits->cancel,
		.since_ns = now_ns,
		.end_ns = limits->past_deadline ? sonde__moment_after(now_ns, limits->limit_ns)
						: sonde__wait_end(now_ns, limits->limit_ns),
		.slow_ns = sonde__moment_after(now_ns, sonde__ms_to_ns(slow_wait_ms)),
	};
}

enum sonde__lock_woken sonde__lock_wait_park(struct sonde__lock_wait *wait,
					     struct sonde__parker *parker)
{
	uint64_t until_ns = wait->end_ns < wait->slow_ns ? wait->end_ns : wait->slow_ns;

	switch (sonde__park(parker, wait->settings->clock, until_ns, wait->cancel)) {
	case SONDE__WOKEN:
		return SONDE__LOCK_WOKEN;
	case SONDE__WOKEN_CANCELLED:
		return SONDE__LOCK_CANCELLED;
	case SONDE__WOKEN_LATE:
		break;
	}
	return wait->slow_ns < wait->end_ns ? SONDE__LOCK_SLOW : SONDE__LOCK_LATE;
}

uint64_t sonde__lock_wait_ns(const struct sonde__lock_wait *wait)
{
	return sonde__time_until(sonde__now_ns(wait->settings->clock), wait->since_ns);
}

static double seconds(uint64_t ns)
{
	return (double)ns / (double)SONDE__NS_PER_S;
}

static const char *name_of(const struct sonde__lock_settings *settings)
{
	return settings->name ? settings->name : "";
}

/* A wait that goes on is not in vain yet. */
static struct sonde_error *late_error(const struct sonde__lock_wait *wait, uint64_t duration_ns,
				      bool goes_on, const char *place)
{
	return sonde_error_raise(&sonde_timeout, "%s %.3g s for the %s \"%s\"%s%s%s",
				 goes_on ? "has waited" : "waited", seconds(duration_ns),
				 wait->kind, name_of(wait->settings), goes_on ? "" : " in vain",
				 place ? "; it was taken last at " : "", place ? place : "");
}

static void tell(const struct sonde__lock_wait *wait, enum sonde_observed what,
		 uint64_t duration_ns, const struct sonde_error *error)
{
	sonde__observe(wait->settings->observer,
		       &(struct sonde_observation){
			       .pattern = SONDE_PATTERN_LOCK,
			       .what = what,
			       .name = wait->settings->name,
			       .duration_ns = duration_ns,
			       .error = error,
		       });
}

void sonde__lock_wait_stall(struct sonde__lock_wait *wait, const char *place)
{
	wait->slow_ns = SONDE__NEVER;
	wait->has_stalled = sonde__is_observed(wait->settings->observer);
	if (wait->has_stalled) {
		uint64_t duration_ns = sonde__lock_wait_ns(wait);
		SONDE_ERROR_AUTOFREE struct sonde_error *error =
			late_error(wait, duration_ns, /* goes_on= */ true, place);

		tell(wait, SONDE_OBSERVED_STALL, duration_ns, error);
	}
}

static void tell_end(const struct sonde__lock_wait *wait, enum sonde_observed what,
		     uint64_t duration_ns, const struct sonde_error *error)
{
	if (wait->has_stalled)
		tell(wait, SONDE_OBSERVED_RECOVERY, duration_ns, /* error= */ NULL);
	tell(wait, what, duration_ns, error);
}

void sonde__lock_wait_granted(const struct sonde__lock_wait *wait)
{
	if (sonde__is_observed(wait->settings->observer))
		tell_end(wait, SONDE_OBSERVED_WAIT, sonde__lock_wait_ns(wait), /* error= */ NULL);
}

struct sonde_error *sonde__lock_wait_refused(const struct sonde__lock_wait *wait,
					     enum sonde__lock_woken why, const char *place)
{
	uint64_t duration_ns = sonde__lock_wait_ns(wait);
	struct sonde_error *error;

	if (why == SONDE__LOCK_CANCELLED)
		error = sonde_error_wrap(sonde_cancel_error(wait->cancel), /* type= */ NULL,
					 "the %s \"%s\" is not waited for any more", wait->kind,
					 name_of(wait->settings));
	else
		error = late_error(wait, duration_ns, /* goes_on= */ false, place);
	tell_end(wait, SONDE_OBSERVED_REJECTION, duration_ns, error);
	return error;
}

struct sonde_error *sonde__lock_misuse(const struct sonde__lock_settings *settings,
				       const char *kind, const char *what, const char *place)
{
	return sonde_error_raise(&sonde_internal, "the %s \"%s\" was %s%s%s", kind,
				 name_of(settings), what, place ? "; it was taken last at " : "",
				 place ? place : "");
}

void sonde__lock_misuse_say(const struct sonde__lock_settings *settings, const char *kind,
			    const char *what, const char *place)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		sonde__lock_misuse(settings, kind, what, place);

	sonde__observe(settings->observer, &(struct sonde_observation){
						   .pattern = SONDE_PATTERN_LOCK,
						   .what = SONDE_OBSERVED_ORPHAN,
						   .name = settings->name,
						   .error = error,
					   });
}
