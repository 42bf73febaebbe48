/* SPDX-License-Identifier: Apache-2.0 */

/* Several threads look at one watchdog: its news come one at a time, a stall before its end. */

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/watchdog.h>

#include "base/testpoint.h"
#include "support/virtual_clock.h"

#define LIMIT_MS 40

struct heard {
	enum sonde_observed what;
	uint64_t duration_ns;
};

struct rig {
	struct sonde_clock clock;
	_Atomic uint64_t now_ns;
	struct sonde_observer observer;
	struct sonde_watchdog watchdog;
	_Atomic uint32_t n_inside; /* Of the observer. */
	uint32_t n_heard;
	struct heard heard[8];
	bool holds; /* The observer, in the first call. */
	bool looks; /* It does, itself. */
	sem_t is_held;
	sem_t may_go_on;
};

/* Relaxed, here and below: it is a number, and who is alone in the observer is alone anyway. */
static uint64_t now(void *user)
{
	return atomic_load_explicit(&((struct rig *)user)->now_ns, memory_order_relaxed);
}

static void advance(struct rig *rig, uint64_t ns)
{
	atomic_fetch_add_explicit(&rig->now_ns, ns, memory_order_relaxed);
}

static void take(sem_t *semaphore)
{
	while (sem_wait(semaphore) < 0)
		assert_int_equal(errno, EINTR);
}

static void hear(void *user, const struct sonde_observation *observation)
{
	struct rig *rig = user;

	assert_int_equal(atomic_fetch_add_explicit(&rig->n_inside, 1, memory_order_relaxed), 0);
	/* In turn. */
	assert_int_equal(observation->what,
			 rig->n_heard % 2 ? SONDE_OBSERVED_RECOVERY : SONDE_OBSERVED_STALL);
	rig->heard[rig->n_heard++ % 8] =
		(struct heard){ observation->what, observation->duration_ns };
	if (rig->looks) {
		sonde_watchdog_feed(&rig->watchdog);
		assert_int_equal(sonde_watchdog_check(&rig->watchdog), SONDE_WATCHDOG_TURNING);
	}
	if (rig->holds && rig->n_heard == 1) {
		sem_post(&rig->is_held);
		take(&rig->may_go_on);
	}
	atomic_fetch_sub_explicit(&rig->n_inside, 1, memory_order_relaxed);
}

static void rig_init(struct rig *rig)
{
	const struct sonde_watchdog_options options = {
		.clock = &rig->clock,
		.observer = &rig->observer,
		.stall_ms = LIMIT_MS,
		.is_without_stack = true,
		.is_without_thread = true,
	};

	memset(rig, 0, sizeof(*rig));
	rig->clock = (struct sonde_clock){ .now_ns = now, .user = rig };
	advance(rig, SECOND);
	rig->observer = (struct sonde_observer){ hear, rig };
	sem_init(&rig->is_held, 0, 0);
	sem_init(&rig->may_go_on, 0, 0);
	assert_int_equal(sonde_watchdog_init(&rig->watchdog, &options), SONDE_OK);
	/* To be stalled at the next look. */
	sonde_watchdog_feed(&rig->watchdog);
	assert_int_equal(sonde_watchdog_check(&rig->watchdog), SONDE_WATCHDOG_TURNING);
	advance(rig, LIMIT_MS * MS);
}

static void rig_deinit(struct rig *rig)
{
	sonde_watchdog_deinit(&rig->watchdog);
	sem_destroy(&rig->is_held);
	sem_destroy(&rig->may_go_on);
}

static void *look(void *rig)
{
	sonde_watchdog_check(&((struct rig *)rig)->watchdog);
	return NULL;
}

static void heard_is(const struct rig *rig, uint32_t i, enum sonde_observed what, uint64_t ms)
{
	assert_int_equal(rig->heard[i].what, what);
	assert_int_equal(rig->heard[i].duration_ns, ms * MS);
}

/* ---- One thread tells, another looks --------------------------------------------------------- */

/* The other thread has found the stall, and is telling it. */
static void find_more(struct rig *rig)
{
	/* Its end is left to the teller, */
	advance(rig, 10 * MS);
	sonde_watchdog_feed(&rig->watchdog);
	assert_int_equal(sonde_watchdog_check(&rig->watchdog), SONDE_WATCHDOG_TURNING);
	/* and what comes after it is not looked at: there is no room. */
	advance(rig, 100 * MS);
	assert_int_equal(sonde_watchdog_check(&rig->watchdog), SONDE_WATCHDOG_TURNING);
}

static void check_what_was_heard(struct rig *rig)
{
	assert_int_equal(rig->n_heard, 2);
	heard_is(rig, 0, SONDE_OBSERVED_STALL, 40);
	heard_is(rig, 1, SONDE_OBSERVED_RECOVERY, 50);
	/* But now it is, and nothing of it was lost. */
	assert_int_equal(sonde_watchdog_check(&rig->watchdog), SONDE_WATCHDOG_STALLED);
	assert_int_equal(rig->n_heard, 3);
	heard_is(rig, 2, SONDE_OBSERVED_STALL, 100);
}

static void test_an_end_that_is_found_while_its_stall_is_told_comes_after_it(void **state)
{
	struct rig rig;
	pthread_t thread;

	(void)state;
	rig_init(&rig);
	rig.holds = true;
	assert_int_equal(pthread_create(&thread, NULL, look, &rig), 0);
	take(&rig.is_held);
	find_more(&rig);
	assert_int_equal(rig.n_heard, 1);
	sem_post(&rig.may_go_on);
	pthread_join(thread, NULL);
	check_what_was_heard(&rig);
	rig_deinit(&rig);
}

#ifdef SONDE_TESTPOINTS
static struct rig *held;

static void hold_teller(const char *name)
{
	if (strcmp(name, "watchdog.telling") != 0)
		return;
	__atomic_store_n(&sonde__testpoint_hook, NULL, __ATOMIC_RELEASE);
	sem_post(&held->is_held);
	take(&held->may_go_on);
}

static void test_an_end_that_is_found_before_its_stall_is_told_comes_after_it(void **state)
{
	struct rig rig;
	pthread_t thread;

	(void)state;
	rig_init(&rig);
	held = &rig;
	__atomic_store_n(&sonde__testpoint_hook, hold_teller, __ATOMIC_RELEASE);
	assert_int_equal(pthread_create(&thread, NULL, look, &rig), 0);
	take(&rig.is_held);
	find_more(&rig);
	assert_int_equal(rig.n_heard, 0);
	sem_post(&rig.may_go_on);
	pthread_join(thread, NULL);
	check_what_was_heard(&rig);
	rig_deinit(&rig);
}

static void *end(void *rig)
{
	sonde_watchdog_deinit(&((struct rig *)rig)->watchdog);
	return NULL;
}

/* Both: what is told, and what waits. */
static void test_the_end_of_the_watchdog_waits_for_all_its_news(void **state)
{
	struct rig rig;
	pthread_t threads[2];

	(void)state;
	rig_init(&rig);
	held = &rig;
	__atomic_store_n(&sonde__testpoint_hook, hold_teller, __ATOMIC_RELEASE);
	assert_int_equal(pthread_create(&threads[0], NULL, look, &rig), 0);
	take(&rig.is_held);
	find_more(&rig);
	assert_int_equal(pthread_create(&threads[1], NULL, end, &rig), 0);
	sem_post(&rig.may_go_on);
	pthread_join(threads[1], NULL);
	assert_int_equal(rig.n_heard, 2);
	pthread_join(threads[0], NULL);
	rig_deinit(&rig);
}
#endif

static void test_an_observer_that_looks_itself_hears_of_it_afterwards(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig.looks = true;
	assert_int_equal(sonde_watchdog_check(&rig.watchdog), SONDE_WATCHDOG_TURNING);
	assert_int_equal(rig.n_heard, 2);
	heard_is(&rig, 1, SONDE_OBSERVED_RECOVERY, 40);
	rig_deinit(&rig);
}

/* ---- All at once ----------------------------------------------------------------------------- */

static void *look_often(void *argument)
{
	struct rig *rig = argument;

	for (int i = 0; i < 2000; i++) {
		advance(rig, LIMIT_MS * MS / 4);
		sonde_watchdog_check(&rig->watchdog);
	}
	return NULL;
}

static void test_many_threads_look_and_the_news_stay_in_turn(void **state)
{
	struct rig rig;
	pthread_t threads[3];

	(void)state;
	rig_init(&rig);
	assert_int_equal(sonde_watchdog_check(&rig.watchdog), SONDE_WATCHDOG_STALLED);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, look_often, &rig), 0);
	for (int i = 0; i < 20000; i++)
		sonde_watchdog_feed(&rig.watchdog);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	/* If it was stalled at the end, this ends it. */
	sonde_watchdog_rest(&rig.watchdog);
	assert_int_equal(sonde_watchdog_check(&rig.watchdog), SONDE_WATCHDOG_RESTING);
	assert_true(rig.n_heard >= 2);
	assert_int_equal(rig.n_heard % 2, 0);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_end_that_is_found_while_its_stall_is_told_comes_after_it),
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test(test_an_end_that_is_found_before_its_stall_is_told_comes_after_it),
		cmocka_unit_test(test_the_end_of_the_watchdog_waits_for_all_its_news),
#endif
		cmocka_unit_test(test_an_observer_that_looks_itself_hears_of_it_afterwards),
		cmocka_unit_test(test_many_threads_look_and_the_news_stay_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
