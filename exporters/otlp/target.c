/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "headers.h"
#include "line.h"

const char *sonde__otlp_lookup(const struct sonde__otlp_reader *reader, const char *name)
{
	const char *value = reader->host->setting(reader->host->context, name);

	return value && *value ? value : NULL;
}

void sonde__otlp_complain(const struct sonde__otlp_reader *reader, const char *value,
			  const char *why)
{
	struct sonde__otlp_line line;
	char text[512];

	if (!reader->host->report || reader->is_silent)
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

static int keep(char **to, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return SONDE_E_NOMEM;
	free(*to);
	*to = copy;
	return 1;
}

/* ---- The URL --------------------------------------------------------------------------------- */

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

/* "http://host:4318/prefix" and "/" or not: the path is relative to it. */
static CURLUcode append_path(CURLU *url, const char *own)
{
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
	int status;

	curl_url_set(url, CURLUPART_USER, NULL, 0);
	curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
	curl_url_set(url, CURLUPART_OPTIONS, NULL, 0);
	curl_url_set(url, CURLUPART_QUERY, NULL, 0);
	curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
	if (target->is_secret)
		curl_url_set(url, CURLUPART_PATH, NULL, 0);
	status = url_part(url, CURLUPART_URL, 0, &target->shown);
	/* libcurl knows no URL without a path. */
	if (status > 0 && target->is_secret && target->shown[strlen(target->shown) - 1] == '/')
		target->shown[strlen(target->shown) - 1] = '\0';
	return status;
}

static int keep_url(struct sonde__otlp_reader *reader, CURLU *url, const char *path)
{
	struct sonde__otlp_target *target = reader->target;
	char *port = NULL;

	curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
	if (path && append_path(url, path) != CURLUE_OK)
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

/*
 * What may be repeated of a URL that is no good: nothing where it may carry a password, and of a
 * secret one what stands before its path, if that looks like a host.
 */
static const char *safe_value(const struct sonde__otlp_reader *reader, const char *value,
			      char *buffer, size_t size)
{
	const char *scheme = strstr(value, "://");
	const char *host = scheme ? scheme + 3 : value;
	size_t n = (size_t)(host - value) + strcspn(host, "/?#");

	if (strchr(value, '@'))
		return NULL;
	if (!reader->target->is_secret)
		return strchr(value, '?') ? NULL : value;
	if (n + 4 > size || !memchr(value, '.', n))
		return NULL;
	memcpy(buffer, value, n);
	memcpy(buffer + n, "...", 4);
	return buffer;
}

int sonde__otlp_use_url(struct sonde__otlp_reader *reader, const char *value, const char *path)
{
	CURLU *url;
	CURLUcode code;
	char buffer[80];
	const char *safe = safe_value(reader, value, buffer, sizeof(buffer));
	int status = 0;

	if (!has_scheme(value)) {
		sonde__otlp_complain(
			reader, safe,
			strstr(value, "://") ? "is ignored: only http:// and https:// are supported" :
					       "is ignored: it has no scheme; write http:// or https:// before it");
		return 0;
	}
	url = curl_url();
	if (!url)
		return SONDE_E_NOMEM;
	code = curl_url_set(url, CURLUPART_URL, value, CURLU_PATH_AS_IS);
	if (code == CURLUE_OK)
		status = keep_url(reader, url, path);
	else if (code == CURLUE_OUT_OF_MEMORY)
		status = SONDE_E_NOMEM;
	else
		sonde__otlp_complain(reader, safe, "is ignored: it is not a URL");
	curl_url_cleanup(url);
	return status;
}

/* ---- The other settings ---------------------------------------------------------------------- */

bool sonde__otlp_read_number(const char *value, uint32_t max, uint32_t *ret)
{
	uint64_t number = 0;
	size_t n = strspn(value, "0123456789");

	if (!n || value[n])
		return false;
	for (size_t i = 0; i < n && number <= max; i++)
		number = number * 10 + (uint64_t)(value[i] - '0');
	if (number > max)
		return false;
	*ret = (uint32_t)number;
	return true;
}

int sonde__otlp_use_timeout(struct sonde__otlp_reader *reader, const char *value)
{
	if (sonde__otlp_read_number(value, INT32_MAX, &reader->target->timeout_ms))
		return 1;
	sonde__otlp_complain(reader, value, "is ignored: it is not a number of milliseconds from 0 to 2147483647");
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
	sonde__otlp_complain(user, /* value= */ NULL, text);
}

int sonde__otlp_use_headers(struct sonde__otlp_reader *reader, const char *value)
{
	int status = sonde__otlp_headers_add(&reader->target->headers, value, skipped_header,
					     reader);

	return status < 0 ? status : 1;
}

/* Kept all the same: the file may yet appear, and a request says so again when it does not. */
static int use_file(struct sonde__otlp_reader *reader, const char *value, char **ret)
{
	if (access(value, R_OK) < 0)
		sonde__otlp_complain(reader, value, "cannot be read now; TLS connections will fail until it can");
	return keep(ret, value);
}

int sonde__otlp_use_certificate(struct sonde__otlp_reader *reader, const char *value)
{
	return use_file(reader, value, &reader->target->certificate);
}

int sonde__otlp_use_client_key(struct sonde__otlp_reader *reader, const char *value)
{
	return use_file(reader, value, &reader->target->client_key);
}

int sonde__otlp_use_client_certificate(struct sonde__otlp_reader *reader, const char *value)
{
	return use_file(reader, value, &reader->target->client_certificate);
}

/* ---- All of it ------------------------------------------------------------------------------- */

static int add_header(struct sonde__otlp_target *target, const char *header)
{
	struct curl_slist *longer = curl_slist_append(target->headers, header);

	if (!longer)
		return SONDE_E_NOMEM;
	target->headers = longer;
	return SONDE_OK;
}

static int add_own_headers(struct sonde__otlp_target *target, const char *content_type)
{
	char type[64];
	int status;

	(void)snprintf(type, sizeof(type), "Content-Type: %s", content_type);
	status = add_header(target, type);
	/* An empty `Expect:` keeps libcurl from asking before it sends a body. */
	if (status == SONDE_OK)
		status = add_header(target, "Expect:");
	if (status == SONDE_OK && target->gzip)
		status = add_header(target, "Content-Encoding: gzip");
	return status;
}

/*
 * The names libcurl itself would look for. It is told not to: it would read the environment on the
 * background thread, while the service may be changing it.
 */
static int read_proxy(struct sonde__otlp_reader *reader)
{
	static const char *const http[] = { "http_proxy", "all_proxy", "ALL_PROXY" };
	static const char *const https[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
	const char *const *from = reader->target->is_https ? https : http;
	size_t n = reader->target->is_https ? 4 : 3;
	const char *proxy = NULL;
	const char *no_proxy = sonde__otlp_lookup(reader, "no_proxy");

	for (size_t i = 0; i < n && !proxy; i++)
		proxy = sonde__otlp_lookup(reader, from[i]);
	if (!no_proxy)
		no_proxy = sonde__otlp_lookup(reader, "NO_PROXY");
	if (keep(&reader->target->proxy, proxy ? proxy : "") < 0)
		return SONDE_E_NOMEM;
	return keep(&reader->target->no_proxy, no_proxy ? no_proxy : "");
}

int sonde__otlp_target_finish(struct sonde__otlp_reader *reader, const char *content_type)
{
	int status = add_own_headers(reader->target, content_type);

	if (status == SONDE_OK)
		status = read_proxy(reader);
	return status < 0 ? status : SONDE_OK;
}

void sonde__otlp_target_deinit(struct sonde__otlp_target *target)
{
	free(target->url);
	free(target->shown);
	curl_slist_free_all(target->headers);
	free(target->certificate);
	free(target->client_key);
	free(target->client_certificate);
	free(target->proxy);
	free(target->no_proxy);
	memset(target, 0, sizeof(*target));
}
