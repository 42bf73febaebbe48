/* SPDX-License-Identifier: Apache-2.0 */

/* Errors of getaddrinfo, from real calls that ask no server. */

#include "support.h"

#include <sys/socket.h>
#include <sys/types.h>

#include <sonde/error_gai.h>

#include "adapter.h"

static void test_each_status(void **state)
{
	static const struct {
		int status;
		const struct sonde_error_type *type;
		const char *name;
	} cases[] = {
		{ EAI_AGAIN, &sonde_unavailable, "EAI_AGAIN" },
		{ EAI_NONAME, &sonde_external_service, "EAI_NONAME" },
		{ EAI_FAIL, &sonde_external_service, "EAI_FAIL" },
		{ EAI_NODATA, &sonde_external_service, NULL },
		{ EAI_MEMORY, &sonde_out_of_memory, "EAI_MEMORY" },
		{ EAI_SYSTEM, &sonde_exhausted, "EAI_SYSTEM" },
		{ EAI_FAMILY, &sonde_internal, "EAI_FAMILY" },
		{ EAI_BADFLAGS, &sonde_internal, "EAI_BADFLAGS" },
		{ 4711, &sonde_internal, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sonde_error *error;
		char number[16];

		errno = EMFILE;
		error = sonde_error_raise_gai(cases[i].status, "bank.example", "no bank");
		assert_int_equal(errno, EMFILE);
		assert_ptr_equal(sonde_error_type_of(error), cases[i].type);
		snprintf(number, sizeof(number), "%d", cases[i].status);
		adapter_assert_attribute(error, "sonde.gai.status",
					 cases[i].name ? cases[i].name : number);
		adapter_assert_attribute(error, "server.address", "bank.example");
		assert_int_equal(sonde__error_said_errno(error),
				 cases[i].status == EAI_SYSTEM ? EMFILE : 0);
		assert_string_equal(sonde_error_detail(error),
				    cases[i].status == EAI_SYSTEM ? strerror(EMFILE)
								  : gai_strerror(cases[i].status));
		sonde_error_free(error);
	}
}

static void test_real_calls(void **state)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST };
	struct addrinfo *found;
	SONDE_ERROR_AUTOFREE struct sonde_error *error = NULL;

	(void)state;
	error = sonde_error_raise_gai(getaddrinfo("bank.example", "80", &hints, &found),
				      "bank.example", "no bank");
	assert_type(error, sonde_external_service);
	adapter_assert_attribute(error, "sonde.gai.status", "EAI_NONAME");
	sonde_error_free(error);
	hints.ai_flags = 0x40000000;
	error = sonde_error_raise_gai(getaddrinfo("127.0.0.1", "80", &hints, &found), NULL, "no");
	assert_type(error, sonde_internal);
	adapter_assert_attribute(error, "sonde.gai.status", "EAI_BADFLAGS");
	assert_false(adapter_has_attribute(error, "server.address"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_status),
		cmocka_unit_test(test_real_calls),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
