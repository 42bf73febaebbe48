/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console: traces and logs as text for people, or as OTLP/JSON lines.
 *
 * The output belongs to the host, which may have a slow reader on it, or one that stopped: it is
 * never made non-blocking (the flag would be the host's too), but asked by poll before each write,
 * and no write is larger than what a pipe that polls writable takes at once. What is not written
 * yet is PENDING. The two signals share the output, so the second waits until the first is done.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sonde/exporter.h>

#include "console/render.h"
#include "json/json.h"

#define PENDING_MAX 2

struct pending {
	struct sonde_request request;
	size_t n_written;
};

struct console {
	int fd;
	bool is_json;
	bool has_colour;
	struct pending pending[PENDING_MAX]; /* Oldest first. */
	size_t n_pending;
};

static const char *get(const struct sonde_exporter_host *host, const char *name)
{
	return host->setting(host->context, name);
}

static bool choose(const struct sonde_exporter_host *host, const char *name, const char *yes,
		   const char *no)
{
	const char *value = get(host, name);
	char text[256];

	if (!value || !strcmp(value, no))
		return false;
	if (!strcmp(value, yes))
		return true;
	snprintf(text, sizeof(text), "%s=%s is neither %s nor %s: using %s", name, value, no, yes,
		 no);
	host->report(host->context, SONDE_WARN, text);
	return false;
}

static int console_open(const struct sonde_exporter_host *host, void **ret)
{
	struct console *console = calloc(1, sizeof(*console));

	if (!console)
		return SONDE_E_NOMEM;
	console->fd = choose(host, "SONDE_CONSOLE_OUTPUT", "stderr", "stdout") ? STDERR_FILENO :
										 STDOUT_FILENO;
	console->is_json = choose(host, "SONDE_CONSOLE_FORMAT", "json", "text");
	console->has_colour = !get(host, "NO_COLOR") && isatty(console->fd);
	*ret = console;
	return SONDE_OK;
}

static int console_encode(void *instance, const struct sonde_batch *batch, struct sonde_buffer *out)
{
	const struct console *console = instance;

	if (console->is_json)
		return sonde__json_encode(batch, out);
	return batch->signal == SONDE_SIGNAL_SPAN ?
		       sonde__console_render_spans(batch, console->has_colour, out) :
		       sonde__console_render_logs(batch, console->has_colour, out);
}

static bool is_writable(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };

	return poll(&ready, 1, 0) == 1;
}

/* Writes on as far as the output takes it: PENDING, ACCEPTED or REFUSED. */
static enum sonde_outcome write_on(int fd, struct pending *pending)
{
	const char *data = pending->request.body.data;
	size_t size = pending->request.body.size;

	while (pending->n_written < size) {
		size_t left = size - pending->n_written;
		ssize_t n;

		if (!is_writable(fd))
			return SONDE_OUTCOME_PENDING;
		n = write(fd, data + pending->n_written, left < PIPE_BUF ? left : PIPE_BUF);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return SONDE_OUTCOME_PENDING;
		if (n < 0)
			return SONDE_OUTCOME_REFUSED;
		pending->n_written += (size_t)n;
	}
	return SONDE_OUTCOME_ACCEPTED;
}

static void fill_result(const struct pending *pending, enum sonde_outcome outcome,
			struct sonde_result *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->outcome = outcome;
	ret->token = pending->request.token;
	ret->retry_after_ms = -1;
	if (outcome == SONDE_OUTCOME_REFUSED)
		snprintf(ret->reason, sizeof(ret->reason), "the console cannot be written: %s",
			 strerror(errno));
}

static void remove_pending(struct console *console, size_t i)
{
	console->n_pending--;
	memmove(&console->pending[i], &console->pending[i + 1],
		(console->n_pending - i) * sizeof(console->pending[0]));
}

static bool console_progress(void *instance, struct sonde_result *ret)
{
	struct console *console = instance;
	enum sonde_outcome outcome;

	if (!console->n_pending)
		return false;
	outcome = write_on(console->fd, &console->pending[0]);
	if (outcome == SONDE_OUTCOME_PENDING)
		return false;
	fill_result(&console->pending[0], outcome, ret);
	remove_pending(console, 0);
	return true;
}

static enum sonde_outcome console_send(void *instance, const struct sonde_request *request,
				       struct sonde_result *ret)
{
	struct console *console = instance;
	struct pending *pending = &console->pending[console->n_pending];

	if (console->n_pending == PENDING_MAX) {
		struct pending late = { .request = *request };

		fill_result(&late, SONDE_OUTCOME_RETRY, ret);
		return SONDE_OUTCOME_RETRY;
	}
	*pending = (struct pending){ .request = *request };
	console->n_pending++;
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
	fds[0] = (struct pollfd){ .fd = console->fd, .events = POLLOUT };
	return 1;
}

static void console_cancel(void *instance, void *token)
{
	struct console *console = instance;

	for (size_t i = 0; i < console->n_pending; i++) {
		if (console->pending[i].request.token == token) {
			remove_pending(console, i);
			return;
		}
	}
}

static void console_close(void *instance, bool forked)
{
	if (!forked)
		free(instance);
}

const struct sonde_exporter sonde_console_exporter = {
	.size = sizeof(struct sonde_exporter),
	.name = "console",
	.open = console_open,
	.encode = console_encode,
	.send = console_send,
	.poll = console_poll,
	.progress = console_progress,
	.cancel = console_cancel,
	.close = console_close,
};
