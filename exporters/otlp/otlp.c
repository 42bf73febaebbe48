/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exporter "otlp": settings, encoder and connections of one instance, behind the common
 * contract.
 */

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <sonde/exporter.h>
#include <sonde/otlp.h>

#include "encode.h"
#include "http.h"
#include "settings.h"

struct otlp {
	struct sonde__otlp_settings settings;
	struct sonde__otlp_encoder encoder;
	struct sonde__otlp_http *http;
	struct sonde__otlp_http *torn; /* The one before, whose requests are for another try. */
};

/* Without a resolver of its own, libcurl would make the worker wait for names. */
static void warn_of_resolver(const struct sonde_exporter_host *host)
{
	const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

	if (!(info->features & CURL_VERSION_ASYNCHDNS) && host->report)
		host->report(host->context, SONDE_WARN,
			     "this libcurl waits for name look-ups: delivery and stop may take longer");
}

static bool host_is_valid(const struct sonde_exporter_host *host)
{
	return host && host->size >= sizeof(*host) && host->setting;
}

static int otlp_open(const struct sonde_exporter_host *host, void **ret)
{
	struct otlp *otlp;
	int status;

	if (!host_is_valid(host) || !ret)
		return SONDE_E_INVALID;
	/*
	 * Counted by libcurl, and never undone: the service may use libcurl after us, on any
	 * thread.
	 */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return SONDE_E_SYSTEM;
	otlp = calloc(1, sizeof(*otlp));
	if (!otlp)
		return SONDE_E_NOMEM;
	sonde__otlp_encoder_init(&otlp->encoder);
	status = sonde__otlp_settings_init(&otlp->settings, host);
	if (status == SONDE_OK)
		status = sonde__otlp_http_new(&otlp->settings, &otlp->http);
	if (status < 0) {
		sonde__otlp_settings_deinit(&otlp->settings);
		free(otlp);
		return status;
	}
	warn_of_resolver(host);
	*ret = otlp;
	return SONDE_OK;
}

static bool otlp_accepts(void *instance, enum sonde_signal signal)
{
	(void)instance;
	return signal == SONDE_SIGNAL_SPAN || signal == SONDE_SIGNAL_LOG ||
	       signal == SONDE_SIGNAL_METRIC;
}

static int otlp_encode(void *instance, const struct sonde_batch *batch, struct sonde_buffer *out)
{
	struct otlp *otlp = instance;

	if (!batch || !otlp_accepts(otlp, batch->signal))
		return SONDE_E_INVALID;
	return sonde__otlp_encode(&otlp->encoder, batch, otlp->settings.targets[batch->signal].gzip,
				  out);
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

/*
 * A service that closes all its descriptors closes ours. libcurl cannot be told, and would write to
 * whatever has their numbers now; and where it ran out of memory it may never end a request. In
 * both cases another one is begun, and what was under way is for another try. Without memory for
 * another one, the next call tries again, and until then nothing is sent.
 */
static void mend(struct otlp *otlp)
{
	struct sonde__otlp_http *fresh;

	/* With nothing under way nobody would ask for its results. */
	if (otlp->torn && !sonde__otlp_http_is_busy(otlp->torn))
		otlp->torn = let_go(otlp->torn);
	if (sonde__otlp_http_is_intact(otlp->http) || otlp->torn)
		return;
	if (sonde__otlp_http_new(&otlp->settings, &fresh) < 0)
		return;
	otlp->torn = otlp->http;
	otlp->http = fresh;
}

static bool take_torn(struct otlp *otlp, struct sonde_result *ret)
{
	struct sonde__otlp_http *from = otlp->torn ? otlp->torn : otlp->http;
	const char *why;
	void *token;

	if (sonde__otlp_http_is_intact(from))
		return false;
	why = sonde__otlp_http_is_ours(from) ? "out of memory while sending" :
					       "the service closed the connection's descriptor";
	if (!sonde__otlp_http_take(from, &token)) {
		otlp->torn = let_go(otlp->torn);
		return false;
	}
	memset(ret, 0, sizeof(*ret));
	ret->outcome = SONDE_OUTCOME_RETRY;
	ret->token = token;
	ret->retry_after_ms = -1;
	memcpy(ret->reason, why, strlen(why) + 1);
	return true;
}

static enum sonde_outcome otlp_send(void *instance, const struct sonde_request *request,
				    struct sonde_result *ret)
{
	struct otlp *otlp = instance;

	mend(otlp);
	return sonde__otlp_http_send(otlp->http, request, ret);
}

static size_t otlp_poll(void *instance, struct pollfd *fds, size_t capacity, int *timeout_ms)
{
	struct otlp *otlp = instance;

	if (otlp->torn)
		*timeout_ms = 0;
	return sonde__otlp_http_poll(otlp->http, fds, capacity, timeout_ms);
}

static bool otlp_progress(void *instance, struct sonde_result *ret)
{
	struct otlp *otlp = instance;

	mend(otlp);
	return take_torn(otlp, ret) || sonde__otlp_http_progress(otlp->http, ret);
}

static void otlp_cancel(void *instance, void *token)
{
	struct otlp *otlp = instance;

	mend(otlp);
	if (otlp->torn)
		sonde__otlp_http_forget(otlp->torn, token);
	sonde__otlp_http_cancel(otlp->http, token);
}

static void otlp_close(void *instance, bool forked)
{
	struct otlp *otlp = instance;

	if (!otlp)
		return;
	if (forked) {
		sonde__otlp_http_abandon(otlp->torn);
		sonde__otlp_http_abandon(otlp->http);
	} else {
		let_go(otlp->torn);
		let_go(otlp->http);
	}
	sonde__otlp_encoder_deinit(&otlp->encoder);
	sonde__otlp_settings_deinit(&otlp->settings);
	free(otlp);
}

SONDE_API const struct sonde_exporter sonde_otlp_exporter = {
	.size = sizeof(struct sonde_exporter),
	.name = "otlp",
	.open = otlp_open,
	.accepts = otlp_accepts,
	.encode = otlp_encode,
	.send = otlp_send,
	.poll = otlp_poll,
	.progress = otlp_progress,
	.cancel = otlp_cancel,
	.close = otlp_close,
};

/* A name that is taken already is somebody's wish. */
__attribute__((constructor)) static void otlp_register(void)
{
	(void)sonde_exporter_register(&sonde_otlp_exporter);
}
