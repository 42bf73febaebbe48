/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_UNIT_RECORD_MEND_FIXTURE_H
#define SONDE_TESTS_UNIT_RECORD_MEND_FIXTURE_H

/* A mender, a clock of one tick a nanosecond, and fields to put things into. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/utf8.h"
#include "record/check.h"
#include "record/event.h"
#include "record/mend.h"

#define ROOM 32768

static const struct sonde__mend_limits default_limits = { 128, 128, 128, 128, 128, UINT32_MAX };

struct fixture {
	struct sonde__mender mender;
	struct sonde__clock clock;
	struct sonde__arena arena;
	struct sonde__mend_counts counts;
	uint8_t fields[ROOM];
	size_t size;
	const struct sonde_bytes *pieces;
	size_t n_pieces;
};

static inline int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	/* One tick is one nanosecond, a million seconds after 1970. */
	sonde__clock_add(&fixture->clock,
			 &(struct sonde__anchor){ 0, 0, UINT64_C(1000000000000000) });
	sonde__clock_add(&fixture->clock,
			 &(struct sonde__anchor){ UINT64_C(10000000000), UINT64_C(10000000000),
						  UINT64_C(1000010000000000) });
	sonde__mender_init(&fixture->mender, &default_limits, &fixture->clock);
	*state = fixture;
	return sonde__arena_init(&fixture->arena, 8 * ROOM);
}

static inline int teardown(void **state)
{
	struct fixture *fixture = *state;

	sonde__arena_deinit(&fixture->arena);
	free(fixture);
	return 0;
}

static inline void put(struct fixture *fixture, struct sonde_attr attr)
{
	size_t size = sonde__attr_encode(SONDE__TAG_SPAN_ATTRIBUTE, &attr,
					 fixture->fields + fixture->size, ROOM - fixture->size);

	assert_true(size > 0);
	fixture->size += size;
}

static inline void put_event(struct fixture *fixture, const char *name, uint64_t ticks,
		      const struct sonde_attr *attrs, size_t n_attrs)
{
	struct sonde__event event = { .name = name,
				      .name_size = strlen(name),
				      .time = ticks,
				      .attrs = attrs,
				      .n_attrs = n_attrs };
	size_t size =
		sonde__event_encode(&event, fixture->fields + fixture->size, ROOM - fixture->size);

	assert_true(size > 0);
	fixture->size += size;
}

static inline void put_link(struct fixture *fixture, const char *trace_state,
		     const struct sonde_attr *attrs, size_t n_attrs)
{
	struct sonde__link link = { .trace_id = { 7 },
				    .span_id = { 8 },
				    .flags = 0x301,
				    .trace_state = trace_state,
				    .trace_state_size = strlen(trace_state),
				    .attrs = attrs,
				    .n_attrs = n_attrs,
				    .n_dropped = 1 };
	size_t size =
		sonde__link_encode(&link, fixture->fields + fixture->size, ROOM - fixture->size);

	assert_true(size > 0);
	fixture->size += size;
}

static struct sonde_bytes own_piece;

static inline void mend(struct fixture *fixture)
{
	own_piece = (struct sonde_bytes){ fixture->fields, fixture->size };
	assert_true(sonde__fields_are_valid(SONDE_FIELDS_SPAN, own_piece));
	assert_int_equal(sonde__mend(&fixture->mender, SONDE_FIELDS_SPAN, &own_piece, 1,
				     &fixture->arena, &fixture->counts, &fixture->pieces,
				     &fixture->n_pieces),
			 SONDE_OK);
	for (size_t i = 0; i < fixture->n_pieces; i++)
		assert_true(sonde__fields_are_valid(SONDE_FIELDS_SPAN, fixture->pieces[i]));
}

static struct sonde_bytes rest_of;

/* The next item of the one piece. */
static inline struct sonde_item_view next_item(void)
{
	struct sonde_item_view item;

	assert_true(sonde_item_next(SONDE_FIELDS_SPAN, &rest_of, &item));
	return item;
}

static inline void first_item(const struct fixture *fixture)
{
	assert_int_equal(fixture->n_pieces, 1);
	rest_of = fixture->pieces[0];
}

static inline void check_text(struct sonde_text text, const char *expected)
{
	assert_int_equal(text.size, strlen(expected));
	assert_memory_equal(text.data, expected, text.size);
}

static inline void check_counts(const struct fixture *fixture, struct sonde__mend_counts expected)
{
	assert_int_equal(fixture->counts.invalid_utf8, expected.invalid_utf8);
	assert_int_equal(fixture->counts.dropped_attributes, expected.dropped_attributes);
	assert_int_equal(fixture->counts.dropped_nested, expected.dropped_nested);
	assert_int_equal(fixture->counts.dropped_events, expected.dropped_events);
	assert_int_equal(fixture->counts.dropped_links, expected.dropped_links);
	assert_int_equal(fixture->counts.cut_values, expected.cut_values);
}

#endif
