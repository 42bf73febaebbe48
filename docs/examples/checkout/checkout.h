/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHECKOUT_H
#define CHECKOUT_H

/*
 * A small shop, instrumented: `checkout` takes orders over HTTP, stores them in SQLite and has them
 * paid by `payment`, a second process of the same program. What to copy from here:
 *
 *	main.c		the agent: start, stop
 *	http.c		a server span for each request, continuing the caller's trace
 *	checkout.c	errors with a cause, captured once, answered safely
 *	orders.c	database spans; the slow query, named
 *	gateway.c	a client span that hands the trace on
 */

#include <stdbool.h>
#include <stdint.h>

#include <microhttpd.h>
#include <sonde/sonde.h>

struct config {
	uint16_t port; /* 0: any free one. */
	uint16_t payment_port;
	const char *database;
	long fail_every; /* Each nth order's card is declined. 0: none. */
	long break_every; /* Each nth order's bank does not answer: a failure of ours. 0: none. */
	long slow_every; /* Each nth order asks for the slow report. 0: none. */
	long slow_ms; /* How slow. */
};

/*
 * ---- http.c
 * --------------------------------------------------------------------------------------
 */

struct request {
	struct MHD_Connection *connection;
	const char *method;
	const char *route;
	void *service;
};

/* Answers with http_reply or http_reply_error, exactly once. */
typedef void handler_fn(struct request *request);

struct route {
	const char *method;
	const char *path;
	handler_fn *handle;
};

struct http_server;

struct http_server *http_start(uint16_t port, const struct route *routes, void *service);
uint16_t http_port(const struct http_server *server);
void http_stop(struct http_server *server);

/* A number in the query; -1 where there is none. */
long http_number(const struct request *request, const char *name);
void http_reply(struct request *request, unsigned status, const char *body);
/*
 * What a client may know of the error, with the trace id; what is a failure is captured in whole.
 */
void http_reply_error(struct request *request, struct sonde_error *error);

/*
 * ---- orders.c
 * ------------------------------------------------------------------------------------
 */

struct order {
	long id;
	long n_items;
};

struct orders;

/* NULL, and *ret, when all went well; so do all functions here that return an error. */
struct sonde_error *orders_open(const char *path, struct orders **ret);
void orders_close(struct orders *orders);
struct sonde_error *orders_insert(struct orders *orders, const struct order *order);
/* A query that has to wait for `wait_ms`, as one behind somebody's lock does. */
struct sonde_error *orders_report(struct orders *orders, long wait_ms, long *ret_count);

/*
 * ---- gateway.c
 * -----------------------------------------------------------------------------------
 */

struct sonde_error *gateway_charge(uint16_t payment_port, const struct order *order);

/*
 * ---- checkout.c, payment.c
 * -----------------------------------------------------------------------
 */

struct checkout {
	const struct config *config;
	struct orders *orders;
};

extern const struct route checkout_routes[];
extern const struct route payment_routes[];

#endif
