/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_BREAKER_RIG_H
#define SONDE_TESTS_BREAKER_RIG_H

/* A breaker on virtual time, with known chance, and what it has told. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/breaker.h>

#include "base/compiler.h"
#include "support/virtual_clock.h"

struct told {
	uint32_t n_states;
	uint32_t n_rejections;
	char states[256]; /* "closed>open open>half_open " */
	char last_name[32];
	char last_error[SONDE_ERROR_MESSAGE_SIZE];
	uint64_t last_delay_ns;
};

struct rig {
	struct virtual_clock clock;
	struct sonde_observer observer;
	struct told told;
	struct sonde_breaker_options options;
	struct sonde_breaker breaker;
	double chance;
	uint32_t n_chances;
};

static void tell(void *user, const struct sonde_observation *observation)
{
	struct told *told = user;
	size_t length = strlen(told->states);

	assert_int_equal(observation->pattern, SONDE_PATTERN_BREAKER);
	if (observation->what == SONDE_OBSERVED_STATE) {
		told->n_states++;
		(void)snprintf(told->states + length, sizeof(told->states) - length, "%s>%s ",
			       observation->from, observation->to);
	} else {
		assert_int_equal(observation->what, SONDE_OBSERVED_REJECTION);
		assert_ptr_equal(sonde_error_type_of(observation->error), &sonde_circuit_open);
		told->n_rejections++;
	}
	(void)snprintf(told->last_name, sizeof(told->last_name), "%s", observation->name);
	(void)snprintf(told->last_error, sizeof(told->last_error), "%s",
		       sonde_error_message(observation->error));
	told->last_delay_ns = observation->delay_ns;
}

static double chance(void *user)
{
	struct rig *rig = user;

	rig->n_chances++;
	return rig->chance;
}

static struct rig rig;

static int begin(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof(rig));
	virtual_clock_init(&rig.clock, 1000 * SECOND + 1);
	rig.observer = (struct sonde_observer){ tell, &rig.told };
	rig.chance = 0.5;
	rig.options = (struct sonde_breaker_options){
		.name = "prices",
		.clock = &rig.clock.clock,
		.observer = &rig.observer,
		.random = chance,
		.random_user = &rig,
	};
	return 0;
}

static int end(void **state)
{
	(void)state;
	sonde_breaker_deinit(&rig.breaker);
	return 0;
}

static void start(void)
{
	assert_int_equal(sonde_breaker_init(&rig.breaker, &rig.options), SONDE_OK);
}

static enum sonde_breaker_state state_of(void)
{
	return sonde_breaker_state_of(&rig.breaker);
}

static struct sonde_breaker_ticket acquire(void)
{
	struct sonde_breaker_ticket ticket;

	assert_null(sonde_breaker_try_acquire(&rig.breaker, &ticket));
	return ticket;
}

static void assert_rejects(void)
{
	struct sonde_breaker_ticket ticket = { 1, 2, 3 };
	struct sonde_error *error = sonde_breaker_try_acquire(&rig.breaker, &ticket);

	assert_ptr_equal(sonde_error_type_of(error), &sonde_circuit_open);
	assert_int_equal(ticket.started_ns, 1);
	assert_int_equal(ticket.generation, 2);
	assert_int_equal(ticket.permit, 3);
	sonde_error_free(error);
}

static void report(struct sonde_breaker_ticket ticket, const struct sonde_error_type *type)
{
	struct sonde_error *error = type ? sonde_error_raise(type, "no answer from %s", "prices")
					 : NULL;

	sonde_breaker_report(&rig.breaker, ticket, error);
	sonde_error_free(error);
}

static void call(const struct sonde_error_type *type)
{
	report(acquire(), type);
}

SONDE__UNUSED static void call_times(int n, const struct sonde_error_type *type)
{
	for (int i = 0; i < n; i++)
		call(type);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

#endif
