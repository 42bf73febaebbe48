/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PROBLEM_H
#define SONDE_PROBLEM_H

/*
 * What a service answers when a request fails: an error as a problem document (RFC 9457) that
 * shows what the client may know and nothing else, and the record of it for those who run the
 * service.
 *
 *	SONDE_REQUEST_ERROR(error);	// what nobody answered is captured at the end of the block
 *	char body[SONDE_PROBLEM_SIZE];
 *
 *	error = place_order(request);
 *	if (error) {
 *		status = sonde_problem_answer(error, body, sizeof(body), NULL);
 *		reply(request, status, SONDE_PROBLEM_CONTENT_TYPE, body);
 *	}
 *
 * The outermost error decides: wrapping says what a failure means to the caller. If its message is
 * public the document carries it, with the error's code and the fields of a validation; below it
 * only what is public too, all the way down. If not, the document says what its status says, and
 * the trace id under which the rest is found.
 */

#include <sonde/base.h>
#include <sonde/error.h>

SONDE_BEGIN_DECLS

#define SONDE_PROBLEM_CONTENT_TYPE "application/problem+json"

/* A buffer of this size holds every message, and the fields of all but the largest validations. */
#define SONDE_PROBLEM_SIZE 4096

struct sonde_problem_options {
	size_t size;
	/*
	 * Where the errors are documented: "https://errors.example/" makes the type of a public
	 * error "https://errors.example/order-not-found", after its code. Default: the type is
	 * "about:blank", and the title the status' own phrase.
	 */
	const char *type_base;
	const char *instance; /* A URI reference of this very failure. Default: none. */
};

#define SONDE_PROBLEM_OPTIONS_INIT { sizeof(struct sonde_problem_options), 0, 0 }

/* The HTTP status to answer with, 400 to 599; 200 for no error. Wait-free, async-signal-safe. */
SONDE_API int sonde_problem_status(const struct sonde_error *error);

/*
 * What the answer's Retry-After header says, in whole seconds, rounded up; -1: none is sent. It is
 * what sonde_error_retry_after_ns tells, with the statuses that say "later": 413, 429 and 503.
 * Async-signal-safe. Standard: RFC 9110, section 10.2.3.
 */
SONDE_API int64_t sonde_problem_retry_after(const struct sonde_error *error);

/*
 * Writes the document and a zero; returns its length. Members: type, title, status, code, trace_id
 * (of the current context), detail, instance, errors. Always valid JSON, whatever bytes the texts
 * hold; where `size` is short the detail is cut and marked, and members are left out from the end,
 * down to "{}", and to nothing below three bytes. "" for no error. `options` may be NULL.
 * Lock-free, allocates nothing, keeps errno.
 */
SONDE_API size_t sonde_problem_write(const struct sonde_error *error, char *buffer, size_t size,
				     const struct sonde_problem_options *options);

/*
 * The same, and records the failure on the current span, which is the server's; returns the status.
 * The span gets http.response.status_code. From 500 on, and where an error in the chain is as bad
 * as SONDE_ERROR, the error is captured, unless it was before; from 500 on the span has failed
 * (status ERROR, error.type). What is a client's mistake alone becomes a log record of the type's
 * severity and leaves the span's status unset. Standard: HTTP semantic conventions. The error stays
 * the caller's. Lock-free.
 */
SONDE_API int sonde_problem_answer(struct sonde_error *error, char *buffer, size_t size,
				   const struct sonde_problem_options *options);

/*
 * Declares the variable that holds a request's error. At the end of the block the error is freed,
 * and captured with sonde.error.handled = false if it was neither answered nor captured: the one
 * handler for what nobody caught.
 */
#define SONDE_REQUEST_ERROR(error) \
	struct sonde_error *error SONDE_CLEANUP(sonde__request_error_end) = 0

SONDE_API void sonde__request_error_end(struct sonde_error **error);

SONDE_END_DECLS

#endif
