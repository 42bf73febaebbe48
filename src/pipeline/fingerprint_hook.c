/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The hook is somebody else's code on our thread. An error that it records would come back to it
 * for ever: so while it runs the thread's current context is one of ours, whose trace id marks what
 * is recorded under it, and what bears the mark is not shown to it.
 */

#include "pipeline/fingerprint_hook.h"

#include <string.h>

#include <sonde/fingerprint.h>

#include "base/clock.h"
#include "base/diagnostic.h"
#include "base/random.h"
#include "pipeline/fingerprint.h"
#include "record/view.h"
#include "stack/frame.h"

#define LINKS_MAX 16
#define FRAMES_MAX 32
#define TEXT_MAX 1024
#define SLOW_NS (10 * SONDE__NS_PER_MS)
#define MINUTE_NS (60 * SONDE__NS_PER_S)

void sonde__fingerprint_hook_init(struct sonde__fingerprint_hook *hook, sonde_fingerprint_fn *call,
				  void *user)
{
	*hook = (struct sonde__fingerprint_hook){ .call = call, .user = user };
	if (!call)
		return;
	(void)sonde__random_bytes(hook->context.trace_id, sizeof(hook->context.trace_id));
	(void)sonde__random_bytes(hook->context.span_id, sizeof(hook->context.span_id));
	/* Never the id of nothing, even without random numbers. */
	hook->context.trace_id[0] |= 1;
	hook->context.span_id[0] |= 1;
}

bool sonde__fingerprint_hook_is_own(const struct sonde__fingerprint_hook *hook,
				    const struct sonde__error_record *record)
{
	return hook->call && memcmp(hook->context.trace_id, record->trace_id,
				    sizeof(hook->context.trace_id)) == 0;
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

static void note_duration(struct sonde__fingerprint_hook *hook, uint64_t from_ns)
{
	uint64_t now_ns = sonde__monotonic_ns();
	uint64_t took_ns = now_ns - from_ns;

	if (took_ns >= SLOW_NS) {
		hook->n_slow++;
		if (took_ns > hook->slowest_ns)
			hook->slowest_ns = took_ns;
	}
	if (!hook->n_slow || (hook->said_ns && now_ns - hook->said_ns < MINUTE_NS))
		return;
	sonde__report(SONDE_WARN,
		      "the hook for fingerprints is slow: %llu calls took %.0f ms and more, one of them %.0f ms; nothing is delivered meanwhile",
		      (unsigned long long)hook->n_slow, (double)SLOW_NS / 1e6,
		      (double)hook->slowest_ns / 1e6);
	hook->said_ns = now_ns;
	hook->n_slow = 0;
	hook->slowest_ns = 0;
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
	uint64_t from_ns = sonde__monotonic_ns();
	struct sonde_context previous = sonde_context_attach(&hook->context);
	const char *text = hook->call(hook->user, &view);
	size_t size = text ? strnlen(text, TEXT_MAX) : 0;

	(void)sonde_context_attach(&previous);
	note_duration(hook, from_ns);
	if (!size)
		return otherwise;
	return sonde__fingerprint_of_text((struct sonde_text){ text, size }, otherwise);
}
