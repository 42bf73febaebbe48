/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Errors of a real PostgreSQL server (tests/support/postgres.py), brought about by real statements.
 */

#include "support.h"

#include <sonde/error_pq.h>

#include "adapter.h"

static PGconn *connection;

static int connect_to_server(void **state)
{
	(void)state;
	connection = PQconnectdb("");
	return PQstatus(connection) == CONNECTION_OK ? 0 : -1;
}

static int disconnect(void **state)
{
	(void)state;
	PQfinish(connection);
	return 0;
}

static struct sonde_error *run_on(PGconn *on, const char *sql)
{
	PGresult *result = PQexec(on, sql);
	struct sonde_error *error = NULL;

	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		error = sonde_error_raise_pq(on, result, "order %d cannot be kept", 7);
	PQclear(result);
	return error;
}

static struct sonde_error *run(const char *sql)
{
	return run_on(connection, sql);
}

static void check(struct sonde_error *error, const struct sonde_error_type *type, const char *state,
		  const char *detail)
{
	assert_non_null(error);
	assert_string_equal(sonde_error_detail(error), detail);
	assert_ptr_equal(sonde_error_type_of(error), type);
	assert_string_equal(sonde_error_message(error), "order 7 cannot be kept");
	adapter_assert_attribute(error, "db.system.name", "postgresql");
	adapter_assert_attribute(error, "db.response.status_code", state);
	adapter_assert_attribute(error, "db.namespace", "postgres");
	adapter_assert_attribute(error, "server.address", getenv("PGHOST"));
	assert_int_equal(sonde__error_said_errno(error), 0);
	sonde_error_free(error);
}

static void test_constraints(void **state)
{
	struct sonde_error *error;

	(void)state;
	assert_null(run("CREATE TEMP TABLE orders(id INT PRIMARY KEY, mail TEXT NOT NULL, n INT CHECK (n > 0));"
			"CREATE TEMP TABLE items(o INT REFERENCES orders(id));"
			"INSERT INTO orders VALUES(1, 'a', 1)"));
	error = run("INSERT INTO orders VALUES(1, 'b', 1)");
	adapter_assert_attribute(error, "sonde.pq.constraint", "orders_pkey");
	adapter_assert_attribute(error, "db.collection.name", "orders");
	check(error, &sonde_conflict, "23505",
	      "duplicate key value violates unique constraint \"orders_pkey\"; "
	      "Key (id)=(1) already exists.");
	error = run("INSERT INTO items VALUES(5)");
	assert_type(error, sonde_conflict);
	adapter_assert_attribute(error, "db.response.status_code", "23503");
	sonde_error_free(error);
	error = run("INSERT INTO orders VALUES(2, NULL, 1)");
	adapter_assert_attribute(error, "sonde.pq.column", "mail");
	assert_type(error, sonde_internal);
	adapter_assert_attribute(error, "db.response.status_code", "23502");
	sonde_error_free(error);
	error = run("INSERT INTO orders VALUES(2, 'b', 0)");
	adapter_assert_attribute(error, "db.response.status_code", "23514");
	assert_type(error, sonde_internal);
	sonde_error_free(error);
}

static void test_statements(void **state)
{
	(void)state;
	check(run("SELEKT 1"), &sonde_internal, "42601", "syntax error at or near \"SELEKT\"");
	check(run("SELECT * FROM nowhere"), &sonde_internal, "42P01",
	      "relation \"nowhere\" does not exist");
	check(run("SELECT 1/0"), &sonde_internal, "22012", "division by zero");
	check(run("SET statement_timeout = 20; SELECT pg_sleep(30)"), &sonde_timeout, "57014",
	      "canceling statement due to statement timeout");
	check(run("DO $$ BEGIN RAISE EXCEPTION 'too many' USING ERRCODE = '53300', HINT = 'wait'; END $$"),
	      &sonde_exhausted, "53300", "too many; wait");
	check(run("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$"),
	      &sonde_unavailable, "40001", "again");
}

static void test_cancel(void **state)
{
	PGcancel *cancel = PQgetCancel(connection);
	char text[256];
	PGresult *result;

	(void)state;
	assert_int_equal(PQsendQuery(connection, "SELECT pg_sleep(30)"), 1);
	/* A cancel that comes before the statement is lost: until it is not. */
	do
		assert_int_equal(PQcancel(cancel, text, sizeof(text)), 1);
	while (PQconsumeInput(connection) && PQisBusy(connection));
	result = PQgetResult(connection);
	check(sonde_error_raise_pq(connection, result, "order 7 cannot be kept"), &sonde_cancelled,
	      "57014", "canceling statement due to user request");
	PQclear(result);
	PQfreeCancel(cancel);
}

static void test_locks(void **state)
{
	PGconn *other = PQconnectdb("");

	(void)state;
	assert_null(run("CREATE TABLE locked(x INT)"));
	assert_null(run("BEGIN; LOCK TABLE locked"));
	check(run_on(other, "LOCK TABLE locked NOWAIT"), &sonde_internal, "25P01",
	      "LOCK TABLE can only be used in transaction blocks");
	check(run_on(other, "BEGIN; LOCK TABLE locked NOWAIT"), &sonde_unavailable, "55P03",
	      "could not obtain lock on relation \"locked\"");
	PQfinish(other);
	assert_null(run("ROLLBACK"));
	assert_null(run("DROP TABLE locked"));
}

/* Words of any length and any bytes that the server lets through. */
static void test_long_words(void **state)
{
	struct sonde_error *error = run("DO $$ BEGIN RAISE EXCEPTION '%', repeat('€', 300000); END $$");

	(void)state;
	assert_in_range(strlen(sonde_error_detail(error)), 200, 255);
	assert_true(sonde__utf8_is_valid(sonde_error_detail(error),
					 strlen(sonde_error_detail(error))));
	adapter_assert_attribute(error, "db.response.status_code", "P0001");
	sonde_error_free(error);
}

static void test_no_connection(void **state)
{
	PGconn *nowhere = PQconnectdb("host=/nowhere/at/all");
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		sonde_error_raise_pq(nowhere, NULL, "no database");

	(void)state;
	assert_type(error, sonde_unavailable);
	assert_true(sonde_error_is_retryable(error));
	assert_non_null(strstr(sonde_error_detail(error), "/nowhere/at/all"));
	assert_int_not_equal(sonde_error_detail(error)[strlen(sonde_error_detail(error)) - 1],
			     '\n');
	assert_false(adapter_has_attribute(error, "db.response.status_code"));
	PQfinish(nowhere);
	sonde_error_free(error);
	error = sonde_error_raise_pq(NULL, NULL, "no memory");
	assert_type(error, sonde_out_of_memory);
}

static void test_the_connection_is_ended(void **state)
{
	PGconn *other = PQconnectdb("");
	char sql[64];
	struct sonde_error *error;

	(void)state;
	snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d)", PQbackendPID(other));
	assert_null(run(sql));
	error = run_on(other, "SELECT 1");
	assert_type(error, sonde_unavailable);
	sonde_error_free(error);
	error = run_on(other, "SELECT 1");
	assert_type(error, sonde_unavailable);
	sonde_error_free(error);
	PQfinish(other);
}

static void test_each_class(void **state)
{
	(void)state;
	assert_ptr_equal(sonde_error_type_of_sqlstate("08006"), &sonde_unavailable);
	assert_ptr_equal(sonde_error_type_of_sqlstate("40P01"), &sonde_unavailable);
	assert_ptr_equal(sonde_error_type_of_sqlstate("23P01"), &sonde_conflict);
	assert_ptr_equal(sonde_error_type_of_sqlstate("57P01"), &sonde_unavailable);
	assert_ptr_equal(sonde_error_type_of_sqlstate("57P05"), &sonde_timeout);
	assert_ptr_equal(sonde_error_type_of_sqlstate("58030"), &sonde_external_service);
	assert_ptr_equal(sonde_error_type_of_sqlstate("XX000"), &sonde_external_service);
	assert_ptr_equal(sonde_error_type_of_sqlstate("28P01"), &sonde_internal);
	assert_ptr_equal(sonde_error_type_of_sqlstate("4"), &sonde_internal);
	assert_ptr_equal(sonde_error_type_of_sqlstate(""), &sonde_internal);
	assert_ptr_equal(sonde_error_type_of_sqlstate(NULL), &sonde_internal);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, connect_to_server, disconnect)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_constraints),
		TEST(test_statements),
		TEST(test_cancel),
		TEST(test_locks),
		TEST(test_long_words),
		TEST(test_the_connection_is_ended),
		cmocka_unit_test(test_no_connection),
		cmocka_unit_test(test_each_class),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
