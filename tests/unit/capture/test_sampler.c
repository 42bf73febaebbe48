/* SPDX-License-Identifier: Apache-2.0 */
/* The head sampler: which spans are recorded, and what those that are not leave behind. */

#include "capture/state.h"

#include <string.h>

#include "base/random.h"
#include "fixture.h"

#define ALL (UINT64_C(1) << 56)

static void sampler_set(uint64_t threshold, bool ignores_parent)
{
	const struct sonde__capture_options options = {
		.slow_threshold_ms = 1000,
		.exception_signal = SONDE_EXCEPTION_BOTH,
		.span_attributes = 128,
		.span_events = 128,
		.span_links = 128,
		.sample_threshold = threshold,
		.ignores_parent = ignores_parent,
	};

	sonde__capture_open(&options);
}

/* A parent whose trace id ends in these 56 bits; what comes before them must not matter. */
static struct sonde_context parent_make(uint64_t random, bool is_sampled, bool is_remote)
{
	struct sonde_context parent = { .span_id = { 2 }, .is_remote = is_remote };

	memset(parent.trace_id, 0xa5, 9);
	for (int i = 0; i < 7; i++)
		parent.trace_id[15 - i] = (uint8_t)(random >> (8 * i));
	parent.trace_flags = is_sampled ? SONDE_TRACE_FLAG_SAMPLED : 0;
	return parent;
}

/* Whether a span is recorded below `parent`, with and without options. */
static bool is_taken(const struct sonde_context *parent)
{
	struct sonde_span_options options = SONDE_SPAN_OPTIONS_INIT;
	bool is_recorded[2];

	for (int with_options = 0; with_options < 2; with_options++) {
		struct sonde_context context;
		struct sonde_span span;
		static struct sonde_site site = { "sampled", __FILE__, "test", 1, 0 };

		sonde_context_attach(with_options ? NULL : parent);
		options.parent = parent;
		sonde_span_begin_at(&span, &site, with_options ? &options : NULL);
		is_recorded[with_options] = sonde_span_is_recording(&span);
		context = sonde_span_context(&span);
		/* The trace goes on, under a new id, and says what was decided. */
		assert_true(sonde_context_is_valid(&context));
		assert_int_equal(context.trace_flags & SONDE_TRACE_FLAG_SAMPLED,
				 is_recorded[with_options]);
		assert_memory_equal(context.trace_id, parent->trace_id, 16);
		assert_memory_not_equal(context.span_id, parent->span_id, 8);
		assert_false(context.is_remote);
		sonde_span_end(&span);
	}
	assert_int_equal(is_recorded[0], is_recorded[1]);
	return is_recorded[0];
}

static bool is_root_taken(uint64_t *ret_random)
{
	struct sonde_span_options options = SONDE_SPAN_OPTIONS_INIT;
	struct sonde_context context;
	struct sonde_span span;
	bool is_recorded;

	options.root = true;
	sonde_span_begin(&span, "root", &options);
	is_recorded = sonde_span_is_recording(&span);
	context = sonde_span_context(&span);
	assert_true(sonde_context_is_valid(&context));
	assert_int_equal(context.trace_flags, SONDE_TRACE_FLAG_RANDOM |
						      (is_recorded ? SONDE_TRACE_FLAG_SAMPLED : 0));
	*ret_random = 0;
	for (int i = 9; i < 16; i++)
		*ret_random = *ret_random << 8 | context.trace_id[i];
	sonde_span_end(&span);
	return is_recorded;
}

static void every_sampler_with_every_parent(void **state)
{
	static const struct {
		uint64_t threshold;
		bool ignores_parent;
		bool of_root;
		bool of_unsampled;
		bool of_sampled;
	} cases[] = {
		{ 0, false, true, false, true }, /* parentbased_always_on */
		{ ALL, false, false, false, true }, /* parentbased_always_off */
		{ 0, true, true, true, true }, /* always_on */
		{ ALL, true, false, false, false }, /* always_off */
	};

	(void)state;
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(cases); i++) {
		uint64_t random;

		sampler_set(cases[i].threshold, cases[i].ignores_parent);
		assert_int_equal(is_root_taken(&random), cases[i].of_root);
		for (int is_remote = 0; is_remote < 2; is_remote++) {
			struct sonde_context no = parent_make(i, false, is_remote);
			struct sonde_context yes = parent_make(i, true, is_remote);

			assert_int_equal(is_taken(&no), cases[i].of_unsampled);
			assert_int_equal(is_taken(&yes), cases[i].of_sampled);
		}
	}
}

/* R >= T, of the last seven bytes alone. */
static void the_last_56_bits_decide(void **state)
{
	static const uint64_t thresholds[] = { 1, ALL / 2, ALL / 4 * 3, ALL - 1,
					       UINT64_C(0xe6666666666666) };

	(void)state;
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(thresholds); i++) {
		struct sonde_context below = parent_make(thresholds[i] - 1, true, true);
		struct sonde_context at = parent_make(thresholds[i], false, true);
		struct sonde_context above = parent_make(ALL - 1, false, false);

		sampler_set(thresholds[i], /* ignores_parent= */ true);
		assert_false(is_taken(&below));
		assert_true(is_taken(&at));
		assert_true(is_taken(&above));
	}
}

static void a_ratio_takes_its_share_and_a_higher_one_the_same_and_more(void **state)
{
	static const double ratios[] = { 0.001, 0.01, 0.1, 0.5, 0.9 };
	enum { N = 200000 };
	unsigned n_taken[SONDE__ARRAY_SIZE(ratios)] = { 0 };

	(void)state;
	for (uint64_t i = 0; i < N; i++) {
		uint64_t tail = sonde__mix64(i + 12345);
		bool was_taken = false;

		for (size_t r = 0; r < SONDE__ARRAY_SIZE(ratios); r++) {
			bool taken;

			atomic_store_explicit(
				&sonde__capture.sampler,
				SONDE__SAMPLER(ALL - (uint64_t)(ratios[r] * (double)ALL), 0),
				memory_order_relaxed);
			taken = sonde__sampler_decide(/* has_parent= */ i % 2, (uint8_t)(i % 4 / 2),
						      tail);
			assert_true(taken || !was_taken);
			was_taken = taken;
			n_taken[r] += taken;
		}
	}
	for (size_t r = 0; r < SONDE__ARRAY_SIZE(ratios); r++) {
		double expected = ratios[r] * N;
		double deviation = n_taken[r] - expected;

		/* Five standard deviations; the numbers are always the same. */
		assert_true(deviation * deviation < 25 * expected * (1 - ratios[r]));
	}
}

static void roots_are_taken_by_their_own_bits(void **state)
{
	const uint64_t threshold = ALL / 10 * 7;
	unsigned n = 0;

	(void)state;
	sampler_set(threshold, /* ignores_parent= */ false);
	for (int i = 0; i < 2000; i++) {
		uint64_t random;
		bool taken = is_root_taken(&random);

		assert_int_equal(taken, random >= threshold);
		n += taken;
	}
	/* 600 expected; the ids are of every run's own, so ten standard deviations. */
	assert_true(n > 395 && n < 805);
	assert_int_equal(fixture_lost(SONDE_SIGNAL_SPAN, SONDE_LOSS_UNSAMPLED), 2000 - n);
}

/* What runs below a span that was sampled out is sampled out, and the thread goes on as it was. */
static void a_trace_is_dropped_whole(void **state)
{
	struct sonde_span root;
	struct sonde_span child;
	struct sonde_context outer;
	struct sonde_context inner;

	(void)state;
	sampler_set(ALL, /* ignores_parent= */ false);
	sonde_span_begin(&root, "root", /* options= */ NULL);
	outer = sonde_context_current();
	for (int i = 0; i < 2; i++) {
		static struct sonde_site site = { "child", __FILE__, "test", 2, 0 };

		sonde_span_begin_at(&child, &site, /* options= */ NULL);
		inner = sonde_context_current();
		assert_memory_equal(inner.trace_id, outer.trace_id, 16);
		assert_memory_not_equal(inner.span_id, outer.span_id, 8);
		assert_int_equal(inner.trace_flags, SONDE_TRACE_FLAG_RANDOM);
		sonde_span_set_int(&child, "ignored", 1);
		sonde_current_set(sonde_int("ignored", 1));
		sonde_span_end(&child);
		inner = sonde_context_current();
		assert_memory_equal(&inner, &outer, sizeof(inner));
	}
	sonde_span_end(&root);
	fixture_assert_current_is_empty();
	assert_int_equal(fixture_take(), 0);
	assert_int_equal(fixture_lost(SONDE_SIGNAL_SPAN, SONDE_LOSS_UNSAMPLED), 3);
	assert_int_equal(fixture_lost(SONDE_SIGNAL_PART, SONDE_LOSS_UNSAMPLED), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_sampler_with_every_parent, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(the_last_56_bits_decide, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(
			a_ratio_takes_its_share_and_a_higher_one_the_same_and_more, fixture_open,
			fixture_close),
		cmocka_unit_test_setup_teardown(roots_are_taken_by_their_own_bits, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(a_trace_is_dropped_whole, fixture_open,
						fixture_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
