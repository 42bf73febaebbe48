/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_REST_H
#define SONDE_AGENT_REST_H

/* How the worker waits between two turns. */

#include <pthread.h>
#include <stdint.h>

struct sonde__pipeline;

/* For how long it may look at descriptors alone; 0 at first. */
struct sonde__rest {
	int patience_ms;
};

/* At most `wait_ns`; `turn` is held while the pipeline is asked what it waits for. */
void sonde__rest(struct sonde__rest *rest, struct sonde__pipeline *pipeline, pthread_mutex_t *turn,
		 uint64_t wait_ns);

#endif
