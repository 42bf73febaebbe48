/* SPDX-License-Identifier: Apache-2.0 */

/* The bulkhead between threads: never more inside than the limit, and first come, first served. */

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/bulkhead.h>
#include <sonde/deadline.h>

#include "base/testpoint.h"

static struct sonde_bulkhead_figures figures_of(struct sonde_bulkhead *bulkhead)
{
	struct sonde_bulkhead_figures figures;

	sonde_bulkhead_read(bulkhead, &figures);
	return figures;
}

static void wait_until_waiting(struct sonde_bulkhead *bulkhead, uint32_t n)
{
	while (figures_of(bulkhead).n_waiting != n)
		sched_yield();
}

static void bulkhead_begin(struct sonde_bulkhead *bulkhead, uint32_t limit, bool is_shared)
{
	const struct sonde_bulkhead_options options = { .limit = limit, .max_queue = UINT32_MAX,
							.shared = is_shared };

	assert_int_equal(sonde_bulkhead_init(bulkhead, &options), SONDE_OK);
}

/* ---- A crowd --------------------------------------------------------------------------------- */

#define MEMBERS 4
#define TURNS 1500
#define LIMIT 3

struct crowd {
	struct sonde_bulkhead bulkhead;
	_Atomic int n_inside;
	_Atomic int most;
	_Atomic int n_let_in;
	_Atomic bool is_over;
	bool is_shared;
};

static void be_inside(struct crowd *crowd)
{
	int n = atomic_fetch_add(&crowd->n_inside, 1) + 1;
	int most = atomic_load(&crowd->most);

	while (n > most && !atomic_compare_exchange_weak(&crowd->most, &most, n))
		;
	atomic_fetch_add(&crowd->n_let_in, 1);
	sched_yield();
	atomic_fetch_sub(&crowd->n_inside, 1);
	sonde_bulkhead_release(&crowd->bulkhead);
}

static void note_grant(void *user)
{
	atomic_store((_Atomic bool *)user, true);
}

/* Asks, and withdraws at once: at times in the moment in which it is granted. */
static bool ask_and_withdraw(struct crowd *crowd)
{
	struct sonde_bulkhead_waiter waiter;
	_Atomic bool was_called = false;
	int answer = sonde_bulkhead_ask(&crowd->bulkhead, &waiter, note_grant, &was_called);
	bool is_withdrawn;

	if (answer == SONDE_BULKHEAD_GRANTED)
		return true;
	assert_int_equal(answer, SONDE_BULKHEAD_QUEUED);
	sched_yield();
	is_withdrawn = sonde_bulkhead_withdraw(&crowd->bulkhead, &waiter);
	assert_int_equal(atomic_load(&was_called), !is_withdrawn);
	return !is_withdrawn;
}

static void *come_and_go(void *argument)
{
	struct crowd *crowd = argument;

	for (int i = 0; i < TURNS; i++) {
		if (i % 3 == 0 && !crowd->is_shared) {
			if (ask_and_withdraw(crowd))
				be_inside(crowd);
		} else if (i % 3 == 1) {
			if (sonde_bulkhead_try_acquire(&crowd->bulkhead))
				be_inside(crowd);
		} else {
			assert_null(sonde_bulkhead_acquire(&crowd->bulkhead, NULL));
			be_inside(crowd);
		}
	}
	return NULL;
}

static void *change_the_limit(void *argument)
{
	struct crowd *crowd = argument;

	for (uint32_t i = 0; !atomic_load(&crowd->is_over); i++) {
		assert_int_equal(sonde_bulkhead_set_limit(&crowd->bulkhead, 1 + i % LIMIT),
				 SONDE_OK);
		sched_yield();
	}
	return NULL;
}

static void crowd_check(bool is_shared, bool changes)
{
	struct crowd crowd = { .is_shared = is_shared };
	pthread_t members[MEMBERS];
	pthread_t changer;

	bulkhead_begin(&crowd.bulkhead, LIMIT, is_shared);
	for (int i = 0; i < MEMBERS; i++)
		assert_int_equal(pthread_create(&members[i], NULL, come_and_go, &crowd), 0);
	if (changes)
		assert_int_equal(pthread_create(&changer, NULL, change_the_limit, &crowd), 0);
	for (int i = 0; i < MEMBERS; i++)
		pthread_join(members[i], NULL);
	atomic_store(&crowd.is_over, true);
	if (changes)
		pthread_join(changer, NULL);
	assert_in_range(crowd.most, 1, LIMIT);
	/* Those who wait always get in. */
	assert_true(crowd.n_let_in >= MEMBERS * TURNS / 3);
	assert_int_equal(figures_of(&crowd.bulkhead).n_taken, 0);
	assert_int_equal(figures_of(&crowd.bulkhead).n_waiting, 0);
	assert_int_equal(sonde_bulkhead_set_limit(&crowd.bulkhead, LIMIT), SONDE_OK);
	for (int i = 0; i < LIMIT; i++)
		assert_true(sonde_bulkhead_try_acquire(&crowd.bulkhead));
	assert_false(sonde_bulkhead_try_acquire(&crowd.bulkhead));
	sonde_bulkhead_deinit(&crowd.bulkhead);
}

static void test_never_more_than_the_limit(void **state)
{
	(void)state;
	crowd_check(/* is_shared= */ false, /* changes= */ false);
	crowd_check(/* is_shared= */ false, /* changes= */ true);
}

static void test_never_more_than_the_limit_shared(void **state)
{
	(void)state;
	crowd_check(/* is_shared= */ true, /* changes= */ false);
	crowd_check(/* is_shared= */ true, /* changes= */ true);
}

/* With a limit of 1 it is a lock: what is done inside needs no other. */
struct counter {
	struct sonde_bulkhead bulkhead;
	long n; /* Not atomic. */
};

static void *count_inside(void *argument)
{
	struct counter *counter = argument;

	for (int i = 0; i < TURNS; i++) {
		if (i % 2)
			assert_null(sonde_bulkhead_acquire(&counter->bulkhead, NULL));
		else
			while (!sonde_bulkhead_try_acquire(&counter->bulkhead))
				sched_yield();
		counter->n++;
		sonde_bulkhead_release(&counter->bulkhead);
	}
	return NULL;
}

static void test_one_permit_orders_memory(void **state)
{
	(void)state;
	for (int is_shared = 0; is_shared < 2; is_shared++) {
		struct counter counter = { .n = 0 };
		pthread_t threads[3];

		bulkhead_begin(&counter.bulkhead, 1, is_shared);
		for (int i = 0; i < 3; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, count_inside, &counter),
					 0);
		for (int i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(counter.n, 3 * TURNS);
		sonde_bulkhead_deinit(&counter.bulkhead);
	}
}

/* ---- The queue ------------------------------------------------------------------------------- */

#define LINE 6

struct place {
	struct sonde_bulkhead *bulkhead;
	struct sonde_cancel *cancel;
	_Atomic int *n_served;
	int served_as;
	uint64_t deadline_ms;
	struct sonde_error *error;
};

static void *stand_in_line(void *argument)
{
	struct place *place = argument;
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;

	sonde_deadline_begin(&deadline, place->deadline_ms ? place->deadline_ms : UINT64_MAX, NULL);
	place->error = sonde_bulkhead_acquire(place->bulkhead, place->cancel);
	if (!place->error) {
		place->served_as = atomic_fetch_add(place->n_served, 1) + 1;
		sonde_bulkhead_release(place->bulkhead);
	}
	return NULL;
}

static void serve(void *user)
{
	struct place *place = user;

	place->served_as = atomic_fetch_add(place->n_served, 1) + 1;
}

static void test_first_come_first_served(void **state)
{
	(void)state;
	for (int is_shared = 0; is_shared < 2; is_shared++) {
		struct sonde_bulkhead bulkhead;
		struct sonde_bulkhead_waiter waiter;
		struct place places[LINE];
		pthread_t threads[LINE];
		_Atomic int n_served = 0;
		/* In one process's a place in the midst is a loop's. */
		int loop = is_shared ? LINE : LINE / 2;

		bulkhead_begin(&bulkhead, 1, is_shared);
		assert_true(sonde_bulkhead_try_acquire(&bulkhead));
		for (int i = 0; i < LINE; i++) {
			places[i] = (struct place){ .bulkhead = &bulkhead, .n_served = &n_served };
			if (i == loop)
				assert_int_equal(sonde_bulkhead_ask(&bulkhead, &waiter, serve,
								    &places[i]),
						 SONDE_BULKHEAD_QUEUED);
			else
				assert_int_equal(pthread_create(&threads[i], NULL, stand_in_line,
								&places[i]),
						 0);
			wait_until_waiting(&bulkhead, (uint32_t)i + 1);
			/* Whoever comes later has to wait, too. */
			assert_false(sonde_bulkhead_try_acquire(&bulkhead));
		}
		sonde_bulkhead_release(&bulkhead);
		for (int i = 0; i < LINE; i++) {
			if (i != loop)
				pthread_join(threads[i], NULL);
			if (i == loop - 1 && loop < LINE) {
				while (atomic_load(&n_served) <= loop)
					sched_yield();
				assert_false(sonde_bulkhead_withdraw(&bulkhead, &waiter));
				sonde_bulkhead_release(&bulkhead);
			}
			assert_null(places[i].error);
			/* Places of shared ones are taken before the turn is queued for. */
			if (!is_shared)
				assert_int_equal(places[i].served_as, i + 1);
		}
		assert_int_equal(n_served, LINE);
		assert_int_equal(figures_of(&bulkhead).n_waited, LINE);
		sonde_bulkhead_deinit(&bulkhead);
	}
}

/* In the line's midst one is cancelled and one is late; the others have their turn. */
static void test_leaving_the_line(void **state)
{
	(void)state;
	for (int is_shared = 0; is_shared < 2; is_shared++) {
		struct sonde_bulkhead bulkhead;
		struct place places[LINE];
		pthread_t threads[LINE];
		SONDE_CANCEL_AUTODEINIT struct sonde_cancel cancel;
		_Atomic int n_served = 0;

		sonde_cancel_init(&cancel, NULL);
		bulkhead_begin(&bulkhead, 1, is_shared);
		assert_true(sonde_bulkhead_try_acquire(&bulkhead));
		for (int i = 0; i < LINE; i++) {
			places[i] = (struct place){ .bulkhead = &bulkhead, .n_served = &n_served };
			/* The first, and others. */
			if (i == 0 || i == 3)
				places[i].cancel = &cancel;
			if (i == 2)
				places[i].deadline_ms = 30;
			assert_int_equal(pthread_create(&threads[i], NULL, stand_in_line,
							&places[i]),
					 0);
		}
		pthread_join(threads[2], NULL);
		assert_ptr_equal(sonde_error_type_of(places[2].error), &sonde_timeout);
		wait_until_waiting(&bulkhead, LINE - 1);
		sonde_cancel_fire(&cancel, "enough");
		for (int i = 0; i < LINE; i += 3) {
			pthread_join(threads[i], NULL);
			assert_ptr_equal(sonde_error_type_of(places[i].error), &sonde_cancelled);
		}
		sonde_bulkhead_release(&bulkhead);
		for (int i = 0; i < LINE; i++) {
			if (i % 3 && i != 2)
				pthread_join(threads[i], NULL);
			sonde_error_free(places[i].error);
		}
		assert_int_equal(n_served, LINE - 3);
		assert_int_equal(figures_of(&bulkhead).n_taken, 0);
		assert_int_equal(figures_of(&bulkhead).n_withdrawn, 2);
		assert_int_equal(figures_of(&bulkhead).n_rejected_wait, 1);
		sonde_bulkhead_deinit(&bulkhead);
	}
}

#ifdef SONDE_TESTPOINTS
static _Atomic bool is_falling_asleep;
static _Atomic bool may_sleep;

static void stand_still(const char *name)
{
	if (strcmp(name, "bulkhead_before_sleep") != 0)
		return;
	atomic_store(&is_falling_asleep, true);
	while (!atomic_load(&may_sleep))
		sched_yield();
}

/* A permit that came back is not another thread's while the one who came first has not seen it. */
static void test_nobody_overtakes_in_a_process(void **state)
{
	struct sonde_bulkhead bulkhead;
	_Atomic int n_served = 0;
	struct place places[2];
	pthread_t threads[2];

	(void)state;
	bulkhead_begin(&bulkhead, 1, /* is_shared= */ true);
	assert_true(sonde_bulkhead_try_acquire(&bulkhead));
	sonde__testpoint_hook = stand_still;
	for (int i = 0; i < 2; i++) {
		places[i] = (struct place){ .bulkhead = &bulkhead, .n_served = &n_served };
		if (i == 1)
			sonde_bulkhead_release(&bulkhead);
		assert_int_equal(pthread_create(&threads[i], NULL, stand_in_line, &places[i]), 0);
		while (!atomic_load(&is_falling_asleep))
			sched_yield();
	}
	assert_false(sonde_bulkhead_try_acquire(&bulkhead));
	wait_until_waiting(&bulkhead, 2);
	atomic_store(&may_sleep, true);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_null(places[i].error);
		assert_int_equal(places[i].served_as, i + 1);
	}
	sonde__testpoint_hook = NULL;
	assert_true(sonde_bulkhead_try_acquire(&bulkhead));
	sonde_bulkhead_release(&bulkhead);
	sonde_bulkhead_deinit(&bulkhead);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never_more_than_the_limit),
		cmocka_unit_test(test_never_more_than_the_limit_shared),
		cmocka_unit_test(test_one_permit_orders_memory),
		cmocka_unit_test(test_first_come_first_served),
		cmocka_unit_test(test_leaving_the_line),
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test(test_nobody_overtakes_in_a_process),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
