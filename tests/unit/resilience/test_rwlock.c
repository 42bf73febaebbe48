/* SPDX-License-Identifier: Apache-2.0 */

/* The read-write lock: who shares it with whom, in what order, and what a wait tells. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/lock.h>

#include "base/clock.h"
#include "base/testpoint.h"
#include "context/context.h"
#include "support/actors.h"
#include "support/lock_heard.h"
#include "support/sequence.h"
#include "support/virtual_clock.h"

#define N_ACTORS 5

/* ---- What each way excludes ------------------------------------------------------------------ */

static void play_read(void *user)
{
	sonde_rwlock_read_lock((struct sonde_rwlock *)user);
}

static void play_read_unlock(void *user)
{
	sonde_rwlock_read_unlock(user);
}

static void play_write(void *user)
{
	sonde_rwlock_write_lock((struct sonde_rwlock *)user);
}

static void play_write_unlock(void *user)
{
	sonde_rwlock_write_unlock(user);
}

struct bench {
	struct stage stage;
	struct virtual_clock clock;
	struct heard heard;
	struct sonde_observer observer;
	struct sonde_rwlock lock;
};

static void bench_init(struct bench *bench, uint64_t slow_wait_ms)
{
	memset(bench, 0, sizeof(*bench));
	virtual_clock_init(&bench->clock, 5 * SECOND);
	bench->observer = (struct sonde_observer){ hear, &bench->heard };
	assert_int_equal(sonde_rwlock_init(&bench->lock, &(struct sonde_lock_options){
								 .name = "routes",
								 .slow_wait_ms = slow_wait_ms,
								 .clock = &bench->clock.clock,
								 .observer = &bench->observer,
							 }),
			 SONDE_OK);
	stage_init(&bench->stage, 2);
}

static void bench_deinit(struct bench *bench)
{
	stage_deinit(&bench->stage);
	assert_true(sonde_rwlock_write_try_lock(&bench->lock));
	sonde_rwlock_write_unlock(&bench->lock);
	sonde_rwlock_deinit(&bench->lock);
}

static void test_readers_share_and_writers_do_not(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench, 0);
	actor_play(&bench.stage.actors[0], play_read, &bench.lock);
	assert_true(sonde_rwlock_read_try_lock(&bench.lock));
	assert_false(sonde_rwlock_write_try_lock(&bench.lock));
	error_expect(sonde_rwlock_write_lock_within(&bench.lock, 10, NULL), &sonde_timeout);
	assert_null(sonde_rwlock_read_lock_within(&bench.lock, 0, NULL));
	sonde_rwlock_read_unlock(&bench.lock);
	sonde_rwlock_read_unlock(&bench.lock);
	actor_play(&bench.stage.actors[0], play_read_unlock, &bench.lock);
	actor_play(&bench.stage.actors[0], play_write, &bench.lock);
	assert_false(sonde_rwlock_read_try_lock(&bench.lock));
	assert_false(sonde_rwlock_write_try_lock(&bench.lock));
	error_expect(sonde_rwlock_read_lock_within(&bench.lock, 10, NULL), &sonde_timeout);
	assert_non_null(strstr(bench.heard.message, "waited 0.01 s for the read lock \"routes\" in "
						    "vain; it was taken last at "));
	actor_play(&bench.stage.actors[0], play_write_unlock, &bench.lock);
	bench_deinit(&bench);
}

static void test_wait_ends_at_limit_deadline_and_token(void **state)
{
	struct sonde_cancel cancel;
	struct bench bench;

	(void)state;
	bench_init(&bench, 0);
	sonde_cancel_init(&cancel, NULL);
	actor_play(&bench.stage.actors[0], play_write, &bench.lock);
	error_expect(sonde_rwlock_write_lock_within(&bench.lock, 250, NULL), &sonde_timeout);
	assert_int_equal(bench.clock.now_ns, 5 * SECOND + 250 * MS);
	assert_int_equal(bench.heard.duration_ns, 250 * MS);
	sonde__thread.current.extension[SONDE__EXTENSION_DEADLINE] = 6 * SECOND;
	error_expect(sonde_rwlock_read_lock_within(&bench.lock, UINT64_MAX, NULL), &sonde_timeout);
	assert_int_equal(bench.clock.now_ns, 6 * SECOND);
	sonde__thread.current.extension[SONDE__EXTENSION_DEADLINE] = 0;
	sonde_cancel_fire(&cancel, NULL);
	error_expect(sonde_rwlock_read_lock_within(&bench.lock, UINT64_MAX, &cancel),
		     &sonde_cancelled);
	assert_int_equal(bench.heard.n[SONDE_OBSERVED_REJECTION], 3);
	actor_play(&bench.stage.actors[0], play_write_unlock, &bench.lock);
	sonde_cancel_deinit(&cancel);
	bench_deinit(&bench);
}

static void test_slow_wait_is_told_after_a_second_by_default(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench, 0);
	actor_play(&bench.stage.actors[0], play_write, &bench.lock);
	error_expect(sonde_rwlock_read_lock_within(&bench.lock, 1000, NULL), &sonde_timeout);
	assert_int_equal(bench.heard.n[SONDE_OBSERVED_STALL], 0);
	error_expect(sonde_rwlock_write_lock_within(&bench.lock, 1001, NULL), &sonde_timeout);
	assert_int_equal(bench.heard.n[SONDE_OBSERVED_STALL], 1);
	assert_int_equal(bench.heard.n[SONDE_OBSERVED_RECOVERY], 1);
	assert_non_null(strstr(bench.heard.message, "test_rwlock.c:"));
	actor_play(&bench.stage.actors[0], play_write_unlock, &bench.lock);
	bench_deinit(&bench);
}

#ifdef SONDE_TESTPOINTS
static struct bench *leaving;

static void unlock_for_the_leaving(const char *name)
{
	if (!strcmp(name, "rwlock-leaving"))
		actor_play(&leaving->stage.actors[0], play_write_unlock, &leaving->lock);
}

static void test_lock_that_comes_at_the_limit_counts(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench, 0);
	leaving = &bench;
	actor_play(&bench.stage.actors[0], play_write, &bench.lock);
	__atomic_store_n(&sonde__testpoint_hook, unlock_for_the_leaving, __ATOMIC_RELEASE);
	assert_null(sonde_rwlock_read_lock_within(&bench.lock, 10, NULL));
	__atomic_store_n(&sonde__testpoint_hook, NULL, __ATOMIC_RELEASE);
	assert_int_equal(bench.heard.n[SONDE_OBSERVED_WAIT], 1);
	sonde_rwlock_read_unlock(&bench.lock);
	bench_deinit(&bench);
}
#endif

static void test_misuse_is_said(void **state)
{
	struct bench bench;

	(void)state;
	bench_init(&bench, 0);
	sonde_rwlock_read_unlock(&bench.lock);
	assert_int_equal(bench.heard.n[SONDE_OBSERVED_ORPHAN], 1);
	sonde_rwlock_write_unlock(&bench.lock);
	assert_int_equal(bench.heard.n[SONDE_OBSERVED_ORPHAN], 2);
	actor_play(&bench.stage.actors[0], play_write, &bench.lock);
	sonde_rwlock_write_unlock(&bench.lock);
	sonde_rwlock_read_unlock(&bench.lock);
	assert_int_equal(bench.heard.n[SONDE_OBSERVED_ORPHAN], 4);
	assert_non_null(strstr(bench.heard.message, "let go while nobody read"));
	assert_false(sonde_rwlock_read_try_lock(&bench.lock));
	actor_play(&bench.stage.actors[0], play_write_unlock, &bench.lock);
	sonde_rwlock_write_lock(&bench.lock);
	error_expect(sonde_rwlock_read_lock_within(&bench.lock, 1, NULL), &sonde_internal);
	error_expect(sonde_rwlock_write_lock_within(&bench.lock, 1, NULL), &sonde_internal);
	sonde_rwlock_write_unlock(&bench.lock);
	bench_deinit(&bench);

	assert_int_equal(sonde_rwlock_init(NULL, NULL), SONDE_E_INVALID);
	sonde_rwlock_deinit(NULL);
	sonde_rwlock_read_lock((struct sonde_rwlock *)NULL);
	sonde_rwlock_write_lock((struct sonde_rwlock *)NULL);
	sonde_rwlock_read_unlock(NULL);
	sonde_rwlock_write_unlock(NULL);
	assert_false(sonde_rwlock_read_try_lock((struct sonde_rwlock *)NULL));
	error_expect(sonde_rwlock_read_lock_within((struct sonde_rwlock *)NULL, 0, NULL),
		     &sonde_internal);
}

static bool read_in_a_scope(struct sonde_rwlock *lock)
{
	SONDE_READ_SCOPE(lock);
	return !sonde_rwlock_write_try_lock(lock);
}

static bool write_in_a_scope(struct sonde_rwlock *lock)
{
	SONDE_WRITE_SCOPE(lock);
	return !sonde_rwlock_read_try_lock(lock);
}

static void test_scopes_let_go_at_their_end(void **state)
{
	SONDE_RWLOCK_AUTODEINIT struct sonde_rwlock lock = SONDE_RWLOCK_INIT;

	(void)state;
	assert_true(read_in_a_scope(&lock));
	assert_true(write_in_a_scope(&lock));
	assert_true(read_in_a_scope(&lock));
	assert_true(sonde_rwlock_write_try_lock(&lock));
	sonde_rwlock_write_unlock(&lock);
}

/* ---- Against a model ------------------------------------------------------------------------- */

/* What an actor is about, in the subject and in the model. */
struct seat {
	struct sonde_rwlock *lock;
	struct sonde_cancel cancel;
	uint64_t limit_ms;
	struct sonde_error *error;
	bool has_it; /* What the call said. */
	/* The model's. */
	enum { NONE, READS, WRITES } holds;
	bool waits;
	bool writes;
	bool is_limited;
	bool is_fired;
	bool was_granted;
	bool has_stalled;
	uint64_t number;
	uint64_t since_ns;
	uint64_t end_ns;
};

static struct stage stage;

struct model {
	struct sonde_rwlock lock;
	struct heard heard;
	struct heard expected;
	struct seat seats[N_ACTORS];
	uint64_t n_numbers;
};

static void seat_lock(void *user)
{
	struct seat *seat = user;

	if (seat->is_limited && seat->writes)
		seat->error = sonde_rwlock_write_lock_within(seat->lock, seat->limit_ms,
							     &seat->cancel);
	else if (seat->is_limited)
		seat->error = sonde_rwlock_read_lock_within(seat->lock, seat->limit_ms,
							    &seat->cancel);
	else if (seat->writes)
		sonde_rwlock_write_lock(seat->lock);
	else
		sonde_rwlock_read_lock(seat->lock);
	seat->has_it = !seat->error;
}

static void seat_try(void *user)
{
	struct seat *seat = user;

	seat->has_it = seat->writes ? sonde_rwlock_write_try_lock(seat->lock)
				    : sonde_rwlock_read_try_lock(seat->lock);
}

static void seat_unlock(void *user)
{
	struct seat *seat = user;

	if (seat->writes)
		sonde_rwlock_write_unlock(seat->lock);
	else
		sonde_rwlock_read_unlock(seat->lock);
	seat->has_it = false;
}

static struct seat *model_first(struct model *model)
{
	struct seat *first = NULL;

	for (size_t i = 0; i < N_ACTORS; i++) {
		struct seat *seat = &model->seats[i];

		if (seat->waits && !seat->was_granted && (!first || seat->number < first->number))
			first = seat;
	}
	return first;
}

static bool model_allows(const struct model *model, bool writes)
{
	for (size_t i = 0; i < N_ACTORS; i++)
		if (model->seats[i].holds == WRITES || (writes && model->seats[i].holds == READS))
			return false;
	return true;
}

static void model_grant(struct model *model)
{
	struct seat *first;

	while ((first = model_first(model)) && model_allows(model, first->writes)) {
		first->was_granted = true;
		first->holds = first->writes ? WRITES : READS;
	}
}

static void model_end_wait(struct model *model, struct seat *seat, enum sonde_observed what)
{
	seat->waits = false;
	model->expected.n[what]++;
	if (seat->has_stalled)
		model->expected.n[SONDE_OBSERVED_RECOVERY]++;
	model_grant(model);
}

/* The seat's thread runs: what will it find? */
static void model_run(struct model *model, struct seat *seat)
{
	uint64_t slow_ns = seat->has_stalled ? UINT64_MAX : seat->since_ns + 1000 * MS;

	if (seat->was_granted) {
		model_end_wait(model, seat, SONDE_OBSERVED_WAIT);
	} else if (seat->is_limited && (seat->is_fired || (stage.now_ns >= seat->end_ns &&
							   seat->end_ns <= slow_ns))) {
		model_end_wait(model, seat, SONDE_OBSERVED_REJECTION);
	} else if (stage.now_ns >= slow_ns) {
		seat->has_stalled = true;
		model->expected.n[SONDE_OBSERVED_STALL]++;
		/* For as long as the observer hears of it nobody waits for this one. */
		seat->waits = false;
		model_grant(model);
		seat->waits = true;
		model_grant(model);
		model_run(model, seat);
	}
}

static void model_lock(struct model *model, struct seat *seat)
{
	if (!model_first(model) && model_allows(model, seat->writes)) {
		seat->holds = seat->writes ? WRITES : READS;
		return;
	}
	seat->waits = true;
	seat->was_granted = seat->has_stalled = false;
	seat->since_ns = stage.now_ns;
	seat->end_ns = seat->is_limited ? stage.now_ns + seat->limit_ms * MS : UINT64_MAX;
	seat->number = model->n_numbers++;
	model_run(model, seat);
}

static bool model_agrees(const struct model *model, char *why, size_t size)
{
	for (unsigned i = 0; i < N_ACTORS; i++) {
		const struct seat *seat = &model->seats[i];

		if (stage.actors[i].is_busy != seat->waits)
			return snprintf(why, size, "%u %s", i,
					seat->waits ? "should wait" : "waits") < 0;
		if (!seat->waits && seat->has_it != (seat->holds != NONE))
			return snprintf(why, size, "%u %s", i,
					seat->has_it ? "has it" : "should have it") < 0;
	}
	for (unsigned i = 0; i < SONDE_OBSERVED_COUNT; i++)
		if (model->heard.n[i] != model->expected.n[i])
			return snprintf(why, size, "%s told %u times, not %u",
					sonde_observed_name((enum sonde_observed)i),
					model->heard.n[i], model->expected.n[i]) < 0;
	return true;
}

static void step_lock(struct model *model, unsigned i, uint32_t what, uint64_t b)
{
	struct seat *seat = &model->seats[i];

	seat->limit_ms = b % 4 ? b / 16 % 3000 : 0;
	seat->writes = b / 4 % 3 == 0;
	seat->is_limited = what % 3 == 1;
	seat->error = sonde_error_free(seat->error);
	if (what % 3 == 0) {
		if (!model_first(model) && model_allows(model, seat->writes))
			seat->holds = seat->writes ? WRITES : READS;
		actor_play(&stage.actors[i], seat_try, seat);
	} else {
		model_lock(model, seat);
		actor_play(&stage.actors[i], seat_lock, seat);
	}
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
		static const uint64_t scales[] = { 1, MS / 2, 300 * MS, 2 * SECOND };

		stage.now_ns += step->b % scales[step->a / N_ACTORS % 4];
	} else if (what == 2) {
		step_fire(seat);
	} else if (actor->is_busy) {
		model_run(model, seat);
		actor_go_on(actor);
	} else if (seat->holds != NONE) {
		seat->holds = NONE;
		model_grant(model);
		actor_play(actor, seat_unlock, seat);
	} else {
		step_lock(model, step->a % N_ACTORS, what, step->b);
	}
}

static void model_init(struct model *model)
{
	static struct sonde_observer observer;

	memset(model, 0, sizeof(*model));
	observer = (struct sonde_observer){ hear, &model->heard };
	sonde_rwlock_init(&model->lock, &(struct sonde_lock_options){ .clock = &stage.clock,
								      .observer = &observer });
	for (size_t i = 0; i < N_ACTORS; i++) {
		model->seats[i].lock = &model->lock;
		sonde_cancel_init(&model->seats[i].cancel, NULL);
	}
}

/* Whoever has it lets it go until nobody is left; false: somebody is never served. */
static bool model_finish(struct model *model)
{
	bool is_busy = true;

	for (unsigned round = 0; is_busy && round < 100; round++) {
		is_busy = false;
		for (unsigned i = 0; i < N_ACTORS; i++) {
			if (stage.actors[i].is_busy)
				actor_go_on(&stage.actors[i]);
			if (!stage.actors[i].is_busy && model->seats[i].has_it)
				actor_play(&stage.actors[i], seat_unlock, &model->seats[i]);
			is_busy |= stage.actors[i].is_busy;
		}
	}
	for (unsigned i = 0; i < N_ACTORS; i++) {
		sonde_error_free(model->seats[i].error);
		sonde_cancel_deinit(&model->seats[i].cancel);
	}
	sonde_rwlock_deinit(&model->lock);
	return !is_busy;
}

static bool play_model(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	static struct model model;
	bool agrees = true;

	model_init(&model);
	for (size_t i = 0; i < n_steps && agrees; i++) {
		step_run(&model, &steps[i]);
		agrees = model_agrees(&model, why, size);
	}
	if (!model_finish(&model) && agrees) {
		(void)snprintf(why, size, "somebody is never served");
		agrees = false;
	}
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

#define N_THREADS 4
#define N_ROUNDS 2000

struct shared {
	struct sonde_rwlock lock;
	unsigned values[2]; /* Alike, for whoever has the lock. */
	_Atomic unsigned n_torn;
};

static void read_both(struct shared *shared)
{
	/* Relaxed: a figure, read when all threads have ended. */
	if (shared->values[0] != shared->values[1])
		atomic_fetch_add_explicit(&shared->n_torn, 1, memory_order_relaxed);
}

static void *read_and_write(void *argument)
{
	struct shared *shared = argument;
	uintptr_t n_written = 0;

	for (unsigned i = 0; i < N_ROUNDS; i++) {
		struct sonde_error *error;

		if (i % 8) {
			SONDE_READ_SCOPE(&shared->lock);
			read_both(shared);
			continue;
		}
		error = sonde_rwlock_write_lock_within(&shared->lock, i % 16 ? 1 : UINT64_MAX,
						       NULL);
		if (error) {
			sonde_error_free(error);
			continue;
		}
		shared->values[0]++;
		shared->values[1]++;
		n_written++;
		sonde_rwlock_write_unlock(&shared->lock);
	}
	return (void *)n_written;
}

static void test_threads(void **state)
{
	static struct shared shared;
	pthread_t threads[N_THREADS];
	uintptr_t sum = 0;

	(void)state;
	sonde_rwlock_init(&shared.lock, NULL);
	for (size_t i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_and_write, &shared), 0);
	for (size_t i = 0; i < N_THREADS; i++) {
		void *n;

		pthread_join(threads[i], &n);
		sum += (uintptr_t)n;
	}
	assert_int_equal(shared.n_torn, 0);
	assert_int_equal(shared.values[0], sum);
	assert_int_equal(shared.values[1], sum);
	assert_true(sum >= N_THREADS * N_ROUNDS / 16);
	sonde_rwlock_deinit(&shared.lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_share_and_writers_do_not),
		cmocka_unit_test(test_wait_ends_at_limit_deadline_and_token),
		cmocka_unit_test(test_slow_wait_is_told_after_a_second_by_default),
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test(test_lock_that_comes_at_the_limit_counts),
#endif
		cmocka_unit_test(test_misuse_is_said),
		cmocka_unit_test(test_scopes_let_go_at_their_end),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
