/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The same error for somebody else: with its causes, and what is joined in it. Everything in an
 * object is a copy already, so its bytes are copied; only who owns what is made anew. How deep it
 * goes is bounded as the original is.
 */

#include <errno.h>
#include <string.h>

#include "error/error.h"
#include "error/object.h"
#include "error/pool.h"

static struct sonde_error *one_copy(const struct sonde_error *error)
{
	struct sonde_error *copy = sonde__error_take();
	uint8_t is_pooled;

	if (!copy)
		return NULL;
	is_pooled = copy->flags & ERROR_IS_POOLED;
	memcpy(&copy->errno_value, &error->errno_value,
	       sizeof(*copy) - offsetof(struct sonde_error, errno_value));
	copy->flags = (uint8_t)((error->flags & ~ERROR_IS_POOLED) | is_pooled);
	copy->cause = copy->joined = copy->next = NULL;
	return copy;
}

static bool chain_copy(const struct sonde_error *error, unsigned level, struct sonde_error **ret);

/* Those that are joined in `error`, into `copy`. */
static bool joined_copy(const struct sonde_error *error, unsigned level, struct sonde_error *copy)
{
	struct sonde_error **at = &copy->joined;
	const struct sonde_error *one = error->joined;

	for (size_t i = 0; one && i < SONDE__ERROR_JOINED_MAX; i++, one = one->next) {
		bool is_whole = level < SONDE__ERROR_NEST_MAX && chain_copy(one, level + 1, at);

		if (*at)
			sonde__error_state_change(*at, SONDE__ERROR_LIVE, SONDE__ERROR_OWNED);
		if (!is_whole)
			return false;
		at = &(*at)->next;
	}
	return true;
}

/* False: memory ran out; *ret is what there is, to be freed. */
static bool chain_copy(const struct sonde_error *error, unsigned level, struct sonde_error **ret)
{
	struct sonde_error **at = ret;

	for (size_t i = 0; error && i < SONDE__ERROR_CHAIN_MAX; i++, error = error->cause) {
		/* Everybody's already; never joined in another. */
		if (sonde__error_is_static(error)) {
			*at = (struct sonde_error *)(uintptr_t)error;
			return true;
		}
		*at = one_copy(error);
		if (!*at)
			return false;
		if (i > 0)
			sonde__error_state_change(*at, SONDE__ERROR_LIVE, SONDE__ERROR_OWNED);
		if (!joined_copy(error, level, *at))
			return false;
		at = &(*at)->cause;
	}
	return true;
}

struct sonde_error *sonde_error_copy(const struct sonde_error *error)
{
	int number = errno;
	struct sonde_error *copy = NULL;

	if (!chain_copy(error, /* level= */ 0, &copy)) {
		sonde_error_free(copy);
		/* For one more there may be room; else the static error says that there is none. */
		copy = one_copy(error);
		if (copy) {
			copy->depth = copy->n_objects = 1;
			copy->n_joined = copy->nest = 0;
		} else {
			copy = sonde_error_raise(&sonde_out_of_memory, "out of memory");
		}
	}
	errno = number;
	return copy;
}
