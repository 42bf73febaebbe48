/* SPDX-License-Identifier: Apache-2.0 */
#include "resilience/watch.h"

void sonde__watch_init(struct sonde__watch *watch, uint64_t limit_ns, uint64_t now_ns)
{
	*watch = (struct sonde__watch){ .limit_ns = limit_ns, .since_ns = now_ns };
}

enum sonde__watch_news sonde__watch_check(struct sonde__watch *watch, uint64_t word,
					  uint64_t now_ns, uint64_t *ret_duration_ns)
{
	uint64_t duration_ns = now_ns > watch->since_ns ? now_ns - watch->since_ns : 0;

	if (word != watch->word || sonde__watch_rests(word)) {
		bool was_stalled = watch->is_stalled;

		watch->word = word;
		watch->since_ns = now_ns;
		watch->is_stalled = false;
		if (!was_stalled)
			return SONDE__WATCH_NOTHING;
		*ret_duration_ns = duration_ns;
		return SONDE__WATCH_RECOVERY;
	}
	if (watch->is_stalled || duration_ns < watch->limit_ns)
		return SONDE__WATCH_NOTHING;
	watch->is_stalled = true;
	*ret_duration_ns = duration_ns;
	return SONDE__WATCH_STALL;
}

void sonde__watch_forgive(struct sonde__watch *watch, uint64_t duration_ns, uint64_t now_ns)
{
	if (watch->is_stalled)
		return;
	watch->since_ns += duration_ns;
	if (watch->since_ns > now_ns)
		watch->since_ns = now_ns;
}
