/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_FAULT_HOST_H
#define SONDE_TESTS_FAULT_HOST_H

/*
 * A host process that does to a library what services do. Each mode prints facts, one line
 * "key value…" each, which the driver checks; what the kernel or the collector can see, it asks
 * them instead.
 */

#include <stdbool.h>
#include <stddef.h>

#include <sonde/sonde.h>

extern struct sonde_agent *agent;

double now_s(void);
double cpu_s(void);

/* Starts with the environment's settings; prints "start STATUS SECONDS". */
int host_start(void);
/* Prints "stop STATUS SECONDS" and one "account SIGNAL CAPTURED EXPORTED QUEUED LOST" each. */
void host_stop(unsigned deadline_ms);
/* Prints "flush STATUS SECONDS". */
int host_flush(unsigned deadline_ms);
void print_accounts(void);

void record(const char *name);
void record_numbered(const char *prefix, long i);
/* A span with attributes and an event, a child, an error and a message: four captures or more. */
void record_request(long i);

/* Says "ready WHAT" and waits until the driver writes a line. */
void wait_for_driver(const char *what);
/* A fact that must hold; else the program ends with status 1 and the words on standard error. */
void require(bool fact, const char *words);

struct mode {
	const char *name;
	int (*run)(long n);
};

/* Each ends with an entry without a name. */
extern const struct mode file_modes[];
extern const struct mode limit_modes[];
extern const struct mode thread_modes[];
extern const struct mode life_modes[];
extern const struct mode world_modes[];

#endif
