/* SPDX-License-Identifier: Apache-2.0 */
#include "webhook/alert.h"

#include <string.h>

static void read_text(struct sonde__webhook_alert *alert, struct sonde_text key,
		      struct sonde_text value)
{
	const struct {
		const char *key;
		struct sonde_text *to;
	} texts[] = {
		{ "exception.type", &alert->type },
		{ "exception.message", &alert->message },
		{ "sonde.error.fingerprint", &alert->fingerprint },
		{ "sonde.error.id", &alert->id },
		{ "code.function.name", &alert->function },
		{ "code.file.path", &alert->file },
		{ "service.version", &alert->version },
		{ "deployment.environment.name", &alert->environment },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (sonde__webhook_text_is(key, texts[i].key)) {
			*texts[i].to = value;
			return;
		}
	}
}

static void read_attribute(struct sonde__webhook_alert *alert, const struct sonde_item_view *item)
{
	const struct sonde_value_view *value = &item->value;

	if (value->type == SONDE_VALUE_STR)
		read_text(alert, item->name, value->as.string);
	else if (value->type == SONDE_VALUE_INT && sonde__webhook_text_is(item->name, "code.line.number"))
		alert->line = value->as.integer;
	else if (value->type != SONDE_VALUE_BOOL || !value->as.boolean)
		return;
	else if (sonde__webhook_text_is(item->name, "sonde.error.first_seen"))
		alert->reasons |= SONDE__WEBHOOK_FIRST_SEEN;
	else if (sonde__webhook_text_is(item->name, "sonde.error.regressed"))
		alert->reasons |= SONDE__WEBHOOK_REGRESSED;
}

static void read_attributes(struct sonde__webhook_alert *alert, enum sonde_fields fields,
			    struct sonde_bytes rest)
{
	struct sonde_item_view item;

	while (sonde_item_next(fields, &rest, &item))
		if (item.type == SONDE_ITEM_ATTRIBUTE)
			read_attribute(alert, &item);
}

/* True where it is an alert. */
static bool read_log(const struct sonde_log_view *log, unsigned int wanted,
		     struct sonde__webhook_alert *ret)
{
	bool is_fatal = log->severity >= SONDE_FATAL && (wanted & SONDE__WEBHOOK_FATAL);
	bool is_exception = sonde__webhook_text_is(log->event_name, "exception");

	if (!is_exception && !is_fatal)
		return false;
	*ret = (struct sonde__webhook_alert){ .unix_ns = log->unix_ns, .severity = log->severity };
	memcpy(ret->trace_id, log->trace_id, sizeof(ret->trace_id));
	memcpy(ret->span_id, log->span_id, sizeof(ret->span_id));
	for (size_t i = 0; i < log->n_pieces; i++)
		read_attributes(ret, SONDE_FIELDS_LOG, log->pieces[i]);
	/* Marks on anything else are somebody's own. */
	if (!is_exception)
		ret->reasons = 0;
	if (is_fatal)
		ret->reasons |= SONDE__WEBHOOK_FATAL;
	ret->reasons &= wanted;
	if (!ret->message.size)
		ret->message = log->body;
	return ret->reasons != 0;
}

static bool read_event(const struct sonde_span_view *span, const struct sonde_item_view *event,
		       unsigned int wanted, struct sonde__webhook_alert *ret)
{
	if (event->type != SONDE_ITEM_EVENT || !sonde__webhook_text_is(event->name, "exception"))
		return false;
	*ret = (struct sonde__webhook_alert){ .unix_ns = event->unix_ns };
	memcpy(ret->trace_id, span->trace_id, sizeof(ret->trace_id));
	memcpy(ret->span_id, span->span_id, sizeof(ret->span_id));
	read_attributes(ret, SONDE_FIELDS_EVENT, event->attributes);
	ret->reasons &= wanted;
	return ret->reasons != 0;
}

static bool next_event(struct sonde__webhook_walk *walk, const struct sonde_span_view *span,
		       struct sonde__webhook_alert *ret)
{
	struct sonde_item_view item;

	for (; walk->piece < span->n_pieces; walk->piece++, walk->is_inside = false) {
		if (!walk->is_inside)
			walk->rest = span->pieces[walk->piece];
		walk->is_inside = true;
		while (sonde_item_next(SONDE_FIELDS_SPAN, &walk->rest, &item))
			if (read_event(span, &item, walk->wanted, ret))
				return true;
	}
	walk->piece = 0;
	return false;
}

void sonde__webhook_walk_init(struct sonde__webhook_walk *walk, const struct sonde_batch *batch,
			      unsigned int wanted)
{
	*walk = (struct sonde__webhook_walk){ .batch = batch, .wanted = wanted };
}

bool sonde__webhook_walk_next(struct sonde__webhook_walk *walk, struct sonde__webhook_alert *ret)
{
	const struct sonde_batch *batch = walk->batch;
	bool is_span = batch->signal == SONDE_SIGNAL_SPAN;

	while (walk->next_item < batch->n_items) {
		walk->item = walk->next_item;
		if (is_span && next_event(walk, &batch->spans[walk->item], ret))
			return true;
		walk->next_item++;
		if (!is_span && read_log(&batch->logs[walk->item], walk->wanted, ret))
			return true;
	}
	return false;
}

size_t sonde__webhook_count_items(const struct sonde_batch *batch, unsigned int wanted)
{
	struct sonde__webhook_walk walk;
	struct sonde__webhook_alert alert;
	size_t last = SIZE_MAX;
	size_t n = 0;

	sonde__webhook_walk_init(&walk, batch, wanted);
	while (sonde__webhook_walk_next(&walk, &alert)) {
		n += walk.item != last;
		last = walk.item;
	}
	return n;
}
