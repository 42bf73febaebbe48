/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CAPTURE_PROBLEM_H
#define SONDE_CAPTURE_PROBLEM_H

/* How an answered error is recorded. */

#include <stdint.h>

#include <sonde/error.h>

/*
 * Captures the error, if it was not before, in the forms that the options ask for; without a span
 * event where it is no failure of the current span's. Returns the SONDE__RECORD_WITH_… forms; 0:
 * it was captured before.
 */
uint8_t sonde__error_capture_forms(struct sonde_error *error, bool fails_span);

/*
 * Records an answer of `status` on the current span, and the error as it deserves. The gate is
 * open.
 */
void sonde__problem_record(struct sonde_error *error, int status);

#endif
