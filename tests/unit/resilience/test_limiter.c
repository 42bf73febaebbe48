/* SPDX-License-Identifier: Apache-2.0 */

/* The limiter on virtual time: its defaults, its words, and models of tokens that are counted. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/deadline.h>
#include <sonde/limiter.h>

#include "support/sequence.h"
#include "support/virtual_clock.h"

static struct sonde_limiter_figures figures_of(const struct sonde_limiter *limiter)
{
	struct sonde_limiter_figures figures;

	sonde_limiter_read(limiter, &figures);
	return figures;
}

/* Frees the error, having looked at it. */
static void assert_error(struct sonde_error *error, const struct sonde_error_type *type,
			 const char *message)
{
	assert_non_null(error);
	assert_ptr_equal(sonde_error_type_of(error), type);
	assert_string_equal(sonde_error_message(error), message);
	sonde_error_free(error);
}

/* ---- Defaults -------------------------------------------------------------------------------- */

static void test_default_is_50_in_a_second(void **state)
{
	struct virtual_clock clock;
	const struct sonde_limiter_options options = { .clock = &clock.clock };
	SONDE_LIMITER_AUTODEINIT struct sonde_limiter limiter;
	uint64_t wait_ns = 0;

	(void)state;
	virtual_clock_init(&clock, 5 * SECOND);
	assert_int_equal(sonde_limiter_init(&limiter, &options), SONDE_OK);
	for (int i = 0; i < 50; i++)
		assert_true(sonde_limiter_try_acquire(&limiter, NULL, 1, NULL));
	assert_false(sonde_limiter_try_acquire(&limiter, NULL, 1, &wait_ns));
	assert_int_equal(wait_ns, 20 * MS);
	clock.now_ns += 20 * MS - 1;
	assert_false(sonde_limiter_try_acquire(&limiter, NULL, 1, &wait_ns));
	assert_int_equal(wait_ns, 1);
	clock.now_ns += 1;
	assert_true(sonde_limiter_try_acquire(&limiter, NULL, 1, NULL));
	assert_false(sonde_limiter_try_acquire(&limiter, NULL, 1, NULL));
	/* After a pause the burst, which is as many. */
	clock.now_ns += 100 * SECOND;
	assert_true(sonde_limiter_try_acquire(&limiter, NULL, 50, NULL));
	assert_false(sonde_limiter_try_acquire(&limiter, NULL, 1, NULL));
	assert_int_equal(figures_of(&limiter).n_limited, 4);
}

static void test_default_is_16384_keys(void **state)
{
	SONDE_LIMITER_AUTODEINIT struct sonde_limiter limiter;

	(void)state;
	assert_int_equal(sonde_limiter_init(&limiter, NULL), SONDE_OK);
	/* The next multiple of seven. */
	assert_int_equal(figures_of(&limiter).n_keys_max, 16387);
}

static void test_default_wait_is_5_seconds(void **state)
{
	struct virtual_clock clock;
	const struct sonde_limiter_options options = { .permits = 1, .clock = &clock.clock };
	SONDE_LIMITER_AUTODEINIT struct sonde_limiter limiter;

	(void)state;
	virtual_clock_init(&clock, 5 * SECOND);
	assert_int_equal(sonde_limiter_init(&limiter, &options), SONDE_OK);
	for (int i = 0; i < 6; i++) {
		assert_null(sonde_limiter_acquire(&limiter, NULL, 1, NULL));
		/* As if all had come at once. */
		assert_int_equal(clock.now_ns, (5 + i) * SECOND);
		clock.now_ns = 5 * SECOND;
	}
	assert_error(sonde_limiter_acquire(&limiter, NULL, 1, NULL), &sonde_rate_limited,
		     "too many requests, again in 6000 ms");
	assert_int_equal(clock.now_ns, 5 * SECOND);
	assert_int_equal(figures_of(&limiter).n_waited, 5);
	assert_int_equal(figures_of(&limiter).n_limited, 1);
}

static void test_default_overflow_evicts(void **state)
{
	struct virtual_clock clock;
	const struct sonde_limiter_options options = { .permits = 1, .max_keys = 7,
						       .clock = &clock.clock };
	SONDE_LIMITER_AUTODEINIT struct sonde_limiter limiter;

	(void)state;
	virtual_clock_init(&clock, 5 * SECOND);
	assert_int_equal(sonde_limiter_init(&limiter, &options), SONDE_OK);
	assert_int_equal(figures_of(&limiter).n_keys_max, 7);
	for (int i = 0; i < 8; i++) {
		char key[2] = { (char)('a' + i), 0 };

		assert_true(sonde_limiter_try_acquire(&limiter, key, 1, NULL));
		clock.now_ns++;
	}
	assert_int_equal(figures_of(&limiter).n_evicted, 1);
	assert_int_equal(figures_of(&limiter).n_shared, 0);
	/* "a" was nearest to full. */
	assert_false(sonde_limiter_try_acquire(&limiter, "b", 1, NULL));
	assert_false(sonde_limiter_try_acquire(&limiter, "h", 1, NULL));
	assert_true(sonde_limiter_try_acquire(&limiter, "a", 1, NULL));
}

/* ---- Words of the header --------------------------------------------------------------------- */

static void test_nonsense_is_refused(void **state)
{
	const struct sonde_limiter_options nonsense[] = {
		{ .period_ms = UINT64_MAX },
		{ .permits = 1, .period_ms = 86400000, .burst = 2000 },
		{ .overflow = (enum sonde_limiter_overflow)2 },
	};
	struct sonde_limiter limiter;
	uint64_t wait_ns = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
		assert_int_equal(sonde_limiter_init(&limiter, &nonsense[i]), SONDE_E_INVALID);
	assert_int_equal(sonde_limiter_init(NULL, NULL), SONDE_E_INVALID);
	sonde_limiter_deinit(NULL);
	assert_true(sonde_limiter_try_acquire(NULL, "key", 1, NULL));
	assert_null(sonde_limiter_acquire(NULL, "key", 1, NULL));
	assert_int_equal(sonde_limiter_wait_ns(NULL, NULL, 1), 0);
	assert_int_equal(figures_of(NULL).n_keys_max, 0);
	assert_int_equal(sonde_limiter_init(&limiter, NULL), SONDE_OK);
	assert_false(sonde_limiter_try_acquire(&limiter, "key", 51, &wait_ns));
	assert_true(wait_ns == UINT64_MAX);
	assert_true(sonde_limiter_wait_ns(&limiter, "key", 51) == UINT64_MAX);
	assert_error(sonde_limiter_acquire(&limiter, NULL, 51, NULL), &sonde_rate_limited,
		     "more than can ever be asked for at once");
	/* None is always there. */
	assert_true(sonde_limiter_try_acquire(&limiter, "key", 0, NULL));
	sonde_limiter_deinit(&limiter);
}

static void test_goes_on_for_years(void **state)
{
	struct virtual_clock clock;
	const struct sonde_limiter_options options = { .permits = 10, .max_wait_ms = UINT64_MAX,
						       .clock = &clock.clock };
	SONDE_LIMITER_AUTODEINIT struct sonde_limiter limiter;

	(void)state;
	virtual_clock_init(&clock, 5 * SECOND);
	assert_int_equal(sonde_limiter_init(&limiter, &options), SONDE_OK);
	for (int year = 0; year < 18; year++) {
		assert_true(sonde_limiter_try_acquire(&limiter, "key", 10, NULL));
		assert_false(sonde_limiter_try_acquire(&limiter, "key", 1, NULL));
		assert_null(sonde_limiter_acquire(&limiter, "key", 1, NULL));
		clock.now_ns += 100 * MS;
		assert_true(sonde_limiter_try_acquire(&limiter, "key", 1, NULL));
		clock.now_ns += 365 * 86400 * SECOND;
	}
}

static void test_keys_have_buckets_of_their_own(void **state)
{
	struct virtual_clock clock;
	const struct sonde_limiter_options options = { .permits = 2, .clock = &clock.clock };
	SONDE_LIMITER_AUTODEINIT struct sonde_limiter limiter;
	const char *const keys[] = { NULL, "", "a", "b", "a longer one, of more than sixteen bytes" };

	(void)state;
	virtual_clock_init(&clock, 5 * SECOND);
	assert_int_equal(sonde_limiter_init(&limiter, &options), SONDE_OK);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			assert_int_equal(sonde_limiter_wait_ns(&limiter, keys[i], 1), 0);
			assert_true(sonde_limiter_try_acquire(&limiter, keys[i], 1, NULL));
		}
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		assert_int_equal(sonde_limiter_wait_ns(&limiter, keys[i], 1), 500 * MS);
		assert_false(sonde_limiter_try_acquire(&limiter, keys[i], 1, NULL));
	}
}

struct heard {
	enum sonde_observed what;
	uint64_t duration_ns;
	const struct sonde_error_type *type;
	uint32_t n;
};

static void hear(void *user, const struct sonde_observation *observation)
{
	struct heard *heard = user;

	assert_int_equal(observation->pattern, SONDE_PATTERN_LIMITER);
	assert_string_equal(observation->name, "api");
	heard->what = observation->what;
	heard->duration_ns = observation->duration_ns;
	heard->type = observation->error ? sonde_error_type_of(observation->error) : NULL;
	heard->n++;
}

static void test_is_observed(void **state)
{
	struct virtual_clock clock;
	struct heard heard = { .n = 0 };
	const struct sonde_observer observer = { hear, &heard };
	const struct sonde_limiter_options options = { .name = "api", .permits = 1,
						       .clock = &clock.clock,
						       .observer = &observer };
	SONDE_LIMITER_AUTODEINIT struct sonde_limiter limiter;

	(void)state;
	virtual_clock_init(&clock, 5 * SECOND);
	assert_int_equal(sonde_limiter_init(&limiter, &options), SONDE_OK);
	assert_true(sonde_limiter_try_acquire(&limiter, NULL, 1, NULL));
	assert_int_equal(heard.n, 0);
	assert_false(sonde_limiter_try_acquire(&limiter, NULL, 1, NULL));
	assert_int_equal(heard.n, 1);
	assert_int_equal(heard.what, SONDE_OBSERVED_REJECTION);
	assert_ptr_equal(heard.type, &sonde_rate_limited);
	assert_null(sonde_limiter_acquire(&limiter, NULL, 1, NULL));
	assert_int_equal(heard.n, 2);
	assert_int_equal(heard.what, SONDE_OBSERVED_WAIT);
	assert_int_equal(heard.duration_ns, SECOND);
}

static void test_deadline_and_retry(void **state)
{
	struct virtual_clock clock;
	const struct sonde_limiter_options options = { .permits = 1, .clock = &clock.clock };
	SONDE_LIMITER_AUTODEINIT struct sonde_limiter limiter;
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;
	struct sonde_error *error;

	(void)state;
	virtual_clock_init(&clock, 5 * SECOND);
	assert_int_equal(sonde_limiter_init(&limiter, &options), SONDE_OK);
	sonde_deadline_begin(&deadline, 500, &clock.clock);
	assert_null(sonde_limiter_acquire(&limiter, NULL, 1, NULL));
	/* It would come too late: there is time left to do something else. */
	error = sonde_limiter_acquire(&limiter, NULL, 1, NULL);
	assert_int_equal(sonde_error_http_status(error), 429);
	assert_int_equal(sonde_error_retry_after_ns(error), SECOND);
	assert_error(error, &sonde_rate_limited, "too many requests, again in 1000 ms");
	assert_int_equal(clock.n_waits, 0);
	clock.now_ns += 500 * MS;
	error = sonde_limiter_acquire(&limiter, NULL, 1, NULL);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	assert_ptr_equal(sonde_error_type_of(sonde_error_cause(error)), &sonde_rate_limited);
	sonde_error_free(error);
	/* Nothing was taken by those who were turned away. */
	clock.now_ns += 500 * MS;
	assert_true(sonde_limiter_try_acquire(&limiter, NULL, 1, NULL));
}

/* The clock's wait fires the token: as if somebody had while it waited. */
struct firing_clock {
	struct virtual_clock clock;
	struct sonde_cancel *cancel;
};

static void wait_and_fire(void *user, uint64_t until_ns)
{
	struct firing_clock *firing = user;

	(void)until_ns;
	firing->clock.now_ns += 300 * MS;
	sonde_cancel_fire(firing->cancel, "the client has gone");
}

static uint64_t firing_now_ns(void *user)
{
	return ((struct firing_clock *)user)->clock.now_ns;
}

static void test_cancelled_gives_back(void **state)
{
	struct firing_clock firing;
	const struct sonde_clock clock = { firing_now_ns, wait_and_fire, &firing };
	const struct sonde_limiter_options options = { .permits = 1, .clock = &clock };
	SONDE_LIMITER_AUTODEINIT struct sonde_limiter limiter;

	(void)state;
	for (int has_key = 0; has_key < 2; has_key++) {
		const char *key = has_key ? "key" : NULL;
		SONDE_CANCEL_AUTODEINIT struct sonde_cancel cancel;

		sonde_cancel_init(&cancel, NULL);
		firing = (struct firing_clock){ .cancel = &cancel };
		firing.clock.now_ns = 5 * SECOND;
		assert_int_equal(sonde_limiter_init(&limiter, &options), SONDE_OK);
		assert_null(sonde_limiter_acquire(&limiter, key, 1, &cancel));
		assert_error(sonde_limiter_acquire(&limiter, key, 1, &cancel), &sonde_cancelled,
			     "cancelled: the client has gone");
		assert_int_equal(sonde_limiter_wait_ns(&limiter, key, 1), 700 * MS);
		/* Fired already: nothing is taken. */
		assert_error(sonde_limiter_acquire(&limiter, key, 1, &cancel), &sonde_cancelled,
			     "cancelled: the client has gone");
		assert_int_equal(sonde_limiter_wait_ns(&limiter, key, 1), 700 * MS);
		assert_int_equal(figures_of(&limiter).n_cancelled, 2);
		if (!has_key)
			sonde_limiter_deinit(&limiter);
	}
}

static struct sonde_error *operate(void *argument)
{
	++*(int *)argument;
	return sonde_error_raise(&sonde_not_found, "as the operation says");
}

static void test_run(void **state)
{
	struct virtual_clock clock;
	const struct sonde_limiter_options options = { .permits = 1, .max_wait_ms = 1,
						       .clock = &clock.clock };
	SONDE_LIMITER_AUTODEINIT struct sonde_limiter limiter;
	int n_runs = 0;

	(void)state;
	virtual_clock_init(&clock, 5 * SECOND);
	assert_int_equal(sonde_limiter_init(&limiter, &options), SONDE_OK);
	assert_error(sonde_limiter_run(&limiter, "key", NULL, operate, &n_runs), &sonde_not_found,
		     "as the operation says");
	assert_error(sonde_limiter_run(&limiter, "key", NULL, operate, &n_runs),
		     &sonde_rate_limited, "too many requests, again in 1000 ms");
	assert_int_equal(n_runs, 1);
}

/* ---- More keys than buckets ------------------------------------------------------------------ */

static void test_newcomers_share_one(void **state)
{
	struct virtual_clock clock;
	const struct sonde_limiter_options options = { .permits = 4, .max_keys = 7,
						       .overflow = SONDE_LIMITER_SHARE,
						       .clock = &clock.clock };
	SONDE_LIMITER_AUTODEINIT struct sonde_limiter limiter;
	int n_let = 0;

	(void)state;
	virtual_clock_init(&clock, 5 * SECOND);
	assert_int_equal(sonde_limiter_init(&limiter, &options), SONDE_OK);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 100; i++) {
			char key[8];

			snprintf(key, sizeof(key), "%d", i);
			n_let += sonde_limiter_try_acquire(&limiter, key, 1, NULL);
		}
	}
	assert_int_equal(n_let, (7 + 1) * 4);
	assert_int_equal(figures_of(&limiter).n_evicted, 0);
	assert_int_equal(figures_of(&limiter).n_shared, 5 * 93);
	/* As soon as buckets are full others have them. */
	clock.now_ns += SECOND;
	assert_true(sonde_limiter_try_acquire(&limiter, "new", 4, NULL));
	assert_int_equal(figures_of(&limiter).n_forgotten, 1);
	assert_int_equal(figures_of(&limiter).n_shared, 5 * 93);
}

/* ---- Rates that are no whole number of nanoseconds ------------------------------------------- */

static void test_never_faster_and_hardly_slower(void **state)
{
	static const uint32_t rates[] = { 3, 7, 17, 999983 };
	static uint64_t times[3000];
	const size_t n_times = sizeof(times) / sizeof(times[0]);

	(void)state;
	for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
		struct virtual_clock clock;
		const struct sonde_limiter_options options = { .permits = rates[r], .burst = 5,
							       .clock = &clock.clock };
		struct sonde_limiter limiter;
		uint64_t wait_ns;

		virtual_clock_init(&clock, 12345);
		assert_int_equal(sonde_limiter_init(&limiter, &options), SONDE_OK);
		for (size_t i = 0; i < n_times; i++) {
			/* Pauses now and then. */
			clock.now_ns += i % 97 ? 0 : i * 1000003 % (3 * SECOND / rates[r]);
			while (!sonde_limiter_try_acquire(&limiter, "key", 1, &wait_ns))
				clock.now_ns += wait_ns;
			times[i] = clock.now_ns;
		}
		for (size_t i = 0; i < n_times; i++) {
			for (size_t j = i; j < n_times && j < i + 200; j++)
				assert_true((j - i + 1 - 5.0) * SECOND <=
					    (double)(times[j] - times[i]) * rates[r]);
		}
		/* Within one part in ten thousand, where nobody paused. */
		assert_true((double)(times[96] - times[4]) <=
			    92.0 * SECOND / rates[r] * 1.0001 + 92);
		sonde_limiter_deinit(&limiter);
	}
}

/* ---- Against a model ------------------------------------------------------------------------- */

#define KEYS 12
#define BUCKETS 7

/*
 * Tokens are counted: a key has as many as have come, at most the burst; fewer than none while
 * somebody waits for those that will come. In parts of a token of which `permits` come in a
 * nanosecond.
 */
struct model_bucket {
	int64_t credit;
	uint64_t since_ns;
};

struct game {
	struct sonde_limiter limiter;
	struct virtual_clock clock;
	struct model_bucket buckets[KEYS];
	int64_t permits;
	int64_t token; /* Parts. */
	int64_t burst; /* Tokens. */
	uint64_t max_wait_ns;
	char *why;
	size_t size;
};

static const char *const names[KEYS] = { "a", "b", "c", "d", "e", "f",
					 "g", "h", "i", "j", "k", "eighteen letters.." };

static bool differs(struct game *game, const char *what, uint64_t is, uint64_t expected)
{
	if (is != expected)
		snprintf(game->why, game->size, "%s is %llu, expected %llu", what,
			 (unsigned long long)is, (unsigned long long)expected);
	return is != expected;
}

static void model_fill(struct game *game)
{
	for (int i = 0; i < KEYS; i++) {
		struct model_bucket *bucket = &game->buckets[i];
		uint64_t gone_ns = game->clock.now_ns - bucket->since_ns;
		int64_t most = game->burst * game->token;

		bucket->since_ns = game->clock.now_ns;
		/* Nothing here takes longer to fill. */
		if (gone_ns > 1000 * SECOND)
			gone_ns = 1000 * SECOND;
		bucket->credit += (int64_t)gone_ns * game->permits;
		if (bucket->credit > most)
			bucket->credit = most;
	}
}

/* There is a bucket for everybody who needs one: what is full may be forgotten. */
static bool model_has_room(const struct game *game, int key)
{
	int n_in_use = 0;

	for (int i = 0; i < KEYS; i++)
		n_in_use += i == key || game->buckets[i].credit < game->burst * game->token;
	return n_in_use <= BUCKETS;
}

/* How long until `n` tokens are there; -1: never. */
static int64_t model_wait_ns(const struct game *game, int key, int64_t n)
{
	int64_t missing = n * game->token - game->buckets[key].credit;

	if (n > game->burst)
		return -1;
	return missing > 0 ? (missing + game->permits - 1) / game->permits : 0;
}

static bool play_try(struct game *game, int key, int64_t n)
{
	int64_t expected_ns = model_wait_ns(game, key, n);
	uint64_t wait_ns = 0;
	bool is_right;

	is_right = !differs(game, "wait_ns",
			    sonde_limiter_wait_ns(&game->limiter, names[key], (uint32_t)n),
			    (uint64_t)expected_ns) &&
		   !differs(game, "try_acquire",
			    sonde_limiter_try_acquire(&game->limiter, names[key], (uint32_t)n,
						      &wait_ns),
			    expected_ns == 0) &&
		   !differs(game, "its wait", wait_ns, (uint64_t)expected_ns);
	if (expected_ns == 0)
		game->buckets[key].credit -= n * game->token;
	return is_right;
}

/* Afterwards it is as late as before: as if a thread of its own waited. */
static bool play_acquire(struct game *game, int key, int64_t n, uint64_t deadline_ms)
{
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;
	uint64_t limit_ns = deadline_ms * MS < game->max_wait_ns ? deadline_ms * MS :
								   game->max_wait_ns;
	int64_t expected_ns = model_wait_ns(game, key, n);
	bool is_late = expected_ns < 0 || (uint64_t)expected_ns > limit_ns;
	const struct sonde_error_type *expected = NULL;
	uint64_t before_ns = game->clock.now_ns;
	struct sonde_error *error;
	bool is_right;

	if (is_late) {
		expected = deadline_ms ? &sonde_rate_limited : &sonde_timeout;
		expected_ns = 0;
	} else {
		game->buckets[key].credit -= n * game->token;
	}
	sonde_deadline_begin(&deadline, deadline_ms, &game->clock.clock);
	error = sonde_limiter_acquire(&game->limiter, names[key], (uint32_t)n, NULL);
	is_right = !differs(game, "acquire's error",
			    (uintptr_t)(error ? sonde_error_type_of(error) : NULL),
			    (uintptr_t)expected) &&
		   !differs(game, "acquire's wait", game->clock.now_ns - before_ns,
			    (uint64_t)expected_ns);
	sonde_error_free(error);
	game->clock.now_ns = before_ns;
	return is_right;
}

static bool play_step(struct game *game, const struct sequence_step *step)
{
	int key = (int)(step->a % KEYS);
	int64_t n = (int64_t)(step->b % 4);

	model_fill(game);
	if (step->what % 4 == 0) {
		uint64_t token_ns = (uint64_t)(game->token / game->permits);

		/* A token's time and its multiples, and moments just before, among others. */
		game->clock.now_ns += step->b % 3 ? step->b % (token_ns * 3) :
						    step->b % 5 * token_ns - (step->b % 7 == 0);
		if (step->b % 5 == 0 && step->b % 7 == 0 && step->b % 3 == 0)
			game->clock.now_ns++; /* Never back. */
		return true;
	}
	if (!model_has_room(game, key))
		return true;
	if (step->what % 4 == 1)
		return play_acquire(game, key, n, step->b >> 16 & 7 ? step->b >> 20 & 0xfff : 0);
	return play_try(game, key, n);
}

static bool play(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	static const uint32_t permits[] = { 1, 2, 4, 5, 8, 10 };
	static const uint64_t periods_ms[] = { 1, 10, 1000 };
	struct game game = { .why = why, .size = size };
	struct sonde_limiter_options options = {
		.permits = permits[steps[0].a % 6],
		.period_ms = periods_ms[steps[0].b % 3],
		.burst = 1 + (steps[0].a >> 8) % 4,
		.max_keys = BUCKETS,
		.max_wait_ms = 1 + (steps[0].b >> 8) % 2000,
		.clock = &game.clock.clock,
	};
	struct sonde_limiter_figures figures;
	bool is_right = true;

	virtual_clock_init(&game.clock, SECOND + steps[0].b % SECOND);
	assert_int_equal(sonde_limiter_init(&game.limiter, &options), SONDE_OK);
	game.permits = options.permits;
	game.token = (int64_t)(options.period_ms * MS);
	game.burst = options.burst;
	game.max_wait_ns = options.max_wait_ms * MS;
	for (int i = 0; i < KEYS; i++)
		game.buckets[i] = (struct model_bucket){ game.burst * game.token,
							 game.clock.now_ns };
	for (size_t i = 0; i < n_steps && is_right; i++)
		is_right = play_step(&game, &steps[i]);
	figures = figures_of(&game.limiter);
	is_right = is_right && !differs(&game, "n_evicted", figures.n_evicted, 0) &&
		   !differs(&game, "n_shared", figures.n_shared, 0);
	sonde_limiter_deinit(&game.limiter);
	return is_right;
}

static void test_is_what_the_header_says(void **state)
{
	(void)state;
	sequence_check(play, 3000, 120);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_is_50_in_a_second),
		cmocka_unit_test(test_default_is_16384_keys),
		cmocka_unit_test(test_default_wait_is_5_seconds),
		cmocka_unit_test(test_default_overflow_evicts),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_goes_on_for_years),
		cmocka_unit_test(test_keys_have_buckets_of_their_own),
		cmocka_unit_test(test_is_observed),
		cmocka_unit_test(test_deadline_and_retry),
		cmocka_unit_test(test_cancelled_gives_back),
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_newcomers_share_one),
		cmocka_unit_test(test_never_faster_and_hardly_slower),
		cmocka_unit_test(test_is_what_the_header_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
