/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timed scopes. Below the threshold a scope costs two readings of the clock and a count; above it,
 * it leaves a warning and says so on the current span.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sonde/capture.h>

#include "base/clock.h"
#include "base/text.h"
#include "box/box.h"
#include "capture/log.h"
#include "capture/part.h"
#include "capture/state.h"

/* In the caller's memory. */
struct timed {
	uint64_t memento;
	uint64_t start;
	struct sonde_site *site; /* Stands in the scope's own code, which is running. */
	uint32_t slow_ms;
	uint32_t reserved;
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct timed) <= sizeof(struct sonde_timed), "fits the caller's memory");

/* "Slow operation: NAME took 1.234s"; longer names are cut. */
#define NAME_MAX_SIZE 512
#define TEXT_SIZE (NAME_MAX_SIZE + 64)

/* Durations are in units of 2^-32 s, see base/clock.h. */
#define UNITS_PER_S (UINT64_C(1) << 32)

static uint32_t threshold_of(const struct sonde_timed_options *options)
{
	const size_t known = offsetof(struct sonde_timed_options, slow_ms) +
			     sizeof(options->slow_ms);

	if (options && options->size >= known && options->slow_ms)
		return options->slow_ms;
	return SONDE__SETTING(slow_threshold_ms);
}

void sonde__timed_begin(struct sonde_timed *memory, struct sonde_site *site,
			const struct sonde_timed_options *options)
{
	struct timed *timed = (struct timed *)memory;

	if (!timed || !sonde__capture_enter())
		return;
	timed->memento = sonde__memento(SONDE__MAGIC_TIMED, SONDE__RECORDING);
	timed->site = site;
	timed->slow_ms = threshold_of(options);
	timed->start = sonde__ticks();
}

static SONDE__ALWAYS_INLINE uint32_t site_id_of(struct sonde_site *site)
{
	uint32_t id;

	if (SONDE__UNLIKELY(!site))
		return 0;
	/* Relaxed: the id names an entry that the table published before it gave the id away. */
	id = __atomic_load_n(&site->id, __ATOMIC_RELAXED);
	return SONDE__LIKELY(id) ? id : sonde__site_id(site);
}

/* Whole milliseconds, because a decimal point would be the host's locale's. */
static size_t text_make(const char *name, size_t name_size, uint64_t milliseconds,
			char ret[TEXT_SIZE])
{
	return (size_t)snprintf(ret, TEXT_SIZE, "Slow operation: %.*s took %llu.%03us",
				(int)name_size, name, (unsigned long long)(milliseconds / 1000),
				(unsigned)(milliseconds % 1000));
}

static SONDE__COLD void slow_write(struct sonde_site *site, double seconds)
{
	const char *name = site && site->name && *site->name ? site->name : "unnamed";
	size_t name_size = sonde__utf8_cut(name, strlen(name), NAME_MAX_SIZE);
	const struct sonde_attr attrs[] = {
		sonde_strn("sonde.slow_operation.name", name, name_size),
		sonde_double("sonde.slow_operation.duration", seconds),
	};
	struct sonde_context context;
	struct sonde__part part = { .context = &context,
				    .attrs = attrs,
				    .n_attrs = SONDE__ARRAY_SIZE(attrs) };
	struct sonde__log log = { .severity = SONDE_WARN,
				  .attrs = attrs,
				  .n_attrs = SONDE__ARRAY_SIZE(attrs) };
	char text[TEXT_SIZE];

	log.body.data = text;
	log.body.size = text_make(name, name_size, (uint64_t)(seconds * 1000 + 0.5), text);
	log.site = site_id_of(site);
	sonde__log_write(&log);
	if (sonde__current_span(&context) && !context.is_remote)
		sonde__part_write(&part);
}

void sonde__timed_end(struct sonde_timed *memory)
{
	struct timed *timed = (struct timed *)memory;
	uint64_t units;

	if (!timed || timed->memento != sonde__memento(SONDE__MAGIC_TIMED, SONDE__RECORDING))
		return;
	timed->memento = 0;
	if (!sonde_is_recording())
		return;
	units = sonde__span_units(timed->start, sonde__ticks(), /* flags= */ 0);
	if (SONDE__LIKELY(SONDE__SETTING(counts_figures)))
		sonde__figures_count(site_id_of(timed->site), units, /* is_error= */ false);
	if (SONDE__UNLIKELY(timed->slow_ms && units >= UNITS_PER_S * timed->slow_ms / 1000)) {
		int saved_errno = errno;

		slow_write(timed->site, (double)units / (double)UNITS_PER_S);
		errno = saved_errno;
	}
}
