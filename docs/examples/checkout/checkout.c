/* SPDX-License-Identifier: Apache-2.0 */
#include "checkout.h"

#include <stdio.h>

SONDE_ERROR_TYPE(order_not_paid, sonde_conflict, "ORDER_NOT_PAID", .public_message = true);

static bool is_nth(long id, long n)
{
	return n > 0 && id % n == 0;
}

static struct sonde_error *check(const struct order *order)
{
	if (order->id < 0)
		return sonde_error_raise(&sonde_validation, "an order needs a number");
	if (order->n_items < 1)
		return sonde_error_raise(&sonde_validation, "order %ld has no items", order->id);
	return NULL;
}

static struct sonde_error *place(const struct checkout *checkout, const struct order *order)
{
	SONDE_SPAN(span, "place order");
	struct sonde_error *error = check(order);
	long n_orders;

	sonde_span_set_int(span, "order.id", order->id);
	sonde_span_set_int(span, "order.items", order->n_items);
	if (error)
		return error;
	error = gateway_charge(checkout->config->payment_port, order);
	if (error)
		return sonde_error_wrap(error, &order_not_paid, "order %ld was not paid", order->id);
	error = orders_insert(checkout->orders, order);
	if (!error && is_nth(order->id, checkout->config->slow_every))
		error = orders_report(checkout->orders, checkout->config->slow_ms, &n_orders);
	if (!error)
		sonde_span_add_event(span, "order placed", SONDE_ATTRS(sonde_int("order.id", order->id)));
	return error;
}

static void handle_order(struct request *request)
{
	const struct checkout *checkout = request->service;
	struct order order = { .id = http_number(request, "id"),
			       .n_items = http_number(request, "items") };
	SONDE_ERROR_AUTOFREE struct sonde_error *error = place(checkout, &order);
	char body[64];

	if (error) {
		http_reply_error(request, error);
		return;
	}
	snprintf(body, sizeof(body), "{\"order\":%ld}\n", order.id);
	http_reply(request, MHD_HTTP_CREATED, body);
}

const struct route checkout_routes[] = {
	{ "POST", "/orders", handle_order },
	{ NULL, NULL, NULL },
};
