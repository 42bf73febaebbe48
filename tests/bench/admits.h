/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BENCH_ADMITS_H
#define SONDE_BENCH_ADMITS_H

/*
 * What the toolkit costs who is let in at once, by nobody hindered, with an agent that observes:
 *
 *	admit_retry      a call whose first attempt goes well
 *	admit_breaker    acquire and report, closed; admit_breaker_rate: by a rate of 100 calls
 *	admit_bulkhead   acquire and release
 *	admit_breaker_shared, admit_bulkhead_shared: in memory that all forked processes share
 *	admit_limiter    a token of the bucket without a key; admit_limiter_key: of a key's
 *	admit_queue      push and pop
 *	admit_lock       lock and unlock
 *	admit_feed       a watchdog's loop turns
 *	admit_emit       an event for which nobody has subscribed
 *	admit_deadline   a scope with a deadline: one reading of the clock
 *
 * The same of those that are for many threads, in each other's way: contended_bulkhead_ns_t2 and so
 * on, of one object for all of them. Who waits for a lock may sleep; nobody allocates.
 */

#include "drive.h"

extern const struct operation admits[];
extern const size_t n_admits;

extern const struct operation contended[];
extern const size_t n_contended;

#endif
