/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_H
#define SONDE_OTLP_H

/*
 * The OTLP exporter: protobuf over HTTP, to an OpenTelemetry Collector or anything that speaks the
 * protocol. It is in libsonde-otlp and registers itself by the name "otlp"; a program linked with
 * `pkg-config --libs sonde` needs nothing from this header. It is for programs that name the
 * exporter in their options instead (struct sonde_destination), which also makes the linker keep
 * it.
 *
 * Settings: OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS, _TIMEOUT, _COMPRESSION, _CERTIFICATE,
 * _CLIENT_KEY, _CLIENT_CERTIFICATE and _PROTOCOL, each also for one signal
 * (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT).
 */

#include <sonde/exporter.h>

SONDE_BEGIN_DECLS

SONDE_API extern const struct sonde_exporter sonde_otlp_exporter;

/*
 * Alerts without an alerting stack, by the name "webhook": posts a message in JSON for errors that
 * were never seen before or have come back. It joins the other destinations where SONDE_WEBHOOK_URL
 * or the option `webhook_url` says where to. Settings: SONDE_WEBHOOK_FORMAT (generic, slack), _ON
 * (first_seen, regressed, fatal), _PER_MINUTE, _TIMEOUT, _HEADERS, _CERTIFICATE, _CLIENT_KEY,
 * _CLIENT_CERTIFICATE, and SONDE_TRACE_URL.
 */
SONDE_API extern const struct sonde_exporter sonde_webhook_exporter;

SONDE_END_DECLS

#endif
