/* SPDX-License-Identifier: Apache-2.0 */
/* A captured error as a log record, the event `exception`. */

#include <string.h>

#include "pipeline/state.h"
#include "pipeline/view.h"

int sonde__error_view_make(struct sonde__view_maker *maker,
			   const struct sonde__error_record *record,
			   const struct sonde__exception *exception, struct sonde_log_view *ret)
{
	struct sonde_bytes low;
	int status;

	*ret = (struct sonde_log_view){
		.unix_ns = sonde__view_time(maker, record->head.time,
					    record->head.flags & SONDE__RECORD_TIME_IS_UNIX),
		.body = exception->outermost.message,
		.event_name = { "exception", 9 },
		.severity = record->severity,
		.trace_flags = record->trace_flags,
		.dropped_attributes = record->head.n_dropped_attributes,
	};
	ret->observed_unix_ns = ret->unix_ns;
	memcpy(ret->trace_id, record->trace_id, sizeof(ret->trace_id));
	memcpy(ret->span_id, record->span_id, sizeof(ret->span_id));
	status = sonde__view_encode(maker, exception->attrs, exception->n_attrs, &low);
	if (status < 0)
		return status;
	return sonde__view_finish_log(maker, low, sonde__error_record_fields(record), ret);
}
