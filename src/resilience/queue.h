/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_QUEUE_H
#define SONDE_RESILIENCE_QUEUE_H

/*
 * Waiting in a queue with an outcome in place of an error object, for what stands on queues.
 * docs/design/queue.md argues it.
 */

#include <sonde/queue.h>

enum sonde__queue_end {
	SONDE__QUEUE_DONE = 0,
	SONDE__QUEUE_FULL = 1, /* The policy is to reject. */
	SONDE__QUEUE_CLOSED = 2, /* To a pop: and nothing is left. */
	SONDE__QUEUE_LATE = 3, /* The moment has come. */
	SONDE__QUEUE_CANCELLED = 4, /* The token was fired. */
};

/*
 * Wait until `until_ns` of the queue's clock; the context's deadline is the caller's affair, and so
 * are rejections, which are not told. *ret_item is untouched unless done.
 */
enum sonde__queue_end sonde__queue_push_until(struct sonde_queue *queue, void *item,
					      uint64_t until_ns, struct sonde_cancel *cancel);
enum sonde__queue_end sonde__queue_pop_until(struct sonde_queue *queue, uint64_t until_ns,
					     struct sonde_cancel *cancel, void **ret_item);

#endif
