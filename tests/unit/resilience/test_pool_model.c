/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A pool without threads against a model of what its header says, on virtual time. Submissions that
 * wait, and some of the tasks, have the following steps played meanwhile, so that all of it happens
 * one inside the other.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/context.h>
#include <sonde/pool.h>

#include "support/sequence.h"
#include "support/virtual_clock.h"

#define STEPS_MAX 100
#define DEPTH_MAX 6
#define CLASSES 3

enum job_state { UNUSED, WAITING, GRANTED, QUEUED, RUNNING, DONE, TAKEN };

struct world;

struct job {
	struct world *world;
	struct sonde_future future;
	bool has_future; /* That was not given up. */
	bool was_forsaken;
	bool has_token;
	bool fails;
	bool plays;
	size_t class;
	enum job_state state;
	uint64_t deadline_ns;
	const struct sonde_error_type *outcome;
	bool is_discarded; /* Seen. */
	bool has_begun;
	unsigned n_waiting; /* For its future. */
};

struct line {
	struct job *jobs[STEPS_MAX];
	size_t n;
};

struct world {
	struct sonde_pool pool;
	struct virtual_clock time;
	struct sonde_clock clock;
	struct sonde_observer observer;
	struct sonde_cancel cancel;
	const struct sequence_step *steps;
	size_t n_steps;
	size_t depth;
	const char *why;
	uint64_t seen[SONDE_OBSERVED_COUNT];
	/* The model. */
	enum sonde_queue_policy policy;
	size_t capacity;
	struct job jobs[STEPS_MAX];
	size_t n_jobs;
	struct line queued[CLASSES];
	unsigned passed[CLASSES];
	struct line waiting[CLASSES];
	unsigned waiting_passed[CLASSES];
	size_t n_reserved;
	size_t n_in_tasks;
	size_t n_inline;
	struct sonde_pool_figures figures;
	uint64_t told[SONDE_OBSERVED_COUNT];
	bool is_fired;
	bool is_closed;
};

static bool play_next(struct world *world);

/* ---- The model ------------------------------------------------------------------------------- */

static void line_remove(struct line *line, const struct job *job)
{
	size_t kept = 0;

	for (size_t i = 0; i < line->n; i++)
		if (line->jobs[i] != job)
			line->jobs[kept++] = line->jobs[i];
	line->n = kept;
}

static size_t n_queued(const struct world *world)
{
	return world->queued[0].n + world->queued[1].n + world->queued[2].n;
}

/* The rule of the header; NULL: all lines are empty. */
static struct job *model_choose(struct line lines[CLASSES], unsigned passed[CLASSES])
{
	int chosen = -1;

	for (int i = CLASSES - 1; i >= 0; i--)
		if (lines[i].n && passed[i] >= SONDE_POOL_PASSED_MAX &&
		    (chosen < 0 || passed[i] >= passed[chosen]))
			chosen = i;
	for (int i = 0; i < CLASSES && chosen < 0; i++)
		if (lines[i].n)
			chosen = i;
	for (int i = 0; i < CLASSES; i++) {
		if (i == chosen || !lines[i].n)
			passed[i] = 0;
		else
			passed[i]++;
	}
	return chosen < 0 ? NULL : lines[chosen].jobs[0];
}

static void model_admit(struct world *world)
{
	while (n_queued(world) + world->n_reserved < world->capacity) {
		struct job *job = model_choose(world->waiting, world->waiting_passed);

		if (!job)
			return;
		line_remove(&world->waiting[job->class], job);
		job->state = GRANTED;
		world->n_reserved++;
	}
}

static void model_take(struct world *world, struct job *job)
{
	line_remove(&world->queued[job->class], job);
	job->state = RUNNING;
	world->figures.running++;
	model_admit(world);
}

/* Its outcome is there. */
static void model_end(struct world *world, struct job *job, const struct sonde_error_type *outcome,
		      uint64_t *counter)
{
	job->state = DONE;
	job->outcome = outcome;
	world->figures.running--;
	++*counter;
	if (!job->has_future && outcome)
		world->told[SONDE_OBSERVED_ORPHAN]++;
	else if (!job->has_future && job->was_forsaken)
		world->told[SONDE_OBSERVED_DROP]++;
}

static bool model_is_refused(struct world *world, struct job *job)
{
	if (job->has_token && world->is_fired)
		model_end(world, job, &sonde_cancelled, &world->figures.cancelled);
	else if (world->time.now_ns >= job->deadline_ns)
		model_end(world, job, &sonde_timeout, &world->figures.expired);
	else
		return false;
	return true;
}

static void model_run_end(struct world *world, struct job *job)
{
	world->figures.failed += job->fails;
	world->told[SONDE_OBSERVED_RUN]++;
	world->told[SONDE_OBSERVED_WAIT]++;
	model_end(world, job, job->fails ? &sonde_conflict : NULL, &world->figures.run);
}

static void model_enqueue(struct world *world, struct job *job)
{
	struct line *line = &world->queued[job->class];

	job->state = QUEUED;
	line->jobs[line->n++] = job;
}

/* The oldest of the lowest class, where that is not above the new one's. */
static struct job *model_victim(struct world *world, const struct job *job)
{
	for (size_t i = CLASSES; i-- > job->class;)
		if (world->queued[i].n)
			return world->queued[i].jobs[0];
	return NULL;
}

/* ---- What the pool calls --------------------------------------------------------------------- */

static struct sonde_error *run(void *argument, struct sonde_cancel *cancel, void **ret)
{
	struct job *job = argument;
	struct world *world = job->world;
	struct sonde_context context = sonde_context_current();

	(void)cancel;
	SEQUENCE_EXPECT(world, job->state == RUNNING);
	SEQUENCE_EXPECT(world, !job->has_begun);
	SEQUENCE_EXPECT(world,
	       context.extension[0] == (job->deadline_ns == UINT64_MAX ? 0 : job->deadline_ns));
	job->has_begun = true;
	*ret = job;
	if (job->plays && world->depth < DEPTH_MAX) {
		sonde_context_attach(NULL);
		world->depth++;
		world->n_in_tasks++;
		play_next(world);
		play_next(world);
		world->n_in_tasks--;
		world->depth--;
		sonde_context_attach(&context);
	}
	return job->fails ? sonde_error_raise(&sonde_conflict, "played") : NULL;
}

static void discard(void *argument)
{
	struct job *job = argument;

	SEQUENCE_EXPECT(job->world, !job->is_discarded);
	job->is_discarded = true;
}

static void on_observation(void *user, const struct sonde_observation *observation)
{
	struct world *world = user;

	SEQUENCE_EXPECT(world, observation->pattern == SONDE_PATTERN_POOL);
	SEQUENCE_EXPECT(world, !strcmp(observation->name, "modelled"));
	world->seen[observation->what]++;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static void check_error(struct world *world, struct sonde_error *error,
			const struct sonde_error_type *expected)
{
	SEQUENCE_EXPECT(world, !error == !expected);
	SEQUENCE_EXPECT(world, !error || sonde_error_type_of(error) == expected);
	sonde_error_free(error);
}

/* A taken one is run, or refused, while the pool does the same. */
static void expect_after_run(struct world *world, struct job *job, bool is_refused)
{
	SEQUENCE_EXPECT(world, job->has_begun == !is_refused);
	SEQUENCE_EXPECT(world, job->is_discarded == is_refused);
	if (!is_refused)
		model_run_end(world, job);
}

static void play_turn(struct world *world)
{
	struct job *job = model_choose(world->queued, world->passed);
	bool is_refused = false;

	if (job) {
		model_take(world, job);
		is_refused = model_is_refused(world, job);
	}
	SEQUENCE_EXPECT(world, sonde_pool_turn(&world->pool) == !!job);
	if (job)
		expect_after_run(world, job, is_refused);
}

/* What the submission will do at once. */
enum way { ACCEPT, RUN_HERE, WAIT, REJECT_FULL, REJECT_CLOSED, REJECT_CANCELLED };

static enum way model_way(struct world *world, const struct job *job, uint64_t limit_ms,
			  struct job **ret_victim)
{
	if (job->has_token && world->is_fired)
		return REJECT_CANCELLED;
	if (world->is_closed)
		return REJECT_CLOSED;
	if (n_queued(world) + world->n_reserved < world->capacity)
		return ACCEPT;
	if (world->policy == SONDE_QUEUE_DROP_OLDEST)
		*ret_victim = model_victim(world, job);
	if (*ret_victim)
		return ACCEPT;
	if (world->policy != SONDE_QUEUE_WAIT || !limit_ms)
		return REJECT_FULL;
	if (world->n_in_tasks)
		return world->n_inline < 4 ? RUN_HERE : REJECT_FULL;
	return WAIT;
}

static void set_deadline(uint64_t moment_ns)
{
	struct sonde_context context = SONDE_CONTEXT_INIT;

	context.extension[0] = moment_ns == UINT64_MAX ? 0 : moment_ns;
	sonde_context_attach(&context);
}

static struct job *new_job(struct world *world, const struct sequence_step *step)
{
	static const size_t classes[] = { 1, 0, 2, 1, 0, 2, 2, 2 };
	struct job *job = &world->jobs[world->n_jobs++];

	job->world = world;
	job->class = classes[step->a % 8];
	job->has_future = (step->a >> 3) % 4 != 0;
	job->fails = (step->a >> 5) % 2;
	job->plays = (step->a >> 6) % 4 == 0;
	job->has_token = (step->a >> 8) % 4 == 0;
	job->deadline_ns = (step->a >> 10) % 4 ? UINT64_MAX
					       : world->time.now_ns + (step->a >> 12) % 8 * MS;
	return job;
}

/* How one ended that had to wait. */
static const struct sonde_error_type *model_waited(struct world *world, struct job *job,
						   uint64_t limit_end_ns)
{
	if (job->state == GRANTED) {
		world->n_reserved--;
		if (!world->is_closed) {
			model_enqueue(world, job);
			return NULL;
		}
		return &sonde_closed;
	}
	line_remove(&world->waiting[job->class], job);
	job->state = UNUSED;
	if (job->has_token && world->is_fired)
		return &sonde_cancelled;
	return job->deadline_ns <= limit_end_ns ? &sonde_timeout : &sonde_queue_full;
}

static void model_before(struct world *world, struct job *job, enum way way, struct job *victim)
{
	if (victim) {
		line_remove(&world->queued[victim->class], victim);
		world->figures.running++;
		world->told[SONDE_OBSERVED_DROP]++;
		model_end(world, victim, &sonde_queue_full, &world->figures.dropped);
	}
	if (way == ACCEPT) {
		model_enqueue(world, job);
	} else if (way == WAIT) {
		job->state = WAITING;
		world->waiting[job->class].jobs[world->waiting[job->class].n++] = job;
	} else if (way == RUN_HERE) {
		job->state = RUNNING;
		world->figures.running++;
		world->n_inline++;
	}
	if (way == ACCEPT || way == RUN_HERE)
		world->figures.submitted++;
}

static void play_submit(struct world *world, const struct sequence_step *step, bool is_try)
{
	static const enum sonde_priority priorities[] = { SONDE_PRIORITY_HIGH,
							  SONDE_PRIORITY_NORMAL,
							  SONDE_PRIORITY_LOW };
	struct job *job = new_job(world, step);
	struct sonde_task_options options = { .priority = priorities[job->class],
					      .limit_ms = step->b % 3 ? step->b % 7 + 1 : 0,
					      .discard = discard };
	uint64_t limit_end_ns = options.limit_ms ? world->time.now_ns + options.limit_ms * MS
						 : UINT64_MAX;
	/* Nothing would end it but a deadline: there is one thread. */
	bool is_bounded = options.limit_ms || job->deadline_ns != UINT64_MAX;
	bool is_asking = is_try || !is_bounded || world->depth >= DEPTH_MAX;
	const struct sonde_error_type *expected = NULL;
	struct sonde_error *error = NULL;
	struct job *victim = NULL;
	bool is_refused = false;
	enum way way = model_way(world, job, is_asking ? 0 : UINT64_MAX, &victim);

	if (job->has_token)
		options.cancel = &world->cancel;
	model_before(world, job, way, victim);
	if (way == RUN_HERE)
		is_refused = model_is_refused(world, job);
	set_deadline(job->deadline_ns);
	if (is_asking) {
		int status = sonde_pool_try_submit(&world->pool, run, job, &options,
						   job->has_future ? &job->future : NULL);

		SEQUENCE_EXPECT(world, status == (way == ACCEPT		? SONDE_OK
					 : way == REJECT_CLOSED ? SONDE_E_CLOSED
								: SONDE_E_LIMITED));
	} else {
		world->depth++;
		error = sonde_pool_submit(&world->pool, run, job, &options,
					  job->has_future ? &job->future : NULL);
		world->depth--;
	}
	set_deadline(UINT64_MAX);
	if (way == RUN_HERE) {
		world->n_inline--;
		expect_after_run(world, job, is_refused);
	} else if (way == WAIT) {
		expected = model_waited(world, job, limit_end_ns);
		world->figures.submitted += !expected;
	} else if (way != ACCEPT) {
		expected = way == REJECT_FULL	  ? &sonde_queue_full
			   : way == REJECT_CLOSED ? &sonde_closed
						  : &sonde_cancelled;
	}
	if (expected) {
		job->state = UNUSED;
		world->figures.rejected++;
		world->told[SONDE_OBSERVED_REJECTION]++;
	}
	SEQUENCE_EXPECT(world, !victim || victim->is_discarded);
	check_error(world, error, is_asking ? NULL : expected);
}

static struct job *some_future(struct world *world, uint64_t number)
{
	size_t n = world->n_jobs;

	for (size_t i = 0; i < n; i++) {
		struct job *job = &world->jobs[(number + i) % n];

		if (job->has_future && job->state >= QUEUED)
			return job;
	}
	return NULL;
}

static void play_cancel(struct world *world, struct job *job)
{
	bool is_queued = job->state == QUEUED;

	if (is_queued) {
		model_take(world, job);
		model_end(world, job, &sonde_cancelled, &world->figures.cancelled);
	}
	sonde_future_cancel(&job->future, "played");
	SEQUENCE_EXPECT(world, job->is_discarded || !is_queued);
}

/* One that is queued is run right here: there are no threads. */
static void play_wait(struct world *world, struct job *job, uint64_t limit_ms)
{
	const struct sonde_error_type *expected = &sonde_timeout;
	bool is_helping = job->state == QUEUED && limit_ms;
	bool is_refused = false;
	struct sonde_error *error;
	void *result = world;

	if (is_helping) {
		model_take(world, job);
		is_refused = model_is_refused(world, job);
	}
	world->depth++;
	job->n_waiting++;
	error = sonde_future_wait(&job->future, limit_ms, NULL, &result);
	job->n_waiting--;
	world->depth--;
	if (is_helping)
		expect_after_run(world, job, is_refused);
	if (job->state == TAKEN) {
		expected = &sonde_internal;
	} else if (job->state == DONE) {
		expected = job->outcome;
		SEQUENCE_EXPECT(world, result == (job->has_begun ? job : NULL));
		job->state = TAKEN;
	}
	check_error(world, error, expected);
	SEQUENCE_EXPECT(world, sonde_future_is_taken(&job->future) == (job->state == TAKEN));
}

static void play_deinit(struct world *world, struct job *job)
{
	if (job->state == DONE)
		world->told[job->outcome ? SONDE_OBSERVED_ORPHAN : SONDE_OBSERVED_DROP]++;
	job->has_future = false;
	job->was_forsaken = true;
	sonde_future_deinit(&job->future);
}

static void check_state(struct world *world)
{
	struct sonde_pool_figures figures;

	world->figures.queued = n_queued(world);
	sonde_pool_figures(&world->pool, &figures);
	SEQUENCE_EXPECT(world, !memcmp(&figures, &world->figures, sizeof(figures)));
	SEQUENCE_EXPECT(world, figures.submitted == figures.run + figures.cancelled +
							    figures.expired + figures.dropped +
							    figures.queued + figures.running);
}

static void check_told(struct world *world)
{
	for (size_t i = 0; i < SONDE_OBSERVED_COUNT; i++)
		SEQUENCE_EXPECT(world, world->seen[i] == world->told[i]);
}

static bool play_next(struct world *world)
{
	const struct sequence_step *step = world->steps;
	struct job *job;

	if (!world->n_steps || world->why)
		return false;
	world->steps++;
	world->n_steps--;
	job = world->n_jobs ? some_future(world, step->b) : NULL;
	switch (step->what % 64) {
	case 0:
		sonde_cancel_fire(&world->cancel, "played");
		world->is_fired = true;
		break;
	case 1 ... 4:
		world->time.now_ns += step->b % 4 * MS;
		break;
	case 5 ... 20:
		play_turn(world);
		break;
	case 21 ... 25:
		if (job)
			play_cancel(world, job);
		break;
	case 26 ... 30:
		if (job && world->depth < DEPTH_MAX)
			play_wait(world, job, step->a % 4);
		break;
	case 31 ... 33:
		if (job && !job->n_waiting)
			play_deinit(world, job);
		break;
	default:
		play_submit(world, step, step->what % 3 == 0);
	}
	check_state(world);
	return true;
}

/* ---- A whole sequence ------------------------------------------------------------------------ */

static void on_wait(void *user, uint64_t until_ns)
{
	struct world *world = user;
	struct sonde_context context = sonde_context_current();

	if (!play_next(world))
		virtual_clock_wait(&world->time, until_ns);
	sonde_context_attach(&context);
}

static uint64_t on_now(void *user)
{
	return ((const struct world *)user)->time.now_ns;
}

static void world_init(struct world *world, const struct sequence_step *steps, size_t n_steps)
{
	struct sonde_pool_options options = { .name = "modelled",
					      .threads = SONDE_POOL_NO_THREADS };

	memset(world, 0, sizeof(*world));
	virtual_clock_init(&world->time, SECOND);
	world->clock = (struct sonde_clock){ on_now, on_wait, world };
	world->observer = (struct sonde_observer){ on_observation, world };
	world->steps = steps;
	world->n_steps = n_steps;
	world->policy = (enum sonde_queue_policy)(n_steps ? steps->b % 5 % 3 : 0);
	world->capacity = n_steps && steps->b % 4 ? 1 + steps->a % 5 : 40;
	options.capacity = (uint32_t)world->capacity;
	options.policy = world->policy;
	options.clock = &world->clock;
	options.observer = &world->observer;
	assert_int_equal(sonde_cancel_init(&world->cancel, NULL), SONDE_OK);
	assert_int_equal(sonde_pool_init(&world->pool, &options), SONDE_OK);
}

/* Late at once: all that is queued is cancelled. */
static void play_stop(struct world *world)
{
	struct sonde_pool_left left;
	size_t n_left = n_queued(world);
	struct job *job;

	while ((job = model_choose(world->queued, world->passed))) {
		model_take(world, job);
		model_end(world, job, &sonde_cancelled, &world->figures.cancelled);
	}
	world->is_closed = true;
	SEQUENCE_EXPECT(world,
	       sonde_pool_stop(&world->pool, 0, &left) == (n_left ? SONDE_INCOMPLETE : SONDE_OK));
	SEQUENCE_EXPECT(world, left.n_cancelled == n_left && !left.n_running);
	SEQUENCE_EXPECT(world, sonde_pool_try_submit(&world->pool, run, NULL, NULL, NULL) ==
				       SONDE_E_CLOSED);
	world->figures.rejected++;
	world->told[SONDE_OBSERVED_REJECTION]++;
	check_state(world);
}

static bool play(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	static struct world world;

	world_init(&world, steps, n_steps);
	while (play_next(&world))
		;
	check_told(&world);
	if (!world.why)
		play_stop(&world);
	sonde_pool_deinit(&world.pool);
	for (size_t i = 0; i < world.n_jobs; i++)
		if (world.jobs[i].has_future && world.jobs[i].state >= QUEUED)
			sonde_future_deinit(&world.jobs[i].future);
	sonde_cancel_deinit(&world.cancel);
	if (world.why)
		snprintf(why, size, "%s", world.why);
	return !world.why;
}

static void test_does_as_the_model(void **state)
{
	(void)state;
	sequence_check(play, 5000, STEPS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_does_as_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
