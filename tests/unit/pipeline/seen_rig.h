/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_PIPELINE_SEEN_RIG_H
#define SONDE_TESTS_PIPELINE_SEEN_RIG_H

/*
 * A directory for one test's seen sets, and processes that ask them on a clock of the test's own.
 */

#include <stdint.h>
#include <sys/types.h>

#include "pipeline/seen.h"

#define DAY UINT64_C(86400)
#define START UINT64_C(1800000000)
#define FILE_SIZE (512 + 256 * 512)

extern char seen_directory[64];
extern char seen_said[16384]; /* Diagnostics, a line for each. */

int seen_set_up(void **state);
int seen_tear_down(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, seen_set_up, seen_tear_down)

struct sonde_text text(const char *string);
size_t times_said(const char *what);
const char *path_of(const char *name); /* In the directory; one at a time. */
void write_file(const char *name, const char *content, const char *mode);
off_t size_of(const char *name); /* -1: not there. */

/* The set of the service "checkout", as a process of this release has it. */
void open_at(struct sonde__seen *seen, const char *where, const char *release);
/* What it says: 'f'irst, 'r'egressed, 'k'nown. */
char answer_of(struct sonde__seen *seen, uint64_t fingerprint, uint64_t unix_s);
/* The same of a process that begins now. */
char fresh_answer(const char *release, uint64_t fingerprint, uint64_t unix_s);

#endif
