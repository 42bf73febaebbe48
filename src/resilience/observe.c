/* SPDX-License-Identifier: Apache-2.0 */
#include "resilience/observe.h"

#include <errno.h>

#include "base/compiler.h"

static sonde_observer_fn *process_observer;

void sonde__observer_install(sonde_observer_fn *observe)
{
	/* Release, R1, partner A1 below: what the observer stands on was made before. */
	__atomic_store_n(&process_observer, observe, __ATOMIC_RELEASE);
}

static sonde_observer_fn *process_observer_now(void)
{
	/* Acquire, A1, partner R1 above. */
	return __atomic_load_n(&process_observer, __ATOMIC_ACQUIRE);
}

bool sonde__is_observed(const struct sonde_observer *own)
{
	return (own && own->observe) || process_observer_now();
}

void sonde__observe(const struct sonde_observer *own, const struct sonde_observation *observation)
{
	sonde_observer_fn *process = process_observer_now();
	struct sonde_observation named = *observation;
	int number = errno;

	if (!named.name)
		named.name = "";
	if (own && own->observe)
		own->observe(own->user, &named);
	if (process)
		process(/* user= */ NULL, &named);
	errno = number;
}
