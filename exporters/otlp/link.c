/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <string.h>

#include <curl/curl.h>

/* Without a resolver of its own, libcurl would make the worker wait for names. */
static void warn_of_resolver(const struct sonde_exporter_host *host)
{
	const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

	if (!(info->features & CURL_VERSION_ASYNCHDNS) && host->report)
		host->report(host->context, SONDE_WARN,
			     "this libcurl waits for name look-ups: delivery and stop may take longer");
}

int sonde__otlp_link_init(struct sonde__otlp_link *link, const struct sonde__otlp_targets *targets,
			  const struct sonde_exporter_host *host)
{
	struct sonde__otlp_http *http;
	int status;

	/*
	 * Counted by libcurl, and never undone: the service may use libcurl after us, on any
	 * thread.
	 */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return SONDE_E_SYSTEM;
	status = sonde__otlp_http_new(targets, &http);
	if (status < 0)
		return status;
	*link = (struct sonde__otlp_link){ .targets = *targets, .http = http };
	warn_of_resolver(host);
	return SONDE_OK;
}

/* Left behind where the connections are not ours, else freed. */
static struct sonde__otlp_http *let_go(struct sonde__otlp_http *http)
{
	if (http && !sonde__otlp_http_is_ours(http)) {
		sonde__otlp_http_abandon(http);
		return NULL;
	}
	return sonde__otlp_http_free(http);
}

void sonde__otlp_link_deinit(struct sonde__otlp_link *link, bool forked)
{
	if (forked) {
		sonde__otlp_http_abandon(link->torn);
		sonde__otlp_http_abandon(link->http);
	} else {
		let_go(link->torn);
		let_go(link->http);
	}
}

/*
 * A service that closes all its descriptors closes ours. libcurl cannot be told, and would write to
 * whatever has their numbers now; and where it ran out of memory it may never end a request. In
 * both cases another one is begun, and what was under way is for another try. Without memory for
 * another one, the next call tries again, and until then nothing is sent.
 */
static void mend(struct sonde__otlp_link *link)
{
	struct sonde__otlp_http *fresh;

	/* With nothing under way nobody would ask for its results. */
	if (link->torn && !sonde__otlp_http_is_busy(link->torn))
		link->torn = let_go(link->torn);
	if (sonde__otlp_http_is_intact(link->http) || link->torn)
		return;
	if (sonde__otlp_http_new(&link->targets, &fresh) < 0)
		return;
	link->torn = link->http;
	link->http = fresh;
}

static bool take_torn(struct sonde__otlp_link *link, struct sonde_result *ret)
{
	struct sonde__otlp_http *from = link->torn ? link->torn : link->http;
	const char *why;
	void *token;

	if (sonde__otlp_http_is_intact(from))
		return false;
	why = sonde__otlp_http_is_ours(from) ? "out of memory while sending" :
					       "the service closed the connection's descriptor";
	if (!sonde__otlp_http_take(from, &token)) {
		link->torn = let_go(link->torn);
		return false;
	}
	memset(ret, 0, sizeof(*ret));
	ret->outcome = SONDE_OUTCOME_RETRY;
	ret->token = token;
	ret->retry_after_ms = -1;
	memcpy(ret->reason, why, strlen(why) + 1);
	return true;
}

enum sonde_outcome sonde__otlp_link_send(struct sonde__otlp_link *link,
					 const struct sonde_request *request,
					 struct sonde_result *ret)
{
	mend(link);
	return sonde__otlp_http_send(link->http, request, ret);
}

size_t sonde__otlp_link_poll(struct sonde__otlp_link *link, struct pollfd *fds, size_t capacity,
			     int *timeout_ms)
{
	if (link->torn)
		*timeout_ms = 0;
	return sonde__otlp_http_poll(link->http, fds, capacity, timeout_ms);
}

bool sonde__otlp_link_progress(struct sonde__otlp_link *link, struct sonde_result *ret)
{
	mend(link);
	return take_torn(link, ret) || sonde__otlp_http_progress(link->http, ret);
}

void sonde__otlp_link_cancel(struct sonde__otlp_link *link, void *token)
{
	mend(link);
	if (link->torn)
		sonde__otlp_http_forget(link->torn, token);
	sonde__otlp_http_cancel(link->http, token);
}
