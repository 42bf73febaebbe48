/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending. Each lane has one request under way at a time: a second would not make a collector
 * faster that does not keep up with one, and would put the order of retries at stake. What an
 * exporter says about a request is taken as it is; what follows from it is decided here.
 *
 *	accepted    the batch is done, what was rejected of it is a loss and never sent again
 *	retry       the batch stays first in its lane; backoff and breaker say when it goes again
 *	refused     the batch is a loss; the receiver answered, so for the breaker it is there
 *
 * An exporter gives a request up by itself when its time is over. One that does not is cancelled
 * a moment later, so that no exporter can hold a lane for ever.
 */

#include "pipeline/deliver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/state.h"

/* What an exporter may take longer than it was told. */
#define GRACE_NS SONDE__NS_PER_S
/* A receiver that asks for more does not get it: it would silence us for good by mistake. */
#define WISH_MAX_NS (3600 * SONDE__NS_PER_S)

static struct sonde__lane *lane_at(struct sonde__pipeline *pipeline, struct sonde__lane_place place)
{
	return &pipeline->lanes[place.destination][place.signal];
}

/* The first batch leaves the lane, booked as `exported` items and the rest under `reason`. */
static void finish_blob(struct sonde__pipeline *pipeline, struct sonde__lane *lane,
			uint64_t exported, enum sonde_loss reason)
{
	struct sonde__blob *blob;

	sonde__ledger_lock(pipeline);
	blob = sonde__lane_pop(lane);
	lane->exported += exported;
	lane->lost[reason] += blob->n_items - exported;
	sonde__ledger_unlock(pipeline);
	sonde__audit_done(pipeline, blob, exported, sonde_loss_name(reason));
	sonde__blobs_free(&pipeline->blobs, &pipeline->budget, blob);
}

static void take_accepted(struct sonde__pipeline *pipeline, struct sonde__lane *lane,
			  const struct sonde_result *result)
{
	uint64_t n_items = lane->first->n_items;
	uint64_t n_rejected = result->n_rejected < n_items ? result->n_rejected : n_items;

	lane->accepted_ns = pipeline->now_ns;
	finish_blob(pipeline, lane, n_items - n_rejected, SONDE_LOSS_REJECTED);
}

static uint64_t wish_of(const struct sonde_result *result)
{
	if (result->retry_after_ms < 0)
		return SONDE__RETRY_NO_WISH;
	if ((uint64_t)result->retry_after_ms > WISH_MAX_NS / SONDE__NS_PER_MS)
		return WISH_MAX_NS;
	return (uint64_t)result->retry_after_ms * SONDE__NS_PER_MS;
}

/* An open breaker has its own time, which only the receiver's wish can lengthen. */
static void back_off(struct sonde__pipeline *pipeline, struct sonde__lane *lane,
		     const struct sonde_result *result)
{
	uint64_t wish_ns = wish_of(result);
	uint64_t delay_ns = 0;

	/* Without a limit of attempts or of time: what could not be sent is kept. */
	(void)sonde__retry_decide(&lane->retry, pipeline->now_ns, /* deadline_ns= */ UINT64_MAX,
				  wish_ns, &delay_ns);
	if (wish_ns == SONDE__RETRY_NO_WISH &&
	    sonde__lane_breaker_state(lane) == SONDE_BREAKER_OPEN)
		delay_ns = 0;
	lane->next_attempt_ns = pipeline->now_ns + delay_ns;
	if (lane->is_flushing && !lane->is_forced)
		lane->was_kept = true;
}

static void report_breaker(struct sonde__pipeline *pipeline, struct sonde__lane_place place,
			   bool is_ok)
{
	struct sonde__lane *lane = lane_at(pipeline, place);
	enum sonde_breaker_state before = sonde__lane_breaker_state(lane);
	enum sonde_breaker_state after;

	sonde__lane_report(lane, is_ok, pipeline->now_ns);
	after = sonde__lane_breaker_state(lane);
	if (after == before)
		return;
	if (after == SONDE_BREAKER_OPEN && before == SONDE_BREAKER_CLOSED)
		sonde__report_breaker(pipeline, place, /* is_open= */ true);
	if (after == SONDE_BREAKER_CLOSED)
		sonde__report_breaker(pipeline, place, /* is_open= */ false);
}

static void note_duration(const struct sonde__pipeline *pipeline, struct sonde__lane *lane,
			  enum sonde_outcome outcome)
{
	int i = outcome == SONDE_OUTCOME_ACCEPTED ? 0 : outcome == SONDE_OUTCOME_REFUSED ? 2 : 1;

	sonde__timing_add(&lane->timings[i], pipeline->now_ns - lane->sent_ns);
}

static void take_result(struct sonde__pipeline *pipeline, struct sonde__lane_place place,
			struct sonde_result *result)
{
	struct sonde__lane *lane = lane_at(pipeline, place);
	bool is_retry = result->outcome != SONDE_OUTCOME_ACCEPTED &&
			result->outcome != SONDE_OUTCOME_REFUSED;
	size_t n_items = lane->first->n_items;

	lane->is_sending = false;
	note_duration(pipeline, lane, result->outcome);
	result->reason[sizeof(result->reason) - 1] = '\0';
	if (result->outcome != SONDE_OUTCOME_ACCEPTED || result->n_rejected || result->reason[0])
		sonde__report_failure(pipeline, place, result, n_items, pipeline->now_ns);
	report_breaker(pipeline, place, !is_retry);
	if (is_retry) {
		back_off(pipeline, lane, result);
		return;
	}
	sonde__retry_reset(&lane->retry);
	lane->next_attempt_ns = 0;
	if (result->outcome == SONDE_OUTCOME_ACCEPTED) {
		sonde__report_success(pipeline, place);
		take_accepted(pipeline, lane, result);
	} else {
		finish_blob(pipeline, lane, /* exported= */ 0, SONDE_LOSS_REFUSED);
	}
}

static void send_first(struct sonde__pipeline *pipeline, struct sonde__lane_place place)
{
	const struct sonde__pipeline_destination *to =
		&pipeline->options.destinations[place.destination];
	struct sonde__lane *lane = lane_at(pipeline, place);
	uint64_t timeout_ms = pipeline->options.export_timeout_ns[place.signal] / SONDE__NS_PER_MS;
	struct sonde_request request = {
		.size = sizeof(request),
		.token = lane,
		.signal = place.signal,
		.body = { lane->first->bytes, lane->first->size },
		.n_items = lane->first->n_items,
		.timeout_ms = timeout_ms < UINT32_MAX ? (uint32_t)timeout_ms : UINT32_MAX,
	};
	struct sonde_result result = { .token = lane, .retry_after_ms = -1 };

	lane->is_sending = true;
	lane->sent_ns = pipeline->now_ns;
	sonde__audit_sent(pipeline, lane->first);
	result.outcome = to->exporter->send(to->instance, &request, &result);
	if (result.outcome == SONDE_OUTCOME_PENDING && to->exporter->progress)
		return;
	if (result.outcome == SONDE_OUTCOME_PENDING)
		(void)snprintf(result.reason, sizeof(result.reason),
			       "the exporter cannot say what became of it");
	take_result(pipeline, place, &result);
}

static bool find_lane(struct sonde__pipeline *pipeline, size_t destination, const void *token,
		      struct sonde__lane_place *ret)
{
	for (int s = 0; s < SONDE__SIGNAL_ROWS; s++) {
		if (token == &pipeline->lanes[destination][s] &&
		    pipeline->lanes[destination][s].is_sending) {
			*ret = (struct sonde__lane_place){ destination, (enum sonde_signal)s };
			return true;
		}
	}
	return false;
}

bool sonde__deliver_is_sending(const struct sonde__pipeline *pipeline, size_t destination)
{
	bool is_sending = false;

	for (int s = 0; s < SONDE__SIGNAL_ROWS; s++)
		is_sending |= pipeline->lanes[destination][s].is_sending;
	return is_sending;
}

/* At most one result for each lane, whatever the exporter goes on to say. */
static bool take_progress(struct sonde__pipeline *pipeline, size_t destination)
{
	const struct sonde__pipeline_destination *to = &pipeline->options.destinations[destination];
	bool has_result = false;

	if (!to->exporter->progress)
		return false;
	for (int n = 0;
	     n < SONDE__SIGNAL_ROWS && sonde__deliver_is_sending(pipeline, destination); n++) {
		struct sonde_result result = { .retry_after_ms = -1 };
		struct sonde__lane_place place;

		if (!to->exporter->progress(to->instance, &result))
			break;
		if (!find_lane(pipeline, destination, result.token, &place))
			continue;
		take_result(pipeline, place, &result);
		has_result = true;
	}
	return has_result;
}

static uint64_t overdue_ns(const struct sonde__pipeline *pipeline, struct sonde__lane_place place)
{
	const struct sonde__lane *lane = &pipeline->lanes[place.destination][place.signal];
	uint64_t end_ns =
		lane->sent_ns + pipeline->options.export_timeout_ns[place.signal] + GRACE_NS;

	return end_ns > pipeline->now_ns ? end_ns - pipeline->now_ns : 0;
}

static void cancel(struct sonde__pipeline *pipeline, struct sonde__lane_place place)
{
	const struct sonde__pipeline_destination *to =
		&pipeline->options.destinations[place.destination];

	if (to->exporter->cancel)
		to->exporter->cancel(to->instance, lane_at(pipeline, place));
}

static bool give_up_overdue(struct sonde__pipeline *pipeline, struct sonde__lane_place place)
{
	struct sonde__lane *lane = lane_at(pipeline, place);
	struct sonde_result result = {
		.outcome = SONDE_OUTCOME_RETRY,
		.retry_after_ms = -1,
		.reason = "no answer within the export timeout",
	};

	if (!lane->is_sending || overdue_ns(pipeline, place) > 0)
		return false;
	cancel(pipeline, place);
	take_result(pipeline, place, &result);
	return true;
}

/* An exporter that answers at once empties its lane here. */
static bool drive_lane(struct sonde__pipeline *pipeline, struct sonde__lane_place place)
{
	struct sonde__lane *lane = lane_at(pipeline, place);
	bool has_result = give_up_overdue(pipeline, place);

	while (sonde__lane_is_due(lane, pipeline->now_ns)) {
		send_first(pipeline, place);
		if (lane->is_sending)
			break;
		has_result = true;
		if (lane->retry.n_failures)
			break;
	}
	return has_result;
}

bool sonde__deliver(struct sonde__pipeline *pipeline)
{
	bool has_result = false;

	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		has_result |= take_progress(pipeline, d);
		for (int s = 0; s < SONDE__SIGNAL_ROWS; s++)
			has_result |= drive_lane(
				pipeline, (struct sonde__lane_place){ d, (enum sonde_signal)s });
	}
	return has_result;
}

uint64_t sonde__deliver_wait_ns(const struct sonde__pipeline *pipeline)
{
	uint64_t shortest_ns = UINT64_MAX;

	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		for (int s = 0; s < SONDE__SIGNAL_ROWS; s++) {
			const struct sonde__lane *lane = &pipeline->lanes[d][s];
			uint64_t wait_ns = lane->is_sending
						   ? overdue_ns(pipeline,
								(struct sonde__lane_place){ d, s })
						   : sonde__lane_wait_ns(lane, pipeline->now_ns);

			if (wait_ns < shortest_ns)
				shortest_ns = wait_ns;
		}
	}
	return shortest_ns;
}

void sonde__deliver_expire(struct sonde__pipeline *pipeline)
{
	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		for (int s = 0; s < SONDE__SIGNAL_ROWS; s++) {
			struct sonde__lane_place place = { d, (enum sonde_signal)s };
			struct sonde__lane *lane = lane_at(pipeline, place);

			if (lane->is_sending) {
				cancel(pipeline, place);
				lane->is_sending = false;
				finish_blob(pipeline, lane, /* exported= */ 0, SONDE_LOSS_UNKNOWN);
			}
			while (lane->first)
				finish_blob(pipeline, lane, /* exported= */ 0, SONDE_LOSS_DEADLINE);
		}
	}
}
