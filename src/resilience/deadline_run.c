/* SPDX-License-Identifier: Apache-2.0 */
/* An operation below a deadline, on the calling thread, and what came of it in time. */

#include <sonde/deadline.h>

#include <inttypes.h>

#include "resilience/clock.h"
#include "resilience/observe.h"

#define LIMIT_MS_DEFAULT 30000

/* One run: from when, until when. */
struct run {
	const struct sonde_deadline_options *options;
	uint64_t start_ns;
	uint64_t end_ns;
};

/* Rounded up, for people. */
static uint64_t ms_of(uint64_t duration_ns)
{
	return duration_ns / SONDE__NS_PER_MS + (duration_ns % SONDE__NS_PER_MS != 0);
}

static struct sonde_error *error_of_late(const struct run *run, uint64_t now_ns,
					 struct sonde_error *cause)
{
	const char *name = run->options->name;

	if (sonde_error_is(cause, &sonde_timeout))
		return cause;
	return sonde_error_wrap(cause, &sonde_timeout,
				"%s%sover the deadline of %" PRIu64 " ms: took %" PRIu64 " ms",
				name ? name : "", name && *name ? " " : "",
				ms_of(run->end_ns - run->start_ns), ms_of(now_ns - run->start_ns));
}

static void observe(const struct run *run, enum sonde_observed what, uint64_t duration_ns,
		    const struct sonde_error *error)
{
	sonde__observe(run->options->observer, &(struct sonde_observation){
						       .pattern = SONDE_PATTERN_DEADLINE,
						       .what = what,
						       .name = run->options->name,
						       .duration_ns = duration_ns,
						       .error = error,
					       });
}

static struct sonde_error *error_of_not_run(const struct run *run)
{
	const char *name = run->options->name;
	struct sonde_error *error =
		sonde_error_raise(&sonde_timeout, "%s%sover the deadline before it began",
				  name ? name : "", name && *name ? " " : "");

	observe(run, SONDE_OBSERVED_REJECTION, /* duration_ns= */ 0, error);
	return error;
}

struct sonde_error *sonde_deadline_run(const struct sonde_deadline_options *options,
				       sonde_operation_fn *operation, void *argument)
{
	static const struct sonde_deadline_options defaults;
	struct run run = { .options = options ? options : &defaults };
	uint64_t limit_ms = run.options->limit_ms ? run.options->limit_ms : LIMIT_MS_DEFAULT;
	struct sonde_deadline deadline;
	struct sonde_error *error;
	uint64_t now_ns;

	if (!operation)
		return sonde_error_raise(&sonde_internal, "no operation to run");
	run.start_ns = sonde__now_ns(run.options->clock);
	sonde_deadline_begin_at(&deadline,
				sonde__moment_after(run.start_ns, sonde__ms_to_ns(limit_ms)));
	run.end_ns = sonde__deadline_current();
	if (run.end_ns <= run.start_ns) {
		sonde_deadline_end(&deadline);
		return error_of_not_run(&run);
	}
	error = operation(argument);
	sonde_deadline_end(&deadline);
	now_ns = sonde__now_ns(run.options->clock);
	if (now_ns >= run.end_ns && (error || !run.options->accepts_late))
		error = error_of_late(&run, now_ns, error);
	observe(&run, SONDE_OBSERVED_RUN, sonde__time_until(now_ns, run.start_ns), error);
	return error;
}
