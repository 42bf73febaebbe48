/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_MEMORY_H
#define SONDE_MEMORY_H

/*
 * The exporter for tests: keeps what it was sent, as lines of OTLP/JSON, in memory that a test reads.
 *
 *	setenv("OTEL_TRACES_EXPORTER", "memory", 1);
 *	…
 *	sonde_agent_flush(agent, 1000);
 *	char *text = sonde_memory_take();	// one line a batch
 *	assert(strstr(text, "\"name\":\"charge card\""));
 *	free(text);
 *
 * Holds at most SONDE_MEMORY_SIZE bytes; past it the oldest lines go, and are counted.
 */

#include <sonde/base.h>

SONDE_BEGIN_DECLS

#define SONDE_MEMORY_SIZE ((size_t)8 << 20)

/*
 * Takes everything that is held: the lines, terminated by a zero, to be freed by free(); "" when there
 * are none, NULL when memory is short. May block briefly. Not for signal handlers.
 */
SONDE_API char *sonde_memory_take(void);

/* How many lines went because there were too many, since the process started. */
SONDE_API uint64_t sonde_memory_dropped(void);

SONDE_END_DECLS

#endif
