/* SPDX-License-Identifier: Apache-2.0 */

/* Deadlines: what is inherited, what is brought back, what is left, and what comes too late. */

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/deadline.h>

#include "resilience/clock.h"
#include "resilience/park.h"
#include "support/sequence.h"
#include "support/virtual_clock.h"

static void test_none_at_first(void **state)
{
	(void)state;
	assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
	assert_true(sonde_deadline_left_ns(NULL) == UINT64_MAX);
	assert_true(sonde_deadline_left_ms(NULL) == UINT64_MAX);
	assert_false(sonde_deadline_is_over(NULL));
	assert_int_equal(sonde_deadline_poll_ms(NULL), -1);
	assert_int_equal(sonde_deadline_client_ms(NULL), 0);
}

static void test_scope_ends_with_its_block(void **state)
{
	uint64_t outer_ns;

	(void)state;
	{
		SONDE_DEADLINE(1000);
		outer_ns = sonde_deadline_moment_ns();
		assert_true(sonde_deadline_left_ns(NULL) <= SECOND);
		assert_true(sonde_deadline_left_ns(NULL) > SECOND / 100);
		{
			SONDE_DEADLINE(UINT64_MAX);
			assert_true(sonde_deadline_moment_ns() == outer_ns);
		}
		{
			SONDE_DEADLINE(60000);
			assert_true(sonde_deadline_moment_ns() == outer_ns);
		}
		{
			SONDE_DEADLINE(0);
			assert_true(sonde_deadline_is_over(NULL));
			{
				SONDE_DEADLINE_SHIELD();
				assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
				SONDE_DEADLINE(5000);
				assert_true(sonde_deadline_moment_ns() > outer_ns);
			}
			assert_true(sonde_deadline_is_over(NULL));
		}
		assert_true(sonde_deadline_moment_ns() == outer_ns);
	}
	assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
}

static void test_what_is_left_is_rounded_up(void **state)
{
	static const struct {
		uint64_t limit_ns;
		uint64_t left_ms;
		int poll_ms;
		int client_ms;
	} table[] = {
		{ 0, 0, 0, 1 },
		{ 1, 1, 1, 1 },
		{ MS, 1, 1, 1 },
		{ MS + 1, 2, 2, 2 },
		{ 250 * MS, 250, 250, 250 },
		{ (uint64_t)INT_MAX * MS, INT_MAX, INT_MAX, INT_MAX },
		{ (uint64_t)INT_MAX * MS + 1, (uint64_t)INT_MAX + 1, INT_MAX, INT_MAX },
		{ UINT64_MAX - 8 * SECOND, (UINT64_MAX - 8 * SECOND) / MS + 1, INT_MAX, INT_MAX },
	};
	struct virtual_clock clock;

	(void)state;
	virtual_clock_init(&clock, SECOND);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;

		sonde_deadline_begin_ns(&deadline, table[i].limit_ns, &clock.clock);
		assert_true(sonde_deadline_left_ns(&clock.clock) == table[i].limit_ns);
		assert_true(sonde_deadline_left_ms(&clock.clock) == table[i].left_ms);
		assert_int_equal(sonde_deadline_poll_ms(&clock.clock), table[i].poll_ms);
		assert_int_equal(sonde_deadline_client_ms(&clock.clock), table[i].client_ms);
		assert_int_equal(sonde_deadline_is_over(&clock.clock), table[i].limit_ns == 0);
	}
}

static void test_moment_0_is_a_deadline(void **state)
{
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;
	struct virtual_clock clock;

	(void)state;
	virtual_clock_init(&clock, 0);
	sonde_deadline_begin_ns(&deadline, 0, &clock.clock);
	clock.now_ns = 1;
	assert_true(sonde_deadline_is_over(&clock.clock));
}

static void test_end_leaves_what_was_attached_since(void **state)
{
	struct sonde_context other = SONDE_CONTEXT_INIT;
	struct sonde_deadline deadline;

	(void)state;
	sonde_context_limit(&other, 4711);
	sonde_deadline_begin(&deadline, 2000, NULL);
	sonde_context_attach(&other);
	sonde_deadline_end(&deadline);
	assert_true(sonde_deadline_moment_ns() == 4711);
	sonde_deadline_end(&deadline);
	assert_true(sonde_deadline_moment_ns() == 4711);
	sonde_context_attach(NULL);
	sonde_deadline_end(NULL);
	sonde_deadline_begin(NULL, 1, NULL);
	sonde_deadline_shield(NULL);
	assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
}

static void test_second_end_does_nothing(void **state)
{
	struct sonde_deadline first;
	struct sonde_deadline second;

	(void)state;
	sonde_deadline_begin_at(&first, 4711);
	sonde_deadline_end(&first);
	sonde_deadline_begin_at(&second, 4711);
	sonde_deadline_end(&first);
	assert_true(sonde_deadline_moment_ns() == 4711);
	sonde_deadline_end(&second);
	assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
}

static void *thread_with_context(void *argument)
{
	assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
	{
		SONDE_CONTEXT_SCOPE(argument);
		assert_true(sonde_deadline_moment_ns() == sonde_context_deadline_ns(argument));
		assert_true(sonde_deadline_is_over(NULL));
	}
	assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
	return NULL;
}

static void test_goes_with_the_context_to_another_thread(void **state)
{
	struct sonde_context context;
	pthread_t thread;

	(void)state;
	{
		SONDE_DEADLINE(0);
		context = sonde_context_current();
	}
	assert_int_equal(pthread_create(&thread, NULL, thread_with_context, &context), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_attached_context_is_other_work(void **state)
{
	struct sonde_context other = SONDE_CONTEXT_INIT;

	(void)state;
	SONDE_DEADLINE(0);
	{
		SONDE_CONTEXT_SCOPE(&other);
		assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
		SONDE_DEADLINE(1000);
		assert_false(sonde_deadline_is_over(NULL));
	}
	assert_true(sonde_deadline_is_over(NULL));
}

static void test_kept_context_is_limited(void **state)
{
	struct sonde_context context = SONDE_CONTEXT_INIT;

	(void)state;
	assert_true(sonde_context_deadline_ns(NULL) == UINT64_MAX);
	assert_true(sonde_context_deadline_ns(&context) == UINT64_MAX);
	sonde_context_limit(NULL, 5);
	sonde_context_limit(&context, UINT64_MAX);
	assert_true(sonde_context_deadline_ns(&context) == UINT64_MAX);
	sonde_context_limit(&context, 70);
	sonde_context_limit(&context, 90);
	assert_true(sonde_context_deadline_ns(&context) == 70);
	sonde_context_limit(&context, 0);
	assert_true(sonde_context_deadline_ns(&context) == 1);
}

static void test_error_has_the_last_real_one_as_cause(void **state)
{
	struct sonde_error *error =
		sonde_deadline_error(sonde_error_raise(&sonde_external_service, "refused"));

	(void)state;
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	assert_int_equal(sonde_error_http_status(error), 504);
	assert_string_equal(sonde_error_message(error), "over the deadline");
	assert_string_equal(sonde_error_message(sonde_error_cause(error)), "refused");
	assert_string_equal(sonde_error_file(error), __FILE__);
	sonde_error_free(error);
	error = sonde_deadline_error(NULL);
	assert_null(sonde_error_cause(error));
	sonde_error_free(error);
}

/* ---- Running --------------------------------------------------------------------------------- */

struct job {
	struct virtual_clock clock;
	uint64_t takes_ns;
	const struct sonde_error_type *fails_with;
	uint64_t left_ns; /* As it found it. */
	uint32_t n_runs;
	struct sonde_observation seen;
	uint32_t n_seen;
	char seen_name[32];
};

static struct sonde_error *job_run(void *argument)
{
	struct job *job = argument;

	job->n_runs++;
	job->left_ns = sonde_deadline_left_ns(&job->clock.clock);
	job->clock.now_ns += job->takes_ns;
	return job->fails_with ? sonde_error_raise(job->fails_with, "it failed") : NULL;
}

static void job_observe(void *user, const struct sonde_observation *observation)
{
	struct job *job = user;

	job->seen = *observation;
	job->n_seen++;
	snprintf(job->seen_name, sizeof(job->seen_name), "%s", observation->name);
}

static struct sonde_error *run(struct job *job, struct sonde_deadline_options *options)
{
	struct sonde_observer observer = { job_observe, job };
	struct sonde_error *error;

	options->clock = &job->clock.clock;
	options->observer = &observer;
	error = sonde_deadline_run(options, job_run, job);
	assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
	return error;
}

static void job_init(struct job *job, uint64_t takes_ns, const struct sonde_error_type *fails_with)
{
	*job = (struct job){ .takes_ns = takes_ns, .fails_with = fails_with };
	virtual_clock_init(&job->clock, 5 * SECOND);
}

static void test_default_limit_is_30_s(void **state)
{
	struct sonde_deadline_options options = { 0 };
	struct job job;

	(void)state;
	job_init(&job, 30 * SECOND - 1, NULL);
	assert_null(run(&job, &options));
	assert_true(job.left_ns == 30 * SECOND);
	options.limit_ms = UINT64_MAX;
	job_init(&job, 3000 * SECOND, NULL);
	assert_null(run(&job, &options));
	assert_true(job.left_ns == UINT64_MAX);
}

static void test_in_time_is_what_it_was(void **state)
{
	struct sonde_deadline_options options = { .name = "price", .limit_ms = 250 };
	struct sonde_error *error;
	struct job job;

	(void)state;
	job_init(&job, 250 * MS - 1, &sonde_not_found);
	error = run(&job, &options);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_not_found);
	assert_int_equal(job.n_seen, 1);
	assert_int_equal(job.seen.pattern, SONDE_PATTERN_DEADLINE);
	assert_int_equal(job.seen.what, SONDE_OBSERVED_RUN);
	assert_string_equal(job.seen_name, "price");
	assert_true(job.seen.duration_ns == 250 * MS - 1);
	assert_ptr_equal(job.seen.error, error);
	sonde_error_free(error);
}

static void test_late_failure_is_the_cause(void **state)
{
	struct sonde_deadline_options options = { .name = "price", .limit_ms = 250 };
	struct sonde_error *error;
	struct job job;

	(void)state;
	job_init(&job, 412 * MS, &sonde_external_service);
	error = run(&job, &options);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	assert_string_equal(sonde_error_message(error),
			    "price over the deadline of 250 ms: took 412 ms");
	assert_ptr_equal(sonde_error_type_of(sonde_error_cause(error)), &sonde_external_service);
	assert_ptr_equal(job.seen.error, error);
	sonde_error_free(error);
	/* Who ended at the deadline has said so already. */
	job_init(&job, 250 * MS, &sonde_timeout);
	error = run(&job, &options);
	assert_string_equal(sonde_error_message(error), "it failed");
	sonde_error_free(error);
}

static void test_late_success_is_late(void **state)
{
	struct sonde_deadline_options options = { .limit_ms = 250 };
	struct sonde_error *error;
	struct job job;

	(void)state;
	job_init(&job, 250 * MS, NULL);
	error = run(&job, &options);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	assert_string_equal(sonde_error_message(error), "over the deadline of 250 ms: took 250 ms");
	assert_null(sonde_error_cause(error));
	sonde_error_free(error);
	options.accepts_late = true;
	job_init(&job, 250 * MS, NULL);
	assert_null(run(&job, &options));
	job_init(&job, 250 * MS, &sonde_conflict);
	error = run(&job, &options);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	sonde_error_free(error);
}

static void test_not_run_when_it_is_over(void **state)
{
	struct sonde_deadline_options options = { .name = "price", .limit_ms = 250 };
	struct sonde_observer observer;
	struct sonde_error *error;
	struct job job;

	(void)state;
	job_init(&job, 0, NULL);
	observer = (struct sonde_observer){ job_observe, &job };
	options.clock = &job.clock.clock;
	options.observer = &observer;
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;
	sonde_deadline_begin_ns(&deadline, 0, &job.clock.clock);
	error = sonde_deadline_run(&options, job_run, &job);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	assert_string_equal(sonde_error_message(error), "price over the deadline before it began");
	assert_int_equal(job.n_runs, 0);
	assert_int_equal(job.seen.what, SONDE_OBSERVED_REJECTION);
	assert_ptr_equal(job.seen.error, error);
	sonde_error_free(error);
	sonde_deadline_end(&deadline);
	error = sonde_deadline_run(&options, NULL, NULL);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_internal);
	sonde_error_free(error);
	assert_null(sonde_deadline_run(NULL, job_run, &job));
}

/* ---- A model of scopes in several contexts --------------------------------------------------- */

#define N_CONTEXTS 3
#define DEPTH 6

/* What a context knows: the moments of the scopes that are open in it, none is UINT64_MAX. */
struct model {
	uint64_t moments[DEPTH + 1];
	size_t depth;
};

struct world {
	struct virtual_clock clock;
	struct model models[N_CONTEXTS];
	struct sonde_context contexts[N_CONTEXTS];
	struct sonde_deadline scopes[N_CONTEXTS][DEPTH];
	size_t attached;
};

static struct model *world_model(struct world *world)
{
	return &world->models[world->attached];
}

static uint64_t model_moment(const struct model *model)
{
	return model->moments[model->depth];
}

static void world_open(struct world *world, uint64_t how, uint64_t amount)
{
	struct model *model = world_model(world);
	struct sonde_deadline *scope = &world->scopes[world->attached][model->depth];
	uint64_t before = model_moment(model);
	uint64_t moment;

	switch (how) {
	case 0:
		sonde_deadline_begin(scope, amount % 50, &world->clock.clock);
		moment = world->clock.now_ns + amount % 50 * MS;
		break;
	case 1:
		sonde_deadline_begin_at(scope, world->clock.now_ns + amount % SECOND);
		moment = world->clock.now_ns + amount % SECOND;
		break;
	case 2:
		sonde_deadline_begin(scope, UINT64_MAX, &world->clock.clock);
		moment = UINT64_MAX;
		break;
	default:
		sonde_deadline_shield(scope);
		moment = before = UINT64_MAX;
		break;
	}
	model->depth++;
	model->moments[model->depth] = moment < before ? moment : before;
}

static void world_step(struct world *world, const struct sequence_step *step)
{
	struct model *model = world_model(world);

	switch (step->what % 8) {
	case 0:
	case 1:
	case 2:
		if (model->depth < DEPTH)
			world_open(world, step->a % 4, step->b);
		break;
	case 3:
	case 4:
		if (model->depth)
			sonde_deadline_end(&world->scopes[world->attached][--model->depth]);
		break;
	case 5:
		/* The work is put away and other work taken up. */
		world->contexts[world->attached] = sonde_context_current();
		world->attached = step->a % N_CONTEXTS;
		sonde_context_attach(&world->contexts[world->attached]);
		break;
	case 6:
		world->clock.now_ns += step->b % (20 * MS);
		break;
	default:
		/* A wait on a virtual clock, which goes on to where the wait ends. */
		if (model_moment(model) != UINT64_MAX)
			sonde__sleep_until(&world->clock.clock,
					   sonde__wait_end(world->clock.now_ns, UINT64_MAX), NULL);
		if (model_moment(model) != UINT64_MAX)
			assert_true(world->clock.now_ns >= model_moment(model));
		break;
	}
}

static bool play_scopes(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	struct world world = { .attached = 0 };
	bool is_right = true;

	virtual_clock_init(&world.clock, SECOND);
	for (size_t i = 0; i < N_CONTEXTS; i++)
		world.models[i].moments[0] = UINT64_MAX;
	for (size_t i = 0; i < n_steps && is_right; i++) {
		uint64_t expected;

		world_step(&world, &steps[i]);
		expected = model_moment(world_model(&world));
		is_right = sonde_deadline_moment_ns() == expected &&
			   sonde_deadline_is_over(&world.clock.clock) ==
				   (expected <= world.clock.now_ns);
		if (!is_right)
			snprintf(why, size, "deadline %llu, not %llu",
				 (unsigned long long)sonde_deadline_moment_ns(),
				 (unsigned long long)expected);
	}
	sonde_context_attach(NULL);
	return is_right;
}

static void test_scopes_as_the_model_has_them(void **state)
{
	(void)state;
	sequence_check(play_scopes, 600, 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none_at_first),
		cmocka_unit_test(test_scope_ends_with_its_block),
		cmocka_unit_test(test_what_is_left_is_rounded_up),
		cmocka_unit_test(test_moment_0_is_a_deadline),
		cmocka_unit_test(test_end_leaves_what_was_attached_since),
		cmocka_unit_test(test_second_end_does_nothing),
		cmocka_unit_test(test_goes_with_the_context_to_another_thread),
		cmocka_unit_test(test_attached_context_is_other_work),
		cmocka_unit_test(test_kept_context_is_limited),
		cmocka_unit_test(test_error_has_the_last_real_one_as_cause),
		cmocka_unit_test(test_default_limit_is_30_s),
		cmocka_unit_test(test_in_time_is_what_it_was),
		cmocka_unit_test(test_late_failure_is_the_cause),
		cmocka_unit_test(test_late_success_is_late),
		cmocka_unit_test(test_not_run_when_it_is_over),
		cmocka_unit_test(test_scopes_as_the_model_has_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
