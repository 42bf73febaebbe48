/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_ERROR_PQ_H
#define SONDE_ERROR_PQ_H

/*
 * Errors of PostgreSQL, by libpq.
 *
 *	result = PQexecParams(connection, …);
 *	if (PQresultStatus(result) != PGRES_TUPLES_OK)
 *		error = sonde_error_raise_pq(connection, result, "the order cannot be kept");
 *	PQclear(result);
 *
 * `result` is NULL where there is none: for a connection that was not made, and for a call that
 * failed before the server answered. The type follows the SQLSTATE's class; what keeps keys unique
 * is sonde_conflict, what a retry cures (a deadlock, a serialization failure) sonde_unavailable.
 * The server's words become the private detail: they quote rows. Attributes follow the conventions
 * for database clients. Compiled by whoever includes this: libsonde needs no libpq.
 *
 * Standard: PostgreSQL's appendix A, error codes.
 */

#include <string.h>

#include <libpq-fe.h>

#include <sonde/error.h>

SONDE_BEGIN_DECLS

static inline bool sonde__pq_is(const char *state, const char *prefix)
{
	return strncmp(state, prefix, strlen(prefix)) == 0;
}

/* `state` is a SQLSTATE of five characters, or NULL. */
static inline const struct sonde_error_type *sonde_error_type_of_sqlstate(const char *state)
{
	static const struct {
		char prefix[6];
		const struct sonde_error_type *type;
	} classes[] = {
		{ "08", &sonde_unavailable }, /* Connections. */
		{ "23503", &sonde_conflict }, { "23505", &sonde_conflict },
		{ "23P01", &sonde_conflict }, /* Foreign key, unique, exclusion. */
		{ "25P03", &sonde_timeout }, { "25P04", &sonde_timeout }, /* Idle, and whole, transactions. */
		{ "40", &sonde_unavailable }, /* Rolled back: deadlock, serialization. */
		{ "53", &sonde_exhausted },
		{ "55006", &sonde_unavailable }, { "55P03", &sonde_unavailable }, /* In use, locked. */
		{ "57014", &sonde_cancelled }, { "57P05", &sonde_timeout },
		{ "57P", &sonde_unavailable }, /* Shutting down, starting up. */
		{ "58", &sonde_external_service }, { "XX", &sonde_external_service },
	};

	for (size_t i = 0; state && i < sizeof(classes) / sizeof(classes[0]); i++)
		if (sonde__pq_is(state, classes[i].prefix))
			return classes[i].type;
	return &sonde_internal;
}

/* Of a result's error, or of a connection that failed. */
static inline const struct sonde_error_type *sonde_error_type_of_pq(const PGconn *connection,
								     const PGresult *result)
{
	const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : 0;
	const char *primary = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : 0;

	/* A statement's timeout has the number of a cancel; the words are the server's language. */
	if (state && !strcmp(state, "57014") && primary && strstr(primary, "timeout"))
		return &sonde_timeout;
	if (state)
		return sonde_error_type_of_sqlstate(state);
	if (!connection)
		return &sonde_out_of_memory;
	if (PQstatus(connection) == CONNECTION_BAD)
		return &sonde_unavailable;
	return result && PQresultStatus(result) == PGRES_BAD_RESPONSE ? &sonde_external_service
								       : &sonde_internal;
}

static inline void sonde__pq_note_field(struct sonde_error *error, const char *key,
					const PGresult *result, int field)
{
	const char *text = PQresultErrorField(result, field);

	if (text && *text)
		sonde_error_set(error, sonde_str(key, text));
}

/* The server's words: "message; detail; hint", or the connection's, without the end of the line. */
static inline void sonde__pq_note_detail(struct sonde_error *error, const PGconn *connection,
					 const PGresult *result)
{
	const char *primary = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : 0;
	const char *detail = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL) : 0;
	const char *hint = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_HINT) : 0;
	const char *said = connection ? PQerrorMessage(connection) : "out of memory";
	int size = (int)strlen(said);

	while (size > 0 && said[size - 1] == '\n')
		size--;
	if (primary)
		sonde_error_set_detail(error, "%s%s%s%s%s", primary, detail ? "; " : "",
				       detail ? detail : "", hint ? "; " : "", hint ? hint : "");
	else
		sonde_error_set_detail(error, "%.*s", size, said);
}

/* Adds what libpq says; returns the error. `connection` and `result` may be NULL. */
static inline struct sonde_error *sonde_error_note_pq(struct sonde_error *error,
						      const PGconn *connection,
						      const PGresult *result)
{
	sonde_error_set_errno(error, 0);
	sonde__pq_note_detail(error, connection, result);
	sonde_error_set(error, sonde_str("db.system.name", "postgresql"));
	if (result) {
		sonde__pq_note_field(error, "db.response.status_code", result, PG_DIAG_SQLSTATE);
		sonde__pq_note_field(error, "sonde.pq.constraint", result,
				     PG_DIAG_CONSTRAINT_NAME);
		sonde__pq_note_field(error, "db.collection.name", result, PG_DIAG_TABLE_NAME);
		sonde__pq_note_field(error, "sonde.pq.column", result, PG_DIAG_COLUMN_NAME);
	}
	if (connection && PQdb(connection))
		sonde_error_set(error, sonde_str("db.namespace", PQdb(connection)));
	if (connection && PQhost(connection) && *PQhost(connection))
		sonde_error_set(error, sonde_str("server.address", PQhost(connection)));
	return error;
}

#define sonde_error_raise_pq(connection, result, ...) \
	(__extension__({ \
		const PGconn *const sonde__connection = (connection); \
		const PGresult *const sonde__result = (result); \
		sonde_error_note_pq(sonde_error_raise(sonde_error_type_of_pq(sonde__connection, \
									     sonde__result), \
						      __VA_ARGS__), \
				    sonde__connection, sonde__result); \
	}))

SONDE_END_DECLS

#endif
