/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_ITEM_H
#define SONDE_OTLP_ITEM_H

/*
 * One span or log record on the wire: a head of plain fields, written in a straight line, and the
 * attributes, events and links behind it as they were encoded at capture. Protobuf lets fields come
 * in any order.
 */

#include <sonde/exporter.h>

#include "sink.h"

size_t sonde__otlp_span_size(const struct sonde_span_view *span);
size_t sonde__otlp_log_size(const struct sonde_log_view *log);

/* Write exactly as many bytes as the size said. */
void sonde__otlp_span_write(const struct sonde_span_view *span, struct sonde__otlp_sink *sink);
void sonde__otlp_log_write(const struct sonde_log_view *log, struct sonde__otlp_sink *sink);

#endif
