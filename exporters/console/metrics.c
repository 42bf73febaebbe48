/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics, a line for each point that is not zero: time, name, what it stands at, whose it is.
 *
 *	08:15:30.123Z sonde.site.duration 120 in 372.0 ms, mean 3.1 ms, p50 < 2.2 ms, p99 < 12.6 ms
 *	    sonde.site.name=charge card
 */
#include "console/render.h"

#include <inttypes.h>
#include <math.h>

#include "console/fields.h"
#include "console/line.h"

#define SCALE_MAX 2 /* Finer buckets are looked at four to a power of two. */

/* The upper bound of the bucket with this index at this scale. */
static double upper_bound(int64_t index, int32_t scale)
{
	static const double roots[] = { 1.0, 1.1892071150027210, 1.4142135623730951,
					1.6817928305074290 };
	int64_t quarters = index + 1;

	for (; scale > SCALE_MAX; scale--)
		quarters = (quarters + 1) >> 1;
	for (; scale < SCALE_MAX; scale++)
		quarters *= 2;
	return ldexp(roots[quarters & 3], (int)(quarters >> 2));
}

static uint64_t to_ns(double seconds)
{
	double ns = seconds * 1e9 + 0.5;

	return ns < 1e18 ? (uint64_t)ns : UINT64_C(1000000000000000000);
}

/* Below which this part of the values lies. */
static uint64_t quantile_ns(const struct sonde_histogram_view *histogram, double part)
{
	uint64_t rank = (uint64_t)(part * (double)histogram->count);
	uint64_t seen = histogram->zero_count;
	size_t i = 0;

	if (seen > rank || !histogram->n_buckets)
		return 0;
	while (i + 1 < histogram->n_buckets && seen + histogram->buckets[i] <= rank)
		seen += histogram->buckets[i++];
	return to_ns(upper_bound((int64_t)histogram->offset + (int64_t)i, histogram->scale));
}

static void put_histogram(struct text *text, const struct sonde_histogram_view *histogram)
{
	sonde__line_format(text, "%" PRIu64 " in ", histogram->count);
	sonde__line_put_duration(text, to_ns(histogram->sum));
	sonde__line_put(text, ", mean ");
	sonde__line_put_duration(text, to_ns(histogram->sum / (double)histogram->count));
	sonde__line_put(text, ", p50 < ");
	sonde__line_put_duration(text, quantile_ns(histogram, 0.5));
	sonde__line_put(text, ", p99 < ");
	sonde__line_put_duration(text, quantile_ns(histogram, 0.99));
}

static void put_number(struct text *text, const struct sonde_point_view *point)
{
	sonde__line_format(text, "%" PRId64 " ", point->value);
	sonde__line_put_captured(text, point->metric->unit);
}

static bool is_zero(const struct sonde_point_view *point)
{
	return point->metric->type == SONDE_METRIC_HISTOGRAM ? !point->histogram.count :
							       !point->value;
}

static void put_margin(struct text *text, const void *user)
{
	(void)user;
	sonde__line_put(text, text->column ? "  " : "    ");
}

static void put_point(struct text *text, const struct sonde_point_view *point)
{
	static const struct margin margin = { put_margin, NULL };
	static const char *const said_by_the_name[] = { "otel.component.type", NULL };
	bool is_histogram = point->metric->type == SONDE_METRIC_HISTOGRAM;
	const struct fields fields = {
		is_histogram ? SONDE_FIELDS_HISTOGRAM_POINT : SONDE_FIELDS_POINT,
		&point->attributes, 1
	};

	sonde__line_put_time(text, point->unix_ns);
	sonde__line_put(text, " ");
	sonde__line_style(text, STYLE_STRONG);
	sonde__line_put_captured(text, point->metric->name);
	sonde__line_style(text, STYLE_PLAIN);
	sonde__line_put(text, " ");
	if (is_histogram)
		put_histogram(text, &point->histogram);
	else
		put_number(text, point);
	if (point->attributes.size)
		sonde__fields_put(text, &fields, said_by_the_name, &margin);
	else
		sonde__line_put(text, "\n");
}

int sonde__console_render_metrics(const struct sonde_batch *batch, const struct look *look,
				  struct sonde_buffer *out)
{
	struct text text = { .out = out, .has_colour = look->has_colour };
	size_t size = out->size;

	for (size_t i = 0; i < batch->n_items; i++) {
		if (!is_zero(&batch->points[i]))
			put_point(&text, &batch->points[i]);
	}
	if (text.status < 0)
		out->size = size;
	return text.status;
}
