/* SPDX-License-Identifier: Apache-2.0 */
#include "slot.h"

/*
 * What must never happen, and what prevents it:
 * - waiting for a name look-up that hangs: CURLOPT_QUICK_EXIT, its thread is left behind;
 * - a signal handler or SIGALRM in the host: CURLOPT_NOSIGNAL;
 * - reading the environment on this thread: proxies are set, to nothing if need be;
 * - a descriptor that survives exec(), or is closed after it became somebody else's: sockets.h.
 */

#include <stdlib.h>
#include <string.h>

#include "classify.h"

/* An answer's memory above this is not kept for the next one. */
#define ANSWER_KEPT 65536

/* What goes to the kernel at once: with libcurl's own 64 KiB a large body costs a tenth more. */
#define UPLOAD_BUFFER (256L * 1024)

/* ---- libcurl's callbacks --------------------------------------------------------------------- */

static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct sonde__otlp_sockets *sockets = user;
	int fd;

	(void)purpose;
	fd = sonde__otlp_sockets_open(sockets, address->family, address->socktype,
				      address->protocol);
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int on_close(void *user, curl_socket_t fd)
{
	struct sonde__otlp_sockets *sockets = user;

	sonde__otlp_sockets_close(sockets, fd);
	return 0;
}

/* Takes the answer's body, decompressed, up to the limit. */
static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	struct sonde__otlp_slot *slot = user;

	if (sonde_buffer_append(&slot->answer, data, size * n) == SONDE_OK)
		return size * n;
	slot->is_too_big = size * n > slot->answer.limit - slot->answer.size;
	return 0;
}

/* ---- The handle ------------------------------------------------------------------------------ */

/* Every option that does not change from request to request; false where one failed. */
static bool easy_configure_transport(struct sonde__otlp_slot *slot, CURL *easy)
{
	return curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) ==
		       CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXY, slot->target->proxy) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_NOPROXY, slot->target->no_proxy) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, slot->sockets) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, slot->sockets) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PRIVATE, slot) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, slot->error) == CURLE_OK;
}

static bool easy_configure_request(struct sonde__otlp_slot *slot, CURL *easy)
{
	return curl_easy_setopt(easy, CURLOPT_URL, slot->target->url) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_USERAGENT,
				slot->target->dialect->user_agent) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTPHEADER, slot->target->headers) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEDATA, slot) == CURLE_OK;
}

/* Verification of the server is libcurl's default and stays on. */
static bool easy_configure_tls(struct sonde__otlp_slot *slot, CURL *easy)
{
	const struct sonde__otlp_target *target = slot->target;

	return (!target->certificate ||
		curl_easy_setopt(easy, CURLOPT_CAINFO, target->certificate) == CURLE_OK) &&
	       (!target->client_certificate ||
		curl_easy_setopt(easy, CURLOPT_SSLCERT, target->client_certificate) == CURLE_OK) &&
	       (!target->client_key ||
		curl_easy_setopt(easy, CURLOPT_SSLKEY, target->client_key) == CURLE_OK);
}

static int slot_make_easy(struct sonde__otlp_slot *slot)
{
	CURL *easy = curl_easy_init();

	if (!easy)
		return SONDE_E_NOMEM;
	if (!easy_configure_transport(slot, easy) || !easy_configure_request(slot, easy) ||
	    !easy_configure_tls(slot, easy)) {
		curl_easy_cleanup(easy);
		return SONDE_E_NOMEM;
	}
	slot->easy = easy;
	return SONDE_OK;
}

void sonde__otlp_slot_init(struct sonde__otlp_slot *slot, enum sonde_signal signal,
			   const struct sonde__otlp_target *target,
			   struct sonde__otlp_sockets *sockets)
{
	memset(slot, 0, sizeof(*slot));
	slot->signal = signal;
	slot->target = target;
	slot->sockets = sockets;
	slot->answer.limit = SONDE__OTLP_ANSWER_MAX;
}

void sonde__otlp_slot_deinit(struct sonde__otlp_slot *slot)
{
	curl_easy_cleanup(slot->easy);
	free(slot->answer.data);
	slot->easy = NULL;
	slot->answer.data = NULL;
}

/* ---- A request's way ------------------------------------------------------------------------- */

/* The shorter of the two limits; 0 is none. */
static uint32_t shorter(uint32_t a, uint32_t b)
{
	if (!a || !b)
		return a | b;
	return a < b ? a : b;
}

int sonde__otlp_slot_start(struct sonde__otlp_slot *slot, CURLM *multi,
			   const struct sonde_request *request)
{
	uint32_t timeout_ms = shorter(request->timeout_ms, slot->target->timeout_ms);

	if (!slot->easy && slot_make_easy(slot) < 0)
		return SONDE_E_NOMEM;
	slot->token = request->token;
	slot->n_items = request->n_items;
	slot->timeout_ms = timeout_ms;
	slot->is_too_big = false;
	slot->error[0] = '\0';
	if (curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, request->body.data) != CURLE_OK ||
	    curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE_LARGE,
			     (curl_off_t)request->body.size) != CURLE_OK ||
	    curl_easy_setopt(slot->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms) != CURLE_OK)
		return SONDE_E_NOMEM;
	if (curl_multi_add_handle(multi, slot->easy) != CURLM_OK)
		return SONDE_E_NOMEM;
	slot->is_busy = true;
	return SONDE_OK;
}

void sonde__otlp_slot_stop(struct sonde__otlp_slot *slot, CURLM *multi)
{
	if (!slot->is_busy)
		return;
	curl_multi_remove_handle(multi, slot->easy);
	slot->is_busy = false;
	slot->token = NULL;
	slot->answer.size = 0;
	if (slot->answer.capacity > ANSWER_KEPT) {
		free(slot->answer.data);
		slot->answer.data = NULL;
		slot->answer.capacity = 0;
	}
}

static int connect_errno(const struct sonde__otlp_slot *slot, CURLcode code)
{
	long error = 0;

	if (code == CURLE_COULDNT_CONNECT)
		curl_easy_getinfo(slot->easy, CURLINFO_OS_ERRNO, &error);
	return (int)error;
}

static bool was_connected(const struct sonde__otlp_slot *slot)
{
	curl_off_t connect_us = 0;

	curl_easy_getinfo(slot->easy, CURLINFO_CONNECT_TIME_T, &connect_us);
	return connect_us > 0;
}

void sonde__otlp_slot_finish(const struct sonde__otlp_slot *slot, CURLcode code,
			     struct sonde_result *ret)
{
	char *content_type = NULL, *location = NULL;
	curl_off_t retry_after = 0;
	struct sonde__otlp_answer answer = {
		.target = slot->target,
		.signal = slot->signal,
		.n_items = slot->n_items,
		.timeout_ms = slot->timeout_ms,
		.code = code,
		.os_error = connect_errno(slot, code),
		.is_connected = was_connected(slot),
		.detail = slot->error,
		.body = { slot->answer.data, slot->answer.size },
		.is_too_big = slot->is_too_big,
	};

	curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &answer.status);
	curl_easy_getinfo(slot->easy, CURLINFO_CONTENT_TYPE, &content_type);
	curl_easy_getinfo(slot->easy, CURLINFO_REDIRECT_URL, &location);
	curl_easy_getinfo(slot->easy, CURLINFO_RETRY_AFTER, &retry_after);
	answer.content_type = content_type;
	answer.location = location;
	answer.retry_after_s = retry_after;
	sonde__otlp_classify(&answer, ret);
	ret->token = slot->token;
}
