/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_ERROR_ERRNO_H
#define SONDE_ERROR_ERRNO_H

/*
 * Errors of the operating system.
 *
 *	if (open(path, O_RDONLY) < 0)
 *		return sonde_error_raise_errno(errno, "the price list cannot be read");
 *
 * The type follows the number (ENOENT is sonde_not_found), the number becomes the error's errno,
 * and the system's text its private detail: the message is the caller's alone. What the number
 * means to a client the caller says by wrapping: a missing file is seldom the client's 404.
 */

#include <errno.h>

#include <sonde/error.h>

SONDE_BEGIN_DECLS

/* Wait-free, async-signal-safe. */
static inline const struct sonde_error_type *sonde_error_type_of_errno(int number)
{
	switch (number) {
	case ENOENT:
	case ENOTDIR:
	case ENXIO:
	case ENODEV:
	case ESRCH:
	case ENODATA:
		return &sonde_not_found;
	case EACCES:
	case EPERM:
	case EROFS:
		return &sonde_forbidden;
	case EEXIST:
	case ENOTEMPTY:
	case ETXTBSY:
	case ESTALE:
		return &sonde_conflict;
	case ETIMEDOUT:
	case ETIME:
		return &sonde_timeout;
	case ENOMEM:
		return &sonde_out_of_memory;
	case EMFILE:
	case ENFILE:
	case ENOSPC:
	case EDQUOT:
	case ENOBUFS:
	case ENOLCK:
	case EUSERS:
		return &sonde_exhausted;
	case EAGAIN:
	case EBUSY:
	case EDEADLK:
	case EADDRINUSE:
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
	case ENOTCONN:
	case ESHUTDOWN:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENETDOWN:
	case ENETUNREACH:
	case ENETRESET:
		return &sonde_unavailable;
	case ECANCELED:
	case EINTR:
		return &sonde_cancelled;
	default:
		return &sonde_internal;
	}
}

/* Makes `number` the error's errno, and the system's text its detail; returns the error. */
SONDE_API struct sonde_error *sonde_error_note_errno(struct sonde_error *error, int number);

#define sonde_error_raise_errno(number, ...) \
	(__extension__({ \
		const int sonde__number = (number); \
		sonde_error_note_errno( \
			sonde_error_raise(sonde_error_type_of_errno(sonde__number), __VA_ARGS__), \
			sonde__number); \
	}))

SONDE_END_DECLS

#endif
