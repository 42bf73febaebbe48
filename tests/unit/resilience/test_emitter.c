/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The emitter against a model that runs the same scripts: handlers that emit, subscribe and
 * unsubscribe while they run.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/emitter.h>

#include "support/sequence.h"

#define SUBSCRIBERS_MAX 400
#define LOG_MAX 8192
#define RUNS_MAX 300 /* A handler that runs after so many in one play does nothing more. */
#define ROOM 12
#define DEPTH 4

/* ---- The model ------------------------------------------------------------------------------- */

/* What a handler does when it runs. */
enum act { NOTHING, EMIT, LEAVE, LEAVE_SELF, COME, FAIL, N_ACTS };

enum word { RAN = 1, ENDED, ORPHAN, LEFT, CAME, N_RAN };

struct subscriber {
	struct play *play;
	uint32_t index;
	uint32_t event; /* 0 to 4; 5: all. */
	bool is_once;
	int32_t priority;
	enum act act;
	uint32_t argument;
	uint64_t id;
	bool is_there; /* The rest is the model's. */
	bool is_over;
	uint32_t n_running;
};

struct journal {
	uint32_t words[LOG_MAX];
	size_t n;
};

struct play {
	struct sonde_emitter emitter;
	struct subscriber subscribers[SUBSCRIBERS_MAX];
	uint32_t n_subscribers;
	uint32_t n_runs;
	struct journal journal; /* The subject's. */
	struct subscriber models[SUBSCRIBERS_MAX];
	uint32_t n_models;
	uint32_t n_model_runs;
	uint32_t depth;
	struct journal expected;
};

static void note(struct journal *journal, enum word word, uint32_t value)
{
	if (journal->n < LOG_MAX)
		journal->words[journal->n++] = (uint32_t)word << 24 | (value & 0xffffff);
}

/* The new subscriber that a draw describes: the same for both. */
static struct subscriber subscriber_of(uint32_t draw)
{
	return (struct subscriber){
		.event = draw % 6,
		.is_once = draw / 6 % 4 == 0,
		.priority = (int32_t)(draw / 24 % 3) - 1,
		.act = draw / 72 % N_ACTS,
		.argument = draw / 432,
	};
}

static void model_leave(struct play *play, uint32_t which);
static void model_come(struct play *play, uint32_t draw);
static void model_emit(struct play *play, uint32_t event);

static void model_end(struct play *play, struct subscriber *model)
{
	model->is_there = false;
	note(&play->expected, ENDED, model->index);
}

static void model_act(struct play *play, struct subscriber *model)
{
	if (play->n_model_runs > RUNS_MAX)
		return;
	switch (model->act) {
	case EMIT:
		model_emit(play, model->argument % 5);
		break;
	case LEAVE:
		model_leave(play, model->argument);
		break;
	case LEAVE_SELF:
		model_leave(play, model->index);
		break;
	case COME:
		model_come(play, model->argument);
		break;
	default:
		break;
	}
}

static void model_run(struct play *play, struct subscriber *model)
{
	if (model->is_once)
		model->is_over = true;
	model->n_running++;
	play->n_model_runs++;
	note(&play->expected, RAN, model->index);
	model_act(play, model);
	if (model->act == FAIL)
		note(&play->expected, ORPHAN, model->index);
	if (--model->n_running == 0 && model->is_over)
		model_end(play, model);
}

static void model_emit(struct play *play, uint32_t event)
{
	uint32_t n_then = play->n_models;
	uint32_t n = 0;
	bool is_wanted = false;

	for (uint32_t i = 0; i < n_then; i++)
		is_wanted |= play->models[i].is_there && !play->models[i].is_over &&
			     (play->models[i].event == 5 || play->models[i].event == event);
	if (play->depth == DEPTH) {
		/* What nobody wants is never too deep. */
		if (is_wanted)
			note(&play->expected, ORPHAN, 0xffffff);
		note(&play->expected, N_RAN, 0);
		return;
	}
	play->depth++;
	for (int32_t priority = 1; priority >= -1; priority--) {
		for (uint32_t i = 0; i < n_then; i++) {
			struct subscriber *model = &play->models[i];

			if (model->priority != priority || !model->is_there || model->is_over ||
			    (model->event != 5 && model->event != event))
				continue;
			model_run(play, model);
			n++;
		}
	}
	play->depth--;
	note(&play->expected, N_RAN, n);
}

static void model_leave(struct play *play, uint32_t which)
{
	struct subscriber *model = play->n_models ? &play->models[which % play->n_models] : NULL;

	if (!model)
		return;
	if (!model->is_there) {
		note(&play->expected, LEFT, (uint8_t)SONDE_E_NOT_FOUND);
		return;
	}
	model->is_over = true;
	if (model->n_running) {
		note(&play->expected, LEFT, SONDE_INCOMPLETE);
		return;
	}
	model_end(play, model);
	note(&play->expected, LEFT, SONDE_OK);
}

static void model_come(struct play *play, uint32_t draw)
{
	uint32_t n_there = 0;

	if (play->n_models == SUBSCRIBERS_MAX)
		return;
	for (uint32_t i = 0; i < play->n_models; i++)
		n_there += play->models[i].is_there;
	if (n_there == ROOM) {
		note(&play->expected, CAME, (uint8_t)SONDE_E_LIMITED);
		return;
	}
	play->models[play->n_models] = subscriber_of(draw);
	play->models[play->n_models].index = play->n_models;
	play->models[play->n_models++].is_there = true;
	note(&play->expected, CAME, SONDE_OK);
}

/* ---- The subject ----------------------------------------------------------------------------- */

static const char *const names[] = { "order.paid", "order.shipped", "order.lost" };

static void subject_leave(struct play *play, uint32_t which)
{
	int status;

	if (!play->n_subscribers)
		return;
	/*
	 * Here nobody else runs anything, so that the one never waits and the other never should.
	 */
	if (which % 2)
		status = sonde_emitter_unsubscribe(
			&play->emitter, play->subscribers[which % play->n_subscribers].id);
	else
		status = sonde_emitter_unsubscribe_wait(
			&play->emitter, play->subscribers[which % play->n_subscribers].id, NULL);
	note(&play->journal, LEFT, (uint8_t)status);
}

static struct sonde_error *handle(void *user, const struct sonde_event *event);

static void subject_end(void *user)
{
	struct subscriber *subscriber = user;

	note(&subscriber->play->journal, ENDED, subscriber->index);
}

static void subject_come(struct play *play, uint32_t draw)
{
	struct subscriber *subscriber = &play->subscribers[play->n_subscribers];
	struct sonde_subscription subscription = {
		.handle = handle, .user = subscriber, .end = subject_end
	};
	int status;

	if (play->n_subscribers == SUBSCRIBERS_MAX)
		return;
	*subscriber = subscriber_of(draw);
	subscriber->play = play;
	subscriber->index = play->n_subscribers;
	subscription.is_for_all = subscriber->event == 5;
	subscription.event = subscriber->event < 3 ? names[subscriber->event] : NULL;
	subscription.number = subscriber->event;
	subscription.is_once = subscriber->is_once;
	subscription.priority = subscriber->priority;
	status = sonde_emitter_subscribe(&play->emitter, &subscription, &subscriber->id);
	play->n_subscribers += status == SONDE_OK;
	note(&play->journal, CAME, (uint8_t)status);
}

static void subject_emit(struct play *play, uint32_t which)
{
	char name[32];
	struct sonde_event event = { .number = which, .data = play };

	if (which < 3) {
		/* By its text, not by where it stands. */
		snprintf(name, sizeof(name), "%s", names[which]);
		event.name = name;
	}
	note(&play->journal, N_RAN, (uint32_t)sonde_emitter_emit(&play->emitter, &event));
}

static struct sonde_error *handle(void *user, const struct sonde_event *event)
{
	struct subscriber *subscriber = user;
	struct play *play = event->data;

	play->n_runs++;
	note(&play->journal, RAN, subscriber->index);
	if (play->n_runs <= RUNS_MAX) {
		if (subscriber->act == EMIT)
			subject_emit(play, subscriber->argument % 5);
		else if (subscriber->act == LEAVE)
			subject_leave(play, subscriber->argument);
		else if (subscriber->act == LEAVE_SELF)
			subject_leave(play, subscriber->index);
		else if (subscriber->act == COME)
			subject_come(play, subscriber->argument);
	}
	return subscriber->act != FAIL ? NULL :
					 sonde_error_raise(&sonde_internal, "%u", subscriber->index);
}

static void observe(void *user, const struct sonde_observation *observation)
{
	struct play *play = user;

	assert_int_equal(observation->pattern, SONDE_PATTERN_EMITTER);
	assert_string_equal(observation->name, "orders");
	if (observation->what != SONDE_OBSERVED_ORPHAN)
		return;
	if (sonde_error_is(observation->error, &sonde_exhausted))
		note(&play->journal, ORPHAN, 0xffffff);
	else
		note(&play->journal, ORPHAN,
		     (uint32_t)strtoul(sonde_error_message(observation->error), NULL, 10));
}

static bool is_same(struct play *play, size_t step, char *why, size_t size)
{
	for (size_t i = 0; i < play->journal.n || i < play->expected.n; i++) {
		uint32_t got = i < play->journal.n ? play->journal.words[i] : 0;
		uint32_t want = i < play->expected.n ? play->expected.words[i] : 0;

		if (got == want)
			continue;
		snprintf(why, size, "step %zu, word %zu: %u of %u, not %u of %u", step, i,
			 got >> 24, got & 0xffffff, want >> 24, want & 0xffffff);
		return false;
	}
	play->journal.n = play->expected.n = 0;
	return true;
}

static bool play_steps(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	struct play *play = calloc(1, sizeof(*play));
	const struct sonde_observer observer = { observe, play };
	const struct sonde_emitter_options options = {
		.name = "orders", .observer = &observer, .max_subscriptions = ROOM,
		.max_depth = DEPTH
	};
	bool is_ok = true;

	assert_int_equal(sonde_emitter_init(&play->emitter, &options), SONDE_OK);
	for (size_t i = 0; i < n_steps && is_ok; i++) {
		play->n_runs = play->n_model_runs = 0;
		if (steps[i].what % 4 == 0) {
			subject_come(play, steps[i].a);
			model_come(play, steps[i].a);
		} else if (steps[i].what % 4 == 1) {
			subject_leave(play, steps[i].a);
			model_leave(play, steps[i].a);
		} else {
			subject_emit(play, steps[i].a % 5);
			model_emit(play, steps[i].a % 5);
		}
		is_ok = is_same(play, i, why, size);
	}
	sonde_emitter_deinit(&play->emitter);
	for (uint32_t i = 0; i < play->n_models; i++)
		if (play->models[i].is_there)
			play->expected.n++;
	if (is_ok && play->journal.n != play->expected.n) {
		snprintf(why, size, "%zu ended by deinit, not %zu", play->journal.n,
			 play->expected.n);
		is_ok = false;
	}
	free(play);
	return is_ok;
}

static void test_as_the_model(void **state)
{
	(void)state;
	sequence_check(play_steps, /* n_sequences= */ 800, /* n_steps= */ 400);
}

/* ---- Defaults and nonsense ------------------------------------------------------------------- */

static struct sonde_error *count(void *user, const struct sonde_event *event)
{
	(void)event;
	__atomic_add_fetch((int *)user, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void test_default_is_64_subscriptions(void **state)
{
	SONDE_EMITTER_AUTODEINIT struct sonde_emitter emitter;
	int n_calls = 0;
	const struct sonde_subscription subscription = { .event = "e", .handle = count,
							 .user = &n_calls };

	(void)state;
	assert_int_equal(sonde_emitter_init(&emitter, NULL), SONDE_OK);
	for (int i = 0; i < 64; i++)
		assert_int_equal(sonde_emitter_subscribe(&emitter, &subscription, NULL), SONDE_OK);
	assert_int_equal(sonde_emitter_subscribe(&emitter, &subscription, NULL), SONDE_E_LIMITED);
	assert_int_equal(sonde_emitter_subscriptions(&emitter), 64);
	assert_int_equal(sonde_emitter_emit(&emitter, &(struct sonde_event){ .name = "e" }), 64);
	assert_int_equal(sonde_emitter_emit(&emitter, &(struct sonde_event){ .name = "f" }), 0);
	assert_int_equal(n_calls, 64);
}

static struct sonde_error *emit_again(void *user, const struct sonde_event *event)
{
	struct sonde_emitter *emitter = user;

	++*(int *)event->data;
	return sonde_emitter_emit_joined(emitter, event);
}

static void test_default_is_32_deep(void **state)
{
	SONDE_EMITTER_AUTODEINIT struct sonde_emitter emitter;
	struct sonde_subscription subscription = { .number = 7, .handle = emit_again };
	int n_calls = 0;
	struct sonde_error *error;

	(void)state;
	subscription.user = &emitter;
	assert_int_equal(sonde_emitter_init(&emitter, NULL), SONDE_OK);
	assert_int_equal(sonde_emitter_subscribe(&emitter, &subscription, NULL), SONDE_OK);
	error = sonde_emitter_emit_joined(&emitter,
					  &(struct sonde_event){ .number = 7, .data = &n_calls });
	assert_int_equal(n_calls, 32);
	assert_true(sonde_error_is(error, &sonde_exhausted));
	sonde_error_free(error);
}

static void test_nonsense_is_refused(void **state)
{
	struct sonde_emitter emitter;
	const struct sonde_subscription nobody = { .event = "e" };

	(void)state;
	assert_int_equal(sonde_emitter_init(NULL, NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_emitter_init(&emitter, &(struct sonde_emitter_options){
							      .max_subscriptions = 65536 }),
			 SONDE_E_INVALID);
	assert_int_equal(sonde_emitter_init(&emitter, NULL), SONDE_OK);
	assert_int_equal(sonde_emitter_subscribe(&emitter, &nobody, NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_emitter_subscribe(&emitter, NULL, NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_emitter_unsubscribe(&emitter, 0), SONDE_E_NOT_FOUND);
	assert_int_equal(sonde_emitter_unsubscribe(&emitter, UINT64_MAX), SONDE_E_NOT_FOUND);
	assert_int_equal(sonde_emitter_unsubscribe(NULL, 1), SONDE_E_INVALID);
	assert_int_equal(sonde_emitter_emit(&emitter, NULL), 0);
	assert_int_equal(sonde_emitter_emit(NULL, &(struct sonde_event){ .name = "e" }), 0);
	sonde_emitter_deinit(&emitter);
	sonde_emitter_deinit(&emitter);
	sonde_emitter_deinit(NULL);
}

static struct sonde_error *fail_always(void *user, const struct sonde_event *event)
{
	(void)event;
	return sonde_error_raise(&sonde_external_service, "%s", (const char *)user);
}

static void test_all_errors_are_returned(void **state)
{
	SONDE_EMITTER_AUTODEINIT struct sonde_emitter emitter;
	struct sonde_error *error;
	int n_calls = 0;

	(void)state;
	sonde_emitter_init(&emitter, NULL);
	sonde_emitter_subscribe(&emitter, &(struct sonde_subscription){ .event = "e",
			.handle = fail_always, .user = (void *)(uintptr_t)"first" }, NULL);
	sonde_emitter_subscribe(&emitter, &(struct sonde_subscription){ .event = "e",
			.handle = count, .user = &n_calls }, NULL);
	sonde_emitter_subscribe(&emitter, &(struct sonde_subscription){ .event = "e",
			.handle = fail_always, .user = (void *)(uintptr_t)"second" }, NULL);
	error = sonde_emitter_emit_joined(&emitter, &(struct sonde_event){ .name = "e" });
	assert_string_equal(sonde_error_message(sonde_error_joined(error, 0)), "first");
	assert_string_equal(sonde_error_message(sonde_error_joined(error, 1)), "second");
	assert_int_equal(n_calls, 1);
	sonde_error_free(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_model),
		cmocka_unit_test(test_default_is_64_subscriptions),
		cmocka_unit_test(test_default_is_32_deep),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_all_errors_are_returned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
