/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table of chains. Series come and never go: what can be counted is bounded elsewhere. */

#include "pipeline/baseline.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "pipeline/budget.h"

struct sonde__past {
	struct sonde__past *next;
	struct sonde__series series;
	uint64_t value; /* Of a histogram: the count. */
	double sum;
	uint64_t zero_count;
	int32_t offset;
	uint32_t n_buckets;
	uint64_t buckets[];
};

static size_t past_size(size_t n_buckets)
{
	return sizeof(struct sonde__past) + n_buckets * sizeof(uint64_t);
}

static struct sonde__past **find(struct sonde__baseline *baseline, struct sonde__series series)
{
	uint64_t hash = sonde__mix64((uintptr_t)series.metric ^ sonde__mix64(series.number));
	struct sonde__past **at = &baseline->heads[hash % SONDE__BASELINE_HEADS];

	while (*at && ((*at)->series.metric != series.metric ||
		       (*at)->series.number != series.number))
		at = &(*at)->next;
	return at;
}

static struct sonde__past *past_new(struct sonde__budget *budget, struct sonde__series series,
				    size_t n_buckets)
{
	size_t size = past_size(n_buckets);
	struct sonde__past *past;

	if (!sonde__budget_take_past(budget, size))
		return NULL;
	past = calloc(1, size);
	if (!past) {
		sonde__budget_give_past(budget, size);
		return NULL;
	}
	past->series = series;
	past->n_buckets = (uint32_t)n_buckets;
	return past;
}

static void past_free(struct sonde__past *past, struct sonde__budget *budget)
{
	sonde__budget_give_past(budget, past_size(past->n_buckets));
	free(past);
}

void sonde__baseline_deinit(struct sonde__baseline *baseline, struct sonde__budget *budget)
{
	for (size_t i = 0; i < SONDE__BASELINE_HEADS; i++) {
		struct sonde__past *next;

		for (struct sonde__past *past = baseline->heads[i]; past; past = next) {
			next = past->next;
			past_free(past, budget);
		}
		baseline->heads[i] = NULL;
	}
}

static uint64_t added(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

bool sonde__baseline_advance(struct sonde__baseline *baseline, struct sonde__budget *budget,
			     struct sonde__series series, uint64_t value, uint64_t *ret_added)
{
	struct sonde__past **at = find(baseline, series);

	if (!*at)
		*at = past_new(budget, series, /* n_buckets= */ 0);
	if (!*at)
		return false;
	*ret_added = added(value, (*at)->value);
	(*at)->value += *ret_added;
	return true;
}

/* Buckets outside the histogram's are 0. */
static uint64_t bucket_at(const struct sonde__past *past, int64_t index)
{
	int64_t i = index - past->offset;

	return i >= 0 && i < (int64_t)past->n_buckets ? past->buckets[i] : 0;
}

/* Makes the past span the buckets of `now` too; false: no memory. */
static bool widen(struct sonde__past **at, struct sonde__budget *budget,
		  struct sonde__series series, const struct sonde_histogram_view *now)
{
	struct sonde__past *old = *at;
	int64_t first = now->offset;
	int64_t end = first + (int64_t)now->n_buckets;
	struct sonde__past *wide;

	if (old && (!now->n_buckets ||
		    (first >= old->offset && end <= old->offset + (int64_t)old->n_buckets)))
		return true;
	if (old && old->n_buckets && old->offset < first)
		first = old->offset;
	if (old && old->n_buckets && old->offset + (int64_t)old->n_buckets > end)
		end = old->offset + (int64_t)old->n_buckets;
	wide = past_new(budget, series, (size_t)(end - first));
	if (!wide)
		return false;
	wide->offset = (int32_t)first;
	*at = wide;
	if (!old)
		return true;
	wide->next = old->next;
	wide->value = old->value;
	wide->sum = old->sum;
	wide->zero_count = old->zero_count;
	if (old->n_buckets)
		memcpy(wide->buckets + (old->offset - first), old->buckets,
		       old->n_buckets * sizeof(uint64_t));
	past_free(old, budget);
	return true;
}

bool sonde__baseline_advance_histogram(struct sonde__baseline *baseline,
				       struct sonde__budget *budget, struct sonde__series series,
				       const struct sonde_histogram_view *now, uint64_t *buckets,
				       struct sonde_histogram_view *ret)
{
	struct sonde__past **at = find(baseline, series);
	struct sonde__past *past;

	if (!widen(at, budget, series, now))
		return false;
	past = *at;
	*ret = *now;
	ret->buckets = buckets;
	ret->zero_count = added(now->zero_count, past->zero_count);
	ret->count = ret->zero_count;
	ret->sum = now->sum > past->sum ? now->sum - past->sum : 0.0;
	for (size_t i = 0; i < now->n_buckets; i++) {
		buckets[i] = added(now->buckets[i], bucket_at(past, now->offset + (int64_t)i));
		ret->count += buckets[i];
		past->buckets[now->offset + (int64_t)i - past->offset] += buckets[i];
	}
	past->zero_count += ret->zero_count;
	past->value += ret->count;
	past->sum += ret->sum;
	return true;
}
