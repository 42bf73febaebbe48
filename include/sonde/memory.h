/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_MEMORY_H
#define SONDE_MEMORY_H

/*
 * The exporter for tests: keeps what it was sent, as lines of OTLP/JSON, in memory that a test
 * reads.
 *
 *	setenv("OTEL_TRACES_EXPORTER", "memory", 1);
 *	…
 *	sonde_agent_flush(agent, 1000);
 *	char *text = sonde_memory_take();	// one line a batch
 *	assert(strstr(text, "\"name\":\"charge card\""));
 *	free(text);
 *
 * Holds at most SONDE_MEMORY_SIZE bytes; past it batches are refused until somebody takes. A forked
 * child begins with nothing.
 */

#include <sonde/base.h>

SONDE_BEGIN_DECLS

#define SONDE_MEMORY_SIZE ((size_t)8 << 20)

/*
 * Takes everything that is held: the lines, oldest batch first, terminated by a zero, to be freed
 * by free(); "" when there are none. NULL when memory is short: then they are dropped. Never waits;
 * not for signal handlers.
 */
SONDE_API char *sonde_memory_take(void);

/* How many batches were refused or dropped, since the process started. */
SONDE_API uint64_t sonde_memory_dropped(void);

SONDE_END_DECLS

#endif
