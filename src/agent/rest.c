/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker rests in one of two ways. With nothing under way it parks on the bell, where recording
 * calls rouse it, but for a short time after errors it only dozes, where more errors do not. With
 * requests under way it polls their descriptors and cannot hear the bell, so it looks up after
 * PATIENCE_MIN_MS at first and, as long as nothing happens and the box does not fill, twice as long
 * each time, up to PATIENCE_MAX_MS.
 */

#include "agent/rest.h"

#include <poll.h>

#include "base/bell.h"
#include "base/clock.h"
#include "box/box.h"
#include "pipeline/pipeline.h"

#define DESCRIPTORS_MAX 64
#define PATIENCE_MIN_MS 1
#define PATIENCE_MAX_MS 20
/* A box that fills so far while nobody looks would soon be full. */
#define FILL_BUSY_PERCENT 25
#define WAIT_MAX_NS (UINT64_C(3600) * SONDE__NS_PER_S)

static int next_patience_ms(int patience_ms)
{
	unsigned fill_percent = sonde__box_fill_percent();

	if (fill_percent >= FILL_BUSY_PERCENT)
		return PATIENCE_MIN_MS;
	if (fill_percent >= FILL_BUSY_PERCENT / 2)
		return patience_ms;
	return 2 * patience_ms < PATIENCE_MAX_MS ? 2 * patience_ms : PATIENCE_MAX_MS;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* In a storm of errors each would rouse the worker, which then found that it is to wait. */
static void lie_down(uint64_t wait_ns, uint64_t calm_ns)
{
	if (calm_ns)
		(void)sonde__bell_doze(&sonde__box_bell, least(wait_ns, calm_ns));
	else
		(void)sonde__bell_wait(&sonde__box_bell, least(wait_ns, WAIT_MAX_NS));
}

void sonde__rest(struct sonde__rest *rest, struct sonde__pipeline *pipeline, pthread_mutex_t *turn,
		 uint64_t wait_ns)
{
	struct pollfd fds[DESCRIPTORS_MAX];
	uint64_t wait_ms = wait_ns / SONDE__NS_PER_MS + (wait_ns % SONDE__NS_PER_MS != 0);
	int timeout_ms = wait_ms > INT32_MAX ? INT32_MAX : (int)wait_ms;
	uint64_t calm_ns;
	size_t n;

	pthread_mutex_lock(turn);
	n = sonde__pipeline_poll(pipeline, fds, DESCRIPTORS_MAX, &timeout_ms);
	calm_ns = sonde__pipeline_calm_ns(pipeline);
	pthread_mutex_unlock(turn);
	if (!n) {
		lie_down(least((uint64_t)timeout_ms * SONDE__NS_PER_MS, wait_ns), calm_ns);
		return;
	}
	if (rest->patience_ms < PATIENCE_MIN_MS)
		rest->patience_ms = PATIENCE_MIN_MS;
	if (timeout_ms > rest->patience_ms)
		timeout_ms = rest->patience_ms;
	if (poll(fds, n, timeout_ms) > 0)
		rest->patience_ms = PATIENCE_MIN_MS;
	else
		rest->patience_ms = next_patience_ms(rest->patience_ms);
}
