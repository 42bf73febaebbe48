/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record as another process may have left it. What passes the check must be readable to its last
 * byte, and mendable into fields that are valid, unique, within the limits and without ticks.
 * The input's first byte chooses the limits.
 */

#include "base/utf8.h"
#include "record/check.h"
#include "record/mend.h"
#include "record/plain.h"
#include "target.h"

static struct sonde__mender mender;
static struct sonde__clock wall;

static void check_text(struct sonde_text text)
{
	CHECK(sonde__utf8_is_valid(text.data, text.size));
}

static void check_value(struct sonde_value_view value)
{
	struct sonde_value_view element;

	if (value.type == SONDE_VALUE_STR)
		check_text(value.as.string);
	while (value.type == SONDE_VALUE_ARRAY && sonde_value_next(&value.as.array, &element))
		if (element.type == SONDE_VALUE_STR)
			check_text(element.as.string);
}

static void check_unique(enum sonde_fields type, struct sonde_bytes rest, struct sonde_text key)
{
	struct sonde_item_view item;

	while (sonde_item_next(type, &rest, &item))
		if (item.type == SONDE_ITEM_ATTRIBUTE)
			CHECK(item.name.size != key.size ||
			      memcmp(item.name.data, key.data, key.size) != 0);
}

static void check_items(enum sonde_fields type, struct sonde_bytes rest)
{
	struct sonde_item_view item;

	while (sonde_item_next(type, &rest, &item)) {
		check_text(item.name);
		if (item.type == SONDE_ITEM_ATTRIBUTE) {
			CHECK(item.name.size > 0);
			check_value(item.value);
			check_unique(type, rest, item.name);
			continue;
		}
		check_text(item.trace_state);
		if (item.type == SONDE_ITEM_EVENT)
			CHECK(((const uint8_t *)item.attributes.data)[0] == SONDE__TAG_EVENT_TIME);
		check_items(item.type == SONDE_ITEM_EVENT ? SONDE_FIELDS_EVENT : SONDE_FIELDS_LINK,
			    item.attributes);
	}
}

static void check_mending(enum sonde_fields type, struct sonde_bytes fields, bool passed)
{
	/* The same fields twice: every key is there again. */
	struct sonde_bytes twice[2] = { fields, fields };
	struct sonde__mend_counts counts = { 0 };
	struct sonde__arena arena;

	CHECK(sonde__arena_init(&arena, 64 * fields.size + 65536) == SONDE_OK);
	for (size_t n = 1; n <= 2; n++) {
		const struct sonde_bytes *pieces;
		size_t n_pieces;
		int r = sonde__mend(&mender, type, twice, n, &arena, &counts, &pieces, &n_pieces);

		if (!passed)
			continue;
		CHECK(r == SONDE_OK);
		for (size_t i = 0; i < n_pieces; i++) {
			CHECK(sonde__fields_are_valid(type, pieces[i]));
			check_items(type, pieces[i]);
		}
	}
	sonde__arena_deinit(&arena);
}

/* The quick way says the same as the thorough ones, or nothing. */
static void check_plain(struct sonde_bytes fields)
{
	struct sonde__mend_counts counts = { 0 };
	const struct sonde_bytes *pieces;
	struct sonde_bytes copy;
	struct sonde__arena arena;
	size_t n_pieces;

	CHECK(sonde__arena_init(&arena, 64 * fields.size + 65536) == SONDE_OK);
	if (sonde__plain_copy(&mender, fields, &arena, &copy)) {
		CHECK(sonde__fields_are_valid(SONDE_FIELDS_SPAN, fields));
		CHECK(sonde__mend(&mender, SONDE_FIELDS_SPAN, &fields, 1, &arena, &counts, &pieces,
				  &n_pieces) == SONDE_OK);
		CHECK(n_pieces == 1 && pieces[0].size == copy.size);
		CHECK(!copy.size || memcmp(pieces[0].data, copy.data, copy.size) == 0);
	} else {
		CHECK(arena.used == 0);
	}
	sonde__arena_deinit(&arena);
}

static void check_error(const struct sonde__error_record *error)
{
	const struct sonde__error_link *walk = NULL;
	struct sonde__error_link_view view;
	const uint64_t *frames = sonde__error_record_frames(error);
	const uint8_t *end = (const uint8_t *)error + error->head.size;
	uint64_t sum = 0;
	unsigned n = 0;

	for (; sonde__error_record_next(error, &walk, &view); n++)
		CHECK((const uint8_t *)view.function.data + view.function.size <= end);
	CHECK(n == error->n_links);
	for (unsigned i = 0; i < error->n_frames; i++)
		sum += frames[i];
	CHECK(sum == sum);
	check_mending(SONDE_FIELDS_LOG, sonde__error_record_fields(error), true);
}

static void check_record(const struct sonde__record *record)
{
	const void *typed = record;

	if (record->type == SONDE__RECORD_SPAN)
		check_mending(SONDE_FIELDS_SPAN, sonde__span_record_fields(typed), true);
	else if (record->type == SONDE__RECORD_PART)
		check_mending(SONDE_FIELDS_SPAN, sonde__part_record_fields(typed), true);
	else if (record->type == SONDE__RECORD_LOG)
		check_mending(SONDE_FIELDS_LOG, sonde__log_record_fields(typed), true);
	else
		check_error(typed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sonde__mend_limits limits[] = {
		{ 128, 128, 128, 128, 128, UINT32_MAX }, { 2, 1, 1, 1, 1, 3 }, { 0, 0, 0, 0, 0, 0 },
		{ UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, 1 },
	};
	struct sonde__record *record;

	if (!size)
		return 0;
	sonde__clock_add(&wall, &(struct sonde__anchor){ 1, 1, 1 });
	sonde__mender_init(&mender, &limits[data[0] % 4], &wall);
	data++;
	size--;
	record = aligned_alloc(8, (size + 8) & ~(size_t)7);
	CHECK(record);
	/* At the end of its block, as far as alignment allows. */
	memcpy(record, data, size);
	if (sonde__record_is_valid(record, size))
		check_record(record);
	/* And as bare fields, checked or not: mending has bounds of its own. */
	for (enum sonde_fields type = SONDE_FIELDS_SPAN; type <= SONDE_FIELDS_LOG; type++) {
		struct sonde_bytes fields = { record, size };

		check_mending(type, fields, sonde__fields_are_valid(type, fields));
	}
	check_plain((struct sonde_bytes){ record, size });
	if (sonde__span_head_is_valid(record, size))
		check_plain(sonde__span_record_fields((const void *)record));
	free(record);
	return 0;
}
