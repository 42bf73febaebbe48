/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_EXPORTERS_JSON_H
#define SONDE_EXPORTERS_JSON_H

/* OTLP/JSON, as the file, memory and console exporters write it. */

#include <sonde/exporter.h>

/*
 * Appends the batch as one line, a TracesData, LogsData or MetricsData object and a newline.
 * SONDE_E_NOMEM past
 * the buffer's limit, with the buffer as it was.
 */
int sonde__json_encode(const struct sonde_batch *batch, struct sonde_buffer *out);

#endif
