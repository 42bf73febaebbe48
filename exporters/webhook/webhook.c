/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exporter "webhook": tells a person, or a program of theirs, of errors that nobody has seen
 * before. It is an exporter like any other, so that retries, the breaker, deadlines, the memory
 * limit and the account are the pipeline's; of all that passes by it sends the alerts alone, one
 * message for those of a batch.
 */

#include <stdlib.h>
#include <time.h>

#include <sonde/exporter.h>
#include <sonde/otlp.h>

#include "otlp/link.h"
#include "webhook/alert.h"
#include "webhook/limit.h"
#include "webhook/message.h"
#include "webhook/settings.h"

struct webhook {
	struct sonde__webhook_settings settings;
	struct sonde__webhook_limit limit;
	uint64_t n_held; /* Alerts that the limit held back, and nobody was told of. */
	struct sonde__otlp_link link;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static int link_init(struct webhook *webhook, const struct sonde_exporter_host *host)
{
	struct sonde__otlp_targets targets;

	for (int i = 0; i < SONDE__OTLP_SIGNALS; i++)
		targets.by_signal[i] = &webhook->settings.target;
	return sonde__otlp_link_init(&webhook->link, &targets, host);
}

static int webhook_open(const struct sonde_exporter_host *host, void **ret)
{
	struct webhook *webhook;
	int status;

	if (!host || host->size < sizeof(*host) || !host->setting || !ret)
		return SONDE_E_INVALID;
	webhook = calloc(1, sizeof(*webhook));
	if (!webhook)
		return SONDE_E_NOMEM;
	status = sonde__webhook_settings_init(&webhook->settings, host);
	if (status == SONDE_OK) {
		status = link_init(webhook, host);
		if (status < 0)
			sonde__webhook_settings_deinit(&webhook->settings);
	}
	if (status < 0) {
		free(webhook);
		return status;
	}
	sonde__webhook_limit_init(&webhook->limit, webhook->settings.per_minute, now_ns());
	*ret = webhook;
	return SONDE_OK;
}

static bool webhook_accepts(void *instance, enum sonde_signal signal)
{
	(void)instance;
	return signal == SONDE_SIGNAL_SPAN || signal == SONDE_SIGNAL_LOG;
}

static size_t webhook_count(void *instance, const struct sonde_batch *batch)
{
	const struct webhook *webhook = instance;

	return sonde__webhook_count_items(batch, webhook->settings.wanted);
}

static int webhook_encode(void *instance, const struct sonde_batch *batch, struct sonde_buffer *out)
{
	struct webhook *webhook = instance;
	struct sonde__webhook_message message;
	int status;

	if (!batch || !webhook_accepts(webhook, batch->signal))
		return SONDE_E_INVALID;
	sonde__webhook_message_init(&message, &webhook->settings, batch);
	if (!sonde__webhook_limit_take(&webhook->limit, now_ns())) {
		webhook->n_held += message.n_alerts;
		return SONDE_E_LIMITED;
	}
	message.n_held = webhook->n_held;
	message.is_limit_reached = sonde__webhook_limit_is_reached(&webhook->limit);
	status = sonde__webhook_message_write(&message, out);
	if (status < 0)
		sonde__webhook_limit_give_back(&webhook->limit);
	else
		webhook->n_held = 0;
	return status;
}

static enum sonde_outcome webhook_send(void *instance, const struct sonde_request *request,
				       struct sonde_result *ret)
{
	struct webhook *webhook = instance;

	return sonde__otlp_link_send(&webhook->link, request, ret);
}

static size_t webhook_poll(void *instance, struct pollfd *fds, size_t capacity, int *timeout_ms)
{
	struct webhook *webhook = instance;

	return sonde__otlp_link_poll(&webhook->link, fds, capacity, timeout_ms);
}

static bool webhook_progress(void *instance, struct sonde_result *ret)
{
	struct webhook *webhook = instance;

	return sonde__otlp_link_progress(&webhook->link, ret);
}

static void webhook_cancel(void *instance, void *token)
{
	struct webhook *webhook = instance;

	sonde__otlp_link_cancel(&webhook->link, token);
}

static void webhook_close(void *instance, bool forked)
{
	struct webhook *webhook = instance;

	if (!webhook)
		return;
	sonde__otlp_link_deinit(&webhook->link, forked);
	sonde__webhook_settings_deinit(&webhook->settings);
	free(webhook);
}

SONDE_API const struct sonde_exporter sonde_webhook_exporter = {
	.size = sizeof(struct sonde_exporter),
	.name = "webhook",
	.open = webhook_open,
	.accepts = webhook_accepts,
	.encode = webhook_encode,
	.send = webhook_send,
	.poll = webhook_poll,
	.progress = webhook_progress,
	.cancel = webhook_cancel,
	.close = webhook_close,
	.count = webhook_count,
};
