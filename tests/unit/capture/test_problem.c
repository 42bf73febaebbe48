/* SPDX-License-Identifier: Apache-2.0 */

/* The problem document: what it shows and hides, and that it is JSON whatever the bytes. */

#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <sonde/problem.h>

#include "base/utf8.h"

SONDE_ERROR_TYPE(order_not_paid, sonde_conflict, "ORDER_NOT_PAID");
SONDE_ERROR_TYPE(database_failed, sonde_internal, "DATABASE_FAILED");

#define HIDDEN "\"detail\":\"The request could not be completed.\"}"

static const char *write_with(struct sonde_error *error,
			      const struct sonde_problem_options *options)
{
	static char body[SONDE_PROBLEM_SIZE];

	size_t length = sonde_problem_write(error, body, sizeof(body), options);

	assert_int_equal(length, strlen(body));
	sonde_error_free(error);
	return body;
}

static const char *body_of(struct sonde_error *error)
{
	return write_with(error, /* options= */ NULL);
}

/* ---- What is shown --------------------------------------------------------------------------- */

static void test_each_type(void **state)
{
	static const struct {
		const struct sonde_error_type *type;
		const char *body;
	} cases[] = {
#define PUBLIC(type, status, title, code) \
	{ &type, "{\"type\":\"about:blank\",\"title\":\"" title "\",\"status\":" #status \
		 ",\"code\":\"" code "\",\"detail\":\"secret\"}" }
#define SECRET(type, status, title, code) \
	{ &type, "{\"type\":\"about:blank\",\"title\":\"" title "\",\"status\":" #status \
		 ",\"code\":\"" code "\"," HIDDEN }
		PUBLIC(sonde_bad_request, 400, "Bad Request", "BAD_REQUEST"),
		PUBLIC(sonde_validation, 422, "Unprocessable Content", "VALIDATION"),
		PUBLIC(sonde_unauthorized, 401, "Unauthorized", "UNAUTHORIZED"),
		PUBLIC(sonde_forbidden, 403, "Forbidden", "FORBIDDEN"),
		PUBLIC(sonde_not_found, 404, "Not Found", "NOT_FOUND"),
		PUBLIC(sonde_conflict, 409, "Conflict", "CONFLICT"),
		PUBLIC(order_not_paid, 409, "Conflict", "ORDER_NOT_PAID"),
		SECRET(sonde_cancelled, 499, "Client Closed Request", "CANCELLED"),
		SECRET(sonde_error_base, 500, "Internal Server Error", "INTERNAL"),
		SECRET(sonde_internal, 500, "Internal Server Error", "INTERNAL"),
		SECRET(database_failed, 500, "Internal Server Error", "INTERNAL"),
		SECRET(sonde_external_service, 502, "Bad Gateway", "EXTERNAL_SERVICE"),
		SECRET(sonde_out_of_memory, 503, "Service Unavailable", "UNAVAILABLE"),
		SECRET(sonde_unavailable, 503, "Service Unavailable", "UNAVAILABLE"),
		SECRET(sonde_exhausted, 503, "Service Unavailable", "UNAVAILABLE"),
		SECRET(sonde_timeout, 504, "Gateway Timeout", "TIMEOUT"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(body_of(sonde_error_raise(cases[i].type, "secret")), cases[i].body);
}

/* Who asked is to be told no more than a collector. */
static void test_secrets_do_not_answer(void **state)
{
	struct sonde_problem_options options = SONDE_PROBLEM_OPTIONS_INIT;
	struct sonde_error *error;
	const char *body;

	(void)state;
	options.instance = "/orders?access_token=hunter1";
	error = sonde_error_raise(&sonde_validation,
				  "card 4111 1111 1111 1111 of postgres://u:hunter2@db, Bearer abc123");
	sonde_error_add_field(error, "pan", "4111111111111111 is expired");
	sonde_error_add_field(error, "password=hunter3", "is bad");
	body = write_with(error, &options);
	assert_null(strstr(body, "hunter"));
	assert_null(strstr(body, "4111"));
	assert_null(strstr(body, "abc123"));
	assert_non_null(strstr(body, "\"detail\":\"card [redacted] of "
				     "postgres://REDACTED:REDACTED@db, Bearer [redacted]\""));
	assert_non_null(strstr(body, "\"instance\":\"/orders?access_token=[redacted]\""));
	assert_non_null(strstr(body, "{\"detail\":\"[redacted] is expired\",\"pointer\":\"#/pan\"}"));
	assert_non_null(strstr(body, "{\"detail\":\"is bad\",\"pointer\":\"#\"}"));
}

static void test_statuses_out_of_range(void **state)
{
	SONDE_ERROR_TYPE(success, sonde_internal, "OK", .http_status = 200);
	SONDE_ERROR_TYPE(teapot, sonde_conflict, "TEAPOT", .http_status = 418);
	SONDE_ERROR_TYPE(strange, sonde_internal, "STRANGE", .http_status = 599);
	struct sonde_error *error = sonde_error_raise(&success, "x");

	(void)state;
	assert_int_equal(sonde_problem_status(NULL), 200);
	assert_int_equal(sonde_problem_status(error), 500);
	sonde_error_free(error);
	assert_non_null(strstr(body_of(sonde_error_raise(&teapot, "x")),
			       "\"title\":\"Bad Request\",\"status\":418,\"code\":\"TEAPOT\""));
	assert_non_null(strstr(body_of(sonde_error_raise(&strange, "x")),
			       "\"title\":\"Internal Server Error\",\"status\":599"));
}

static void test_options(void **state)
{
	struct sonde_problem_options options = SONDE_PROBLEM_OPTIONS_INIT;

	(void)state;
	options.type_base = "https://errors.example/\"";
	options.instance = "/orders/7";
	assert_string_equal(write_with(sonde_error_raise(&order_not_paid, "not paid"), &options),
			    "{\"type\":\"https://errors.example/\\\"order-not-paid\","
			    "\"title\":\"Order not paid\",\"status\":409,"
			    "\"code\":\"ORDER_NOT_PAID\",\"detail\":\"not paid\","
			    "\"instance\":\"/orders/7\"}");
	/* What an error is called says something about it, too. */
	assert_null(strstr(write_with(sonde_error_raise(&database_failed, "x"), &options), "atabase"));
	options.size = 0;
	assert_non_null(strstr(write_with(sonde_error_raise(&order_not_paid, "x"), &options),
			       "\"about:blank\""));
}

static void test_the_outermost_decides(void **state)
{
	struct sonde_error *error = sonde_error_raise(&database_failed, "password=hunter2");
	const char *body;

	(void)state;
	sonde_error_set_detail(error, "hunter2");
	error = sonde_error_wrap(error, &order_not_paid, "order 7 was not paid");
	sonde_error_set_detail(error, "hunter2");
	sonde_error_set(error, sonde_str("secret", "hunter2"));
	body = body_of(error);
	assert_non_null(strstr(body, "\"status\":409"));
	assert_non_null(strstr(body, "\"detail\":\"order 7 was not paid\"}"));
	assert_null(strstr(body, "hunter2"));

	error = sonde_error_raise(&sonde_not_found, "row 7 is not there");
	sonde_error_add_field(error, "row", "is not there");
	body = body_of(sonde_error_wrap(error, &sonde_internal, "broken"));
	assert_non_null(strstr(body, "\"status\":500"));
	assert_null(strstr(body, "row"));
	assert_null(strstr(body, "broken"));
}

static void test_trace_id(void **state)
{
	struct sonde_context context;
	struct sonde_context empty = SONDE_CONTEXT_INIT;

	(void)state;
	assert_int_equal(sonde_context_from_traceparent(
				 "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", NULL,
				 &context),
			 SONDE_OK);
	sonde_context_attach(&context);
	assert_non_null(strstr(body_of(sonde_error_raise(&sonde_conflict, "x")),
			       "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\""));
	assert_non_null(strstr(body_of(sonde_error_raise(&sonde_internal, "x")),
			       "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"detail\":"
			       "\"The request could not be completed. Name the trace_id when you "
			       "report it.\""));
	sonde_context_attach(&empty);
	assert_null(strstr(body_of(sonde_error_raise(&sonde_internal, "x")), "trace_id"));
}

/* ---- Fields ---------------------------------------------------------------------------------- */

static void test_fields(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_validation, "the order is not valid");

	(void)state;
	errno = 4711;
	sonde_error_set(error, sonde_int("order.id", 7));
	sonde_error_add_field(error, "email", "is not an \"%s\"", "address");
	sonde_error_add_field(error, "/items/0/price", "is negative");
	sonde_error_add_field(error, "a/b~c \xff\"", "odd");
	sonde_error_add_field(error, "email", "is too long");
	sonde_error_add_field(error, "", "no name");
	sonde_error_add_field(error, NULL, "again");
	sonde_error_add_field(NULL, "email", "no error");
	assert_int_equal(errno, 4711);
	assert_non_null(strstr(body_of(error),
			       "\"errors\":["
			       "{\"detail\":\"is negative\",\"pointer\":\"#/items/0/price\"},"
			       "{\"detail\":\"odd\",\"pointer\":\"#/a~1b~0c%20%ff%22\"},"
			       "{\"detail\":\"is not an \\\"address\\\"; is too long\","
			       "\"pointer\":\"#/email\"},"
			       "{\"detail\":\"no name; again\",\"pointer\":\"#/\"}]}"));
}

/* Of joined errors the public ones say what they are; nothing comes out of those that are not. */
static void test_joined(void **state)
{
	struct sonde_error *a = sonde_error_raise(&sonde_validation, "no name");
	struct sonde_error *b = sonde_error_raise(&sonde_validation, "a bad place");
	struct sonde_error *c = sonde_error_raise(&sonde_not_found, "hunter2");
	const char *body;

	(void)state;
	sonde_error_add_field(b, "place", "is nowhere");
	sonde_error_add_field(c, "hunter2", "hunter2");
	b = sonde_error_wrap(b, &sonde_validation, "around");
	c = sonde_error_wrap(c, &sonde_validation, "before");
	c = sonde_error_wrap(c, &sonde_cancelled, "hunter2");
	a = sonde_error_join(a, b);
	a = sonde_error_join(a, c);
	/* One of them is not public, so the whole is not. */
	assert_null(strstr(body_of(a), "hunter2"));

	a = sonde_error_raise(&sonde_validation, "no name");
	b = sonde_error_raise(&sonde_validation, "a bad place");
	c = sonde_error_raise(&sonde_internal, "hunter2");
	sonde_error_add_field(b, "place", "is nowhere");
	c = sonde_error_wrap(c, &sonde_conflict, "taken");
	a = sonde_error_join(a, sonde_error_join(b, c));
	body = body_of(a);
	assert_non_null(strstr(body, "\"detail\":\"3 errors: no name; a bad place; taken\""));
	assert_non_null(strstr(body, "\"errors\":[{\"detail\":\"no name\"},"
				     "{\"detail\":\"is nowhere\",\"pointer\":\"#/place\"},"
				     "{\"detail\":\"taken\"}]}"));
	assert_null(strstr(body, "hunter2"));
}

/* ---- Any bytes, any room --------------------------------------------------------------------- */

struct reader {
	const char *at;
	const char *end;
};

static bool value_is_json(struct reader *reader);

static bool take(struct reader *reader, char byte)
{
	if (reader->at == reader->end || *reader->at != byte)
		return false;
	reader->at++;
	return true;
}

static bool string_is_json(struct reader *reader)
{
	if (!take(reader, '"'))
		return false;
	while (reader->at < reader->end && *reader->at != '"') {
		unsigned char byte = (unsigned char)*reader->at++;

		if (byte < 0x20)
			return false;
		if (byte != '\\')
			continue;
		if (reader->at == reader->end || !strchr("\"\\/bfnrtu", *reader->at))
			return false;
		if (*reader->at++ == 'u') {
			for (int i = 0; i < 4; i++, reader->at++)
				if (reader->at == reader->end ||
				    !strchr("0123456789abcdef", *reader->at))
					return false;
		}
	}
	return take(reader, '"');
}

static bool list_is_json(struct reader *reader, char close, bool has_names)
{
	if (take(reader, close))
		return true;
	do {
		if (has_names && (!string_is_json(reader) || !take(reader, ':')))
			return false;
		if (!value_is_json(reader))
			return false;
	} while (take(reader, ','));
	return take(reader, close);
}

static bool value_is_json(struct reader *reader)
{
	const char *start = reader->at;

	if (take(reader, '{'))
		return list_is_json(reader, '}', true);
	if (take(reader, '['))
		return list_is_json(reader, ']', false);
	if (reader->at < reader->end && *reader->at == '"')
		return string_is_json(reader);
	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
		reader->at++;
	return reader->at > start;
}

static void assert_json(const char *body, size_t length)
{
	struct reader reader = { body, body + length };

	assert_true(sonde__utf8_is_valid(body, length));
	if (!value_is_json(&reader))
		fail_msg("%s", body);
	assert_ptr_equal(reader.at, reader.end);
}

static struct sonde_error *everything(void)
{
	struct sonde_error *error = sonde_error_raise(&sonde_validation, "größer als 10 €: \"\x01\xf0\x9f\"");

	sonde_error_add_field(error, "näme", "fählt");
	sonde_error_add_field(error, "b", "x\ny");
	return sonde_error_join(error, sonde_error_raise(&sonde_validation, "𝄞"));
}

static void test_every_size(void **state)
{
	struct sonde_problem_options options = SONDE_PROBLEM_OPTIONS_INIT;
	struct sonde_error *error = everything();
	char whole[SONDE_PROBLEM_SIZE];
	size_t length;

	(void)state;
	options.type_base = "https://e.example/";
	options.instance = "urn:uuid:1";
	length = sonde_problem_write(error, whole, sizeof(whole), &options);
	assert_json(whole, length);
	assert_non_null(strstr(whole, "\\u0001"));
	for (size_t size = 0; size <= length + 2; size++) {
		char *body = malloc(size ? size : 1); /* Exact, for the sanitizer. */
		size_t written = sonde_problem_write(error, body, size, &options);

		if (size < 3) {
			assert_int_equal(written, 0);
			assert_true(size == 0 || !*body);
		} else {
			assert_true(written < size && written == strlen(body));
			assert_json(body, written);
			assert_true(size <= length || written == length);
		}
		free(body);
	}
	assert_int_equal(sonde_problem_write(error, NULL, 100, NULL), 0);
	assert_int_equal(sonde_problem_write(NULL, whole, sizeof(whole), NULL), 0);
	assert_string_equal(whole, "");
	sonde_error_free(error);
}

static void test_any_bytes(void **state)
{
	uint64_t random = 88172645463325252u;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct sonde_error *error;
		char text[300], body[1200];
		size_t size = (size_t)(random % 290), room;

		for (size_t k = 0; k < size; k++) {
			random ^= random << 13, random ^= random >> 7, random ^= random << 17;
			text[k] = (char)(random >> 20);
			if (random % 7 == 0)
				text[k] = "\"\\\x1f\xe2\x80\xa6\xf4"[random % 49 / 7];
			text[k] = text[k] ? text[k] : '"';
		}
		text[size] = '\0';
		error = sonde_error_raise(&sonde_validation, "%s", text);
		sonde_error_add_field(error, text, "%s", text);
		room = 3 + (size_t)(random >> 13) % (sizeof(body) - 3);
		assert_json(body, sonde_problem_write(error, body, room, NULL));
		sonde_error_free(error);
	}
}

/* A detail that does not fit is cut where a character begins, and says so. */
static void test_detail_is_cut(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_conflict, "äöüäöüäöüäöüäöüäöü");
	char body[120];
	size_t length = sonde_problem_write(error, body, sizeof(body), NULL);

	(void)state;
	assert_json(body, length);
	assert_in_range(length, sizeof(body) - 3, sizeof(body) - 1);
	assert_string_equal(body + length - 5, "…\"}");
	sonde_error_free(error);
}

static void test_retry_after(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_rate_limited, "slower");

	(void)state;
	assert_int_equal(sonde_problem_retry_after(NULL), -1);
	assert_int_equal(sonde_problem_retry_after(error), -1);
	sonde_error_set_retry_after(error, 0);
	assert_int_equal(sonde_problem_retry_after(error), 0);
	sonde_error_set_retry_after(error, 1);
	assert_int_equal(sonde_problem_retry_after(error), 1);
	sonde_error_set_retry_after(error, UINT64_C(2000000000));
	assert_int_equal(sonde_problem_retry_after(error), 2);
	error = sonde_error_wrap(error, &sonde_unavailable, "not now");
	assert_int_equal(sonde_problem_retry_after(error), 2);
	/* Another attempt would not help, whatever somebody below asked for. */
	error = sonde_error_wrap(error, &sonde_internal, "lost");
	assert_int_equal(sonde_problem_retry_after(error), -1);
	sonde_error_free(error);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_type),
		TEST(test_secrets_do_not_answer),
		TEST(test_statuses_out_of_range),
		TEST(test_options),
		TEST(test_the_outermost_decides),
		TEST(test_trace_id),
		TEST(test_fields),
		TEST(test_joined),
		TEST(test_every_size),
		TEST(test_any_bytes),
		TEST(test_detail_is_cut),
		TEST(test_retry_after),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
