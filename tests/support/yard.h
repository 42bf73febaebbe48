/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_YARD_H
#define SONDE_TESTS_YARD_H

/* A group of tasks that stand at gates, and what it told. */

#include <sonde/group.h>

#include "support/gates.h"

#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)

#define GATES 48

/* Those with an even number heed the token. */
struct yard {
	struct sonde_group group;
	struct gate gates[GATES];
	struct told told;
	struct sonde_observer observer;
};

static inline void yard_init(struct yard *yard, struct sonde_group_options options)
{
	memset(yard, 0, sizeof(*yard));
	yard->observer = (struct sonde_observer){ told_hear, &yard->told };
	options.name = "yard";
	options.observer = &yard->observer;
	assert_int_equal(sonde_group_init(&yard->group, &options), SONDE_OK);
	for (unsigned i = 0; i < GATES; i++)
		gate_init(&yard->gates[i], i,
			  i % 2 ? NULL : sonde_group_token(&yard->group));
}

static inline void yard_spawn(struct yard *yard, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		size_t index;

		assert_int_equal(sonde_group_spawn(&yard->group, "gate", gate_pass,
						   &yard->gates[i], &index),
				 SONDE_OK);
		assert_int_equal(index, i);
	}
}

static inline void yard_await(struct yard *yard, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		gate_await(&yard->gates[i]);
}

static inline struct sonde_group_figures figures_of(struct yard *yard)
{
	struct sonde_group_figures figures;

	sonde_group_figures(&yard->group, &figures);
	return figures;
}

static inline void error_expect(struct sonde_error *error, const struct sonde_error_type *type)
{
	assert_non_null(error);
	assert_true(sonde_error_is(error, type));
	sonde_error_free(error);
}

#endif
