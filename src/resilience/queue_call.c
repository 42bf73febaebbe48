/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pushing and popping as they are called: the limit and the deadline become a moment, how it ended
 * becomes an error, and what nobody would hear of otherwise is told.
 */

#include "resilience/queue.h"

#include "resilience/clock.h"
#include "resilience/name.h"
#include "resilience/observe.h"
#include "resilience/queue_state.h"

void sonde__queue_tell(const struct sonde__queue *queue, enum sonde_observed what,
		       uint64_t duration_ns, uint64_t count, const struct sonde_error *error)
{
	struct sonde_observation observation = {
		.pattern = SONDE_PATTERN_QUEUE,
		.what = what,
		.name = queue->name,
		.duration_ns = duration_ns,
		.count = count,
		.error = error,
	};

	sonde__observe(queue->observer, &observation);
}

static SONDE__COLD struct sonde_error *error_of(struct sonde__queue *queue,
						enum sonde__queue_end end,
						const struct sonde_cancel *cancel)
{
	const struct sonde__name name = sonde__name_of(queue->name);

	switch (end) {
	case SONDE__QUEUE_FULL:
		return sonde_error_raise(&sonde_queue_full, "queue%s%s is full", name.space, name.text);
	case SONDE__QUEUE_CLOSED:
		return sonde_error_raise(&sonde_closed, "queue%s%s is closed", name.space, name.text);
	case SONDE__QUEUE_CANCELLED:
		return sonde_cancel_error(cancel);
	default:
		return sonde_error_raise(&sonde_timeout, "queue%s%s: the wait took too long", name.space,
					 name.text);
	}
}

/* A push that was turned away without an error for its caller. */
static SONDE__COLD void tell_refused(struct sonde__queue *queue, enum sonde__queue_end end)
{
	struct sonde_error *error;

	if (!sonde__is_observed(queue->observer))
		return;
	error = error_of(queue, end, /* cancel= */ NULL);
	sonde__queue_tell(queue, SONDE_OBSERVED_REJECTION, /* duration_ns= */ 0, /* count= */ 0,
			  error);
	sonde_error_free(error);
}

int sonde_queue_try_push(struct sonde_queue *public, void *item)
{
	struct sonde__queue *queue = sonde__queue_of(public);
	enum sonde__queue_end end;

	if (SONDE__UNLIKELY(!public))
		return SONDE_E_INVALID;
	end = sonde__queue_push_until(public, item, /* until_ns= */ 0, /* cancel= */ NULL);
	if (SONDE__LIKELY(end == SONDE__QUEUE_DONE))
		return SONDE_OK;
	tell_refused(queue, end);
	return end == SONDE__QUEUE_FULL ? SONDE_E_LIMITED : SONDE_E_CLOSED;
}

/* When a wait of at most `limit_ms` ends; 0: at once. */
static uint64_t wait_end(const struct sonde__queue *queue, uint64_t limit_ms)
{
	return limit_ms ? sonde__wait_end(sonde__now_ns(queue->clock), sonde__ms_to_ns(limit_ms))
			: 0;
}

struct sonde_error *sonde_queue_push(struct sonde_queue *public, void *item, uint64_t limit_ms,
				     struct sonde_cancel *cancel)
{
	struct sonde__queue *queue = sonde__queue_of(public);
	enum sonde__queue_end end;
	struct sonde_error *error;
	uint64_t begun_ns;
	uint64_t until_ns;

	if (!public)
		return sonde_error_raise(&sonde_internal, "there is no queue to push to");
	/* The clock is read where there is something to wait for. */
	end = sonde__queue_push_until(public, item, /* until_ns= */ 0, cancel);
	if (SONDE__LIKELY(end == SONDE__QUEUE_DONE))
		return NULL;
	begun_ns = sonde__now_ns(queue->clock);
	until_ns = wait_end(queue, limit_ms);
	if (end == SONDE__QUEUE_FULL && until_ns)
		end = sonde__queue_push_until(public, item, until_ns, cancel);
	if (end == SONDE__QUEUE_LATE && until_ns != sonde__deadline_current())
		end = SONDE__QUEUE_FULL;
	if (end == SONDE__QUEUE_DONE)
		return NULL;
	error = error_of(queue, end, cancel);
	sonde__queue_tell(queue, SONDE_OBSERVED_REJECTION, sonde__now_ns(queue->clock) - begun_ns,
			  /* count= */ 0, error);
	return error;
}

struct sonde_error *sonde_queue_pop(struct sonde_queue *public, uint64_t limit_ms,
				    struct sonde_cancel *cancel, void **ret_item)
{
	struct sonde__queue *queue = sonde__queue_of(public);
	enum sonde__queue_end end;

	if (!public || !ret_item)
		return sonde_error_raise(&sonde_internal, "there is no queue to pop from");
	end = sonde__queue_pop_until(public, /* until_ns= */ 0, cancel, ret_item);
	if (end == SONDE__QUEUE_LATE && limit_ms)
		end = sonde__queue_pop_until(public, wait_end(queue, limit_ms), cancel, ret_item);
	return SONDE__LIKELY(end == SONDE__QUEUE_DONE) ? NULL : error_of(queue, end, cancel);
}
