/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For LD_PRELOAD: from failing_malloc_at(n) on, the n-th allocation of the process fails, and every
 * one after it too. The program declares the function weak, so that it runs without this as well.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void failing_malloc_at(long n);

/* How many succeed before they fail; negative: all. Relaxed: counts, and orders nothing. */
static atomic_long left = -1;

void failing_malloc_at(long n)
{
	atomic_store_explicit(&left, n < 0 ? -1 : n, memory_order_relaxed);
}

static int fails(void)
{
	long now = atomic_load_explicit(&left, memory_order_relaxed);

	if (now < 0)
		return 0;
	if (now > 0) {
		atomic_store_explicit(&left, now - 1, memory_order_relaxed);
		return 0;
	}
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
	return fails() ? NULL : __libc_realloc(old, size);
}
