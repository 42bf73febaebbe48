/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The breaker's states:
 *
 *	         `failures` in a row                  reset time is over
 *	CLOSED ----------------------> OPEN ------------------------------> HALF_OPEN
 *	   ^                             ^                                    |    |
 *	   |                             '----------- a trial fails ----------'    |
 *	   '---------------------- `trials` successes in a row --------------------'
 *
 * Trials run one after another, so that somebody who just came back is not met by everything that
 * waited for him. The time passed is computed without underflow: a clock that seems to go backwards
 * only makes the breaker wait.
 */

#include "resilience/breaker.h"

static uint64_t elapsed(const struct sonde__breaker *breaker, uint64_t now_ns)
{
	return now_ns > breaker->since_ns ? now_ns - breaker->since_ns : 0;
}

static void open_now(struct sonde__breaker *breaker, uint64_t now_ns)
{
	breaker->state = SONDE__BREAKER_OPEN;
	breaker->since_ns = now_ns;
	breaker->n_failures = 0;
	breaker->n_successes = 0;
	breaker->trial_is_running = false;
}

static void begin_trial(struct sonde__breaker *breaker, uint64_t now_ns)
{
	if (breaker->state == SONDE__BREAKER_OPEN)
		breaker->n_successes = 0;
	breaker->state = SONDE__BREAKER_HALF_OPEN;
	breaker->since_ns = now_ns;
	breaker->trial_is_running = true;
}

void sonde__breaker_init(struct sonde__breaker *breaker,
			 const struct sonde__breaker_options *options)
{
	*breaker = (struct sonde__breaker){ .options = *options };
	if (!breaker->options.failures)
		breaker->options.failures = 1;
	if (!breaker->options.trials)
		breaker->options.trials = 1;
}

uint64_t sonde__breaker_wait_ns(const struct sonde__breaker *breaker, uint64_t now_ns)
{
	uint64_t passed_ns = elapsed(breaker, now_ns);
	bool must_wait = breaker->state == SONDE__BREAKER_OPEN ||
			 (breaker->state == SONDE__BREAKER_HALF_OPEN && breaker->trial_is_running);

	if (!must_wait || passed_ns >= breaker->options.reset_ns)
		return 0;
	return breaker->options.reset_ns - passed_ns;
}

bool sonde__breaker_allow(struct sonde__breaker *breaker, uint64_t now_ns)
{
	if (sonde__breaker_wait_ns(breaker, now_ns) > 0)
		return false;
	if (breaker->state != SONDE__BREAKER_CLOSED)
		begin_trial(breaker, now_ns);
	return true;
}

void sonde__breaker_force(struct sonde__breaker *breaker, uint64_t now_ns)
{
	if (breaker->state != SONDE__BREAKER_CLOSED)
		begin_trial(breaker, now_ns);
}

static void report_trial(struct sonde__breaker *breaker, uint64_t now_ns, bool is_ok)
{
	breaker->trial_is_running = false;
	if (!is_ok) {
		open_now(breaker, now_ns);
		return;
	}
	if (++breaker->n_successes < breaker->options.trials)
		return;
	breaker->state = SONDE__BREAKER_CLOSED;
	breaker->n_failures = 0;
}

void sonde__breaker_report(struct sonde__breaker *breaker, uint64_t now_ns, bool is_ok)
{
	switch (breaker->state) {
	case SONDE__BREAKER_CLOSED:
		if (is_ok)
			breaker->n_failures = 0;
		else if (++breaker->n_failures >= breaker->options.failures)
			open_now(breaker, now_ns);
		break;
	case SONDE__BREAKER_HALF_OPEN:
		report_trial(breaker, now_ns, is_ok);
		break;
	case SONDE__BREAKER_OPEN:
		break;
	}
}
