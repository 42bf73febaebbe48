/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A symbol provider that holds every question until its gate is open, and says "f at f.c:8" then.
 * One for a program.
 */
#ifndef SUPPORT_HELD_PROVIDER_H
#define SUPPORT_HELD_PROVIDER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include <sonde/stack.h>

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_open;
	size_t n_begun; /* Questions, each of one address. */
	size_t n_done; /* As the test counts them. */
	size_t n_clears;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static size_t gate_resolve(const struct sonde_symbol_query *query, struct sonde_symbol_frame *ret,
			   size_t capacity)
{
	(void)query;
	(void)capacity;
	pthread_mutex_lock(&gate.lock);
	gate.n_begun++;
	pthread_cond_broadcast(&gate.changed);
	while (!gate.is_open)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
	*ret = (struct sonde_symbol_frame){ .function = "f", .file = "f.c", .line = 8 };
	return 1;
}

static void gate_abandon(void)
{
}

static void gate_clear(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.n_clears++;
	pthread_mutex_unlock(&gate.lock);
}

static const struct sonde_symbol_provider held_provider = {
	.size = sizeof(held_provider),
	.name = "test",
	.resolve = gate_resolve,
	.abandon = gate_abandon,
	.clear = gate_clear,
};

static inline void gate_set_open(bool is_open)
{
	pthread_mutex_lock(&gate.lock);
	gate.is_open = is_open;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

/* What one of the gate's counts is. */
static inline size_t gate_count(const size_t *which)
{
	size_t n;

	pthread_mutex_lock(&gate.lock);
	n = *which;
	pthread_mutex_unlock(&gate.lock);
	return n;
}

static inline void gate_wait(const size_t *which, size_t wanted)
{
	pthread_mutex_lock(&gate.lock);
	while (*which < wanted)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

#endif
