/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/label.h"

#include "record/mend.h"

void sonde__label_init(struct sonde__label *label)
{
	label->n_attrs = 0;
	label->arena = (struct sonde__arena){ .memory = label->texts,
					      .capacity = sizeof(label->texts) };
}

void sonde__label_text(struct sonde__label *label, const char *key, struct sonde_text text)
{
	struct sonde__mend_counts counts = { 0 };

	if (text.size &&
	    sonde__mend_text(/* redactor= */ NULL, text, &label->arena, &counts, &text) == SONDE_OK)
		label->attrs[label->n_attrs++] = sonde_strn(key, text.data, text.size);
}

void sonde__label_overflow(struct sonde__label *label)
{
	label->attrs[label->n_attrs++] = sonde_bool("otel.metric.overflow", true);
}

void sonde__label_site(struct sonde__label *label, const char *name_key, uint32_t id)
{
	struct sonde__site_view site;

	sonde__label_init(label);
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

void sonde__label_count(const struct sonde__label *label, const struct sonde__metric *metric,
			uint64_t number, uint64_t n, struct sonde__points *points)
{
	const struct sonde__sample sample = {
		.metric = metric,
		.number = number,
		.attrs = label->attrs,
		.n_attrs = label->n_attrs,
		.value = (int64_t)n,
	};

	sonde__points_add(points, &sample);
}

void sonde__label_figures(const struct sonde__label *label, const struct sonde__metric *metric,
			  const struct sonde__figures *figures, struct sonde__points *points)
{
	const struct sonde__sample sample = {
		.metric = metric,
		.number = figures->site,
		.attrs = label->attrs,
		.n_attrs = label->n_attrs,
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

	sonde__points_add(points, &sample);
}
