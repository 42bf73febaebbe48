/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_ERROR_OPENSSL_H
#define SONDE_ERROR_OPENSSL_H

/*
 * Errors of OpenSSL 3.
 *
 *	if (SSL_connect(ssl) != 1)
 *		return sonde_error_raise_openssl("no secure connection to the bank");
 *
 * Empties the thread's error queue into the chain: the entry that came first is the root cause,
 * each with its own place in OpenSSL; the raised error, with the caller's message and place, is the
 * outermost. It is of the type of the root cause: the system's by its errno, what TLS and
 * certificates say sonde_external_service, a lack of memory sonde_out_of_memory, everything else
 * sonde_internal. Compiled by whoever includes this: libsonde needs no OpenSSL.
 */

#include <stdio.h>

#include <openssl/err.h>

#include <sonde/error.h>
#include <sonde/error_errno.h>

SONDE_BEGIN_DECLS

/* `code` is one of the queue's. */
static inline const struct sonde_error_type *sonde_error_type_of_openssl(unsigned long code)
{
	if (ERR_SYSTEM_ERROR(code))
		return sonde_error_type_of_errno(ERR_GET_REASON(code));
	if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
		return &sonde_out_of_memory;
	switch (ERR_GET_LIB(code)) {
	case ERR_LIB_SSL:
	case ERR_LIB_X509:
	case ERR_LIB_X509V3:
	case ERR_LIB_OCSP:
		return &sonde_external_service;
	default:
		return &sonde_internal;
	}
}

static inline struct sonde_error *sonde__openssl_note(struct sonde_error *error,
						      unsigned long code, const char *data)
{
	const char *library = ERR_lib_error_string(code);
	char hex[24];

	snprintf(hex, sizeof(hex), "%08lX", code);
	sonde_error_set_errno(error, ERR_SYSTEM_ERROR(code) ? ERR_GET_REASON(code) : 0);
	if (data && *data)
		sonde_error_set_detail(error, "%s", data);
	sonde_error_set(error, sonde_str("sonde.openssl.code", hex));
	if (library)
		sonde_error_set(error, sonde_str("sonde.openssl.library", library));
	return error;
}

/*
 * The queue as a chain, the newest entry outermost; NULL: it was empty. OpenSSL keeps 16 at most.
 */
static inline struct sonde_error *sonde_error_take_openssl(void)
{
	struct sonde_error *error = 0;
	const char *function;
	const char *file;
	const char *data;
	unsigned long code;
	int flags;
	int line;

	while ((code = ERR_get_error_all(&file, &line, &function, &data, &flags)) != 0) {
		const char *reason = ERR_SYSTEM_ERROR(code)
					     ? "a system call failed"
					     : ERR_reason_error_string(code);

		error = sonde_error_raise_at(sonde_error_type_of_openssl(code), error, file, line,
					     function, "%s", reason ? reason : "unknown");
		sonde__openssl_note(error, code, flags & ERR_TXT_STRING ? data : 0);
	}
	return error;
}

/* Of the type of the root cause; sonde_internal where the queue was empty. */
static inline const struct sonde_error_type *sonde__openssl_type(const struct sonde_error *chain)
{
	const struct sonde_error *cause;

	if (!chain)
		return &sonde_internal;
	while ((cause = sonde_error_cause(chain)) != 0)
		chain = cause;
	return sonde_error_type_of(chain);
}

#define sonde_error_raise_openssl(...) \
	(__extension__({ \
		struct sonde_error *const sonde__chain = sonde_error_take_openssl(); \
		sonde_error_wrap(sonde__chain, sonde__openssl_type(sonde__chain), __VA_ARGS__); \
	}))

SONDE_END_DECLS

#endif
