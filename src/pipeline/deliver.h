/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_DELIVER_H
#define SONDE_PIPELINE_DELIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sonde__pipeline;

/* Takes the results of sends and begins those that are due. True when a result came. */
bool sonde__deliver(struct sonde__pipeline *pipeline);
/* How long until the next send is due, or one under way is overdue. */
uint64_t sonde__deliver_wait_ns(const struct sonde__pipeline *pipeline);
/* Whether a request to the destination is under way. */
bool sonde__deliver_is_sending(const struct sonde__pipeline *pipeline, size_t destination);
/* Cancels what is under way and drops what is queued. */
void sonde__deliver_expire(struct sonde__pipeline *pipeline);

#endif
