/* SPDX-License-Identifier: Apache-2.0 */

/* Delays that somebody asked for, and causes that come after their error. */

#include "support.h"

#define NONE UINT64_MAX
#define SECOND UINT64_C(1000000000)

static struct sonde_error *asking(uint64_t delay_ns)
{
	struct sonde_error *error = sonde_error_raise(&sonde_unavailable, "busy");

	sonde_error_set_retry_after(error, delay_ns);
	return error;
}

static void test_what_was_set_is_told(void **state)
{
	static const uint64_t delays[] = { 0, 1, 999, 1000001, SECOND, 86400 * SECOND,
					   1234567890123456 };

	(void)state;
	assert_true(sonde_error_retry_after_ns(NULL) == NONE);
	for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
		SONDE_ERROR_AUTOFREE struct sonde_error *error = asking(delays[i]);

		assert_int_equal(sonde_error_retry_after_ns(error), delays[i]);
		sonde_error_set_retry_after(error, 5);
		assert_int_equal(sonde_error_retry_after_ns(error), 5);
	}
}

static void test_others_are_not_mistaken_for_it(void **state)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&sonde_conflict, "m");

	(void)state;
	sonde_error_set_retry_after(NULL, 1);
	assert_true(sonde_error_retry_after_ns(error) == NONE);
	sonde_error_set(error, sonde_double("sonde.error.retry_afte", 1));
	sonde_error_set(error, sonde_str("sonde.error.retry_after", "1"));
	assert_true(sonde_error_retry_after_ns(error) == NONE);
	sonde_error_set(error, sonde_double("sonde.error.retry_after", -1));
	assert_true(sonde_error_retry_after_ns(error) == NONE);
	sonde_error_set(error, sonde_double("sonde.error.retry_after", 0.0 / 0.0));
	assert_true(sonde_error_retry_after_ns(error) == NONE);
	sonde_error_set(error, sonde_double("sonde.error.retry_after", 1e300));
	assert_true(sonde_error_retry_after_ns(error) == NONE - 1);
	sonde_error_set(error, sonde_double("sonde.error.retry_after", 0.5));
	assert_int_equal(sonde_error_retry_after_ns(error), SECOND / 2);
}

static void test_the_outermost_in_a_chain_the_longest_in_a_join(void **state)
{
	struct sonde_error *error = asking(9 * SECOND);

	(void)state;
	error = sonde_error_wrap(error, &sonde_external_service, "no prices");
	assert_int_equal(sonde_error_retry_after_ns(error), 9 * SECOND);
	error = sonde_error_wrap(error, NULL, "no order");
	sonde_error_set_retry_after(error, SECOND);
	assert_int_equal(sonde_error_retry_after_ns(error), SECOND);
	error = sonde_error_join(error, sonde_error_raise(&sonde_conflict, "m"));
	error = sonde_error_join(error, sonde_error_wrap(asking(3 * SECOND), NULL, "w"));
	error = sonde_error_join(error, asking(2 * SECOND));
	error = sonde_error_wrap(error, NULL, "all");
	assert_int_equal(sonde_error_retry_after_ns(error), 3 * SECOND);
	sonde_error_free(error);
}

static void test_a_full_error_counts_it(void **state)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&sonde_conflict, "m");
	uint16_t n_dropped = 0;
	char key[8];

	(void)state;
	for (int i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		sonde_error_set(error, sonde_int(key, i));
	}
	(void)sonde__error_attributes(error, &n_dropped);
	sonde_error_set_retry_after(error, 1);
	assert_true(sonde_error_retry_after_ns(error) == NONE);
	(void)sonde__error_attributes(error, &n_dropped);
	assert_true(n_dropped > 0);
}

static void test_a_cause_that_comes_later(void **state)
{
	struct sonde_error *cause = sonde_error_raise(&sonde_unavailable, "refused");
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");
	struct sonde_error *root;

	(void)state;
	assert_null(sonde__error_caused_by(NULL, NULL));
	assert_ptr_equal(sonde__error_caused_by(error, NULL), error);
	assert_ptr_equal(sonde__error_caused_by(error, error), error);
	assert_ptr_equal(sonde__error_caused_by(NULL, cause), cause);
	assert_ptr_equal(sonde__error_caused_by(error, cause), error);
	assert_ptr_equal(sonde_error_cause(error), cause);
	/* It has one: that has it then. */
	root = sonde_error_wrap(sonde_error_raise(&sonde_conflict, "held"), NULL, "another");
	assert_ptr_equal(sonde__error_caused_by(error, root), error);
	assert_string_equal(sonde_error_message(sonde_error_cause(error)), "refused");
	assert_ptr_equal(sonde_error_cause(cause), root);
	error = sonde_error_wrap(error, NULL, "all");
	assert_int_equal(sonde__error_chain_length(error), 5);
	sonde_error_free(error);
}

/* Chains stay within their bound, and what is joined has causes of its own. */
static void test_a_cause_that_has_no_place(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");

	(void)state;
	for (int i = 0; i < 2 * SONDE__ERROR_CHAIN_MAX; i++) {
		struct sonde_error *cause = sonde_error_raise(&sonde_unavailable, "%d", i);

		assert_ptr_equal(sonde__error_caused_by(error, cause), error);
	}
	assert_in_range(sonde__error_chain_length(error), SONDE__ERROR_CHAIN_MAX - 2,
			SONDE__ERROR_CHAIN_MAX);
	error = sonde_error_wrap(error, NULL, "all");
	error = sonde_error_wrap(error, NULL, "of all");
	assert_int_equal(sonde__error_chain_length(error), SONDE__ERROR_CHAIN_MAX);
	sonde_error_free(error);
	error = sonde_error_join(sonde_error_raise(&sonde_conflict, "one"),
				 sonde_error_raise(&sonde_conflict, "two"));
	error = sonde_error_wrap(error, &sonde_timeout, "late");
	assert_ptr_equal(sonde__error_caused_by(error, sonde_error_raise(&sonde_closed, "3")),
			 error);
	assert_int_equal(sonde__error_chain_length(error), 2);
	sonde_error_free(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_set_is_told),
		cmocka_unit_test(test_others_are_not_mistaken_for_it),
		cmocka_unit_test(test_the_outermost_in_a_chain_the_longest_in_a_join),
		cmocka_unit_test(test_a_full_error_counts_it),
		cmocka_unit_test(test_a_cause_that_comes_later),
		cmocka_unit_test(test_a_cause_that_has_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
