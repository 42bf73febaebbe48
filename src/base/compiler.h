/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_COMPILER_H
#define SONDE_BASE_COMPILER_H

/* The only place where compiler extensions get their names. */

#include <stdint.h>

#define SONDE__LIKELY(condition) __builtin_expect(!!(condition), 1)
#define SONDE__UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define SONDE__COLD __attribute__((cold, noinline))
#define SONDE__ALWAYS_INLINE inline __attribute__((always_inline))
#define SONDE__MAY_ALIAS __attribute__((may_alias))
#define SONDE__UNUSED __attribute__((unused))
#define SONDE__CLEANUP(function) __attribute__((cleanup(function)))
#define SONDE__CONSTRUCTOR __attribute__((constructor))

/*
 * For the one function that reads other functions' frames, whatever a sanitizer put between them.
 */
#define SONDE__NO_SANITIZE __attribute__((no_sanitize("address"), no_sanitize("thread")))

#define SONDE__CACHE_LINE 64
#define SONDE__CACHE_ALIGNED __attribute__((aligned(SONDE__CACHE_LINE)))

/*
 * Thread-local memory reached with one instruction and without a call that may allocate, which is
 * what makes it usable in a signal handler. The library keeps at most 64 bytes of it.
 */
#define SONDE__THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))

/*
 * Fetches a cache line for writing. For the oldest x86-64 the compiler would fetch it for reading,
 * and the store would wait after all; where the instruction is not known it does nothing.
 */
static SONDE__ALWAYS_INLINE void sonde__fetch_to_write(uintptr_t line)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)line));
#else
	__builtin_prefetch((const void *)line, /* for writing */ 1);
#endif
}

#define SONDE__ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif
