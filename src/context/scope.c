/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scopes: what they keep is the reference that was current before. So whatever happens in between,
 * a scope's end leads back to exactly what was seen before its begin.
 */

#include <sonde/scope.h>

#include "context/context.h"

/* Of sonde_scope.opaque. */
enum { IS_OPEN = 0, PREVIOUS = 1 };

static uint64_t *current_values(void)
{
	return &sonde__thread.current.extension[SONDE__EXTENSION_VALUES];
}

void sonde__scope_begin(struct sonde_scope *scope)
{
	uint64_t *values = current_values();

	if (!scope)
		return;
	scope->opaque[PREVIOUS] = *values;
	scope->opaque[IS_OPEN] = 1;
	*values = sonde__values_seal(*values);
}

void sonde__scope_end(struct sonde_scope *scope)
{
	uint64_t *values = current_values();
	const uint64_t inner = *values;

	scope->opaque[IS_OPEN] = 0;
	*values = scope->opaque[PREVIOUS];
	/* Only now: a signal handler that comes between must not find what is given back. */
	if (sonde__values_are_some(inner))
		sonde__values_release(inner, scope->opaque[PREVIOUS]);
}

void sonde__context_set_strn(const char *key, size_t key_size, const char *value, size_t size)
{
	uint64_t *values = current_values();

	*values = sonde__values_add_text(*values, key, key_size, value, size);
}

void sonde__context_set(const struct sonde_attr *attr)
{
	uint64_t *values = current_values();

	if (attr)
		*values = sonde__values_add(*values, attr);
}
