/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_EXPORTERS_CONSOLE_RENDER_H
#define SONDE_EXPORTERS_CONSOLE_RENDER_H

/* A batch as text for people. SONDE_E_NOMEM: it does not fit, and `out` is as it was. */

#include <sonde/exporter.h>

struct look {
	bool has_colour;
	/* The stacks of all errors with the log records, because spans do not carry them. */
	bool has_stacks_in_logs;
};

int sonde__console_render_spans(const struct sonde_batch *batch, const struct look *look,
				struct sonde_buffer *out);
int sonde__console_render_logs(const struct sonde_batch *batch, const struct look *look,
			       struct sonde_buffer *out);
int sonde__console_render_metrics(const struct sonde_batch *batch, const struct look *look,
				  struct sonde_buffer *out);

#endif
