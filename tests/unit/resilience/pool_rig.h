/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_POOL_RIG_H
#define SONDE_TESTS_POOL_RIG_H

/* Tasks that wait at a gate, and an observer that counts: so that tests of pools need no time. */

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/pool.h>

#include "support/virtual_clock.h"

/* ---- Gates ----------------------------------------------------------------------------------- */

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int n_entered;
	bool is_open;
};

static inline void gate_init(struct gate *gate)
{
	pthread_mutex_init(&gate->lock, NULL);
	pthread_cond_init(&gate->changed, NULL);
	gate->n_entered = 0;
	gate->is_open = false;
}

static inline void gate_deinit(struct gate *gate)
{
	pthread_cond_destroy(&gate->changed);
	pthread_mutex_destroy(&gate->lock);
}

static inline void gate_open(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->is_open = true;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

static inline void gate_enter(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->n_entered++;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

/* Until `n` tasks stand at the gate, or have passed it. */
static inline void gate_wait_for(struct gate *gate, int n)
{
	pthread_mutex_lock(&gate->lock);
	while (gate->n_entered < n)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

static inline void gate_wait_entered(struct gate *gate)
{
	gate_wait_for(gate, 1);
}

/* ---- Tasks ----------------------------------------------------------------------------------- */

static inline struct sonde_error *pass_gate(void *argument, struct sonde_cancel *cancel, void **ret)
{
	struct gate *gate = argument;

	(void)cancel;
	(void)ret;
	gate_enter(gate);
	pthread_mutex_lock(&gate->lock);
	while (!gate->is_open)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
	return NULL;
}

static inline struct sonde_error *wait_for_token(void *argument, struct sonde_cancel *cancel,
						 void **ret)
{
	struct pollfd poll_fd = { .fd = sonde_cancel_fd(cancel), .events = POLLIN };

	(void)ret;
	gate_enter(argument);
	while (poll(&poll_fd, 1, -1) != 1)
		;
	return sonde_cancel_error(cancel);
}

static inline struct sonde_error *count(void *argument, struct sonde_cancel *cancel, void **ret)
{
	(void)cancel;
	(void)ret;
	atomic_fetch_add((atomic_int *)argument, 1);
	return NULL;
}

static inline struct sonde_error *give_back(void *argument, struct sonde_cancel *cancel, void **ret)
{
	(void)cancel;
	*ret = argument;
	return NULL;
}

static inline struct sonde_error *end_badly(void *argument, struct sonde_cancel *cancel, void **ret)
{
	(void)cancel;
	(void)ret;
	return sonde_error_raise(&sonde_conflict, "%s failed", (const char *)argument);
}

static atomic_int n_discarded;

static inline void count_discard(void *argument)
{
	(void)argument;
	atomic_fetch_add(&n_discarded, 1);
}

/* ---- Looking --------------------------------------------------------------------------------- */

struct seen {
	_Atomic uint64_t n[SONDE_OBSERVED_COUNT];
	char name[64]; /* The last ones: for tests in which one thread tells. */
	char message[128];
};

static inline void see(void *user, const struct sonde_observation *observation)
{
	struct seen *seen = user;

	atomic_fetch_add(&seen->n[observation->what], 1);
	if (observation->error && observation->what == SONDE_OBSERVED_ORPHAN)
		(void)snprintf(seen->message, sizeof(seen->message), "%s",
			       sonde_error_message(observation->error));
	(void)snprintf(seen->name, sizeof(seen->name), "%s", observation->name);
}

/* The counts alone: for many threads. */
static inline void see_many(void *user, const struct sonde_observation *observation)
{
	atomic_fetch_add(&((struct seen *)user)->n[observation->what], 1);
}

static inline bool is_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

/* Frees it. A NULL message: any. */
static inline void assert_error(struct sonde_error *error, const struct sonde_error_type *type,
				const char *message)
{
	assert_non_null(error);
	assert_string_equal(sonde_error_type_of(error)->name, type->name);
	if (message)
		assert_string_equal(sonde_error_message(error), message);
	sonde_error_free(error);
}

#endif
