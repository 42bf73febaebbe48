/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way in which the library speaks. Callback and user pointer belong together but are two
 * words, so they are read under a sequence count: even while at rest, odd while
 * sonde__diagnostic_set writes. No lock, because a lock that another thread held at a fork would
 * stay locked in the child.
 */

#include "base/diagnostic.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/testpoint.h"
#include "base/utf8.h"

#define TEXT_SIZE 512
/* What does not fit may end in the middle of a secret: the filter is to see it. */
#define CUT_MARK "…"
/* A writer is at work for nanoseconds; one that a fork cut in half never ends. */
#define READ_TRIES 1000

static _Atomic uint32_t sequence;
static _Atomic(sonde_diagnostic_fn *) current_callback;
static _Atomic(void *) current_user;
static _Atomic(sonde__diagnostic_filter *) current_filter;

void sonde__diagnostic_filter_set(sonde__diagnostic_filter *filter)
{
	/* Relaxed, as where it is read: it is a function of no state. */
	atomic_store_explicit(&current_filter, filter, memory_order_relaxed);
}

void sonde__diagnostic_set(sonde_diagnostic_fn *callback, void *user)
{
	/* Relaxed: the agent's start and stop are the only writers, one at a time. */
	uint32_t start = atomic_load_explicit(&sequence, memory_order_relaxed) | 1;

	atomic_store_explicit(&sequence, start, memory_order_relaxed);
	/* R1 and R2, partners A1 and A2: who sees a new word also sees the odd count before it. */
	atomic_store_explicit(&current_callback, callback, memory_order_release);
	SONDE__TESTPOINT("diagnostic:half");
	atomic_store_explicit(&current_user, user, memory_order_release);
	/* R3, partner A3: who sees this even count sees both words. */
	atomic_store_explicit(&sequence, start + 1, memory_order_release);
}

static bool callback_read(sonde_diagnostic_fn **ret_callback, void **ret_user)
{
	for (int i = 0; i < READ_TRIES; i++) {
		/* A3, partner R3. */
		uint32_t before = atomic_load_explicit(&sequence, memory_order_acquire);
		/*
		 * A1 and A2, partners R1 and R2: they also keep the second look at the count below
		 * them.
		 */
		sonde_diagnostic_fn *callback =
			atomic_load_explicit(&current_callback, memory_order_acquire);
		void *user;

		SONDE__TESTPOINT("diagnostic:reading");
		user = atomic_load_explicit(&current_user, memory_order_acquire);

		/* Relaxed: ordered by A1 and A2. */
		if (before % 2 == 0 &&
		    before == atomic_load_explicit(&sequence, memory_order_relaxed)) {
			*ret_callback = callback;
			*ret_user = user;
			return callback != NULL;
		}
	}
	return false;
}

void sonde__report(enum sonde_level level, const char *format, ...)
{
	char text[TEXT_SIZE];
	int saved_errno = errno;
	sonde__diagnostic_filter *filter;
	sonde_diagnostic_fn *callback;
	va_list args;
	void *user;
	int length;

	if (!callback_read(&callback, &user))
		return;
	va_start(args, format);
	length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (length >= (int)sizeof(text)) {
		length = (int)sonde__utf8_cut(text, sizeof(text) - 1,
					      sizeof(text) - sizeof(CUT_MARK));
		memcpy(text + length, CUT_MARK, sizeof(CUT_MARK));
	}
	filter = atomic_load_explicit(&current_filter, memory_order_relaxed);
	if (filter)
		filter(text, sizeof(text));
	callback(user, level, text);
	errno = saved_errno;
}
