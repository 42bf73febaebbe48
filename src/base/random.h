/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_RANDOM_H
#define SONDE_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Bytes from the kernel (getrandom, else /dev/urandom). Async-signal-safe. -1: none to be had. */
int sonde__random_bytes(void *buffer, size_t size);

/*
 * A bijective mix of 64 bits: consecutive inputs give unrelated outputs (SplitMix64's finalizer).
 */
static inline uint64_t sonde__mix64(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* Injected randomness: uniform in [0, 1). */
typedef double sonde__random_fn(void *user);

#endif
