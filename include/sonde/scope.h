/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_SCOPE_H
#define SONDE_SCOPE_H

/*
 * What the current work is about: the request, the user, anything that helps to read an error.
 *
 *	SONDE_SCOPE();
 *	sonde_context_set_str("request.id", request->id);
 *	sonde_context_set_user(user->id, user->name, NULL);
 *
 * Every error, message and slow operation that is captured below has these values as attributes;
 * what the error says itself under the same key wins. They belong to the current context: a scope
 * ends what was set in it, and a copy of the context carries them to another thread. A span that
 * begins a trace or continues a caller's is a scope, too; a span below another one is none, so that
 * what is learned in a step stays for the rest of the request.
 *
 * A value is cut at some 200 bytes, and marked; a context has room for about fifty short ones. A
 * copy stays readable for a while after its scope's end, as long as no thousands of later requests
 * have needed the memory; a value that is gone is absent, and counted (the metric
 * sonde.context.values.lost).
 *
 * All calls: lock-free, no allocation, no system call, async-signal-safe; one test while no agent
 * runs, so nothing is kept then: this is not a place for what the program itself wants back.
 */

#include <string.h>

#include <sonde/attribute.h>
#include <sonde/base.h>

SONDE_BEGIN_DECLS

/* ---- Scopes ---------------------------------------------------------------------------------- */

/* Caller's memory for one scope. */
struct sonde_scope {
	uint64_t opaque[2];
};

SONDE_API void sonde__scope_begin(struct sonde_scope *scope);
SONDE_API void sonde__scope_end(struct sonde_scope *scope);

static inline void sonde_scope_begin(struct sonde_scope *scope)
{
	if (scope)
		scope->opaque[0] = 0;
	if (sonde_is_recording())
		sonde__scope_begin(scope);
}

/*
 * What was set since the begin is forgotten. On the thread and in the context that the scope was
 * begun in. Harmless the second time.
 */
static inline void sonde_scope_end(struct sonde_scope *scope)
{
	if (scope && scope->opaque[0])
		sonde__scope_end(scope);
}

/* A scope for the rest of the enclosing block. */
#define SONDE_SCOPE() SONDE__SCOPE(SONDE__CAT(sonde__scope_, __COUNTER__))
#define SONDE__SCOPE(variable) \
	struct sonde_scope variable __attribute__((cleanup(sonde_scope_end), unused)); \
	sonde_scope_begin(&variable)

/* ---- Values ---------------------------------------------------------------------------------- */

SONDE_API void sonde__context_set_strn(const char *key, size_t key_size, const char *value,
				       size_t size);
SONDE_API void sonde__context_set(const struct sonde_attr *attr);

/* Any attribute. Without a key it is nothing. */
static inline void sonde_context_set(struct sonde_attr attr)
{
	if (sonde_is_recording())
		sonde__context_set(&attr);
}

static inline void sonde_context_set_strn(const char *key, const char *value, size_t size)
{
	if (sonde_is_recording())
		sonde__context_set_strn(key, key ? strlen(key) : 0, value, value ? size : 0);
}

/* A NULL value is the empty string. */
static inline void sonde_context_set_str(const char *key, const char *value)
{
	if (sonde_is_recording())
		sonde__context_set_strn(key, key ? strlen(key) : 0, value,
					value ? strlen(value) : 0);
}

static inline void sonde_context_set_int(const char *key, int64_t value)
{
	if (sonde_is_recording()) {
		struct sonde_attr attr = sonde_int(key, value);

		sonde__context_set(&attr);
	}
}

static inline void sonde_context_set_double(const char *key, double value)
{
	if (sonde_is_recording()) {
		struct sonde_attr attr = sonde_double(key, value);

		sonde__context_set(&attr);
	}
}

static inline void sonde_context_set_bool(const char *key, bool value)
{
	if (sonde_is_recording()) {
		struct sonde_attr attr = sonde_bool(key, value);

		sonde__context_set(&attr);
	}
}

/*
 * user.id, user.name and user.email; NULL leaves one as it is. Standard: OpenTelemetry's semantic
 * conventions, as deployment.environment.name and service.version, which may be set like any other
 * where they differ from the process's own.
 */
static inline void sonde_context_set_user(const char *id, const char *name, const char *email)
{
	if (id)
		sonde_context_set_str("user.id", id);
	if (name)
		sonde_context_set_str("user.name", name);
	if (email)
		sonde_context_set_str("user.email", email);
}

SONDE_END_DECLS

#endif
