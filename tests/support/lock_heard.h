/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_LOCK_HEARD_H
#define SONDE_TESTS_LOCK_HEARD_H

/* What the tests of mutex, read-write lock and condition hear of them, and expect of an error. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <sonde/resilience.h>

struct heard {
	unsigned n[SONDE_OBSERVED_COUNT];
	uint64_t duration_ns; /* Of the last. */
	char name[32]; /* Of the last. */
	char message[256]; /* Of the last with an error. */
};

static inline void hear(void *user, const struct sonde_observation *observation)
{
	struct heard *heard = user;

	assert_int_equal(observation->pattern, SONDE_PATTERN_LOCK);
	heard->n[observation->what]++;
	heard->duration_ns = observation->duration_ns;
	(void)snprintf(heard->name, sizeof(heard->name), "%s", observation->name);
	if (observation->error)
		(void)snprintf(heard->message, sizeof(heard->message), "%s",
			       sonde_error_message(observation->error));
}

static inline void error_expect(struct sonde_error *error, const struct sonde_error_type *type)
{
	assert_non_null(error);
	assert_true(sonde_error_is(error, type));
	sonde_error_free(error);
}

#endif
