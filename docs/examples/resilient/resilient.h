/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESILIENT_H
#define RESILIENT_H

/*
 * A client that lives with a server that does not.
 *
 * The server answers prices, in a line each. It answers late, with an error, or not at all, as
 * chance has it, and now and then it is away and refuses connections. The client asks it from many
 * threads: first as clients do, with a timeout and nothing else, then through a policy. What came
 * of both is printed.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <sonde/sonde.h>

struct config {
	uint64_t seed; /* Of all that chance decides. */
	uint32_t seconds; /* For each half. */
	uint32_t n_threads;
};

/* ---- server.c: a process of its own ---------------------------------------------------------- */

/* Returns its process and writes its port; -1: there is none. */
pid_t server_start(uint64_t seed, uint16_t *ret_port);
void server_stop(pid_t server);

/* ---- price.c: one question ------------------------------------------------------------------- */

struct price_request {
	uint16_t port;
	uint32_t article;
	uint64_t price; /* The answer. */
};

/* Asks once, until the context's deadline. A sonde_operation_fn. */
struct sonde_error *price_ask(void *request);

/* What it is most likely, from the last time that somebody was told. */
void price_remember(const struct price_request *request);
bool price_recall(struct price_request *request);

/* ---- load.c: many questions ------------------------------------------------------------------ */

/* Asks one; NULL: it has its price. */
typedef struct sonde_error *ask_fn(void *user, struct price_request *request);

struct load_result {
	uint64_t n_calls;
	uint64_t n_answered;
	double p50_ms;
	double p99_ms;
	double longest_ms;
};

void load_run(const struct config *config, uint16_t port, ask_fn *ask, void *user,
	      struct load_result *ret);

#endif
