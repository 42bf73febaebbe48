/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that stays on one CPU. Each CPU has a ring of its own, and records of two rings are read
 * in no order of time; a test that counts on the order of capture stays where it is.
 */
#ifndef SUPPORT_ONE_CPU_H
#define SUPPORT_ONE_CPU_H

#include <sched.h>
#include <stdbool.h>

/* The CPUs the calling thread may run on; for cpus_give_back. */
struct cpus {
	cpu_set_t set;
	bool is_known;
};

/* The calling thread stays where it is, if the kernel lets it. */
static inline struct cpus cpus_take_one(void)
{
	struct cpus before = { .is_known = false };
	cpu_set_t one;
	int cpu = sched_getcpu();

	before.is_known = cpu >= 0 && sched_getaffinity(0, sizeof(before.set), &before.set) == 0;
	if (!before.is_known)
		return before;
	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
	return before;
}

/* Moves the calling thread to another CPU it might run on before; false: there is none. */
static inline bool cpus_take_another(const struct cpus *before)
{
	int cpu = sched_getcpu();
	cpu_set_t others = before->set;

	if (!before->is_known || cpu < 0)
		return false;
	CPU_CLR((size_t)cpu, &others);
	return CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof(others), &others) == 0;
}

static inline void cpus_give_back(const struct cpus *before)
{
	if (before->is_known)
		(void)sched_setaffinity(0, sizeof(before->set), &before->set);
}

#endif
