/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a group of errors held back, as a log record like those of its errors, the event
 * `exception`: how many they were, and the last one's message, time and ids.
 */

#include <stdio.h>
#include <string.h>

#include "pipeline/state.h"
#include "pipeline/view.h"

#define ATTRS_MAX 6
#define HEX_SIZE 17
#define PREFIX_SIZE 32

/* "4711 more: " and the message. */
static int set_body(struct sonde__view_maker *maker, const struct sonde__held *held,
		    struct sonde_log_view *view)
{
	char *body = sonde__arena_take(maker->arena, PREFIX_SIZE + held->message_size);
	int n;

	if (!body)
		return SONDE_E_NOMEM;
	n = snprintf(body, PREFIX_SIZE, "%llu more: ", (unsigned long long)held->n);
	if (n < 0)
		n = 0;
	memcpy(body + n, held->message, held->message_size);
	view->body = (struct sonde_text){ body, (size_t)n + held->message_size };
	return SONDE_OK;
}

static int encode_attrs(struct sonde__view_maker *maker, const struct sonde__group *group,
			struct sonde_bytes *ret)
{
	const struct sonde__held *held = &group->held;
	struct sonde_attr attrs[ATTRS_MAX] = {
		sonde_strn("exception.type", group->type, group->type_size),
		sonde_strn("error.type", group->type, group->type_size),
		sonde_int("sonde.error.count", (int64_t)held->n),
	};
	char fingerprint[HEX_SIZE];
	char id[HEX_SIZE];
	size_t n = 3;

	if (held->message_size)
		attrs[n++] =
			sonde_strn("exception.message", held->message, held->message_size);
	(void)snprintf(fingerprint, sizeof(fingerprint), "%016llx",
		       (unsigned long long)group->fingerprint);
	(void)snprintf(id, sizeof(id), "%016llx", (unsigned long long)held->event_id);
	if (group->fingerprint)
		attrs[n++] = sonde_str("sonde.error.fingerprint", fingerprint);
	if (held->event_id)
		attrs[n++] = sonde_str("sonde.error.id", id);
	return sonde__view_encode(maker, attrs, n, ret);
}

int sonde__summary_view_make(struct sonde__view_maker *maker, const struct sonde__group *group,
			     struct sonde_log_view *ret)
{
	const struct sonde__held *held = &group->held;
	struct sonde_bytes low;
	int status;

	*ret = (struct sonde_log_view){
		.unix_ns = sonde__view_time(maker, held->time, held->time_is_unix),
		.event_name = { "exception", 9 },
		.severity = held->severity,
		.trace_flags = held->trace_flags,
	};
	ret->observed_unix_ns = sonde__view_time(maker, sonde__ticks(), /* is_unix= */ false);
	memcpy(ret->trace_id, held->trace_id, sizeof(ret->trace_id));
	memcpy(ret->span_id, held->span_id, sizeof(ret->span_id));
	status = set_body(maker, held, ret);
	if (status == SONDE_OK)
		status = encode_attrs(maker, group, &low);
	if (status < 0)
		return status;
	return sonde__view_finish_log(maker, low, (struct sonde_bytes){ NULL, 0 }, ret);
}
