/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Raising, wrapping and freeing.
 *
 * Every object has at most one owner, and its state says which kind: so a cause belongs to one
 * chain, chains have no cycles, and a mistake (a second free, a free or a second wrap of a cause)
 * is found by an exchange that fails. It is reported once and changes nothing.
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
#include <stdio.h>
#include <string.h>

#include "base/diagnostic.h"
#include "base/text.h"
#include "error/error.h"
#include "error/pool.h"
#include "error/types.h"
#include "stack/stack.h"

#define CUT_MARK "…"

_Static_assert(sizeof(struct sonde_error) <= 1024, "64 of them make 64 KiB");

static struct sonde_error no_memory = {
	.state = SONDE__ERROR_STATIC,
	.errno_value = ENOMEM,
	.type = &sonde_out_of_memory,
	.depth = 1,
	.http_status = 503,
	.severity = SONDE_ERROR,
	.type_name = "sonde_out_of_memory",
	.message = "out of memory",
};

/*
 * Relaxed everywhere: an object belongs to one thread at a time, the state only unmasks mistakes.
 */
static bool state_change(struct sonde_error *error, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong_explicit(&error->state, &from, to,
						       memory_order_relaxed, memory_order_relaxed);
}

static bool is_static(const struct sonde_error *error)
{
	/* Relaxed: see state_change. */
	return atomic_load_explicit(&error->state, memory_order_relaxed) == SONDE__ERROR_STATIC;
}

static SONDE__COLD void report_misuse(const char *what)
{
	static _Atomic uint32_t is_reported;

	/* Relaxed: only who is first matters. */
	if (!atomic_exchange_explicit(&is_reported, 1, memory_order_relaxed))
		sonde__report(SONDE_ERROR,
			      "an error was %s; it is left as it is, and this is said once", what);
}

/* Copies text, cut at a character and marked. */
static void text_copy(char *ret, size_t capacity, const char *text)
{
	size_t size = text ? strnlen(text, capacity) : 0;

	if (size < capacity) {
		memcpy(ret, text ? text : "", size);
		ret[size] = '\0';
		return;
	}
	size = sonde__utf8_cut(text, capacity, capacity - sizeof(CUT_MARK));
	memcpy(ret, text, size);
	memcpy(ret + size, CUT_MARK, sizeof(CUT_MARK));
}

/* Copies a path; of one that is too long the end, which says more. */
static void path_copy(char *ret, size_t capacity, const char *path)
{
	size_t size = path ? strlen(path) : 0;
	const char *tail;

	if (size < capacity) {
		text_copy(ret, capacity, path);
		return;
	}
	tail = path + size - (capacity - sizeof(CUT_MARK));
	while (((unsigned char)*tail & 0xc0) == 0x80)
		tail++;
	memcpy(ret, CUT_MARK, sizeof(CUT_MARK) - 1);
	text_copy(ret + sizeof(CUT_MARK) - 1, capacity - (sizeof(CUT_MARK) - 1), tail);
}

static SONDE_PRINTF(2, 0) void message_write(struct sonde_error *error, const char *format,
					     va_list arguments)
{
	size_t cut;
	int size;

	/* Most messages need no formatting, which would take longer than all the rest. */
	if (!format || !strchr(format, '%')) {
		text_copy(error->message, sizeof(error->message), format);
		return;
	}
	size = vsnprintf(error->message, sizeof(error->message), format, arguments);
	if (size < 0) {
		/*
		 * Not to be formatted (a wide string that is none): what was meant is better than
		 * nothing.
		 */
		text_copy(error->message, sizeof(error->message), format);
		return;
	}
	if ((size_t)size < sizeof(error->message))
		return;
	cut = sonde__utf8_cut(error->message, sizeof(error->message) - 1,
			      sizeof(error->message) - sizeof(CUT_MARK));
	memcpy(error->message + cut, CUT_MARK, sizeof(CUT_MARK));
}

static void type_copy(struct sonde_error *error, const struct sonde_error_type *type)
{
	struct sonde__type_traits traits = sonde__type_resolve(type);
	size_t n = sonde__type_identify(type, error->identities, ERROR_IDENTITIES);

	error->type = type;
	error->http_status = traits.http_status;
	error->severity = traits.severity;
	error->n_identities = (uint8_t)(n < ERROR_IDENTITIES ? n : ERROR_IDENTITIES);
	text_copy(error->type_name, sizeof(error->type_name), type->name);
}

/* Takes `cause` into the chain of `error`; one that is not the caller's to give stays out. */
static void cause_take(struct sonde_error *error, struct sonde_error *cause)
{
	error->cause = NULL;
	error->depth = 1;
	error->n_omitted = 0;
	error->event_id = 0;
	if (!cause)
		return;
	if (!is_static(cause) && !state_change(cause, SONDE__ERROR_LIVE, SONDE__ERROR_OWNED)) {
		report_misuse("wrapped after it had been freed or wrapped");
		return;
	}
	error->cause = cause;
	if (cause->depth < SONDE__ERROR_CHAIN_MAX) {
		error->depth = (uint16_t)(cause->depth + 1);
		return;
	}
	error->cause = cause->cause;
	error->depth = SONDE__ERROR_CHAIN_MAX;
	error->n_omitted = cause->n_omitted + 1;
	error->event_id = cause->event_id;
	state_change(cause, SONDE__ERROR_OWNED, SONDE__ERROR_FREED);
	sonde__error_give(cause);
}

struct sonde_error *sonde_error_raise_at(const struct sonde_error_type *type,
					 struct sonde_error *cause, const char *file, int line,
					 const char *function, const char *format, ...)
{
	int saved_errno = errno;
	struct sonde_error *error = sonde__error_take();
	va_list arguments;

	if (!error) {
		errno = saved_errno;
		return cause ? cause : &no_memory;
	}
	error->n_frames = (uint8_t)sonde__stack_walk(error->frames, SONDE_ERROR_FRAMES);
	error->errno_value = saved_errno;
	error->format = (uintptr_t)format;
	error->line = line;
	error->attributes_size = 0;
	error->n_dropped = 0;
	type_copy(error, type ? type : &sonde_error_base);
	path_copy(error->file, sizeof(error->file), file);
	text_copy(error->function, sizeof(error->function), function);
	/*
	 * Before the cause goes: its texts may be among the arguments. And %m means the caller's
	 * errno.
	 */
	errno = saved_errno;
	va_start(arguments, format);
	message_write(error, format, arguments);
	va_end(arguments);
	cause_take(error, cause);
	errno = saved_errno;
	return error;
}

struct sonde_error *sonde_error_free(struct sonde_error *error)
{
	int saved_errno = errno;
	uint32_t state = SONDE__ERROR_LIVE;

	/* Every step marks one object FREED, and a marked one ends the loop: it ends. */
	while (error && !is_static(error)) {
		struct sonde_error *cause;

		if (!state_change(error, state, SONDE__ERROR_FREED)) {
			report_misuse("freed twice, or while another error owned it");
			break;
		}
		cause = error->cause;
		sonde__error_give(error);
		error = cause;
		state = SONDE__ERROR_OWNED;
	}
	errno = saved_errno;
	return NULL;
}

void sonde__error_cleanup(struct sonde_error **error)
{
	sonde_error_free(*error);
}

bool sonde__error_mark_captured(struct sonde_error *error, uint64_t event_id,
				uint64_t *ret_event_id)
{
	const struct sonde_error *at = error;

	for (size_t i = 0; at && i < SONDE__ERROR_CHAIN_MAX; i++, at = at->cause) {
		if (!at->event_id)
			continue;
		*ret_event_id = at->event_id;
		error->event_id = at->event_id;
		return true;
	}
	if (error && !is_static(error))
		error->event_id = event_id;
	return false;
}
