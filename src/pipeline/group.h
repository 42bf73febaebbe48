/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_GROUP_H
#define SONDE_PIPELINE_GROUP_H

/*
 * Errors by fingerprint. Two bounded tables: the groups, of which the one that was seen longest ago
 * makes room for a new one, know what the limiter needs and what was held back; the series, which
 * are the metric's, stay for ever once given, because a counter that vanished and came back, or
 * whose count went over to another, would be told twice. What comes when all series are given is
 * counted as one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/base.h>

#include "pipeline/limiter.h"
#include "record/view.h"

#define SONDE__GROUPS_MAX 1024
#define SONDE__GROUP_TYPE_SIZE 64 /* Of an error object's type. */
#define SONDE__GROUP_MESSAGE_SIZE 256

/* Of those held back since the last summary, the last one. */
struct sonde__held {
	uint64_t n;
	uint64_t time; /* The record's. */
	uint64_t event_id;
	uint8_t trace_id[16];
	uint8_t span_id[8];
	bool time_is_unix;
	uint8_t trace_flags;
	uint8_t severity;
	uint16_t message_size;
	char message[SONDE__GROUP_MESSAGE_SIZE];
};

struct sonde__group {
	uint64_t fingerprint;
	uint64_t seen_ns;
	struct sonde__share share;
	uint32_t next_in_slot; /* Numbers of groups plus 1; 0: none. */
	uint32_t older;
	uint32_t newer;
	uint32_t series; /* Number plus 1; 0: the common one. */
	uint8_t type_size;
	char type[SONDE__GROUP_TYPE_SIZE];
	struct sonde__held held;
};

struct sonde__group_series {
	uint64_t fingerprint;
	uint64_t n;
	uint32_t next_in_slot; /* As above. */
	uint8_t type_size;
	char type[SONDE__GROUP_TYPE_SIZE];
};

struct sonde__groups {
	struct sonde__group *groups;
	struct sonde__group_series *series;
	uint32_t *slots; /* By fingerprint: of groups, then as many of series. */
	uint32_t capacity;
	uint32_t series_capacity;
	uint32_t n;
	uint32_t n_series;
	uint32_t oldest; /* By when they were seen last. */
	uint32_t newest;
	uint64_t n_overflow; /* Errors without a series. */
	uint64_t n_forgotten; /* Held back, and their group had to go before it was told. */
	uint32_t n_active; /* Seen within the last moments, as counted a moment ago. */
	uint64_t counted_ns;
};

/* Memory for tables of this size. */
size_t sonde__groups_memory(uint32_t capacity, uint32_t series_capacity);

int sonde__groups_init(struct sonde__groups *groups, uint32_t capacity, uint32_t series_capacity);
void sonde__groups_deinit(struct sonde__groups *groups);

/* Counts an error; its group, known or new. The limiter gives a new one its share. */
struct sonde__group *sonde__groups_see(struct sonde__groups *groups,
				       const struct sonde__limiter *limiter, uint64_t fingerprint,
				       struct sonde_text type, uint64_t now_ns);

/* Groups with errors in the last ten seconds, counted once a second; at least 1. */
uint32_t sonde__groups_active(struct sonde__groups *groups, uint64_t now_ns);

/* An error of the group was held back. */
void sonde__group_hold(struct sonde__group *group, const struct sonde__error_record *record,
		       struct sonde_text message);

/* The next one that holds something back, from the newest on; NULL at the end. */
struct sonde__group *sonde__groups_next_held(const struct sonde__groups *groups,
					     const struct sonde__group *after);

#endif
