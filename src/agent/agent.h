/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_AGENT_H
#define SONDE_AGENT_AGENT_H

/* The process's one agent, as its life cycle (agent.c) and forked children (child.c) share it. */

#include <pthread.h>
#include <stdbool.h>

#include <sonde/agent.h>

#include "agent/settings.h"
#include "agent/worker.h"
#include "box/box.h"

enum sonde__agent_state {
	SONDE__AGENT_IDLE = 0, /* Never started, or stopped. */
	SONDE__AGENT_RUNNING = 1,
	SONDE__AGENT_DISABLED = 2, /* Started, and told to do nothing. */
};

struct sonde_agent {
	pthread_mutex_t lock; /* Guards the rest; not held while a delivery is waited for. */
	enum sonde__agent_state state;
	struct sonde__settings settings; /* Of the current or last run. */
	struct sonde__worker *worker; /* NULL: none was needed yet, in a forked child. */
	/* In a forked child, until its descriptors are closed. */
	struct sonde__worker *parents_worker;
	struct sonde__box_info box;
	char parents_box[sizeof(((struct sonde__box_info *)0)->path)]; /* In a forked child; or "". */
	/* Found in boxes of dead processes and counted lost. */
	uint64_t dead_records[SONDE_SIGNAL_COUNT];
};

extern struct sonde_agent sonde__agent;

/* Makes this process's box and says what is worth knowing about it. */
int sonde__agent_open_box(struct sonde_agent *agent);

/*
 * What capture calls in a forked child that it does not know yet; see capture/capture.h. Lock-free,
 * async-signal-safe when told so.
 */
bool sonde__child_enter(bool signal_safe);

/*
 * For life-cycle calls, before they take the lock: whether this is a forked child that has recorded
 * nothing. If so, what it copied of its parent's agent is let go of, and the lock is fresh.
 */
bool sonde__child_is_idle(struct sonde_agent *agent);

/*
 * With the lock held, in a forked child whose parent is gone, as after daemon(): what the parent
 * left behind is counted as lost, once. Otherwise a no-op.
 */
void sonde__child_count_parents(struct sonde_agent *agent);

#endif
