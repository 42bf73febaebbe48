/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Raising, wrapping and freeing.
 *
 * Every object has at most one owner, and its state says which kind: so a cause belongs to one
 * chain, chains have no cycles, and a mistake (a second free, a free or a second wrap of a cause)
 * is found by an exchange that fails. It is reported and changes nothing.
 *
 * A chain is at most SONDE__ERROR_CHAIN_MAX long. Wrapping a full one lets go of the error that was
 * outermost until now, and keeps the new one and all the older ones: a loop that wraps for ever
 * keeps what it is doing now, what it all began with, and the number of those in between.
 *
 * Where there is no memory for a wrapper the cause itself is returned: it says more than that
 * memory ran out. Where there is no cause, the static error says just that.
 */

#include "error/object.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "error/error.h"
#include "error/misuse.h"
#include "error/pool.h"
#include "error/text.h"
#include "error/types.h"
#include "stack/stack.h"

_Static_assert(offsetof(struct sonde_error, bytes) == ERROR_HEAD_SIZE &&
		       sizeof(struct sonde_error) == ERROR_SIZE,
	       "64 of them make 64 KiB");
_Static_assert(ERROR_FILE_SIZE + ERROR_FUNCTION_SIZE + ERROR_TYPE_NAME_SIZE + ERROR_CODE_SIZE +
			       SONDE_ERROR_MESSAGE_SIZE + 192 <=
		       ERROR_BYTES_SIZE,
	       "the longest texts leave room for attributes");

#define NO_MEMORY_TYPE "sonde_out_of_memory"
#define NO_MEMORY_CODE "OUT_OF_MEMORY"
#define NO_MEMORY_MESSAGE "out of memory"

/* Its file and function are the empty string that it begins with. */
static struct sonde_error no_memory = {
	.state = SONDE__ERROR_STATIC,
	.errno_value = ENOMEM,
	.type = &sonde_out_of_memory,
	.depth = 1,
	.n_objects = 1,
	.http_status = 503,
	.type_name_at = 1,
	.code_at = 1 + sizeof(NO_MEMORY_TYPE),
	.message_at = 1 + sizeof(NO_MEMORY_TYPE) + sizeof(NO_MEMORY_CODE),
	.attributes_at = 1 + sizeof(NO_MEMORY_TYPE) + sizeof(NO_MEMORY_CODE) +
			 sizeof(NO_MEMORY_MESSAGE),
	.detail_at = ERROR_BYTES_SIZE,
	.severity = SONDE_ERROR,
	.flags = ERROR_IS_RETRYABLE,
	.bytes = "\0" NO_MEMORY_TYPE "\0" NO_MEMORY_CODE "\0" NO_MEMORY_MESSAGE,
};

bool sonde__error_state_change(struct sonde_error *error, uint32_t from, uint32_t to)
{
	/* Relaxed: an object belongs to one thread at a time, the state only unmasks mistakes. */
	return atomic_compare_exchange_strong_explicit(&error->state, &from, to,
						       memory_order_relaxed, memory_order_relaxed);
}

bool sonde__error_is_static(const struct sonde_error *error)
{
	/* Relaxed: see sonde__error_state_change. */
	return atomic_load_explicit(&error->state, memory_order_relaxed) == SONDE__ERROR_STATIC;
}

/* Everything but texts and type, as of an error that nobody caused. */
static void head_clear(struct sonde_error *error)
{
	error->cause = error->joined = error->next = NULL;
	error->event_id = 0;
	error->n_omitted = 0;
	error->depth = error->n_objects = 1;
	error->n_dropped = 0;
	error->attributes_size = 0;
	error->detail_at = ERROR_BYTES_SIZE;
	error->n_joined = error->primary = error->nest = 0;
	error->n_frames = 0;
	error->flags &= ERROR_IS_POOLED;
	error->errno_value = 0;
	error->format = 0;
}

/* Returns whether its type asks for a stack. */
static bool type_set(struct sonde_error *error, const struct sonde_error_type *type,
		     const char **ret_code)
{
	struct sonde__type_traits traits = sonde__type_resolve(type);
	size_t n = sonde__type_identify(type, error->identities, ERROR_IDENTITIES);

	error->type = type;
	error->http_status = traits.http_status;
	error->severity = traits.severity;
	error->n_identities = (uint8_t)(n < ERROR_IDENTITIES ? n : ERROR_IDENTITIES);
	error->flags |= (uint8_t)((traits.has_public_message ? ERROR_IS_PUBLIC : 0) |
				  (traits.is_retryable ? ERROR_IS_RETRYABLE : 0));
	*ret_code = traits.code;
	return traits.has_stack;
}

void sonde__error_type_adopt(struct sonde_error *error, const struct sonde_error *from)
{
	const uint8_t traits = ERROR_IS_PUBLIC | ERROR_IS_RETRYABLE;

	error->type = from->type;
	error->http_status = from->http_status;
	error->severity = from->severity;
	error->n_identities = from->n_identities;
	error->flags = (uint8_t)((error->flags & ~traits) | (from->flags & traits));
	memcpy(error->identities, from->identities, sizeof(error->identities));
}

struct sonde_error *sonde__error_begin(const char *file, int line, const char *function)
{
	struct sonde_error *error = sonde__error_take();
	size_t size;

	if (!error)
		return NULL;
	head_clear(error);
	error->line = line;
	size = sonde__error_path_copy(error->bytes, ERROR_FILE_SIZE, file) + 1;
	error->function_at = (uint16_t)size;
	size += sonde__error_text_copy(error->bytes + size, ERROR_FUNCTION_SIZE, function) + 1;
	error->type_name_at = (uint16_t)size;
	return error;
}

size_t sonde__error_type_name_put(struct sonde_error *error, const char *name, const char *code)
{
	size_t size = error->type_name_at;

	size += sonde__error_text_copy(error->bytes + size, ERROR_TYPE_NAME_SIZE, name) + 1;
	error->code_at = (uint16_t)size;
	size += sonde__error_text_copy(error->bytes + size, ERROR_CODE_SIZE, code) + 1;
	error->message_at = (uint16_t)size;
	return size;
}

/* Lets go of `cause`, the outermost error of a full chain. */
static void chain_shorten(struct sonde_error *error, struct sonde_error *cause)
{
	error->cause = cause->cause;
	error->depth = SONDE__ERROR_CHAIN_MAX;
	error->nest = cause->nest;
	error->n_objects = cause->n_objects;
	error->n_omitted = cause->n_omitted + 1;
	error->event_id = cause->event_id;
	sonde__error_state_change(cause, SONDE__ERROR_OWNED, SONDE__ERROR_FREED);
	sonde__error_give(cause);
}

/* Takes `cause` into the chain of `error`; one that is not the caller's to give stays out. */
static void cause_take(struct sonde_error *error, struct sonde_error *cause)
{
	if (!sonde__error_is_static(cause) &&
	    !sonde__error_state_change(cause, SONDE__ERROR_LIVE, SONDE__ERROR_OWNED)) {
		sonde__error_report_misuse("wrapped after it had been freed or wrapped", cause);
		return;
	}
	error->cause = cause;
	if (cause->depth >= SONDE__ERROR_CHAIN_MAX) {
		chain_shorten(error, cause);
		return;
	}
	error->depth = (uint16_t)(cause->depth + 1);
	error->n_objects = (uint16_t)(cause->n_objects + 1);
	error->nest = cause->nest;
}

/*
 * Whether the message itself says errno, by %m. Else nobody knows that it has to do with the error:
 * it keeps what some call left in it, long ago and perhaps in success.
 */
static bool says_errno(const char *format)
{
	const char *at = format;

	while (at && (at = strchr(at, '%')) != NULL && at[1] != 'm')
		at += at[1] ? 2 : 1;
	return at != NULL;
}

/* Type and stack. Returns where the message begins. */
static size_t kind_set(struct sonde_error *error, const struct sonde_error_type *type,
		       const struct sonde_error *cause)
{
	const char *code;

	if (!type && cause) {
		/* A context: the same kind of error, seen from further up. */
		sonde__error_type_adopt(error, cause);
		return sonde__error_type_name_put(error,
						  sonde__error_text(cause, cause->type_name_at),
						  sonde__error_text(cause, cause->code_at));
	}
	if (!type)
		type = &sonde_error_base;
	if (type_set(error, type, &code))
		error->n_frames = (uint8_t)sonde__stack_walk(error->frames, SONDE_ERROR_FRAMES);
	return sonde__error_type_name_put(error, type->name, code);
}

struct sonde_error *sonde_error_raise_at(const struct sonde_error_type *type,
					 struct sonde_error *cause, const char *file, int line,
					 const char *function, const char *format, ...)
{
	int saved_errno = errno;
	struct sonde_error *error = sonde__error_begin(file, line, function);
	va_list arguments;
	size_t size;

	if (!error) {
		errno = saved_errno;
		return cause ? cause : &no_memory;
	}
	size = kind_set(error, type, cause);
	error->format = (uintptr_t)format;
	error->errno_value = saved_errno;
	if (saved_errno && says_errno(format))
		error->flags |= ERROR_ERRNO_COUNTS;
	/*
	 * Before the cause goes: its texts may be among the arguments. And %m means the caller's
	 * errno.
	 */
	errno = saved_errno;
	va_start(arguments, format);
	size += sonde__error_text_format(error->bytes + size, SONDE_ERROR_MESSAGE_SIZE, format,
					 arguments) +
		1;
	va_end(arguments);
	error->attributes_at = (uint16_t)size;
	if (cause)
		cause_take(error, cause);
	errno = saved_errno;
	return error;
}

/* Takes `cause` below the last error of the chain, where there is room for it. */
static void root_set(struct sonde_error *error, struct sonde_error *cause)
{
	struct sonde_error *root = error;
	uint16_t depth;
	uint16_t n_objects;

	while (root->cause)
		root = root->cause;
	if (root->joined || sonde__error_is_static(root) ||
	    error->depth + cause->depth >= SONDE__ERROR_CHAIN_MAX) {
		(void)sonde_error_free(cause);
		return;
	}
	depth = root->depth;
	n_objects = root->n_objects;
	cause_take(root, cause);
	depth = (uint16_t)(root->depth - depth);
	n_objects = (uint16_t)(root->n_objects - n_objects);
	for (; error != root; error = error->cause) {
		error->depth = (uint16_t)(error->depth + depth);
		error->n_objects = (uint16_t)(error->n_objects + n_objects);
		error->nest = error->nest > root->nest ? error->nest : root->nest;
	}
}

struct sonde_error *sonde__error_caused_by(struct sonde_error *error, struct sonde_error *cause)
{
	if (!cause || error == cause)
		return error;
	if (!error || sonde__error_is_static(error)) {
		(void)sonde_error_free(error);
		return cause;
	}
	root_set(error, cause);
	return error;
}

/* Puts the joined ones of `error` before those that wait to be freed. */
static struct sonde_error *joined_queue(struct sonde_error *error, struct sonde_error *waiting)
{
	struct sonde_error *last = error->joined;

	if (!last)
		return waiting;
	for (size_t i = 1; last->next && i < SONDE__ERROR_JOINED_MAX; i++)
		last = last->next;
	last->next = waiting;
	return error->joined;
}

void sonde__error_release(struct sonde_error *error, uint32_t state, uint64_t freed_by)
{
	struct sonde_error *waiting = NULL;

	/* Every step marks one object FREED, and a marked one ends its chain: it ends. */
	while (error && !sonde__error_is_static(error)) {
		struct sonde_error *cause = error->cause;

		if (sonde__error_state_change(error, state, SONDE__ERROR_FREED)) {
			waiting = joined_queue(error, waiting);
			error->event_id = freed_by;
			sonde__error_give(error);
		} else {
			sonde__error_report_misuse("freed twice, or while another error owned it",
						   error);
			cause = NULL;
		}
		error = cause;
		state = SONDE__ERROR_OWNED;
		if ((!error || sonde__error_is_static(error)) && waiting) {
			error = waiting;
			waiting = waiting->next;
		}
	}
}

struct sonde_error *sonde_error_free(struct sonde_error *error)
{
	int saved_errno = errno;

	if (error)
		sonde__error_release(error, SONDE__ERROR_LIVE,
				     (uint64_t)(uintptr_t)__builtin_return_address(0));
	errno = saved_errno;
	return NULL;
}

void sonde__error_cleanup(struct sonde_error **error)
{
	int saved_errno = errno;

	if (*error)
		sonde__error_release(*error, SONDE__ERROR_LIVE,
				     (uint64_t)(uintptr_t)__builtin_return_address(0));
	errno = saved_errno;
}

/* ---- Captured -------------------------------------------------------------------------------- */

/* Under which id the whole of it was captured; 0: something in it was not. */
static uint64_t captured_id(const struct sonde_error *error, unsigned level)
{
	uint64_t first = 0;

	for (size_t i = 0; error && i < SONDE__ERROR_CHAIN_MAX; i++, error = error->cause) {
		const struct sonde_error *one = error->joined;

		if (error->event_id)
			return error->event_id;
		if (!one)
			continue;
		for (size_t k = 0; one && k < SONDE__ERROR_JOINED_MAX; k++, one = one->next) {
			uint64_t id = level < SONDE__ERROR_NEST_MAX ? captured_id(one, level + 1)
								    : 0;

			if (!id)
				return 0;
			first = first ? first : id;
		}
		return first;
	}
	return 0;
}

bool sonde__error_is_captured(const struct sonde_error *error)
{
	return captured_id(error, /* level= */ 0) != 0;
}

uint64_t sonde__error_event_id(const struct sonde_error *error)
{
	return error ? error->event_id : 0;
}

bool sonde__error_mark_captured(struct sonde_error *error, uint64_t event_id,
				uint64_t *ret_event_id)
{
	uint64_t id = captured_id(error, /* level= */ 0);

	if (id)
		*ret_event_id = id;
	if (error && !sonde__error_is_static(error))
		error->event_id = id ? id : event_id;
	return id != 0;
}
