/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The quick look against the detectors, on random texts made of what these look for: it never
 * clears a text that they find something in. And what was planted is gone from what is written,
 * which is as long as was measured and UTF-8 if it was before.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "redact/redact.h"
#include "redact/suspect.h"

#define N_TEXTS 60000

static struct sonde__redactor redactor;
static uint64_t state = 88172645463325252u;

static uint32_t draw(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % n;
}

static int setup(void **unused)
{
	(void)unused;
	return sonde__redactor_init(&redactor, /* keys= */ NULL, "all", /* report= */ NULL,
				    /* user= */ NULL);
}

static int teardown(void **unused)
{
	(void)unused;
	sonde__redactor_deinit(&redactor);
	return 0;
}

static const char *const crumbs[] = {
	"4111", "1111", "-", " ", "bearer ", "Basic ", "eyJ", ".", "://", "@", ":", "=", "&", "?",
	"password", "token", "\"", "'", "\\", "{", "[", "]", "}", ",", "Cookie: ", "-----BEGIN ",
	"PRIVATE KEY-----", "sig", "a", "Z9", "\xc3\xa9", "\xe2\x82\xac", "\n", "0", "37828224631",
	"0005", "4111 111", "…", "/", "#", "x.de", "\xff",
};

static size_t make(char *text, size_t n)
{
	size_t size = 0;

	for (size_t i = 0; i < n; i++) {
		const char *crumb = crumbs[draw(sizeof(crumbs) / sizeof(crumbs[0]))];

		memcpy(text + size, crumb, strlen(crumb));
		size += strlen(crumb);
	}
	return size;
}

static void test_no_is_never_wrong(void **unused)
{
	char text[1024];

	(void)unused;
	for (size_t i = 0; i < N_TEXTS; i++) {
		size_t size = make(text, draw(16));
		uint8_t *exact = malloc(size ? size : 1);
		uint8_t slack[1024 + SONDE__SUSPECT_SLACK];
		struct sonde__match match = { 0 };
		bool is_found;

		memcpy(exact, text, size);
		memset(slack, '@', sizeof(slack));
		memcpy(slack, text, size);
		is_found = sonde__redact_next(&redactor, (struct sonde_text){ text, size },
					      SONDE__KEY_PLAIN, 0, &match);
		if (is_found)
			assert_true(sonde__suspect(exact, size));
		assert_int_equal(sonde__suspect_with_slack(slack, size),
				 sonde__suspect(exact, size));
		free(exact);
	}
}

static void test_written_is_as_measured(void **unused)
{
	char text[1024];

	(void)unused;
	for (size_t i = 0; i < N_TEXTS; i++) {
		struct sonde_text view = { text, make(text, draw(16)) };
		struct sonde__redact_counts counts = { { 0 } };
		size_t measured;
		char *out;

		if (!sonde__redact_measure(&redactor, view, SONDE__KEY_PLAIN, &measured))
			continue;
		/* The bound that mending stands on. */
		assert_true(measured <= 4 * view.size);
		out = malloc(measured ? measured : 1);
		assert_int_equal(sonde__redact_write(&redactor, view, SONDE__KEY_PLAIN, out,
						     &counts),
				 measured);
		if (sonde__utf8_is_valid(view.data, view.size))
			assert_true(sonde__utf8_is_valid(out, measured));
		free(out);
	}
}

/* With what comes before and after a secret where people put one. */
static const struct {
	const char *before;
	const char *secret;
	const char *after;
} plants[] = {
	{ " ", "4111111111111111", " " },
	{ "card:", "4111-1111-1111-1111", "," },
	{ "(", "378282246310005", ")" },
	{ "Bearer ", "Zm9vYmFyMTIz", " " },
	{ "basic ", "dXNlcjpwYXNzd29yZA==", "\n" },
	{ " ", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", " " },
	{ "https://", "bob:hunter2", "@example.com/ " },
	{ " password=", "hunter2", " " },
	{ ",\"token\":\"", "hunter2", "\"," },
	{ "\nCookie: ", "a=hunter2; b=c", "\n" },
	{ " ", "bob.k@example.com", " " },
};

static void plant_and_look(void)
{
	size_t p = draw(sizeof(plants) / sizeof(plants[0]));
	char text[1024];
	char out[4096];
	size_t size = 0;
	struct sonde__redact_counts counts = { { 0 } };
	static const char letters[] = "abcdefghij .,;\n<>()XYZ-0123";

	for (size_t n = draw(40); n; n--)
		text[size++] = letters[draw(sizeof(letters) - 1)];
	size += (size_t)snprintf(text + size, sizeof(text) - size, " %s%s%s", plants[p].before,
				 plants[p].secret, plants[p].after);
	for (size_t n = draw(40); n; n--)
		text[size++] = letters[draw(sizeof(letters) - 1)];
	text[size] = '\0';
	assert_true(sonde__redact_measure(&redactor, (struct sonde_text){ text, size },
					  SONDE__KEY_PLAIN, &(size_t){ 0 }));
	size = sonde__redact_write(&redactor, (struct sonde_text){ text, size }, SONDE__KEY_PLAIN,
				   out, &counts);
	out[size] = '\0';
	if (strstr(out, plants[p].secret))
		fail_msg("%s\nbecame %s", text, out);
}

static void test_planted_secrets_are_gone(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < N_TEXTS; i++)
		plant_and_look();
}

static void test_known_keys(void **unused)
{
	static const char keys[][24] = { "a", "http.method", "password", "a.longer.key.of.all" };

	(void)unused;
	for (size_t i = 0; i < 4; i++) {
		size_t size = strlen(keys[i]);
		uint64_t hash = sonde__key_hash64((const uint8_t *)keys[i], size);
		bool is_secret = i == 2;

		assert_false(sonde__redact_knows_key(&redactor, hash));
		assert_int_equal(sonde__redact_key_learn(&redactor, keys[i], size, hash,
							 &(bool){ false }),
				 is_secret ? SONDE__KEY_SECRET : SONDE__KEY_PLAIN);
		assert_int_equal(sonde__redact_knows_key(&redactor, hash), !is_secret);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_is_never_wrong),
		cmocka_unit_test(test_written_is_as_measured),
		cmocka_unit_test(test_planted_secrets_are_gone),
		cmocka_unit_test(test_known_keys),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
