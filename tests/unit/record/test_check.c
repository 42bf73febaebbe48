/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of every type pass, with their texts where they belong; each single change that breaks
 * one is found. Records lie at the very end of a heap block, so that a look past them is seen.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "record/check.h"
#include "record/event.h"

#define FIELDS_ROOM 512

static size_t span_fields_write(uint8_t *fields)
{
	const struct sonde_attr attrs[] = { sonde_str("event.key", "value") };
	struct sonde__event event = { .name = "event",
				      .name_size = 5,
				      .time = 99,
				      .attrs = attrs,
				      .n_attrs = 1,
				      .n_dropped = 1 };
	struct sonde__link link = { .trace_id = { 1 },
				    .span_id = { 2 },
				    .trace_state = "a=b",
				    .trace_state_size = 3,
				    .attrs = attrs,
				    .n_attrs = 1,
				    .n_dropped = 2 };
	static const int64_t numbers[] = { 1, 2, 3 };
	const struct sonde_attr own[] = {
		sonde_str("s", "text"),	     sonde_int("i", -5),
		sonde_double("d", 2.5),	     sonde_bool("b", true),
		sonde_bytes("y", "\xff", 1), sonde_int_array("a", numbers, 3),
		sonde_strn("", "", 0)
	};
	size_t size = 0;

	for (size_t i = 0; i < 7; i++)
		size += sonde__attr_encode(SONDE__TAG_SPAN_ATTRIBUTE, &own[i], fields + size,
					   FIELDS_ROOM - size);
	size += sonde__event_encode(&event, fields + size, FIELDS_ROOM - size);
	return size + sonde__link_encode(&link, fields + size, FIELDS_ROOM - size);
}

/* A copy that ends where its block ends; size is a multiple of 8 in none of these. */
static void *record_new(const void *head, size_t head_size, const void *rest, size_t rest_size)
{
	uint8_t *record = aligned_alloc(8, (head_size + rest_size + 7) & ~(size_t)7);

	memcpy(record, head, head_size);
	memcpy(record + head_size, rest, rest_size);
	return record;
}

static struct sonde__span_record *span_new(size_t *ret_size)
{
	uint8_t rest[1024];
	struct sonde__span_record head = { .head = { .type = SONDE__RECORD_SPAN },
					   .trace_id = { 1 },
					   .span_id = { 2 },
					   .kind = 3,
					   .status = 2,
					   .name_size = 4,
					   .trace_state_size = 3,
					   .description_size = 5 };
	size_t fields_size;

	memcpy(rest, "namea=bbroke", 12);
	fields_size = span_fields_write(rest + 12);
	head.fields_size = (uint16_t)fields_size;
	*ret_size = sizeof(head) + 12 + fields_size;
	head.head.size = (uint32_t)*ret_size;
	return record_new(&head, sizeof(head), rest, 12 + fields_size);
}

static void check_text(struct sonde_text text, const char *expected)
{
	assert_int_equal(text.size, strlen(expected));
	assert_memory_equal(text.data, expected, text.size);
}

static void test_span(void **state)
{
	size_t size;
	struct sonde__span_record *span = span_new(&size);
	struct sonde_bytes fields;

	(void)state;
	assert_true(sonde__record_is_valid(&span->head, size));
	assert_true(sonde__record_is_valid(&span->head, size + 100));
	check_text(sonde__span_record_name(span), "name");
	check_text(sonde__span_record_trace_state(span), "a=b");
	check_text(sonde__span_record_description(span), "broke");
	fields = sonde__span_record_fields(span);
	assert_true((const uint8_t *)fields.data + fields.size == (const uint8_t *)span + size);
	for (size_t available = 0; available < size; available++)
		assert_false(sonde__record_is_valid(&span->head, available));
	free(span);
}

#define CHECK_BROKEN(change) \
	do { \
		size_t size; \
		struct sonde__span_record *span = span_new(&size); \
		change; \
		assert_false(sonde__record_is_valid(&span->head, size)); \
		free(span); \
	} while (0)

static void test_broken_heads(void **state)
{
	(void)state;
	CHECK_BROKEN(span->head.size++);
	CHECK_BROKEN(span->head.size--);
	CHECK_BROKEN(span->head.size = UINT32_MAX);
	CHECK_BROKEN(span->head.size = 0);
	CHECK_BROKEN(span->head.type = 0);
	CHECK_BROKEN(span->head.type = 5);
	CHECK_BROKEN(span->head.type = 255);
	CHECK_BROKEN(span->kind = 6);
	CHECK_BROKEN(span->status = 3);
	CHECK_BROKEN(span->trace_id[0] = 0);
	CHECK_BROKEN(span->span_id[0] = 0);
	CHECK_BROKEN(span->name_size = UINT16_MAX);
	CHECK_BROKEN(span->fields_size = UINT16_MAX);
	CHECK_BROKEN(span->name_size++);
	CHECK_BROKEN(span->fields_size++);
	CHECK_BROKEN(span->fields_size--);
}

static void test_misaligned_is_refused(void **state)
{
	size_t size;
	struct sonde__span_record *span = span_new(&size);
	uint8_t *moved = malloc(size + 8);
	const void *record = moved + 4;

	(void)state;
	memcpy(moved + 4, span, size);
	assert_false(sonde__record_is_valid(record, size));
	free(moved);
	free(span);
}

/* Every byte of the fields changed in every bit: refused, or still something the readers take. */
static void test_flipped_bits_are_harmless(void **state)
{
	size_t size;
	struct sonde__span_record *span = span_new(&size);
	uint8_t *bytes = (uint8_t *)span;
	size_t n_refused = 0;

	(void)state;
	for (size_t i = 0; i < size; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			bytes[i] ^= (uint8_t)(1u << bit);
			if (sonde__record_is_valid(&span->head, size)) {
				struct sonde_bytes rest = sonde__span_record_fields(span);
				struct sonde_item_view item;
				size_t n = 0;

				while (sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item))
					n++;
				assert_in_range(n, 1, 9);
			} else {
				n_refused++;
			}
			bytes[i] ^= (uint8_t)(1u << bit);
		}
	}
	assert_true(n_refused > 300);
	free(span);
}

static void check_fields(bool expected, const char *text, size_t size)
{
	char *copy = malloc(size ? size : 1);

	memcpy(copy, text, size);
	assert_int_equal(
		sonde__fields_are_valid(SONDE_FIELDS_SPAN, (struct sonde_bytes){ copy, size }),
		expected);
	free(copy);
}

#define GOOD(text) check_fields(true, text, sizeof(text) - 1)
#define BAD(text) check_fields(false, text, sizeof(text) - 1)

static void test_fields_grammar(void **state)
{
	(void)state;
	GOOD("");
	GOOD("\x4a\x04\x0a\0\x12\0");
	BAD("\x4a\x02\x0a\0");
	BAD("\x4a\x02\x12\0");
	BAD("\x4a\x04\x12\0\x0a\0");
	BAD("\x4a\x06\x0a\0\x12\0\x0a\0");
	BAD("\x4a\x05\x0a\0\x12\0\x01");
	BAD("\x4a");
	BAD("\x08\x01");
	BAD("\x32\x04\x0a\0\x12\0");
	/*
	 * Values: two in one, a bool of 2, a list in a list, a map, a double too short, an unknown
	 * kind.
	 */
	BAD("\x4a\x08\x0a\0\x12\x04\x10\x01\x10\x01");
	BAD("\x4a\x06\x0a\0\x12\x02\x10\x02");
	GOOD("\x4a\x08\x0a\0\x12\x04\x2a\x02\x0a\0");
	BAD("\x4a\x0a\x0a\0\x12\x06\x2a\x04\x0a\x02\x2a\0");
	BAD("\x4a\x06\x0a\0\x12\x02\x32\0");
	BAD("\x4a\x09\x0a\0\x12\x05\x21\0\0\0\0");
	BAD("\x4a\x06\x0a\0\x12\x02\x40\x01");
	BAD("\x4a\x08\x0a\0\x12\x04\x2a\x02\x12\0");
	/* Events: time first, then the name. */
	GOOD("\x5a\x0b\x79\0\0\0\0\0\0\0\0\x12\0");
	GOOD("\x5a\x0b\x09\0\0\0\0\0\0\0\0\x12\0");
	BAD("\x5a\x02\x12\0");
	BAD("\x5a\x09\x09\0\0\0\0\0\0\0\0");
	BAD("\x5a\x05\x09\0\0\0\0");
	BAD("\x5a\x0b\x12\0\x09\0\0\0\0\0\0\0\0");
	GOOD("\x5a\x0d\x09\0\0\0\0\0\0\0\0\x12\0\x20\x01");
	BAD("\x5a\x0f\x09\0\0\0\0\0\0\0\0\x12\0\x20\x01\x20\x01");
	BAD("\x5a\x12\x09\0\0\0\0\0\0\0\0\x12\0\x20\xff\xff\xff\xff\x1f");
	/* Links: ids of the right lengths. */
	GOOD("\x6a\x21\x0a\x10xxxxxxxxxxxxxxxx\x12\x08yyyyyyyy\x35\0\0\0\0");
	BAD("\x6a\x20\x0a\x0fxxxxxxxxxxxxxxx\x12\x08yyyyyyyy\x35\0\0\0\0");
	BAD("\x6a\x20\x0a\x10xxxxxxxxxxxxxxxx\x12\x07yyyyyyy\x35\0\0\0\0");
	BAD("\x6a\x1c\x0a\x10xxxxxxxxxxxxxxxx\x12\x08yyyyyyyy");
}

static void test_part_and_log(void **state)
{
	uint8_t rest[64];
	struct sonde__part_record part = { .head = { .type = SONDE__RECORD_PART },
					   .trace_id = { 1 },
					   .span_id = { 1 },
					   .name_size = 3,
					   .description_size = 2 };
	struct sonde__log_record log = { .head = { .type = SONDE__RECORD_LOG },
					 .severity = 9,
					 .body_size = 5 };
	const struct sonde_attr attr = sonde_int("k", 1);
	void *record;

	(void)state;
	memcpy(rest, "newno", 5);
	part.fields_size =
		(uint16_t)sonde__attr_encode(SONDE__TAG_SPAN_ATTRIBUTE, &attr, rest + 5, 59);
	part.head.size = (uint32_t)(sizeof(part) + 5 + part.fields_size);
	record = record_new(&part, sizeof(part), rest, 5 + (size_t)part.fields_size);
	assert_true(sonde__record_is_valid(record, part.head.size));
	check_text(sonde__part_record_name(record), "new");
	check_text(sonde__part_record_description(record), "no");
	assert_int_equal(sonde__part_record_fields(record).size, part.fields_size);
	((struct sonde__part_record *)record)->status = 3;
	assert_false(sonde__record_is_valid(record, part.head.size));
	free(record);

	memcpy(rest, "hello", 5);
	log.fields_size =
		(uint16_t)sonde__attr_encode(SONDE__TAG_LOG_ATTRIBUTE, &attr, rest + 5, 59);
	log.head.size = (uint32_t)(sizeof(log) + 5 + log.fields_size);
	record = record_new(&log, sizeof(log), rest, 5 + (size_t)log.fields_size);
	assert_true(sonde__record_is_valid(record, log.head.size));
	check_text(sonde__log_record_body(record), "hello");
	assert_int_equal(sonde__log_record_fields(record).size, log.fields_size);
	/* A span's attribute is no log's. */
	((uint8_t *)record)[sizeof(log) + 5] = SONDE__TAG_SPAN_ATTRIBUTE;
	assert_false(sonde__record_is_valid(record, log.head.size));
	free(record);
}

struct error_memory {
	struct sonde__error_record head;
	struct sonde__error_link outer;
	char outer_texts[16]; /* 4 + 3 + 2 + 3 + 2, and 2 of padding. */
	struct sonde__error_link inner;
	uint64_t frames[3];
	uint8_t fields[16];
};

static void error_fill(struct error_memory *error)
{
	const struct sonde_attr attr = sonde_int("k", 1);

	memset(error, 0, sizeof(*error));
	error->head.head.type = SONDE__RECORD_ERROR;
	error->head.severity = 17;
	error->head.n_links = 2;
	error->head.n_frames = 3;
	error->outer = (struct sonde__error_link){ .line = 12,
						   .errno_value = 2,
						   .type_size = 4,
						   .n_omitted = 7,
						   .message_size = 3,
						   .detail_size = 2,
						   .file_size = 3,
						   .function_size = 2,
						   .level = 1,
						   .flags = SONDE__LINK_JOINED };
	memcpy(error->outer_texts, "typehellof.cgo", 14);
	error->inner.line = 99;
	for (uint64_t i = 0; i < 3; i++)
		error->frames[i] = 0x400000 + i;
	error->head.fields_size =
		(uint16_t)sonde__attr_encode(SONDE__TAG_LOG_ATTRIBUTE, &attr, error->fields, 16);
	error->head.head.size =
		(uint32_t)(offsetof(struct error_memory, fields) + error->head.fields_size);
}

static void test_error(void **state)
{
	const struct sonde__error_link *walk = NULL;
	struct sonde__error_link_view view;
	struct error_memory error;

	(void)state;
	error_fill(&error);
	assert_true(sonde__record_is_valid(&error.head.head, error.head.head.size));
	assert_true(sonde__error_record_next(&error.head, &walk, &view));
	assert_int_equal(view.line, 12);
	assert_int_equal(view.errno_value, 2);
	assert_int_equal(view.n_omitted, 7);
	assert_int_equal(view.level, 1);
	assert_int_equal(view.flags, SONDE__LINK_JOINED);
	check_text(view.type, "type");
	check_text(view.message, "hel");
	check_text(view.detail, "lo");
	check_text(view.file, "f.c");
	check_text(view.function, "go");
	assert_true(sonde__error_record_next(&error.head, &walk, &view));
	assert_int_equal(view.line, 99);
	assert_int_equal(view.type.size, 0);
	assert_false(sonde__error_record_next(&error.head, &walk, &view));
	assert_memory_equal(sonde__error_record_frames(&error.head), error.frames,
			    sizeof(error.frames));
	assert_ptr_equal(sonde__error_record_fields(&error.head).data, error.fields);
}

static void test_broken_errors(void **state)
{
	struct error_memory error;

	(void)state;
	for (uint32_t available = 0; available < sizeof(error.head); available++) {
		error_fill(&error);
		error.head.head.size = available;
		assert_false(sonde__record_is_valid(&error.head.head, available));
	}
	error_fill(&error);
	error.head.n_links = 0;
	assert_false(sonde__record_is_valid(&error.head.head, sizeof(error)));
	error.head.n_links = 255;
	assert_false(sonde__record_is_valid(&error.head.head, sizeof(error)));
	error_fill(&error);
	error.outer.function_size = UINT16_MAX;
	assert_false(sonde__record_is_valid(&error.head.head, sizeof(error)));
	error_fill(&error);
	error.outer.detail_size = UINT16_MAX;
	assert_false(sonde__record_is_valid(&error.head.head, sizeof(error)));
	error_fill(&error);
	error.outer.level = SONDE__LINK_LEVEL_MAX + 1;
	assert_false(sonde__record_is_valid(&error.head.head, sizeof(error)));
	error_fill(&error);
	error.inner.flags = 0x04;
	assert_false(sonde__record_is_valid(&error.head.head, sizeof(error)));
	error_fill(&error);
	error.inner.file_size = 200;
	assert_false(sonde__record_is_valid(&error.head.head, sizeof(error)));
	error_fill(&error);
	error.head.n_frames = 255;
	assert_false(sonde__record_is_valid(&error.head.head, sizeof(error)));
	error_fill(&error);
	error.head.fields_size = UINT16_MAX;
	assert_false(sonde__record_is_valid(&error.head.head, sizeof(error)));
	error_fill(&error);
	error.head.severity = 25;
	assert_false(sonde__record_is_valid(&error.head.head, sizeof(error)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_span),
		cmocka_unit_test(test_broken_heads),
		cmocka_unit_test(test_misaligned_is_refused),
		cmocka_unit_test(test_flipped_bits_are_harmless),
		cmocka_unit_test(test_fields_grammar),
		cmocka_unit_test(test_part_and_log),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_broken_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
