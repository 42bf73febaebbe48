/* SPDX-License-Identifier: Apache-2.0 */
/* An exporter that does as it is told. */

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

static int append(struct sonde_buffer *out, const char *text, size_t size)
{
	return sonde_buffer_append(out, text, size);
}

#define LINE(out, ...) \
	do { \
		char line_[4096]; \
		int n_ = snprintf(line_, sizeof(line_), __VA_ARGS__); \
		int status_ = append(out, line_, n_ < 4095 ? (size_t)n_ : 4095); \
		if (status_ < 0) \
			return status_; \
	} while (0)

static uint64_t id_number(const uint8_t *id, size_t size)
{
	uint64_t number = 0;

	for (size_t i = size - 8; i < size; i++)
		number = number << 8 | id[i];
	if (number >> 56 == 1 && size == 8)
		number &= UINT64_C(0xffffffffffffff);
	return number;
}

static int write_value(struct sonde_buffer *out, const struct sonde_value_view *value)
{
	struct sonde_value_view element;
	struct sonde_bytes rest;

	switch (value->type) {
	case SONDE_VALUE_STR:
		LINE(out, "\"%.*s\"", (int)value->as.string.size, value->as.string.data);
		break;
	case SONDE_VALUE_INT:
		LINE(out, "%" PRId64, value->as.integer);
		break;
	case SONDE_VALUE_BOOL:
		LINE(out, "%s", value->as.boolean ? "true" : "false");
		break;
	case SONDE_VALUE_ARRAY:
		rest = value->as.array;
		LINE(out, "[");
		while (sonde_value_next(&rest, &element)) {
			int status = write_value(out, &element);

			if (status < 0)
				return status;
			LINE(out, ",");
		}
		LINE(out, "]");
		break;
	default:
		LINE(out, "?");
		break;
	}
	return SONDE_OK;
}

static int write_items(struct sonde_buffer *out, enum sonde_fields fields, struct sonde_bytes rest);

static int write_item(struct sonde_buffer *out, const struct sonde_item_view *item)
{
	int status;

	LINE(out, " ");
	switch (item->type) {
	case SONDE_ITEM_ATTRIBUTE:
		LINE(out, "%.*s=", (int)item->name.size, item->name.data);
		return write_value(out, &item->value);
	case SONDE_ITEM_EVENT:
		LINE(out, "event:%.*s@%" PRIu64 "{", (int)item->name.size, item->name.data,
		     item->unix_ns);
		status = write_items(out, SONDE_FIELDS_EVENT, item->attributes);
		break;
	default:
		LINE(out, "link:%" PRIu64 "{", id_number(item->span_id, 8));
		status = write_items(out, SONDE_FIELDS_LINK, item->attributes);
		break;
	}
	return status < 0 ? status : append(out, " }", 2);
}

static int write_items(struct sonde_buffer *out, enum sonde_fields fields, struct sonde_bytes rest)
{
	struct sonde_item_view item;

	while (sonde_item_next(fields, &rest, &item)) {
		int status = write_item(out, &item);

		if (status < 0)
			return status;
	}
	return SONDE_OK;
}

static int write_pieces(struct sonde_buffer *out, enum sonde_fields fields,
			const struct sonde_bytes *pieces, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int status = write_items(out, fields, pieces[i]);

		if (status < 0)
			return status;
	}
	return append(out, "\n", 1);
}

static int write_span(struct sonde_buffer *out, const struct sonde_span_view *span)
{
	LINE(out,
	     "span %.*s trace=%" PRIu64 " id=%" PRIu64 " parent=%" PRIu64
	     " kind=%u status=%u/%.*s flags=%x",
	     (int)span->name.size, span->name.data, id_number(span->trace_id, 16),
	     id_number(span->span_id, 8), id_number(span->parent_id, 8), span->kind, span->status,
	     (int)span->status_description.size, span->status_description.data, span->flags);
	LINE(out, " start=%" PRIu64 " end=%" PRIu64 " state=%.*s dropped=%u/%u/%u",
	     span->start_unix_ns, span->end_unix_ns, (int)span->trace_state.size,
	     span->trace_state.data, span->dropped_attributes, span->dropped_events,
	     span->dropped_links);
	return write_pieces(out, SONDE_FIELDS_SPAN, span->pieces, span->n_pieces);
}

static int write_log(struct sonde_buffer *out, const struct sonde_log_view *log)
{
	LINE(out,
	     "log \"%.*s\" trace=%" PRIu64 " id=%" PRIu64 " severity=%u event=%.*s time=%" PRIu64
	     " dropped=%u",
	     (int)log->body.size, log->body.data, id_number(log->trace_id, 16),
	     id_number(log->span_id, 8), log->severity, (int)log->event_name.size,
	     log->event_name.data, log->unix_ns, log->dropped_attributes);
	return write_pieces(out, SONDE_FIELDS_LOG, log->pieces, log->n_pieces);
}

static int write_buckets(struct sonde_buffer *out, const struct sonde_histogram_view *histogram)
{
	LINE(out, " sum=%.9f zero=%" PRIu64 " scale=%d buckets=%d:", histogram->sum,
	     histogram->zero_count, histogram->scale, histogram->offset);
	for (size_t i = 0; i < histogram->n_buckets; i++)
		LINE(out, "%s%" PRIu64, i ? "," : "", histogram->buckets[i]);
	return SONDE_OK;
}

static int write_point(struct sonde_buffer *out, const struct sonde_point_view *point)
{
	bool is_histogram = point->metric->type == SONDE_METRIC_HISTOGRAM;
	int status = SONDE_OK;

	LINE(out, "point %.*s =%" PRIu64, (int)point->metric->name.size, point->metric->name.data,
	     is_histogram ? point->histogram.count : (uint64_t)point->value);
	if (is_histogram)
		status = write_buckets(out, &point->histogram);
	if (status < 0)
		return status;
	LINE(out, " %s%s start=%" PRIu64 " time=%" PRIu64,
	     point->metric->is_delta ? "added" : "total",
	     point->metric->is_monotonic ? " monotonic" : "", point->start_unix_ns,
	     point->unix_ns);
	return write_pieces(out, is_histogram ? SONDE_FIELDS_HISTOGRAM_POINT : SONDE_FIELDS_POINT,
			    &point->attributes, 1);
}

static int write_one(struct sonde_buffer *out, const struct sonde_batch *batch, size_t i)
{
	switch (batch->signal) {
	case SONDE_SIGNAL_SPAN:
		return write_span(out, &batch->spans[i]);
	case SONDE_SIGNAL_LOG:
		return write_log(out, &batch->logs[i]);
	default:
		return write_point(out, &batch->points[i]);
	}
}

static bool is_wanted(const struct fake *fake, const struct sonde_batch *batch, size_t i)
{
	struct sonde_text text;

	if (!fake->wanted || batch->signal == SONDE_SIGNAL_METRIC)
		return true;
	text = batch->signal == SONDE_SIGNAL_SPAN ? batch->spans[i].name : batch->logs[i].body;
	return memmem(text.data, text.size, fake->wanted, strlen(fake->wanted)) != NULL;
}

static size_t fake_count(void *instance, const struct sonde_batch *batch)
{
	const struct fake *fake = instance;
	size_t n = 0;

	for (size_t i = 0; i < batch->n_items; i++)
		n += is_wanted(fake, batch, i);
	return n;
}

static int fake_encode(void *instance, const struct sonde_batch *batch, struct sonde_buffer *out)
{
	struct fake *fake = instance;

	fake->n_encodes++;
	if (fake->encode_status)
		return fake->encode_status;
	if (fake->max_items && batch->n_items > fake->max_items)
		return SONDE_E_TOO_BIG;
	for (size_t i = 0; i < batch->n_items; i++) {
		size_t before = out->size;
		int status = write_one(out, batch, i);

		if (status < 0)
			return status;
		if (!is_wanted(fake, batch, i))
			out->size = before;
		if (fake->too_big && memmem(out->data + before, out->size - before, fake->too_big,
					    strlen(fake->too_big)))
			return SONDE_E_TOO_BIG;
	}
	return SONDE_OK;
}

static void accept_request(struct fake *fake, const struct sonde_request *request)
{
	fake->text = realloc(fake->text, fake->text_size + request->body.size + 1);
	memcpy(fake->text + fake->text_size, request->body.data, request->body.size);
	fake->text_size += request->body.size;
	fake->text[fake->text_size] = '\0';
	fake->n_items[request->signal] += request->n_items;
}

static enum sonde_outcome apply(struct fake *fake, const struct fake_step *step,
				const struct sonde_request *request, struct sonde_result *ret)
{
	ret->token = request->token;
	ret->n_rejected = step->n_rejected;
	ret->retry_after_ms = step->retry_after_ms ? step->retry_after_ms : -1;
	if (step->reason)
		(void)snprintf(ret->reason, sizeof(ret->reason), "%s", step->reason);
	switch (step->what) {
	case FAKE_ACCEPT:
		accept_request(fake, request);
		return ret->outcome = SONDE_OUTCOME_ACCEPTED;
	case FAKE_RETRY:
		return ret->outcome = SONDE_OUTCOME_RETRY;
	default:
		return ret->outcome = SONDE_OUTCOME_REFUSED;
	}
}

static enum sonde_outcome fake_send(void *instance, const struct sonde_request *request,
				    struct sonde_result *ret)
{
	struct fake *fake = instance;
	size_t n = fake->n_sends++;
	const struct fake_step *step = n < fake->n_steps ? &fake->steps[n] : &fake->otherwise;

	if (n < sizeof(fake->sent_ns) / sizeof(fake->sent_ns[0])) {
		fake->sent_ns[n] = *fake->now_ns;
		fake->sent_signal[n] = request->signal;
	}
	if (!step->pending && step->what != FAKE_HANG)
		return apply(fake, step, request, ret);
	fake->pending[request->signal] = (struct fake_pending){ request->token, *step, *request };
	return SONDE_OUTCOME_PENDING;
}

static size_t fake_poll(void *instance, struct pollfd *fds, size_t capacity, int *timeout_ms)
{
	(void)instance;
	if (!capacity)
		return 0;
	fds[0] = (struct pollfd){ .fd = 77, .events = POLLIN };
	if (*timeout_ms > 5)
		*timeout_ms = 5;
	return 1;
}

static bool fake_progress(void *instance, struct sonde_result *ret)
{
	struct fake *fake = instance;

	for (int i = 0; i < SONDE__SIGNAL_ROWS; i++) {
		struct fake_pending pending = fake->pending[i];

		if (!pending.token || pending.step.what == FAKE_HANG)
			continue;
		fake->pending[i].token = NULL;
		(void)apply(fake, &pending.step, &pending.request, ret);
		return true;
	}
	return false;
}

static void fake_cancel(void *instance, void *token)
{
	struct fake *fake = instance;

	fake->n_cancels++;
	for (int i = 0; i < SONDE__SIGNAL_ROWS; i++) {
		if (fake->pending[i].token == token)
			fake->pending[i].token = NULL;
	}
}

static bool fake_accepts(void *instance, enum sonde_signal signal)
{
	(void)instance;
	return signal != SONDE_SIGNAL_PART;
}

static void fake_close(void *instance, bool forked)
{
	struct fake *fake = instance;

	fake->n_closes++;
	fake->closed_forked = forked;
}

const struct sonde_exporter fake_exporter = {
	.size = sizeof(struct sonde_exporter),
	.name = "fake",
	.accepts = fake_accepts,
	.encode = fake_encode,
	.send = fake_send,
	.poll = fake_poll,
	.progress = fake_progress,
	.cancel = fake_cancel,
	.close = fake_close,
	.count = fake_count,
};

const struct sonde_exporter fake_plain_exporter = {
	.size = sizeof(struct sonde_exporter),
	.name = "plain",
	.encode = fake_encode,
	.send = fake_send,
	.close = fake_close,
};
