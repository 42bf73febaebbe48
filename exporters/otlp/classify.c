/* SPDX-License-Identifier: Apache-2.0 */
#include "classify.h"

#include <errno.h>
#include <string.h>

#include "answer.h"
#include "line.h"

#define GRPC_PORT 4317

/* Most often it is gRPC, at whatever port. */
#define NOT_HTTP " answers is not HTTP/1.1: is it the port of gRPC?"

/* ---- No answer ------------------------------------------------------------------------------- */

/*
 * Codes of libcurl: what to say before the URL and after it, and whether another attempt is worth
 * it. What failed on the way can be otherwise next time, and nothing was said about the batch;
 * certificates are among it, because they get renewed. What the other side answered in earnest
 * stays as it is.
 */
static const struct fault {
	CURLcode code;
	enum sonde_outcome outcome;
	const char *before;
	const char *after;
} faults[] = {
	{ CURLE_COULDNT_RESOLVE_HOST, SONDE_OUTCOME_RETRY, "the host name cannot be found: ", "" },
	{ CURLE_COULDNT_RESOLVE_PROXY, SONDE_OUTCOME_RETRY, "the proxy's name cannot be found, for ", "" },
	{ CURLE_COULDNT_CONNECT, SONDE_OUTCOME_RETRY, "cannot connect to ", "" },
	{ CURLE_OPERATION_TIMEDOUT, SONDE_OUTCOME_RETRY, "no answer from ", "" },
	{ CURLE_GOT_NOTHING, SONDE_OUTCOME_RETRY, "", " closed the connection without an answer" },
	{ CURLE_SEND_ERROR, SONDE_OUTCOME_RETRY, "the connection broke while sending to ", "" },
	{ CURLE_RECV_ERROR, SONDE_OUTCOME_RETRY, "the connection broke while waiting for ", "" },
	{ CURLE_PARTIAL_FILE, SONDE_OUTCOME_RETRY, "the connection broke in the middle of the answer of ", "" },
	{ CURLE_PEER_FAILED_VERIFICATION, SONDE_OUTCOME_RETRY, "the TLS certificate of ",
	  " is not trusted: OTEL_EXPORTER_OTLP_CERTIFICATE names the authority to trust" },
	{ CURLE_SSL_CONNECT_ERROR, SONDE_OUTCOME_RETRY, "no TLS connection to ", "" },
	{ CURLE_SSL_CERTPROBLEM, SONDE_OUTCOME_RETRY, "cannot use OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE or "
	  "_CLIENT_KEY for ", "" },
	{ CURLE_SSL_CACERT_BADFILE, SONDE_OUTCOME_RETRY, "cannot use OTEL_EXPORTER_OTLP_CERTIFICATE for ", "" },
	{ CURLE_OUT_OF_MEMORY, SONDE_OUTCOME_RETRY, "out of memory while sending to ", "" },
	{ CURLE_WRITE_ERROR, SONDE_OUTCOME_RETRY, "out of memory while reading the answer of ", "" },
	{ CURLE_UNSUPPORTED_PROTOCOL, SONDE_OUTCOME_REFUSED, "what ", NOT_HTTP },
	{ CURLE_WEIRD_SERVER_REPLY, SONDE_OUTCOME_REFUSED, "what ", NOT_HTTP },
	{ CURLE_BAD_CONTENT_ENCODING, SONDE_OUTCOME_REFUSED, "the error that ", " sent is badly compressed" },
};

static const struct fault other_fault = { CURLE_OK, SONDE_OUTCOME_REFUSED, "cannot send to ", "" };

static const struct fault *find_fault(CURLcode code)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (faults[i].code == code)
			return &faults[i];
	return &other_fault;
}

/* The one certain sign that TLS was spoken to a server that does not. */
static bool met_plain_server(const struct sonde__otlp_answer *answer)
{
	return answer->code == CURLE_SSL_CONNECT_ERROR && (strstr(answer->detail, "wrong version number") ||
							   strstr(answer->detail, "packet length too long"));
}

static void add_grpc_hint(const struct sonde__otlp_answer *answer, struct sonde__otlp_line *line)
{
	if (answer->target->port == GRPC_PORT && answer->is_connected)
		sonde__otlp_line_add(line, "; port 4317 is gRPC's, OTLP over HTTP is at 4318");
}

/* "(Connection timed out)", or libcurl's words where the table's alone would say too little. */
static void add_detail(const struct sonde__otlp_answer *answer, struct sonde__otlp_line *line)
{
	const char *detail = answer->os_error ? strerrordesc_np(answer->os_error) : answer->detail;

	if (!detail || !*detail)
		return;
	sonde__otlp_line_add(line, " (");
	sonde__otlp_line_add_cut(line, (struct sonde_text){ detail, strlen(detail) }, 90);
	sonde__otlp_line_add(line, ")");
}

static void explain_timeout(const struct sonde__otlp_answer *answer, struct sonde__otlp_line *line)
{
	sonde__otlp_line_add(line, answer->is_connected ? "no answer from " : "no connection to ");
	sonde__otlp_line_add(line, answer->target->shown);
	sonde__otlp_line_add(line, " within ");
	sonde__otlp_line_add_uint(line, answer->timeout_ms);
	sonde__otlp_line_add(line, " ms");
}

static bool has_proxy(const struct sonde__otlp_answer *answer)
{
	return answer->target->proxy && *answer->target->proxy;
}

static void explain_fault(const struct fault *fault, const struct sonde__otlp_answer *answer,
			  struct sonde__otlp_line *line)
{
	const char *shown = answer->target->shown;

	if (answer->os_error == ECONNREFUSED && !has_proxy(answer)) {
		sonde__otlp_line_add(line, "nothing listens at ");
		sonde__otlp_line_add(line, shown);
	} else if (met_plain_server(answer)) {
		sonde__otlp_line_add(line, shown);
		sonde__otlp_line_add(line, " does not speak TLS: should it be http:// ?");
	} else if (answer->code == CURLE_OPERATION_TIMEDOUT) {
		explain_timeout(answer, line);
	} else {
		sonde__otlp_line_add(line, fault->before);
		sonde__otlp_line_add(line, shown);
		sonde__otlp_line_add(line, fault->after);
		add_detail(answer, line);
	}
	add_grpc_hint(answer, line);
}

static void classify_fault(const struct sonde__otlp_answer *answer, struct sonde_result *ret,
			   struct sonde__otlp_line *line)
{
	const struct fault *fault = find_fault(answer->code);

	if (answer->is_too_big) {
		ret->outcome = SONDE_OUTCOME_REFUSED;
		sonde__otlp_line_add(line, answer->target->shown);
		sonde__otlp_line_add(line, " answered with more than 4 MiB");
		return;
	}
	ret->outcome = fault->outcome;
	explain_fault(fault, answer, line);
}

/* ---- An answer ------------------------------------------------------------------------------- */

static bool body_has(const struct sonde__otlp_answer *answer, const char *word)
{
	return answer->body.size &&
	       memmem(answer->body.data, answer->body.size, word, strlen(word));
}

/* JSON that says nothing but "done". */
static bool is_empty_json(const struct sonde__otlp_answer *answer)
{
	return sonde__otlp_answer_is_type(answer->content_type, "application/json") && answer->body.size <= 64 &&
	       !body_has(answer, "ejected");
}

static bool is_success(const struct sonde__otlp_answer *answer)
{
	return answer->status >= 200 && answer->status < 300;
}

/* False for what no collector says; it was taken all the same. */
static bool read_success(const struct sonde__otlp_answer *answer, uint64_t *ret_n_rejected,
			 struct sonde__otlp_line *line)
{
	return answer->code == CURLE_OK &&
	       sonde__otlp_answer_is_type(answer->content_type, "application/x-protobuf") &&
	       sonde__otlp_answer_read(answer->signal, answer->body, ret_n_rejected, line);
}

static void classify_success(const struct sonde__otlp_answer *answer, struct sonde_result *ret,
			     struct sonde__otlp_line *line)
{
	char text[256];
	struct sonde__otlp_line message;
	uint64_t n_rejected = 0;

	ret->outcome = SONDE_OUTCOME_ACCEPTED;
	if (answer->code == CURLE_OK && (!answer->body.size || is_empty_json(answer)))
		return;
	sonde__otlp_line_init(&message, text, sizeof(text));
	if (!read_success(answer, &n_rejected, &message)) {
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

static int64_t bounded_wish(int64_t seconds)
{
	if (seconds <= 0)
		return -1;
	return seconds < SONDE__OTLP_RETRY_AFTER_MAX_MS / 1000 ? seconds * 1000
							       : SONDE__OTLP_RETRY_AFTER_MAX_MS;
}

static void explain_redirect(const struct sonde__otlp_answer *answer, struct sonde__otlp_line *line)
{
	sonde__otlp_line_add(line, " redirects");
	if (answer->location) {
		sonde__otlp_line_add(line, " to ");
		sonde__otlp_line_add_cut(
			line, (struct sonde_text){ answer->location, strlen(answer->location) },
			80);
	}
	sonde__otlp_line_add(line, ", which is not followed: correct ");
	sonde__otlp_line_add(line, answer->target->setting);
}

/* Servers answer a plain request on their TLS port in plain words, Go's and nginx's in these. */
static bool met_tls_server(const struct sonde__otlp_answer *answer)
{
	return answer->status == 400 && !answer->target->is_https &&
	       body_has(answer, "HTTPS");
}

static void classify_status(const struct sonde__otlp_answer *answer, struct sonde_result *ret,
			    struct sonde__otlp_line *line)
{
	const char *remedy = find_remedy(answer->signal, answer->status);

	ret->outcome = is_retryable(answer->status) ? SONDE_OUTCOME_RETRY : SONDE_OUTCOME_REFUSED;
	if (ret->outcome == SONDE_OUTCOME_RETRY)
		ret->retry_after_ms = bounded_wish(answer->retry_after_s);
	sonde__otlp_line_add(line, answer->target->shown);
	if (answer->status >= 300 && answer->status < 400) {
		explain_redirect(answer, line);
		return;
	}
	sonde__otlp_line_add(line, " answered ");
	sonde__otlp_line_add_uint(line, (uint64_t)answer->status);
	if (met_tls_server(answer))
		remedy = "it speaks TLS: should it be https:// ?";
	if (remedy) {
		sonde__otlp_line_add(line, ", ");
		sonde__otlp_line_add(line, remedy);
	}
	sonde__otlp_answer_explain(answer->content_type, answer->body, line);
	add_grpc_hint(answer, line);
}

void sonde__otlp_classify(const struct sonde__otlp_answer *answer, struct sonde_result *ret)
{
	struct sonde__otlp_line line;

	ret->n_rejected = 0;
	ret->retry_after_ms = -1;
	sonde__otlp_line_init(&line, ret->reason, sizeof(ret->reason));
	if (is_success(answer) && !answer->is_too_big &&
	    (answer->code == CURLE_OK || answer->code == CURLE_BAD_CONTENT_ENCODING))
		classify_success(answer, ret, &line);
	else if (answer->code != CURLE_OK || answer->is_too_big)
		classify_fault(answer, ret, &line);
	else
		classify_status(answer, ret, &line);
}
