/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_STREAM_H
#define SONDE_RESILIENCE_STREAM_H

/*
 * A stream's span, which this layer cannot make: whoever can installs how. docs/design/stream.md
 * argues it.
 */

#include <stdint.h>

#include <sonde/stream.h>

#define SONDE__STREAM_ROOM 64 /* Words in the stream's memory, for its span. */

struct sonde__stream_figures {
	uint64_t n_items; /* Pulled. */
	uint64_t n_bytes;
	const char *outcome; /* At the end: "ended", "failed", "left". */
	const struct sonde_error *error; /* Why it failed; or NULL. */
};

/*
 * Called by one thread at a time for one stream, without locks. The room is all zero before the
 * begin; where that made nothing it stays so.
 */
struct sonde__stream_telemetry {
	void (*begin)(uint64_t room[SONDE__STREAM_ROOM], const char *name);
	void (*progress)(uint64_t room[SONDE__STREAM_ROOM],
			 const struct sonde__stream_figures *figures);
	void (*end)(uint64_t room[SONDE__STREAM_ROOM],
		    const struct sonde__stream_figures *figures);
};

/* Lives for ever; NULL takes it away, for streams that begin then. */
void sonde__stream_telemetry_install(const struct sonde__stream_telemetry *telemetry);

#endif
