/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_INTERLEAVE_STOP_H
#define SONDE_TESTS_INTERLEAVE_STOP_H

/* Stops a thread at a test point and lets it go on when told. */

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/testpoint.h"

struct stop {
	const char *point;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_armed;
	bool is_reached;
	bool is_released;
};

#define STOP_INIT(name) \
	{ \
		(name), PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, true, false, false \
	}

/* The calling thread's own stop. */
static _Thread_local struct stop *stop_current;

static inline void stop_hook(const char *name)
{
	struct stop *stop = stop_current;

	if (!stop || strcmp(name, stop->point) != 0)
		return;
	pthread_mutex_lock(&stop->lock);
	if (stop->is_armed) {
		stop->is_armed = false;
		stop->is_reached = true;
		pthread_cond_broadcast(&stop->changed);
		while (!stop->is_released)
			pthread_cond_wait(&stop->changed, &stop->lock);
	}
	pthread_mutex_unlock(&stop->lock);
}

/* By another thread: waits until the stop was reached, or the thread came to its end without. */
static inline bool stop_wait(struct stop *stop)
{
	bool is_reached;

	pthread_mutex_lock(&stop->lock);
	while (!stop->is_reached && stop->is_armed)
		pthread_cond_wait(&stop->changed, &stop->lock);
	is_reached = stop->is_reached;
	pthread_mutex_unlock(&stop->lock);
	return is_reached;
}

static inline void stop_release(struct stop *stop)
{
	pthread_mutex_lock(&stop->lock);
	stop->is_released = true;
	pthread_cond_broadcast(&stop->changed);
	pthread_mutex_unlock(&stop->lock);
}

/* By the thread itself, at its end. */
static inline void stop_disarm(struct stop *stop)
{
	pthread_mutex_lock(&stop->lock);
	stop->is_armed = false;
	pthread_cond_broadcast(&stop->changed);
	pthread_mutex_unlock(&stop->lock);
}

#endif
