/* SPDX-License-Identifier: Apache-2.0 */

/* An error as the hook for fingerprints is shown it: its chain, and its stack with names. */

#include "pipeline/fingerprint_hook.h"

#include <string.h>

#include <sonde/fingerprint.h>

#include "pipeline/fingerprint.h"
#include "record/view.h"
#include "stack/frame.h"

#define LINKS_MAX 16
#define FRAMES_MAX 32
#define TEXT_MAX 1024

void sonde__fingerprint_hook_init(struct sonde__fingerprint_hook *hook, sonde_fingerprint_fn *call,
				  void *user)
{
	*hook = (struct sonde__fingerprint_hook){ .call = call, .user = user };
	sonde__callout_init(&hook->callout, "the hook for fingerprints");
}

bool sonde__fingerprint_hook_is_own(const struct sonde__fingerprint_hook *hook,
				    const struct sonde__error_record *record)
{
	return hook->call && sonde__callout_is_own(&hook->callout, record->trace_id);
}

static size_t read_links(const struct sonde__error_record *record,
			 struct sonde_fingerprint_link links[LINKS_MAX])
{
	const struct sonde__error_link *walk = NULL;
	struct sonde__error_link_view view;
	size_t n = 0;

	while (sonde__error_record_next(record, &walk, &view)) {
		/* The last one takes the last place. */
		n -= n == LINKS_MAX;
		links[n++] = (struct sonde_fingerprint_link){
			.type = view.type,
			.message = view.message,
			.file = view.file,
			.function = view.function,
			.line = view.line,
			.errno_value = (int32_t)view.errno_value,
		};
	}
	return n;
}

static struct sonde_text text_of(const char *text)
{
	return (struct sonde_text){ text, strlen(text) };
}

static size_t read_frames(const struct sonde__error_record *record,
			  struct sonde__frame named[FRAMES_MAX],
			  struct sonde_fingerprint_frame frames[FRAMES_MAX])
{
	size_t n = sonde__stack_resolve(sonde__error_record_frames(record), record->n_frames, named,
					FRAMES_MAX);

	for (size_t i = 0; i < n; i++)
		frames[i] = (struct sonde_fingerprint_frame){
			.function = text_of(named[i].function),
			.module = text_of(named[i].module),
			.offset = named[i].offset,
			.is_in_app = named[i].is_in_app,
		};
	return n;
}

uint64_t sonde__fingerprint_hook_ask(struct sonde__fingerprint_hook *hook,
				     const struct sonde__error_record *record, uint64_t otherwise)
{
	struct sonde__frame named[FRAMES_MAX];
	struct sonde_fingerprint_frame frames[FRAMES_MAX];
	struct sonde_fingerprint_link links[LINKS_MAX];
	struct sonde_fingerprint_view view = {
		.size = sizeof(view),
		.links = links,
		.n_links = read_links(record, links),
		.frames = frames,
		.n_frames = read_frames(record, named, frames),
		.fingerprint = otherwise,
		.http_status = record->http_status,
		.severity = record->severity,
	};
	const char *text;
	size_t size;

	sonde__callout_enter(&hook->callout);
	text = hook->call(hook->user, &view);
	size = text ? strnlen(text, TEXT_MAX) : 0;
	(void)sonde__callout_leave(&hook->callout);
	if (!size)
		return otherwise;
	return sonde__fingerprint_of_text((struct sonde_text){ text, size }, otherwise);
}
