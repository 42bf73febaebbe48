/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer leaves behind. By the conventions for HTTP a server's span has failed from 500 on,
 * and with a 4xx it has not: the service did what it is for.
 *
 *	status   worst in the chain   the error                          the span
 *	5xx      any                  captured                           status ERROR, error.type
 *	4xx      from ERROR on        captured, without a span event     left as it is
 *	4xx      below                a log record of its severity       left as it is
 *
 * The third line keeps clients' mistakes out of the count of errors, and out of alerts; the second
 * one keeps a failed dependency in them, whatever the client is told.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sonde/capture.h>
#include <sonde/problem.h>

#include "base/clock.h"
#include "box/box.h"
#include "capture/error_plan.h"
#include "capture/part.h"
#include "capture/problem.h"
#include "capture/state.h"
#include "context/context.h"
#include "record/attribute.h"

#define CAUSE_SIZE 384
#define LOG_ATTRS_MAX 8

static enum sonde_level worst_severity(const struct sonde_error *error)
{
	struct sonde__error_walk walk = { .next = error };
	enum sonde_level worst = SONDE_TRACE;

	while ((error = sonde__error_walk(&walk)) != NULL)
		if (sonde__error_severity(error) > worst)
			worst = sonde__error_severity(error);
	return worst;
}

/* ---- The log record of an expected error ----------------------------------------------------- */

/* What the error says besides its own attributes. */
static size_t attrs_collect(const struct sonde_error *error, int status, char cause[CAUSE_SIZE],
			    struct sonde_attr attrs[LOG_ATTRS_MAX])
{
	const struct sonde_error *root = sonde__error_root(error);
	size_t n = 0;

	attrs[n++] = sonde_str("error.type", sonde__error_type_name(error));
	attrs[n++] = sonde_int("http.response.status_code", status);
	if (sonde_error_function(error)[0])
		attrs[n++] = sonde_str("code.function.name", sonde_error_function(error));
	if (sonde_error_file(error)[0])
		attrs[n++] = sonde_str("code.file.path", sonde_error_file(error));
	if (sonde_error_line(error) > 0)
		attrs[n++] = sonde_int("code.line.number", sonde_error_line(error));
	if (sonde_error_detail(error)[0])
		attrs[n++] = sonde_str("sonde.error.detail", sonde_error_detail(error));
	if (root != error) {
		(void)sonde_error_format(root, cause, CAUSE_SIZE);
		attrs[n++] = sonde_str("sonde.error.cause", cause);
	}
	return n;
}

static void head_fill(struct sonde__log_record *record, const struct sonde_error *error,
		      size_t size)
{
	const struct sonde__context_words context = *sonde__context_current();

	memset(record, 0, sizeof(*record));
	record->head.size = (uint32_t)size;
	record->head.type = SONDE__RECORD_LOG;
	record->head.time = sonde__ticks();
	record->severity = (uint8_t)sonde__error_severity(error);
	if (!context.span_id)
		return;
	memcpy(record->trace_id, &context.trace_id, sizeof(record->trace_id));
	memcpy(record->span_id, &context.span_id, sizeof(record->span_id));
	record->trace_flags = (uint8_t)context.flags;
}

static void expected_log(const struct sonde_error *error, int status)
{
	const size_t body_size = strlen(sonde_error_message(error));
	struct sonde_attr attrs[LOG_ATTRS_MAX];
	struct sonde__error_plan plan;
	struct sonde__log_record *record;
	struct sonde__slot slot;
	char cause[CAUSE_SIZE];
	size_t n_attrs = attrs_collect(error, status, cause, attrs);
	size_t fields_size = 0;
	size_t size;
	uint8_t *at;

	(void)sonde__error_plan_make(&plan, error);
	for (size_t i = 0; i < n_attrs; i++)
		fields_size += sonde__attr_size(&attrs[i]);
	size = sizeof(*record) + body_size + fields_size;
	if (size + plan.fields_size > SONDE__RECORD_MAX_SIZE)
		sonde__error_plan_drop_fields(&plan);
	size += plan.fields_size;
	fields_size += plan.fields_size;
	if (!sonde__box_reserve(size, SONDE_SIGNAL_LOG, /* urgent= */ false, &slot))
		return;
	record = slot.record;
	head_fill(record, error, size);
	record->head.n_dropped_attributes =
		(uint16_t)(plan.n_dropped < UINT16_MAX ? plan.n_dropped : UINT16_MAX);
	record->body_size = (uint16_t)body_size;
	record->fields_size = (uint16_t)fields_size;
	at = sonde__bytes_put((uint8_t *)(record + 1), sonde_error_message(error), body_size);
	/* Of a key that is there twice the last one counts: what the error is. */
	sonde__error_plan_write_fields(&plan, at);
	at += plan.fields_size;
	for (size_t i = 0; i < n_attrs; i++)
		at += sonde__attr_encode(SONDE__TAG_LOG_ATTRIBUTE, &attrs[i], at, size);
	sonde__box_commit(&slot);
}

/* ---- What happens to the span ---------------------------------------------------------------- */

/*
 * Said in one part: the status code, unless 0, and that the span has failed. A caller's span in
 * another process is not told: no span of this one would take the part.
 */
static void span_tell(const struct sonde_error *error, int status, bool has_failed)
{
	struct sonde_attr attrs[2];
	struct sonde_context context;
	struct sonde__part part = { .context = &context, .attrs = attrs };

	sonde__current_say(has_failed ? SONDE__CONTEXT_ERROR : SONDE__CONTEXT_ANSWERED);
	if (sonde__context_current()->flags & SONDE__CONTEXT_REMOTE)
		return;
	if (!sonde__current_span(&context)) {
		if (sonde_context_is_valid(&context))
			sonde__box_count_unsampled(SONDE_SIGNAL_PART);
		return;
	}
	if (status)
		attrs[part.n_attrs++] = sonde_int("http.response.status_code", status);
	if (has_failed) {
		attrs[part.n_attrs++] = sonde_str("error.type", sonde__error_type_name(error));
		part.status = SONDE_SPAN_ERROR;
	}
	if (part.n_attrs)
		sonde__part_write(&part);
}

void sonde__problem_record(struct sonde_error *error, int status)
{
	const bool has_failed = status >= 500;
	int saved_errno = errno;
	uint8_t forms = 0;
	uint64_t earlier_id;

	if (!sonde__capture_enter())
		return;
	if (has_failed || worst_severity(error) >= SONDE_ERROR)
		forms = sonde__error_capture_forms(error, has_failed);
	else if (!sonde__error_mark_captured(error, sonde__identity_draw(), &earlier_id))
		expected_log(error, status);
	/* An event brings status and type with it. */
	span_tell(error, status, has_failed && !(forms & SONDE__RECORD_WITH_EVENT));
	errno = saved_errno;
}

void sonde__request_error_end(struct sonde_error **error)
{
	int saved_errno = errno;

	if (*error && sonde_is_recording() && !sonde__error_is_captured(*error) &&
	    sonde__capture_enter()) {
		sonde_error_set(*error, sonde_bool("sonde.error.handled", false));
		if (!(sonde__error_capture_forms(*error, /* fails_span= */ true) &
		      SONDE__RECORD_WITH_EVENT))
			span_tell(*error, /* status= */ 0, /* has_failed= */ true);
	}
	*error = sonde_error_free(*error);
	errno = saved_errno;
}
