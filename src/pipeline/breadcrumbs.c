/* SPDX-License-Identifier: Apache-2.0 */
/* Breadcrumbs become text here, long after they were left. The hook sees each one first. */

#include "pipeline/breadcrumbs.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define MS_PER_DAY UINT64_C(86400000)

void sonde__breadcrumbs_init(struct sonde__breadcrumbs *breadcrumbs,
			     sonde_before_breadcrumb_fn *before, void *user)
{
	memset(breadcrumbs, 0, sizeof(*breadcrumbs));
	breadcrumbs->before = before;
	breadcrumbs->user = user;
	sonde__callout_init(&breadcrumbs->callout, "before_breadcrumb");
}

static const char *level_word(int level)
{
	static const char *const words[] = { "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL" };

	if (level < SONDE_TRACE)
		level = SONDE_TRACE;
	return words[level < SONDE_FATAL ? (level - 1) / 4 : 5];
}

/* ---- The hook -------------------------------------------------------------------------------- */

/* True: it stays. */
static bool hook_call(struct sonde__breadcrumbs *breadcrumbs, struct sonde_breadcrumb *crumb)
{
	bool stays;

	sonde__callout_enter(&breadcrumbs->callout);
	stays = breadcrumbs->before(breadcrumbs->user, crumb);
	(void)sonde__callout_leave(&breadcrumbs->callout);
	breadcrumbs->n_dropped += !stays;
	return stays;
}

/* ---- Text ------------------------------------------------------------------------------------ */

#define CUT_MARK "…"

/* `cuts`: the texts that get a mark, SONDE__CRUMB_*. */
static void line_write(char line[SONDE__BREADCRUMB_LINE], const struct sonde_breadcrumb *crumb,
		       unsigned cuts)
{
	const unsigned ms = (unsigned)(crumb->unix_ns / SONDE__NS_PER_MS % MS_PER_DAY);
	const char *category = crumb->category ? crumb->category : "";
	int length = snprintf(line, SONDE__BREADCRUMB_LINE,
			      "%02u:%02u:%02u.%03u %s %.320s%s%s%.320s%s", ms / 3600000,
			      ms / 60000 % 60, ms / 1000 % 60, ms % 1000,
			      level_word((int)crumb->level), category,
			      cuts & SONDE__CRUMB_CATEGORY_CUT ? CUT_MARK : "",
			      *category ? ": " : "", crumb->message ? crumb->message : "",
			      cuts & SONDE__CRUMB_MESSAGE_CUT ? CUT_MARK : "");

	/* A hook's text may be longer than any that capture keeps. */
	if (length >= SONDE__BREADCRUMB_LINE) {
		length = (int)sonde__utf8_cut(line, SONDE__BREADCRUMB_LINE - 1,
					      SONDE__BREADCRUMB_LINE - sizeof(CUT_MARK));
		memcpy(line + length, CUT_MARK, sizeof(CUT_MARK));
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
	unsigned cuts = view->cuts;
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
	if (crumb.message != message)
		cuts &= ~SONDE__CRUMB_MESSAGE_CUT;
	if (crumb.category != category)
		cuts &= ~SONDE__CRUMB_CATEGORY_CUT;
	line_write(breadcrumbs->text[breadcrumbs->n], &crumb, cuts);
	breadcrumbs->lines[breadcrumbs->n] = breadcrumbs->text[breadcrumbs->n];
	breadcrumbs->n++;
}

void sonde__breadcrumbs_read(struct sonde__breadcrumbs *breadcrumbs,
			     const struct sonde__clock *clock,
			     const struct sonde__error_record *record)
{
	const bool is_shown = breadcrumbs->before &&
			      !sonde__callout_is_own(&breadcrumbs->callout, record->trace_id);
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
