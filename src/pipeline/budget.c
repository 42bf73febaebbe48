/* SPDX-License-Identifier: Apache-2.0 */
/* The shares are fractions of the limit, up to a bound past which more of it helps nobody. */

#include "pipeline/budget.h"

#include "pipeline/state.h"

#define BUFFERS 3
#define BUFFERS_FROM ((size_t)4 << 20)
#define BUFFER_SLACK ((size_t)32 * 1024)
#define SINGLE_ITEM ((size_t)256 * 1024)
#define TABLE_SLOTS_MAX 4096
#define ARENA_MAX ((size_t)4 << 20)
#define INTAKE_MAX ((size_t)1 << 18)
#define ITEMS_MAX 16384
#define SEEN_SLOTS_MAX 1024
#define POINTS_MAX 256
#define POINTS_SIZE_MAX ((size_t)128 * 1024)
#define SPAN_ITEM_SIZE (sizeof(struct sonde__batch_item) + sizeof(struct sonde_span_view))
#define LOG_ITEM_SIZE (sizeof(struct sonde__batch_item) + sizeof(struct sonde_log_view))

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t power_of_two_below(size_t n)
{
	size_t power = 1;

	while (power <= n / 2)
		power *= 2;
	return power;
}

static size_t items(const struct sonde__pipeline_options *options, enum sonde_signal signal,
		    size_t share, size_t item_size)
{
	size_t n = smaller(smaller(options->max_batch_items[signal], ITEMS_MAX), share / item_size);

	/* A batch larger than the queue would empty the queue each time one comes. */
	if (options->max_queue_items[signal])
		n = smaller(n, options->max_queue_items[signal]);
	return n ? n : 1;
}

/*
 * A batch as estimated, some more, and at least any single item. Where memory is scarce one buffer
 * must do, and every blob is a copy.
 */
static void set_buffers(struct sonde__budget *budget)
{
	size_t size = budget->batch_bytes + budget->batch_bytes / 8 + BUFFER_SLACK;
	size_t share = budget->limit / 8;

	budget->n_buffers = budget->limit < BUFFERS_FROM ? 1 : BUFFERS;
	if (size < SINGLE_ITEM)
		size = SINGLE_ITEM;
	budget->buffer_size = budget->n_buffers == 1 || size > share ? share : size;
}

/* Destinations that metrics may go to; at least 1. */
static size_t count_metrics(const struct sonde__pipeline_options *options)
{
	size_t n = 0;

	for (size_t d = 0; d < options->n_destinations; d++)
		n += options->destinations[d].takes_metrics;
	return n ? n : 1;
}

int sonde__budget_init(struct sonde__budget *budget, const struct sonde__pipeline_options *options)
{
	size_t limit = options->memory_limit_bytes < SIZE_MAX ?
			       (size_t)options->memory_limit_bytes :
			       SIZE_MAX;

	if (limit < SONDE__BUDGET_MIN)
		return SONDE_E_NOMEM;
	*budget = (struct sonde__budget){
		.limit = limit,
		.parts_limit = limit / 8,
		.intake_capacity = smaller(limit / 24 / SONDE__INTAKE_ENTRY_SIZE, INTAKE_MAX),
		.arena_size = { smaller(limit / 12, ARENA_MAX), smaller(limit / 12, ARENA_MAX) },
		.table_slots = power_of_two_below(smaller(limit / 2048, TABLE_SLOTS_MAX)),
		.n_groups = (uint32_t)smaller(limit / 32 / sizeof(struct sonde__group),
					      SONDE__GROUPS_MAX),
		.n_series = (uint32_t)smaller(limit / 128 / sizeof(struct sonde__group_series),
					      SONDE__GROUPS_MAX),
		.batch_items = {
			items(options, SONDE_SIGNAL_SPAN, limit / 16, SPAN_ITEM_SIZE),
			items(options, SONDE_SIGNAL_LOG, limit / 24, LOG_ITEM_SIZE),
		},
	};
	budget->batch_bytes = smaller(options->max_batch_bytes, limit / 16);
	set_buffers(budget);
	budget->n_points = smaller(limit / 128 / sizeof(struct sonde_point_view), POINTS_MAX);
	budget->points_size = smaller(limit / 48, POINTS_SIZE_MAX);
	budget->seen_slots = power_of_two_below(
		smaller(limit / 256 / sizeof(struct sonde__seen_slot), SEEN_SLOTS_MAX));
	budget->fixed = sizeof(struct sonde__pipeline) + sonde__seen_memory(budget->seen_slots) +
			budget->intake_capacity * SONDE__INTAKE_ENTRY_SIZE + budget->arena_size[0] +
			budget->arena_size[1] +
			sonde__blobs_memory(budget->n_buffers, budget->buffer_size) +
			budget->table_slots * (sizeof(void *) + sizeof(uint64_t)) +
			sonde__groups_memory(budget->n_groups, budget->n_series) +
			budget->batch_items[0] * SPAN_ITEM_SIZE +
			budget->batch_items[1] * LOG_ITEM_SIZE +
			budget->n_points * sizeof(struct sonde_point_view) + budget->points_size;
	budget->blobs_limit = limit - budget->parts_limit - budget->fixed;
	budget->points_limit = budget->blobs_limit / 4 / count_metrics(options);
	budget->pasts_limit = budget->blobs_limit / 4;
	return SONDE_OK;
}

bool sonde__budget_take_past(struct sonde__budget *budget, size_t size)
{
	if (budget->pasts > budget->pasts_limit || size > budget->pasts_limit - budget->pasts ||
	    !sonde__budget_has_room(budget, size))
		return false;
	budget->pasts += size;
	budget->blobs += size;
	return true;
}

void sonde__budget_give_past(struct sonde__budget *budget, size_t size)
{
	budget->pasts -= size;
	budget->blobs -= size;
}

bool sonde__budget_has_room(const struct sonde__budget *budget, size_t size)
{
	return budget->blobs <= budget->blobs_limit && size <= budget->blobs_limit - budget->blobs;
}
