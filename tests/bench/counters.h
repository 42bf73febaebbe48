/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BENCH_COUNTERS_H
#define SONDE_BENCH_COUNTERS_H

/*
 * What the calling thread asks of libc, whoever calls it in this process: the program's own malloc
 * and pthread_mutex_lock come before libc's for every library, and count. System calls are counted
 * from outside: a program says between marks what it is about to do, and bench-trace, which runs
 * it, counts what the kernel sees of that thread. A mark is itself a system call that does nothing.
 */

#include <stddef.h>
#include <stdint.h>

struct counts {
	uint64_t allocations;
	uint64_t locks;
};

/* Since the thread began. */
struct counts counters_get(void);

#define MARK_MAGIC 0x736f6e6465u /* The second argument of getppid, which takes none. */

enum mark {
	MARK_BEGIN = 1,
	MARK_END = 2,
};

/* `name` is the figure's, without _syscalls; the tracer reads it at the end of `n` operations. */
void counters_mark(enum mark mark, const char *name, size_t n);

#endif
