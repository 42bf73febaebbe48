/* SPDX-License-Identifier: Apache-2.0 */

/* What types inherit, and types that are wrong. */

#include "support.h"

#include "error/types.h"

SONDE_ERROR_TYPE(user_not_found, sonde_not_found, "USER_NOT_FOUND", .public_message = true);
SONDE_ERROR_TYPE(stock_gone, user_not_found, "STOCK_GONE", .http_status = 410,
		 .retryable = SONDE_YES);
SONDE_ERROR_TYPE(stock_hidden, stock_gone, "STOCK_HIDDEN", .public_message = SONDE_NO,
		 .retryable = SONDE_NO, .severity = SONDE_FATAL);
SONDE_ERROR_TYPE(plain, sonde_timeout, "PLAIN");

static void test_catalogue(void **state)
{
	(void)state;
#define EXPECT(type, parent_type, code_text, status, level, retry, shown) \
	assert_string_equal(type.name, #type); \
	assert_string_equal(type.code, code_text); \
	assert_int_equal(sonde_error_type_http_status(&type), status); \
	assert_true(sonde_error_type_is(&type, &sonde_error_base)); \
	assert_true(sonde_error_type_is(&type, &type)); \
	assert_in_range(sonde_error_type_severity(&type), SONDE_INFO, SONDE_ERROR); \
	if (retry) \
		assert_int_equal(sonde_error_type_is_retryable(&type), retry == SONDE_YES); \
	if (shown) \
		assert_int_equal(sonde_error_type_has_public_message(&type), shown == SONDE_YES);
	SONDE_ERROR_TYPE_MAP(EXPECT)
#undef EXPECT
	assert_true(sonde_error_type_is(&sonde_validation, &sonde_bad_request));
	assert_false(sonde_error_type_is(&sonde_bad_request, &sonde_validation));
	assert_false(sonde_error_type_is(&sonde_conflict, &sonde_not_found));
	assert_int_equal(sonde_error_type_severity(&sonde_validation), SONDE_WARN);
	assert_true(sonde_error_type_has_public_message(&sonde_validation));
	assert_true(sonde_error_type_is_retryable(&sonde_exhausted));
	assert_false(sonde_error_type_is_retryable(&sonde_conflict));
	assert_true(sonde_error_type_is_retryable(&sonde_out_of_memory));
	assert_false(sonde_error_type_has_public_message(&sonde_out_of_memory));
}

/* What each is for: status, whether worth trying again, whether a client may see what it says. */
static void test_each_type(void **state)
{
	static const struct {
		const struct sonde_error_type *type;
		const struct sonde_error_type *parent;
		int http_status;
		enum sonde_level severity;
		bool is_retryable;
		bool is_public;
	} cases[] = {
		{ &sonde_bad_request, &sonde_error_base, 400, SONDE_WARN, false, true },
		{ &sonde_validation, &sonde_bad_request, 422, SONDE_WARN, false, true },
		{ &sonde_unauthorized, &sonde_error_base, 401, SONDE_WARN, false, true },
		{ &sonde_forbidden, &sonde_error_base, 403, SONDE_WARN, false, true },
		{ &sonde_not_found, &sonde_error_base, 404, SONDE_WARN, false, true },
		{ &sonde_conflict, &sonde_error_base, 409, SONDE_WARN, false, true },
		{ &sonde_cancelled, &sonde_error_base, 499, SONDE_INFO, false, false },
		{ &sonde_internal, &sonde_error_base, 500, SONDE_ERROR, false, false },
		{ &sonde_out_of_memory, &sonde_internal, 503, SONDE_ERROR, true, false },
		{ &sonde_external_service, &sonde_error_base, 502, SONDE_ERROR, true, false },
		{ &sonde_unavailable, &sonde_error_base, 503, SONDE_ERROR, true, false },
		{ &sonde_circuit_open, &sonde_unavailable, 503, SONDE_ERROR, false, false },
		{ &sonde_closed, &sonde_unavailable, 503, SONDE_ERROR, false, false },
		{ &sonde_exhausted, &sonde_unavailable, 503, SONDE_ERROR, true, false },
		{ &sonde_bulkhead_full, &sonde_exhausted, 503, SONDE_ERROR, true, false },
		{ &sonde_queue_full, &sonde_exhausted, 503, SONDE_ERROR, true, false },
		{ &sonde_rate_limited, &sonde_exhausted, 429, SONDE_WARN, true, true },
		{ &sonde_timeout, &sonde_error_base, 504, SONDE_ERROR, true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct sonde_error_type *type = cases[i].type;
		SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(type, "x");

		assert_ptr_equal(type->parent, cases[i].parent);
		assert_int_equal(sonde_error_type_http_status(type), cases[i].http_status);
		assert_int_equal(sonde_error_type_severity(type), cases[i].severity);
		assert_int_equal(sonde_error_type_is_retryable(type), cases[i].is_retryable);
		assert_int_equal(sonde_error_type_has_public_message(type), cases[i].is_public);
		/* And so says the object, which does not ask the type again. */
		assert_int_equal(sonde_error_http_status(error), cases[i].http_status);
		assert_int_equal(sonde__error_severity(error), cases[i].severity);
		assert_int_equal(sonde_error_is_retryable(error), cases[i].is_retryable);
		assert_int_equal(sonde__error_has_public_message(error), cases[i].is_public);
		assert_string_equal(sonde_error_code(error), type->code);
		assert_true(sonde_error_is(error, cases[i].parent));
		for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++)
			assert_int_equal(sonde_error_is(error, cases[k].type),
					 k == i || cases[k].type == cases[i].parent ||
						 cases[k].type == cases[i].parent->parent);
	}
}

static void test_inherits_unless_it_says_otherwise(void **state)
{
	(void)state;
	assert_int_equal(sonde_error_type_http_status(&user_not_found), 404);
	assert_int_equal(sonde_error_type_http_status(&stock_hidden), 410);
	assert_true(sonde_error_type_is_retryable(&stock_gone));
	assert_false(sonde_error_type_is_retryable(&stock_hidden));
	assert_true(sonde_error_type_has_public_message(&stock_gone));
	assert_false(sonde_error_type_has_public_message(&stock_hidden));
	assert_int_equal(sonde_error_type_severity(&stock_gone), SONDE_WARN);
	assert_int_equal(sonde_error_type_severity(&stock_hidden), SONDE_FATAL);
	assert_int_equal(sonde_error_type_http_status(&plain), 504);
	assert_true(sonde_error_type_is(&stock_hidden, &sonde_not_found));
}

static void test_null_is_the_base(void **state)
{
	(void)state;
	assert_int_equal(sonde_error_type_http_status(NULL), 500);
	assert_int_equal(sonde_error_type_severity(NULL), SONDE_ERROR);
	assert_false(sonde_error_type_is_retryable(NULL));
	assert_false(sonde_error_type_has_public_message(NULL));
	assert_true(sonde_error_type_is(NULL, NULL));
	assert_true(sonde_error_type_is(NULL, &sonde_error_base));
	assert_true(sonde_error_type_is(&plain, NULL));
	assert_false(sonde_error_type_is(NULL, &plain));
}

/* As a header that two files include makes them: two objects, one type. */
static void test_same_type_in_two_files(void **state)
{
	struct sonde_error_type twin = user_not_found;
	struct sonde_error_type child = stock_gone;
	struct sonde_error_type other = user_not_found;
	struct sonde_error_type elsewhere = user_not_found;

	(void)state;
	child.parent = &twin;
	assert_true(sonde_error_type_is(&user_not_found, &twin));
	assert_true(sonde_error_type_is(&child, &user_not_found));
	assert_true(sonde_error_type_is(&stock_hidden, &child));
	other.code = "SOMETHING_ELSE";
	assert_false(sonde_error_type_is(&user_not_found, &other));
	elsewhere.parent = &sonde_conflict;
	assert_false(sonde_error_type_is(&user_not_found, &elsewhere));
	assert_false(sonde_error_type_is(&elsewhere, &sonde_not_found));
}

static void test_of_other_versions(void **state)
{
	struct {
		struct sonde_error_type type;
		uint64_t future[4];
	} newer = { .type = stock_gone, .future = { 1, 2, 3, 4 } };
	struct sonde_error_type older = stock_gone;
	struct sonde_error_type no_size = stock_gone;

	(void)state;
	newer.type.size = sizeof(newer);
	assert_int_equal(sonde_error_type_http_status(&newer.type), 410);
	assert_true(sonde_error_type_is(&newer.type, &stock_gone));
	/* Ends before http_status: what lies there is somebody else's. */
	older.size = offsetof(struct sonde_error_type, http_status);
	assert_int_equal(sonde_error_type_http_status(&older), 404);
	assert_false(sonde_error_type_is_retryable(&older));
	assert_true(sonde_error_type_is(&older, &user_not_found));
	older.size = offsetof(struct sonde_error_type, parent);
	assert_int_equal(sonde_error_type_http_status(&older), 500);
	assert_false(sonde_error_type_is(&older, &user_not_found));
	no_size.size = 0;
	assert_int_equal(sonde_error_type_http_status(&no_size), 410);
	assert_true(sonde_error_type_is_retryable(&no_size));
}

static void test_wrong_types_end(void **state)
{
	struct sonde_error_type self = { .size = sizeof(self), .name = "self", .parent = &self };
	struct sonde_error_type a = { .size = sizeof(a), .name = "a" };
	struct sonde_error_type b = { .size = sizeof(b), .name = "b", .parent = &a };
	struct sonde_error_type orphan = { .size = sizeof(orphan) };

	(void)state;
	a.parent = &b;
	assert_int_equal(sonde_error_type_http_status(&self), 500);
	assert_int_equal(sonde_error_type_severity(&a), SONDE_ERROR);
	assert_false(sonde_error_type_is_retryable(&b));
	assert_true(sonde_error_type_is(&self, &sonde_error_base));
	assert_false(sonde_error_type_is(&a, &sonde_conflict));
	assert_false(sonde_error_type_is(&self, &a));
	assert_true(sonde_error_type_is(&orphan, &sonde_error_base));
	assert_int_equal(sonde_error_type_http_status(&orphan), 500);
}

static void test_deep_types(void **state)
{
	struct sonde_error_type types[60];
	char names[60][8];

	(void)state;
	for (size_t i = 0; i < 60; i++) {
		snprintf(names[i], sizeof(names[i]), "t%zu", i);
		types[i] =
			(struct sonde_error_type){ .size = sizeof(types[i]),
						   .name = names[i],
						   .parent = i ? &types[i - 1] : &sonde_conflict };
	}
	for (size_t i = 0; i < 60; i++) {
		assert_true(sonde_error_type_is(&types[59], &types[i]));
		assert_int_equal(sonde_error_type_is(&types[i], &types[59]), i == 59);
		assert_int_equal(sonde_error_type_http_status(&types[i]), 409);
	}
	assert_true(sonde_error_type_is(&types[59], &sonde_conflict));
	/* An error of such a type, of which not all ancestors are copied. */
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&types[59], "deep");

	for (size_t i = 0; i < 60; i++)
		assert_true(sonde_error_is(error, &types[i]));
	assert_true(sonde_error_is(error, &sonde_conflict));
	assert_false(sonde_error_is(error, &sonde_not_found));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_catalogue),
		cmocka_unit_test(test_each_type),
		cmocka_unit_test(test_inherits_unless_it_says_otherwise),
		cmocka_unit_test(test_null_is_the_base),
		cmocka_unit_test(test_same_type_in_two_files),
		cmocka_unit_test(test_of_other_versions),
		cmocka_unit_test(test_wrong_types_end),
		cmocka_unit_test(test_deep_types),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
