/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exporter "otlp": settings, encoder and connections of one instance, behind the common
 * contract.
 */

#include <stdlib.h>

#include <sonde/exporter.h>
#include <sonde/otlp.h>

#include "encode.h"
#include "link.h"
#include "settings.h"

struct otlp {
	struct sonde__otlp_settings settings;
	struct sonde__otlp_encoder encoder;
	struct sonde__otlp_link link;
};

static bool host_is_valid(const struct sonde_exporter_host *host)
{
	return host && host->size >= sizeof(*host) && host->setting;
}

static int link_init(struct otlp *otlp, const struct sonde_exporter_host *host)
{
	struct sonde__otlp_targets targets;

	for (int i = 0; i < SONDE__OTLP_SIGNALS; i++)
		targets.by_signal[i] = &otlp->settings.targets[i];
	return sonde__otlp_link_init(&otlp->link, &targets, host);
}

static int otlp_open(const struct sonde_exporter_host *host, void **ret)
{
	struct otlp *otlp;
	int status;

	if (!host_is_valid(host) || !ret)
		return SONDE_E_INVALID;
	otlp = calloc(1, sizeof(*otlp));
	if (!otlp)
		return SONDE_E_NOMEM;
	sonde__otlp_encoder_init(&otlp->encoder);
	status = sonde__otlp_settings_init(&otlp->settings, host);
	if (status == SONDE_OK)
		status = link_init(otlp, host);
	if (status < 0) {
		sonde__otlp_settings_deinit(&otlp->settings);
		free(otlp);
		return status;
	}
	*ret = otlp;
	return SONDE_OK;
}

static bool otlp_accepts(void *instance, enum sonde_signal signal)
{
	(void)instance;
	return signal == SONDE_SIGNAL_SPAN || signal == SONDE_SIGNAL_LOG ||
	       signal == SONDE_SIGNAL_METRIC;
}

static int otlp_encode(void *instance, const struct sonde_batch *batch, struct sonde_buffer *out)
{
	struct otlp *otlp = instance;

	if (!batch || !otlp_accepts(otlp, batch->signal))
		return SONDE_E_INVALID;
	return sonde__otlp_encode(&otlp->encoder, batch, otlp->settings.targets[batch->signal].gzip,
				  out);
}

static enum sonde_outcome otlp_send(void *instance, const struct sonde_request *request,
				    struct sonde_result *ret)
{
	struct otlp *otlp = instance;

	return sonde__otlp_link_send(&otlp->link, request, ret);
}

static size_t otlp_poll(void *instance, struct pollfd *fds, size_t capacity, int *timeout_ms)
{
	struct otlp *otlp = instance;

	return sonde__otlp_link_poll(&otlp->link, fds, capacity, timeout_ms);
}

static bool otlp_progress(void *instance, struct sonde_result *ret)
{
	struct otlp *otlp = instance;

	return sonde__otlp_link_progress(&otlp->link, ret);
}

static void otlp_cancel(void *instance, void *token)
{
	struct otlp *otlp = instance;

	sonde__otlp_link_cancel(&otlp->link, token);
}

static void otlp_close(void *instance, bool forked)
{
	struct otlp *otlp = instance;

	if (!otlp)
		return;
	sonde__otlp_link_deinit(&otlp->link, forked);
	sonde__otlp_encoder_deinit(&otlp->encoder);
	sonde__otlp_settings_deinit(&otlp->settings);
	free(otlp);
}

SONDE_API const struct sonde_exporter sonde_otlp_exporter = {
	.size = sizeof(struct sonde_exporter),
	.name = "otlp",
	.open = otlp_open,
	.accepts = otlp_accepts,
	.encode = otlp_encode,
	.send = otlp_send,
	.poll = otlp_poll,
	.progress = otlp_progress,
	.cancel = otlp_cancel,
	.close = otlp_close,
};

/*
 * Both exporters of this library, so that whoever makes the linker keep the one keeps the other. A
 * name that is taken already is somebody's wish.
 */
__attribute__((constructor)) static void otlp_register(void)
{
	(void)sonde_exporter_register(&sonde_otlp_exporter);
	(void)sonde_exporter_register(&sonde_webhook_exporter);
}
