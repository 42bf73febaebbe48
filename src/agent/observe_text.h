/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_OBSERVE_TEXT_H
#define SONDE_AGENT_OBSERVE_TEXT_H

/* What an observation is called, in events and in log records. No allocation, no lock. */

#include <stddef.h>

#include <sonde/attribute.h>
#include <sonde/resilience.h>

#define SONDE__OBSERVE_ATTRS 12
#define SONDE__OBSERVE_TEXT_SIZE 512
#define SONDE__OBSERVE_NAME_SIZE 40

/* "sonde.retry.attempt" */
void sonde__observe_name(const struct sonde_observation *observation,
			 char ret[SONDE__OBSERVE_NAME_SIZE]);

/* What refers to the observation lives as long as it; returns how many. */
size_t sonde__observe_attributes(const struct sonde_observation *observation,
				 struct sonde_attr ret[SONDE__OBSERVE_ATTRS]);

/*
 * The log record's body, whole characters; its length. 0: the observation is none for the log.
 */
size_t sonde__observe_text(const struct sonde_observation *observation,
			   char ret[SONDE__OBSERVE_TEXT_SIZE], enum sonde_level *ret_level);

#endif
