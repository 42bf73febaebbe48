/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_OBSERVE_LIMIT_H
#define SONDE_AGENT_OBSERVE_LIMIT_H

/*
 * What keeps a flood of observations from becoming a flood of records. Fixed memory, lock-free,
 * async-signal-safe. What is held back is in the metrics all the same.
 */

#include <stdbool.h>
#include <stdint.h>

#include <sonde/resilience.h>

#define SONDE__OBSERVE_LOG_BURST 10u /* Log records of one kind by one name at once, */
#define SONDE__OBSERVE_LOG_PERIOD_NS UINT64_C(1000000000) /* then one in this time. */

/* May one more event go to the span, of `limit`? */
bool sonde__observe_span_admits(uint64_t span_id, uint32_t limit);

/* May it be logged now? Then *ret_held_back says how many before it were not, since the last. */
bool sonde__observe_log_admits(const struct sonde_observation *observation, uint64_t now_ns,
			       uint64_t *ret_held_back);

#endif
