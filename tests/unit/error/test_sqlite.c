/* SPDX-License-Identifier: Apache-2.0 */

/* Errors of a real SQLite, brought about by what brings them about. */

#include "support.h"

#include <sys/stat.h>

#include <sonde/error_sqlite.h>

#include "adapter.h"

static sqlite3 *database;

static int database_open(void **state)
{
	(void)state;
	return sqlite3_open(":memory:", &database);
}

static int database_close(void **state)
{
	(void)state;
	return sqlite3_close(database);
}

/* Fails as it is asked to. */
static struct sonde_error *run(const char *sql)
{
	if (sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK)
		return NULL;
	return sonde_error_raise_sqlite(database, "the order %d cannot be kept", 7);
}

static void check(struct sonde_error *error, const struct sonde_error_type *type, const char *code,
		  const char *detail)
{
	assert_non_null(error);
	assert_ptr_equal(sonde_error_type_of(error), type);
	assert_string_equal(sonde_error_message(error), "the order 7 cannot be kept");
	assert_string_equal(sonde_error_detail(error), detail);
	adapter_assert_attribute(error, "db.system.name", "sqlite");
	adapter_assert_attribute(error, "db.response.status_code", code);
	sonde_error_free(error);
}

static void test_constraints(void **state)
{
	(void)state;
	assert_null(run("PRAGMA foreign_keys = ON;"
			"CREATE TABLE o(id INTEGER PRIMARY KEY, mail TEXT UNIQUE NOT NULL, n CHECK(n > 0));"
			"CREATE TABLE i(o REFERENCES o(id));"
			"INSERT INTO o VALUES(1, 'a', 1)"));
	check(run("INSERT INTO o VALUES(1, 'b', 1)"), &sonde_conflict, "1555",
	      "UNIQUE constraint failed: o.id");
	check(run("INSERT INTO o VALUES(2, 'a', 1)"), &sonde_conflict, "2067",
	      "UNIQUE constraint failed: o.mail");
	check(run("INSERT INTO i VALUES(5)"), &sonde_conflict, "787",
	      "FOREIGN KEY constraint failed");
	check(run("INSERT INTO o VALUES(2, NULL, 1)"), &sonde_internal, "1299",
	      "NOT NULL constraint failed: o.mail");
	check(run("INSERT INTO o VALUES(2, 'b', 0)"), &sonde_internal, "275",
	      "CHECK constraint failed: n > 0");
}

static void test_statements(void **state)
{
	(void)state;
	check(run("SELEKT 1"), &sonde_internal, "1", "near \"SELEKT\": syntax error");
	check(run("SELECT * FROM nowhere"), &sonde_internal, "1", "no such table: nowhere");
	assert_null(run("CREATE TABLE t(x)"));
	assert_null(run("PRAGMA max_page_count = 2"));
	check(run("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 5000)"
		  " INSERT INTO t SELECT zeroblob(100) FROM c"),
	      &sonde_exhausted, "13", "database or disk is full");
}

static int interrupt(void *user)
{
	(void)user;
	return 1;
}

static void test_interrupt(void **state)
{
	(void)state;
	sqlite3_progress_handler(database, 1, interrupt, NULL);
	check(run("SELECT 1"), &sonde_cancelled, "9", "interrupted");
}

static void test_locks_and_files(void **state)
{
	char folder[] = "/tmp/sonde-sqlite-XXXXXX";
	char path[64];
	sqlite3 *other;
	struct sonde_error *error;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/db", folder);
	sqlite3_close(database);
	assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_null(run("CREATE TABLE t(x); BEGIN EXCLUSIVE"));
	assert_int_equal(sqlite3_exec(other, "INSERT INTO t VALUES(1)", NULL, NULL, NULL),
			 SQLITE_BUSY);
	error = sonde_error_raise_sqlite(other, "the order 7 cannot be kept");
	assert_true(sonde_error_is_retryable(error));
	check(error, &sonde_unavailable, "5", "database is locked");
	sqlite3_close(other);
	assert_null(run("ROLLBACK"));
	unlink(path);
	rmdir(folder);
	assert_int_equal(sqlite3_open("/nowhere/at/all", &other), SQLITE_CANTOPEN);
	error = sonde_error_raise_sqlite(other, "the order 7 cannot be kept");
	assert_string_equal(sonde_error_errno_name(error), "ENOENT");
	check(error, &sonde_internal, "14", "unable to open database file");
	sqlite3_close(other);
	check(sonde_error_raise_sqlite(NULL, "the order 7 cannot be kept"), &sonde_out_of_memory, "7",
	      "out of memory");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, database_open, database_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_constraints),
		TEST(test_statements),
		TEST(test_interrupt),
		TEST(test_locks_and_files),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
