/* SPDX-License-Identifier: Apache-2.0 */
/* What OTLP says about answers, and what collectors and Jaeger mean by theirs. */

#include <string.h>

#include "answer.h"
#include "classify.h"

/* JSON that says nothing but "done". */
static bool is_empty_json(const struct sonde__otlp_answer *answer)
{
	return sonde__otlp_answer_is_type(answer->content_type, "application/json") &&
	       answer->body.size <= 64 &&
	       !memmem(answer->body.data, answer->body.size, "ejected", 7);
}

/* False for what no collector says; it was taken all the same. */
static bool read_body(const struct sonde__otlp_answer *answer, uint64_t *ret_n_rejected,
		      struct sonde__otlp_line *line)
{
	return answer->code == CURLE_OK &&
	       sonde__otlp_answer_is_type(answer->content_type, "application/x-protobuf") &&
	       sonde__otlp_answer_read(answer->body, ret_n_rejected, line);
}

static void read_success(const struct sonde__otlp_answer *answer, struct sonde_result *ret,
			 struct sonde__otlp_line *line)
{
	char text[256];
	struct sonde__otlp_line message;
	uint64_t n_rejected = 0;

	if (answer->code == CURLE_OK && (!answer->body.size || is_empty_json(answer)))
		return;
	sonde__otlp_line_init(&message, text, sizeof(text));
	if (!read_body(answer, &n_rejected, &message)) {
		sonde__otlp_line_add(line, answer->target->shown);
		sonde__otlp_line_add(line, " said that it took the data, but not in OTLP's words: is it a collector?");
		return;
	}
	ret->n_rejected = n_rejected < answer->n_items ? n_rejected : answer->n_items;
	if (ret->n_rejected) {
		sonde__otlp_line_add(line, "the collector rejected ");
		sonde__otlp_line_add_uint(line, ret->n_rejected);
		sonde__otlp_line_add(line, " of ");
		sonde__otlp_line_add_uint(line, answer->n_items);
	} else if (message.size) {
		sonde__otlp_line_add(line, "the collector took everything, but warns");
	}
	if (message.size) {
		sonde__otlp_line_add(line, ": ");
		sonde__otlp_line_add(line, text);
	}
}

/* What people most likely have to change, by HTTP status; the settings' general names are given. */
static const struct remedy {
	long status;
	const char *text;
} remedies[] = {
	{ 400, "the collector cannot read the data" },
	{ 401, "the collector wants credentials: OTEL_EXPORTER_OTLP_HEADERS" },
	{ 403, "the collector does not accept these credentials: OTEL_EXPORTER_OTLP_HEADERS" },
	{ 404, "not found: is the path right?" },
	{ 405, "does not take POST: is the path right?" },
	{ 407, "the proxy wants credentials" },
	{ 413, "the request is too big for the collector: lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE" },
	{ 415, "the collector does not take protobuf, or not this compression" },
	{ 429, "the collector asks to send less" },
	{ 502, "the collector behind the proxy is not there" },
	{ 503, "the collector is not able to take data now" },
	{ 504, "the collector behind the proxy does not answer" },
};

static bool is_retryable(long status)
{
	return status == 429 || status == 502 || status == 503 || status == 504;
}

/* Many receivers take traces alone, Jaeger for one, and metrics go along by default. */
static const char *find_remedy(enum sonde_signal signal, long status)
{
	if (signal == SONDE_SIGNAL_METRIC && status == 404)
		return "not found: where no metrics are taken, OTEL_METRICS_EXPORTER=none";
	for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
		if (remedies[i].status == status)
			return remedies[i].text;
	return NULL;
}

const struct sonde__otlp_dialect sonde__otlp_dialect = {
	.settings = "OTEL_EXPORTER_OTLP_",
	.user_agent = "sonde/" SONDE_VERSION " OTel-OTLP-Exporter-C/" SONDE_VERSION,
	.not_http = ": is it the port of gRPC?",
	.is_retryable = is_retryable,
	.find_remedy = find_remedy,
	.read_success = read_success,
	.is_grpc_near = true,
};
