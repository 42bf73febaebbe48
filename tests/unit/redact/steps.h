/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_REDACT_STEPS_H
#define SONDE_TESTS_REDACT_STEPS_H

/* How many basic blocks of code built with -fsanitize-coverage=trace-pc have been run. */

#include <stdint.h>

uint64_t steps_taken(void);

#endif
