/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads stopped inside the ring. A writer, the reader, or several of them are stopped at a test
 * point, that is after a side effect that others can see; the others go on, the ring is filled and
 * drained several times over; then the stopped ones are released and go on too. Every byte of every
 * record is checked, and the account after every round.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/pattern.h"
#include "box/ring.h"
#include "box/shape.h"
#include "stop.h"

#define N_IDS 400000
#define ROUNDS 6
#define IDS_PER_WRITER 3000

static struct ledger ledger;
static uint64_t next_id;

/* In the order in which a writer, or the reader, comes by. */
static const char *const writer_points[] = {
	"ring:head-loaded", "ring:word-loaded",	  "ring:tail-loaded", "ring:head-moved",
	"ring:reserved",    "ring:before-commit", "ring:committed",   "ring:discarded",
};
static const char *const reader_points[] = {
	"reader:sealed",
	"reader:map-cleared",
	"reader:word-renewed",
	"reader:tail-moved",
};

#define N_WRITER_POINTS (sizeof(writer_points) / sizeof(writer_points[0]))
#define N_READER_POINTS (sizeof(reader_points) / sizeof(reader_points[0]))

static int setup(void **state)
{
	struct sonde__box_options options = { .size_bytes = 320 * 1024,
					      .service_name = "interleave" };
	struct sonde__box_info info;

	(void)state;
	ledger.fates = calloc(N_IDS, 1);
	ledger.seen = calloc(N_IDS, 1);
	ledger.n_ids = N_IDS;
	ledger.n_seen = 0;
	ledger.n_wrong = 0;
	next_id = 0;
	assert_int_equal(sonde__box_open(&options, &info), SONDE_OK);
	assert_int_equal(info.reason[0], '\0');
	assert_int_equal(info.n_rings, 1);
	__atomic_store_n(&sonde__testpoint_hook, stop_hook, __ATOMIC_RELEASE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	__atomic_store_n(&sonde__testpoint_hook, NULL, __ATOMIC_RELEASE);
	sonde__box_close();
	free(ledger.fates);
	free(ledger.seen);
	return 0;
}

static void check_end(void)
{
	const struct sonde__box *box = sonde__box_get();

	ledger_drain(&ledger);
	for (uint32_t i = 0; i <= box->n_rings; i++)
		assert_true(sonde__ring_is_valid(sonde__box_ring(box, i),
						 sonde__box_ring_shape(box, i)));
	ledger_close(&ledger);
	assert_true(ledger_balances(&ledger, 0));
	assert_int_equal(ledger.n_wrong, 0);
}

/* ---- A writer with its own ids --------------------------------------------------------------- */

struct writer {
	struct stop stop;
	uint64_t first_id;
	uint64_t n_ids;
	pthread_t thread;
};

static void *writer_run(void *argument)
{
	struct writer *writer = argument;

	stop_current = &writer->stop;
	for (uint64_t i = 0; i < writer->n_ids; i++)
		pattern_put(&ledger, writer->first_id + i, /* urgent= */ false);
	stop_disarm(&writer->stop);
	return NULL;
}

static void writer_start(struct writer *writer, const char *point)
{
	struct writer fresh = { .stop = STOP_INIT(point),
				.first_id = next_id,
				.n_ids = IDS_PER_WRITER };

	*writer = fresh;
	next_id += IDS_PER_WRITER;
	assert_int_equal(pthread_create(&writer->thread, NULL, writer_run, writer), 0);
}

/* Lets it run until it is stopped, with somebody draining: 1 if it holds a reservation then. */
static uint64_t writer_stop(struct writer *writer, const char *point)
{
	writer_start(writer, point);
	assert_true(stop_wait(&writer->stop));
	return strcmp(point, "ring:reserved") == 0 || strcmp(point, "ring:before-commit") == 0;
}

static void writer_finish(struct writer *writer)
{
	stop_release(&writer->stop);
	pthread_join(writer->thread, NULL);
}

static bool put_next(void)
{
	return pattern_put(&ledger, next_id++, /* urgent= */ false);
}

static void fill(void)
{
	while (put_next())
		;
	assert_int_equal(sonde__box_fill_percent() > 80, 1);
}

static void put_some(size_t n)
{
	while (n-- > 0)
		put_next();
}

/* ---- Scenarios ------------------------------------------------------------------------------- */

/* One stopped writer, at every point, with the ring's head at several places in its block. */
static void a_stopped_writer_corrupts_nothing(void **state)
{
	static const size_t prefills[] = { 0, 1, 30, 60, 75, 150 };

	(void)state;
	for (size_t p = 0; p < N_WRITER_POINTS; p++) {
		for (size_t i = 0; i < sizeof(prefills) / sizeof(prefills[0]); i++) {
			struct writer writer;
			uint64_t n_held;

			put_some(prefills[i]);
			n_held = writer_stop(&writer, writer_points[p]);
			for (int round = 0; round < ROUNDS; round++) {
				fill();
				assert_true(ledger_balances(&ledger, n_held));
				ledger_drain(&ledger);
				assert_true(ledger_balances(&ledger, n_held));
			}
			writer_finish(&writer);
			check_end();
		}
	}
}

/* One at every point at once; released in the order of the points, and in reverse. */
static void many_stopped_writers_corrupt_nothing(void **state)
{
	(void)state;
	for (int is_reverse = 0; is_reverse < 2; is_reverse++) {
		struct writer writers[N_WRITER_POINTS];
		uint64_t n_held = 0;

		for (size_t p = 0; p < N_WRITER_POINTS; p++) {
			n_held += writer_stop(&writers[p], writer_points[p]);
			ledger_drain(&ledger);
		}
		for (size_t i = 0; i < N_WRITER_POINTS; i++) {
			for (int round = 0; round < ROUNDS; round++) {
				fill();
				ledger_drain(&ledger);
			}
			writer_finish(&writers[is_reverse ? N_WRITER_POINTS - 1 - i : i]);
		}
		check_end();
		assert_true(n_held == 2);
	}
}

/* A writer that never comes back costs its block and no more, and its record is never seen. */
static void a_stopped_writer_costs_one_block(void **state)
{
	struct writer writer;
	size_t n_free;
	size_t n_left;

	(void)state;
	fill();
	n_free = ledger_drain(&ledger);
	writer_stop(&writer, "ring:before-commit");
	for (int round = 0; round < ROUNDS; round++) {
		fill();
		n_left = ledger_drain(&ledger);
	}
	assert_true(n_left * 9 >= n_free * 7);
	writer_finish(&writer);
	check_end();
}

struct reading {
	struct stop stop;
	pthread_t thread;
};

static void *reading_run(void *argument)
{
	struct reading *reading = argument;

	stop_current = &reading->stop;
	ledger_drain(&ledger);
	stop_disarm(&reading->stop);
	return NULL;
}

static void reading_start(struct reading *reading, const char *point)
{
	struct reading fresh = { .stop = STOP_INIT(point) };

	*reading = fresh;
	assert_int_equal(pthread_create(&reading->thread, NULL, reading_run, reading), 0);
}

static void reading_finish(struct reading *reading)
{
	stop_release(&reading->stop);
	pthread_join(reading->thread, NULL);
}

/* Writers never wait for the reader, wherever it stands: they fill what there is and then count. */
static void a_stopped_reader_stops_nobody(void **state)
{
	(void)state;
	for (size_t p = 0; p < N_READER_POINTS; p++) {
		for (size_t n = 100; n <= 700; n += 100) {
			struct reading reading;

			put_some(n);
			reading_start(&reading, reader_points[p]);
			stop_wait(&reading.stop);
			fill();
			put_some(10);
			reading_finish(&reading);
			check_end();
		}
	}
}

/* A writer and the reader stopped at once, at every pair of points, released in both orders. */
static void a_stopped_pair_corrupts_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_WRITER_POINTS * N_READER_POINTS * 2; i++) {
		const char *reader_point = reader_points[i / 2 % N_READER_POINTS];
		struct writer writer;
		struct reading reading;

		put_some(i * 7 % 90);
		writer_stop(&writer, writer_points[i / 2 / N_READER_POINTS]);
		put_some(200);
		reading_start(&reading, reader_point);
		stop_wait(&reading.stop);
		fill();
		if (i % 2) {
			writer_finish(&writer);
			reading_finish(&reading);
		} else {
			reading_finish(&reading);
			fill();
			ledger_drain(&ledger);
			writer_finish(&writer);
		}
		check_end();
	}
}

/* While the reader is stopped in the middle of a move, an account must come back all the same. */
static void an_account_does_not_wait_for_the_reader(void **state)
{
	struct reading reading;
	struct sonde__box_account account;

	(void)state;
	put_some(500);
	reading_start(&reading, "reader:map-cleared");
	assert_true(stop_wait(&reading.stop));
	sonde__box_account(SONDE_SIGNAL_LOG, &account);
	assert_true(account.captured > 0);
	reading_finish(&reading);
	check_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_stopped_writer_corrupts_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(many_stopped_writers_corrupt_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_stopped_writer_costs_one_block, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stopped_reader_stops_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stopped_pair_corrupts_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(an_account_does_not_wait_for_the_reader, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
