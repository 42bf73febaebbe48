/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/label.h"

#include <string.h>

#include "pipeline/state.h"
#include "record/mend.h"

void sonde__label_init(struct sonde__label *label, const struct sonde__points *points)
{
	label->redactor = points->pipeline->options.redactor;
	label->is_redacted = false;
	label->n_attrs = 0;
	label->arena = (struct sonde__arena){ .memory = label->texts,
					      .capacity = sizeof(label->texts) };
}

/* What is left of the text; what there is no room for is replaced as a whole. */
static struct sonde_text redact(struct sonde__label *label, const char *key, struct sonde_text text)
{
	static const struct sonde_text all = { SONDE__REDACTED, sizeof(SONDE__REDACTED) - 1 };
	struct sonde__redact_counts counts = { { 0 } };
	enum sonde__key_verdict verdict;
	size_t size;
	char *room;

	if (!label->redactor)
		return text;
	verdict = sonde__redact_key(label->redactor, key, strlen(key));
	if (verdict != SONDE__KEY_SECRET &&
	    !sonde__redact_measure(label->redactor, text, verdict, &size))
		return text;
	label->is_redacted = true;
	room = verdict == SONDE__KEY_SECRET ? NULL : sonde__arena_take(&label->arena, size);
	if (room)
		text = (struct sonde_text){ room, sonde__redact_write(label->redactor, text,
								      verdict, room, &counts) };
	else
		counts.n[SONDE_REDACTION_KEY]++;
	sonde__redact_count(&counts);
	return room ? text : all;
}

void sonde__label_text(struct sonde__label *label, const char *key, struct sonde_text text)
{
	struct sonde__mend_counts counts = { 0 };

	if (text.size)
		text = redact(label, key, text);
	if (text.size &&
	    sonde__mend_text(/* redactor= */ NULL, text, &label->arena, &counts, &text) == SONDE_OK)
		label->attrs[label->n_attrs++] = sonde_strn(key, text.data, text.size);
}

void sonde__label_overflow(struct sonde__label *label)
{
	label->attrs[label->n_attrs++] = sonde_bool("otel.metric.overflow", true);
}

void sonde__label_site(struct sonde__label *label, const struct sonde__points *points,
		       const char *name_key, uint32_t id)
{
	struct sonde__site_view site;

	sonde__label_init(label, points);
	if (!id || !sonde__site_get(id, &site)) {
		sonde__label_overflow(label);
		return;
	}
	sonde__label_text(label, name_key, site.name);
	sonde__label_text(label, "code.function.name", site.function);
	sonde__label_text(label, "code.file.path", site.file);
	if (site.line)
		label->attrs[label->n_attrs++] = sonde_int("code.line.number", site.line);
}

static void finish(struct sonde__label *label, uint64_t number)
{
	if (label->is_redacted)
		label->attrs[label->n_attrs++] = sonde_int("sonde.series", (int64_t)number);
	label->is_redacted = false;
}

void sonde__label_count(struct sonde__label *label, const struct sonde__metric *metric,
			uint64_t number, uint64_t n, struct sonde__points *points)
{
	struct sonde__sample sample = {
		.metric = metric,
		.number = number,
		.attrs = label->attrs,
		.value = (int64_t)n,
	};

	finish(label, number);
	sample.n_attrs = label->n_attrs;
	sonde__points_add(points, &sample);
}

void sonde__label_figures(struct sonde__label *label, const struct sonde__metric *metric,
			  const struct sonde__figures *figures, struct sonde__points *points)
{
	struct sonde__sample sample = {
		.metric = metric,
		.number = figures->site,
		.attrs = label->attrs,
		.histogram = {
			.count = figures->calls,
			.sum = figures->sum_seconds,
			.zero_count = figures->zero_count,
			.zero_threshold = SONDE__FIGURES_ZERO_THRESHOLD,
			.scale = figures->scale,
			.offset = figures->offset,
			.buckets = figures->buckets,
			.n_buckets = figures->n_buckets,
		},
	};

	finish(label, figures->site);
	sample.n_attrs = label->n_attrs;
	sonde__points_add(points, &sample);
}
