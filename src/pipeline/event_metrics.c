/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the toolkit said, by who said it, as the box counted it: how often, how long it took, and
 * what it was about. Exact whatever became of the span events and log records that say the same.
 *
 * How many breakers are in a state is what those that live say when they are asked: so it is right
 * whenever the agent began, and a breaker that has ended is in none. Closed is where they begin and
 * stay, so that state is not told. One that some breaker of a name was ever seen in is told from
 * then on, as 0 where none is.
 */

#include "pipeline/event_metrics.h"

#include <string.h>

#include "base/text.h"
#include "pipeline/label.h"
#include "pipeline/metrics.h"
#include "pipeline/state.h"
#include "resilience/breaker_list.h"

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

struct states {
	uint32_t n[SONDE__FIGURES_READ_SITES]; /* Breakers; 0: of those that have no place. */
	bool *told; /* Places. */
};

/* Of the name in the state: the site of a change from nowhere, which no breaker makes. */
static uint32_t state_place(struct sonde_text name, struct sonde_text state)
{
	const struct sonde__site_view place = {
		.name = name,
		.file = { "", 0 },
		.function = state,
		.line = sonde__event_line(SONDE_PATTERN_BREAKER, SONDE_OBSERVED_STATE),
		.kind = SONDE__SITE_EVENT,
	};

	return sonde__events_place(&place);
}

static bool is_closed(struct sonde_text state)
{
	static const struct sonde_text closed = { "closed", 6 };

	return sonde__text_equal(state, closed);
}

static void visit_breaker(void *user, const char *name, enum sonde_breaker_state state)
{
	const char *state_name = sonde_breaker_state_name(state);
	struct states *self = user;
	uint32_t place;

	if (state == SONDE_BREAKER_CLOSED)
		return;
	place = state_place((struct sonde_text){ name, strlen(name) },
			    (struct sonde_text){ state_name, strlen(state_name) });
	self->n[place]++;
	self->told[place] = true;
}

/* States that were entered in this process, though they were left since. */
static void mark_entered(struct states *self)
{
	struct sonde__site_view view;

	for (uint32_t site = 1; site < SONDE__FIGURES_READ_SITES; site++)
		if (site_is(site, SONDE__SITE_EVENT, &view) &&
		    view.line == sonde__event_line(SONDE_PATTERN_BREAKER, SONDE_OBSERVED_STATE) &&
		    !is_closed(view.function) && sonde__errors_read(site))
			self->told[state_place(view.name, view.function)] = true;
}

static void tell_states(struct sonde__pipeline *pipeline, struct sonde__points *points)
{
	struct states self = { .told = pipeline->metrics.told_states };
	struct sonde__site_view view;
	struct sonde__label label;

	mark_entered(&self);
	sonde__breaker_list_visit(visit_breaker, &self);
	for (uint32_t place = 1; place < SONDE__FIGURES_READ_SITES; place++) {
		if (!self.told[place] || !sonde__site_get(place, &view))
			continue;
		sonde__label_init(&label, points);
		sonde__label_text(&label, NAME_KEY, view.name);
		sonde__label_text(&label, "sonde.breaker.state", view.function);
		sonde__label_count(&label, &states, place, self.n[place], points);
	}
	if (!self.told[0])
		return;
	sonde__label_init(&label, points);
	sonde__label_overflow(&label);
	sonde__label_count(&label, &states, /* number= */ 0, self.n[0], points);
}

void sonde__event_metrics(struct sonde__pipeline *pipeline, struct sonde__points *points)
{
	tell_counts(points, &events, SONDE__SITE_EVENT);
	tell_durations(points);
	tell_counts(points, &items, SONDE__SITE_ITEM);
	tell_states(pipeline, points);
}
