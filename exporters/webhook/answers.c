/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nobody has written down what receivers of webhooks answer. Any 2xx is taken; what says "later", or
 * that the fault is on the other side, is tried again; everything else would be answered the same
 * way again.
 */
#include "webhook/answers.h"

static const struct remedy {
	long status;
	const char *text;
} remedies[] = {
	{ 400, "it cannot read the message: is SONDE_WEBHOOK_FORMAT right?" },
	{ 401, "it wants credentials: SONDE_WEBHOOK_HEADERS" },
	{ 403, "it does not accept these credentials: SONDE_WEBHOOK_URL, SONDE_WEBHOOK_HEADERS" },
	{ 404, "not found: is SONDE_WEBHOOK_URL still valid?" },
	{ 405, "it does not take POST: is SONDE_WEBHOOK_URL right?" },
	{ 407, "the proxy wants credentials" },
	{ 410, "the webhook was removed there" },
	{ 413, "the message is too big for it" },
	{ 415, "it does not take JSON" },
	{ 422, "it cannot read the message: is SONDE_WEBHOOK_FORMAT right?" },
	{ 429, "it asks for fewer messages: SONDE_WEBHOOK_PER_MINUTE" },
};

static const char *find_remedy(enum sonde_signal signal, long status)
{
	(void)signal;
	for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
		if (remedies[i].status == status)
			return remedies[i].text;
	return NULL;
}

/* 501 and 505 are about what it can do, not about how it is. */
static bool is_retryable(long status)
{
	return status == 408 || status == 429 ||
	       (status >= 500 && status < 600 && status != 501 && status != 505);
}

const struct sonde__otlp_dialect sonde__webhook_dialect = {
	.settings = "SONDE_WEBHOOK_",
	.user_agent = "sonde/" SONDE_VERSION,
	.not_http = "",
	.is_retryable = is_retryable,
	.find_remedy = find_remedy,
};
