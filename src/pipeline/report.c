/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Silence is the worst fault of an agent, noise the second. A reason is said when it is new, and
 * again after an hour while it lasts; texts that differ each time are held to a few a minute.
 * Losses are said as sums, once a minute at most. Losses that somebody asked for (sampling, limits,
 * hooks, a signal switched off) are in the accounts and not here.
 */

#include "pipeline/report.h"

#include <stdio.h>
#include <string.h>

#include "base/diagnostic.h"
#include "base/random.h"
#include "pipeline/state.h"

#define MINUTE_NS (60 * SONDE__NS_PER_S)
#define REPEAT_NS (60 * MINUTE_NS)
#define LOOK_NS SONDE__NS_PER_S
#define LINE_SIZE 512

static const char *signal_name(enum sonde_signal signal)
{
	static const char *const names[SONDE__SIGNAL_ROWS] = { "spans", "logs", "span parts",
							       "metric points" };

	return names[signal];
}

static uint64_t hash_text(const char *text, uint64_t seed)
{
	uint64_t hash = seed;

	for (; *text; text++)
		hash = sonde__mix64(hash ^ (uint8_t)*text);
	return hash | 1;
}

/* Whether to say it now; notes that it was said. */
static bool is_news(struct sonde__lane_news *news, uint64_t hash, uint64_t now_ns)
{
	for (size_t i = 0; i < SONDE__NEWS_REASONS; i++) {
		if (news->reasons[i] == hash) {
			bool is_over = now_ns - news->said_ns[i] >= REPEAT_NS;

			if (is_over)
				news->said_ns[i] = now_ns;
			return is_over;
		}
	}
	if (news->reasons[news->next] && now_ns - news->said_ns[news->next] < MINUTE_NS)
		return false;
	news->reasons[news->next] = hash;
	news->said_ns[news->next] = now_ns;
	news->next = (news->next + 1) % SONDE__NEWS_REASONS;
	return true;
}

static const char *destination_name(const struct sonde__pipeline *pipeline, size_t destination)
{
	return pipeline->options.destinations[destination].name;
}

/*
 * Metrics follow the records to the same receiver: where those are failing, it is one fault, and
 * said. What is wrong with metrics alone is worth a line of its own.
 */
static bool is_said_of_records(const struct sonde__pipeline *pipeline,
			       struct sonde__lane_place place)
{
	const struct sonde__lane *lanes = pipeline->lanes[place.destination];

	return place.signal == SONDE_SIGNAL_METRIC &&
	       (lanes[SONDE_SIGNAL_SPAN].news.is_failing ||
		lanes[SONDE_SIGNAL_LOG].news.is_failing);
}

void sonde__report_failure(struct sonde__pipeline *pipeline, struct sonde__lane_place place,
			   const struct sonde_result *result, size_t n_items, uint64_t now_ns)
{
	struct sonde__lane_news *news = &pipeline->lanes[place.destination][place.signal].news;
	const char *name = destination_name(pipeline, place.destination);
	const char *signal = signal_name(place.signal);
	const char *reason = result->reason[0] ? result->reason : "no reason given";
	bool is_accepted = result->outcome == SONDE_OUTCOME_ACCEPTED;

	if (is_said_of_records(pipeline, place) ||
	    !is_news(news, hash_text(reason, result->outcome), now_ns))
		return;
	if (!is_accepted)
		news->is_failing = true;
	if (result->outcome == SONDE_OUTCOME_REFUSED)
		sonde__report(place.signal == SONDE_SIGNAL_METRIC ? SONDE_WARN : SONDE_ERROR,
			      "%s refused %zu %s for good: %s", name, n_items, signal,
			      reason);
	else if (is_accepted && result->n_rejected)
		sonde__report(SONDE_WARN, "%s rejected %llu of %zu %s: %s", name,
			      (unsigned long long)result->n_rejected, n_items, signal, reason);
	else if (is_accepted)
		sonde__report(SONDE_INFO, "%s says about %s: %s", name, signal, reason);
	else
		sonde__report(SONDE_WARN,
			      "%s did not take %s, which are kept for another attempt: %s", name,
			      signal, reason);
}

void sonde__report_success(struct sonde__pipeline *pipeline, struct sonde__lane_place place)
{
	struct sonde__lane *lane = &pipeline->lanes[place.destination][place.signal];

	/* After a pause it is said when the pause is over. */
	if (!lane->news.is_failing || sonde__lane_breaker_state(lane) != SONDE_BREAKER_CLOSED)
		return;
	/* The reasons stay known: one that comes and goes is said once a minute all the same. */
	lane->news.is_failing = false;
	sonde__report(SONDE_INFO, "%s takes %s again",
		      destination_name(pipeline, place.destination), signal_name(place.signal));
}

void sonde__report_breaker(struct sonde__pipeline *pipeline, struct sonde__lane_place place,
			   bool is_open)
{
	const struct sonde__pipeline_options *options = &pipeline->options;
	const char *name = destination_name(pipeline, place.destination);

	/* That it closed is said by the success that closed it. */
	pipeline->lanes[place.destination][place.signal].news.is_failing = true;
	if (is_open)
		sonde__report(
			SONDE_WARN,
			"%s: sending %s pauses after %u failures in a row; next trial in %.0f s",
			name, signal_name(place.signal), (unsigned)options->breaker_failures,
			(double)options->breaker_reset_ns / 1e9);
}

/* Somebody asked for it, or, of dead processes, said it at the start. */
static bool is_no_news(int signal, int reason)
{
	/* Points come again each interval: that they are refused is said when it begins. */
	if (signal == SONDE_SIGNAL_METRIC && reason == SONDE_LOSS_REFUSED)
		return true;
	return reason == SONDE_LOSS_UNSAMPLED || reason == SONDE_LOSS_LIMITED ||
	       reason == SONDE_LOSS_HOOK || reason == SONDE_LOSS_NO_EXPORTER ||
	       reason == SONDE_LOSS_DEAD_PROCESS;
}

/* " 12 (the ring was full)," for each reason that grew; returns how many were lost. */
static uint64_t describe(int signal, const uint64_t now[SONDE_LOSS_COUNT],
			 uint64_t said[SONDE_LOSS_COUNT], char *line)
{
	uint64_t total = 0;
	size_t length = 0;

	line[0] = '\0';
	for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++) {
		uint64_t more = now[reason] > said[reason] ? now[reason] - said[reason] : 0;
		int n;

		said[reason] = now[reason];
		if (!more || is_no_news(signal, reason))
			continue;
		total += more;
		n = snprintf(line + length, LINE_SIZE - length, "%s%llu (%s)", length ? ", " : "",
			     (unsigned long long)more, sonde_loss_text((enum sonde_loss)reason));
		if (n > 0 && (size_t)n < LINE_SIZE - length)
			length += (size_t)n;
		else
			line[length] = '\0';
	}
	return total;
}

static bool say_common_losses(struct sonde__pipeline *pipeline)
{
	struct sonde__loss_news *news = &pipeline->loss_news;
	bool has_said = false;
	char line[LINE_SIZE];

	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		uint64_t lost[SONDE_LOSS_COUNT];
		struct sonde__box_account box = { 0 };

		sonde__box_account((enum sonde_signal)signal, &box);
		for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
			lost[reason] = box.lost[reason] + pipeline->ledger.lost[signal][reason];
		if (!describe(signal, lost, news->said[SONDE__DESTINATIONS_MAX][signal], line))
			continue;
		sonde__report(SONDE_WARN, "lost %s: %s", signal_name((enum sonde_signal)signal),
			      line);
		has_said = true;
	}
	return has_said;
}

static bool say_lane_losses(struct sonde__pipeline *pipeline)
{
	struct sonde__loss_news *news = &pipeline->loss_news;
	bool has_said = false;
	char line[LINE_SIZE];

	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		for (int s = 0; s < SONDE__SIGNAL_ROWS; s++) {
			if (!describe(s, pipeline->lanes[d][s].lost, news->said[d][s], line))
				continue;
			sonde__report(SONDE_WARN, "lost %s for %s: %s",
				      signal_name((enum sonde_signal)s),
				      destination_name(pipeline, d), line);
			has_said = true;
		}
	}
	return has_said;
}

void sonde__report_last_losses(struct sonde__pipeline *pipeline)
{
	(void)say_common_losses(pipeline);
	(void)say_lane_losses(pipeline);
}

void sonde__report_losses(struct sonde__pipeline *pipeline, uint64_t now_ns)
{
	struct sonde__loss_news *news = &pipeline->loss_news;
	uint64_t pause_ns = pipeline->has_drained ? LOOK_NS : MINUTE_NS;
	bool has_said;

	/* Walking the box is not free: where nothing is captured, once a minute will do. */
	if ((news->has_looked && now_ns - news->looked_ns < pause_ns) ||
	    (news->has_said && now_ns - news->said_ns < MINUTE_NS))
		return;
	news->has_looked = true;
	news->looked_ns = now_ns;
	pipeline->has_drained = false;
	has_said = say_common_losses(pipeline);
	has_said |= say_lane_losses(pipeline);
	if (has_said) {
		news->has_said = true;
		news->said_ns = now_ns;
	}
}
