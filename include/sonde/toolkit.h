/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TOOLKIT_H
#define SONDE_TOOLKIT_H

/* All parts of the resilience toolkit; docs/toolkit.md shows them. */

#include <sonde/batcher.h>
#include <sonde/breaker.h>
#include <sonde/bulkhead.h>
#include <sonde/cancel.h>
#include <sonde/deadline.h>
#include <sonde/emitter.h>
#include <sonde/exit_stack.h>
#include <sonde/future.h>
#include <sonde/group.h>
#include <sonde/limiter.h>
#include <sonde/lock.h>
#include <sonde/policy.h>
#include <sonde/pool.h>
#include <sonde/queue.h>
#include <sonde/resilience.h>
#include <sonde/retry.h>
#include <sonde/stream.h>
#include <sonde/watchdog.h>

#endif
