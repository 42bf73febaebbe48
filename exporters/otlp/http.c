/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

/*
 * libcurl's multi interface, driven by descriptors and one timer ("socket action"). libcurl says
 * through two callbacks what it waits for; poll() passes that on to the pipeline, which sleeps on
 * all of it at once, and progress() tells libcurl what has become ready. The number of a descriptor
 * does not matter, as it would with select().
 *
 * A slot is one request under way and keeps its easy handle for the next one; connections belong to
 * the multi handle, so both signals to the same collector share them.
 */

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "slot.h"
#include "sockets.h"

#define SLOTS_PER_SIGNAL 2
#define N_SLOTS (SLOTS_PER_SIGNAL * SONDE__OTLP_SIGNALS)
#define WATCHES_MAX 32
/* How long to wait where no descriptor says when: no room for all, or no memory. */
#define SOON_MS 20
/* Idle connections that are kept: one collector, seldom two. */
#define CONNECTIONS_KEPT 2L
struct watch {
	int fd;
	short events;
};

struct sonde__otlp_http {
	CURLM *multi;
	struct sonde__otlp_slot slots[N_SLOTS];
	struct watch watches[WATCHES_MAX];
	size_t n_watches;
	int64_t timer_at_ms; /* When libcurl wants to be called; -1: not. */
	bool is_broken; /* libcurl ran out of memory and may have lost sight of a request. */
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

/* ---- libcurl's callbacks --------------------------------------------------------------------- */

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

/* ---- Making and unmaking --------------------------------------------------------------------- */

int sonde__otlp_http_new(const struct sonde__otlp_targets *targets, struct sonde__otlp_http **ret)
{
	struct sonde__otlp_http *http = calloc(1, sizeof(*http));
	struct sonde__otlp_sockets standard = { .n = 0 };

	if (!http)
		return SONDE_E_NOMEM;
	http->timer_at_ms = -1;
	/*
	 * A witness for the pair of descriptors that libcurl makes for itself next and that are not
	 * known to us: where a service closes all descriptors before there is a connection, this
	 * one tells of it, and libcurl's pair is not closed over again when its numbers are
	 * somebody else's. Better off without it than not to begin.
	 */
	(void)sonde__otlp_sockets_open(&http->sockets, AF_UNIX, SOCK_STREAM, /* protocol= */ 0);
	for (int i = 0; i < N_SLOTS; i++) {
		enum sonde_signal signal = (enum sonde_signal)(i / SLOTS_PER_SIGNAL);

		sonde__otlp_slot_init(&http->slots[i], signal, targets->by_signal[signal],
				      &http->sockets);
	}
	sonde__otlp_sockets_hold_standard(&standard);
	http->multi = curl_multi_init();
	sonde__otlp_sockets_close_all(&standard);
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

struct sonde__otlp_http *sonde__otlp_http_free(struct sonde__otlp_http *http)
{
	if (!http)
		return NULL;
	for (int i = 0; i < N_SLOTS; i++) {
		sonde__otlp_slot_stop(&http->slots[i], http->multi);
		sonde__otlp_slot_deinit(&http->slots[i]);
	}
	curl_multi_cleanup(http->multi);
	sonde__otlp_sockets_close_all(&http->sockets);
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
	return !http->is_broken && sonde__otlp_sockets_are_ours(&http->sockets);
}

bool sonde__otlp_http_is_ours(const struct sonde__otlp_http *http)
{
	return sonde__otlp_sockets_are_ours(&http->sockets);
}

bool sonde__otlp_http_is_busy(const struct sonde__otlp_http *http)
{
	for (int i = 0; i < N_SLOTS; i++)
		if (http->slots[i].is_busy)
			return true;
	return false;
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

/* ---- A request's way ------------------------------------------------------------------------- */

static struct sonde__otlp_slot *find_slot(struct sonde__otlp_http *http, enum sonde_signal signal)
{
	for (int i = 0; i < N_SLOTS; i++)
		if (http->slots[i].signal == signal && !http->slots[i].is_busy)
			return &http->slots[i];
	return NULL;
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

enum sonde_outcome sonde__otlp_http_send(struct sonde__otlp_http *http,
					 const struct sonde_request *request,
					 struct sonde_result *ret)
{
	struct sonde__otlp_slot *slot = find_slot(http, request->signal);

	if (!sonde__otlp_http_is_intact(http))
		return cannot_start(ret, request->token, "sending could not be begun again");
	if (!slot)
		return cannot_start(ret, request->token, "too many requests are under way");
	if (sonde__otlp_slot_start(slot, http->multi, request) < 0)
		return cannot_start(ret, request->token, "out of memory while beginning to send");
	return SONDE_OUTCOME_PENDING;
}

static bool take_finished(struct sonde__otlp_http *http, struct sonde_result *ret)
{
	CURLMsg *message;
	int n_left;

	while ((message = curl_multi_info_read(http->multi, &n_left))) {
		struct sonde__otlp_slot *slot;
		char *private = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
		slot = (struct sonde__otlp_slot *)(void *)private;
		sonde__otlp_slot_finish(slot, message->data.result, ret);
		sonde__otlp_slot_stop(slot, http->multi);
		return true;
	}
	return false;
}

static int curl_events(short revents)
{
	return (revents & POLLIN ? CURL_CSELECT_IN : 0) |
	       (revents & POLLOUT ? CURL_CSELECT_OUT : 0) |
	       (revents & (POLLERR | POLLHUP | POLLNVAL) ? CURL_CSELECT_ERR : 0);
}

/* What a failed call leaves behind would never end, not even by its timeout. */
static void act(struct sonde__otlp_http *http, curl_socket_t fd, int events)
{
	int n_running;

	if (curl_multi_socket_action(http->multi, fd, events, &n_running) != CURLM_OK)
		http->is_broken = true;
}

/*
 * The watches change under the calls, so it works on a copy; libcurl ignores what it has dropped.
 */
static void turn(struct sonde__otlp_http *http)
{
	struct pollfd fds[WATCHES_MAX];
	size_t n = http->n_watches;

	for (size_t i = 0; i < n; i++)
		fds[i] = (struct pollfd){ .fd = http->watches[i].fd,
					  .events = http->watches[i].events };
	if (n && poll(fds, n, /* timeout= */ 0) > 0)
		for (size_t i = 0; i < n; i++)
			if (fds[i].revents)
				act(http, fds[i].fd, curl_events(fds[i].revents));
	if (http->timer_at_ms >= 0 && http->timer_at_ms <= now_ms()) {
		http->timer_at_ms = -1;
		act(http, CURL_SOCKET_TIMEOUT, /* events= */ 0);
	}
}

bool sonde__otlp_http_progress(struct sonde__otlp_http *http, struct sonde_result *ret)
{
	if (!sonde__otlp_http_is_intact(http))
		return false;
	if (take_finished(http, ret))
		return true;
	turn(http);
	return take_finished(http, ret);
}

/* -1 is for ever. */
static void lower(int *timeout_ms, int wanted)
{
	if (*timeout_ms < 0 || wanted < *timeout_ms)
		*timeout_ms = wanted;
}

size_t sonde__otlp_http_poll(struct sonde__otlp_http *http, struct pollfd *fds, size_t capacity,
			     int *timeout_ms)
{
	size_t n = http->n_watches < capacity ? http->n_watches : capacity;

	if (!sonde__otlp_http_is_intact(http)) {
		lower(timeout_ms, SOON_MS);
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		fds[i] = (struct pollfd){ .fd = http->watches[i].fd,
					  .events = http->watches[i].events };
	if (n < http->n_watches)
		lower(timeout_ms, SOON_MS);
	if (http->timer_at_ms >= 0) {
		int64_t left = http->timer_at_ms - now_ms();

		lower(timeout_ms, left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left);
	}
	return n;
}

void sonde__otlp_http_cancel(struct sonde__otlp_http *http, void *token)
{
	for (int i = 0; i < N_SLOTS; i++) {
		struct sonde__otlp_slot *slot = &http->slots[i];

		if (!slot->is_busy || slot->token != token)
			continue;
		sonde__otlp_slot_stop(slot, http->multi);
		return;
	}
}
