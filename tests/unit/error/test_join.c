/* SPDX-License-Identifier: Apache-2.0 */

/* Several errors as one: who owns what, what the whole is, what happens past every bound. */

#include "support.h"

#include "record/layout.h"

_Static_assert(SONDE__ERROR_NEST_MAX == SONDE__LINK_LEVEL_MAX, "every level of a walk has a place");

static size_t pool_in_use(void)
{
	struct sonde_error *errors[SONDE__ERROR_POOL_SIZE];
	size_t n = 0;

	while (n < SONDE__ERROR_POOL_SIZE) {
		errors[n] = sonde_error_raise(&sonde_internal, "probe");
		if (!(errors[n]->flags & ERROR_IS_POOLED)) {
			sonde_error_free(errors[n]);
			break;
		}
		n++;
	}
	for (size_t i = 0; i < n; i++)
		sonde_error_free(errors[i]);
	return SONDE__ERROR_POOL_SIZE - n;
}

static size_t walk_count(const struct sonde_error *error)
{
	struct sonde__error_walk walk = { .next = error };
	size_t n = 0;

	while (sonde__error_walk(&walk))
		n++;
	return n;
}

static void test_no_error_joins_to_the_other(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");

	(void)state;
	assert_null(sonde_error_join(NULL, NULL));
	assert_ptr_equal(sonde_error_join(error, NULL), error);
	assert_ptr_equal(sonde_error_join(NULL, error), error);
	sonde_error_free(error);
}

static void test_what_it_is(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_not_found, "no row");
	int line;

	(void)state;
	errno = 4711;
	line = __LINE__ + 1;
	error = sonde_error_join(error, sonde_error_raise(&sonde_timeout, "too late"));
	assert_int_equal(errno, 4711);
	assert_string_equal(sonde_error_message(error), "2 errors: no row; too late");
	assert_string_equal(sonde__error_type_name(error), "sonde_timeout");
	assert_string_equal(sonde_error_code(error), "TIMEOUT");
	assert_int_equal(sonde_error_http_status(error), 504);
	assert_int_equal(sonde__error_severity(error), SONDE_ERROR);
	assert_true(sonde_error_is(error, &sonde_timeout));
	assert_false(sonde_error_is(error, &sonde_not_found));
	assert_false(sonde__error_has_public_message(error));
	assert_false(sonde_error_is_retryable(error));
	assert_int_equal(sonde_error_line(error), line);
	assert_string_equal(sonde_error_function(error), __func__);
	assert_null(sonde_error_cause(error));
	assert_string_equal(sonde_error_message(sonde_error_joined(error, 0)), "no row");
	assert_string_equal(sonde_error_message(sonde_error_joined(error, 1)), "too late");
	assert_null(sonde_error_joined(error, 2));
	assert_null(sonde_error_joined(NULL, 0));
	assert_ptr_equal(sonde_error_find(error, &sonde_not_found), sonde_error_joined(error, 0));
	assert_ptr_equal(sonde__error_root(error), sonde_error_joined(error, 1));
	assert_int_equal(sonde__error_said_errno(error), 0);
	sonde_error_free(error);
	assert_int_equal(pool_in_use(), 0);
}

static void test_traits_are_those_of_all(void **state)
{
	struct sonde_error *error = sonde_error_join(sonde_error_raise(&sonde_validation, "a"),
						     sonde_error_raise(&sonde_not_found, "b"));

	(void)state;
	assert_true(sonde__error_has_public_message(error));
	assert_string_equal(sonde_error_code(error), "VALIDATION");
	error = sonde_error_join(error, sonde_error_raise(&sonde_cancelled, "c"));
	assert_false(sonde__error_has_public_message(error));
	assert_string_equal(sonde_error_code(error), "VALIDATION");
	sonde_error_free(error);
	error = sonde_error_join(sonde_error_raise(&sonde_timeout, "a"),
				 sonde_error_raise(&sonde_unavailable, "b"));
	assert_true(sonde_error_is_retryable(error));
	sonde_error_free(error);
}

static void test_a_loop_makes_one_join(void **state)
{
	struct sonde_error *all = NULL;

	(void)state;
	for (int i = 0; i < 100; i++) {
		const struct sonde_error_type *type = i == 60 ? &sonde_internal : &sonde_conflict;

		all = sonde_error_join(all, sonde_error_raise(type, "no %d", i));
	}
	for (size_t i = 0; i + 1 < SONDE_ERROR_JOINED_MAX; i++) {
		char message[16];

		snprintf(message, sizeof(message), "no %zu", i);
		assert_string_equal(sonde_error_message(sonde_error_joined(all, i)), message);
	}
	/* What is worse than all before is worth a place. */
	assert_string_equal(
		sonde_error_message(sonde_error_joined(all, SONDE_ERROR_JOINED_MAX - 1)), "no 60");
	assert_true(sonde_error_is(all, &sonde_internal));
	assert_memory_equal(sonde_error_message(all), "100 errors: no 0; no 1; ", 24);
	assert_int_equal(sonde__error_n_omitted(all), 100 - SONDE_ERROR_JOINED_MAX);
	assert_int_equal(pool_in_use(), SONDE_ERROR_JOINED_MAX + 1);
	sonde_error_free(all);
	assert_int_equal(pool_in_use(), 0);
}

static void test_two_joins_become_one(void **state)
{
	struct sonde_error *a = sonde_error_join(sonde_error_raise(&sonde_conflict, "1"),
						 sonde_error_raise(&sonde_conflict, "2"));
	struct sonde_error *b = sonde_error_join(sonde_error_raise(&sonde_conflict, "3"),
						 sonde_error_raise(&sonde_internal, "4"));

	(void)state;
	a = sonde_error_join(sonde_error_raise(&sonde_conflict, "0"), sonde_error_join(a, b));
	assert_string_equal(sonde_error_message(a), "5 errors: 0; 1; 2; 3; 4");
	assert_string_equal(sonde_error_message(sonde_error_joined(a, 4)), "4");
	assert_int_equal(walk_count(a), 6);
	assert_true(sonde_error_is(a, &sonde_internal));
	assert_int_equal(pool_in_use(), 6);
	sonde_error_free(a);
	assert_int_equal(pool_in_use(), 0);
}

static void test_messages_too_long_to_join(void **state)
{
	char text[SONDE_ERROR_MESSAGE_SIZE];

	(void)state;
	for (size_t length = 200; length < sizeof(text); length++) {
		struct sonde_error *all;
		const char *message;

		memset(text, 'x', length);
		text[length] = '\0';
		all = sonde_error_join(sonde_error_raise(&sonde_conflict, "%s", text),
				       sonde_error_raise(&sonde_conflict, "äöü€𝄞"));
		all = sonde_error_join(all, sonde_error_raise(&sonde_conflict, "third"));
		message = sonde_error_message(all);
		assert_true(strlen(message) < SONDE_ERROR_MESSAGE_SIZE);
		assert_true(sonde__utf8_is_valid(message, strlen(message)));
		assert_memory_equal(message, "3 errors: xxx", 13);
		if (strlen(message) < length + 10 + strlen("; äöü€𝄞; third"))
			assert_string_equal(message + strlen(message) - 3, "…");
		sonde_error_free(all);
	}
}

static void test_attributes_survive_more_errors(void **state)
{
	struct sonde_error *all = sonde_error_join(sonde_error_raise(&sonde_conflict, "1"),
						   sonde_error_raise(&sonde_conflict, "2"));
	uint16_t n_dropped = 0;
	struct sonde_bytes before;
	uint8_t bytes[200];

	(void)state;
	all = sonde_error_with(all, SONDE_ATTRS(sonde_int("a", 1), sonde_str("b", "text")));
	sonde_error_set_detail(all, "batch %d", 7);
	before = sonde__error_attributes(all, &n_dropped);
	memcpy(bytes, before.data, before.size);
	for (int i = 0; i < 10; i++)
		all = sonde_error_join(all, sonde_error_raise(&sonde_internal, "a longer message"));
	assert_int_equal(sonde__error_attributes(all, &n_dropped).size, before.size);
	assert_memory_equal(sonde__error_attributes(all, &n_dropped).data, bytes, before.size);
	assert_string_equal(sonde_error_detail(all), "batch 7");
	sonde_error_free(all);
}

/* ---- Trees ----------------------------------------------------------------------------------- */

static void test_text_of_a_tree(void **state)
{
	static const char expected[] = "sonde_internal: saving failed\n"
				       "caused by: sonde_external_service: 2 errors: no a; no b\n"
				       "  + sonde_external_service: no a\n"
				       "    detail: a said 503\n"
				       "    caused by: sonde_timeout: late [ETIMEDOUT]\n"
				       "  + sonde_unavailable: 2 errors: no c; no d\n"
				       "      + sonde_unavailable: no c\n"
				       "      + sonde_unavailable: no d";
	struct sonde_error *a;
	struct sonde_error *c;
	char text[1000];

	(void)state;
#define RAISE(type, cause, ...) sonde_error_raise_at(type, cause, NULL, 0, NULL, __VA_ARGS__)
	a = RAISE(&sonde_timeout, NULL, "late");
	sonde_error_set_errno(a, ETIMEDOUT);
	a = RAISE(&sonde_external_service, a, "no a");
	sonde_error_set_detail(a, "a said %d", 503);
	c = sonde_error_join_at(RAISE(&sonde_unavailable, NULL, "no c"),
				RAISE(&sonde_unavailable, NULL, "no d"), NULL, 0, NULL);
	c = RAISE(NULL, c, "no b");
	a = sonde_error_join_at(a, c, NULL, 0, NULL);
	a = RAISE(&sonde_internal, a, "saving failed");
	/* The context is a line of its own: taken out here, to be shown below. */
	sonde_error_format_chain(a, text, sizeof(text));
	assert_non_null(strstr(text, "\n  + sonde_unavailable: no b\n"
				     "    caused by: sonde_unavailable: 2 errors: no c; no d\n"
				     "      + sonde_unavailable: no c\n"));
	sonde_error_free(a);

	a = RAISE(&sonde_timeout, NULL, "late");
	sonde_error_set_errno(a, ETIMEDOUT);
	a = RAISE(&sonde_external_service, a, "no a");
	sonde_error_set_detail(a, "a said %d", 503);
	c = sonde_error_join_at(RAISE(&sonde_unavailable, NULL, "no c"),
				RAISE(&sonde_unavailable, NULL, "no d"), NULL, 0, NULL);
	sonde_error_set(c, sonde_int("kept", 1)); /* Something of its own: stays one. */
	a = sonde_error_join_at(a, c, NULL, 0, NULL);
	a = RAISE(&sonde_internal, a, "saving failed");
	sonde_error_format_chain(a, text, sizeof(text));
	assert_memory_equal(text, expected, 30);
	assert_non_null(strstr(text, strstr(expected, "  + sonde_unavailable: 2")));
	assert_non_null(strstr(text, "    caused by: sonde_timeout: late [ETIMEDOUT]\n  + "));
	assert_int_equal(walk_count(a), 7);
	assert_ptr_equal(sonde_error_find(a, &sonde_unavailable),
			 sonde_error_joined(sonde_error_cause(a), 1));
	sonde_error_free(a);
	assert_int_equal(pool_in_use(), 0);
}

/* Joins in joins past the limit, and whole trees that are too much for one more. */
static void test_bounds(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "root");
	char *text = malloc(1 << 20);

	(void)state;
	for (int i = 0; i < 300; i++) {
		error = sonde_error_wrap(error, &sonde_internal, "wrap %d", i);
		error = sonde_error_join(error, sonde_error_raise(&sonde_internal, "beside %d", i));
		assert_true(walk_count(error) <= SONDE__ERROR_TREE_MAX + SONDE__ERROR_CHAIN_MAX);
		assert_true(error->n_objects >= walk_count(error));
		assert_true(error->nest <= SONDE__ERROR_NEST_MAX);
		assert_non_null(sonde__error_root(error));
	}
	assert_true(sonde_error_format_chain(error, text, 1 << 20) < 1 << 20);
	assert_non_null(strstr(text, "beside 299"));
	assert_non_null(strstr(text, "more left out"));
	sonde_error_free(error);
	free(text);
	assert_int_equal(pool_in_use(), 0);
}

static struct sonde_error *chain_of(size_t length, int number)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "root %d", number);

	for (size_t i = 1; i < length; i++)
		error = sonde_error_wrap(error, &sonde_internal, "chain %d, %zu", number, i);
	return error;
}

static void test_long_chains_in_a_join(void **state)
{
	struct sonde_error *all = NULL;

	(void)state;
	for (int i = 0; i < 10; i++)
		all = sonde_error_join(all, chain_of(50, i));
	/* Three fit; of the others nothing is left but their number. */
	assert_null(sonde_error_joined(all, 3));
	assert_int_equal(sonde__error_n_omitted(all), 7);
	assert_int_equal(walk_count(all), 151);
	for (int i = 0; i < 200; i++)
		all = sonde_error_wrap(all, &sonde_internal, "on top");
	assert_int_equal(walk_count(all), SONDE__ERROR_CHAIN_MAX - 1 + 151);
	sonde_error_free(all);
	assert_int_equal(pool_in_use(), 0);
}

/* ---- Captured -------------------------------------------------------------------------------- */

static void test_captured_once(void **state)
{
	struct sonde_error *a = sonde_error_raise(&sonde_timeout, "a");
	struct sonde_error *b = sonde_error_raise(&sonde_timeout, "b");
	uint64_t id = 0;

	(void)state;
	assert_false(sonde__error_mark_captured(a, 11, &id));
	assert_false(sonde__error_mark_captured(b, 12, &id));
	a = sonde_error_join(a, b);
	/* Both are known: the join is no news. */
	assert_true(sonde__error_mark_captured(a, 13, &id));
	assert_int_equal(id, 11);
	/* A third is. */
	a = sonde_error_join(a, sonde_error_raise(&sonde_timeout, "c"));
	assert_false(sonde__error_mark_captured(a, 14, &id));
	a = sonde_error_wrap(a, &sonde_internal, "outer");
	assert_true(sonde__error_mark_captured(a, 15, &id));
	assert_int_equal(id, 14);
	/* A captured join among others that are not. */
	a = sonde_error_join(a, sonde_error_raise(&sonde_timeout, "d"));
	assert_false(sonde__error_mark_captured(a, 16, &id));
	assert_true(sonde__error_mark_captured(a, 17, &id));
	assert_int_equal(id, 16);
	sonde_error_free(a);
}

/* ---- Mistakes -------------------------------------------------------------------------------- */

static void joined_with_itself(void)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "a");

	reports_listen();
	CHECK(sonde_error_join(error, error) == error);
	CHECK(n_reports == 1);
	sonde_error_free(error);
	CHECK(n_reports == 1);
}

static void joined_after_a_free(void)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "a");
	struct sonde_error *gone = sonde_error_raise(&sonde_timeout, "b");

	reports_listen();
	sonde_error_free(gone);
	error = sonde_error_join(error, gone);
	CHECK(n_reports == 1);
	CHECK(walk_count(error) == 2);
	sonde_error_free(error);
	error = sonde_error_raise(&sonde_timeout, "c");
	sonde_error_free(error);
	error = sonde_error_join(error, gone);
	CHECK(error && sonde_error_is(error, &sonde_internal) && walk_count(error) == 1);
	sonde_error_free(error);
}

static void joined_again_by_its_former_owner(void)
{
	struct sonde_error *a = sonde_error_raise(&sonde_timeout, "a");
	struct sonde_error *all = sonde_error_join(a, sonde_error_raise(&sonde_timeout, "b"));

	reports_listen();
	all = sonde_error_join(all, a);
	CHECK(n_reports == 1);
	CHECK(walk_count(all) == 3);
	sonde_error_free(a);
	CHECK(sonde_error_joined(all, 0) == a);
	sonde_error_free(all);
}

static void tree_made_cyclic_by_force(void)
{
	struct sonde_error *a = sonde_error_raise(&sonde_timeout, "a");
	struct sonde_error *b = sonde_error_raise(&sonde_timeout, "b");
	struct sonde_error *all = sonde_error_join(a, b);
	static char text[1 << 20];
	uint64_t id;

	reports_listen();
	b->next = a;
	a->joined = all;
	a->n_joined = 1;
	a->cause = b;
	b->cause = b;
	CHECK(walk_count(all) < 1000);
	CHECK(sonde_error_format_chain(all, text, sizeof(text)) < sizeof(text));
	CHECK(!sonde_error_find(all, &sonde_conflict));
	CHECK(sonde__error_root(all));
	sonde__error_mark_captured(all, 5, &id);
	sonde_error_free(all);
}

static void test_mistakes(void **state)
{
	(void)state;
	run_in_child(joined_with_itself);
	run_in_child(joined_after_a_free);
	run_in_child(joined_again_by_its_former_owner);
	run_in_child(tree_made_cyclic_by_force);
}

static void test_no_memory(void **state)
{
	struct sonde_error *held[SONDE__ERROR_POOL_SIZE];
	struct sonde_error *nothing;

	(void)state;
	for (size_t i = 0; i < SONDE__ERROR_POOL_SIZE; i++)
		held[i] = sonde_error_raise(i ? &sonde_internal : &sonde_conflict, "%zu", i);
	allocator_fails = true;
	nothing = sonde_error_raise(&sonde_conflict, "lost");
	assert_ptr_equal(sonde_error_join(nothing, held[3]), held[3]);
	assert_ptr_equal(sonde_error_join(held[3], nothing), held[3]);
	assert_ptr_equal(sonde_error_join(held[0], held[1]), held[1]);
	held[0] = NULL;
	/* Somebody took the place that was freed: still none for a join. */
	held[0] = sonde_error_raise(&sonde_conflict, "again");
	assert_ptr_equal(sonde_error_join(held[1], held[0]), held[1]);
	assert_int_equal(sonde__error_n_omitted(held[1]), 2);
	held[0] = NULL;
	allocator_fails = false;
	for (size_t i = 0; i < SONDE__ERROR_POOL_SIZE; i++)
		sonde_error_free(held[i]);
	assert_int_equal(pool_in_use(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_error_joins_to_the_other),
		cmocka_unit_test(test_what_it_is),
		cmocka_unit_test(test_traits_are_those_of_all),
		cmocka_unit_test(test_a_loop_makes_one_join),
		cmocka_unit_test(test_two_joins_become_one),
		cmocka_unit_test(test_messages_too_long_to_join),
		cmocka_unit_test(test_attributes_survive_more_errors),
		cmocka_unit_test(test_text_of_a_tree),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_long_chains_in_a_join),
		cmocka_unit_test(test_captured_once),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
