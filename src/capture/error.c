/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A captured error: one record with the whole chain, so that it can be read when the objects, the
 * thread or the process are gone. Which of the two forms it is sent in, span event and log record,
 * is decided here, because here it is known whether there is a span that can bear the event.
 *
 * A chain may be longer than a record: then the links in its middle are left out, because the
 * outermost error says what failed and the root cause why.
 */

#include <errno.h>
#include <string.h>

#include <sonde/capture.h>

#include "base/clock.h"
#include "base/text.h"
#include "box/box.h"
#include "capture/part.h"
#include "capture/state.h"
#include "context/context.h"
#include "error/error.h"
#include "record/varint.h"

#define ROOM (SONDE__RECORD_MAX_SIZE - sizeof(struct sonde__error_record))
#define LINKS_ROOM (ROOM * 3 / 4)
#define TYPE_MAX_SIZE 255
#define TEXT_MAX_SIZE 1023

/* One error of the chain, measured. */
struct link {
	const struct sonde_error *error;
	struct sonde_text type;
	struct sonde_text message;
	struct sonde_text file;
	struct sonde_text function;
	bool has_room; /* For the attributes. */
};

/* What the record will hold. */
struct plan {
	struct link links[SONDE__ERROR_CHAIN_MAX];
	size_t n_links;
	size_t links_size;
	const uint64_t *frames;
	size_t n_frames;
	size_t fields_size;
	uint32_t n_dropped;
	uint8_t flags;
};

static struct sonde_text text_of(const char *text, size_t limit, uint8_t *flags)
{
	size_t size = text ? strnlen(text, limit + 4) : 0;
	size_t kept = text ? sonde__utf8_cut(text, size, limit) : 0;

	if (kept < size)
		*flags |= SONDE__RECORD_TEXT_CUT;
	return (struct sonde_text){ text, kept };
}

static size_t link_size(const struct link *link)
{
	size_t size = sizeof(struct sonde__error_link) + link->type.size + link->message.size +
		      link->file.size + link->function.size;

	return (size + 7) & ~(size_t)7;
}

static void link_measure(const struct sonde_error *error, uint8_t *flags, struct link *ret)
{
	ret->error = error;
	ret->type = text_of(sonde__error_type_name(error), TYPE_MAX_SIZE, flags);
	ret->message = text_of(sonde_error_message(error), TEXT_MAX_SIZE, flags);
	ret->file = text_of(sonde_error_file(error), TEXT_MAX_SIZE, flags);
	ret->function = text_of(sonde_error_function(error), TYPE_MAX_SIZE, flags);
}

/* The outermost errors as far as they fit with the root cause, which comes last. */
static void plan_links(struct plan *plan, const struct sonde_error *error)
{
	const struct sonde_error *root = sonde__error_root(error);
	struct link last;

	link_measure(root, &plan->flags, &last);
	plan->links_size = link_size(&last);
	for (; error && error != root && plan->n_links < SONDE__ERROR_CHAIN_MAX - 1;
	     error = sonde_error_cause(error)) {
		struct link *link = &plan->links[plan->n_links];

		link_measure(error, &plan->flags, link);
		if (plan->links_size + link_size(link) > LINKS_ROOM) {
			plan->flags |= SONDE__RECORD_TEXT_CUT;
			break;
		}
		plan->links_size += link_size(link);
		plan->n_links++;
	}
	plan->links[plan->n_links++] = last;
}

static uint32_t attributes_count(struct sonde_bytes fields)
{
	const uint8_t *at = fields.data;
	const uint8_t *end = at + fields.size;
	uint32_t n = 0;
	uint64_t size;

	/* Encoded by ourselves: a tag of one byte, a length, a body. */
	while (at < end) {
		at++;
		if (!sonde__varint_get(&at, end, &size))
			break;
		at += size;
		n++;
	}
	return n;
}

/*
 * Every error's attributes as far as they fit; from the root outwards, so that the outermost count.
 */
static void plan_attributes(struct plan *plan)
{
	size_t room = ROOM - plan->links_size - plan->n_frames * sizeof(uint64_t);

	for (size_t i = plan->n_links; i-- > 0;) {
		uint16_t n_dropped = 0;
		struct sonde_bytes fields = sonde__error_attributes(plan->links[i].error,
								    &n_dropped);

		plan->n_dropped += n_dropped;
		plan->links[i].has_room = fields.size <= room - plan->fields_size;
		if (plan->links[i].has_room)
			plan->fields_size += fields.size;
		else
			plan->n_dropped += attributes_count(fields);
	}
}

static uint8_t *link_put(uint8_t *at, const struct link *link)
{
	struct sonde__error_link head = {
		.line = (uint32_t)sonde_error_line(link->error),
		.errno_value = (uint32_t)sonde_error_errno(link->error),
		.n_omitted = sonde__error_n_omitted(link->error),
		.type_size = (uint16_t)link->type.size,
		.message_size = (uint16_t)link->message.size,
		.file_size = (uint16_t)link->file.size,
		.function_size = (uint16_t)link->function.size,
	};
	uint8_t *end = at + link_size(link);

	at = sonde__bytes_put(at, &head, sizeof(head));
	at = sonde__bytes_put(at, link->type.data, link->type.size);
	at = sonde__bytes_put(at, link->message.data, link->message.size);
	at = sonde__bytes_put(at, link->file.data, link->file.size);
	at = sonde__bytes_put(at, link->function.data, link->function.size);
	memset(at, 0, (size_t)(end - at));
	return end;
}

static void attributes_put(uint8_t *at, const struct plan *plan)
{
	for (size_t i = plan->n_links; i-- > 0;) {
		uint16_t n_dropped;
		struct sonde_bytes fields = sonde__error_attributes(plan->links[i].error,
								    &n_dropped);

		if (plan->links[i].has_room)
			at = sonde__bytes_put(at, fields.data, fields.size);
	}
}

/*
 * An event needs a span of this process that will be exported; where there is none, and where the
 * options ask for it, the error is a log record.
 */
static uint8_t forms_choose(void)
{
	const struct sonde__context_words *context = sonde__context_current();
	uint32_t signal = SONDE__SETTING(exception_signal);
	bool has_span = context->span_id && !(context->flags & SONDE__CONTEXT_REMOTE) &&
			(context->flags & SONDE_TRACE_FLAG_SAMPLED);
	uint8_t flags = 0;

	if (has_span && (signal & SONDE_EXCEPTION_SPAN_EVENT))
		flags |= SONDE__RECORD_WITH_EVENT;
	if ((signal & SONDE_EXCEPTION_LOG) || !flags)
		flags |= SONDE__RECORD_WITH_LOG;
	return flags;
}

static void head_fill(struct sonde__error_record *record, const struct plan *plan,
		      const struct sonde_error *error, uint64_t event_id)
{
	const struct sonde__context_words context = *sonde__context_current();

	memset(record, 0, sizeof(*record));
	record->head.type = SONDE__RECORD_ERROR;
	record->head.flags = plan->flags;
	record->head.n_dropped_attributes =
		(uint16_t)(plan->n_dropped < UINT16_MAX ? plan->n_dropped : UINT16_MAX);
	record->head.time = sonde__ticks();
	record->event_id = event_id;
	record->severity = (uint8_t)sonde__error_severity(error);
	record->n_links = (uint8_t)plan->n_links;
	record->n_frames = (uint8_t)plan->n_frames;
	record->fields_size = (uint16_t)plan->fields_size;
	record->http_status = (uint16_t)sonde__error_http_status(error);
	record->format = sonde__error_format_address(sonde__error_root(error));
	if (!context.span_id)
		return;
	memcpy(record->trace_id, &context.trace_id, sizeof(record->trace_id));
	memcpy(record->span_id, &context.span_id, sizeof(record->span_id));
	record->trace_flags = (uint8_t)context.flags;
}

/* As the log record will say it: the outermost error's type, and where that was raised. */
static void error_count(const struct link *link)
{
	const struct sonde__site_view place = {
		.name = link->type.size ? link->type : (struct sonde_text){ "_OTHER", 6 },
		.file = link->file,
		.function = link->function,
		.line = (uint32_t)sonde_error_line(link->error),
		.kind = SONDE__SITE_ERROR,
	};

	sonde__errors_count(&place);
}

static void error_write(const struct sonde_error *error, uint64_t event_id)
{
	struct plan plan;
	struct sonde__error_record *record;
	struct sonde__slot slot;
	enum sonde_signal signal;
	uint8_t *at;
	size_t size;

	plan.n_links = plan.fields_size = 0;
	plan.n_dropped = 0;
	plan.flags = forms_choose();
	signal = plan.flags & SONDE__RECORD_WITH_LOG ? SONDE_SIGNAL_LOG : SONDE_SIGNAL_PART;
	plan.n_frames = sonde__error_frames(sonde__error_root(error), &plan.frames);
	plan_links(&plan, error);
	error_count(&plan.links[0]);
	plan_attributes(&plan);
	size = sizeof(*record) + plan.links_size + plan.n_frames * sizeof(uint64_t) +
	       plan.fields_size;
	if (!sonde__box_reserve(size, signal, /* urgent= */ true, &slot))
		return;
	record = slot.record;
	head_fill(record, &plan, error, event_id);
	record->head.size = (uint32_t)size;
	at = (uint8_t *)(record + 1);
	for (size_t i = 0; i < plan.n_links; i++)
		at = link_put(at, &plan.links[i]);
	at = sonde__bytes_put(at, plan.frames, plan.n_frames * sizeof(uint64_t));
	attributes_put(at, &plan);
	sonde__box_commit(&slot);
}

void sonde__error_capture(struct sonde_error *error)
{
	int saved_errno = errno;
	uint64_t event_id;
	uint64_t earlier_id;

	if (!error || !sonde__capture_enter())
		return;
	event_id = sonde__identity_draw();
	if (!sonde__error_mark_captured(error, event_id, &earlier_id)) {
		/* Where the span gets an event it gets the status, sampled or not. */
		if (SONDE__SETTING(exception_signal) & SONDE_EXCEPTION_SPAN_EVENT)
			sonde__current_say(SONDE__CONTEXT_ERROR);
		error_write(error, event_id);
	}
	errno = saved_errno;
}
