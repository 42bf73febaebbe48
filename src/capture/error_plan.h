/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CAPTURE_ERROR_PLAN_H
#define SONDE_CAPTURE_ERROR_PLAN_H

/*
 * What of an error goes into its record: measured first, because a record is reserved with its
 * size, then written in place. Lock-free, async-signal-safe.
 */

#include "context/context.h"
#include "error/error.h"
#include "record/layout.h"

#define SONDE__ERROR_PLAN_LINKS 64

/* Somewhere in the source. */
struct sonde__place {
	const char *file;
	const char *function;
	int line;
};

struct sonde__error_plan_link {
	const struct sonde_error *error;
	const struct sonde__place *place; /* NULL: where it was raised. */
	uint16_t type_size;
	uint16_t message_size;
	uint16_t detail_size;
	uint16_t file_size;
	uint16_t function_size;
	uint8_t level;
	uint8_t flags;
	bool has_attributes;
};

struct sonde__error_plan {
	size_t n_links;
	size_t links_size;
	const uint64_t *frames;
	size_t n_frames;
	size_t values_size; /* Of the context's values, */
	size_t fields_size; /* and of these and the attributes that come behind them. */
	uint32_t n_dropped;
	bool is_cut; /* Links had to be left out. */
	struct sonde__error_plan_link links[SONDE__ERROR_PLAN_LINKS];
	uint8_t values[SONDE__VALUES_MAX_SIZE];
};

/* Returns the size of all that follows the record's head. */
size_t sonde__error_plan_make(struct sonde__error_plan *plan, const struct sonde_error *error);
void sonde__error_plan_write(const struct sonde__error_plan *plan, uint8_t *at);

/*
 * The same for an error that was captured before: the first `n_new` errors of its chain alone; or,
 * where none came to it since, itself with the place it was captured at.
 */
size_t sonde__error_plan_again(struct sonde__error_plan *plan, const struct sonde_error *error,
			       size_t n_new, const struct sonde__place *place);

/* Leaves all attributes out, and counts them as dropped. */
void sonde__error_plan_drop_fields(struct sonde__error_plan *plan);

/* The attributes alone, plan->fields_size bytes. */
void sonde__error_plan_write_fields(const struct sonde__error_plan *plan, uint8_t *at);

#endif
