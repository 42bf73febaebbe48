/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/privacy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/diagnostic.h"
#include "base/utf8.h"

#define PATH_SIZE 4096
#define FILTER_SIZE 1024
#define LIMIT_MIN (UINT64_C(1) << 16)
#define LIMIT_MAX (UINT64_C(1) << 40)
#define LIMIT_DEFAULT (UINT64_C(64) << 20)

/* What there is room for. */
static size_t append(char redacted[FILTER_SIZE], size_t used, const char *text, size_t size)
{
	if (size > FILTER_SIZE - used)
		size = FILTER_SIZE - used;
	memcpy(redacted + used, text, size);
	return used + size;
}

static char *absolute(const char *path)
{
	char folder[PATH_SIZE];
	char whole[2 * PATH_SIZE];

	if (path[0] == '/')
		return strdup(path);
	if (!getcwd(folder, sizeof(folder)) ||
	    (size_t)snprintf(whole, sizeof(whole), "%s/%s", folder, path) >= sizeof(whole))
		return NULL;
	return strdup(whole);
}

void sonde__audit_read(struct sonde__settings *settings, const struct sonde_options *options)
{
	const struct sonde__number limit = { .name = "SONDE_AUDIT_LIMIT",
					     .option = options->audit_limit_bytes,
					     .fallback = LIMIT_DEFAULT,
					     .min = LIMIT_MIN,
					     .max = LIMIT_MAX,
					     .is_size = true };
	const char *path = options->audit_file && options->audit_file[0] ?
				   options->audit_file :
				   sonde__environment_get(&settings->environment, "SONDE_AUDIT");

	settings->audit_limit_bytes = sonde__environment_number(&settings->environment, &limit);
	if (!path)
		return;
	settings->audit_path = absolute(path);
	if (!settings->audit_path)
		sonde__report(SONDE_ERROR, "SONDE_AUDIT=%s cannot be found: nothing is audited",
			      path);
}

void sonde__privacy_filter(char *text, size_t capacity)
{
	const struct sonde_text whole = { text, strlen(text) };
	const struct sonde__redactor *redactor = &sonde__redactor_usual;
	struct sonde__redact_counts counts = { { 0 } };
	struct sonde__match match = { 0 };
	char redacted[FILTER_SIZE];
	size_t used = 0;
	size_t done = 0;
	size_t size;

	if (!sonde__redact_measure(redactor, whole, SONDE__KEY_PLAIN, &size))
		return;
	while (sonde__redact_next(redactor, whole, SONDE__KEY_PLAIN, done, &match)) {
		used = append(redacted, used, text + done, match.from - done);
		used = append(redacted, used, match.by.data, match.by.size);
		counts.n[match.kind]++;
		done = match.to;
	}
	used = append(redacted, used, text + done, whole.size - done);
	if (used >= capacity)
		used = sonde__utf8_cut(redacted, used, capacity - 1);
	memcpy(text, redacted, used);
	text[used] = '\0';
	sonde__redact_count(&counts);
}

static void say(void *user SONDE__UNUSED, const char *what, const char *text)
{
	sonde__report(SONDE_WARN, "SONDE_REDACT=%s names unknown %s: what is usually redacted is, too",
		      text, what);
}

int sonde__privacy_init(struct sonde__redactor *redactor, const struct sonde__settings *settings)
{
	return sonde__redactor_init(redactor, settings->redact_keys, settings->redact, say,
				    /* user= */ NULL);
}
