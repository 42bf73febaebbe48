/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_BREADCRUMBS_H
#define SONDE_PIPELINE_BREADCRUMBS_H

/* An error's breadcrumbs as text: "12:34:56.789 INFO cart: 3 items", the oldest first. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/breadcrumb.h>

#include "base/clock.h"
#include "pipeline/callout.h"
#include "record/view.h"

#define SONDE__BREADCRUMBS_MAX 32
#define SONDE__BREADCRUMB_LINE 320 /* Bytes of a line, with the zero. */

struct sonde__breadcrumbs {
	sonde_before_breadcrumb_fn *before; /* NULL: none. */
	void *user;
	struct sonde__callout callout;
	uint64_t n_dropped; /* By the hook. */

	const char *lines[SONDE__BREADCRUMBS_MAX];
	size_t n;
	char text[SONDE__BREADCRUMBS_MAX][SONDE__BREADCRUMB_LINE];
};

void sonde__breadcrumbs_init(struct sonde__breadcrumbs *breadcrumbs,
			     sonde_before_breadcrumb_fn *before, void *user);

/* Reads those of a record that passed its check. */
void sonde__breadcrumbs_read(struct sonde__breadcrumbs *breadcrumbs,
			     const struct sonde__clock *clock,
			     const struct sonde__error_record *record);

/* Of all lines as an attribute, at most. */
size_t sonde__breadcrumbs_size(const struct sonde__breadcrumbs *breadcrumbs);

#endif
