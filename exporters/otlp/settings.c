/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "headers.h"
#include "line.h"

#define DEFAULT_BASE "http://localhost:4318"
#define DEFAULT_TIMEOUT_MS 10000
#define NAME_SIZE 64

enum setting {
	ENDPOINT,
	PROTOCOL,
	TIMEOUT,
	COMPRESSION,
	HEADERS,
	CERTIFICATE,
	CLIENT_KEY,
	CLIENT_CERTIFICATE,
	N_SETTINGS
};

/* By signal, then by enum setting; the general names last. */
#define NAMES(infix) { \
	"OTEL_EXPORTER_OTLP_" infix "ENDPOINT", "OTEL_EXPORTER_OTLP_" infix "PROTOCOL", \
	"OTEL_EXPORTER_OTLP_" infix "TIMEOUT", "OTEL_EXPORTER_OTLP_" infix "COMPRESSION", \
	"OTEL_EXPORTER_OTLP_" infix "HEADERS", "OTEL_EXPORTER_OTLP_" infix "CERTIFICATE", \
	"OTEL_EXPORTER_OTLP_" infix "CLIENT_KEY", "OTEL_EXPORTER_OTLP_" infix "CLIENT_CERTIFICATE" }

static const char *const names[SONDE__OTLP_SIGNALS + 1][N_SETTINGS] = {
	[SONDE_SIGNAL_SPAN] = NAMES("TRACES_"),
	[SONDE_SIGNAL_LOG] = NAMES("LOGS_"),
	[SONDE_SIGNAL_METRIC] = NAMES("METRICS_"),
	[SONDE__OTLP_SIGNALS] = NAMES(""),
};

#define GENERAL SONDE__OTLP_SIGNALS

struct reader {
	const struct sonde_exporter_host *host;
	struct sonde__otlp_target *target;
	enum sonde_signal signal;
	unsigned int
		*judged; /* A bit for each general setting that was complained about, if at all. */
	const char *name; /* Of what is being parsed. */
	bool is_general; /* It came from the general name ... */
	bool silent; /* ... which was judged before, for another signal. */
};

static const char *lookup(const struct reader *reader, const char *name)
{
	const char *value = reader->host->setting(reader->host->context, name);

	return value && *value ? value : NULL;
}

/* Says `NAME="value" why`, or `NAME why` where the value is not for everybody's eyes. */
static void complain(const struct reader *reader, const char *value, const char *why)
{
	struct sonde__otlp_line line;
	char text[512];

	if (!reader->host->report || reader->silent)
		return;
	sonde__otlp_line_init(&line, text, sizeof(text));
	sonde__otlp_line_add(&line, reader->name);
	if (value) {
		sonde__otlp_line_add(&line, "=\"");
		sonde__otlp_line_add_cut(&line, (struct sonde_text){ value, strlen(value) }, 128);
		sonde__otlp_line_add(&line, "\"");
	}
	if (why[0] != ':')
		sonde__otlp_line_add(&line, " ");
	sonde__otlp_line_add(&line, why);
	reader->host->report(reader->host->context, SONDE_WARN, text);
}

/*
 * Hands the signal's own value and then the general one to `use`, until it takes one. `use` returns
 * 1: taken; 0: not usable, and it has complained; SONDE_E_NOMEM.
 */
static int resolve(struct reader *reader, enum setting setting,
		   int (*use)(struct reader *reader, const char *value))
{
	int status = 0;

	for (int round = 0; round < 2 && status == 0; round++) {
		const char *value;

		reader->is_general = round == 1;
		reader->silent = reader->is_general && (*reader->judged & 1u << setting);
		reader->name = names[reader->is_general ? GENERAL : (int)reader->signal][setting];
		value = lookup(reader, reader->name);
		if (!value)
			continue;
		status = use(reader, value);
		if (reader->is_general)
			*reader->judged |= 1u << setting;
	}
	return status;
}

static int keep(char **to, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return SONDE_E_NOMEM;
	free(*to);
	*to = copy;
	return 1;
}

/* ---- Endpoint -------------------------------------------------------------------------------- */

static int url_part(CURLU *url, CURLUPart part, unsigned int flags, char **ret)
{
	char *text = NULL;
	int status;

	if (curl_url_get(url, part, &text, flags) != CURLUE_OK)
		return SONDE_E_NOMEM;
	status = keep(ret, text);
	curl_free(text);
	return status;
}

/* "http://host:4318/prefix" and "/" or not: the signal's path is relative to it. */
static CURLUcode append_path(CURLU *url, enum sonde_signal signal)
{
	static const char *const paths[SONDE__OTLP_SIGNALS] = {
		[SONDE_SIGNAL_SPAN] = "v1/traces",
		[SONDE_SIGNAL_LOG] = "v1/logs",
		[SONDE_SIGNAL_METRIC] = "v1/metrics",
	};
	const char *own = paths[signal];
	CURLUcode code;
	char *base = NULL, *path = NULL;

	code = curl_url_get(url, CURLUPART_PATH, &base, 0);
	if (code != CURLUE_OK)
		return code;
	if (asprintf(&path, "%s%s%s", base, base[0] && base[strlen(base) - 1] == '/' ? "" : "/", own) < 0)
		path = NULL;
	curl_free(base);
	code = path ? curl_url_set(url, CURLUPART_PATH, path, 0) : CURLUE_OUT_OF_MEMORY;
	free(path);
	return code;
}

static int keep_shown(CURLU *url, struct sonde__otlp_target *target)
{
	curl_url_set(url, CURLUPART_USER, NULL, 0);
	curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
	curl_url_set(url, CURLUPART_OPTIONS, NULL, 0);
	curl_url_set(url, CURLUPART_QUERY, NULL, 0);
	curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
	return url_part(url, CURLUPART_URL, 0, &target->shown);
}

static int keep_url(struct reader *reader, CURLU *url)
{
	struct sonde__otlp_target *target = reader->target;
	char *port = NULL;

	curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
	if (reader->is_general && append_path(url, reader->signal) != CURLUE_OK)
		return SONDE_E_NOMEM;
	if (url_part(url, CURLUPART_URL, 0, &target->url) < 0)
		return SONDE_E_NOMEM;
	if (curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
		target->port = (uint16_t)strtoul(port, NULL, 10);
	curl_free(port);
	target->is_https = !strncasecmp(target->url, "https:", 6);
	target->setting = reader->name;
	return keep_shown(url, target);
}

static bool has_scheme(const char *value)
{
	return !strncasecmp(value, "http://", 7) || !strncasecmp(value, "https://", 8);
}

/* A URL may carry a password: such a one is not repeated. */
static const char *safe_value(const char *value)
{
	return strchr(value, '@') || strchr(value, '?') ? NULL : value;
}

static int use_endpoint(struct reader *reader, const char *value)
{
	CURLU *url;
	CURLUcode code;
	int status = 0;

	if (!has_scheme(value)) {
		complain(reader, safe_value(value),
			 strstr(value, "://") ? "is ignored: only http:// and https:// are supported" :
						"is ignored: it has no scheme; write http:// or https:// before it");
		return 0;
	}
	url = curl_url();
	if (!url)
		return SONDE_E_NOMEM;
	code = curl_url_set(url, CURLUPART_URL, value, CURLU_PATH_AS_IS);
	if (code == CURLUE_OK)
		status = keep_url(reader, url);
	else if (code == CURLUE_OUT_OF_MEMORY)
		status = SONDE_E_NOMEM;
	else
		complain(reader, safe_value(value), "is ignored: it is not a URL");
	curl_url_cleanup(url);
	return status;
}

static int use_default_endpoint(struct reader *reader)
{
	reader->is_general = true;
	reader->name = names[GENERAL][ENDPOINT];
	return use_endpoint(reader, DEFAULT_BASE);
}

/* ---- The other settings ---------------------------------------------------------------------- */

static int use_protocol(struct reader *reader, const char *value)
{
	if (!strcasecmp(value, "http/protobuf"))
		return 1;
	if (!strcasecmp(value, "grpc") || !strcasecmp(value, "http/json"))
		complain(reader, value, "is not supported by this build; http/protobuf is used instead");
	else
		complain(reader, value, "is not a protocol of OTLP; http/protobuf is used instead");
	return 0;
}

static int use_timeout(struct reader *reader, const char *value)
{
	uint32_t number = 0;
	size_t n = strspn(value, "0123456789");

	for (size_t i = 0; i < n && n <= 10; i++) {
		if (number > (INT32_MAX - (uint32_t)(value[i] - '0')) / 10)
			n = SIZE_MAX;
		else
			number = number * 10 + (uint32_t)(value[i] - '0');
	}
	if (!n || n > 10 || value[n]) {
		complain(reader, value, "is ignored: it is not a number of milliseconds from 0 to 2147483647");
		return 0;
	}
	reader->target->timeout_ms = number;
	return 1;
}

static int use_compression(struct reader *reader, const char *value)
{
	reader->target->gzip = !strcasecmp(value, "gzip");
	if (reader->target->gzip || !strcasecmp(value, "none"))
		return 1;
	complain(reader, value, "is ignored: it is neither gzip nor none");
	return 0;
}

static void skipped_header(void *user, size_t place, const char *why)
{
	struct sonde__otlp_line line;
	char text[160];

	sonde__otlp_line_init(&line, text, sizeof(text));
	sonde__otlp_line_add(&line, ": entry ");
	sonde__otlp_line_add_uint(&line, place);
	sonde__otlp_line_add(&line, " is skipped: it ");
	sonde__otlp_line_add(&line, why);
	complain(user, /* value= */ NULL, text);
}

static int use_headers(struct reader *reader, const char *value)
{
	int status = sonde__otlp_headers_add(&reader->target->headers, value, skipped_header,
					     reader);

	return status < 0 ? status : 1;
}

/* Kept all the same: the file may yet appear, and a request says so again when it does not. */
static int use_file(struct reader *reader, const char *value, char **ret)
{
	if (access(value, R_OK) < 0)
		complain(reader, value, "cannot be read now; TLS connections will fail until it can");
	return keep(ret, value);
}

static int use_certificate(struct reader *reader, const char *value)
{
	return use_file(reader, value, &reader->target->certificate);
}

static int use_client_key(struct reader *reader, const char *value)
{
	return use_file(reader, value, &reader->target->client_key);
}

static int use_client_certificate(struct reader *reader, const char *value)
{
	return use_file(reader, value, &reader->target->client_certificate);
}

/* ---- All of them ----------------------------------------------------------------------------- */

static int own_headers(struct sonde__otlp_target *target)
{
	/* An empty `Expect:` keeps libcurl from asking before it sends a body. */
	const char *const own[] = {
		"Content-Type: application/x-protobuf", "Expect:",
		target->gzip ? "Content-Encoding: gzip" : NULL,
	};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]) && own[i]; i++) {
		struct curl_slist *longer = curl_slist_append(target->headers, own[i]);

		if (!longer)
			return SONDE_E_NOMEM;
		target->headers = longer;
	}
	return SONDE_OK;
}

/*
 * The names libcurl itself would look for. It is told not to: it would read the environment on the
 * background thread, while the service may be changing it.
 */
static int read_proxy(struct reader *reader)
{
	static const char *const http[] = { "http_proxy", "all_proxy", "ALL_PROXY" };
	static const char *const https[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
	const char *const *from = reader->target->is_https ? https : http;
	size_t n = reader->target->is_https ? 4 : 3;
	const char *proxy = NULL;
	const char *no_proxy = lookup(reader, "no_proxy");

	for (size_t i = 0; i < n && !proxy; i++)
		proxy = lookup(reader, from[i]);
	if (!no_proxy)
		no_proxy = lookup(reader, "NO_PROXY");
	if (keep(&reader->target->proxy, proxy ? proxy : "") < 0)
		return SONDE_E_NOMEM;
	return keep(&reader->target->no_proxy, no_proxy ? no_proxy : "");
}

static int target_read(struct reader *reader)
{
	static const struct {
		enum setting setting;
		int (*use)(struct reader *reader, const char *value);
	} rest[] = {
		{ PROTOCOL, use_protocol },
		{ TIMEOUT, use_timeout },
		{ COMPRESSION, use_compression },
		{ HEADERS, use_headers },
		{ CERTIFICATE, use_certificate },
		{ CLIENT_KEY, use_client_key },
		{ CLIENT_CERTIFICATE, use_client_certificate },
	};
	int status;

	reader->target->timeout_ms = DEFAULT_TIMEOUT_MS;
	status = resolve(reader, ENDPOINT, use_endpoint);
	if (status == 0)
		status = use_default_endpoint(reader);
	for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]) && status >= 0; i++)
		status = resolve(reader, rest[i].setting, rest[i].use);
	if (status >= 0)
		status = own_headers(reader->target);
	if (status >= 0)
		status = read_proxy(reader);
	return status < 0 ? status : SONDE_OK;
}

int sonde__otlp_settings_init(struct sonde__otlp_settings *settings,
			      const struct sonde_exporter_host *host)
{
	unsigned int judged = 0;
	int status = SONDE_OK;

	memset(settings, 0, sizeof(*settings));
	for (int i = 0; i < SONDE__OTLP_SIGNALS && status == SONDE_OK; i++) {
		struct reader reader = {
			.host = host,
			.target = &settings->targets[i],
			.signal = (enum sonde_signal)i,
			.judged = &judged,
		};

		if (i != SONDE_SIGNAL_PART)
			status = target_read(&reader);
	}
	if (status < 0)
		sonde__otlp_settings_deinit(settings);
	return status;
}

void sonde__otlp_settings_deinit(struct sonde__otlp_settings *settings)
{
	for (int i = 0; i < SONDE__OTLP_SIGNALS; i++) {
		struct sonde__otlp_target *target = &settings->targets[i];

		free(target->url);
		free(target->shown);
		curl_slist_free_all(target->headers);
		free(target->certificate);
		free(target->client_key);
		free(target->client_certificate);
		free(target->proxy);
		free(target->no_proxy);
	}
	memset(settings, 0, sizeof(*settings));
}
