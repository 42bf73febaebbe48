/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_CAPTURE_FIXTURE_H
#define SONDE_TESTS_CAPTURE_FIXTURE_H

/*
 * A real box and an open gate with no agent around them, and what was recorded: each record copied
 * out of the box, checked, and released.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/capture.h>
#include <sonde/exporter.h>
#include <sonde/span.h>

#include "box/box.h"
#include "capture/capture.h"
#include "record/check.h"

#define FIXTURE_RECORDS 65536 /* More of 128 bytes and above than the box of 8 MiB holds. */

/* For cmocka's setup and teardown: an open agent before each test, a closed and empty one after. */
int fixture_open(void **state);
int fixture_close(void **state);

/* As fixture_open, with other limits. */
void fixture_reopen(uint32_t limit, enum sonde_exception_signal signal);

/* How often a forked child asked for its box; the child's box is made then, with nothing else. */
extern unsigned fixture_n_children;

/*
 * Takes what was recorded since the last time, in the order of each ring, and counts its spans, as
 * the pipeline does; the number of records.
 */
size_t fixture_take(void);
const struct sonde__record *fixture_record(size_t i);

/* The only record of its type in what was taken; fails the test where there is none or another. */
const struct sonde__span_record *fixture_span(void);
const struct sonde__part_record *fixture_part(void);
const struct sonde__log_record *fixture_log(void);
const struct sonde__error_record *fixture_error(void);
/* The span of that name in what was taken. */
const struct sonde__span_record *fixture_span_named(const char *name);
size_t fixture_count(enum sonde__record_type type);

uint64_t fixture_lost(enum sonde_signal signal, enum sonde_loss reason);

/* Takes over, in place of the site table, a span's name. */
struct sonde_text fixture_name(const struct sonde__span_record *span);

/* The last attribute of that key; fails the test where there is none. */
struct sonde_value_view fixture_attribute(enum sonde_fields type, struct sonde_bytes fields,
					  const char *key);
size_t fixture_count_items(enum sonde_fields type, struct sonde_bytes fields,
			   enum sonde_item_type item);

void fixture_assert_text(struct sonde_text text, const char *wanted);
void fixture_assert_current_is_empty(void);

/* Makes a caller's span in another process current; for sonde_context_attach: what was before. */
#define FIXTURE_REMOTE_TRACE "0af7651916cd43dd8448eb211c80319c"
struct sonde_context fixture_attach_remote(void);

#endif
