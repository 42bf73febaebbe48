/* SPDX-License-Identifier: Apache-2.0 */
#include "support/sequence.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WHY_SIZE 256
#define SHOWN_MAX 60

/* SplitMix64, written down here: what is tested may use the library's own. */
static uint64_t next(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static size_t draw(uint64_t seed, struct sequence_step *steps, size_t n_steps)
{
	uint64_t state = seed;
	/* Short ones as well: what fails there is easy to read. */
	size_t n = 1 + (size_t)(next(&state) % n_steps);

	for (size_t i = 0; i < n; i++) {
		steps[i].what = (uint32_t)next(&state);
		steps[i].a = (uint32_t)next(&state);
		steps[i].b = next(&state);
	}
	return n;
}

/* Leaves out ever smaller runs of steps for as long as it still fails. */
static size_t shrink(sequence_play_fn *play, struct sequence_step *steps, size_t n_steps,
		     struct sequence_step *trial, char *why)
{
	for (size_t run = n_steps / 2 + 1; run; run /= 2) {
		for (size_t at = 0; at < n_steps;) {
			size_t n_left = at + run < n_steps ? n_steps - at - run : 0;

			memcpy(trial, steps, at * sizeof(*steps));
			memcpy(trial + at, steps + (n_steps - n_left), n_left * sizeof(*steps));
			if (play(trial, at + n_left, why, WHY_SIZE)) {
				at += run;
				continue;
			}
			n_steps = at + n_left;
			memcpy(steps, trial, n_steps * sizeof(*steps));
		}
	}
	return n_steps;
}

static void report(sequence_play_fn *play, uint64_t seed, struct sequence_step *steps,
		   size_t n_steps, struct sequence_step *trial, const char *first_why)
{
	char why[WHY_SIZE] = "";

	n_steps = shrink(play, steps, n_steps, trial, why);
	/* Threads do not play the same twice: then what is left may be too little to fail. */
	if (play(steps, n_steps, why, sizeof(why))) {
		print_error("not always; at first:\n");
		snprintf(why, sizeof(why), "%s", first_why);
	}
	for (size_t i = 0; i < n_steps && i < SHOWN_MAX; i++)
		print_error("step %zu: what=%" PRIu32 " a=%" PRIu32 " b=%" PRIu64 "\n", i,
			    steps[i].what, steps[i].a, steps[i].b);
	free(steps);
	free(trial);
	fail_msg("seed %" PRIu64 ", %zu steps: %s", seed, n_steps, why);
}

void sequence_check(sequence_play_fn *play, size_t n_sequences, size_t n_steps)
{
	const char *wanted = getenv("SONDE_TEST_SEED");
	uint64_t seed = wanted ? strtoull(wanted, NULL, 10) : 1;
	struct sequence_step *steps = calloc(n_steps, sizeof(*steps));
	struct sequence_step *trial = calloc(n_steps, sizeof(*trial));
	char why[WHY_SIZE];

	assert_non_null(steps);
	assert_non_null(trial);
	for (size_t i = 0; i < n_sequences; i++, seed++) {
		size_t n = draw(seed, steps, n_steps);

		if (!play(steps, n, why, sizeof(why)))
			report(play, seed, steps, n, trial, why);
	}
	free(steps);
	free(trial);
}
