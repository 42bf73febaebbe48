/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_EVENT_METRICS_H
#define SONDE_PIPELINE_EVENT_METRICS_H

/*
 * How an observation of the toolkit is named in the box, so that it is found there again: the
 * site's name is the object's, its file the state before or else the error's type, its function the
 * state after, and its line says the rest.
 */

#include <sonde/resilience.h>

static inline uint32_t sonde__event_line(enum sonde_pattern pattern, enum sonde_observed what)
{
	return (uint32_t)pattern << 8 | (uint32_t)what;
}

static inline enum sonde_pattern sonde__event_pattern(uint32_t line)
{
	return (enum sonde_pattern)(line >> 8);
}

static inline enum sonde_observed sonde__event_what(uint32_t line)
{
	return (enum sonde_observed)(line & 0xff);
}

#endif
