/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console: traces, logs and metrics as text for people, or as OTLP/JSON lines.
 *
 *	SONDE_CONSOLE_OUTPUT	stdout, stderr
 *	SONDE_CONSOLE_FORMAT	text, json
 *	SONDE_CONSOLE_COLOR	auto (a terminal, and NO_COLOR is not set), always, never
 *
 * The reader of the output may be slow, or stopped. The worker never waits for it: what is not
 * written yet is PENDING (output.h says how). The signals share the output, so the second waits
 * until the first is written. SIGPIPE is blocked on the worker, as every signal a write can raise.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <sonde/exporter.h>

#include "console/output.h"
#include "console/render.h"
#include "json/json.h"

#define PENDING_MAX 3

struct pending {
	struct sonde_request request;
	size_t n_written;
};

struct console {
	struct output output;
	bool is_json;
	bool is_cut; /* What was written last ends in the middle of a line. */
	struct look look;
	struct pending pending[PENDING_MAX]; /* Oldest first. */
	size_t n_pending;
};

static const char *get(const struct sonde_exporter_host *host, const char *name)
{
	return host->setting(host->context, name);
}

static void warn(const struct sonde_exporter_host *host, const char *name, const char *value,
		 const char *accepted)
{
	char text[256];

	snprintf(text, sizeof(text), "%s=%s is not one of %s: using the first", name, value, accepted);
	host->report(host->context, SONDE_WARN, text);
}

/* Whether `name` is set to `yes`; anything but `yes` and `no` is reported. */
static bool choose(const struct sonde_exporter_host *host, const char *name, const char *no,
		   const char *yes)
{
	const char *value = get(host, name);
	char accepted[64];

	if (!value || !strcasecmp(value, no))
		return false;
	if (!strcasecmp(value, yes))
		return true;
	snprintf(accepted, sizeof(accepted), "%s, %s", no, yes);
	warn(host, name, value, accepted);
	return false;
}

static bool choose_colour(const struct sonde_exporter_host *host, bool is_terminal)
{
	const char *value = get(host, "SONDE_CONSOLE_COLOR");

	if (value && !strcasecmp(value, "always"))
		return true;
	if (value && !strcasecmp(value, "never"))
		return false;
	if (value && strcasecmp(value, "auto") != 0)
		warn(host, "SONDE_CONSOLE_COLOR", value, "auto, always, never");
	return is_terminal && !get(host, "NO_COLOR");
}

static int open_output(const struct sonde_exporter_host *host, struct output *ret)
{
	bool is_stderr = choose(host, "SONDE_CONSOLE_OUTPUT", "stdout", "stderr");
	char text[128];

	if (sonde__output_open(ret, is_stderr ? STDERR_FILENO : STDOUT_FILENO) == 0)
		return SONDE_OK;
	snprintf(text, sizeof(text), "the console exporter has no standard %s to write to: %s",
		 is_stderr ? "error" : "output", strerror(errno));
	host->report(host->context, SONDE_ERROR, text);
	return SONDE_E_SYSTEM;
}

static bool is_logs_alone(const char *value)
{
	return value && !strcasecmp(value, "logs");
}

static int console_open(const struct sonde_exporter_host *host, void **ret)
{
	struct console *console = calloc(1, sizeof(*console));
	int status;

	if (!console)
		return SONDE_E_NOMEM;
	status = open_output(host, &console->output);
	if (status < 0) {
		free(console);
		return status;
	}
	console->is_json = choose(host, "SONDE_CONSOLE_FORMAT", "text", "json");
	console->look.has_colour = choose_colour(host, console->output.is_terminal);
	console->look.has_stacks_in_logs =
		is_logs_alone(get(host, "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"));
	*ret = console;
	return SONDE_OK;
}

static bool console_accepts(void *instance, enum sonde_signal signal)
{
	(void)instance;
	return signal == SONDE_SIGNAL_SPAN || signal == SONDE_SIGNAL_LOG ||
	       signal == SONDE_SIGNAL_METRIC;
}

static int console_encode(void *instance, const struct sonde_batch *batch, struct sonde_buffer *out)
{
	const struct console *console = instance;

	if (console->is_json)
		return sonde__json_encode(batch, out);
	switch (batch->signal) {
	case SONDE_SIGNAL_SPAN:
		return sonde__console_render_spans(batch, &console->look, out);
	case SONDE_SIGNAL_LOG:
		return sonde__console_render_logs(batch, &console->look, out);
	case SONDE_SIGNAL_METRIC:
		return sonde__console_render_metrics(batch, &console->look, out);
	default:
		return SONDE_E_INVALID;
	}
}

static void fill_result(void *token, enum sonde_outcome outcome, int error,
			struct sonde_result *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->outcome = outcome;
	ret->token = token;
	ret->retry_after_ms = -1;
	if (error)
		snprintf(ret->reason, sizeof(ret->reason), "the console cannot be written: %s",
			 strerror(error));
}

static void remove_pending(struct console *console, size_t i)
{
	console->n_pending--;
	memmove(&console->pending[i], &console->pending[i + 1],
		(console->n_pending - i) * sizeof(console->pending[0]));
}

/* Ends a cut line first, so that it spoils no more than itself. */
static int write_on(struct console *console, struct pending *pending)
{
	size_t n_ended = 0;
	int error = 0;

	if (console->is_cut)
		error = sonde__output_write(&console->output, "\n", 1, &n_ended);
	if (error)
		return error;
	console->is_cut = false;
	return sonde__output_write(&console->output, pending->request.body.data,
				   pending->request.body.size, &pending->n_written);
}

static bool console_progress(void *instance, struct sonde_result *ret)
{
	struct console *console = instance;
	struct pending *pending = &console->pending[0];
	int error;

	if (!console->n_pending)
		return false;
	error = write_on(console, pending);
	if (error == EAGAIN)
		return false;
	fill_result(pending->request.token, error ? SONDE_OUTCOME_REFUSED : SONDE_OUTCOME_ACCEPTED,
		    error, ret);
	remove_pending(console, 0);
	return true;
}

static enum sonde_outcome console_send(void *instance, const struct sonde_request *request,
				       struct sonde_result *ret)
{
	struct console *console = instance;

	if (console->n_pending == PENDING_MAX) {
		fill_result(request->token, SONDE_OUTCOME_RETRY, 0, ret);
		return SONDE_OUTCOME_RETRY;
	}
	console->pending[console->n_pending++] = (struct pending){ .request = *request };
	if (console->n_pending == 1 && console_progress(console, ret))
		return ret->outcome;
	return SONDE_OUTCOME_PENDING;
}

static size_t console_poll(void *instance, struct pollfd *fds, size_t capacity, int *timeout_ms)
{
	const struct console *console = instance;

	(void)timeout_ms;
	if (!console->n_pending || !capacity)
		return 0;
	fds[0] = (struct pollfd){ .fd = console->output.fd, .events = POLLOUT };
	return 1;
}

static bool ends_in_a_line(const struct pending *pending)
{
	const char *data = pending->request.body.data;

	return pending->n_written && data[pending->n_written - 1] != '\n';
}

static void console_cancel(void *instance, void *token)
{
	struct console *console = instance;

	for (size_t i = 0; i < console->n_pending; i++) {
		const struct pending *pending = &console->pending[i];

		if (pending->request.token != token)
			continue;
		if (ends_in_a_line(pending))
			console->is_cut = true;
		remove_pending(console, i);
		return;
	}
}

static void console_close(void *instance, bool forked)
{
	struct console *console = instance;

	sonde__output_close(&console->output);
	if (!forked)
		free(console);
}

const struct sonde_exporter sonde_console_exporter = {
	.size = sizeof(struct sonde_exporter),
	.name = "console",
	.open = console_open,
	.accepts = console_accepts,
	.encode = console_encode,
	.send = console_send,
	.poll = console_poll,
	.progress = console_progress,
	.cancel = console_cancel,
	.close = console_close,
};
