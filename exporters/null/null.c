/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exporter that accepts everything and keeps nothing: for benchmarks, and to switch export off.
 */

#include <string.h>

#include <sonde/exporter.h>

static int null_open(const struct sonde_exporter_host *host, void **ret)
{
	(void)host;
	*ret = NULL;
	return SONDE_OK;
}

static bool null_accepts(void *instance, enum sonde_signal signal)
{
	(void)instance;
	return signal == SONDE_SIGNAL_SPAN || signal == SONDE_SIGNAL_LOG ||
	       signal == SONDE_SIGNAL_METRIC;
}

static int null_encode(void *instance, const struct sonde_batch *batch, struct sonde_buffer *out)
{
	(void)instance;
	(void)batch;
	(void)out;
	return SONDE_OK;
}

static enum sonde_outcome null_send(void *instance, const struct sonde_request *request,
				    struct sonde_result *ret)
{
	(void)instance;
	memset(ret, 0, sizeof(*ret));
	ret->outcome = SONDE_OUTCOME_ACCEPTED;
	ret->token = request->token;
	ret->retry_after_ms = -1;
	return ret->outcome;
}

static void null_close(void *instance, bool forked)
{
	(void)instance;
	(void)forked;
}

const struct sonde_exporter sonde_null_exporter = {
	.size = sizeof(struct sonde_exporter),
	.name = "null",
	.open = null_open,
	.accepts = null_accepts,
	.encode = null_encode,
	.send = null_send,
	.close = null_close,
};
