/* SPDX-License-Identifier: Apache-2.0 */
#include "classify.h"

#include <errno.h>
#include <string.h>

#include "answer.h"
#include "line.h"

#define GRPC_PORT 4317
/* Shorter parts of a secret URL are words. */
#define SECRET_MIN 6

#define NOT_HTTP " answers is not HTTP/1.1"

/* ---- No answer ------------------------------------------------------------------------------- */

/*
 * Codes of libcurl: what to say before the URL and after it ('$' stands for what the settings'
 * names begin with), and whether another attempt is worth it. What failed on the way can be
 * otherwise next time, and nothing was said about the batch; certificates are among it, because
 * they get renewed. What the other side answered in earnest stays as it is.
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
	  " is not trusted: $CERTIFICATE names the authority to trust" },
	{ CURLE_SSL_CONNECT_ERROR, SONDE_OUTCOME_RETRY, "no TLS connection to ", "" },
	{ CURLE_SSL_CERTPROBLEM, SONDE_OUTCOME_RETRY, "cannot use $CLIENT_CERTIFICATE or "
	  "_CLIENT_KEY for ", "" },
	{ CURLE_SSL_CACERT_BADFILE, SONDE_OUTCOME_RETRY, "cannot use $CERTIFICATE for ", "" },
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

static void add_words(const struct sonde__otlp_answer *answer, const char *words,
		      struct sonde__otlp_line *line)
{
	const char *name = strchrnul(words, '$');

	sonde__otlp_line_add_text(line, (struct sonde_text){ words, (size_t)(name - words) });
	if (!*name)
		return;
	sonde__otlp_line_add(line, answer->target->dialect->settings);
	sonde__otlp_line_add(line, name + 1);
}

static void add_grpc_hint(const struct sonde__otlp_answer *answer, struct sonde__otlp_line *line)
{
	if (answer->target->dialect->is_grpc_near && answer->target->port == GRPC_PORT &&
	    answer->is_connected)
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
		add_words(answer, fault->before, line);
		sonde__otlp_line_add(line, shown);
		add_words(answer, fault->after, line);
		if (!strcmp(fault->after, NOT_HTTP))
			sonde__otlp_line_add(line, answer->target->dialect->not_http);
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

static bool is_success(const struct sonde__otlp_answer *answer)
{
	return answer->status >= 200 && answer->status < 300;
}

static int64_t bounded_wish(int64_t seconds)
{
	if (seconds <= 0)
		return -1;
	return seconds < SONDE__OTLP_RETRY_AFTER_MAX_MS / 1000 ? seconds * 1000
							       : SONDE__OTLP_RETRY_AFTER_MAX_MS;
}

/* A redirect repeats the path, most of the time. */
static size_t host_size(const char *url)
{
	const char *host = strstr(url, "://");

	host = host ? host + 3 : url;
	return (size_t)(host - url) + strcspn(host, "/?#");
}

/* Servers like to say which path it is that they do not know. */
static bool repeats_secret(const struct sonde__otlp_answer *answer)
{
	const char *at = answer->target->url + host_size(answer->target->url);

	while (*(at += strspn(at, "/?&=#"))) {
		size_t n = strcspn(at, "/?&=#");

		if (n >= SECRET_MIN && answer->body.size &&
		    memmem(answer->body.data, answer->body.size, at, n))
			return true;
		at += n;
	}
	return false;
}

static void explain_redirect(const struct sonde__otlp_answer *answer, struct sonde__otlp_line *line)
{
	sonde__otlp_line_add(line, " redirects");
	if (answer->location) {
		size_t n = answer->target->is_secret ? host_size(answer->location) :
						       strlen(answer->location);

		sonde__otlp_line_add(line, " to ");
		sonde__otlp_line_add_cut(line, (struct sonde_text){ answer->location, n }, 80);
	}
	sonde__otlp_line_add(line, ", which is not followed: correct ");
	sonde__otlp_line_add(line, answer->target->setting);
}

/* Servers answer a plain request on their TLS port in plain words, Go's and nginx's in these. */
static bool met_tls_server(const struct sonde__otlp_answer *answer)
{
	return answer->status == 400 && !answer->target->is_https && answer->body.size &&
	       memmem(answer->body.data, answer->body.size, "HTTPS", 5);
}

static void classify_status(const struct sonde__otlp_answer *answer, struct sonde_result *ret,
			    struct sonde__otlp_line *line)
{
	const struct sonde__otlp_dialect *dialect = answer->target->dialect;
	const char *remedy = dialect->find_remedy(answer->signal, answer->status);

	ret->outcome = dialect->is_retryable(answer->status) ? SONDE_OUTCOME_RETRY :
							       SONDE_OUTCOME_REFUSED;
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
	if (!answer->target->is_secret || !repeats_secret(answer))
		sonde__otlp_answer_explain(answer->content_type, answer->body, line);
	add_grpc_hint(answer, line);
}

static void take_success(const struct sonde__otlp_answer *answer, struct sonde_result *ret,
			 struct sonde__otlp_line *line)
{
	ret->outcome = SONDE_OUTCOME_ACCEPTED;
	if (answer->target->dialect->read_success)
		answer->target->dialect->read_success(answer, ret, line);
}

void sonde__otlp_classify(const struct sonde__otlp_answer *answer, struct sonde_result *ret)
{
	struct sonde__otlp_line line;

	ret->n_rejected = 0;
	ret->retry_after_ms = -1;
	sonde__otlp_line_init(&line, ret->reason, sizeof(ret->reason));
	if (is_success(answer) && !answer->is_too_big &&
	    (answer->code == CURLE_OK || answer->code == CURLE_BAD_CONTENT_ENCODING))
		take_success(answer, ret, &line);
	else if (answer->code != CURLE_OK || answer->is_too_big)
		classify_fault(answer, ret, &line);
	else
		classify_status(answer, ret, &line);
}
