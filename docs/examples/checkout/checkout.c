/* SPDX-License-Identifier: Apache-2.0 */
#include "checkout.h"

#include <stdio.h>

SONDE_ERROR_TYPE(order_not_paid, sonde_conflict, "ORDER_NOT_PAID", .public_message = true);

static bool is_nth(long id, long n)
{
	return n > 0 && id % n == 0;
}

/* Says all that is wrong, not the first thing alone. */
static struct sonde_error *check(const struct order *order)
{
	struct sonde_error *error;

	if (order->id >= 0 && order->n_items >= 1)
		return NULL;
	error = sonde_error_raise(&sonde_validation, "the order is not complete");
	if (order->id < 0)
		sonde_error_add_field(error, "id", "is no number");
	if (order->n_items < 1)
		sonde_error_add_field(error, "items", "are less than one");
	return error;
}

/*
 * A declined card is the client's to know, a payment service that is down is ours: the one becomes
 * a conflict, the other stays what it is. Both are captured here, on the span that failed; on a
 * server's span a conflict is no failure.
 */
static struct sonde_error *pay(const struct checkout *checkout, const struct order *order)
{
	struct sonde_error *error = gateway_charge(checkout->config->payment_port, order);
	const struct sonde_error_type *type =
		sonde_error_is(error, &sonde_conflict) ? &order_not_paid : NULL;

	if (error) {
		error = sonde_error_wrap(error, type, "order %ld was not paid", order->id);
		sonde_error_capture(error);
	}
	return error;
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
	error = pay(checkout, order);
	if (error)
		return error;
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
	SONDE_REQUEST_ERROR(error);
	char body[64];

	error = place(checkout, &order);
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
