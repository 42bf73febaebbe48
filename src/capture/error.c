/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A captured error: one record with the whole chain, so that it can be read when the objects, the
 * thread or the process are gone. Which of the two forms it is sent in, span event and log record,
 * is decided here, because here it is known whether there is a span that can bear the event.
 */

#include <errno.h>
#include <string.h>

#include <sonde/capture.h>

#include "base/clock.h"
#include "box/box.h"
#include "capture/capture.h"
#include "capture/error_plan.h"
#include "capture/part.h"
#include "capture/problem.h"
#include "capture/state.h"
#include "capture/trail.h"
#include "context/context.h"
#include "error/error.h"

#define AGAIN_LINKS_MAX 8

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

	if (has_span)
		flags |= signal & SONDE_EXCEPTION_SPAN_EVENT ? SONDE__RECORD_WITH_EVENT :
							       SONDE__RECORD_FAILED;
	if ((signal & SONDE_EXCEPTION_LOG) || !has_span)
		flags |= SONDE__RECORD_WITH_LOG;
	return flags;
}

static void head_fill(struct sonde__error_record *record, const struct sonde__error_plan *plan,
		      const struct sonde_error *error, uint64_t event_id)
{
	const struct sonde__context_words context = *sonde__context_current();

	memset(record, 0, sizeof(*record));
	record->head.type = SONDE__RECORD_ERROR;
	record->head.flags = plan->is_cut ? SONDE__RECORD_TEXT_CUT : 0;
	record->head.n_dropped_attributes =
		(uint16_t)(plan->n_dropped < UINT16_MAX ? plan->n_dropped : UINT16_MAX);
	record->head.time = sonde__ticks();
	record->event_id = event_id;
	record->severity = (uint8_t)sonde__error_severity(error);
	record->n_links = (uint8_t)plan->n_links;
	record->n_frames = (uint8_t)plan->n_frames;
	record->fields_size = (uint16_t)plan->fields_size;
	record->http_status = (uint16_t)sonde_error_http_status(error);
	record->format = sonde__error_format_address(sonde__error_root(error));
	if (!context.span_id)
		return;
	memcpy(record->trace_id, &context.trace_id, sizeof(record->trace_id));
	memcpy(record->span_id, &context.span_id, sizeof(record->span_id));
	record->trace_flags = (uint8_t)context.flags;
}

/* As the log record will say it: the outermost error's type, and where that was raised. */
static void error_count(const struct sonde__error_plan_link *link)
{
	const char *type = sonde__error_type_name(link->error);
	const struct sonde__site_view place = {
		.name = link->type_size ? (struct sonde_text){ type, link->type_size }
					: (struct sonde_text){ "_OTHER", 6 },
		.file = { sonde_error_file(link->error), link->file_size },
		.function = { sonde_error_function(link->error), link->function_size },
		.line = (uint32_t)sonde_error_line(link->error),
		.kind = SONDE__SITE_ERROR,
	};

	sonde__errors_count(&place);
}

/* `size`: of the record without the trail, a multiple of 8. */
static void error_write_with(const struct sonde__trail_view *trail,
			     const struct sonde__error_plan *plan, size_t size,
			     const struct sonde_error *error, uint64_t event_id, uint8_t forms)
{
	struct sonde__error_record *record;
	struct sonde__slot slot;
	uint8_t *end;

	/* In whatever form: the pipeline moves to the parts what leaves as an event alone. */
	if (!sonde__box_reserve(size + trail->size, SONDE_SIGNAL_LOG, /* urgent= */ true, &slot))
		return;
	record = slot.record;
	end = (uint8_t *)record + size;
	head_fill(record, plan, error, event_id);
	record->head.size = (uint32_t)(size + trail->size);
	record->head.flags |= forms;
	record->crumbs_size = (uint16_t)trail->size;
	memset(end - sizeof(uint64_t), 0, sizeof(uint64_t));
	sonde__error_plan_write(plan, (uint8_t *)(record + 1));
	sonde__trail_write(trail, end);
	sonde__box_commit(&slot);
}

static void error_write(const struct sonde_error *error, uint64_t event_id, uint8_t forms)
{
	struct sonde__error_plan plan;
	struct sonde__trail_view trail;
	size_t size = sizeof(struct sonde__error_record) + sonde__error_plan_make(&plan, error);

	error_count(&plan.links[0]);
	size = (size + 7) & ~(size_t)7;
	sonde__trail_open(&trail, SONDE__RECORD_MAX_SIZE - size);
	error_write_with(&trail, &plan, size, error, event_id, forms);
	sonde__trail_close(&trail);
}

/* Errors of the chain, from the outermost on, that were not there when it was captured. */
static size_t count_new(const struct sonde_error *error)
{
	size_t n = 0;

	for (; error && n < AGAIN_LINKS_MAX && !sonde__error_event_id(error);
	     error = sonde_error_cause(error))
		n++;
	return n;
}

/*
 * What an error that was captured before has to say now. It takes no room that errors need: no
 * reserve, and nobody is woken for it.
 */
static void again_write(const struct sonde_error *error, uint64_t event_id, size_t n_new,
			const struct sonde__place *place)
{
	struct sonde__error_plan plan;
	struct sonde__error_record *record;
	struct sonde__slot slot;
	size_t size;

	if (!n_new && !place)
		return;
	size = sizeof(*record) + sonde__error_plan_again(&plan, error, n_new, place);
	if (!sonde__box_reserve(size, SONDE_SIGNAL_PART, /* urgent= */ false, &slot))
		return;
	record = slot.record;
	head_fill(record, &plan, error, event_id);
	record->head.type = SONDE__RECORD_AGAIN;
	record->head.size = (uint32_t)size;
	sonde__error_plan_write(&plan, (uint8_t *)(record + 1));
	sonde__box_commit(&slot);
}

static uint8_t capture(struct sonde_error *error, bool fails_span, const struct sonde__place *place)
{
	const uint64_t event_id = sonde__identity_draw();
	const size_t n_new = count_new(error);
	uint8_t forms = SONDE__RECORD_WITH_LOG;
	uint64_t earlier_id;

	if (sonde__error_mark_captured(error, event_id, &earlier_id)) {
		again_write(error, earlier_id, n_new, place);
		return 0;
	}
	if (fails_span) {
		forms = forms_choose();
		/* It fails in whatever form that is told, sampled or not. */
		sonde__current_say(SONDE__CONTEXT_ERROR);
	}
	error_write(error, event_id, forms);
	return forms;
}

/*
 * Whether a span fails must not hang on who captured the error before, further down and perhaps on
 * a span of its own.
 */
static void capture_on_span(struct sonde_error *error, const struct sonde__place *place)
{
	if (!capture(error, /* fails_span= */ true, place))
		sonde__current_fail(sonde__error_type_name(error));
}

uint8_t sonde__error_capture_forms(struct sonde_error *error, bool fails_span)
{
	return capture(error, fails_span, /* place= */ NULL);
}

void sonde__error_capture(struct sonde_error *error)
{
	int saved_errno = errno;

	if (!error || !sonde__capture_enter())
		return;
	capture_on_span(error, /* place= */ NULL);
	errno = saved_errno;
}

void sonde__error_capture_at(struct sonde_error *error, const char *file, int line,
			     const char *function)
{
	const struct sonde__place place = { .file = file, .function = function, .line = line };
	int saved_errno = errno;

	if (!error || !sonde__capture_enter())
		return;
	capture_on_span(error, &place);
	errno = saved_errno;
}

void sonde__error_capture_orphan(const struct sonde_error *error)
{
	/* No error is a constant: who observes it is only not to change it. */
	struct sonde_error *own = (struct sonde_error *)(uintptr_t)error;
	int saved_errno = errno;

	if (!own || !sonde__capture_begin())
		return;
	(void)capture(own, /* fails_span= */ false, /* place= */ NULL);
	errno = saved_errno;
}
