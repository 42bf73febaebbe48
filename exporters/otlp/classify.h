/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_CLASSIFY_H
#define SONDE_OTLP_CLASSIFY_H

/*
 * What an attempt's end means: taken, try again, or never again, and why, in words for the one who
 * runs the service. No state, no clock, nothing of libcurl but its codes.
 */

#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>
#include <sonde/exporter.h>

#include "line.h"
#include "target.h"

/* OTLP: a client takes at most so much of an answer, also after decompression. */
#define SONDE__OTLP_ANSWER_MAX ((size_t)4 << 20)
/* A receiver's wish to be left alone is granted for at most so long. */
#define SONDE__OTLP_RETRY_AFTER_MAX_MS ((int64_t)15 * 60 * 1000)

struct sonde__otlp_answer {
	const struct sonde__otlp_target *target;
	enum sonde_signal signal;
	size_t n_items;
	uint32_t timeout_ms; /* That the attempt had. */

	CURLcode code;
	int os_error; /* errno of a connect that failed; 0: none. */
	bool is_connected; /* It got as far as a connection. */
	const char *detail; /* libcurl's words on `code`; may be empty. */

	long status; /* Of HTTP; 0: no answer. */
	const char *content_type; /* May be NULL. */
	const char *location; /* Of a redirect; may be NULL. */
	int64_t retry_after_s; /* <= 0: none. */
	struct sonde_bytes body;
	bool is_too_big; /* The body was cut at the limit. */
};

/*
 * What differs from one kind of receiver to another: which answers are worth another try, what
 * people most likely have to change, and what a success says.
 */
struct sonde__otlp_dialect {
	const char *settings; /* What the names of its settings begin with. */
	const char *user_agent;
	const char *not_http; /* What it may be that does not speak HTTP; "" where nobody knows. */
	bool (*is_retryable)(long status);
	/* NULL: nothing special. */
	const char *(*find_remedy)(enum sonde_signal signal, long status);
	/* Of a 2xx: reads the body, says what is worth it, sets `n_rejected`; NULL: no matter. */
	void (*read_success)(const struct sonde__otlp_answer *answer, struct sonde_result *ret,
			     struct sonde__otlp_line *line);
	bool is_grpc_near; /* A sister protocol is at port 4317. */
};

extern const struct sonde__otlp_dialect sonde__otlp_dialect;

/* Fills all of *ret but the token. */
void sonde__otlp_classify(const struct sonde__otlp_answer *answer, struct sonde_result *ret);

#endif
