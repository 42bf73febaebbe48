/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

/*
 * libcurl's multi interface, driven by descriptors and one timer ("socket action"). libcurl says through
 * two callbacks what it waits for; poll() passes that on to the pipeline, which sleeps on all of it at
 * once, and progress() tells libcurl what has become ready. The number of a descriptor does not matter,
 * as it would with select().
 *
 * A slot is one request under way and keeps its easy handle for the next one; connections belong to the
 * multi handle, so both signals to the same collector share them.
 *
 * What must never happen, and what prevents it:
 * - waiting for a name look-up that hangs: CURLOPT_QUICK_EXIT, its thread is left behind;
 * - a signal handler or SIGALRM in the host: CURLOPT_NOSIGNAL;
 * - reading the environment on this thread: proxies are set, to nothing if need be;
 * - a descriptor that survives exec(), or is closed after it became somebody else's: sockets.h.
 */

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "classify.h"
#include "sockets.h"

#define SLOTS_PER_SIGNAL 2
#define N_SLOTS (SLOTS_PER_SIGNAL * SONDE__OTLP_SIGNALS)
#define WATCHES_MAX 32
/* Idle connections that are kept: one collector, seldom two. */
#define CONNECTIONS_KEPT 2L
/* An answer's memory above this is not kept for the next one. */
#define ANSWER_KEPT 65536

#define USER_AGENT "sonde/" SONDE_VERSION " OTel-OTLP-Exporter-C/" SONDE_VERSION

struct slot {
	struct sonde__otlp_http *http;
	const struct sonde__otlp_target *target;
	enum sonde_signal signal;
	CURL *easy;
	bool is_busy;
	bool is_too_big;
	void *token;
	size_t n_items;
	uint32_t timeout_ms;
	struct sonde_buffer answer;
	char error[CURL_ERROR_SIZE];
};

struct watch {
	int fd;
	short events;
};

struct sonde__otlp_http {
	CURLM *multi;
	struct slot slots[N_SLOTS];
	struct watch watches[WATCHES_MAX];
	size_t n_watches;
	int64_t timer_at_ms; /* When libcurl wants to be called; -1: not. */
	struct sonde__otlp_sockets sockets;
	struct sonde__otlp_http *next_abandoned;
};

/*
 * What was abandoned stays reachable, so that leak checkers see that it was meant. Written by an
 * exchange, relaxed: nothing is ever read through it.
 */
static _Atomic(struct sonde__otlp_http *) abandoned;

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- libcurl's callbacks ---------------------------------------------------------------------- */

static short poll_events(int what)
{
	return (short)((what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0));
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *unused)
{
	struct sonde__otlp_http *http = user;
	size_t i = 0;

	(void)easy;
	(void)unused;
	while (i < http->n_watches && http->watches[i].fd != fd)
		i++;
	if (what == CURL_POLL_REMOVE) {
		if (i < http->n_watches)
			http->watches[i] = http->watches[--http->n_watches];
		return 0;
	}
	if (i == WATCHES_MAX)
		return -1;
	if (i == http->n_watches)
		http->n_watches++;
	http->watches[i] = (struct watch){ fd, poll_events(what) };
	return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *user)
{
	struct sonde__otlp_http *http = user;

	(void)multi;
	http->timer_at_ms = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	return 0;
}

static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct sonde__otlp_http *http = user;
	int fd;

	(void)purpose;
	fd = sonde__otlp_sockets_open(&http->sockets, address->family, address->socktype, address->protocol);
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int on_close(void *user, curl_socket_t fd)
{
	struct sonde__otlp_http *http = user;

	sonde__otlp_sockets_close(&http->sockets, fd);
	return 0;
}

/* Takes the answer's body, decompressed, up to the limit. */
static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	struct slot *slot = user;

	if (sonde_buffer_append(&slot->answer, data, size * n) == SONDE_OK)
		return size * n;
	slot->is_too_big = size * n > slot->answer.limit - slot->answer.size;
	return 0;
}

/* ---- Making and unmaking ----------------------------------------------------------------------- */

/* Every option that does not change from request to request; false where one failed. */
static bool easy_configure_transport(struct slot *slot, CURL *easy)
{
	return curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROXY, slot->target->proxy) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_NOPROXY, slot->target->no_proxy) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, slot->http) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, slot->http) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PRIVATE, slot) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, slot->error) == CURLE_OK;
}

static bool easy_configure_request(struct slot *slot, CURL *easy)
{
	return curl_easy_setopt(easy, CURLOPT_URL, slot->target->url) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_USERAGENT, USER_AGENT) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTPHEADER, slot->target->headers) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEDATA, slot) == CURLE_OK;
}

/* Verification of the server is libcurl's default and stays on. */
static bool easy_configure_tls(struct slot *slot, CURL *easy)
{
	const struct sonde__otlp_target *target = slot->target;

	return (!target->certificate ||
		curl_easy_setopt(easy, CURLOPT_CAINFO, target->certificate) == CURLE_OK) &&
	       (!target->client_certificate ||
		curl_easy_setopt(easy, CURLOPT_SSLCERT, target->client_certificate) == CURLE_OK) &&
	       (!target->client_key ||
		curl_easy_setopt(easy, CURLOPT_SSLKEY, target->client_key) == CURLE_OK);
}

static int slot_init(struct slot *slot)
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

int sonde__otlp_http_new(const struct sonde__otlp_settings *settings, struct sonde__otlp_http **ret)
{
	struct sonde__otlp_http *http = calloc(1, sizeof(*http));

	if (!http)
		return SONDE_E_NOMEM;
	http->timer_at_ms = -1;
	for (int i = 0; i < N_SLOTS; i++) {
		http->slots[i].http = http;
		http->slots[i].signal = (enum sonde_signal)(i / SLOTS_PER_SIGNAL);
		http->slots[i].target = &settings->targets[i / SLOTS_PER_SIGNAL];
		http->slots[i].answer.limit = SONDE__OTLP_ANSWER_MAX;
	}
	http->multi = curl_multi_init();
	if (!http->multi ||
	    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
	    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http) != CURLM_OK ||
	    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer) != CURLM_OK ||
	    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http) != CURLM_OK ||
	    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT) != CURLM_OK) {
		sonde__otlp_http_free(http);
		return SONDE_E_NOMEM;
	}
	*ret = http;
	return SONDE_OK;
}

static void slot_release(struct slot *slot)
{
	slot->is_busy = false;
	slot->token = NULL;
	slot->answer.size = 0;
	if (slot->answer.capacity > ANSWER_KEPT) {
		free(slot->answer.data);
		slot->answer.data = NULL;
		slot->answer.capacity = 0;
	}
}

struct sonde__otlp_http *sonde__otlp_http_free(struct sonde__otlp_http *http)
{
	if (!http)
		return NULL;
	for (int i = 0; i < N_SLOTS; i++) {
		struct slot *slot = &http->slots[i];

		if (slot->is_busy)
			curl_multi_remove_handle(http->multi, slot->easy);
		curl_easy_cleanup(slot->easy);
		free(slot->answer.data);
	}
	curl_multi_cleanup(http->multi);
	free(http);
	return NULL;
}

void sonde__otlp_http_abandon(struct sonde__otlp_http *http)
{
	if (!http)
		return;
	sonde__otlp_sockets_close_all(&http->sockets);
	http->next_abandoned = atomic_exchange_explicit(&abandoned, http, memory_order_relaxed);
}

bool sonde__otlp_http_is_intact(const struct sonde__otlp_http *http)
{
	return sonde__otlp_sockets_are_ours(&http->sockets);
}

bool sonde__otlp_http_take(struct sonde__otlp_http *http, void **ret_token)
{
	for (int i = 0; i < N_SLOTS; i++) {
		if (!http->slots[i].is_busy)
			continue;
		*ret_token = http->slots[i].token;
		http->slots[i].is_busy = false;
		return true;
	}
	return false;
}

void sonde__otlp_http_forget(struct sonde__otlp_http *http, void *token)
{
	for (int i = 0; i < N_SLOTS; i++)
		if (http->slots[i].token == token)
			http->slots[i].is_busy = false;
}

/* ---- A request's way --------------------------------------------------------------------------- */

static struct slot *find_slot(struct sonde__otlp_http *http, enum sonde_signal signal)
{
	for (int i = 0; i < N_SLOTS; i++)
		if (http->slots[i].signal == signal && !http->slots[i].is_busy)
			return &http->slots[i];
	return NULL;
}

/* The shorter of the two limits; 0 is none. */
static uint32_t shorter(uint32_t a, uint32_t b)
{
	if (!a || !b)
		return a | b;
	return a < b ? a : b;
}

static bool slot_start(struct slot *slot, const struct sonde_request *request)
{
	uint32_t timeout_ms = shorter(request->timeout_ms, slot->target->timeout_ms);

	if (!slot->easy && slot_init(slot) < 0)
		return false;
	slot->token = request->token;
	slot->n_items = request->n_items;
	slot->timeout_ms = timeout_ms;
	slot->is_too_big = false;
	slot->error[0] = '\0';
	if (curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, request->body.data) != CURLE_OK ||
	    curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size) != CURLE_OK ||
	    curl_easy_setopt(slot->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms) != CURLE_OK)
		return false;
	if (curl_multi_add_handle(slot->http->multi, slot->easy) != CURLM_OK)
		return false;
	slot->is_busy = true;
	return true;
}

static enum sonde_outcome cannot_start(struct sonde_result *ret, void *token, const char *why)
{
	memset(ret, 0, sizeof(*ret));
	ret->outcome = SONDE_OUTCOME_RETRY;
	ret->token = token;
	ret->retry_after_ms = -1;
	memcpy(ret->reason, why, strlen(why) + 1);
	return ret->outcome;
}

enum sonde_outcome sonde__otlp_http_send(struct sonde__otlp_http *http, const struct sonde_request *request,
					 struct sonde_result *ret)
{
	struct slot *slot = find_slot(http, request->signal);

	if (!slot)
		return cannot_start(ret, request->token, "too many requests are under way");
	if (!slot_start(slot, request))
		return cannot_start(ret, request->token, "out of memory while beginning to send");
	return SONDE_OUTCOME_PENDING;
}

static int connect_errno(const struct slot *slot, CURLcode code)
{
	long error = 0;

	if (code == CURLE_COULDNT_CONNECT)
		curl_easy_getinfo(slot->easy, CURLINFO_OS_ERRNO, &error);
	return (int)error;
}

static bool was_connected(const struct slot *slot)
{
	curl_off_t connect_us = 0;

	curl_easy_getinfo(slot->easy, CURLINFO_CONNECT_TIME_T, &connect_us);
	return connect_us > 0;
}

static void slot_finish(struct slot *slot, CURLcode code, struct sonde_result *ret)
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
	curl_multi_remove_handle(slot->http->multi, slot->easy);
	slot_release(slot);
}

static bool take_finished(struct sonde__otlp_http *http, struct sonde_result *ret)
{
	CURLMsg *message;
	int n_left;

	while ((message = curl_multi_info_read(http->multi, &n_left))) {
		char *slot = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
		slot_finish((struct slot *)(void *)slot, message->data.result, ret);
		return true;
	}
	return false;
}

static int curl_events(short revents)
{
	return (revents & POLLIN ? CURL_CSELECT_IN : 0) | (revents & POLLOUT ? CURL_CSELECT_OUT : 0) |
	       (revents & (POLLERR | POLLHUP | POLLNVAL) ? CURL_CSELECT_ERR : 0);
}

/* The watches change under the calls, so it works on a copy; libcurl ignores what it has dropped. */
static void turn(struct sonde__otlp_http *http)
{
	struct pollfd fds[WATCHES_MAX];
	size_t n = http->n_watches;
	int n_running;

	for (size_t i = 0; i < n; i++)
		fds[i] = (struct pollfd){ .fd = http->watches[i].fd, .events = http->watches[i].events };
	if (n && poll(fds, n, /* timeout= */ 0) > 0)
		for (size_t i = 0; i < n; i++)
			if (fds[i].revents)
				curl_multi_socket_action(http->multi, fds[i].fd, curl_events(fds[i].revents),
							 &n_running);
	if (http->timer_at_ms >= 0 && http->timer_at_ms <= now_ms()) {
		http->timer_at_ms = -1;
		curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, /* events= */ 0, &n_running);
	}
}

bool sonde__otlp_http_progress(struct sonde__otlp_http *http, struct sonde_result *ret)
{
	if (take_finished(http, ret))
		return true;
	turn(http);
	return take_finished(http, ret);
}

size_t sonde__otlp_http_poll(struct sonde__otlp_http *http, struct pollfd *fds, size_t capacity, int *timeout_ms)
{
	size_t n = http->n_watches < capacity ? http->n_watches : capacity;

	for (size_t i = 0; i < n; i++)
		fds[i] = (struct pollfd){ .fd = http->watches[i].fd, .events = http->watches[i].events };
	if (http->timer_at_ms >= 0) {
		int64_t left = http->timer_at_ms - now_ms();
		int wanted = left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;

		if (*timeout_ms < 0 || wanted < *timeout_ms)
			*timeout_ms = wanted;
	}
	return n;
}

void sonde__otlp_http_cancel(struct sonde__otlp_http *http, void *token)
{
	for (int i = 0; i < N_SLOTS; i++) {
		struct slot *slot = &http->slots[i];

		if (!slot->is_busy || slot->token != token)
			continue;
		curl_multi_remove_handle(http->multi, slot->easy);
		slot_release(slot);
		return;
	}
}
