/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anything in any order: records of all kinds, answers of all kinds, flushes, time that passes in
 * small and large steps, a budget that is too small. After every step the accounts add up; at the
 * end each destination has got no item twice, and what it got is what the account says. Metrics, as
 * totals to one and as deltas to the other, tell no call twice.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "box/box.h"
#include "pipeline/budget.h"
#include "record/layout.h"
#include "rig.h"
#include "support/records.h"

#define STEPS 4000
#define SPANS_MAX (STEPS * 20)

static struct rig rig;
static uint64_t random_state;
static uint64_t next_id;
static struct sonde_site site = { "operation", __FILE__, "one_step", __LINE__, 0 };
static uint64_t n_calls; /* Of it. */

static uint64_t draw(uint64_t below)
{
	return sonde__mix64(++random_state) % below;
}

static void put_something(void)
{
	uint64_t id = ++next_id;
	uint64_t near = id > 10 ? id + 5 - draw(10) : id;
	uint8_t flags = (uint8_t)(draw(4) * SONDE__RECORD_WITH_EVENT);

	switch (draw(8)) {
	case 0:
		(void)record_log(&(struct record_spec){ .name = "m" });
		break;
	case 1:
		(void)record_error(&(struct error_spec){
			.record = { .trace = 1, .span = near, .flags = flags },
			.types = { draw(2) ? "t" : "u" },
			.messages = { "m" },
			.event_id = near,
			.is_again = draw(3) == 0 });
		break;
	case 2:
		(void)record_part(&(struct record_spec){ .trace = 1, .span = near, .event = "e" });
		break;
	case 3:
		(void)record_garbage(100 + (uint32_t)draw(300), SONDE__RECORD_SPAN,
				     SONDE_SIGNAL_SPAN);
		break;
	default:
		(void)record_span(&(struct record_spec){ .trace = 1, .span = id, .name = "s" });
		break;
	}
}

static struct fake_step any_step(void)
{
	struct fake_step step = { .pending = draw(2) };

	switch (draw(12)) {
	case 0:
		step.what = FAKE_HANG;
		break;
	case 1:
		step.what = FAKE_REFUSE;
		break;
	case 2:
	case 3:
		step.what = FAKE_RETRY;
		step.retry_after_ms = (int64_t)draw(3) * 700;
		break;
	case 4:
		step.n_rejected = draw(20);
		break;
	default:
		break;
	}
	return step;
}

static void one_step(void)
{
	for (uint64_t n = draw(20); n > 0; n--)
		put_something();
	for (uint64_t n = draw(4); n > 0; n--, n_calls++)
		sonde__figures_count(sonde__site_id(&site), draw(UINT64_C(1) << 36),
				     /* is_error= */ false);
	for (size_t d = 0; d < 2; d++)
		rig.fakes[d].otherwise = any_step();
	rig.random = (double)draw(1000) / 1000;
	switch (draw(16)) {
	case 0:
		(void)rig_flush(&rig, NULL);
		break;
	case 1:
		(void)rig_turn(&rig, draw(100) * RIG_S);
		break;
	default:
		(void)rig_turn(&rig, draw(1500) * RIG_MS);
		break;
	}
	rig_check_accounts(&rig);
}

static void check_nothing_came_twice(size_t destination)
{
	uint8_t *seen = calloc(SPANS_MAX, 1);
	const char *at = rig.fakes[destination].text;

	assert_non_null(seen);
	assert_non_null(at);
	while ((at = strstr(at, "span s trace=1 id=")) != NULL) {
		uint64_t id;

		at += strlen("span s trace=1 id=");
		id = strtoull(at, NULL, 10);
		assert_true(id < SPANS_MAX);
		assert_int_equal(seen[id]++, 0);
	}
	free(seen);
}

/* What points of the figures say: the last of them, and all together. */
static void read_calls(size_t destination, uint64_t *ret_last, uint64_t *ret_sum)
{
	const char *at = rig.fakes[destination].text;

	*ret_last = 0;
	*ret_sum = 0;
	while ((at = strstr(at, "point sonde.site.duration =")) != NULL) {
		const char *end = strchr(at, '\n');

		at += strlen("point sonde.site.duration =");
		if (!memmem(at, (size_t)(end - at), "sonde.site.name=\"operation\"", 27))
			continue;
		*ret_last = strtoull(at, NULL, 10);
		*ret_sum += *ret_last;
	}
}

static void check_calls(void)
{
	uint64_t lost = 0, last, sum;

	read_calls(/* destination= */ 0, &last, &sum);
	assert_int_equal(last, n_calls);
	read_calls(/* destination= */ 1, &last, &sum);
	assert_true(sum <= n_calls);
	for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
		lost += rig_account(&rig, 1, SONDE_SIGNAL_METRIC).lost[reason];
	assert_true(lost || sum == n_calls);
}

static void run(uint64_t seed, uint64_t limit, uint32_t max_queue_items)
{
	random_state = seed << 32;
	next_id = 0;
	n_calls = 0;
	rig_init(&rig, /* n_destinations= */ 2);
	rig.options.memory_limit_bytes = limit;
	rig.options.max_queue_items[SONDE_SIGNAL_SPAN] = max_queue_items;
	rig.options.max_queue_items[SONDE_SIGNAL_LOG] = max_queue_items;
	rig.options.max_batch_items[SONDE_SIGNAL_SPAN] = 1 + (uint32_t)draw(200);
	rig.options.max_batch_items[SONDE_SIGNAL_LOG] = 1 + (uint32_t)draw(200);
	rig.options.destinations[0].takes_metrics = true;
	rig.options.destinations[1].takes_metrics = true;
	rig.options.destinations[1].temporality = SONDE__DELTA;
	rig.options.metric_interval_ns = (30 + draw(100)) * RIG_S;
	if (seed % 2)
		rig.options.flood = (struct sonde__flood_options){
			.group = { .burst = 1 + (uint32_t)draw(10), .period_ns = RIG_S },
			.total = { .burst = 1 + (uint32_t)draw(20), .period_ns = RIG_S / 5 },
			.summary_ns = draw(60) * RIG_S,
		};
	rig_start(&rig);
	for (int i = 0; i < STEPS / 4; i++)
		one_step();
	for (size_t d = 0; d < 2; d++) {
		rig.fakes[d].otherwise = (struct fake_step){ .what = FAKE_ACCEPT };
		assert_true(rig.fakes[d].n_items[SONDE_SIGNAL_SPAN] > 0);
		check_nothing_came_twice(d);
	}
	for (int i = 0; i < 300; i++)
		(void)rig_turn(&rig, RIG_S);
	assert_true(rig_flush(&rig, NULL));
	for (size_t d = 0; d < 2; d++) {
		struct sonde_account account = rig_account(&rig, d, SONDE_SIGNAL_SPAN);

		check_nothing_came_twice(d);
		assert_int_equal(account.queued, 0);
		assert_true(account.exported <= rig.fakes[d].n_items[SONDE_SIGNAL_SPAN]);
		assert_true(account.exported + account.lost[SONDE_LOSS_REJECTED] ==
			    rig.fakes[d].n_items[SONDE_SIGNAL_SPAN]);
	}
	check_calls();
	rig_end(&rig);
}

static void anything_in_any_order(void **state)
{
	(void)state;
	run(/* seed= */ 1, 4 << 20, 0);
	run(/* seed= */ 2, 4 << 20, 150);
}

static void anything_with_little_memory(void **state)
{
	(void)state;
	run(/* seed= */ 3, SONDE__BUDGET_MIN, 0);
	run(/* seed= */ 4, SONDE__BUDGET_MIN, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(anything_in_any_order),
		cmocka_unit_test(anything_with_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
