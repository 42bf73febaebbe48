/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_SEQUENCE_H
#define SONDE_TESTS_SEQUENCE_H

/*
 * Random sequences of operations against a model, and the shortest sequence that fails.
 *
 * A test says how an operation is done, to the subject and to its model, and where they differ:
 *
 *	static bool play(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
 *
 * makes both anew, plays all steps, and returns false, with a sentence, at the first difference.
 * What a step means is the test's: it takes `what` modulo its operations and `a` and `b` as it
 * likes. So every part of a sequence is a sequence, and can be left out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sequence_step {
	uint32_t what;
	uint32_t a;
	uint64_t b;
};

typedef bool sequence_play_fn(const struct sequence_step *steps, size_t n_steps, char *why,
			      size_t size);

/*
 * For a play whose steps call back: notes the first condition that does not hold, as a text, in the
 * `why` of what `world` points to, where it is NULL before.
 */
#define SEQUENCE_EXPECT(world, condition) \
	do { \
		if (!(condition) && !(world)->why) \
			(world)->why = #condition; \
	} while (0)

/*
 * Plays `n_sequences` of up to `n_steps` random steps each. Fails the running test with the seed,
 * the reason, and the steps that are left when no more can be taken away. The seed is fixed, or
 * SONDE_TEST_SEED's.
 */
void sequence_check(sequence_play_fn *play, size_t n_sequences, size_t n_steps);

#endif
