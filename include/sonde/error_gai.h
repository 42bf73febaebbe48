/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_ERROR_GAI_H
#define SONDE_ERROR_GAI_H

/*
 * Errors of getaddrinfo and getnameinfo.
 *
 *	status = getaddrinfo(host, port, &hints, &found);
 *	if (status)
 *		return sonde_error_raise_gai(status, host, "the bank's host is not known");
 *
 * A name that does not resolve is a dependency that cannot be reached, not something the client
 * asked for: sonde_external_service, or sonde_unavailable where trying again may help.
 */

#include <errno.h>
#include <netdb.h>

#include <sonde/error.h>
#include <sonde/error_errno.h>

/* Where a strict standard hides getaddrinfo there is nothing to adapt. */
#ifdef EAI_AGAIN

SONDE_BEGIN_DECLS

/* EAI_SYSTEM: as errno says, which is the number's of the call. */
static inline const struct sonde_error_type *sonde_error_type_of_gai(int status)
{
	switch (status) {
	case EAI_AGAIN:
		return &sonde_unavailable;
	case EAI_FAIL:
	case EAI_NONAME:
		return &sonde_external_service;
	case EAI_MEMORY:
		return &sonde_out_of_memory;
	case EAI_SYSTEM:
		return sonde_error_type_of_errno(errno);
	default:
#ifdef EAI_NODATA /* Of no standard any more, but glibc's with _GNU_SOURCE. */
		if (status == EAI_NODATA)
			return &sonde_external_service;
#endif
		return &sonde_internal;
	}
}

/* "EAI_AGAIN"; NULL for a number that is none. */
static inline const char *sonde__gai_name(int status)
{
	switch (status) {
	case EAI_AGAIN:
		return "EAI_AGAIN";
	case EAI_BADFLAGS:
		return "EAI_BADFLAGS";
	case EAI_FAIL:
		return "EAI_FAIL";
	case EAI_FAMILY:
		return "EAI_FAMILY";
	case EAI_MEMORY:
		return "EAI_MEMORY";
	case EAI_NONAME:
		return "EAI_NONAME";
	case EAI_OVERFLOW:
		return "EAI_OVERFLOW";
	case EAI_SERVICE:
		return "EAI_SERVICE";
	case EAI_SOCKTYPE:
		return "EAI_SOCKTYPE";
	case EAI_SYSTEM:
		return "EAI_SYSTEM";
	default:
		return 0;
	}
}

/*
 * Adds the status' name and text, and the host that was asked for (may be NULL); returns the error.
 * `number` is errno as the call left it.
 */
static inline struct sonde_error *sonde_error_note_gai(struct sonde_error *error, int status,
						       int number, const char *host)
{
	const char *name = sonde__gai_name(status);

	if (status == EAI_SYSTEM) {
		sonde_error_note_errno(error, number);
	} else {
		sonde_error_set_errno(error, 0);
		sonde_error_set_detail(error, "%s", gai_strerror(status));
	}
	if (name)
		sonde_error_set(error, sonde_str("sonde.gai.status", name));
	else
		sonde_error_set(error, sonde_int("sonde.gai.status", status));
	if (host)
		sonde_error_set(error, sonde_str("server.address", host));
	return error;
}

#define sonde_error_raise_gai(status, host, ...) \
	(__extension__({ \
		const int sonde__number = errno; \
		const int sonde__status = (status); \
		sonde_error_note_gai( \
			sonde_error_raise(sonde_error_type_of_gai(sonde__status), __VA_ARGS__), \
			sonde__status, sonde__number, (host)); \
	}))

SONDE_END_DECLS

#endif

#endif
