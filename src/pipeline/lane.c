/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the first batch of a lane is sent:
 *
 *	closed breaker, no failure      at once
 *	closed breaker, after failures  when the backoff, or the receiver's wish, is over
 *	open breaker                    when its reset time is over, or the receiver's wish
 *	half-open breaker               one after another
 *	a flush                         once at once, whatever the rest says
 */

#include "pipeline/lane.h"

#include "base/clock.h"

/* So long without a batch accepted, and a lane is not waited for. */
#define MOVING_NS SONDE__NS_PER_S

void sonde__lane_init(struct sonde__lane *lane, const struct sonde__circuit_options *breaker,
		      const struct sonde__retry_options *retry)
{
	*lane = (struct sonde__lane){ .is_open = true };
	/* The settings keep within its limits. */
	(void)sonde__circuit_init(&lane->breaker, breaker, &(struct sonde__outcomes){ 0 },
				  &lane->breaker_state, &lane->breaker_slot);
	sonde__retry_init(&lane->retry, retry);
}

void sonde__lane_push(struct sonde__lane *lane, struct sonde__blob *blob)
{
	blob->next = NULL;
	blob->serial = ++lane->n_serials;
	if (lane->last)
		lane->last->next = blob;
	else
		lane->first = blob;
	lane->last = blob;
	lane->n_bytes += sonde__blob_footprint(blob->size);
	lane->n_items += blob->n_items;
}

static void forget(struct sonde__lane *lane, const struct sonde__blob *blob)
{
	lane->n_bytes -= sonde__blob_footprint(blob->size);
	lane->n_items -= blob->n_items;
}

struct sonde__blob *sonde__lane_pop(struct sonde__lane *lane)
{
	struct sonde__blob *blob = lane->first;

	if (!blob)
		return NULL;
	lane->first = blob->next;
	if (!lane->first)
		lane->last = NULL;
	forget(lane, blob);
	return blob;
}

struct sonde__blob *sonde__lane_evict(struct sonde__lane *lane)
{
	struct sonde__blob *blob;

	if (!lane->is_sending)
		return sonde__lane_pop(lane);
	blob = lane->first->next;
	if (!blob)
		return NULL;
	lane->first->next = blob->next;
	if (!blob->next)
		lane->last = lane->first;
	forget(lane, blob);
	return blob;
}

uint64_t sonde__lane_count(const struct sonde__lane *lane)
{
	uint64_t n = 0;

	for (const struct sonde__blob *blob = lane->first; blob; blob = blob->next)
		n += blob->n_items;
	return n;
}

enum sonde_breaker_state sonde__lane_breaker_state(const struct sonde__lane *lane)
{
	/* Relaxed: it has one owner. */
	return sonde__circuit_word_state(
		atomic_load_explicit(&lane->breaker_state.word, memory_order_relaxed));
}

void sonde__lane_report(struct sonde__lane *lane, bool is_ok, uint64_t now_ns)
{
	struct sonde__circuit_changes changes = { 0 };

	sonde__circuit_report(&lane->breaker, &lane->ticket, now_ns,
			      is_ok ? SONDE_BREAKER_GOOD : SONDE_BREAKER_BAD, /* is_slow= */ false,
			      &changes);
}

bool sonde__lane_is_moving(const struct sonde__lane *lane, uint64_t now_ns)
{
	uint64_t since_ns = lane->accepted_ns;

	if (lane->retry.n_failures || sonde__lane_breaker_state(lane) != SONDE_BREAKER_CLOSED)
		return false;
	if (!lane->is_sending)
		return true;
	if (since_ns < lane->sent_ns)
		since_ns = lane->sent_ns;
	return now_ns < since_ns || now_ns - since_ns < MOVING_NS;
}

uint64_t sonde__lane_wait_ns(const struct sonde__lane *lane, uint64_t now_ns)
{
	uint64_t wait_ns;
	uint64_t breaker_ns;

	if (lane->is_sending || !lane->first)
		return UINT64_MAX;
	if (lane->is_forced)
		return 0;
	wait_ns = lane->next_attempt_ns > now_ns ? lane->next_attempt_ns - now_ns : 0;
	breaker_ns = sonde__circuit_wait_ns(&lane->breaker, now_ns);
	return wait_ns > breaker_ns ? wait_ns : breaker_ns;
}

bool sonde__lane_is_due(struct sonde__lane *lane, uint64_t now_ns)
{
	struct sonde__circuit_changes changes = { 0 };

	if (sonde__lane_wait_ns(lane, now_ns) > 0)
		return false;
	if (!lane->is_forced)
		return sonde__circuit_admit(&lane->breaker, now_ns, &lane->ticket, &changes);
	sonde__circuit_admit_by_force(&lane->breaker, now_ns, &lane->ticket, &changes);
	lane->is_forced = false;
	return true;
}

void sonde__lane_flush(struct sonde__lane *lane)
{
	lane->is_flushing = true;
	lane->is_forced = true;
	lane->was_kept = false;
	lane->flush_serial = lane->n_serials;
}

bool sonde__lane_is_flushed(const struct sonde__lane *lane)
{
	if (!lane->is_flushing || lane->was_kept)
		return true;
	return !lane->first || lane->first->serial > lane->flush_serial;
}
