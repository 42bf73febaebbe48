/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_EXPORTERS_CONSOLE_RENDER_H
#define SONDE_EXPORTERS_CONSOLE_RENDER_H

/* A batch as text for people. SONDE_E_NOMEM: it does not fit. */

#include <sonde/exporter.h>

int sonde__console_render_spans(const struct sonde_batch *batch, bool has_colour,
				struct sonde_buffer *out);
int sonde__console_render_logs(const struct sonde_batch *batch, bool has_colour,
			       struct sonde_buffer *out);

#endif
