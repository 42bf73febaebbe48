/* SPDX-License-Identifier: Apache-2.0 */

/* Errors as text: the words, the measures, the cuts. */

#include "support.h"

static struct sonde_error *raise_here(const char *message)
{
	return sonde_error_raise_at(&sonde_timeout, /* cause= */ NULL, "a/b.c", 12, "f", "%s",
				    message);
}

static void test_line(void **state)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = raise_here("too late");
	char buffer[100];

	(void)state;
	assert_int_equal(sonde_error_format(error, buffer, sizeof(buffer)), 23);
	assert_string_equal(buffer, "sonde_timeout: too late");
	assert_int_equal(sonde_error_format(error, NULL, 0), 23);
	assert_int_equal(sonde_error_format(error, NULL, 50), 23);
	assert_int_equal(sonde_error_format(NULL, buffer, sizeof(buffer)), 0);
	assert_string_equal(buffer, "");
}

static void test_chain(void **state)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = NULL;
	char buffer[300];
	static const char expected[] = "sonde_conflict: outer (x.c:-3 in g)\n"
				       "caused by: sonde_internal: middle\n"
				       "caused by: sonde_timeout: too late (a/b.c:12 in f)";

	(void)state;
	error = sonde_error_raise_at(&sonde_internal, raise_here("too late"), NULL, 5, NULL,
				     "middle");
	error = sonde_error_raise_at(&sonde_conflict, error, "x.c", -3, "g", "outer");
	assert_int_equal(sonde_error_format_chain(error, buffer, sizeof(buffer)),
			 sizeof(expected) - 1);
	assert_string_equal(buffer, expected);
	assert_int_equal(sonde_error_format_chain(NULL, buffer, sizeof(buffer)), 0);
	assert_string_equal(buffer, "");
}

/* At every size: terminated, a prefix, whole characters, and always the whole length returned. */
static void test_every_size(void **state)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = NULL;
	char whole[400];
	size_t length;

	(void)state;
	error = sonde_error_wrap(raise_here("größer als 10 €, 𝄞"), &sonde_conflict, "äöü€𝄞");
	length = sonde_error_format_chain(error, whole, sizeof(whole));
	assert_int_equal(length, strlen(whole));
	for (size_t size = 0; size <= length + 2; size++) {
		char *buffer = malloc(size ? size : 1); /* Exact, for the sanitizer. */

		buffer[0] = 'c';
		assert_int_equal(sonde_error_format_chain(error, buffer, size), length);
		if (size == 0) {
			assert_int_equal(buffer[0], 'c');
		} else {
			assert_true(strlen(buffer) < size &&
				    strlen(buffer) + 4 >= (size < length ? size : length));
			assert_memory_equal(buffer, whole, strlen(buffer));
			assert_true(sonde__utf8_is_valid(buffer, strlen(buffer)));
		}
		free(buffer);
	}
}

static void test_chain_at_its_limit(void **state)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = raise_here("root");
	static char buffer[64 * 400];
	size_t n_lines = 0;
	size_t length;

	(void)state;
	for (int i = 0; i < 100; i++)
		error = sonde_error_wrap(error, &sonde_conflict, "wrap %d", i);
	length = sonde_error_format_chain(error, buffer, sizeof(buffer));
	assert_int_equal(length, strlen(buffer));
	for (const char *at = buffer; (at = strchr(at, '\n')); at++)
		n_lines++;
	assert_int_equal(n_lines, SONDE__ERROR_CHAIN_MAX);
	assert_memory_equal(buffer, "sonde_conflict: wrap 99 (", 25);
	assert_non_null(
		strstr(buffer, ")\n… 37 more left out\ncaused by: sonde_conflict: wrap 61 ("));
	assert_string_equal(strrchr(buffer, 0x0a),
			    "\ncaused by: sonde_timeout: root (a/b.c:12 in f)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_every_size),
		cmocka_unit_test(test_chain_at_its_limit),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
