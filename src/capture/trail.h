/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CAPTURE_TRAIL_H
#define SONDE_CAPTURE_TRAIL_H

/*
 * The trails of breadcrumbs, one for a thread; trail.c argues them. All lock-free and
 * async-signal-safe.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/base.h>

#define SONDE__TRAILS_MAX 256
#define SONDE__TRAIL_SIZE 4096 /* Bytes of one. */

/* How many of the trails may be used. */
void sonde__trails_open(uint32_t n);

/* Leaves a breadcrumb on the calling thread's trail; both texts are cut to what it holds. */
void sonde__trail_add(int level, struct sonde_text category, struct sonde_text message);

/* The breadcrumbs of the calling thread that a record has room for. */
struct sonde__trail_view {
	uint32_t trail; /* Its number, plus 1; 0: none. */
	uint32_t first; /* The number of the oldest. */
	uint32_t n;
	size_t size; /* In the record. */
};

/* The newest that fit; they stay where they are until the close, which must follow. */
void sonde__trail_open(struct sonde__trail_view *view, size_t room);
void sonde__trail_write(const struct sonde__trail_view *view, uint8_t *at);
void sonde__trail_close(const struct sonde__trail_view *view);

#endif
