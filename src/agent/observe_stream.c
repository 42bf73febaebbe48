/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream's span, in the room that the stream has for it. Detached: a stream goes on while its
 * consumer has other spans. What progress it makes are events, so that their times are known.
 */

#include "agent/observe_stream.h"

#include <sonde/span.h>

#include "error/error.h"
#include "resilience/stream.h"

_Static_assert(SONDE__STREAM_ROOM * sizeof(uint64_t) >= sizeof(struct sonde_span), "a span fits");
_Static_assert(_Alignof(uint64_t) >= _Alignof(struct sonde_span), "and is aligned");

#define ITEMS_KEY "sonde.stream.items"
#define BYTES_KEY "sonde.stream.bytes"

static struct sonde_span *span_in(uint64_t room[SONDE__STREAM_ROOM])
{
	return (struct sonde_span *)(void *)room;
}

static void begin(uint64_t room[SONDE__STREAM_ROOM], const char *name)
{
	struct sonde_span_options options = SONDE_SPAN_OPTIONS_INIT;

	options.detached = true;
	sonde_span_begin(span_in(room), name[0] ? name : "stream", &options);
	sonde_span_set_str(span_in(room), "sonde.resilience.pattern", "stream");
	if (name[0])
		sonde_span_set_str(span_in(room), "sonde.resilience.name", name);
}

static void progress(uint64_t room[SONDE__STREAM_ROOM], const struct sonde__stream_figures *figures)
{
	sonde_span_add_event(span_in(room), "sonde.stream.progress",
			     SONDE_ATTRS(sonde_int(ITEMS_KEY, (int64_t)figures->n_items),
					 sonde_int(BYTES_KEY, (int64_t)figures->n_bytes)));
}

static void end(uint64_t room[SONDE__STREAM_ROOM], const struct sonde__stream_figures *figures)
{
	struct sonde_span *span = span_in(room);

	sonde_span_set_int(span, ITEMS_KEY, (int64_t)figures->n_items);
	sonde_span_set_int(span, BYTES_KEY, (int64_t)figures->n_bytes);
	sonde_span_set_str(span, "sonde.stream.outcome", figures->outcome);
	if (figures->error) {
		sonde_span_set_str(span, "error.type", sonde__error_type_name(figures->error));
		sonde_span_set_status(span, SONDE_SPAN_ERROR, sonde_error_message(figures->error));
	}
	sonde_span_end(span);
}

static const struct sonde__stream_telemetry telemetry = { begin, progress, end };

void sonde__observe_streams_begin(void)
{
	sonde__stream_telemetry_install(&telemetry);
}

void sonde__observe_streams_end(void)
{
	sonde__stream_telemetry_install(/* telemetry= */ NULL);
}
