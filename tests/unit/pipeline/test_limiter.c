/* SPDX-License-Identifier: Apache-2.0 */
/* The limiter on virtual time: rates, fair shares, and a model that knows only tokens. */

#include "pipeline/limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"

#define S UINT64_C(1000000000)
#define MS UINT64_C(1000000)
#define N_SHARES 600

static const struct sonde__flood_options defaults = {
	.group = { .burst = 10, .period_ns = S },
	.total = { .burst = 200, .period_ns = 10 * MS },
};

static struct sonde__limiter limiter;
static struct sonde__share shares[N_SHARES];

static void begin(const struct sonde__flood_options *options)
{
	sonde__limiter_init(&limiter, options, /* now_ns= */ 0);
	for (size_t i = 0; i < N_SHARES; i++)
		sonde__limiter_share_init(&limiter, &shares[i], /* now_ns= */ 0);
}

static bool admit(size_t share, uint32_t n_active, uint64_t now_ns)
{
	return sonde__limiter_admit(&limiter, &shares[share], n_active, now_ns);
}

static void one_group_has_its_burst_and_then_its_rate(void **state)
{
	(void)state;
	begin(&defaults);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(admit(0, 1, 5), i < 10);
	assert_false(admit(0, 1, S + 4));
	assert_true(admit(0, 1, S + 5));
	assert_false(admit(0, 1, S + 5));
	/* Not more is saved up than the burst. */
	for (int i = 0; i < 1000; i++)
		assert_int_equal(admit(0, 1, 3600 * S), i < 10);
}

static void time_in_small_steps_adds_up(void **state)
{
	size_t n = 0;

	(void)state;
	begin(&defaults);
	for (uint64_t now_ns = 0; now_ns < 10 * S; now_ns += 333)
		n += admit(0, 1, now_ns);
	assert_int_equal(n, 10 + 9);
}

static void a_clock_that_goes_back_stands_still(void **state)
{
	(void)state;
	begin(&defaults);
	for (int i = 0; i < 10; i++)
		assert_true(admit(0, 1, 100 * S));
	assert_false(admit(0, 1, 3 * S));
	assert_false(admit(0, 1, 0));
	assert_false(admit(0, 1, 101 * S - 1));
	assert_true(admit(0, 1, 101 * S));
}

static void no_limit_is_none(void **state)
{
	static const struct sonde__flood_options none = { .group = { .burst = 1 } };

	(void)state;
	begin(&none);
	for (int i = 0; i < 100000; i++)
		assert_true(admit((size_t)i % N_SHARES, N_SHARES, 0));
}

static void a_burst_of_one_lets_first_ones_through(void **state)
{
	static const struct sonde__flood_options tight = {
		.group = { .burst = 0, .period_ns = S },
		.total = { .burst = 1, .period_ns = S },
	};

	(void)state;
	begin(&tight);
	assert_true(admit(0, 1, 0));
	assert_false(admit(1, 2, 0));
	assert_true(admit(1, 2, S));
	assert_false(admit(0, 2, S));
	assert_true(admit(0, 2, 2 * S));
}

/* Far more loud groups than the common rate can bear. */
static void a_new_group_gets_through_a_flood(void **state)
{
	size_t n_late = 0;

	(void)state;
	begin(&defaults);
	for (uint64_t now_ns = 0; now_ns < 60 * S; now_ns += 5 * MS) {
		for (size_t i = 0; i < 500; i++)
			(void)admit(i, 501, now_ns);
		if (now_ns < 10 * S || now_ns % S)
			continue;
		/* One that was never seen, each second. */
		assert_true(admit(500 + n_late++, 501, now_ns));
	}
	assert_int_equal(n_late, 50);
}

static void every_group_has_its_share_of_a_flood(void **state)
{
	size_t n[N_SHARES] = { 0 };
	size_t n_all = 0;
	size_t n_least = SIZE_MAX;
	size_t n_most = 0;

	(void)state;
	begin(&defaults);
	/* The first ones ask ten times as often, and always before the others. */
	for (uint64_t now_ns = 0; now_ns < 300 * S; now_ns += 50 * MS) {
		for (size_t round = 0; round < 10; round++)
			for (size_t i = 0; i < 250; i++)
				n[i] += admit(i, 500, now_ns);
		for (size_t i = 250; i < 500; i++)
			n[i] += admit(i, 500, now_ns);
	}
	for (size_t i = 0; i < 500; i++) {
		n_all += n[i];
		n_least = n[i] < n_least ? n[i] : n_least;
		n_most = n[i] > n_most ? n[i] : n_most;
	}
	assert_true(n_all <= 200 + 300 * 100);
	assert_true(n_all >= 299 * 100);
	/* A share is 60 in these five minutes. */
	assert_in_range(n_least, 50, 60);
	assert_in_range(n_most, 60, 75);
}

static void a_quiet_group_is_not_starved(void **state)
{
	size_t n = 0;

	(void)state;
	begin(&defaults);
	for (uint64_t now_ns = 0; now_ns < 300 * S; now_ns += 10 * MS) {
		for (size_t i = 1; i < N_SHARES; i++)
			(void)admit(i, N_SHARES, now_ns);
		/* One error in ten seconds, which is less than a share. */
		if (now_ns % (10 * S) == 0)
			n += admit(0, N_SHARES, now_ns);
	}
	/* But perhaps its very first, in an instant with 599 other new ones. */
	assert_in_range(n, 29, 30);
}

/* Groups made up as fast as can be do not silence those that are known. */
static void made_up_groups_leave_the_others_their_share(void **state)
{
	struct sonde__share made_up;
	size_t n = 0;

	(void)state;
	begin(&defaults);
	assert_true(admit(0, 1, 0));
	for (uint64_t now_ns = 0; now_ns < 100 * S; now_ns += 10 * MS) {
		for (size_t i = 0; i < 300; i++) {
			sonde__limiter_share_init(&limiter, &made_up, now_ns);
			(void)sonde__limiter_admit(&limiter, &made_up, 1024, now_ns);
		}
		if (now_ns && now_ns % (11 * S) == 0)
			n += admit(0, 1024, now_ns);
	}
	assert_int_equal(n, 9);
}

/* ---- The model ------------------------------------------------------------------------------- */

/*
 * The same told once more, in tokens with fractions and as one list of rules. Steps of time are
 * multiples of four, which the parts of the common rate share without a rest.
 */
struct model_bucket {
	long double tokens;
	uint64_t at_ns;
};

struct model {
	struct sonde__flood_options options;
	long double fresh;
	struct model_bucket total;
	struct model_bucket groups[N_SHARES];
	uint64_t passed_ns[N_SHARES];
	bool has_passed[N_SHARES];
	long double *source; /* Where the last yes was to take its token. */
};

static struct model model;

static long double burst_of(const struct sonde__rate *rate)
{
	return rate->burst ? rate->burst : 1;
}

static long double smaller(long double a, long double b)
{
	return a < b ? a : b;
}

static long double fresh_most(void)
{
	return (uint64_t)burst_of(&model.options.total) / 2;
}

static long double total_most(void)
{
	return burst_of(&model.options.total) - fresh_most();
}

static void model_begin(const struct sonde__flood_options *options)
{
	model = (struct model){ .options = *options };
	model.fresh = fresh_most();
	model.total.tokens = total_most();
	for (size_t i = 0; i < N_SHARES; i++)
		model.groups[i].tokens = burst_of(&options->group);
}

static void model_fill(size_t i, uint64_t now_ns)
{
	struct model_bucket *group = &model.groups[i];
	long double come = (long double)(now_ns - model.total.at_ns) /
			   model.options.total.period_ns;
	long double fresh = smaller(model.fresh + come / 2, fresh_most());

	come -= fresh - model.fresh;
	model.fresh = fresh;
	model.total.tokens = smaller(model.total.tokens + come, total_most());
	model.total.at_ns = now_ns;
	group->tokens = smaller(group->tokens + (long double)(now_ns - group->at_ns) /
							model.options.group.period_ns,
				burst_of(&model.options.group));
	group->at_ns = now_ns;
}

/* 1, 0, or -1: too close to say. Then the limiter may have it its way. */
static int is_positive(long double tokens)
{
	return tokens > -1e-6L && tokens < 1e-6L ? -1 : tokens > 0;
}

/* As above, but for one token more or less. */
static int near(long double tokens)
{
	return tokens > -1.01L && tokens < 1.01L ? -1 : tokens > 0;
}

static int model_admit(size_t i, uint32_t n_active, uint64_t now_ns)
{
	long double turns = (long double)(now_ns - model.passed_ns[i]) / n_active /
			    model.options.total.period_ns;
	long double half = (uint64_t)total_most() / 2;
	int has_group;
	int has_total;

	model_fill(i, now_ns);
	has_group = is_positive(model.groups[i].tokens - 1);
	if (has_group == 0)
		return 0;
	if (!model.has_passed[i] && is_positive(model.fresh - 1) != 0) {
		model.source = is_positive(model.fresh - 1) > 0 ? &model.fresh : NULL;
		return model.source ? has_group : -1;
	}
	model.source = &model.total.tokens;
	has_total = is_positive(model.total.tokens - 1 - (model.has_passed[i] ? 0 : half));
	/* The floor is a whole number, rounded a little differently. */
	if (model.has_passed[i] && turns < 1 && has_total > 0)
		has_total = near(model.total.tokens - 1 - half - (uint64_t)half / 2 * (1 - turns));
	else if (model.has_passed[i] && turns < 4 && has_total > 0)
		has_total = near(model.total.tokens - 1 - half * (4 - turns) / 3);
	if (has_total == 0)
		return 0;
	return has_group < 0 || has_total < 0 ? -1 : 1;
}

static void model_take(size_t i, uint64_t now_ns)
{
	model.groups[i].tokens--;
	--*model.source;
	model.passed_ns[i] = now_ns;
	model.has_passed[i] = true;
}

/* How many steps both did alike, until one was too close to say. */
static int compare(uint64_t seed)
{
	uint64_t random = sonde__mix64(seed);
	struct sonde__flood_options options = {
		.group = { .burst = (uint32_t)(random % 12),
			   .period_ns = 1 + (random >> 8) % (3 * S) },
		.total = { .burst = (uint32_t)((random >> 40) % 300),
			   .period_ns = 1 + (random >> 20) % (50 * MS) },
	};
	size_t n_groups = 1 + (random >> 50) % (N_SHARES - 1);
	uint64_t now_ns = 0;

	begin(&options);
	model_begin(&options);
	for (int i = 0; i < 4000; i++) {
		size_t group;
		int wanted;
		bool is_admitted;

		random = sonde__mix64(random + 1);
		/* Rests, short steps, and now and then none at all. */
		now_ns += 4 * (random % 16 == 0 ? (random >> 8) % (S / 2) :
						  (random >> 8) % MS * (random & 1));
		group = (random >> 32) % 4 ? (random >> 36) % n_groups : 0;
		wanted = model_admit(group, (uint32_t)n_groups, now_ns);
		is_admitted = admit(group, (uint32_t)n_groups, now_ns);
		if (wanted < 0 && model.source == NULL)
			return i;
		if (wanted >= 0 && is_admitted != wanted)
			fail_msg("seed %llu, step %d: %d, and the model says %d",
				 (unsigned long long)seed, i, is_admitted, wanted);
		if (is_admitted)
			model_take(group, now_ns);
	}
	return 4000;
}

static void it_does_as_the_model(void **state)
{
	uint64_t n = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++)
		n += (uint64_t)compare(seed);
	assert_true(n > 200 * 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_group_has_its_burst_and_then_its_rate),
		cmocka_unit_test(time_in_small_steps_adds_up),
		cmocka_unit_test(a_clock_that_goes_back_stands_still),
		cmocka_unit_test(no_limit_is_none),
		cmocka_unit_test(a_burst_of_one_lets_first_ones_through),
		cmocka_unit_test(a_new_group_gets_through_a_flood),
		cmocka_unit_test(every_group_has_its_share_of_a_flood),
		cmocka_unit_test(a_quiet_group_is_not_starved),
		cmocka_unit_test(made_up_groups_leave_the_others_their_share),
		cmocka_unit_test(it_does_as_the_model),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
