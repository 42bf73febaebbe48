/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_ANSWER_H
#define SONDE_OTLP_ANSWER_H

/* Reads the bodies that a collector answers with. Trusts nothing, and allocates within a bound. */

#include <stdbool.h>
#include <stdint.h>

#include <sonde/exporter.h>

#include "line.h"

/*
 * Of an Export…ServiceResponse, of whatever signal: how many items were rejected (0: none), and
 * adds the message to `line`. False: the body is not one.
 */
bool sonde__otlp_answer_read(struct sonde_bytes body, uint64_t *ret_n_rejected,
			     struct sonde__otlp_line *line);

/* Adds what an error's body says: a google.rpc.Status, or a line of plain text or JSON. */
void sonde__otlp_answer_explain(const char *content_type, struct sonde_bytes body,
				struct sonde__otlp_line *line);

/* Whether the media type is `type`, whatever parameters follow. NULL is none. */
bool sonde__otlp_answer_is_type(const char *content_type, const char *type);

#endif
