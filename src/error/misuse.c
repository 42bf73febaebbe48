/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The words for a mistake with an error's ownership. The object is not ours to read: it may be
 * freed, and even taken again by another thread. So what is said of it is copied with bounds and
 * may be wrong then; that something is wrong is not.
 */

#include "error/misuse.h"

#include <stdio.h>

#include "base/diagnostic.h"
#include "stack/stack.h"

#ifdef NDEBUG
#define REPORTS_MAX 1
#else
#define REPORTS_MAX 16
#endif

#define PLACE_SIZE 320

/* " (TYPE, raised at FILE:LINE in FUNCTION)" */
static void place_put(char ret[PLACE_SIZE], const struct sonde_error *error)
{
	size_t type_at = error->type_name_at;
	size_t function_at = error->function_at;

	if (type_at > ERROR_BYTES_SIZE - ERROR_TYPE_NAME_SIZE ||
	    function_at > ERROR_BYTES_SIZE - ERROR_FUNCTION_SIZE) {
		ret[0] = '\0';
		return;
	}
	snprintf(ret, PLACE_SIZE, " (%.*s, raised at %.*s:%d in %.*s)", ERROR_TYPE_NAME_SIZE,
		 error->bytes + type_at, ERROR_FILE_SIZE, error->bytes, (int)error->line,
		 ERROR_FUNCTION_SIZE, error->bytes + function_at);
}

/* "; freed by #0 function+0x1c (module, …)" */
static void freed_put(char ret[PLACE_SIZE], const struct sonde_error *error)
{
	const uint64_t freed_by = error->event_id;
	/* Relaxed: see sonde__error_state_change. */
	const uint32_t state = atomic_load_explicit(&error->state, memory_order_relaxed);
	int size;

	ret[0] = '\0';
	/* Names take reading files: where one debugs alone. */
	if (REPORTS_MAX == 1 || state != SONDE__ERROR_FREED || !freed_by)
		return;
	size = snprintf(ret, PLACE_SIZE, "; freed by ");
	size += (int)sonde__stack_format(&freed_by, 1, ret + size, PLACE_SIZE - (size_t)size);
	for (char *at = ret; *at; at++)
		if (*at == '\n')
			*at = '\0';
}

void sonde__error_report_misuse(const char *what, const struct sonde_error *error)
{
	static _Atomic uint32_t n_reported;
	char place[PLACE_SIZE];
	char freed[PLACE_SIZE];

	/* Relaxed: only how many came before matters. */
	if (atomic_fetch_add_explicit(&n_reported, 1, memory_order_relaxed) >= REPORTS_MAX)
		return;
	place_put(place, error);
	freed_put(freed, error);
	sonde__report(SONDE_ERROR, "an error was %s%s%s; it is left as it is, and this is said %s",
		      what, place, freed, REPORTS_MAX == 1 ? "once" : "16 times at most");
}
