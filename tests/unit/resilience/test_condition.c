/* SPDX-License-Identifier: Apache-2.0 */

/* The condition: that no signal is lost, whom it wakes, and how a wait ends without one. */

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include <sonde/lock.h>

#include "base/clock.h"
#include "base/testpoint.h"
#include "context/context.h"
#include "support/actors.h"
#include "support/lock_heard.h"
#include "support/sequence.h"
#include "support/virtual_clock.h"

#define N_ACTORS 4

/* ---- One thread ------------------------------------------------------------------------------ */

struct alone {
	struct virtual_clock clock;
	struct heard heard;
	struct sonde_observer observer;
	struct sonde_mutex mutex;
	struct sonde_condition condition;
	unsigned n_asked;
	unsigned is_so_from;
};

static void alone_init(struct alone *alone, uint64_t slow_wait_ms)
{
	memset(alone, 0, sizeof(*alone));
	virtual_clock_init(&alone->clock, 5 * SECOND);
	alone->observer = (struct sonde_observer){ hear, &alone->heard };
	sonde_mutex_init(&alone->mutex, NULL);
	assert_int_equal(sonde_condition_init(&alone->condition,
					      &(struct sonde_lock_options){
						      .slow_wait_ms = slow_wait_ms,
						      .clock = &alone->clock.clock,
						      .observer = &alone->observer,
					      }),
			 SONDE_OK);
	sonde_mutex_lock(&alone->mutex);
}

static void alone_deinit(struct alone *alone)
{
	/* Each wait gave it back. */
	assert_false(sonde_mutex_try_lock(&alone->mutex));
	sonde_mutex_unlock(&alone->mutex);
	sonde_mutex_deinit(&alone->mutex);
	sonde_condition_deinit(&alone->condition);
}

static void test_wait_ends_at_limit_deadline_and_token(void **state)
{
	struct sonde_cancel cancel;
	struct alone alone;

	(void)state;
	alone_init(&alone, 0);
	sonde_cancel_init(&cancel, NULL);
	error_expect(sonde_condition_wait(&alone.condition, &alone.mutex, 250, NULL),
		     &sonde_timeout);
	assert_int_equal(alone.clock.now_ns, 5 * SECOND + 250 * MS);
	assert_int_equal(alone.heard.duration_ns, 250 * MS);
	sonde__thread.current.extension[SONDE__EXTENSION_DEADLINE] = 6 * SECOND;
	error_expect(sonde_condition_wait(&alone.condition, &alone.mutex, UINT64_MAX, NULL),
		     &sonde_timeout);
	assert_int_equal(alone.clock.now_ns, 6 * SECOND);
	sonde__thread.current.extension[SONDE__EXTENSION_DEADLINE] = 0;
	sonde_cancel_fire(&cancel, NULL);
	error_expect(sonde_condition_wait(&alone.condition, &alone.mutex, UINT64_MAX, &cancel),
		     &sonde_cancelled);
	assert_int_equal(alone.heard.n[SONDE_OBSERVED_REJECTION], 3);
	sonde_cancel_deinit(&cancel);
	alone_deinit(&alone);
}

static void test_long_wait_is_no_stall_unless_asked_for(void **state)
{
	struct alone alone;

	(void)state;
	alone_init(&alone, 0);
	error_expect(sonde_condition_wait(&alone.condition, &alone.mutex, 3600 * 1000, NULL),
		     &sonde_timeout);
	assert_int_equal(alone.heard.n[SONDE_OBSERVED_STALL], 0);
	alone_deinit(&alone);
	alone_init(&alone, 50);
	error_expect(sonde_condition_wait(&alone.condition, &alone.mutex, 51, NULL),
		     &sonde_timeout);
	assert_int_equal(alone.heard.n[SONDE_OBSERVED_STALL], 1);
	assert_int_equal(alone.heard.n[SONDE_OBSERVED_RECOVERY], 1);
	alone_deinit(&alone);
}

#ifdef SONDE_TESTPOINTS
static struct alone *leaving;

static void signal_the_leaving(const char *name)
{
	if (!strcmp(name, "condition-leaving"))
		sonde_condition_signal(&leaving->condition);
}

static void test_signal_at_the_limit_counts(void **state)
{
	struct alone alone;

	(void)state;
	alone_init(&alone, 0);
	leaving = &alone;
	__atomic_store_n(&sonde__testpoint_hook, signal_the_leaving, __ATOMIC_RELEASE);
	assert_null(sonde_condition_wait(&alone.condition, &alone.mutex, 10, NULL));
	__atomic_store_n(&sonde__testpoint_hook, NULL, __ATOMIC_RELEASE);
	assert_int_equal(alone.heard.n[SONDE_OBSERVED_WAIT], 1);
	alone_deinit(&alone);
}
#endif

static bool is_so(void *user)
{
	struct alone *alone = user;

	return ++alone->n_asked >= alone->is_so_from;
}

static void test_predicate_is_asked_first_and_last(void **state)
{
	struct alone alone;

	(void)state;
	alone_init(&alone, 0);
	alone.is_so_from = 1;
	assert_null(sonde_condition_wait_for(&alone.condition, &alone.mutex, is_so, &alone, 100,
					     NULL));
	assert_int_equal(alone.clock.n_waits, 0);
	/* It has become so while the limit ran out. */
	alone.n_asked = 0;
	alone.is_so_from = 2;
	assert_null(sonde_condition_wait_for(&alone.condition, &alone.mutex, is_so, &alone, 100,
					     NULL));
	alone.n_asked = 0;
	alone.is_so_from = 3;
	error_expect(sonde_condition_wait_for(&alone.condition, &alone.mutex, is_so, &alone, 100,
					      NULL),
		     &sonde_timeout);
	assert_int_equal(alone.clock.now_ns, 5 * SECOND + 200 * MS);
	assert_int_equal(alone.n_asked, 2);
	alone_deinit(&alone);
}

static void test_nothing_is_forgiven(void **state)
{
	struct sonde_condition condition = SONDE_CONDITION_INIT;
	struct sonde_mutex mutex = SONDE_MUTEX_INIT;

	(void)state;
	assert_int_equal(sonde_condition_init(NULL, NULL), SONDE_E_INVALID);
	sonde_condition_signal(NULL);
	sonde_condition_broadcast(NULL);
	sonde_condition_deinit(NULL);
	error_expect(sonde_condition_wait(NULL, &mutex, 0, NULL), &sonde_internal);
	error_expect(sonde_condition_wait(&condition, (struct sonde_mutex *)NULL, 0, NULL),
		     &sonde_internal);
	error_expect(sonde_condition_wait_for(&condition, &mutex, NULL, NULL, 0, NULL),
		     &sonde_internal);
}

/* ---- Against a model ------------------------------------------------------------------------- */

struct seat {
	struct sonde_condition *condition;
	struct sonde_mutex *mutex;
	struct sonde_cancel cancel;
	uint64_t limit_ms;
	struct sonde_error *error;
	/* The model's. */
	bool waits;
	bool is_fired;
	bool is_signalled;
	uint64_t number;
	uint64_t end_ns;
	const struct sonde_error_type *type; /* Of what the wait returned. */
};

static struct stage stage;

struct model {
	struct sonde_condition condition;
	struct sonde_mutex mutex;
	struct heard heard;
	struct heard expected;
	struct seat seats[N_ACTORS];
	uint64_t n_numbers;
};

static void seat_wait(void *user)
{
	struct seat *seat = user;

	sonde_mutex_lock(seat->mutex);
	seat->error = sonde_condition_wait(seat->condition, seat->mutex, seat->limit_ms,
					   &seat->cancel);
	sonde_mutex_unlock(seat->mutex);
}

static struct seat *model_first(struct model *model)
{
	struct seat *first = NULL;

	for (size_t i = 0; i < N_ACTORS; i++) {
		struct seat *seat = &model->seats[i];

		if (seat->waits && !seat->is_signalled && (!first || seat->number < first->number))
			first = seat;
	}
	return first;
}

static void model_run(struct model *model, struct seat *seat)
{
	if (seat->is_signalled)
		seat->type = NULL;
	else if (seat->is_fired)
		seat->type = &sonde_cancelled;
	else if (stage.now_ns >= seat->end_ns)
		seat->type = &sonde_timeout;
	else
		return;
	seat->waits = false;
	model->expected.n[seat->type ? SONDE_OBSERVED_REJECTION : SONDE_OBSERVED_WAIT]++;
}

static bool model_agrees(const struct model *model, char *why, size_t size)
{
	for (unsigned i = 0; i < N_ACTORS; i++) {
		const struct seat *seat = &model->seats[i];

		if (stage.actors[i].is_busy != seat->waits)
			return snprintf(why, size, "%u %s", i,
					seat->waits ? "should wait" : "waits") < 0;
		if (!seat->waits && (seat->type ? !sonde_error_is(seat->error, seat->type)
						: seat->error != NULL))
			return snprintf(why, size, "%u ended by something else", i) < 0;
	}
	for (unsigned i = 0; i < SONDE_OBSERVED_COUNT; i++)
		if (model->heard.n[i] != model->expected.n[i])
			return snprintf(why, size, "%s told %u times, not %u",
					sonde_observed_name((enum sonde_observed)i),
					model->heard.n[i], model->expected.n[i]) < 0;
	return true;
}

static void step_wait(struct model *model, struct seat *seat, struct actor *actor, uint64_t b)
{
	seat->limit_ms = b % 4 ? b / 4 % 3000 : b / 4 % 2 ? UINT64_MAX : 0;
	seat->error = sonde_error_free(seat->error);
	seat->waits = true;
	seat->is_signalled = false;
	seat->number = model->n_numbers++;
	seat->end_ns = seat->limit_ms == UINT64_MAX ? UINT64_MAX
						    : stage.now_ns + seat->limit_ms * MS;
	model_run(model, seat);
	actor_play(actor, seat_wait, seat);
}

static void step_signal(struct model *model, bool all)
{
	struct seat *first;

	while ((first = model_first(model))) {
		first->is_signalled = true;
		if (!all)
			break;
	}
	if (all)
		sonde_condition_broadcast(&model->condition);
	else
		sonde_condition_signal(&model->condition);
}

static void step_fire(struct seat *seat)
{
	if (!seat->is_fired) {
		sonde_cancel_fire(&seat->cancel, NULL);
		seat->is_fired = true;
	} else if (!seat->waits) {
		sonde_cancel_deinit(&seat->cancel);
		sonde_cancel_init(&seat->cancel, NULL);
		seat->is_fired = false;
	}
}

static void step_run(struct model *model, const struct sequence_step *step)
{
	struct seat *seat = &model->seats[step->a % N_ACTORS];
	struct actor *actor = &stage.actors[step->a % N_ACTORS];
	uint32_t what = step->what % 16;

	if (what < 2) {
		stage.now_ns += step->b % (what ? 700 * MS : 2);
	} else if (what == 2) {
		step_fire(seat);
	} else if (what < 6) {
		step_signal(model, what == 5);
	} else if (actor->is_busy) {
		model_run(model, seat);
		actor_go_on(actor);
	} else {
		step_wait(model, seat, actor, step->b);
	}
}

static bool play_model(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	static struct model model;
	static struct sonde_observer observer;
	bool agrees = true;

	memset(&model, 0, sizeof(model));
	observer = (struct sonde_observer){ hear, &model.heard };
	sonde_mutex_init(&model.mutex, NULL);
	sonde_condition_init(&model.condition, &(struct sonde_lock_options){
						       .clock = &stage.clock,
						       .observer = &observer });
	for (size_t i = 0; i < N_ACTORS; i++) {
		model.seats[i].condition = &model.condition;
		model.seats[i].mutex = &model.mutex;
		sonde_cancel_init(&model.seats[i].cancel, NULL);
	}
	for (size_t i = 0; i < n_steps && agrees; i++) {
		step_run(&model, &steps[i]);
		agrees = model_agrees(&model, why, size);
	}
	sonde_condition_broadcast(&model.condition);
	for (size_t i = 0; i < N_ACTORS; i++) {
		if (stage.actors[i].is_busy)
			actor_go_on(&stage.actors[i]);
		assert_false(stage.actors[i].is_busy);
		sonde_error_free(model.seats[i].error);
		sonde_cancel_deinit(&model.seats[i].cancel);
	}
	sonde_condition_deinit(&model.condition);
	sonde_mutex_deinit(&model.mutex);
	return agrees;
}

static void test_model(void **state)
{
	(void)state;
	stage_init(&stage, N_ACTORS);
	sequence_check(play_model, 1000, 240);
	stage_deinit(&stage);
}

/* ---- Threads --------------------------------------------------------------------------------- */

#define N_ITEMS 2000
#define N_TAKERS 3

/* A place for one item: whoever misses a wake-up waits for ever. */
struct place {
	struct sonde_mutex mutex;
	struct sonde_condition is_full;
	struct sonde_condition is_empty;
	unsigned item; /* 0: none. */
	bool is_over;
	unsigned sum;
};

static bool place_is_full(void *user)
{
	const struct place *place = user;

	return place->item != 0 || place->is_over;
}

static void *take_items(void *argument)
{
	struct place *place = argument;

	for (;;) {
		SONDE_LOCK_SCOPE(&place->mutex);
		assert_null(sonde_condition_wait_for(&place->is_full, &place->mutex, place_is_full,
						     place, UINT64_MAX, NULL));
		if (!place->item)
			return NULL;
		place->sum += place->item;
		place->item = 0;
		sonde_condition_signal(&place->is_empty);
	}
}

static void test_no_wake_up_is_lost_between_threads(void **state)
{
	struct place place = { SONDE_MUTEX_INIT, SONDE_CONDITION_INIT, SONDE_CONDITION_INIT, 0,
			       false, 0 };
	pthread_t threads[N_TAKERS];

	(void)state;
	for (size_t i = 0; i < N_TAKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_items, &place), 0);
	sonde_mutex_lock(&place.mutex);
	for (unsigned i = 1; i <= N_ITEMS; i++) {
		while (place.item)
			assert_null(sonde_condition_wait(&place.is_empty, &place.mutex, UINT64_MAX,
							 NULL));
		place.item = i;
		if (i % 2)
			sonde_condition_signal(&place.is_full);
		else
			sonde_condition_broadcast(&place.is_full);
	}
	while (place.item)
		assert_null(sonde_condition_wait(&place.is_empty, &place.mutex, UINT64_MAX, NULL));
	place.is_over = true;
	sonde_mutex_unlock(&place.mutex);
	sonde_condition_broadcast(&place.is_full);
	for (size_t i = 0; i < N_TAKERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(place.sum, N_ITEMS * (N_ITEMS + 1) / 2);
	sonde_condition_deinit(&place.is_full);
	sonde_condition_deinit(&place.is_empty);
	sonde_mutex_deinit(&place.mutex);
}

#ifdef SONDE_TESTPOINTS
/* A place that is taken away right after the last signal. */
struct parting {
	struct sonde_mutex mutex;
	struct sonde_condition *condition;
	sem_t is_leaving;
	_Atomic bool is_gone;
};

static struct parting *parting;

/* Nobody is there to see that the deinit waits: it has 20 ms not to. */
static void leave_slowly(const char *name)
{
	if (strcmp(name, "condition-leaving"))
		return;
	sem_post(&parting->is_leaving);
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	assert_false(atomic_load_explicit(&parting->is_gone, memory_order_acquire));
}

static void *wait_and_part(void *argument)
{
	struct parting *own = argument;

	sonde_mutex_lock(&own->mutex);
	assert_null(sonde_condition_wait(own->condition, &own->mutex, UINT64_MAX, NULL));
	sonde_mutex_unlock(&own->mutex);
	return NULL;
}

/* Its memory cannot be touched from then on: a fault would say who does. */
static void test_deinit_waits_for_who_was_signalled(void **state)
{
	struct parting own = { .is_gone = false };
	pthread_t thread;

	(void)state;
	own.condition = mmap(NULL, sizeof(*own.condition), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(own.condition != MAP_FAILED);
	sonde_condition_init(own.condition, NULL);
	sonde_mutex_init(&own.mutex, NULL);
	sem_init(&own.is_leaving, 0, 0);
	parting = &own;
	__atomic_store_n(&sonde__testpoint_hook, leave_slowly, __ATOMIC_RELEASE);
	assert_int_equal(pthread_create(&thread, NULL, wait_and_part, &own), 0);
	/* Until it waited, and was heard. */
	while (sem_trywait(&own.is_leaving) != 0)
		sonde_condition_broadcast(own.condition);
	sonde_condition_deinit(own.condition);
	atomic_store_explicit(&own.is_gone, true, memory_order_release);
	assert_int_equal(mprotect(own.condition, sizeof(*own.condition), PROT_NONE), 0);
	pthread_join(thread, NULL);
	__atomic_store_n(&sonde__testpoint_hook, NULL, __ATOMIC_RELEASE);
	munmap(own.condition, sizeof(*own.condition));
	sonde_mutex_deinit(&own.mutex);
	sem_destroy(&own.is_leaving);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait_ends_at_limit_deadline_and_token),
		cmocka_unit_test(test_long_wait_is_no_stall_unless_asked_for),
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test(test_signal_at_the_limit_counts),
#endif
		cmocka_unit_test(test_predicate_is_asked_first_and_last),
		cmocka_unit_test(test_nothing_is_forgiven),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_no_wake_up_is_lost_between_threads),
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test(test_deinit_waits_for_who_was_signalled),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
