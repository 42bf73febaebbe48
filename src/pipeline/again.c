/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scan meets records ring by ring, so what was added may lie before or behind its error. An index
 * over what has not been scanned finds it either way; what lay before has become a log record by
 * then, which says the same.
 */

#include "pipeline/again.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/utf8.h"
#include "pipeline/state.h"
#include "pipeline/triage.h"
#include "pipeline/view.h"
#include "record/check.h"
#include "record/view.h"

#define SLOTS (2 * SONDE__AGAIN_INDEXED)
#define LOGS_BURST 20
#define LOGS_PERIOD_NS (100 * SONDE__NS_PER_MS)
#define ATTRS_MAX 7

/* ---- The index ------------------------------------------------------------------------------- */

static void entry_add(struct sonde__again *again, uint64_t event_id, size_t at)
{
	uint32_t slot = (uint32_t)sonde__mix64(event_id) % SLOTS;

	while (again->entries[slot].at)
		slot = (slot + 1) % SLOTS;
	again->entries[slot] = (struct sonde__again_entry){ event_id, (uint32_t)at + 1 };
	again->n++;
}

void sonde__again_index(struct sonde__pipeline *pipeline)
{
	const struct sonde__intake *intake = &pipeline->intake;
	struct sonde__again *again = &pipeline->again;

	if (again->n)
		memset(again->entries, 0, sizeof(again->entries));
	again->n = 0;
	if (!intake->has_again)
		return;
	for (size_t i = intake->n_scanned; i < intake->n && again->n < SONDE__AGAIN_INDEXED; i++) {
		const struct sonde__record *record = intake->refs[i].record;

		if (record && record->type == SONDE__RECORD_AGAIN &&
		    sonde__record_is_valid(record, record->size))
			entry_add(again, ((const struct sonde__error_record *)record)->event_id, i);
	}
}

/*
 * The next record of this id in the order of the slots, begun with *slot = UINT32_MAX; NULL: none.
 * What the caller takes it takes out of the intake.
 */
static struct sonde__record_ref *entry_next(struct sonde__pipeline *pipeline, uint64_t event_id,
					    uint32_t *slot)
{
	struct sonde__again *again = &pipeline->again;

	if (!again->n)
		return NULL;
	*slot = *slot == UINT32_MAX ? (uint32_t)sonde__mix64(event_id) % SLOTS :
				      (*slot + 1) % SLOTS;
	for (; again->entries[*slot].at; *slot = (*slot + 1) % SLOTS) {
		struct sonde__record_ref *ref =
			&pipeline->intake.refs[again->entries[*slot].at - 1];

		if (again->entries[*slot].event_id == event_id && ref->record)
			return ref;
	}
	return NULL;
}

/* ---- With its error -------------------------------------------------------------------------- */

static size_t append(char *text, size_t length, const struct sonde__error_record *record)
{
	const struct sonde__error_link *walk = NULL;
	struct sonde__error_link_view link;

	while (sonde__error_record_next(record, &walk, &link)) {
		size_t room = SONDE__AGAIN_TEXT_SIZE - length;
		int wanted = snprintf(text + length, room,
				      "captured again: %.*s: %.*s (%.*s:%u in %.*s)\n",
				      (int)link.type.size, link.type.data, (int)link.message.size,
				      link.message.data, (int)link.file.size, link.file.data,
				      (unsigned)link.line, (int)link.function.size,
				      link.function.data);

		/* A line that has no room is left out. */
		if (wanted > 0 && (size_t)wanted < room)
			length += (size_t)wanted;
	}
	text[length] = '\0';
	return length;
}

void sonde__again_read(struct sonde__pipeline *pipeline, uint64_t event_id, struct sonde_text *ret)
{
	struct sonde__record_ref *ref;
	uint32_t slot = UINT32_MAX;
	size_t length = 0;

	while ((ref = entry_next(pipeline, event_id, &slot)) != NULL) {
		length = append(pipeline->again.text, length, (const void *)ref->record);
		sonde__ledger_lock(pipeline);
		pipeline->ledger.joined++;
		sonde__box_release(ref);
		sonde__ledger_unlock(pipeline);
		ref->record = NULL;
	}
	*ret = (struct sonde_text){ pipeline->again.text, length };
}

void sonde__again_drop(struct sonde__pipeline *pipeline, uint64_t event_id)
{
	struct sonde__record_ref *ref;
	uint32_t slot = UINT32_MAX;

	while ((ref = entry_next(pipeline, event_id, &slot)) != NULL) {
		sonde__triage_lose(pipeline, ref, SONDE_LOSS_LIMITED);
		ref->record = NULL;
	}
}

/* ---- Alone ----------------------------------------------------------------------------------- */

static bool may_say(struct sonde__pipeline *pipeline)
{
	struct sonde__again *again = &pipeline->again;
	const struct sonde__flood_options options = {
		.group = { .burst = LOGS_BURST,
			   .period_ns = pipeline->options.flood.group.period_ns ? LOGS_PERIOD_NS :
										  0 },
	};

	if (!again->is_open) {
		sonde__limiter_init(&again->limiter, &options, pipeline->now_ns);
		sonde__limiter_share_init(&again->limiter, &again->share, pipeline->now_ns);
	}
	again->is_open = true;
	return sonde__limiter_admit(&again->limiter, &again->share, /* n_active= */ 1,
				    pipeline->now_ns);
}

void sonde__again_alone(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref)
{
	if (!pipeline->is_taken[SONDE_SIGNAL_LOG])
		sonde__triage_lose(pipeline, ref, SONDE_LOSS_NO_EXPORTER);
	else if (!may_say(pipeline))
		sonde__triage_lose(pipeline, ref, SONDE_LOSS_LIMITED);
	else
		sonde__batch_add_again(pipeline, ref);
}

int sonde__again_view_make(struct sonde__view_maker *maker,
			   const struct sonde__error_record *record, struct sonde_log_view *ret)
{
	const struct sonde__error_link *walk = NULL;
	struct sonde__error_link_view link = { 0 };
	struct sonde_attr attrs[ATTRS_MAX];
	struct sonde_bytes low;
	char id[17];
	size_t n = 0;
	int status;

	(void)sonde__error_record_next(record, &walk, &link);
	*ret = (struct sonde_log_view){
		.unix_ns = sonde__view_time(maker, record->head.time,
					    record->head.flags & SONDE__RECORD_TIME_IS_UNIX),
		.body = link.message,
		.event_name = { "sonde.error.again", 17 },
		.severity = SONDE_DEBUG,
		.trace_flags = record->trace_flags,
	};
	ret->observed_unix_ns = ret->unix_ns;
	memcpy(ret->trace_id, record->trace_id, sizeof(ret->trace_id));
	memcpy(ret->span_id, record->span_id, sizeof(ret->span_id));
	(void)snprintf(id, sizeof(id), "%016llx", (unsigned long long)record->event_id);
	attrs[n++] = sonde_str("sonde.error.id", id);
	attrs[n++] = sonde_strn("error.type", link.type.data, link.type.size);
	if (link.function.size)
		attrs[n++] = sonde_strn("code.function.name", link.function.data,
					link.function.size);
	if (link.file.size)
		attrs[n++] = sonde_strn("code.file.path", link.file.data, link.file.size);
	if (link.line)
		attrs[n++] = sonde_int("code.line.number", link.line);
	status = sonde__view_encode(maker, attrs, n, &low);
	if (status < 0)
		return status;
	return sonde__view_finish_log(maker, low, (struct sonde_bytes){ NULL, 0 }, ret);
}
