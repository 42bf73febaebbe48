/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No text and no key takes long, whatever it is made of: counted in basic blocks that are run,
 * which are the same on every machine. The layer's sources are built once more for it, with a call
 * in each block.
 *
 * Texts are one piece again and again, and pieces at random, as long as a record can be. A detector
 * that goes back over what another one has seen takes a thousand times what is allowed here.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "redact/redact.h"
#include "steps.h"

#define TEXT_SIZE 16384
#define STEPS_A_BYTE 1200
#define N_RANDOM 150
#define PIECES_MAX 4

static struct sonde__redactor redactor;
static char text[TEXT_SIZE];
static char out[8 * TEXT_SIZE];

static const char *const pieces[] = {
	"eyJ", "eyJ-", "-eyJ", "eyJ.", "://a:b", "://a:b/", "://", "://a@", "https://a:b@", "@",
	"a@", "a@b.c ", "a.", "bearer ", "Bearer a", "basic ab1 ", "4", "4 ", "4111", "4111 1111 ",
	"4111-1111-1111-1111", "4111111111111111 ", "41111111111111111111 ", "=", "a=", "a=b&",
	"password=", "password=\"", "passpass", "passwor=", "\"password\":", "'", "\\", "\\\"",
	"secret={", "[", "]", "{\"", ":", "a:", "Cookie: ", "token: ", "sig=", "?sig=a", "&sig=",
	"-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "-----END ", "-", "…", "a…", "f", " ", "\n",
	"Authorization: Bearer ", "\xff", "x_amz_signature=", "Cookie: [redacted] ",
	"password=\"[redacted]", "password=[redacted]", "sig=REDACTED ", "://REDACTED@",
};
#define N_PIECES (sizeof(pieces) / sizeof(pieces[0]))

static void fill(const size_t *chosen, size_t n)
{
	size_t used = 0;

	for (size_t i = 0;; i++) {
		const char *piece = pieces[chosen[i % n]];

		if (used + strlen(piece) > TEXT_SIZE)
			break;
		memcpy(text + used, piece, strlen(piece));
		used += strlen(piece);
	}
	memset(text + used, 'z', TEXT_SIZE - used);
}

static void check_text(const size_t *chosen, size_t n)
{
	const struct sonde_text whole = { text, TEXT_SIZE };
	struct sonde__redact_counts counts = { { 0 } };
	uint64_t before = steps_taken();
	uint64_t steps;
	size_t size;

	if (sonde__redact_measure(&redactor, whole, SONDE__KEY_PLAIN, &size)) {
		assert_true(size <= sizeof(out));
		(void)sonde__redact_write(&redactor, whole, SONDE__KEY_PLAIN, out, &counts);
	}
	steps = steps_taken() - before;
	if (steps > (uint64_t)STEPS_A_BYTE * TEXT_SIZE)
		fail_msg("%llu steps a byte: \"%s\" \"%s\" and so on",
			 (unsigned long long)steps / TEXT_SIZE, pieces[chosen[0]],
			 pieces[chosen[n - 1]]);
}

static void check_both(const size_t *chosen, size_t n)
{
	fill(chosen, n);
	redactor.is_cut = false;
	check_text(chosen, n);
	redactor.is_cut = true;
	check_text(chosen, n);
}

static void test_texts(void **state)
{
	uint64_t random = 88172645463325252u;

	(void)state;
	assert_int_equal(sonde__redactor_init(&redactor, /* keys= */ NULL, "all", /* report= */ NULL,
					      /* user= */ NULL),
			 SONDE_OK);
	for (size_t i = 0; i < N_PIECES; i++)
		check_both(&i, 1);
	for (size_t i = 0; i < N_RANDOM; i++) {
		size_t chosen[PIECES_MAX];

		for (size_t k = 0; k < PIECES_MAX; k++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			chosen[k] = (size_t)(random >> 32) % N_PIECES;
		}
		check_both(chosen, 2 + i % (PIECES_MAX - 1));
	}
	assert_true(steps_taken() > TEXT_SIZE);
	sonde__redactor_deinit(&redactor);
}

/* At most the product of both lengths, and a little. */
static void check_glob(const char *glob, const char *piece)
{
	const size_t size = strlen(piece);
	struct sonde__globs globs;
	uint64_t before;
	uint64_t steps;

	for (size_t i = 0; i < TEXT_SIZE; i++)
		text[i] = piece[i % size];
	assert_int_equal(sonde__globs_init(&globs, glob), SONDE_OK);
	before = steps_taken();
	(void)sonde__globs_match(&globs, text, TEXT_SIZE);
	steps = steps_taken() - before;
	if (steps > 10 * (uint64_t)(strlen(glob) + 2) * TEXT_SIZE)
		fail_msg("%llu steps: %s on \"%s\" and so on", (unsigned long long)steps, glob,
			 piece);
	sonde__globs_deinit(&globs);
}

static void test_globs(void **state)
{
	static const char *const globs[] = {
		"*a*a*a*a*b", "a*a*a*a*a*a*a*a*b", "*aaaaaaaaaaaaaaab", "*a?a?a?a?b*", "*?*?*?*?*?b",
		"**********b", "*ab*ab*ab*ab*c", "?*?*?*?*!", "*password*secret*token*x", "*",
	};
	static const char *const keys[] = { "a", "ab", "aaab", "password", "passwor", "secrettoken",
					    "aA_-" };

	(void)state;
	for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++)
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
			check_glob(globs[i], keys[k]);
}

/* All that are always there, on keys made of them. */
static void test_usual_keys(void **state)
{
	static const char *const parts[] = { "passwo", "passphras", "private_ke", "tokentoke",
					     "access_ke", "card_numbe", "a", "*" };

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const size_t size = strlen(parts[i]);
		uint64_t before = steps_taken();

		for (size_t k = 0; k < TEXT_SIZE; k++)
			text[k] = parts[i][k % size];
		(void)sonde__redact_key(&sonde__redactor_usual, text, TEXT_SIZE);
		assert_true(steps_taken() - before < (uint64_t)STEPS_A_BYTE * TEXT_SIZE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_globs),
		cmocka_unit_test(test_usual_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
