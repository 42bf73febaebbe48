/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_HEADERS_H
#define SONDE_OTLP_HEADERS_H

/* OTEL_EXPORTER_OTLP_HEADERS: "k1=v1,k2=v2", values percent-decoded. */

#include <stddef.h>

#include <curl/curl.h>

/*
 * Appends a header for each pair of `list`. A pair that is malformed, or would break the request,
 * is skipped and its place in the list (from 1) handed to `skipped`, with why: never its text,
 * which may be a secret. SONDE_E_NOMEM leaves *headers as it was so far.
 */
typedef void sonde__otlp_skipped_fn(void *user, size_t place, const char *why);

int sonde__otlp_headers_add(struct curl_slist **headers, const char *list,
			    sonde__otlp_skipped_fn *skipped, void *user);

#endif
