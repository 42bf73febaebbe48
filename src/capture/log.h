/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CAPTURE_LOG_H
#define SONDE_CAPTURE_LOG_H

/* Log records: messages and slow operations, with the ids of the current span. */

#include <sonde/attribute.h>

struct sonde__log {
	int severity; /* Any number; brought into 1 to 24. */
	uint32_t site; /* 0: none. */
	struct sonde_text body;
	const struct sonde_attr *attrs;
	size_t n_attrs;
	struct sonde_bytes values; /* The context's, encoded; set by the writer. */
	bool is_cut; /* The body was cut already. */
};

/* Writes it, cut to what a record can be. Lock-free, async-signal-safe. */
void sonde__log_write(const struct sonde__log *log);

#endif
