/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_TARGET_H
#define SONDE_OTLP_TARGET_H

/*
 * Where requests go, and how: what a connection is made with. Whoever sends over HTTP reads its
 * settings with these functions, under names of its own. A value that cannot be used is reported by
 * name and value, and passed over.
 */

#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>
#include <sonde/exporter.h>

struct sonde__otlp_dialect;

/* All owned but what is static. */
struct sonde__otlp_target {
	const struct sonde__otlp_dialect *dialect; /* How the other side answers; static. */
	char *url;
	/* The same for people: without credentials, query and fragment. */
	char *shown;
	const char *setting; /* The setting to look at when the URL is wrong; static. */
	struct curl_slist *headers; /* All that a request carries. */
	char *certificate; /* Paths of PEM files; NULL: not set. */
	char *client_key;
	char *client_certificate;
	char *proxy; /* "": none. */
	char *no_proxy;
	uint32_t timeout_ms; /* 0: no limit. */
	uint16_t port;
	bool is_https;
	bool is_secret; /* Who knows the path may send there: people are shown the host alone. */
	bool gzip;
};

void sonde__otlp_target_deinit(struct sonde__otlp_target *target);

/* One setting being read. */
struct sonde__otlp_reader {
	const struct sonde_exporter_host *host;
	struct sonde__otlp_target *target;
	const char *name; /* The setting's; static. */
	bool is_silent; /* It was judged before. */
};

/* NULL: not set. */
const char *sonde__otlp_lookup(const struct sonde__otlp_reader *reader, const char *name);
/* Says `NAME="value" why`, or `NAME why` where the value is NULL: not for everybody's eyes. */
void sonde__otlp_complain(const struct sonde__otlp_reader *reader, const char *value,
			  const char *why);

/* Decimal digits alone, up to `max`. */
bool sonde__otlp_read_number(const char *value, uint32_t max, uint32_t *ret);

/* Puts a value into the target. 1: taken; 0: not usable, and it was said; SONDE_E_NOMEM. */
typedef int sonde__otlp_use_fn(struct sonde__otlp_reader *reader, const char *value);

sonde__otlp_use_fn sonde__otlp_use_timeout;
sonde__otlp_use_fn sonde__otlp_use_headers;
sonde__otlp_use_fn sonde__otlp_use_certificate;
sonde__otlp_use_fn sonde__otlp_use_client_key;
sonde__otlp_use_fn sonde__otlp_use_client_certificate;
/* As those; `path` is appended to the URL's own where it is not NULL. */
int sonde__otlp_use_url(struct sonde__otlp_reader *reader, const char *value, const char *path);

/* What every request carries, and the proxy. SONDE_E_NOMEM, or SONDE_OK. */
int sonde__otlp_target_finish(struct sonde__otlp_reader *reader, const char *content_type);

#endif
