/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said about a span that is in hand besides its attributes: events, links, status, name. It
 * is encoded straight into the span's memory; what does not fit there becomes a part.
 */

#include <string.h>

#include <sonde/span.h>

#include "base/clock.h"
#include "base/text.h"
#include "capture/part.h"
#include "capture/span.h"
#include "capture/span_fields.h"
#include "context/context.h"

/*
 * ---- Events and links
 * -------------------------------------------------------------------------------
 */

void sonde__span_add_event(struct sonde_span *memory, const char *name, uint64_t unix_ns,
			   const struct sonde_attr *attrs, size_t n_attrs)
{
	struct sonde__span *span = sonde__span_recording(memory);
	struct sonde__event event = { .name = name && *name ? name : "unnamed",
				      .time = unix_ns,
				      .time_is_unix = unix_ns != 0,
				      .attrs = attrs,
				      .n_attrs = attrs ? n_attrs : 0 };
	struct sonde__part part = { .event = &event };

	if (!span)
		return;
	if (span->n_events >= SONDE__SETTING(max_events)) {
		sonde__count_up(&span->n_dropped_events);
		return;
	}
	sonde__count_up(&span->n_events);
	event.name_size = strlen(event.name);
	if (!unix_ns)
		event.time = sonde__ticks();
	if (sonde__span_fields_take(span, sonde__event_encode(&event, sonde__span_fields_end(span),
							      sonde__span_fields_room(span))))
		return;
	sonde__span_fields_spill(span);
	part.context = &span->context;
	sonde__part_write(&part);
}

/* Span.Link.flags: the trace flags, "remoteness is known", "is remote". */
static uint32_t link_flags(const struct sonde_context *to)
{
	return (uint32_t)to->trace_flags | 0x100 | (to->is_remote ? 0x200 : 0);
}

static void link_write(struct sonde__span *span, struct sonde__link *link)
{
	struct sonde__part part = { .context = &span->context, .link = link };

	if (sonde__span_fields_take(span, sonde__link_encode(link, sonde__span_fields_end(span),
							     sonde__span_fields_room(span))))
		return;
	sonde__span_fields_spill(span);
	sonde__part_write(&part);
}

void sonde__span_add_link(struct sonde_span *memory, const struct sonde_context *to,
			  const struct sonde_attr *attrs, size_t n_attrs)
{
	struct sonde__span *span = sonde__span_recording(memory);
	struct sonde__link link = { .attrs = attrs, .n_attrs = attrs ? n_attrs : 0 };
	char trace_state[SONDE_TRACESTATE_LENGTH];

	if (!span || !to)
		return;
	link.trace_state = trace_state;
	link.trace_state_size =
		sonde__tracestate_read(to->extension[SONDE__EXTENSION_TRACESTATE], trace_state);
	/* A link to nowhere is one only where it says something. */
	if (!sonde_context_is_valid(to) && !link.n_attrs && !link.trace_state_size)
		return;
	if (span->n_links >= SONDE__SETTING(max_links)) {
		sonde__count_up(&span->n_dropped_links);
		return;
	}
	sonde__count_up(&span->n_links);
	memcpy(link.trace_id, to->trace_id, sizeof(link.trace_id));
	memcpy(link.span_id, to->span_id, sizeof(link.span_id));
	link.flags = link_flags(to);
	link_write(span, &link);
}

/*
 * ---- Texts
 * ------------------------------------------------------------------------------------------
 */

/* Copies the text over the one before or next to the others; false where there is no room. */
static bool text_keep(struct sonde__span *span, const char *text, size_t size, uint16_t *at,
		      uint16_t *kept)
{
	if (size > *kept) {
		if (size > (size_t)(SONDE__SPAN_BYTES - span->texts_size - span->fields_size))
			return false;
		span->texts_size = (uint16_t)(span->texts_size + size);
		*at = (uint16_t)(SONDE__SPAN_BYTES - span->texts_size);
	}
	*kept = (uint16_t)size;
	memcpy(span->bytes + *at, text, size);
	return true;
}

static void name_spill(struct sonde__span *span, const char *name, size_t size)
{
	struct sonde__part part = { .context = &span->context, .name = { name, size } };

	if (!(span->own_flags & SONDE__SPAN_NAME_IN_PART)) {
		size_t kept = sonde__utf8_cut(name, size, SONDE__SPAN_NAME_KEPT);

		text_keep(span, name, kept, &span->name_at, &span->name_size);
	}
	span->own_flags |= SONDE__SPAN_NAME_IN_PART;
	span->record_flags |= SONDE__RECORD_HAS_PARTS;
	sonde__part_write(&part);
}

void sonde__span_name(struct sonde__span *span, const char *name, size_t size)
{
	if ((span->own_flags & SONDE__SPAN_NAME_IN_PART) || size > SONDE__SPAN_BYTES / 2 ||
	    !text_keep(span, name, size, &span->name_at, &span->name_size))
		name_spill(span, name, size);
}

void sonde__span_set_name(struct sonde_span *memory, const char *name)
{
	struct sonde__span *span = sonde__span_recording(memory);

	if (span && name && *name)
		sonde__span_name(span, name, strlen(name));
}

static void description_set(struct sonde__span *span, const char *text)
{
	size_t size = text ? strlen(text) : 0;
	struct sonde__part part = { .context = &span->context,
				    .status = SONDE_SPAN_ERROR,
				    .description = { text, size } };

	if (!(span->own_flags & SONDE__SPAN_DESCRIPTION_IN_PART) && size <= SONDE__SPAN_BYTES / 2 &&
	    text_keep(span, text ? text : "", size, &span->description_at, &span->description_size))
		return;
	span->own_flags |= SONDE__SPAN_DESCRIPTION_IN_PART;
	span->record_flags |= SONDE__RECORD_HAS_PARTS;
	span->description_size = 0;
	sonde__part_write(&part);
}

/* Of a span that is not recorded only the figures want to know whether it failed. */
static SONDE__COLD void status_pass(struct sonde__span *span, enum sonde_span_status status)
{
	if (span && span->memento == sonde__memento(SONDE__MAGIC_SPAN, SONDE__PASSING) &&
	    span->status != SONDE_SPAN_OK &&
	    (status == SONDE_SPAN_OK || status == SONDE_SPAN_ERROR))
		span->status = (uint8_t)status;
}

void sonde__span_set_status(struct sonde_span *memory, enum sonde_span_status status,
			    const char *description)
{
	struct sonde__span *span = sonde__span_recording(memory);

	if (SONDE__UNLIKELY(!span)) {
		status_pass((struct sonde__span *)memory, status);
		return;
	}
	if (span->status == SONDE_SPAN_OK)
		return;
	if (status == SONDE_SPAN_OK) {
		span->status = SONDE_SPAN_OK;
		span->description_size = 0;
	} else if (status == SONDE_SPAN_ERROR) {
		span->status = SONDE_SPAN_ERROR;
		description_set(span, description);
	}
}
