/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The default place for diagnostics. Standard error is remembered by device and inode: a daemon
 * that closes it may get the number back as a socket, and a diagnostic must never end up in one. A
 * line is one write, and none is made where it could wait.
 */
#include "agent/sink.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/privacy.h"
#include "base/compiler.h"
#include "base/diagnostic.h"
#include "base/text.h"
#include "redact/redact.h"

#define LINE_SIZE 1024

/* Written by the starting thread before the callback is set, read by any thread after. */
static struct {
	dev_t device;
	ino_t inode;
	_Atomic int threshold; /* enum sonde_level; relaxed: it orders nothing. */
} sink;

static bool is_still_stderr(void)
{
	struct stat status;

	return fstat(STDERR_FILENO, &status) == 0 && status.st_dev == sink.device &&
	       status.st_ino == sink.inode;
}

static const char *level_word(enum sonde_level level)
{
	if (level >= SONDE_ERROR)
		return "error";
	if (level >= SONDE_WARN)
		return "warning";
	return level >= SONDE_INFO ? "info" : "debug";
}

/*
 * Values of variables and texts of receivers are quoted in diagnostics: no terminal may obey them.
 */
static void blank_controls(char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
	}
}

static void write_line(void *user SONDE__UNUSED, enum sonde_level level, const char *text)
{
	struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };
	char line[LINE_SIZE];
	int n;

	if ((int)level < atomic_load_explicit(&sink.threshold, memory_order_relaxed) ||
	    !is_still_stderr())
		return;
	n = snprintf(line, sizeof(line) - 1, "sonde: %s: %s", level_word(level), text);
	if (n < 0)
		return;
	if ((size_t)n > sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	blank_controls(line, (size_t)n);
	line[n++] = '\n';
	if (poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT)) {
		ssize_t written = write(STDERR_FILENO, line, (size_t)n);

		(void)written;
	}
}

static int read_threshold(const struct sonde__environment *environment)
{
	static const struct {
		const char *word;
		int level;
	} words[] = {
		{ "none", SONDE_FATAL + 1 }, { "error", SONDE_ERROR }, { "warn", SONDE_WARN },
		{ "stderr", SONDE_WARN }, { "info", SONDE_INFO }, { "debug", SONDE_DEBUG },
	};
	const char *text = sonde__environment_get(environment, "SONDE_DIAGNOSTICS");

	if (!text)
		return SONDE_WARN;
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(words); i++) {
		if (sonde__text_equal_nocase(text, words[i].word))
			return words[i].level;
	}
	return SONDE_WARN;
}

void sonde__sink_install(const struct sonde_options *options,
			 const struct sonde__environment *environment)
{
	struct stat status;

	sonde__redact_count_anew();
	sonde__diagnostic_filter_set(sonde__privacy_filter);
	if (options->diagnostic) {
		sonde__diagnostic_set(options->diagnostic, options->diagnostic_user);
		return;
	}
	if (fstat(STDERR_FILENO, &status) < 0) {
		sonde__diagnostic_set(/* callback= */ NULL, /* user= */ NULL);
		return;
	}
	sink.device = status.st_dev;
	sink.inode = status.st_ino;
	atomic_store_explicit(&sink.threshold, read_threshold(environment), memory_order_relaxed);
	sonde__diagnostic_set(write_line, /* user= */ NULL);
}
