/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two buckets of a word each. Calls fill the first one by a share; time fills the second one. A
 * retry is paid from the first, else from the second. Each word is changed by one
 * compare-and-exchange, so that nothing is given twice, whoever dies in between.
 *
 * The second is kept as a moment (a virtual scheduling time): the one at which it would be full. It
 * has a retry where that moment is less than the time of `burst` of them away.
 */

#include "resilience/retry.h"

#include <stdatomic.h>
#include <string.h>

#include "base/compiler.h"
#include "resilience/clock.h"

#define RATIO 0.2
#define RATIO_MAX 1000.0
#define MIN_PER_SECOND 10.0
#define PER_SECOND_LEAST 0.001
#define PER_SECOND_MAX 1e6
#define BURST 100u
#define BURST_MAX 1000000u

/* Parts of a retry, in which the first bucket counts. */
#define WHOLE UINT64_C(1000000)

struct budget {
	_Atomic uint64_t paid; /* In parts of a retry; at most `full`. */
	_Atomic uint64_t full_ns; /* When the second bucket is full. */
	uint64_t share; /* What a call pays in. */
	uint64_t full;
	uint64_t interval_ns; /* From one retry of the second bucket to the next; 0: none. */
	uint64_t depth_ns; /* Of the second bucket. */
	const struct sonde_clock *clock;
	const char *name;
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct budget) <= sizeof(struct sonde_retry_budget), "a budget fits");
_Static_assert(_Alignof(struct budget) <= _Alignof(struct sonde_retry_budget), "and is aligned");

static struct budget *budget_of(const struct sonde_retry_budget *budget)
{
	return (struct budget *)(uintptr_t)budget;
}

int sonde_retry_budget_init(struct sonde_retry_budget *budget,
			    const struct sonde_retry_budget_options *options)
{
	static const struct sonde_retry_budget_options defaults;
	const struct sonde_retry_budget_options *o = options ? options : &defaults;
	double ratio = o->ratio == 0 ? RATIO : o->ratio;
	double per_second = o->min_per_second == 0 ? MIN_PER_SECOND : o->min_per_second;
	uint64_t burst = o->burst ? o->burst : BURST;
	struct budget *self = budget_of(budget);

	/* So that NaN is refused, too. */
	if (!budget || !(ratio <= RATIO_MAX) || !(per_second <= PER_SECOND_MAX))
		return SONDE_E_INVALID;
	if (burst > BURST_MAX || (per_second > 0 && per_second < PER_SECOND_LEAST))
		return SONDE_E_INVALID;
	memset(self, 0, sizeof(*self));
	self->share = ratio > 0 ? (uint64_t)(ratio * (double)WHOLE + 0.5) : 0;
	self->full = burst * WHOLE;
	self->interval_ns = per_second > 0 ? (uint64_t)(1e9 / per_second) : 0;
	self->depth_ns = self->interval_ns * burst;
	self->clock = o->clock;
	self->name = o->name;
	return SONDE_OK;
}

void sonde_retry_budget_deinit(struct sonde_retry_budget *budget)
{
	(void)budget;
}

void sonde_retry_budget_add_call(struct sonde_retry_budget *budget)
{
	struct budget *self = budget_of(budget);
	uint64_t paid;
	uint64_t more;

	if (!budget || !self->share)
		return;
	/* Relaxed, here and below: a word stands for itself, nothing is read on its strength. */
	paid = atomic_load_explicit(&self->paid, memory_order_relaxed);
	do {
		more = paid + self->share < self->full ? paid + self->share : self->full;
		if (more == paid)
			return;
	} while (!atomic_compare_exchange_weak_explicit(
		&self->paid, &paid, more, memory_order_relaxed, memory_order_relaxed));
}

static bool take_paid(struct budget *self)
{
	uint64_t paid = atomic_load_explicit(&self->paid, memory_order_relaxed);

	do {
		if (paid < WHOLE)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&self->paid, &paid, paid - WHOLE, memory_order_relaxed, memory_order_relaxed));
	return true;
}

/* What the second bucket lacks now, as time. */
static uint64_t lack_ns(uint64_t full_ns, uint64_t now_ns)
{
	return full_ns > now_ns ? full_ns - now_ns : 0;
}

static bool take_timed(struct budget *self)
{
	uint64_t now_ns = sonde__now_ns(self->clock);
	uint64_t full_ns = atomic_load_explicit(&self->full_ns, memory_order_relaxed);
	uint64_t later_ns;

	do {
		uint64_t lack = lack_ns(full_ns, now_ns) + self->interval_ns;

		if (lack > self->depth_ns)
			return false;
		later_ns = now_ns + lack;
	} while (!atomic_compare_exchange_weak_explicit(
		&self->full_ns, &full_ns, later_ns, memory_order_relaxed, memory_order_relaxed));
	return true;
}

bool sonde_retry_budget_try_acquire(struct sonde_retry_budget *budget)
{
	struct budget *self = budget_of(budget);

	return !budget || take_paid(self) || (self->interval_ns && take_timed(self));
}

uint32_t sonde_retry_budget_left(const struct sonde_retry_budget *budget)
{
	struct budget *self = budget_of(budget);
	uint64_t left;

	if (!budget)
		return UINT32_MAX;
	left = atomic_load_explicit(&self->paid, memory_order_relaxed) / WHOLE;
	if (self->interval_ns) {
		uint64_t lack = lack_ns(atomic_load_explicit(&self->full_ns, memory_order_relaxed),
					sonde__now_ns(self->clock));

		if (lack < self->depth_ns)
			left += (self->depth_ns - lack) / self->interval_ns;
	}
	return (uint32_t)left;
}

const char *sonde__retry_budget_name(const struct sonde_retry_budget *budget)
{
	return budget && budget_of(budget)->name ? budget_of(budget)->name : "";
}
