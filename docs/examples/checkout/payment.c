/* SPDX-License-Identifier: Apache-2.0 */
#include "checkout.h"

SONDE_ERROR_TYPE(card_declined, sonde_conflict, "CARD_DECLINED", .http_status = 402,
		 .public_message = true);
SONDE_ERROR_TYPE(bank_silent, sonde_unavailable, "BANK_SILENT");

static struct sonde_error *authorize(const struct config *config, long order_id)
{
	SONDE_SPAN(span, "authorize card");
	struct sonde_error *error;

	sonde_span_set_int(span, "order.id", order_id);
	sonde_span_set_str(span, "card.brand", "example");
	if (config->break_every > 0 && order_id % config->break_every == 0)
		return sonde_error_raise(&bank_silent, "the bank does not answer");
	if (config->fail_every <= 0 || order_id % config->fail_every)
		return NULL;
	error = sonde_error_raise(&card_declined, "the card of order %ld has no cover", order_id);
	sonde_error_capture(error);
	return error;
}

static void handle_charge(struct request *request)
{
	long order_id = http_number(request, "order");
	SONDE_REQUEST_ERROR(error);

	error = authorize(request->service, order_id);
	if (error)
		http_reply_error(request, error);
	else
		http_reply(request, MHD_HTTP_OK, "{\"charged\":true}\n");
}

const struct route payment_routes[] = {
	{ "POST", "/charges", handle_charge },
	{ NULL, NULL, NULL },
};
