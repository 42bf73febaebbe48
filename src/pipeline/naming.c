/* SPDX-License-Identifier: Apache-2.0 */

#include "pipeline/naming.h"

#include "box/box.h"
#include "pipeline/state.h"
#include "record/view.h"
#include "stack/namer.h"

/* Debug information of hundreds of megabytes takes less. */
#define WAIT_NS SONDE__NS_PER_S
/* A drain begins at half of it, and what is left must last until this one has gone on. */
#define FILL_PERCENT 75

static bool must_go_on(const struct sonde__pipeline *pipeline)
{
	uint64_t now_ns = pipeline->now_ns;

	return now_ns - pipeline->naming.since_ns >= WAIT_NS ||
	       now_ns >= pipeline->names_until_ns || sonde__box_fill_percent() >= FILL_PERCENT;
}

bool sonde__naming_must_wait(struct sonde__pipeline *pipeline, const struct sonde__record *record)
{
	const struct sonde__error_record *error = (const void *)record;
	struct sonde__naming *naming = &pipeline->naming;

	naming->lacks_names = false;
	if (!pipeline->options.names_apart || record->type != SONDE__RECORD_ERROR)
		return false;
	/* Before the next is asked. */
	naming->has_given_up = naming->has_given_up && sonde__namer_is_busy();
	/* What is known of a module that is gone is not known. */
	sonde__fingerprinter_check(&pipeline->fingerprinter);
	if (sonde__namer_has(sonde__error_record_frames(error), error->n_frames)) {
		naming->is_waiting = false;
		return false;
	}
	if (!naming->is_waiting) {
		naming->is_waiting = true;
		naming->since_ns = pipeline->now_ns;
	}
	if (!naming->has_given_up && !must_go_on(pipeline))
		return true;
	naming->has_given_up = true;
	naming->is_waiting = false;
	naming->lacks_names = true;
	return false;
}

uint64_t sonde__naming_wait_ns(const struct sonde__pipeline *pipeline)
{
	uint64_t until_ns = pipeline->naming.since_ns + WAIT_NS;

	if (pipeline->names_until_ns < until_ns)
		until_ns = pipeline->names_until_ns;
	/* What must go on and did not waits for something else. */
	if (!pipeline->naming.is_waiting || until_ns <= pipeline->now_ns)
		return UINT64_MAX;
	return until_ns - pipeline->now_ns;
}
