/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_HTTP_H
#define SONDE_OTLP_HTTP_H

/* Requests over HTTP, several at a time, none of which ever waits. One thread. */

#include <stdbool.h>
#include <stddef.h>

#include <sonde/exporter.h>

#include "target.h"

struct sonde__otlp_http;
struct pollfd;

/* Rows by enum sonde_signal; that of parts, which never leave alone, is not used. */
#define SONDE__OTLP_SIGNALS (SONDE_SIGNAL_METRIC + 1)

struct sonde__otlp_targets {
	/* By enum sonde_signal; the same one may stand for several. */
	const struct sonde__otlp_target *by_signal[SONDE__OTLP_SIGNALS];
};

/* The targets outlive it. */
int sonde__otlp_http_new(const struct sonde__otlp_targets *targets, struct sonde__otlp_http **ret);

/* Gives up what is under way. Never waits. Returns NULL. */
struct sonde__otlp_http *sonde__otlp_http_free(struct sonde__otlp_http *http);

/*
 * Instead of the above where the connections are not ours any more, in a forked child or after
 * somebody closed our descriptors: closes what still is ours, says nothing on it, and never touches
 * the rest, so that the targets may go.
 */
void sonde__otlp_http_abandon(struct sonde__otlp_http *http);

/* As the members of struct sonde_exporter. */
enum sonde_outcome sonde__otlp_http_send(struct sonde__otlp_http *http,
					 const struct sonde_request *request,
					 struct sonde_result *ret);
size_t sonde__otlp_http_poll(struct sonde__otlp_http *http, struct pollfd *fds, size_t capacity,
			     int *timeout_ms);
bool sonde__otlp_http_progress(struct sonde__otlp_http *http, struct sonde_result *ret);
void sonde__otlp_http_cancel(struct sonde__otlp_http *http, void *token);

/* False when somebody closed the descriptors of connections, or libcurl ran out of memory. */
bool sonde__otlp_http_is_intact(const struct sonde__otlp_http *http);
/* False in the first case alone: it can only be abandoned. */
bool sonde__otlp_http_is_ours(const struct sonde__otlp_http *http);
/* A request is under way. */
bool sonde__otlp_http_is_busy(const struct sonde__otlp_http *http);
/* Forgets any request that is under way and hands out its token; false: there is none. */
bool sonde__otlp_http_take(struct sonde__otlp_http *http, void **ret_token);
/* As cancel, where the connections are not to be touched. */
void sonde__otlp_http_forget(struct sonde__otlp_http *http, void *token);

#endif
