/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_ERROR_SQLITE_H
#define SONDE_ERROR_SQLITE_H

/*
 * Errors of SQLite.
 *
 *	if (sqlite3_step(statement) != SQLITE_DONE)
 *		return sonde_error_raise_sqlite(database, "the order cannot be kept");
 *
 * Type, text and numbers are of the connection's last failed call: raise before the next one. A
 * constraint that keeps keys unique is sonde_conflict; locks are sonde_unavailable, worth trying
 * again. SQLite's words become the private detail, attributes follow the conventions for database
 * clients. Compiled by whoever includes this: libsonde needs no SQLite.
 */

#include <sqlite3.h>

#include <sonde/error.h>

SONDE_BEGIN_DECLS

/* `code` may be extended. */
static inline const struct sonde_error_type *sonde_error_type_of_sqlite(int code)
{
	switch (code) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_FOREIGNKEY:
#ifdef SQLITE_CONSTRAINT_ROWID
	case SQLITE_CONSTRAINT_ROWID:
#endif
		return &sonde_conflict;
	case SQLITE_IOERR_NOMEM:
		return &sonde_out_of_memory;
	default:
		break;
	}
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return &sonde_unavailable;
	case SQLITE_NOMEM:
		return &sonde_out_of_memory;
	case SQLITE_FULL:
		return &sonde_exhausted;
	case SQLITE_INTERRUPT:
	case SQLITE_ABORT:
		return &sonde_cancelled;
	default:
		return &sonde_internal;
	}
}

/* Adds what SQLite says of the connection's last failure; returns the error. NULL: no memory. */
static inline struct sonde_error *sonde_error_note_sqlite(struct sonde_error *error,
							  sqlite3 *database)
{
	const int code = database ? sqlite3_extended_errcode(database) : SQLITE_NOMEM;
	char number[16];

	sonde_error_set_errno(error, database ? sqlite3_system_errno(database) : 0);
	sonde_error_set_detail(error, "%s",
			       database ? sqlite3_errmsg(database) : sqlite3_errstr(code));
	sqlite3_snprintf((int)sizeof(number), number, "%d", code);
	sonde_error_set(error, sonde_str("db.system.name", "sqlite"));
	sonde_error_set(error, sonde_str("db.response.status_code", number));
	return error;
}

#define sonde_error_raise_sqlite(database, ...) \
	(__extension__({ \
		sqlite3 *const sonde__database = (database); \
		sonde_error_note_sqlite( \
			sonde_error_raise(sonde_error_type_of_sqlite( \
						  sonde__database ? sqlite3_extended_errcode( \
									    sonde__database) \
								  : SQLITE_NOMEM), \
					  __VA_ARGS__), \
			sonde__database); \
	}))

SONDE_END_DECLS

#endif
