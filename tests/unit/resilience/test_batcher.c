/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The batcher, asked and reported to on virtual time, against a model that keeps every item that
 * was ever added in one list and looks through it for each answer.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/batcher.h>

#include "support/sequence.h"
#include "support/virtual_clock.h"

#define ITEMS 4
#define BYTES 50
#define KEYS 3
#define WAITING 12
#define CONCURRENCY 2
#define DELAY_MS 100
#define ADDED_MAX 512
#define BATCHES_MAX 512

enum fate { WAITS, RUNS, HANDLED, DROPPED, CANCELLED, REJECTED };
enum stage { OPEN, DUE, RUNNING, GONE };

struct item {
	enum fate fate;
	uint64_t key;
	uint64_t n_bytes;
	size_t batch;
	bool has_ticket; /* Somebody asks. */
	bool has_error; /* What the ticket should say, */
	const struct sonde_error_type *type; /* and of which type; NULL: none yet. */
	int n_released;
	int n_wanted_released;
	struct sonde_batcher_ticket ticket;
};

struct batch {
	enum stage stage;
	uint64_t key;
	uint64_t began_ns;
	enum sonde_batcher_reason reason;
	struct sonde_batcher_batch *real;
};

struct play {
	struct virtual_clock clock;
	struct sonde_observer observer;
	struct sonde_batcher batcher;
	bool drops;
	bool is_closed;
	struct item items[ADDED_MAX];
	size_t n_items;
	struct batch batches[BATCHES_MAX]; /* In the order of their beginning. */
	size_t due[BATCHES_MAX]; /* Numbers of batches, in the order of becoming due. */
	size_t n_batches;
	size_t n_due;
	uint64_t n_orphans; /* Heard of, */
	uint64_t n_wanted_orphans; /* and expected. */
	uint64_t n_runs;
	uint64_t n_drops;
	uint64_t n_rejections;
};

static void hear(void *user, const struct sonde_observation *observation)
{
	struct play *play = user;

	assert_int_equal(observation->pattern, SONDE_PATTERN_BATCHER);
	if (observation->what == SONDE_OBSERVED_ORPHAN)
		play->n_orphans += observation->count;
	else if (observation->what == SONDE_OBSERVED_RUN)
		play->n_runs += observation->count;
	else if (observation->what == SONDE_OBSERVED_DROP)
		play->n_drops += observation->count;
	else if (observation->what == SONDE_OBSERVED_REJECTION)
		play->n_rejections++;
}

static void release(void *user, void *value, const struct sonde_error *why)
{
	struct item *item = value;

	(void)user;
	assert_non_null(why);
	item->n_released++;
}

/* ---- The model's questions ------------------------------------------------------------------- */

static size_t n_with(const struct play *play, enum fate fate)
{
	size_t n = 0;

	for (size_t i = 0; i < play->n_items; i++)
		n += play->items[i].fate == fate;
	return n;
}

static size_t n_stage(const struct play *play, enum stage stage)
{
	size_t n = 0;

	for (size_t i = 0; i < play->n_batches; i++)
		n += play->batches[i].stage == stage;
	return n;
}

static size_t n_of(const struct play *play, size_t batch)
{
	size_t n = 0;

	for (size_t i = 0; i < play->n_items; i++)
		n += play->items[i].batch == batch && play->items[i].fate == WAITS;
	return n;
}

static uint64_t bytes_of(const struct play *play, size_t batch)
{
	uint64_t n = 0;

	for (size_t i = 0; i < play->n_items; i++)
		if (play->items[i].batch == batch && play->items[i].fate == WAITS)
			n += play->items[i].n_bytes;
	return n;
}

/* The one that was begun first; BATCHES_MAX: there is none. */
static size_t first_open(const struct play *play)
{
	for (size_t i = 0; i < play->n_batches; i++)
		if (play->batches[i].stage == OPEN)
			return i;
	return BATCHES_MAX;
}

static size_t open_of(const struct play *play, uint64_t key)
{
	for (size_t i = 0; i < play->n_batches; i++)
		if (play->batches[i].stage == OPEN && play->batches[i].key == key)
			return i;
	return BATCHES_MAX;
}

/* ---- What the model does --------------------------------------------------------------------- */

static void model_due(struct play *play, size_t batch, enum sonde_batcher_reason reason)
{
	play->batches[batch].stage = DUE;
	play->batches[batch].reason = reason;
	play->due[play->n_due++] = batch;
}

static void model_tick(struct play *play)
{
	for (size_t i = 0; i < play->n_batches; i++)
		if (play->batches[i].stage == OPEN &&
		    play->clock.now_ns >= play->batches[i].began_ns + DELAY_MS * MS)
			model_due(play, i, SONDE_BATCHER_DELAY);
}

static void model_press(struct play *play)
{
	model_tick(play);
	if (!n_stage(play, DUE) && first_open(play) != BATCHES_MAX)
		model_due(play, first_open(play), SONDE_BATCHER_PRESSURE);
}

static void model_withdraw(struct play *play, struct item *item, enum fate fate,
			   const struct sonde_error_type *type)
{
	item->fate = fate;
	item->n_wanted_released++;
	item->has_error = true;
	item->type = type;
	if (!n_of(play, item->batch))
		play->batches[item->batch].stage = GONE;
}

static void model_insert(struct play *play, struct item *item)
{
	size_t batch = open_of(play, item->key);
	bool begins = batch == BATCHES_MAX || bytes_of(play, batch) + item->n_bytes > BYTES;

	if (begins)
		model_tick(play);
	batch = open_of(play, item->key);
	if (batch != BATCHES_MAX && begins) {
		model_due(play, batch, SONDE_BATCHER_BYTES);
		batch = BATCHES_MAX;
	}
	if (batch == BATCHES_MAX) {
		if (n_stage(play, OPEN) == KEYS)
			model_due(play, first_open(play), SONDE_BATCHER_KEYS);
		batch = play->n_batches++;
		play->batches[batch] = (struct batch){ .key = item->key,
						       .began_ns = play->clock.now_ns };
	}
	item->fate = WAITS;
	item->batch = batch;
	if (n_of(play, batch) == ITEMS)
		model_due(play, batch, SONDE_BATCHER_FULL);
	else if (bytes_of(play, batch) >= BYTES)
		model_due(play, batch, SONDE_BATCHER_BYTES);
}

/* Of which type the error of the add should be; NULL: none. */
static const struct sonde_error_type *model_add(struct play *play, struct item *item)
{
	item->fate = REJECTED;
	item->batch = BATCHES_MAX;
	if (play->is_closed)
		return &sonde_closed;
	if (n_with(play, WAITS) == WAITING && !play->drops) {
		model_press(play);
		return &sonde_queue_full;
	}
	for (size_t i = 0; n_with(play, WAITS) == WAITING; i++)
		if (play->items[i].fate == WAITS)
			model_withdraw(play, &play->items[i], DROPPED, &sonde_queue_full);
	model_insert(play, item);
	return NULL;
}

static bool key_runs(const struct play *play, uint64_t key)
{
	for (size_t i = 0; i < play->n_batches; i++)
		if (play->batches[i].stage == RUNNING && play->batches[i].key == key)
			return true;
	return false;
}

static size_t model_take(struct play *play)
{
	if (n_stage(play, RUNNING) == CONCURRENCY)
		return BATCHES_MAX;
	model_tick(play);
	for (size_t i = 0; i < play->n_due; i++) {
		struct batch *batch = &play->batches[play->due[i]];

		if (batch->stage == DUE && !key_runs(play, batch->key))
			return play->due[i];
	}
	return BATCHES_MAX;
}

/* ---- Both, step by step ---------------------------------------------------------------------- */

#define FAILS(play_it, ...) \
	do { \
		if (play_it) { \
			snprintf(why, size, __VA_ARGS__); \
			return false; \
		} \
	} while (0)

static bool step_add(struct play *play, const struct sequence_step *step, char *why, size_t size)
{
	struct item *item = &play->items[play->n_items];
	const struct sonde_error_type *want;
	struct sonde_error *error;

	if (play->n_items == ADDED_MAX || play->n_batches == BATCHES_MAX)
		return true;
	*item = (struct item){ .key = step->a % 5,
			       .n_bytes = step->b % 23 == 0 ? 70 : step->b % 20,
			       .has_ticket = step->b >> 32 & 1 };
	error = sonde_batcher_try_add(&play->batcher,
				      &(struct sonde_batcher_item){ .value = item,
								    .key = item->key,
								    .n_bytes = item->n_bytes },
				      item->has_ticket ? &item->ticket : NULL);
	play->n_items++;
	want = model_add(play, item);
	FAILS(sonde_error_type_of(error) != want && (error || want), "an add said %s, not %s",
	      error ? sonde_error_code(error) : "yes", want ? want->name : "yes");
	item->has_ticket &= !want;
	sonde_error_free(error);
	return true;
}

static bool step_take(struct play *play, char *why, size_t size)
{
	struct sonde_batcher_batch *real = sonde_batcher_take(&play->batcher);
	size_t which = model_take(play);
	struct batch *batch = &play->batches[which];
	size_t n = 0;

	FAILS(!real != (which == BATCHES_MAX), "%s was taken", real ? "one" : "none");
	if (!real)
		return true;
	batch->stage = RUNNING;
	batch->real = real;
	FAILS(real->key != batch->key || real->reason != batch->reason,
	      "a batch of %u for %d, not of %u for %d", (unsigned)real->key, real->reason,
	      (unsigned)batch->key, batch->reason);
	FAILS(real->n_bytes != bytes_of(play, which), "it has other bytes");
	for (size_t i = 0; i < play->n_items; i++) {
		if (play->items[i].batch != which || play->items[i].fate != WAITS)
			continue;
		FAILS(n == real->n_items || real->items[n].value != &play->items[i],
		      "item %zu is not its %zuth", i, n);
		play->items[i].fate = RUNS;
		n++;
	}
	FAILS(n != real->n_items, "%zu items, not %zu", real->n_items, n);
	return true;
}

/* Some items have an error of their own, and sometimes all have the batch's. */
static void report(struct play *play, struct batch *batch, uint64_t chance)
{
	struct sonde_error *all = chance % 3 == 0 ? sonde_error_raise(&sonde_conflict, "all")
						  : NULL;

	for (size_t i = 0; i < batch->real->n_items; i++) {
		struct sonde_batcher_item *real = &batch->real->items[i];
		struct item *item = real->value;

		item->fate = HANDLED;
		real->result = item;
		if (chance >> (8 + i) & 1) {
			real->error = sonde_error_raise(&sonde_not_found, "own");
			item->type = &sonde_not_found;
		} else {
			item->type = all ? &sonde_conflict : NULL;
		}
		item->has_error = item->type;
		play->n_wanted_orphans += item->has_error && !item->has_ticket;
	}
	sonde_batcher_report(&play->batcher, batch->real, all);
	batch->stage = GONE;
}

static void step_report(struct play *play, const struct sequence_step *step)
{
	for (size_t i = 0; i < play->n_batches; i++) {
		if (play->batches[i].stage != RUNNING)
			continue;
		report(play, &play->batches[i], step->b);
		return;
	}
}

static bool ticket_check(struct play *play, struct item *item, char *why, size_t size)
{
	bool is_done = item->fate != WAITS && item->fate != RUNS;
	void *result = NULL;
	struct sonde_error *error;
	const struct sonde_error_type *type;

	(void)play;
	FAILS(sonde_batcher_ticket_is_done(&item->ticket) != is_done, "a ticket is %sdone",
	      is_done ? "not " : "");
	if (!is_done)
		return true;
	error = sonde_batcher_ticket_wait(&item->ticket, NULL, &result);
	type = error ? sonde_error_type_of(error) : NULL;
	sonde_error_free(error);
	FAILS(type != (item->has_error ? item->type : NULL), "a ticket says %s, not %s",
	      type ? type->name : "yes", item->has_error ? item->type->name : "yes");
	FAILS(!type && result != (item->fate == HANDLED ? item : NULL),
	      "a ticket has another's result");
	/* Taken. */
	item->has_error = false;
	item->type = NULL;
	FAILS(sonde_batcher_ticket_wait(&item->ticket, NULL, NULL) != NULL, "taken twice");
	return true;
}

static bool step_ticket(struct play *play, const struct sequence_step *step, char *why,
			size_t size)
{
	struct item *item = play->n_items ? &play->items[step->a % play->n_items] : NULL;
	bool was_waiting;

	if (!item || !item->has_ticket)
		return true;
	was_waiting = item->fate == WAITS;
	switch (step->b % 4) {
	case 0:
		FAILS(sonde_batcher_ticket_cancel(&item->ticket) != was_waiting,
		      "an item was %staken back", was_waiting ? "not " : "");
		if (was_waiting)
			model_withdraw(play, item, CANCELLED, &sonde_cancelled);
		return true;
	case 1:
		sonde_batcher_ticket_deinit(&item->ticket);
		play->n_wanted_orphans += item->has_error;
		item->has_ticket = false;
		return true;
	default:
		return ticket_check(play, item, why, size);
	}
}

static bool account_check(struct play *play, char *why, size_t size)
{
	struct sonde_batcher_figures figures;

	sonde_batcher_figures(&play->batcher, &figures);
	FAILS(figures.n_added != play->n_items ||
		      figures.n_added != figures.n_rejected + figures.n_handled +
						 figures.n_dropped + figures.n_cancelled +
						 figures.n_waiting + figures.n_running,
	      "the account does not add up");
	FAILS(figures.n_rejected != n_with(play, REJECTED) ||
		      figures.n_handled != n_with(play, HANDLED) ||
		      figures.n_dropped != n_with(play, DROPPED) ||
		      figures.n_cancelled != n_with(play, CANCELLED) ||
		      figures.n_waiting != n_with(play, WAITS) ||
		      figures.n_running != n_with(play, RUNS),
	      "the figures are others");
	FAILS(play->n_orphans != play->n_wanted_orphans, "%u orphans, not %u",
	      (unsigned)play->n_orphans, (unsigned)play->n_wanted_orphans);
	FAILS(play->n_runs != figures.n_handled || play->n_rejections != figures.n_rejected ||
		      play->n_drops != figures.n_dropped + figures.n_cancelled,
	      "not all of it was observed");
	for (size_t i = 0; i < play->n_items; i++)
		FAILS(play->items[i].n_released != play->items[i].n_wanted_released,
		      "item %zu was released %d times", i, play->items[i].n_released);
	return true;
}

static bool due_check(struct play *play, char *why, size_t size)
{
	uint64_t due_ns = sonde_batcher_next_due_ns(&play->batcher);
	uint64_t want_ns = UINT64_MAX;

	if (n_stage(play, RUNNING) < CONCURRENCY) {
		for (size_t i = 0; i < play->n_batches; i++) {
			const struct batch *batch = &play->batches[i];
			uint64_t one_ns = batch->began_ns + DELAY_MS * MS;

			if (batch->stage == DUE && !key_runs(play, batch->key))
				want_ns = 0;
			else if (batch->stage == OPEN && one_ns < want_ns)
				want_ns = one_ns;
		}
	}
	FAILS(due_ns != want_ns, "due at %u ms, not %u ms", (unsigned)(due_ns / MS),
	      (unsigned)(want_ns / MS));
	return true;
}

static bool step_play(struct play *play, const struct sequence_step *step, char *why, size_t size)
{
	switch (step->what % 16) {
	case 0:
	case 1:
		return step_take(play, why, size);
	case 2:
		step_report(play, step);
		return true;
	case 3:
	case 4:
		return step_ticket(play, step, why, size);
	case 5:
		play->clock.now_ns += step->b % (60 * MS);
		return true;
	case 6:
		if (step->a % 8 == 0) {
			sonde_batcher_flush(&play->batcher);
			while (first_open(play) != BATCHES_MAX)
				model_due(play, first_open(play), SONDE_BATCHER_FLUSH);
		}
		if (step->a % 256 == 1) {
			sonde_batcher_close(&play->batcher);
			while (first_open(play) != BATCHES_MAX)
				model_due(play, first_open(play), SONDE_BATCHER_FLUSH);
			play->is_closed = true;
		}
		return true;
	default:
		return step_add(play, step, why, size);
	}
}

/* What waits is cancelled by deinit, and those who asked are told. */
static bool end_check(struct play *play, char *why, size_t size)
{
	for (size_t i = 0; i < play->n_items; i++)
		if (play->items[i].fate == WAITS)
			model_withdraw(play, &play->items[i], CANCELLED, &sonde_closed);
	for (size_t i = 0; i < play->n_items; i++) {
		struct item *item = &play->items[i];

		FAILS(item->n_released != item->n_wanted_released, "item %zu was released %d times",
		      i, item->n_released);
		if (item->has_ticket && !ticket_check(play, item, why, size))
			return false;
		if (item->has_ticket)
			sonde_batcher_ticket_deinit(&item->ticket);
	}
	FAILS(play->n_orphans != play->n_wanted_orphans, "%u orphans at the end, not %u",
	      (unsigned)play->n_orphans, (unsigned)play->n_wanted_orphans);
	return true;
}

static bool play_steps(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	struct play *play = calloc(1, sizeof(*play));
	struct sequence_step last = { 0 };
	bool is_ok = true;

	virtual_clock_init(&play->clock, 100 * SECOND);
	play->observer = (struct sonde_observer){ hear, play };
	play->drops = n_steps % 2;
	assert_int_equal(
		sonde_batcher_init(
			&play->batcher,
			&(struct sonde_batcher_options){
				.name = "rows", .clock = &play->clock.clock,
				.observer = &play->observer, .max_items = ITEMS, .max_keys = KEYS,
				.max_bytes = BYTES, .delay_ms = DELAY_MS, .max_waiting = WAITING,
				.policy = play->drops ? SONDE_BATCHER_DROP_OLDEST :
							SONDE_BATCHER_WAIT,
				.concurrency = CONCURRENCY, .release = release }),
		SONDE_OK);
	for (size_t i = 0; i < n_steps && is_ok; i++) {
		is_ok = step_play(play, &steps[i], why, size) && account_check(play, why, size) &&
			due_check(play, why, size);
	}
	while (n_stage(play, RUNNING))
		step_report(play, &last);
	sonde_batcher_deinit(&play->batcher);
	is_ok = is_ok && end_check(play, why, size);
	for (size_t i = 0; i < play->n_items && !is_ok; i++)
		if (play->items[i].has_ticket &&
		    sonde_batcher_ticket_is_done(&play->items[i].ticket))
			sonde_batcher_ticket_deinit(&play->items[i].ticket);
	free(play);
	return is_ok;
}

static void test_as_the_model(void **state)
{
	(void)state;
	sequence_check(play_steps, /* n_sequences= */ 700, /* n_steps= */ 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
