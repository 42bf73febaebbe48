/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_SLOT_H
#define SONDE_OTLP_SLOT_H

/*
 * One request under way: a libcurl handle that is configured once and used again, and the answer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>
#include <sonde/exporter.h>

#include "target.h"
#include "sockets.h"

struct sonde__otlp_slot {
	const struct sonde__otlp_target *target;
	struct sonde__otlp_sockets *sockets;
	enum sonde_signal signal;
	CURL *easy; /* Made by the first request. */
	bool is_busy;
	bool is_too_big; /* The answer is. */
	void *token;
	size_t n_items;
	uint32_t timeout_ms;
	struct sonde_buffer answer;
	char error[CURL_ERROR_SIZE];
};

/* Borrows the target and the sockets. A slot does not move: its handle knows where it is. */
void sonde__otlp_slot_init(struct sonde__otlp_slot *slot, enum sonde_signal signal,
			   const struct sonde__otlp_target *target,
			   struct sonde__otlp_sockets *sockets);
/* Must not be busy. */
void sonde__otlp_slot_deinit(struct sonde__otlp_slot *slot);

/* Hands the request to `multi`. SONDE_E_NOMEM: it could not be begun. */
int sonde__otlp_slot_start(struct sonde__otlp_slot *slot, CURLM *multi,
			   const struct sonde_request *request);
/* Takes it back, if it is busy, whatever has become of it; never waits. */
void sonde__otlp_slot_stop(struct sonde__otlp_slot *slot, CURLM *multi);
/* What became of it, once libcurl says `code`. */
void sonde__otlp_slot_finish(const struct sonde__otlp_slot *slot, CURLcode code,
			     struct sonde_result *ret);

#endif
