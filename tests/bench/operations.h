/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BENCH_OPERATIONS_H
#define SONDE_BENCH_OPERATIONS_H

/*
 * What is measured, as a service would write it.
 *
 *	root           begin and end of a root span, nothing on it
 *	child          the same under a current span
 *	typical        a child with 3 attributes (int, short string, double) and 1 event
 *	exception      a span in which an error is raised and captured: type, message, stack, status
 *	exception_text the same as text: an event with type, message and 1 KiB of stack, and the status
 *	log            one log record with 3 attributes
 *	message        one log record with a formatted body
 *	error_raise    raised and freed, not captured
 *	error_capture  raised on ten frames, given 3 attributes, captured as a log record, freed
 *	tag            a value set on the context: four to a scope, whose begin and end are shared
 *	breadcrumb     a plain text on the thread's trail; breadcrumb_format: a formatted one
 *	timed_fast     a timed scope below its threshold: no record
 *	timed_slow     one above it: a log record
 */

#include <stddef.h>

#include "drive.h"

extern const struct operation operations[];
extern const size_t n_operations;

const struct operation *operation_find(const char *name);

#endif
