/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deadlines: one word of the current context, a moment, 0 where there is none. A scope keeps what
 * the word was and what it made of it. Its end puts the old one back only where its own is still
 * there: what a context that was attached in between, or a span's end, has put there stays.
 * docs/design/deadline.md argues it.
 */

#include <sonde/deadline.h>

#include <limits.h>
#include <string.h>

#include "resilience/clock.h"

struct scope {
	uint64_t is_open;
	uint64_t previous;
	uint64_t own;
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct scope) <= sizeof(struct sonde_deadline), "a scope fits");

static struct scope *scope_of(struct sonde_deadline *deadline)
{
	return (struct scope *)(void *)deadline;
}

static uint64_t *current_word(void)
{
	return &sonde__thread.current.extension[SONDE__EXTENSION_DEADLINE];
}

/* As it stands in a context: 0 is "none" there, and the moment 0 is as long over as 1. */
static uint64_t word_of(uint64_t moment_ns)
{
	if (moment_ns == SONDE__NEVER)
		return 0;
	return moment_ns ? moment_ns : 1;
}

static uint64_t moment_of(uint64_t word)
{
	return word ? word : SONDE__NEVER;
}

static void scope_begin(struct sonde_deadline *deadline, uint64_t word)
{
	struct scope *scope = scope_of(deadline);

	scope->is_open = 1;
	scope->previous = *current_word();
	scope->own = word;
	*current_word() = word;
}

void sonde_deadline_begin_at(struct sonde_deadline *deadline, uint64_t moment_ns)
{
	uint64_t current_ns = sonde__deadline_current();

	if (deadline)
		scope_begin(deadline, word_of(moment_ns < current_ns ? moment_ns : current_ns));
}

void sonde_deadline_begin_ns(struct sonde_deadline *deadline, uint64_t limit_ns,
			     const struct sonde_clock *clock)
{
	uint64_t moment_ns = SONDE__NEVER;

	/* Without a limit of its own no clock need be read. */
	if (limit_ns != SONDE__NEVER)
		moment_ns = sonde__moment_after(sonde__now_ns(clock), limit_ns);
	sonde_deadline_begin_at(deadline, moment_ns);
}

void sonde_deadline_begin(struct sonde_deadline *deadline, uint64_t limit_ms,
			  const struct sonde_clock *clock)
{
	sonde_deadline_begin_ns(deadline, sonde__ms_to_ns(limit_ms), clock);
}

void sonde_deadline_shield(struct sonde_deadline *deadline)
{
	if (deadline)
		scope_begin(deadline, /* word= */ 0);
}

void sonde_deadline_end(struct sonde_deadline *deadline)
{
	struct scope *scope = scope_of(deadline);

	if (!deadline || !scope->is_open)
		return;
	scope->is_open = 0;
	if (*current_word() == scope->own)
		*current_word() = scope->previous;
}

uint64_t sonde_deadline_moment_ns(void)
{
	return sonde__deadline_current();
}

uint64_t sonde_deadline_left_ns(const struct sonde_clock *clock)
{
	uint64_t moment_ns = sonde__deadline_current();

	return moment_ns == SONDE__NEVER ? SONDE__NEVER :
					   sonde__time_until(moment_ns, sonde__now_ns(clock));
}

uint64_t sonde_deadline_left_ms(const struct sonde_clock *clock)
{
	uint64_t left_ns = sonde_deadline_left_ns(clock);

	if (left_ns == SONDE__NEVER)
		return SONDE__NEVER;
	return left_ns / SONDE__NS_PER_MS + (left_ns % SONDE__NS_PER_MS != 0);
}

bool sonde_deadline_is_over(const struct sonde_clock *clock)
{
	return sonde_deadline_left_ns(clock) == 0;
}

static int int_of(uint64_t left_ms)
{
	return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

int sonde_deadline_poll_ms(const struct sonde_clock *clock)
{
	uint64_t left_ms = sonde_deadline_left_ms(clock);

	return left_ms == SONDE__NEVER ? -1 : int_of(left_ms);
}

int sonde_deadline_client_ms(const struct sonde_clock *clock)
{
	uint64_t left_ms = sonde_deadline_left_ms(clock);

	if (left_ms == SONDE__NEVER)
		return 0;
	return left_ms ? int_of(left_ms) : 1;
}

struct sonde_error *sonde_deadline_error_at(struct sonde_error *cause, const char *file, int line,
					    const char *function)
{
	return sonde_error_raise_at(&sonde_timeout, cause, file, line, function,
				    "over the deadline");
}

uint64_t sonde_context_deadline_ns(const struct sonde_context *context)
{
	return context ? moment_of(context->extension[SONDE__EXTENSION_DEADLINE]) : SONDE__NEVER;
}

void sonde_context_limit(struct sonde_context *context, uint64_t moment_ns)
{
	if (context && moment_ns < sonde_context_deadline_ns(context))
		context->extension[SONDE__EXTENSION_DEADLINE] = word_of(moment_ns);
}
