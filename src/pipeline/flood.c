/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A summary is due one interval after the first error that was held back since the last summaries,
 * whatever its group, so that all groups are told together and an agent at rest is not woken. A
 * flush tells at once, but not twice in an interval: some services flush after each request. The
 * stop always tells.
 */

#include "pipeline/flood.h"

#include <stdio.h>

#include "base/clock.h"
#include "pipeline/label.h"
#include "pipeline/state.h"
#include "pipeline/triage.h"
#include "record/view.h"

/* A summary's log record, about. */
#define SUMMARY_SIZE 512
/* For a message that was redacted; one is a kilobyte. */
#define REDACTED_SIZE 4096

static const struct sonde__metric grouped = { "sonde.errors.grouped", "{error}",
					      "Errors by fingerprint, as far as they were not lost before",
					      SONDE__COUNTER, false };

int sonde__flood_init(struct sonde__pipeline *pipeline)
{
	struct sonde__flood *flood = &pipeline->flood;

	flood->summary_due_ns = UINT64_MAX;
	return sonde__groups_init(&flood->groups, pipeline->budget.n_groups,
				  pipeline->budget.n_series);
}

void sonde__flood_deinit(struct sonde__pipeline *pipeline)
{
	sonde__groups_deinit(&pipeline->flood.groups);
}

/*
 * The group keeps the beginning of the message, and half a secret would not be known for one: so it
 * is redacted before. Written into `room` where that is needed.
 */
static struct sonde_text redact(const struct sonde__pipeline *pipeline, struct sonde_text message,
				char room[REDACTED_SIZE])
{
	static const char none[] = SONDE__REDACTED;
	struct sonde__redact_counts counts = { { 0 } };
	size_t size;

	if (!sonde__redact_measure(pipeline->options.redactor, message, SONDE__KEY_PLAIN, &size))
		return message;
	if (size > REDACTED_SIZE)
		return (struct sonde_text){ none, sizeof(none) - 1 };
	(void)sonde__redact_write(pipeline->options.redactor, message, SONDE__KEY_PLAIN, room,
				  &counts);
	sonde__redact_count(&counts);
	return (struct sonde_text){ room, size };
}

static void hold(struct sonde__pipeline *pipeline, struct sonde__group *group,
		 const struct sonde__error_record *record, struct sonde_text message)
{
	struct sonde__flood *flood = &pipeline->flood;
	uint64_t interval_ns = pipeline->options.flood.summary_ns;

	char room[REDACTED_SIZE];

	sonde__group_hold(group, record, redact(pipeline, message, room));
	if (flood->summary_due_ns == UINT64_MAX)
		flood->summary_due_ns = interval_ns < UINT64_MAX - pipeline->now_ns ?
						pipeline->now_ns + interval_ns :
						UINT64_MAX - 1;
}

bool sonde__flood_admit(struct sonde__pipeline *pipeline, const struct sonde__error_record *record,
			uint64_t fingerprint)
{
	struct sonde__flood *flood = &pipeline->flood;
	const struct sonde__error_link *walk = NULL;
	struct sonde__error_link_view link = { 0 };
	struct sonde__group *group;
	uint32_t n_active;

	/* The limiter's time begins with the first error. */
	if (!flood->is_open)
		sonde__limiter_init(&flood->limiter, &pipeline->options.flood,
				    pipeline->now_ns);
	flood->is_open = true;
	(void)sonde__error_record_next(record, &walk, &link);
	if (!link.type.size)
		link.type = (struct sonde_text){ "_OTHER", 6 };
	group = sonde__groups_see(&flood->groups, &flood->limiter, fingerprint, link.type,
				  pipeline->now_ns);
	n_active = sonde__groups_active(&flood->groups, pipeline->now_ns);
	if (sonde__limiter_admit(&flood->limiter, &group->share, n_active, pipeline->now_ns))
		return true;
	hold(pipeline, group, record, link.message);
	return false;
}

/* ---- Telling --------------------------------------------------------------------------------- */

/* Those whose group had to make room for others. */
static void tell_forgotten(struct sonde__pipeline *pipeline)
{
	struct sonde__groups *groups = &pipeline->flood.groups;
	const struct sonde__group rest = {
		.type = "_OTHER",
		.type_size = 6,
		.held = { .n = groups->n_forgotten,
			  .time = sonde__ticks(),
			  .severity = SONDE_ERROR,
			  .message = "errors of groups that are not remembered any more",
			  .message_size = 49 },
	};

	if (groups->n_forgotten && pipeline->is_taken[SONDE_SIGNAL_LOG])
		sonde__batch_add_summary(pipeline, &rest, SUMMARY_SIZE);
	groups->n_forgotten = 0;
}

static bool may_tell(const struct sonde__pipeline *pipeline)
{
	const struct sonde__flood *flood = &pipeline->flood;
	uint64_t interval_ns = pipeline->options.flood.summary_ns;

	if (flood->summary_due_ns == UINT64_MAX)
		return false;
	if (pipeline->is_finishing || pipeline->now_ns >= flood->summary_due_ns)
		return true;
	return pipeline->must_drain &&
	       (!flood->has_told || pipeline->now_ns - flood->told_ns >= interval_ns);
}

bool sonde__flood_tell(struct sonde__pipeline *pipeline, enum sonde__drain_outcome *ret)
{
	struct sonde__flood *flood = &pipeline->flood;
	struct sonde__group *group = NULL;

	if (!may_tell(pipeline))
		return true;
	while ((group = sonde__groups_next_held(&flood->groups, group)) != NULL) {
		if (pipeline->is_taken[SONDE_SIGNAL_LOG]) {
			if (sonde__triage_must_stop(pipeline, SONDE_SIGNAL_LOG, SUMMARY_SIZE, ret))
				return false;
			sonde__batch_add_summary(pipeline, group, SUMMARY_SIZE);
		}
		group->held.n = 0;
	}
	tell_forgotten(pipeline);
	flood->summary_due_ns = UINT64_MAX;
	flood->told_ns = pipeline->now_ns;
	flood->has_told = true;
	return true;
}

/* ---- The metric ------------------------------------------------------------------------------ */

static void add_series(struct sonde__points *points, const struct sonde__group_series *series,
		       uint64_t number)
{
	char fingerprint[17];
	struct sonde__label label;

	sonde__label_init(&label, points);
	sonde__label_text(&label, "error.type",
			  (struct sonde_text){ series->type, series->type_size });
	(void)snprintf(fingerprint, sizeof(fingerprint), "%016llx",
		       (unsigned long long)series->fingerprint);
	sonde__label_text(&label, "sonde.error.fingerprint",
			  (struct sonde_text){ fingerprint, 16 });
	sonde__label_count(&label, &grouped, number, series->n, points);
}

static void add_overflow(struct sonde__points *points, uint64_t n)
{
	struct sonde__label label;

	if (!n)
		return;
	sonde__label_init(&label, points);
	sonde__label_overflow(&label);
	sonde__label_count(&label, &grouped, /* number= */ 0, n, points);
}

void sonde__group_metrics(struct sonde__pipeline *pipeline, struct sonde__points *points)
{
	const struct sonde__groups *groups = &pipeline->flood.groups;

	for (uint32_t i = 0; i < groups->n_series; i++)
		add_series(points, &groups->series[i], i + 1);
	add_overflow(points, groups->n_overflow);
}
