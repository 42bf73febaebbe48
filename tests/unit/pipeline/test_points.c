/* SPDX-License-Identifier: Apache-2.0 */
/* Many points: a thousand sites, within a budget that is large, small, or far too small. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/process.h"
#include "box/box.h"
#include "pipeline/state.h"
#include "metered_rig.h"
#include "support/records.h"

#define N_SITES 1000

static struct sonde_site site = { "charge card", __FILE__, "charge", __LINE__, 0 };

static uint64_t value_of(size_t destination, const char *name, const char *with)
{
	return rig_point_value(&rig, &(struct rig_point){ destination, name, with });
}

static uint64_t sum_of(size_t destination, const char *name, const char *with)
{
	return rig_point_sum(&rig, &(struct rig_point){ destination, name, with });
}

static void put_spans(size_t n)
{
	while (n--)
		assert_true(record_span(&(struct record_spec){ .trace = 1, .span = 1 + n, .name = "s" }));
}

static struct sonde_site sites[N_SITES];
static char names[N_SITES][24];

static void count_everywhere(void)
{
	for (size_t i = 0; i < N_SITES; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "operation %zu.", i);
		sites[i] = (struct sonde_site){ names[i], __FILE__, "count_everywhere", __LINE__, 0 };
		for (uint64_t units = SECOND / 64; units < SECOND * 64; units *= 3)
			sonde__figures_count(sonde__site_id(&sites[i]), units + i, i % 2);
	}
}

static void a_thousand_sites_go_in_batches(void **state)
{
	struct sonde_account account;
	uint64_t n_calls = 0;

	(void)state;
	rig.options.memory_limit_bytes = 9 << 20; /* The default. */
	start();
	count_everywhere();
	for (uint64_t units = SECOND / 64; units < SECOND * 64; units *= 3)
		n_calls++;
	collect();
	for (size_t d = 0; d < 2; d++) {
		account = rig_account(&rig, d, SONDE_SIGNAL_METRIC);
		assert_true(rig.fakes[d].n_sends > 4);
		assert_true(account.exported > 1500);
		assert_int_equal(account.exported, account.captured);
		assert_true(sum_of(d, "sonde.site.duration", "") == N_SITES * n_calls);
		assert_true(sum_of(d, "sonde.site.errors", "") == N_SITES / 2 * n_calls);
		assert_int_equal(value_of(d, "sonde.site.duration", "\"operation 999.\""), n_calls);
	}
}

static void a_collection_may_be_larger_than_its_share(void **state)
{
	struct sonde_account account;

	(void)state;
	rig.options.n_destinations = 1;
	rig.options.memory_limit_bytes = 1 << 20;
	start();
	count_everywhere();
	collect();
	account = rig_account(&rig, TOTALS, SONDE_SIGNAL_METRIC);
	assert_true(account.captured > 1500);
	assert_int_equal(account.exported, account.captured);
}

static void the_smallest_budget_holds(void **state)
{
	const struct sonde__pipeline *pipeline;

	(void)state;
	rig.options.memory_limit_bytes = SONDE__BUDGET_MIN;
	start();
	count_everywhere();
	rig.fakes[TOTALS].otherwise = (struct fake_step){ .what = FAKE_RETRY };
	for (int i = 0; i < 20; i++) {
		count_calls(&site, 10, /* is_error= */ false);
		collect();
		pipeline = rig.pipeline;
		assert_true(pipeline->budget.blobs <= pipeline->budget.blobs_limit);
	}
	/* Whoever is away loses the oldest; whoever is there has all there was room to make. */
	assert_true(rig_account(&rig, TOTALS, SONDE_SIGNAL_METRIC).lost[SONDE_LOSS_QUEUE_FULL] > 0);
	assert_true(rig_account(&rig, DELTAS, SONDE_SIGNAL_METRIC).lost[SONDE_LOSS_NO_MEMORY] > 0);
	rig_check_accounts(&rig);
}

static void points_never_push_out_spans(void **state)
{
	const struct sonde__pipeline *pipeline;

	(void)state;
	rig.options.memory_limit_bytes = 1 << 20;
	start();
	count_everywhere();
	rig.fakes[TOTALS].otherwise = (struct fake_step){ .what = FAKE_RETRY };
	put_spans(500);
	for (int i = 0; i < 20; i++)
		collect();
	assert_true(rig_account(&rig, TOTALS, SONDE_SIGNAL_METRIC).lost[SONDE_LOSS_QUEUE_FULL] > 0);
	pipeline = rig.pipeline;
	assert_true(pipeline->lanes[TOTALS][SONDE_SIGNAL_METRIC].n_bytes <=
		    pipeline->budget.points_limit);
	assert_int_equal(rig_account(&rig, TOTALS, SONDE_SIGNAL_SPAN).queued, 500);
	assert_int_equal(rig_account(&rig, TOTALS, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_QUEUE_FULL],
			 0);
}

/* The first box of a process fixes the size of all: room for the figures of all sites. */
static int open_large_box(void **state)
{
	struct sonde__box_options options = { .size_bytes = 16 << 20, .service_name = "rig" };
	struct sonde__box_info info;

	(void)state;
	assert_int_equal(sonde__process_init(), 0);
	assert_int_equal(sonde__box_open(&options, &info), SONDE_OK);
	sonde__box_close();
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_thousand_sites_go_in_batches),
		TEST(a_collection_may_be_larger_than_its_share),
		TEST(the_smallest_budget_holds),
		TEST(points_never_push_out_spans),
	};

	return cmocka_run_group_tests(tests, open_large_box, /* group_teardown= */ NULL);
}
