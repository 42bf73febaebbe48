/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_UNIT_ERROR_SUPPORT_H
#define SONDE_TESTS_UNIT_ERROR_SUPPORT_H

/*
 * What every test of this layer needs: cmocka's prerequisites, an allocator that counts and fails.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sonde/error.h>

#include "base/diagnostic.h"
#include "base/text.h"
#include "error/error.h"
#include "error/object.h"
#include "error/pool.h"

/* The linker puts these in the place of malloc and free in the library under test (--wrap). */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

extern size_t allocator_calls;
extern bool allocator_fails;

/* Runs the test in a process of its own, and expects that it ends well. */
void run_in_child(void (*test)(void));

/* Fails the test, in a child too. */
#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1); \
		} \
	} while (0)

/* Counts and keeps what is reported. */
extern unsigned n_reports;
extern char last_report[256];
void reports_listen(void);

#endif
