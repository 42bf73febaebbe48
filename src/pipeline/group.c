/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both tables are arrays whose entries are linked by number: from a slot, for those that share its
 * bits of the fingerprint, and groups also by when they were seen last. Nothing is allocated after
 * the start.
 */

#include "pipeline/group.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"

#define ACTIVE_NS (10 * SONDE__NS_PER_S)
#define COUNT_NS SONDE__NS_PER_S

/* ---- Slots ----------------------------------------------------------------------------------- */

static uint32_t slots_for(uint32_t capacity)
{
	uint32_t n = 1;

	while (n < capacity)
		n *= 2;
	return n;
}

/* Fingerprints that somebody chose are no hashes yet. */
static uint32_t *group_slot(const struct sonde__groups *groups, uint64_t fingerprint)
{
	return &groups->slots[sonde__mix64(fingerprint) & (slots_for(groups->capacity) - 1)];
}

static uint32_t *series_slot(const struct sonde__groups *groups, uint64_t fingerprint)
{
	return &groups->slots[slots_for(groups->capacity) +
			      (sonde__mix64(fingerprint) &
			       (slots_for(groups->series_capacity) - 1))];
}

size_t sonde__groups_memory(uint32_t capacity, uint32_t series_capacity)
{
	return capacity * sizeof(struct sonde__group) +
	       series_capacity * sizeof(struct sonde__group_series) +
	       ((size_t)slots_for(capacity) + slots_for(series_capacity)) * sizeof(uint32_t);
}

int sonde__groups_init(struct sonde__groups *groups, uint32_t capacity, uint32_t series_capacity)
{
	*groups = (struct sonde__groups){
		.groups = calloc(capacity, sizeof(*groups->groups)),
		.series = calloc(series_capacity, sizeof(*groups->series)),
		.slots = calloc((size_t)slots_for(capacity) + slots_for(series_capacity),
				sizeof(*groups->slots)),
		.capacity = capacity,
		.series_capacity = series_capacity,
	};
	return groups->groups && groups->series && groups->slots ? SONDE_OK : SONDE_E_NOMEM;
}

void sonde__groups_deinit(struct sonde__groups *groups)
{
	free(groups->groups);
	free(groups->series);
	free(groups->slots);
	*groups = (struct sonde__groups){ 0 };
}

static uint8_t type_copy(char ret[SONDE__GROUP_TYPE_SIZE], struct sonde_text type)
{
	size_t size = type.size < SONDE__GROUP_TYPE_SIZE ?
			      type.size :
			      sonde__utf8_cut(type.data, type.size, SONDE__GROUP_TYPE_SIZE - 1);

	memcpy(ret, type.data, size);
	return (uint8_t)size;
}

/* ---- Series ---------------------------------------------------------------------------------- */

/* The fingerprint's series, known or new; 0: all are given. */
static uint32_t series_find(struct sonde__groups *groups, uint64_t fingerprint,
			    struct sonde_text type)
{
	uint32_t *slot = series_slot(groups, fingerprint);
	struct sonde__group_series *series;

	for (uint32_t at = *slot; at; at = series->next_in_slot) {
		series = &groups->series[at - 1];
		if (series->fingerprint == fingerprint)
			return at;
	}
	if (groups->n_series == groups->series_capacity)
		return 0;
	series = &groups->series[groups->n_series++];
	series->fingerprint = fingerprint;
	series->type_size = type_copy(series->type, type);
	series->next_in_slot = *slot;
	*slot = groups->n_series;
	return groups->n_series;
}

/* ---- Groups ---------------------------------------------------------------------------------- */

static uint32_t number_of(const struct sonde__groups *groups, const struct sonde__group *group)
{
	return (uint32_t)(group - groups->groups) + 1;
}

static void age_remove(struct sonde__groups *groups, struct sonde__group *group)
{
	if (group->older)
		groups->groups[group->older - 1].newer = group->newer;
	else
		groups->oldest = group->newer;
	if (group->newer)
		groups->groups[group->newer - 1].older = group->older;
	else
		groups->newest = group->older;
}

static void age_add(struct sonde__groups *groups, struct sonde__group *group)
{
	uint32_t number = number_of(groups, group);

	group->newer = 0;
	group->older = groups->newest;
	if (groups->newest)
		groups->groups[groups->newest - 1].newer = number;
	else
		groups->oldest = number;
	groups->newest = number;
}

static struct sonde__group *group_find(const struct sonde__groups *groups, uint64_t fingerprint)
{
	struct sonde__group *group;

	for (uint32_t at = *group_slot(groups, fingerprint); at; at = group->next_in_slot) {
		group = &groups->groups[at - 1];
		if (group->fingerprint == fingerprint)
			return group;
	}
	return NULL;
}

/* What it holds back is told without its name. */
static struct sonde__group *oldest_forget(struct sonde__groups *groups)
{
	struct sonde__group *group = &groups->groups[groups->oldest - 1];
	uint32_t *link = group_slot(groups, group->fingerprint);

	while (*link != groups->oldest)
		link = &groups->groups[*link - 1].next_in_slot;
	*link = group->next_in_slot;
	groups->n_forgotten += group->held.n;
	age_remove(groups, group);
	return group;
}

static struct sonde__group *group_add(struct sonde__groups *groups, uint64_t fingerprint,
				      struct sonde_text type)
{
	uint32_t *slot = group_slot(groups, fingerprint);
	struct sonde__group *group = groups->n < groups->capacity ? &groups->groups[groups->n++] :
								    oldest_forget(groups);

	group->fingerprint = fingerprint;
	group->series = series_find(groups, fingerprint, type);
	group->type_size = type_copy(group->type, type);
	group->held.n = 0;
	group->next_in_slot = *slot;
	*slot = number_of(groups, group);
	return group;
}

struct sonde__group *sonde__groups_see(struct sonde__groups *groups,
				       const struct sonde__limiter *limiter, uint64_t fingerprint,
				       struct sonde_text type, uint64_t now_ns)
{
	struct sonde__group *group = group_find(groups, fingerprint);

	if (group) {
		age_remove(groups, group);
	} else {
		group = group_add(groups, fingerprint, type);
		sonde__limiter_share_init(limiter, &group->share, now_ns);
	}
	age_add(groups, group);
	group->seen_ns = now_ns;
	if (group->series)
		groups->series[group->series - 1].n++;
	else
		groups->n_overflow++;
	return group;
}

uint32_t sonde__groups_active(struct sonde__groups *groups, uint64_t now_ns)
{
	const struct sonde__group *group;

	if (groups->n_active && now_ns - groups->counted_ns < COUNT_NS)
		return groups->n_active;
	groups->counted_ns = now_ns;
	groups->n_active = 0;
	for (uint32_t at = groups->newest; at; at = group->older) {
		group = &groups->groups[at - 1];
		if (now_ns - group->seen_ns > ACTIVE_NS)
			break;
		groups->n_active++;
	}
	if (!groups->n_active)
		groups->n_active = 1;
	return groups->n_active;
}

/* ---- Held back ------------------------------------------------------------------------------- */

void sonde__group_hold(struct sonde__group *group, const struct sonde__error_record *record,
		       struct sonde_text message)
{
	struct sonde__held *held = &group->held;
	size_t size = message.size < sizeof(held->message) ?
			      message.size :
			      sonde__utf8_cut(message.data, message.size, sizeof(held->message));

	held->n++;
	held->time = record->head.time;
	held->time_is_unix = record->head.flags & SONDE__RECORD_TIME_IS_UNIX;
	held->event_id = record->event_id;
	held->trace_flags = record->trace_flags;
	held->severity = record->severity;
	memcpy(held->trace_id, record->trace_id, sizeof(held->trace_id));
	memcpy(held->span_id, record->span_id, sizeof(held->span_id));
	memcpy(held->message, message.data, size);
	held->message_size = (uint16_t)size;
}

struct sonde__group *sonde__groups_next_held(const struct sonde__groups *groups,
					     const struct sonde__group *after)
{
	uint32_t at = after ? after->older : groups->newest;

	while (at && !groups->groups[at - 1].held.n)
		at = groups->groups[at - 1].older;
	return at ? &groups->groups[at - 1] : NULL;
}
