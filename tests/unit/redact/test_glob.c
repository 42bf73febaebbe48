/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "redact/redact.h"

static bool matches(const char *list, const char *key)
{
	struct sonde__globs globs;
	bool is_match;

	assert_int_equal(sonde__globs_init(&globs, list), SONDE_OK);
	is_match = sonde__globs_match(&globs, key, strlen(key));
	sonde__globs_deinit(&globs);
	return is_match;
}

static void test_globs(void **state)
{
	(void)state;
	assert_true(matches("password", "password"));
	assert_true(matches("password", "PassWord"));
	assert_false(matches("password", "passwords"));
	assert_false(matches("password", "passwor"));
	assert_true(matches("*password*", "db.password.old"));
	assert_true(matches("*password*", "password"));
	assert_false(matches("*password*", "pass.word"));
	assert_true(matches("*_token", "access-token"));
	assert_true(matches("x-api-key", "X_API_KEY"));
	assert_true(matches("a?c", "abc"));
	assert_false(matches("a?c", "ac"));
	assert_true(matches("a*b*c", "aXbYbZc"));
	assert_false(matches("a*b*c", "aXbYbZ"));
	assert_true(matches("*a*a*a*b", "aaaaaaaaaaaaab"));
	assert_false(matches("*a*a*a*b", "aaaaaaaaaaaaaa"));
	assert_true(matches("*", ""));
	assert_true(matches("**", "x"));
	assert_false(matches("?", ""));
}

static void test_lists(void **state)
{
	(void)state;
	assert_true(matches(" a , b ,, c ", "b"));
	assert_false(matches(" a , b ,, c ", ""));
	assert_false(matches("", ""));
	assert_false(matches(",,", "a"));
	assert_true(matches("*token*,!token.count", "token"));
	assert_false(matches("*token*,!token.count", "token.count"));
	assert_false(matches("!token.count,*token*", "token.count"));
	assert_false(matches("!", "x"));
}

static enum sonde__key_verdict verdict_of(const char *keys, const char *key)
{
	static struct sonde__redactor redactor;
	enum sonde__key_verdict verdict;

	assert_int_equal(sonde__redactor_init(&redactor, keys, /* detectors= */ NULL,
					      /* report= */ NULL, /* user= */ NULL),
			 SONDE_OK);
	verdict = sonde__redact_key(&redactor, key, strlen(key));
	sonde__redactor_deinit(&redactor);
	return verdict;
}

static void test_usual_keys(void **state)
{
	static const char *const secrets[] = {
		"password", "db.password", "user_passwd", "Authorization", "cookie", "Set-Cookie",
		"http.request.header.authorization", "http.response.header.set-cookie", "api_key",
		"x-api-key", "apiKey", "client_secret", "access_token", "csrf-token", "token",
		"aws.secret_access_key", "credentials", "private_key", "jwt", "pwd",
	};
	static const char *const others[] = {
		"http.request.method", "url.full", "session.id", "gen_ai.usage.input_tokens",
		"code.function.name", "order.id", "author", "monkey", "key", "exception.message",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		if (verdict_of(NULL, secrets[i]) != SONDE__KEY_SECRET)
			fail_msg("%s is not secret", secrets[i]);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (verdict_of(NULL, others[i]) != SONDE__KEY_PLAIN)
			fail_msg("%s is not plain", others[i]);
	}
	assert_int_equal(verdict_of(NULL, "sonde.error.id"), SONDE__KEY_ID);
	assert_int_equal(verdict_of(NULL, "trace_id"), SONDE__KEY_ID);
	assert_int_equal(verdict_of(NULL, "sonde.link.span_id"), SONDE__KEY_ID);
}

static void test_own_keys(void **state)
{
	(void)state;
	assert_int_equal(verdict_of("iban", "iban"), SONDE__KEY_SECRET);
	assert_int_equal(verdict_of("iban", "password"), SONDE__KEY_SECRET);
	assert_int_equal(verdict_of("iban, none", "password"), SONDE__KEY_PLAIN);
	assert_int_equal(verdict_of("iban, none", "iban"), SONDE__KEY_SECRET);
	assert_int_equal(verdict_of("!parser.token", "parser.token"), SONDE__KEY_PLAIN);
	assert_int_equal(verdict_of("!parser.token", "token"), SONDE__KEY_SECRET);
	assert_int_equal(verdict_of("none", "password"), SONDE__KEY_PLAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_globs),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_usual_keys),
		cmocka_unit_test(test_own_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
