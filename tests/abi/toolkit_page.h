/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_ABI_TOOLKIT_PAGE_H
#define SONDE_TESTS_ABI_TOOLKIT_PAGE_H

/* The service that docs/toolkit.md speaks of: what its examples call, and test_toolkit_page.py. */

#include <stddef.h>
#include <stdint.h>

#include <sonde/retry.h>

struct query;
struct mailer;

struct order {
	const char *url;
	double price;
};

struct request {
	const char *client;
	struct order *order;
	uint64_t retry_after_ns;
	struct sonde_retry_call call;
};

int http_get(const char *url, double *ret_price, int limit_ms);

const char *request_header(void *request, const char *name);
void request_set_header(void *request, const char *name, const char *value);
void request_interrupt(void *request);
struct sonde_error *request_copy(struct request *request);

void loop_call_later(struct request *request, uint64_t delay_ns);
void loop_finish(struct request *request, struct sonde_error *error);
void loop_wait(int epoll_fd);
void loop_handle(void);

int price_remembered(struct order *order);
void order_reserve(struct order *order);
void order_release(void *order);
struct sonde_error *order_pay(void *order);
void order_work(void *order);
void order_insert(struct order *order);
struct sonde_error *database_commit(void *database);
void orders_print(void);

void *row_fetch(struct query *query);
void row_print(const void *row);

void *file_hash(const char *path, struct sonde_cancel *cancel);
struct sonde_error *mail_send(struct mailer *mailer, const struct order *order);

#endif
