/* SPDX-License-Identifier: Apache-2.0 */
/* Every code and reason has its own words; unknown numbers get words, too. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include <sonde/agent.h>

static void test_status_has_name_and_text(void **state)
{
	(void)state;
	assert_string_equal(sonde_status_name(0), "SONDE_OK");
	assert_string_equal(sonde_status_name(SONDE_INCOMPLETE), "SONDE_INCOMPLETE");
	for (int status = SONDE_E_LIMITED; status <= SONDE_INCOMPLETE; status++) {
		assert_true(strlen(sonde_status_text(status)) > 3);
		for (int other = SONDE_E_LIMITED; other < status; other++)
			assert_string_not_equal(sonde_status_name(status),
						sonde_status_name(other));
	}
}

static void test_loss_has_name_and_text(void **state)
{
	(void)state;
	assert_string_equal(sonde_loss_name(SONDE_LOSS_RING_FULL), "ring_full");
	for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++) {
		assert_string_not_equal(sonde_loss_name((enum sonde_loss)reason), "unnamed");
		assert_true(strlen(sonde_loss_text((enum sonde_loss)reason)) > 3);
		for (int other = 0; other < reason; other++)
			assert_string_not_equal(sonde_loss_name((enum sonde_loss)reason),
						sonde_loss_name((enum sonde_loss)other));
	}
}

static void test_unknown_numbers_have_words(void **state)
{
	(void)state;
	assert_non_null(sonde_status_name(-1000));
	assert_non_null(sonde_status_text(INT32_MAX));
	assert_non_null(sonde_loss_name((enum sonde_loss)SONDE_LOSS_COUNT));
	assert_non_null(sonde_loss_text((enum sonde_loss)-1));
}

static void test_version_is_that_of_the_header(void **state)
{
	(void)state;
	assert_string_equal(sonde_version(), SONDE_VERSION);
}

static void test_gate_is_shut_at_first(void **state)
{
	(void)state;
	assert_false(sonde_is_recording());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_has_name_and_text),
		cmocka_unit_test(test_loss_has_name_and_text),
		cmocka_unit_test(test_unknown_numbers_have_words),
		cmocka_unit_test(test_version_is_that_of_the_header),
		cmocka_unit_test(test_gate_is_shut_at_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
