/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the toolkit said, by who said it, as the box counted it: how often, how long it took, and
 * what it was about. Exact whatever became of the span events and log records that say the same.
 *
 * How many breakers are in a state is how often it was entered less how often it was left. Closed
 * is where they begin, which nobody says, so that state is not told.
 */

#include "pipeline/event_metrics.h"

#include "base/compiler.h"
#include "base/text.h"
#include "pipeline/label.h"
#include "pipeline/metrics.h"
#include "pipeline/state.h"

static const struct sonde__metric events = { "sonde.resilience.events", "{event}",
					     "What retries, breakers and the like have done",
					     SONDE__COUNTER, false };
static const struct sonde__metric durations = { "sonde.resilience.duration", "s",
						"How long attempts, waits and runs took",
						SONDE__HISTOGRAM, false };
static const struct sonde__metric items = { "sonde.resilience.items", "{item}",
					    "What was run or dropped", SONDE__COUNTER, false };
static const struct sonde__metric states = { "sonde.breaker.state", "{breaker}",
					     "Breakers in this state", SONDE__UPDOWN, false };

#define NAME_KEY "sonde.resilience.name"

static bool site_is(uint32_t site, enum sonde__site_kind kind, struct sonde__site_view *ret)
{
	return sonde__site_get(site, ret) && ret->kind == kind;
}

static void label_init(struct sonde__label *label, const struct sonde__points *points,
		       const struct sonde__site_view *view)
{
	const enum sonde_observed what = sonde__event_what(view->line);
	const bool is_state = what == SONDE_OBSERVED_STATE;

	sonde__label_init(label, points);
	label->attrs[label->n_attrs++] =
		sonde_str("sonde.resilience.pattern",
			  sonde_pattern_name(sonde__event_pattern(view->line)));
	sonde__label_text(label, NAME_KEY, view->name);
	label->attrs[label->n_attrs++] =
		sonde_str("sonde.resilience.event", sonde_observed_name(what));
	sonde__label_text(label, is_state ? "sonde.resilience.from" : "error.type", view->file);
	sonde__label_text(label, "sonde.resilience.to", view->function);
}

/* What has no place of its own is the series 0. */
static void tell_misplaced(struct sonde__points *points, const struct sonde__metric *metric,
			   enum sonde__site_kind kind)
{
	uint64_t n = sonde__events_misplaced(kind);
	struct sonde__label label;

	if (!n)
		return;
	sonde__label_init(&label, points);
	sonde__label_overflow(&label);
	sonde__label_count(&label, metric, /* number= */ 0, n, points);
}

static void tell_counts(struct sonde__points *points, const struct sonde__metric *metric,
			enum sonde__site_kind kind)
{
	struct sonde__figures figures;
	struct sonde__site_view view;
	struct sonde__label label;

	for (uint32_t site = 1; site < SONDE__FIGURES_READ_SITES; site++) {
		uint64_t n;

		if (!site_is(site, kind, &view))
			continue;
		n = sonde__errors_read(site);
		if (sonde__figures_read(site, &figures))
			n += figures.calls;
		if (!n)
			continue;
		label_init(&label, points, &view);
		sonde__label_count(&label, metric, site, n, points);
	}
	tell_misplaced(points, metric, kind);
}

static void tell_durations(struct sonde__points *points)
{
	struct sonde__figures figures;
	struct sonde__site_view view;
	struct sonde__label label;

	for (uint32_t site = 1; site < SONDE__FIGURES_READ_SITES; site++) {
		if (!site_is(site, SONDE__SITE_EVENT, &view) ||
		    !sonde__figures_read(site, &figures))
			continue;
		label_init(&label, points, &view);
		sonde__label_figures(&label, &durations, &figures, points);
	}
}

/* ---- States of breakers ---------------------------------------------------------------------- */

static bool is_breaker_state(uint32_t site, struct sonde__site_view *ret)
{
	return site_is(site, SONDE__SITE_EVENT, ret) &&
	       ret->line == sonde__event_line(SONDE_PATTERN_BREAKER, SONDE_OBSERVED_STATE);
}

/*
 * Over all changes of breakers of that name: entered less left. False: neither has happened, as in
 * a forked child that only knows of such a change.
 */
static bool count_in_state(struct sonde_text name, struct sonde_text state, int64_t *ret)
{
	struct sonde__site_view view;
	uint64_t n_entered = 0;
	uint64_t n_left = 0;

	for (uint32_t site = 1; site < SONDE__FIGURES_READ_SITES; site++) {
		if (!is_breaker_state(site, &view) || !sonde__text_equal(view.name, name))
			continue;
		if (sonde__text_equal(view.function, state))
			n_entered += sonde__errors_read(site);
		if (sonde__text_equal(view.file, state))
			n_left += sonde__errors_read(site);
	}
	*ret = (int64_t)(n_entered - n_left);
	return n_entered || n_left;
}

/* Whether no site before this one goes to its state. */
static bool is_first_of_state(uint32_t site, const struct sonde__site_view *view)
{
	struct sonde__site_view other;

	for (uint32_t i = 1; i < site; i++) {
		if (is_breaker_state(i, &other) && sonde__text_equal(other.name, view->name) &&
		    sonde__text_equal(other.function, view->function))
			return false;
	}
	return true;
}

static void tell_states(struct sonde__points *points)
{
	static const struct sonde_text closed = { "closed", 6 };
	struct sonde__site_view view;
	struct sonde__label label;
	int64_t n;

	for (uint32_t site = 1; site < SONDE__FIGURES_READ_SITES; site++) {
		if (!is_breaker_state(site, &view) || sonde__text_equal(view.function, closed) ||
		    !is_first_of_state(site, &view) ||
		    !count_in_state(view.name, view.function, &n))
			continue;
		sonde__label_init(&label, points);
		sonde__label_text(&label, NAME_KEY, view.name);
		sonde__label_text(&label, "sonde.breaker.state", view.function);
		sonde__label_count(&label, &states, site, (uint64_t)n, points);
	}
}

void sonde__event_metrics(struct sonde__pipeline *pipeline SONDE__UNUSED,
			  struct sonde__points *points)
{
	tell_counts(points, &events, SONDE__SITE_EVENT);
	tell_durations(points);
	tell_counts(points, &items, SONDE__SITE_ITEM);
	tell_states(points);
}
