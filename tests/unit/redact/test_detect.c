/* SPDX-License-Identifier: Apache-2.0 */
/* Texts as they are and as they leave. Each says what it is there for. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "redact/redact.h"

static struct sonde__redactor redactor;

static void open_with(const char *detectors)
{
	assert_int_equal(sonde__redactor_init(&redactor, /* keys= */ NULL, detectors,
					      /* report= */ NULL, /* user= */ NULL),
			 SONDE_OK);
}

static char *redact(const char *text)
{
	/* A block of its own, where a read past the end is seen. */
	size_t size = strlen(text);
	char *exact = malloc(size ? size : 1);
	struct sonde__redact_counts counts = { { 0 } };
	struct sonde_text view = { exact, size };
	size_t measured = size;
	char *out;

	memcpy(exact, text, size);
	if (sonde__redact_measure(&redactor, view, SONDE__KEY_PLAIN, &measured)) {
		out = malloc(measured + 1);
		assert_int_equal(sonde__redact_write(&redactor, view, SONDE__KEY_PLAIN, out,
						     &counts),
				 measured);
	} else {
		out = malloc(size + 1);
		memcpy(out, exact, size);
	}
	out[measured] = '\0';
	free(exact);
	return out;
}

struct row {
	const char *text;
	const char *expected; /* NULL: the same. */
};

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *expected = rows[i].expected ? rows[i].expected : rows[i].text;
		char *redacted = redact(rows[i].text);
		char *again = redact(redacted);

		if (strcmp(redacted, expected) != 0)
			fail_msg("%s\nbecame   %s\nand not  %s", rows[i].text, redacted, expected);
		/* What was redacted once is left alone. */
		assert_string_equal(again, redacted);
		free(again);
		free(redacted);
	}
	sonde__redactor_deinit(&redactor);
}

#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))
#define R "[redacted]"

static void test_cards(void **state)
{
	static const struct row rows[] = {
		{ "4111111111111111", R },
		{ "card 4111 1111 1111 1111 was declined", "card " R " was declined" },
		{ "4111-1111-1111-1111", R },
		{ "378282246310005", R },
		{ "3782 822463 10005", R },
		{ "5555555555554444,6011111111111117", R "," R },
		{ "30569309025904 3530111333300000", R " " R },
		{ "2223003122003222", R },
		{ "6200000000000005", R },
		{ "4222222222222", R },
		{ "pan=4111111111111111;", "pan=" R ";" },
		{ "PAN4111111111111111X", "PAN" R "X" },
		/* Other numbers beside it. */
		{ "4111 1111 1111 1111 12/26 123", R " 12/26 123" },
		{ "order 12 4111 1111 1111 1111", "order 12 " R },
		{ "7-4111111111111111-9", "7-" R "-9" },
		/* Not the right check digit, no issuer's, too short, too long. */
		{ "4111111111111112", NULL },
		{ "1111111111111117", NULL },
		{ "411111111111", NULL },
		{ "41111111111111111111", NULL },
		/* Times, in milliseconds to nanoseconds. */
		{ "1730000000000", NULL },
		{ "1730000000000000", NULL },
		{ "1730000000000000000", NULL },
		/* Ids. */
		{ "4bf92f3577b34da6a3ce929d0e0e4736", NULL },
		{ "a4111111111111111", NULL },
		{ "4111111111111111b", NULL },
		{ "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", NULL },
		{ "41111111111111110000000000000000", NULL },
		/* Fractions and telephones. */
		{ "0.4111111111111111", NULL },
		{ "4111111111111111.25", NULL },
		{ "+4222222222222", NULL },
		{ "call +49 151 12345678", NULL },
		{ "192.168.100.100:54321 10.0.0.1:443", NULL },
	};

	(void)state;
	open_with("cards");
	CHECK(rows);
}

static void test_tokens(void **state)
{
	static const struct row rows[] = {
		{ "Authorization was Bearer abc123.def", "Authorization was Bearer " R },
		{ "bearer \tQmFzZTY0", "bearer \t" R },
		{ "BEARER  9f86d081884c7d65", "BEARER  " R },
		{ "Basic dXNlcjpwYXNz", "Basic " R },
		{ "Basic YWJj=", "Basic " R },
		{ "basic usage of the bearer of bad news", NULL },
		{ "Bearer", NULL },
		{ "Bearer authentication failed", NULL },
		{ "forbearer abc123", NULL },
		{ "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl!", "jwt " R "!" },
		{ "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi", R },
		{ "eyJhbGciOiJIUzI1NiJ9", NULL },
		{ "heyJude.and.others", NULL },
		{ "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nmore",
		  R "\nmore" },
		{ "-----BEGIN PRIVATE KEY-----\nMIIEcut", R },
		{ "-----BEGIN CERTIFICATE-----\nMIIE", NULL },
		{ "-----BEGIN ", NULL },
	};

	(void)state;
	open_with("tokens");
	CHECK(rows);
}

static void test_urls(void **state)
{
	static const struct row rows[] = {
		{ "https://user:pass@example.com/x", "https://REDACTED:REDACTED@example.com/x" },
		{ "cannot reach postgres://u:p@db/orders: refused",
		  "cannot reach postgres://REDACTED:REDACTED@db/orders: refused" },
		{ "redis://:pw@cache:6379", "redis://:REDACTED@cache:6379" },
		{ "https://ghp_abc@github.com/x", "https://REDACTED@github.com/x" },
		/* Not escaped, as people write them. */
		{ "amqp://u:p@ss@host/", "amqp://REDACTED:REDACTED@host/" },
		{ "amqp://u:p/ss#1@host/", "amqp://REDACTED:REDACTED@host/" },
		{ "http://[::1]:80/a@b", NULL },
		{ "http://host:8080/users/a@b.example", NULL },
		{ "https://example.com/?q=a@b", NULL },
		{ "a://:@h", NULL },
		{ "://", NULL },
		{ "https://s3/k?X-Amz-Signature=abc&X-Amz-Date=1&sig=d#f",
		  "https://s3/k?X-Amz-Signature=REDACTED&X-Amz-Date=1&sig=REDACTED#f" },
		{ "a=b&x-goog-signature=00ff", "a=b&x-goog-signature=REDACTED" },
		{ "sig=11 was raised", NULL },
		{ "https://h/?design=1&resig=2", NULL },
	};

	(void)state;
	open_with("urls");
	CHECK(rows);
}

static void test_pairs(void **state)
{
	static const struct row rows[] = {
		{ "host=db user=x password=hunter2 port=1", "host=db user=x password=" R " port=1" },
		{ "password = 'it''s', x", "password = '" R "', x" },
		{ "PWD=abc;UID=7", "PWD=" R ";UID=7" },
		{ "/cb?state=1&access_token=abc&x=2", "/cb?state=1&access_token=" R "&x=2" },
		{ "{\"password\":\"hunter2\",\"user\":\"bob\"}",
		  "{\"password\":\"" R "\",\"user\":\"bob\"}" },
		{ "{\"password\" : \"a\\\"b\", \"n\":1}", "{\"password\" : \"" R "\", \"n\":1}" },
		{ "{\\\"token\\\":\\\"abc\\\"}", "{\\\"token\\\":\\\"" R "\\\"}" },
		{ "{'api_key': 12345}", "{'api_key': " R "}" },
		{ "{\"secrets\":[\"a\",\"b]\"],\"n\":1}", "{\"secrets\":" R ",\"n\":1}" },
		{ "{\"secret\":\"cut off he", "{\"secret\":\"" R },
		{ "Authorization: Digest username=x, response=y\nHost: h",
		  "Authorization: " R "\nHost: h" },
		{ "> Cookie: a=b; c=d\r\n> Accept: */*", "> Cookie: " R "\r\n> Accept: */*" },
		{ "token=Bearer abc", "token=" R },
		{ "--password=abc --x=y", "--password=" R " --x=y" },
		{ "password: hunter2 is wrong", "password: " R " is wrong" },
		/* What is no secret, or no value. */
		{ "unexpected token: ;", NULL },
		{ "invalid_password: the user gave a wrong one (a.c:1 in f)", NULL },
		{ "input_tokens=12", NULL },
		{ "if password == NULL", NULL },
		{ "password=", NULL },
		{ "password: ", NULL },
		{ "password=&x=1", NULL },
		{ "=abc :x", NULL },
		{ "a=b", NULL },
	};

	(void)state;
	open_with("pairs");
	CHECK(rows);
}

static void test_emails(void **state)
{
	static const struct row rows[] = {
		{ "mail to a.b+c@mail.example.com.", "mail to " R "." },
		{ "<j@x.de>", "<" R ">" },
		{ "mail=a@b.example", "mail=" R },
		{ "root@localhost", NULL },
		{ "@example.com", NULL },
		{ "a@1.2.3.4", NULL },
		{ "j\xc3\xb6rg@b\xc3\xbc" "cher.example", R },
	};

	(void)state;
	open_with("email");
	CHECK(rows);
}

static void test_detectors_are_switched(void **state)
{
	static const char text[] = "4111111111111111 a@b.example password=x";
	static const struct {
		const char *detectors;
		const char *expected;
	} rows[] = {
		{ NULL, R " a@b.example password=" R },
		{ "", R " a@b.example password=" R },
		{ "none", text },
		{ "email", "4111111111111111 " R " password=x" },
		{ "default, email", R " " R " password=" R },
		{ "ALL", R " " R " password=" R },
		/* What is not understood is no reason to let things out. */
		{ "emial", R " a@b.example password=" R },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *redacted;

		open_with(rows[i].detectors);
		redacted = redact(text);
		assert_string_equal(redacted, rows[i].expected);
		free(redacted);
		sonde__redactor_deinit(&redactor);
	}
}

static void test_numbers(void **state)
{
	(void)state;
	open_with("cards");
	assert_true(sonde__redact_number(&redactor, 4111111111111111));
	assert_true(sonde__redact_number(&redactor, 378282246310005));
	assert_false(sonde__redact_number(&redactor, 4111111111111112));
	assert_false(sonde__redact_number(&redactor, 4222222222222));
	assert_false(sonde__redact_number(&redactor, -4111111111111111));
	assert_false(sonde__redact_number(&redactor, 1730000000000000000));
	assert_false(sonde__redact_number(&redactor, INT64_MIN));
	assert_false(sonde__redact_number(&redactor, 0));
	sonde__redactor_deinit(&redactor);
	open_with("none");
	assert_false(sonde__redact_number(&redactor, 4111111111111111));
	sonde__redactor_deinit(&redactor);
}

/* ---- Texts that capture cut ------------------------------------------------------------------ */

/* What may be seen of the secret wherever the text is cut. */
static const struct {
	const char *detectors;
	const char *before;
	const char *secret;
	size_t n_shown;
} cuttings[] = {
	/* The issuer. */
	{ "cards", "card ", "4111111111111111", 6 },
	{ "cards", "card ", "4111 1111 1111 1111", 8 },
	{ "cards", "12 ", "3782-822463-10005", 8 },
	{ "cards", "", "630400000000000000", 6 },
	{ "tokens", "sent Bearer ", "abcdefghijklmnopq123", 0 },
	{ "tokens", "basic ", "dXNlcjpwYXNz=", 0 },
	/* A web token begins as any object does. */
	{ "tokens", "jwt ", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", 2 },
	{ "tokens", "", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE", 27 },
	{ "urls", "at postgres://", "svc:hunter2", 0 },
	{ "urls", "at postgres://", "svc:12345", 0 },
	{ "urls", "at postgres://", "svc:p@ss", 0 },
	{ "urls", "at https://", "ghp_16C7e42F292c6912E7", 0 },
	{ "urls", "", "redis://:hunter2", 9 },
	{ "urls", "https://s3/k?X-Amz-Signature=", "9f86d081884c", 0 },
	{ "pairs", "host=db password=", "hunter2", 0 },
	{ "pairs", "{\"token\":\"", "hunter2", 0 },
	{ "pairs", "{\"secrets\":", "[\"hunter2\",\"b\"]", 1 },
	{ "pairs", "Authorization: ", "Digest username=x, response=y", 0 },
	{ "pairs", "Cookie: ", "a=b; c=d", 0 },
	/* Before the '@' it is a word. */
	{ "email", "mail to ", "alice.k@mail.example.com", 7 },
};

/* Whether the text shows no more of the secret than it may, and what stood before it. */
static void check_cut(const char *text, size_t i, size_t n)
{
	char *redacted = redact(text);
	char *again = redact(redacted);
	size_t n_same = 0;

	assert_int_equal(strncmp(redacted, cuttings[i].before, strlen(cuttings[i].before)), 0);
	while (n_same < n &&
	       redacted[strlen(cuttings[i].before) + n_same] == cuttings[i].secret[n_same])
		n_same++;
	if (n_same > cuttings[i].n_shown)
		fail_msg("%s\nbecame   %s", text, redacted);
	assert_string_equal(again, redacted);
	free(again);
	free(redacted);
}

static void test_cuts_at_every_place(void **state)
{
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cuttings) / sizeof(cuttings[0]); i++) {
		open_with(cuttings[i].detectors);
		for (size_t n = 1; n <= strlen(cuttings[i].secret); n++) {
			redactor.is_cut = true;
			(void)snprintf(text, sizeof(text), "%s%.*s", cuttings[i].before, (int)n,
				       cuttings[i].secret);
			check_cut(text, i, n);
			/* A mark says it of a text in the middle of others. */
			redactor.is_cut = false;
			(void)snprintf(text, sizeof(text), "%s%.*s… (a.c:1 in f)",
				       cuttings[i].before, (int)n, cuttings[i].secret);
			check_cut(text, i, n);
			(void)snprintf(text, sizeof(text), "%s%.*s…", cuttings[i].before, (int)n,
				       cuttings[i].secret);
			check_cut(text, i, n);
		}
		sonde__redactor_deinit(&redactor);
	}
}

static void test_cut_texts_that_hold_nothing(void **state)
{
	static const struct row rows[] = {
		{ "card 411111", NULL },
		{ "12 more", NULL },
		{ "it took 1234567", NULL },
		{ "id 4bf92f3577b34da6", NULL },
		{ "+491511234567", NULL },
		{ "0.41111111", NULL },
		{ "4111111 of them", NULL },
		{ "the bearer of bad news", NULL },
		{ "Bearer", NULL },
		{ "see https://example.com/path", NULL },
		{ "http://host:8080/users", NULL },
		{ "http://[::1]:80/a", NULL },
		{ "https://", NULL },
		{ "password", NULL },
		{ "password=", NULL },
		{ "@example.com", NULL },
		/* What a cut has made of it. */
		{ "Bearer abc", "Bearer " R },
		{ "see https://example.c", "see https://REDACTED" },
		{ "see https://REDACTED:REDACTED@exam", "see https://REDACTED:REDACTED" },
		{ "amqp://u:p/ss", "amqp://REDACTED:REDACTED" },
		{ "a@b", R },
		{ "a@", R },
		{ "5111 1111-", R "-" },
	};

	(void)state;
	open_with("all");
	redactor.is_cut = true;
	CHECK(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cards),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_emails),
		cmocka_unit_test(test_cuts_at_every_place),
		cmocka_unit_test(test_cut_texts_that_hold_nothing),
		cmocka_unit_test(test_detectors_are_switched),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
