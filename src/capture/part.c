/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts, and the calls that say something about the current span without having it in hand.
 *
 * A part is sized first and then written in place. Where its content is more than a record can be
 * it takes the largest record, and the encoders cut.
 */

#include "capture/part.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "box/box.h"
#include "capture/state.h"
#include "context/context.h"

#define ROOM (SONDE__RECORD_MAX_SIZE - sizeof(struct sonde__part_record))

/* Bytes of the fields; more than ROOM where they must be cut. */
static size_t fields_size(const struct sonde__part *part)
{
	size_t size = 0;

	if (part->event)
		size = sonde__event_size(part->event);
	else if (part->link)
		size = sonde__link_size(part->link);
	else if (!part->n_attrs)
		return 0;
	for (size_t i = 0; i < part->n_attrs && size <= ROOM; i++) {
		size_t one = sonde__attr_size(&part->attrs[i]);

		size = one ? size + one : SIZE_MAX;
	}
	return size ? size : SIZE_MAX;
}

/* Writes the fields, cut to `room`. */
static size_t fields_put(const struct sonde__part *part, struct sonde__part_record *record,
			 uint8_t *at, size_t room)
{
	size_t used = 0;
	bool cut = false;

	if (part->event)
		used = sonde__event_encode_cut(part->event, at, room, &cut);
	else if (part->link)
		used = sonde__link_encode_cut(part->link, at, room, &cut);
	for (size_t i = 0; i < part->n_attrs; i++) {
		size_t one = sonde__attr_encode_cut(SONDE__TAG_SPAN_ATTRIBUTE, &part->attrs[i],
						    at + used, room - used, &cut);

		used += one;
		record->head.n_dropped_attributes += !one;
	}
	if (cut)
		record->head.flags |= SONDE__RECORD_TEXT_CUT;
	return used;
}

static void head_fill(struct sonde__part_record *record, const struct sonde__part *part,
		      size_t size)
{
	memset(record, 0, sizeof(*record));
	record->head.size = (uint32_t)size;
	record->head.type = SONDE__RECORD_PART;
	record->head.time = sonde__ticks();
	memcpy(record->trace_id, part->context->trace_id, sizeof(record->trace_id));
	memcpy(record->span_id, part->context->span_id, sizeof(record->span_id));
	record->status = (uint8_t)part->status;
	record->trace_flags = part->context->trace_flags;
}

/* The text's size, cut to what is left of the room. */
static size_t text_fit(struct sonde_text text, size_t used)
{
	return text.size > ROOM - used ? sonde__utf8_cut(text.data, text.size, ROOM - used)
				       : text.size;
}

void sonde__part_write(const struct sonde__part *part)
{
	size_t name_size = text_fit(part->name, /* used= */ 0);
	size_t description_size = text_fit(part->description, name_size);
	size_t size = fields_size(part);
	struct sonde__part_record *record;
	struct sonde__slot slot;
	uint8_t *at;

	if (size > ROOM - name_size - description_size)
		size = ROOM - name_size - description_size;
	if (!sonde__box_reserve(sizeof(*record) + name_size + description_size + size,
				SONDE_SIGNAL_PART,
				/* urgent= */ false, &slot))
		return;
	record = slot.record;
	head_fill(record, part, sizeof(*record) + name_size + description_size + size);
	if (name_size < part->name.size || description_size < part->description.size)
		record->head.flags |= SONDE__RECORD_TEXT_CUT;
	record->name_size = (uint16_t)name_size;
	record->description_size = (uint16_t)description_size;
	at = sonde__bytes_put((uint8_t *)(record + 1), part->name.data, name_size);
	at = sonde__bytes_put(at, part->description.data, description_size);
	record->fields_size = (uint16_t)fields_put(part, record, at, size);
	sonde__box_commit(&slot);
}

/*
 * ---- The current span
 * -------------------------------------------------------------------------------
 */

bool sonde__current_span(struct sonde_context *ret)
{
	*ret = sonde__thread.current;
	return sonde_context_is_valid(ret) && (ret->trace_flags & SONDE_TRACE_FLAG_SAMPLED);
}

/* As above, for a part, which is counted where its span was not sampled. */
static bool part_begin(struct sonde_context *ret)
{
	if (!sonde__capture_enter())
		return false;
	if (sonde__current_span(ret))
		return true;
	if (sonde_context_is_valid(ret))
		sonde__box_count_unsampled(SONDE_SIGNAL_PART);
	return false;
}

void sonde__current_set(const struct sonde_attr *attr)
{
	struct sonde_context context;
	struct sonde__part part = { .context = &context, .attrs = attr, .n_attrs = 1 };

	if (attr && attr->key && *attr->key && part_begin(&context))
		sonde__part_write(&part);
}

void sonde__current_add_event(const char *name, const struct sonde_attr *attrs, size_t n_attrs)
{
	struct sonde_context context;
	struct sonde__event event = { .name = name && *name ? name : "unnamed",
				      .attrs = attrs,
				      .n_attrs = attrs ? n_attrs : 0 };
	struct sonde__part part = { .context = &context, .event = &event };

	if (!part_begin(&context))
		return;
	event.name_size = strlen(event.name);
	event.time = sonde__ticks();
	sonde__part_write(&part);
}

void sonde__current_say(uint64_t said)
{
	struct sonde__context_words *current = sonde__context_current();

	/* A caller's span in another process is not ours to count. */
	if (current->span_id && !(current->flags & SONDE__CONTEXT_REMOTE))
		current->flags |= said;
}

void sonde__current_fail(const char *type)
{
	const struct sonde_attr attr = sonde_str("error.type", type);
	struct sonde_context context;
	struct sonde__part part = {
		.context = &context, .status = SONDE_SPAN_ERROR, .attrs = &attr, .n_attrs = 1
	};

	if (sonde__context_current()->flags &
	    (SONDE__CONTEXT_STATUS | SONDE__CONTEXT_ANSWERED | SONDE__CONTEXT_REMOTE))
		return;
	sonde__current_say(SONDE__CONTEXT_ERROR);
	if (part_begin(&context))
		sonde__part_write(&part);
}

void sonde__current_set_status(enum sonde_span_status status, const char *description)
{
	struct sonde_context context;
	struct sonde__part part = { .context = &context, .status = status };

	if (status != SONDE_SPAN_OK && status != SONDE_SPAN_ERROR)
		return;
	sonde__current_say(status == SONDE_SPAN_OK ? SONDE__CONTEXT_OK : SONDE__CONTEXT_ERROR);
	if (!part_begin(&context))
		return;
	if (status == SONDE_SPAN_ERROR && description)
		part.description = (struct sonde_text){ description, strlen(description) };
	sonde__part_write(&part);
}
