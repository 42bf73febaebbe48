/* SPDX-License-Identifier: Apache-2.0 */

/* The blocking form: what it waits, when it does not even begin, and how a token ends it. */

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "support/virtual_clock.h"

#include <sonde/context.h>
#include <sonde/retry.h>

#include "context/context.h"
#include "resilience/clock.h"

static double half(void *user)
{
	(void)user;
	return 0.5;
}

struct work {
	struct virtual_clock *clock;
	struct sonde_cancel *cancel;
	uint64_t takes_ns;
	int n_failures; /* Before it goes well. */
	int n_calls;
	int cancels_at; /* The call in which it fires the token. */
	uint64_t deadlines[8];
	const struct sonde_error_type *type;
};

static struct sonde_error *work(void *argument)
{
	struct work *w = argument;

	w->deadlines[w->n_calls % 8] = sonde__deadline_current();
	w->n_calls++;
	w->clock->now_ns += w->takes_ns;
	if (w->n_calls == w->cancels_at)
		sonde_cancel_fire(w->cancel, "enough");
	if (w->n_calls > w->n_failures)
		return NULL;
	return sonde_error_raise(w->type ? w->type : &sonde_unavailable, "refused %d", w->n_calls);
}

struct fixture {
	struct virtual_clock clock;
	struct sonde_cancel cancel;
	struct work work;
	struct sonde_retry retry;
	struct sonde_retry_options options;
};

static void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	virtual_clock_init(&f->clock, 5 * SECOND);
	sonde_cancel_init(&f->cancel, /* parent= */ NULL);
	f->work.clock = &f->clock;
	f->work.cancel = &f->cancel;
	f->options.clock = &f->clock.clock;
	f->options.random = half;
	assert_int_equal(sonde_retry_init(&f->retry, &f->options), SONDE_OK);
}

static struct sonde_error *run(struct fixture *f)
{
	return sonde_retry_run(&f->retry, work, &f->work, &f->cancel);
}

static void attach_deadline(uint64_t moment_ns)
{
	struct sonde_context context = sonde_context_current();

	context.extension[SONDE__EXTENSION_DEADLINE] = moment_ns;
	sonde_context_attach(&context);
}

static void test_waits_between_attempts(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.work.n_failures = 2;
	assert_null(run(&f));
	assert_int_equal(f.work.n_calls, 3);
	assert_int_equal(f.clock.n_waits, 2);
	assert_int_equal(f.clock.waited_ns, 3 * SECOND);
	sonde_cancel_deinit(&f.cancel);
}

static void test_gives_up_with_the_last_error(void **state)
{
	struct fixture f;
	struct sonde_error *error;

	(void)state;
	fixture_init(&f);
	f.work.n_failures = 99;
	f.work.takes_ns = 10 * MS;
	error = run(&f);
	assert_int_equal(f.work.n_calls, 3);
	assert_true(sonde_error_is(error, &sonde_unavailable));
	assert_string_equal(sonde_error_message(error), "gave up after 3 attempts in 3.0 s");
	assert_string_equal(sonde_error_message(sonde_error_cause(error)), "refused 3");
	sonde_error_free(error);
	sonde_cancel_deinit(&f.cancel);
}

static void test_each_attempt_has_its_deadline(void **state)
{
	struct fixture f;
	uint64_t began_ns;

	(void)state;
	fixture_init(&f);
	began_ns = f.clock.now_ns;
	f.options.attempt_timeout_ms = 250;
	assert_int_equal(sonde_retry_init(&f.retry, &f.options), SONDE_OK);
	f.work.n_failures = 2;
	attach_deadline(began_ns + 3200 * MS);
	assert_null(run(&f));
	assert_int_equal(f.work.deadlines[0], began_ns + 250 * MS);
	assert_int_equal(f.work.deadlines[1], began_ns + 1250 * MS);
	assert_int_equal(f.work.deadlines[2], began_ns + 3200 * MS);
	assert_int_equal(sonde__deadline_current(), began_ns + 3200 * MS);
	attach_deadline(0);
	f.work.n_calls = f.work.n_failures = 0;
	assert_null(run(&f));
	assert_int_equal(f.work.deadlines[0], f.clock.now_ns + 250 * MS);
	assert_true(sonde__deadline_current() == SONDE__NEVER);
	sonde_cancel_deinit(&f.cancel);
}

static void test_nothing_begins_past_the_deadline(void **state)
{
	struct fixture f;
	struct sonde_error *error;

	(void)state;
	fixture_init(&f);
	attach_deadline(f.clock.now_ns);
	error = run(&f);
	assert_int_equal(f.work.n_calls, 0);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	assert_string_equal(sonde_error_message(error),
			    "the deadline was over before the first attempt");
	sonde_error_free(error);
	/* Nor does a wait that would end there. */
	attach_deadline(f.clock.now_ns + 3 * SECOND);
	f.work.n_failures = 9;
	error = run(&f);
	assert_int_equal(f.work.n_calls, 2);
	assert_int_equal(f.clock.waited_ns, SECOND);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	assert_string_equal(sonde_error_message(sonde_error_cause(error)), "refused 2");
	sonde_error_free(error);
	attach_deadline(0);
	sonde_cancel_deinit(&f.cancel);
}

static void test_what_goes_well_late_counts(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	attach_deadline(f.clock.now_ns + SECOND);
	f.work.takes_ns = 5 * SECOND;
	assert_null(run(&f));
	attach_deadline(0);
	sonde_cancel_deinit(&f.cancel);
}

static void test_token_fired_before(void **state)
{
	struct fixture f;
	struct sonde_error *error;

	(void)state;
	fixture_init(&f);
	sonde_cancel_fire(&f.cancel, "gone");
	error = run(&f);
	assert_int_equal(f.work.n_calls, 0);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_cancelled);
	assert_string_equal(sonde_error_message(error), "cancelled: gone");
	assert_null(sonde_error_cause(error));
	sonde_error_free(error);
	sonde_cancel_deinit(&f.cancel);
}

static void test_token_fired_in_an_attempt(void **state)
{
	struct fixture f;
	struct sonde_error *error;

	(void)state;
	fixture_init(&f);
	f.work.n_failures = 9;
	f.work.cancels_at = 2;
	error = run(&f);
	assert_int_equal(f.work.n_calls, 2);
	assert_int_equal(f.clock.waited_ns, SECOND);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_cancelled);
	assert_string_equal(sonde_error_message(sonde_error_cause(error)), "refused 2");
	sonde_error_free(error);
	sonde_cancel_deinit(&f.cancel);
	fixture_init(&f);
	/* What cannot be tried again anyway says more than the token. */
	f.work.type = &sonde_not_found;
	f.work.n_failures = 9;
	f.work.cancels_at = 1;
	error = run(&f);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_not_found);
	sonde_error_free(error);
	sonde_cancel_deinit(&f.cancel);
}

struct told {
	struct sonde_observation last;
	const struct sonde_error_type *type;
	int n_rejections;
};

static void hear(void *user, const struct sonde_observation *observation)
{
	struct told *told = user;

	told->last = *observation;
	told->type = observation->error ? sonde_error_type_of(observation->error) : NULL;
	told->n_rejections += observation->what == SONDE_OBSERVED_REJECTION;
}

struct fickle {
	struct virtual_clock time;
	struct sonde_cancel *cancel;
};

static uint64_t fickle_now_ns(void *user)
{
	return ((struct fickle *)user)->time.now_ns;
}

/* Half of it; then nobody wants it any more. */
static void fickle_wait(void *user, uint64_t until_ns)
{
	struct fickle *fickle = user;

	fickle->time.now_ns += (until_ns - fickle->time.now_ns) / 2;
	sonde_cancel_fire(fickle->cancel, "gone");
}

/* Else the last that is heard of it is that it tries again. */
static void test_an_attempt_that_is_not_made_is_told(void **state)
{
	struct told told = { .n_rejections = 0 };
	struct sonde_observer observer = { hear, &told };
	struct fickle fickle;
	struct sonde_clock clock = { fickle_now_ns, fickle_wait, &fickle };
	struct fixture f;

	(void)state;
	fixture_init(&f);
	fickle.cancel = &f.cancel;
	virtual_clock_init(&fickle.time, 5 * SECOND);
	f.options.clock = &clock;
	f.options.observer = &observer;
	assert_int_equal(sonde_retry_init(&f.retry, &f.options), SONDE_OK);
	attach_deadline(fickle.time.now_ns);
	sonde_error_free(run(&f));
	assert_int_equal(told.n_rejections, 1);
	assert_int_equal(told.last.attempt, 1);
	assert_ptr_equal(told.type, &sonde_timeout);

	attach_deadline(0);
	f.work.n_failures = 9;
	sonde_error_free(run(&f));
	assert_int_equal(f.work.n_calls, 1);
	assert_int_equal(told.n_rejections, 2);
	assert_int_equal(told.last.what, SONDE_OBSERVED_REJECTION);
	assert_int_equal(told.last.attempt, 2);
	assert_int_equal(told.last.duration_ns, SECOND / 2);
	assert_true(told.last.is_last);
	assert_ptr_equal(told.type, &sonde_cancelled);
	sonde_cancel_deinit(&f.cancel);
}

static struct sonde_error *refuse(void *argument)
{
	int fd = *(int *)argument;

	/* Tells the other thread that the wait is about to begin. */
	assert_int_equal(write(fd, "x", 1), 1);
	return sonde_error_raise(&sonde_unavailable, "refused");
}

struct firing {
	struct sonde_cancel *cancel;
	int fd;
};

static void *fire(void *argument)
{
	const struct firing *firing = argument;
	char byte;

	assert_int_equal(read(firing->fd, &byte, 1), 1);
	sonde_cancel_fire(firing->cancel, "shutdown");
	return NULL;
}

/* An hour's wait in real time ends at once. */
static void test_token_ends_the_wait(void **state)
{
	struct sonde_retry_options options = { .first_delay_ms = 3600000,
					       .max_delay_ms = UINT64_MAX };
	struct sonde_cancel cancel;
	struct sonde_retry retry;
	struct sonde_error *error;
	struct firing firing;
	pthread_t thread;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	sonde_cancel_init(&cancel, /* parent= */ NULL);
	firing = (struct firing){ &cancel, fds[0] };
	assert_int_equal(sonde_retry_init(&retry, &options), SONDE_OK);
	assert_int_equal(pthread_create(&thread, NULL, fire, &firing), 0);
	error = sonde_retry_run(&retry, refuse, &fds[1], &cancel);
	pthread_join(thread, NULL);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_cancelled);
	assert_string_equal(sonde_error_message(sonde_error_cause(error)), "refused");
	sonde_error_free(error);
	sonde_cancel_deinit(&cancel);
	close(fds[0]);
	close(fds[1]);
}

static struct sonde_error *fail_once(void *argument)
{
	return (*(int *)argument)++ ? NULL : sonde_error_raise(&sonde_not_found, "x");
}

static void test_all_defaults(void **state)
{
	struct sonde_error *error;
	int n = 0;

	(void)state;
	error = sonde_retry_run(/* retry= */ NULL, fail_once, &n, /* cancel= */ NULL);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_not_found);
	sonde_error_free(error);
	assert_null(sonde_retry_run(/* retry= */ NULL, fail_once, &n, /* cancel= */ NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_between_attempts),
		cmocka_unit_test(test_gives_up_with_the_last_error),
		cmocka_unit_test(test_each_attempt_has_its_deadline),
		cmocka_unit_test(test_nothing_begins_past_the_deadline),
		cmocka_unit_test(test_what_goes_well_late_counts),
		cmocka_unit_test(test_token_fired_before),
		cmocka_unit_test(test_token_fired_in_an_attempt),
		cmocka_unit_test(test_an_attempt_that_is_not_made_is_told),
		cmocka_unit_test(test_token_ends_the_wait),
		cmocka_unit_test(test_all_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
