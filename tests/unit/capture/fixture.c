/* SPDX-License-Identifier: Apache-2.0 */

#include "fixture.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"

#define DIRECTORY "/dev/shm/sonde-fixture-XXXXXX"

unsigned fixture_n_children;

static char directory[sizeof(DIRECTORY)];

static uint64_t *records[FIXTURE_RECORDS];
static size_t n_records;

static bool enter_child(bool signal_safe)
{
	struct sonde__box_info info;

	(void)signal_safe;
	fixture_n_children++;
	if (sonde__process_is_known())
		return true;
	if (sonde__box_open(/* options= */ NULL, &info) < 0)
		return false;
	sonde__process_adopt();
	return true;
}

void fixture_reopen(uint32_t limit, enum sonde_exception_signal signal)
{
	const struct sonde__capture_options options = {
		.slow_threshold_ms = 1000,
		.exception_signal = signal,
		.span_attributes = limit,
		.span_events = limit,
		.span_links = limit,
		.enter_child = enter_child,
	};

	sonde__capture_open(&options);
}

/*
 * Children leave their boxes behind, as processes that are killed do: they have a directory apart.
 */
static void remove_directory(void)
{
	DIR *listing = opendir(directory);
	struct dirent *entry;

	while (listing && (entry = readdir(listing)))
		unlinkat(dirfd(listing), entry->d_name, 0);
	if (listing)
		closedir(listing);
	rmdir(directory);
}

int fixture_open(void **state)
{
	const struct sonde__box_options options = { .size_bytes = 8 << 20,
						    .directory = directory,
						    .service_name = "fixture" };
	struct sonde__box_info info;

	(void)state;
	sonde__clock_init();
	memcpy(directory, DIRECTORY, sizeof(DIRECTORY));
	if (sonde__process_init() < 0 || !mkdtemp(directory) ||
	    sonde__box_open(&options, &info) < 0)
		return -1;
	fixture_take();
	fixture_reopen(/* limit= */ 128, SONDE_EXCEPTION_BOTH);
	return 0;
}

static void forget(void)
{
	while (n_records)
		free(records[--n_records]);
}

int fixture_close(void **state)
{
	(void)state;
	sonde__capture_close();
	fixture_take();
	forget();
	sonde__box_close();
	remove_directory();
	sonde_context_attach(/* context= */ NULL);
	return 0;
}

static void take_one(const struct sonde__record_ref *ref)
{
	assert_true(n_records < FIXTURE_RECORDS);
	/* A copy of its exact size, so that the sanitizer sees a read past its end. */
	records[n_records] = malloc(ref->record->size);
	memcpy(records[n_records], ref->record, ref->record->size);
	assert_true(sonde__record_is_valid(fixture_record(n_records), ref->record->size));
	if (fixture_record(n_records)->type == SONDE__RECORD_SPAN)
		sonde__figures_count_span((const void *)fixture_record(n_records));
	n_records++;
	sonde__box_release(ref);
}

size_t fixture_take(void)
{
	struct sonde__record_ref refs[256];
	bool is_complete = false;

	forget();
	while (!is_complete) {
		size_t n = sonde__box_collect(refs, 256, &is_complete);

		for (size_t i = 0; i < n; i++)
			take_one(&refs[i]);
	}
	return n_records;
}

const struct sonde__record *fixture_record(size_t i)
{
	return (const struct sonde__record *)records[i];
}

size_t fixture_count(enum sonde__record_type type)
{
	size_t n = 0;

	for (size_t i = 0; i < n_records; i++)
		n += fixture_record(i)->type == type;
	return n;
}

static const void *only(enum sonde__record_type type)
{
	assert_int_equal(fixture_count(type), 1);
	for (size_t i = 0; i < n_records; i++)
		if (fixture_record(i)->type == type)
			return records[i];
	return NULL;
}

const struct sonde__span_record *fixture_span(void)
{
	return only(SONDE__RECORD_SPAN);
}

const struct sonde__part_record *fixture_part(void)
{
	return only(SONDE__RECORD_PART);
}

const struct sonde__log_record *fixture_log(void)
{
	return only(SONDE__RECORD_LOG);
}

const struct sonde__error_record *fixture_error(void)
{
	return only(SONDE__RECORD_ERROR);
}

struct sonde_text fixture_name(const struct sonde__span_record *span)
{
	struct sonde__site_view site;

	if (span->name_size)
		return sonde__span_record_name(span);
	assert_true(sonde__site_get(span->site, &site));
	return site.name;
}

const struct sonde__span_record *fixture_span_named(const char *name)
{
	for (size_t i = 0; i < n_records; i++) {
		const struct sonde__span_record *span = (const void *)records[i];
		struct sonde_text text;

		if (span->head.type != SONDE__RECORD_SPAN)
			continue;
		text = fixture_name(span);
		if (text.size == strlen(name) && !memcmp(text.data, name, text.size))
			return span;
	}
	fail_msg("no span \"%s\"", name);
	return NULL;
}

uint64_t fixture_lost(enum sonde_signal signal, enum sonde_loss reason)
{
	struct sonde__box_account account;

	sonde__box_account(signal, &account);
	return account.lost[reason];
}

struct sonde_value_view fixture_attribute(enum sonde_fields type, struct sonde_bytes fields,
					  const char *key)
{
	struct sonde_value_view value = { 0 };
	struct sonde_item_view item;
	bool found = false;

	while (sonde_item_next(type, &fields, &item)) {
		if (item.type != SONDE_ITEM_ATTRIBUTE || item.name.size != strlen(key) ||
		    memcmp(item.name.data, key, item.name.size))
			continue;
		value = item.value;
		found = true;
	}
	if (!found)
		fail_msg("no attribute \"%s\"", key);
	return value;
}

size_t fixture_count_items(enum sonde_fields type, struct sonde_bytes fields,
			   enum sonde_item_type item_type)
{
	struct sonde_item_view item;
	size_t n = 0;

	while (sonde_item_next(type, &fields, &item))
		n += item.type == item_type;
	return n;
}

void fixture_assert_text(struct sonde_text text, const char *wanted)
{
	assert_int_equal(text.size, strlen(wanted));
	assert_memory_equal(text.data, wanted, text.size);
}

void fixture_assert_current_is_empty(void)
{
	const struct sonde_context none = SONDE_CONTEXT_INIT;
	struct sonde_context current = sonde_context_current();

	assert_memory_equal(&current, &none, sizeof(none));
}

struct sonde_context fixture_attach_remote(void)
{
	struct sonde_context remote;

	assert_int_equal(sonde_context_from_traceparent("00-" FIXTURE_REMOTE_TRACE
							"-b7ad6b7169203331-01",
							/* tracestate= */ NULL, &remote),
			 SONDE_OK);
	return sonde_context_attach(&remote);
}
