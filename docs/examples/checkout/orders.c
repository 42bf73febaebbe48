/* SPDX-License-Identifier: Apache-2.0 */
/* One connection a thread: a slow query holds up nobody else's. */
#include "checkout.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <sqlite3.h>
#include <sonde/error_sqlite.h>

#define BUSY_MS 5000

SONDE_ERROR_TYPE(database_failed, sonde_internal, "DATABASE_FAILED");

struct orders {
	const char *path;
	pthread_key_t connection_key;
};

static void wait_ms(sqlite3_context *context, int argc, sqlite3_value **argv)
{
	long ms = argc ? sqlite3_value_int(argv[0]) : 0;
	struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&pause, NULL);
	sqlite3_result_int64(context, ms);
}

static void disconnect(void *database)
{
	sqlite3_close(database);
}

static struct sonde_error *connect_to(const char *path, sqlite3 **ret)
{
	static const char setup[] =
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
		"CREATE TABLE IF NOT EXISTS orders(id INTEGER PRIMARY KEY, items INTEGER)";
	struct sonde_error *error;
	sqlite3 *database;

	if (sqlite3_open(path, &database) == SQLITE_OK &&
	    sqlite3_busy_timeout(database, BUSY_MS) == SQLITE_OK &&
	    sqlite3_create_function(database, "wait_ms", 1, SQLITE_UTF8, NULL, wait_ms, NULL, NULL) ==
		    SQLITE_OK &&
	    sqlite3_exec(database, setup, NULL, NULL, NULL) == SQLITE_OK) {
		*ret = database;
		return NULL;
	}
	error = sonde_error_raise_sqlite(database, "the database cannot be opened");
	sqlite3_close(database);
	return error;
}

static struct sonde_error *own_connection(struct orders *orders, sqlite3 **ret)
{
	struct sonde_error *error;

	*ret = pthread_getspecific(orders->connection_key);
	if (*ret)
		return NULL;
	error = connect_to(orders->path, ret);
	if (!error)
		pthread_setspecific(orders->connection_key, *ret);
	return error;
}

struct sonde_error *orders_open(const char *path, struct orders **ret)
{
	struct orders *orders = calloc(1, sizeof(*orders));
	struct sonde_error *error;
	sqlite3 *database;

	if (!orders)
		return sonde_error_raise(&sonde_out_of_memory, "no memory for the orders");
	orders->path = path;
	pthread_key_create(&orders->connection_key, disconnect);
	error = own_connection(orders, &database);
	if (error) {
		orders_close(orders);
		return sonde_error_wrap(error, &database_failed, "orders cannot be kept in %s", path);
	}
	*ret = orders;
	return NULL;
}

void orders_close(struct orders *orders)
{
	disconnect(pthread_getspecific(orders->connection_key));
	pthread_key_delete(orders->connection_key);
	free(orders);
}

/*
 * Runs one statement with numbers for its parameters; *ret_number is the first row's first column.
 */
static struct sonde_error *run(struct orders *orders, const char *sql, const long *numbers,
			       int n_numbers, long *ret_number)
{
	sqlite3_stmt *statement = NULL;
	struct sonde_error *error;
	sqlite3 *database;
	int status;

	error = own_connection(orders, &database);
	if (error)
		return error;
	if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK)
		return sonde_error_raise_sqlite(database, "a statement was not understood");
	for (int i = 0; i < n_numbers; i++)
		sqlite3_bind_int64(statement, i + 1, numbers[i]);
	status = sqlite3_step(statement);
	if (status == SQLITE_ROW)
		*ret_number = (long)sqlite3_column_int64(statement, 0);
	else if (status != SQLITE_DONE)
		error = sonde_error_raise_sqlite(database, "a statement failed");
	sqlite3_finalize(statement);
	return error;
}

static void describe(struct sonde_span *span, const char *operation, const char *sql)
{
	sonde_span_set_str(span, "db.system.name", "sqlite");
	sonde_span_set_str(span, "db.operation.name", operation);
	sonde_span_set_str(span, "db.collection.name", "orders");
	sonde_span_set_str(span, "db.query.text", sql);
}

struct sonde_error *orders_insert(struct orders *orders, const struct order *order)
{
	static const char sql[] = "INSERT OR REPLACE INTO orders VALUES(?, ?)";
	const long numbers[] = { order->id, order->n_items };
	long ignored;

	SONDE_SPAN(span, "INSERT orders", .kind = SONDE_KIND_CLIENT);
	SONDE_TIMED("INSERT orders");
	describe(span, "INSERT", sql);
	return run(orders, sql, numbers, 2, &ignored);
}

struct sonde_error *orders_report(struct orders *orders, long wait_ms_, long *ret_count)
{
	static const char sql[] = "SELECT count(*), wait_ms(?) FROM orders";

	SONDE_SPAN(span, "SELECT orders", .kind = SONDE_KIND_CLIENT);
	SONDE_TIMED("orders report query");
	describe(span, "SELECT", sql);
	return run(orders, sql, &wait_ms_, 1, ret_count);
}
