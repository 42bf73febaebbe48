/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_VIRTUAL_CLOCK_H
#define SONDE_TESTS_VIRTUAL_CLOCK_H

/*
 * A clock that stands still until it is told to go on, or somebody waits on it: then it is later.
 * For one thread.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sonde/resilience.h>

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

struct virtual_clock {
	struct sonde_clock clock; /* To be given to what is tested. */
	uint64_t now_ns;
	uint64_t waited_ns; /* In all. */
	uint32_t n_waits;
};

static inline uint64_t virtual_clock_now_ns(void *user)
{
	return ((const struct virtual_clock *)user)->now_ns;
}

static inline void virtual_clock_wait(void *user, uint64_t until_ns)
{
	struct virtual_clock *clock = user;

	/* Nobody is there to wake it. */
	assert_int_not_equal(until_ns, UINT64_MAX);
	clock->n_waits++;
	if (until_ns > clock->now_ns) {
		clock->waited_ns += until_ns - clock->now_ns;
		clock->now_ns = until_ns;
	}
}

static inline void virtual_clock_init(struct virtual_clock *clock, uint64_t now_ns)
{
	*clock = (struct virtual_clock){
		.clock = { virtual_clock_now_ns, virtual_clock_wait, clock },
		.now_ns = now_ns,
	};
}

#endif
