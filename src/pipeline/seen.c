/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The memory in front of the file. A fingerprint that this process has told the file of within the
 * hour is known, and nothing is read; the hour is what "last seen" is good to. Where there is no
 * file, or none that can be used just now, the memory is all there is: better a bug is announced by
 * two processes than by none.
 */

#include "pipeline/seen.h"

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/diagnostic.h"
#include "base/hash.h"
#include "pipeline/seen_marks.h"

#define WAYS 8
#define DAY_S 86400
#define WRITTEN_GOOD_S 3600
#define RETRY_S 60

/* What one visit of the file needs and finds out. */
struct visit {
	const struct sonde__seen *seen;
	uint32_t now_s;
	bool has_mark;
	struct sonde__seen_mark mark;
	bool is_answered;
	struct sonde__seen_answer answer;
};

size_t sonde__seen_memory(size_t n_slots)
{
	return n_slots * sizeof(struct sonde__seen_slot);
}

int sonde__seen_init(struct sonde__seen *seen, const struct sonde__seen_options *options)
{
	*seen = (struct sonde__seen){
		.slots = calloc(options->n_slots, sizeof(*seen->slots)),
		.n_slots = options->n_slots,
		.regression_s = options->regression_days
					? (uint64_t)options->regression_days * DAY_S
					: UINT64_MAX,
	};
	if (!seen->slots)
		return SONDE_E_NOMEM;
	seen->must_complain = !sonde__seen_place_init(&seen->place, options->directory,
						      options->service, options->release) &&
			      options->directory;
	return SONDE_OK;
}

void sonde__seen_deinit(struct sonde__seen *seen)
{
	free(seen->slots);
	seen->slots = NULL;
}

/* ---- In memory ------------------------------------------------------------------------------- */

static struct sonde__seen_slot *bucket_of(struct sonde__seen *seen, uint64_t fingerprint)
{
	return seen->slots + sonde__mix64(fingerprint) % (seen->n_slots / WAYS) * WAYS;
}

static struct sonde__seen_slot *slot_find(struct sonde__seen *seen, uint64_t fingerprint)
{
	struct sonde__seen_slot *bucket = bucket_of(seen, fingerprint);

	for (size_t i = 0; i < WAYS; i++)
		if (bucket[i].fingerprint == fingerprint)
			return &bucket[i];
	return NULL;
}

static struct sonde__seen_slot *slot_take(struct sonde__seen *seen, uint64_t fingerprint)
{
	struct sonde__seen_slot *bucket = bucket_of(seen, fingerprint);
	struct sonde__seen_slot *oldest = bucket;

	for (size_t i = 1; i < WAYS; i++)
		if (oldest->fingerprint &&
		    (!bucket[i].fingerprint || bucket[i].last_s < oldest->last_s))
			oldest = &bucket[i];
	*oldest = (struct sonde__seen_slot){ .fingerprint = fingerprint };
	return oldest;
}

static uint64_t elapsed_s(uint64_t now_s, uint64_t then_s)
{
	return now_s > then_s ? now_s - then_s : 0; /* Clocks are set back. */
}

/* ---- In the file ----------------------------------------------------------------------------- */

/* Whether this process runs what the mark says is mended. */
static bool mark_applies(const struct visit *visit, const struct sonde__seen_entry *entry)
{
	const struct sonde__seen_place *place = &visit->seen->place;

	if (!visit->mark.release[0] || !place->release[0])
		return true;
	switch (sonde__release_compare(place->release, visit->mark.release)) {
	case SONDE__RELEASE_BEFORE:
		return false;
	case SONDE__RELEASE_UNKNOWN:
		/* What it was last seen in has not got the fix; another one may. */
		return entry->release != place->release_hash;
	default:
		return true;
	}
}

static void visit_entry(void *user, bool is_known, struct sonde__seen_entry *entry)
{
	struct visit *visit = user;
	bool is_pending = visit->has_mark && entry->mark != visit->mark.hash;
	bool is_back = is_pending && mark_applies(visit, entry);

	visit->is_answered = true;
	visit->answer.is_first = !is_known && !visit->has_mark;
	visit->answer.is_regressed =
		is_back || (is_known &&
			    elapsed_s(visit->now_s, entry->last_s) > visit->seen->regression_s);
	if (!is_known)
		entry->first_s = visit->now_s;
	entry->last_s = visit->now_s;
	if (is_back)
		entry->mark = visit->mark.hash;
	if (!is_pending || is_back)
		entry->release = visit->seen->place.release_hash;
}

/* Once for each reason in a row, and again when it came back after a time without. */
static void complain(struct sonde__seen *seen, const struct sonde__seen_fault *fault)
{
	uint64_t said = sonde__hash_bytes((uint64_t)fault->error, fault->what, strlen(fault->what));

	if (seen->said == said)
		return;
	seen->said = said;
	sonde__report(SONDE_WARN, "%s/%s: %s%s%s; which errors are new is remembered in memory alone",
		      seen->place.directory, seen->place.file, fault->what,
		      fault->error ? ": " : "", fault->error ? strerrordesc_np(fault->error) : "");
}

/* True: the file was told. It may have answered all the same. */
static bool ask_file(struct sonde__seen *seen, uint64_t fingerprint, uint64_t unix_s,
		     struct visit *ret)
{
	struct sonde__seen_fault fault = { 0 };
	bool is_written;

	if (seen->must_complain)
		sonde__report(SONDE_INFO, "there is no directory for state: which errors are new is remembered in memory alone");
	seen->must_complain = false;
	if (!seen->place.directory[0] || unix_s < seen->retry_s)
		return false;
	ret->has_mark = seen->marks_stamp &&
			sonde__seen_mark_find(&seen->place, fingerprint, &ret->mark);
	is_written = sonde__seen_file_visit(&seen->place, fingerprint, visit_entry, ret, &fault);
	if (fault.what) {
		seen->retry_s = unix_s + RETRY_S;
		complain(seen, &fault);
	} else {
		seen->said = 0;
	}
	return is_written;
}

/* Somebody marked something: whatever memory says about it may be out of date. */
static void look_at_marks(struct sonde__seen *seen, uint64_t unix_s)
{
	uint64_t stamp;

	if (!seen->place.directory[0] || unix_s == seen->marks_looked_s)
		return;
	seen->marks_looked_s = unix_s;
	stamp = sonde__seen_marks_stamp(&seen->place);
	if (stamp == seen->marks_stamp)
		return;
	seen->marks_stamp = stamp;
	for (size_t i = 0; i < seen->n_slots; i++)
		seen->slots[i].written_s = 0;
}

static struct sonde__seen_answer ask_memory(const struct sonde__seen *seen,
					    const struct sonde__seen_slot *slot, uint64_t unix_s)
{
	return (struct sonde__seen_answer){
		.is_first = !slot,
		.is_regressed = slot && elapsed_s(unix_s, slot->last_s) > seen->regression_s,
	};
}

struct sonde__seen_answer sonde__seen_ask(struct sonde__seen *seen, uint64_t fingerprint,
					  uint64_t unix_s)
{
	struct sonde__seen_slot *slot = slot_find(seen, fingerprint);
	struct visit visit = { .seen = seen, .now_s = (uint32_t)unix_s };
	bool is_written;

	look_at_marks(seen, unix_s);
	if (slot && slot->written_s && elapsed_s(unix_s, slot->written_s) < WRITTEN_GOOD_S) {
		slot->last_s = (uint32_t)unix_s;
		return visit.answer;
	}
	is_written = ask_file(seen, fingerprint, unix_s, &visit);
	if (!visit.is_answered)
		visit.answer = ask_memory(seen, slot, unix_s);
	if (slot)
		visit.answer.is_first = false; /* Even if the file was lost. */
	else
		slot = slot_take(seen, fingerprint);
	slot->last_s = (uint32_t)unix_s;
	slot->written_s = is_written ? (uint32_t)unix_s : 0;
	return visit.answer;
}
