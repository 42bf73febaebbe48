/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Breadcrumbs become text here, long after they were left. The hook sees each one first. It is
 * somebody else's code on our thread: what it records itself is known by its trace, and its
 * breadcrumbs are not shown to it, or an error captured by it would come back to it for ever.
 */

#include "pipeline/breadcrumbs.h"

#include <stdio.h>
#include <string.h>

#include "base/diagnostic.h"
#include "base/random.h"
#include "base/text.h"

#define SLOW_NS (10 * SONDE__NS_PER_MS)
#define MINUTE_NS (60 * SONDE__NS_PER_S)
#define MS_PER_DAY UINT64_C(86400000)

void sonde__breadcrumbs_init(struct sonde__breadcrumbs *breadcrumbs,
			     sonde_before_breadcrumb_fn *before, void *user)
{
	memset(breadcrumbs, 0, sizeof(*breadcrumbs));
	breadcrumbs->before = before;
	breadcrumbs->user = user;
	(void)sonde__random_bytes(breadcrumbs->context.trace_id,
				  sizeof(breadcrumbs->context.trace_id));
	/* Never the ids of nothing, even without random numbers. */
	breadcrumbs->context.trace_id[0] |= 1;
	breadcrumbs->context.span_id[0] = 1;
}

static const char *level_word(int level)
{
	static const char *const words[] = { "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL" };

	if (level < SONDE_TRACE)
		level = SONDE_TRACE;
	return words[level < SONDE_FATAL ? (level - 1) / 4 : 5];
}

/* ---- The hook -------------------------------------------------------------------------------- */

static void say_slow(struct sonde__breadcrumbs *breadcrumbs, uint64_t now_ns)
{
	if (breadcrumbs->has_said && now_ns - breadcrumbs->said_ns < MINUTE_NS)
		return;
	sonde__report(SONDE_WARN,
		      "before_breadcrumb is slow: %llu calls took %.0f ms and more, one of them %.0f ms; nothing is delivered meanwhile",
		      (unsigned long long)breadcrumbs->n_slow, (double)SLOW_NS / 1e6,
		      (double)breadcrumbs->slowest_ns / 1e6);
	breadcrumbs->has_said = true;
	breadcrumbs->said_ns = now_ns;
	breadcrumbs->n_slow = 0;
	breadcrumbs->slowest_ns = 0;
}

static void note_duration(struct sonde__breadcrumbs *breadcrumbs, uint64_t from_ns)
{
	const uint64_t now_ns = sonde__monotonic_ns();
	const uint64_t took_ns = now_ns - from_ns;

	if (took_ns < SLOW_NS)
		return;
	breadcrumbs->n_slow++;
	if (took_ns > breadcrumbs->slowest_ns)
		breadcrumbs->slowest_ns = took_ns;
	say_slow(breadcrumbs, now_ns);
}

/* True: it stays. */
static bool hook_call(struct sonde__breadcrumbs *breadcrumbs, struct sonde_breadcrumb *crumb)
{
	const uint64_t from_ns = sonde__monotonic_ns();
	struct sonde_context previous = sonde_context_attach(&breadcrumbs->context);
	const bool stays = breadcrumbs->before(breadcrumbs->user, crumb);

	(void)sonde_context_attach(&previous);
	note_duration(breadcrumbs, from_ns);
	breadcrumbs->n_dropped += !stays;
	return stays;
}

/* ---- Text ------------------------------------------------------------------------------------ */

static void line_write(char line[SONDE__BREADCRUMB_LINE], const struct sonde_breadcrumb *crumb,
		       bool is_cut)
{
	const unsigned ms = (unsigned)(crumb->unix_ns / SONDE__NS_PER_MS % MS_PER_DAY);
	const char *category = crumb->category ? crumb->category : "";
	int length = snprintf(line, SONDE__BREADCRUMB_LINE, "%02u:%02u:%02u.%03u %s %.320s%s%.320s%s",
			      ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, ms % 1000,
			      level_word((int)crumb->level), category, *category ? ": " : "",
			      crumb->message ? crumb->message : "", is_cut ? "…" : "");

	if (length >= SONDE__BREADCRUMB_LINE) {
		length = (int)sonde__utf8_cut(line, SONDE__BREADCRUMB_LINE - 1,
					      SONDE__BREADCRUMB_LINE - 2);
		line[length] = '\0';
	}
}

static void copy(char *to, struct sonde_text text)
{
	memcpy(to, text.data, text.size);
	to[text.size] = '\0';
}

static void crumb_read(struct sonde__breadcrumbs *breadcrumbs, const struct sonde__clock *clock,
		       const struct sonde__crumb_view *view, bool is_shown)
{
	/* Their sizes are bytes in the record. */
	char category[UINT8_MAX + 1];
	char message[UINT8_MAX + 1];
	struct sonde_breadcrumb crumb = {
		.size = sizeof(crumb),
		.unix_ns = sonde__clock_unix_ns(clock, view->ticks),
		.level = (enum sonde_level)view->level,
		.category = category,
		.message = message,
	};

	copy(category, view->category);
	copy(message, view->message);
	if (is_shown && !hook_call(breadcrumbs, &crumb))
		return;
	line_write(breadcrumbs->text[breadcrumbs->n], &crumb,
		   view->is_cut && crumb.message == message);
	breadcrumbs->lines[breadcrumbs->n] = breadcrumbs->text[breadcrumbs->n];
	breadcrumbs->n++;
}

void sonde__breadcrumbs_read(struct sonde__breadcrumbs *breadcrumbs,
			     const struct sonde__clock *clock,
			     const struct sonde__error_record *record)
{
	const bool is_shown = breadcrumbs->before &&
			      memcmp(record->trace_id, breadcrumbs->context.trace_id,
				     sizeof(record->trace_id)) != 0;
	const struct sonde__crumb *walk = NULL;
	struct sonde__crumb_view view;

	breadcrumbs->n = 0;
	while (breadcrumbs->n < SONDE__BREADCRUMBS_MAX &&
	       sonde__error_record_crumb(record, &walk, &view))
		crumb_read(breadcrumbs, clock, &view, is_shown);
}

size_t sonde__breadcrumbs_size(const struct sonde__breadcrumbs *breadcrumbs)
{
	size_t size = 0;

	for (size_t i = 0; i < breadcrumbs->n; i++)
		size += strlen(breadcrumbs->lines[i]) + 8;
	return size;
}
