/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FRAMELESS_H
#define FRAMELESS_H

/* Functions of all shapes, compiled without frame pointers, that call one another at random. */

#include <stddef.h>
#include <stdint.h>

#define TRAIL_MAX 64

struct trail {
	uint64_t returns[TRAIL_MAX]; /* Where each returns to, the outermost first. */
	size_t n;
	size_t depth; /* How many are still to be called. */
	uint64_t random;
	void (*end)(struct trail *trail); /* Called by the last one. */
};

#define FRAMELESS_SHAPES 8

/* Calls `depth` functions, then trail->end. `shape`: all of that one; -1: at random. */
void frameless_descend(struct trail *trail, size_t depth, int shape);

/*
 * Interrupts itself, with SIGTRAP, where nothing but the stack pointer says where it returns to,
 * which it says itself.
 */
uint64_t frameless_interrupt(void);

#endif
