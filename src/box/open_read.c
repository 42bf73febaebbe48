/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the table of open spans, of this process or any other. Writers do not wait for readers
 * and readers not for writers, so what is read may be half of one span and half of the next: then
 * `check` and `span_id`, the last word written and the first, do not go together. The same test
 * refuses bytes that never were an entry.
 */

#include "box/open.h"

#include "box/open_inline.h"

#define TAKE(word) atomic_load_explicit(&entry->word, memory_order_acquire) /* A12 */

/*
 * A12, partner R12: what was read before `span_id` is of that span or an earlier one, and of this
 * one or a later one since `check` was read before it.
 */
bool sonde__open_entry_read(const struct sonde__open_entry *entry, struct sonde__open_span *ret)
{
	const uint64_t check = TAKE(check);
	struct sonde__open_span span = {
		.trace_id = { TAKE(trace_id[0]), TAKE(trace_id[1]) },
		.parent_id = TAKE(parent_id),
		.start = TAKE(start),
		.site = TAKE(site),
		.thread = (int32_t)TAKE(thread),
	};

	span.span_id = SONDE__OPEN_GET(span_id);
	if (!span.span_id || span.span_id != ~check || !(span.trace_id[0] | span.trace_id[1]) ||
	    span.site > SONDE__SITES_MAX || span.thread < 0)
		return false;
	*ret = span;
	return true;
}

/* A11, see open_inline.h. */
static const struct sonde__open_entry *entries_get(void)
{
	return atomic_load_explicit(&sonde__open_table.entries, memory_order_acquire);
}

static uint32_t n_entries(void)
{
	return (uint32_t)((sonde__open_table.mask + 1) / sizeof(struct sonde__open_entry));
}

size_t sonde__open_list(struct sonde__open_span *ret, size_t capacity)
{
	const struct sonde__open_entry *entries = entries_get();
	size_t n = 0;

	for (uint32_t i = 0; entries && i < n_entries() && n < capacity; i++)
		n += sonde__open_entry_read(&entries[i], &ret[n]);
	return n;
}

void sonde__open_count(struct sonde__open_count *ret)
{
	const struct sonde__open_entry *entries = entries_get();
	const struct sonde__box *box = sonde__box_get();
	struct sonde__open_count count = { 0 };

	/* Relaxed, both: figures that order nothing. */
	for (uint32_t i = 0; entries && i < n_entries(); i++)
		count.open += atomic_load_explicit(&entries[i].span_id, memory_order_relaxed) != 0;
	if (entries && box)
		count.untracked = atomic_load_explicit(&box->counters->open_untracked,
						       memory_order_relaxed);
	*ret = count;
}
