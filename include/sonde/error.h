/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_ERROR_H
#define SONDE_ERROR_H

/*
 * Errors as objects: a type, a message that is safe to show, the place and the stack where they
 * were raised, attributes, and the error that caused them.
 *
 *	struct sonde_error *error = sonde_error_raise(&sonde_not_found, "order %d is not there", id);
 *	return sonde_error_wrap(error, &sonde_external_service, "the price list was not read");
 *
 * Works with no agent. NULL is "no error" and is accepted everywhere. Objects come from a bounded
 * pool and, past it, from the heap; where that fails too, from one static error that says so:
 * raising never returns NULL. An error belongs to one thread at a time; wrapping moves the
 * ownership of the cause into the new error.
 */

#include <sonde/attribute.h>
#include <sonde/base.h>

SONDE_BEGIN_DECLS

struct sonde_error;

/* A yes or no that a subtype inherits unless it says otherwise; `true` reads as yes. */
enum sonde_trait {
	SONDE_INHERIT = 0,
	SONDE_YES = 1,
	SONDE_NO = 2,
};

/* A type is a static object. Zero in any field means: as the parent has it. */
struct sonde_error_type {
	size_t size;
	const char *name; /* Becomes exception.type and error.type. */
	const struct sonde_error_type *parent; /* NULL in sonde_error_base alone. */
	const char *code; /* For programs: "NOT_FOUND". */
	uint16_t http_status;
	uint8_t severity; /* enum sonde_level */
	uint8_t retryable; /* enum sonde_trait */
	uint8_t public_message; /* enum sonde_trait: the message may be shown to a client. */
	uint8_t stack; /* enum sonde_trait: raising takes the stack; YES unless said otherwise. */
};

/*
 * Declares a subtype in one line; the options are designated initialisers of the struct above:
 *
 *	SONDE_ERROR_TYPE(user_not_found, sonde_not_found, "USER_NOT_FOUND");
 *	SONDE_ERROR_TYPE(user_gone, sonde_not_found, "USER_GONE", .http_status = 410);
 *
 * In C++ the options stand in the order of the struct, 0 for those to be inherited:
 *
 *	SONDE_ERROR_TYPE(user_gone, sonde_not_found, "USER_GONE", 410);
 */
#ifdef __cplusplus
#define SONDE_ERROR_TYPE(type_name, parent_type, ...) \
	static const struct sonde_error_type type_name __attribute__((unused)) = \
		sonde__error_type_make(#type_name, &parent_type, __VA_ARGS__)

static constexpr inline struct sonde_error_type
sonde__error_type_make(const char *name, const struct sonde_error_type *parent, const char *code,
		       uint16_t http_status = 0, uint8_t severity = 0, uint8_t retryable = 0,
		       uint8_t public_message = 0, uint8_t stack = 0)
{
	return { sizeof(struct sonde_error_type), name, parent, code, http_status, severity,
		 retryable, public_message, stack };
}
#else
#define SONDE_ERROR_TYPE(type_name, parent_type, ...) \
	static const struct sonde_error_type type_name __attribute__((unused)) = { \
		.name = #type_name, \
		.parent = &parent_type, \
		.code = SONDE__FIRST(__VA_ARGS__), \
		SONDE__REST(__VA_ARGS__, .size = sizeof(struct sonde_error_type)) \
	}
#endif

/* The catalogue: name, parent, code, HTTP status, severity, retryable, public message. */
#define SONDE_ERROR_TYPE_MAP(X) \
	X(sonde_error_base, 0, "ERROR", 500, SONDE_ERROR, SONDE_NO, SONDE_NO) \
	X(sonde_bad_request, &sonde_error_base, "BAD_REQUEST", 400, SONDE_WARN, SONDE_NO, SONDE_YES) \
	X(sonde_validation, &sonde_bad_request, "VALIDATION", 422, 0, 0, 0) \
	X(sonde_unauthorized, &sonde_error_base, "UNAUTHORIZED", 401, SONDE_WARN, SONDE_NO, SONDE_YES) \
	X(sonde_forbidden, &sonde_error_base, "FORBIDDEN", 403, SONDE_WARN, SONDE_NO, SONDE_YES) \
	X(sonde_not_found, &sonde_error_base, "NOT_FOUND", 404, SONDE_WARN, SONDE_NO, SONDE_YES) \
	X(sonde_conflict, &sonde_error_base, "CONFLICT", 409, SONDE_WARN, SONDE_NO, SONDE_YES) \
	X(sonde_cancelled, &sonde_error_base, "CANCELLED", 499, SONDE_INFO, SONDE_NO, SONDE_NO) \
	X(sonde_internal, &sonde_error_base, "INTERNAL", 500, SONDE_ERROR, SONDE_NO, SONDE_NO) \
	X(sonde_out_of_memory, &sonde_internal, "OUT_OF_MEMORY", 503, 0, SONDE_YES, 0) \
	X(sonde_external_service, &sonde_error_base, "EXTERNAL_SERVICE", 502, SONDE_ERROR, SONDE_YES, SONDE_NO) \
	X(sonde_unavailable, &sonde_error_base, "UNAVAILABLE", 503, SONDE_ERROR, SONDE_YES, SONDE_NO) \
	X(sonde_circuit_open, &sonde_unavailable, "CIRCUIT_OPEN", 503, 0, SONDE_NO, 0) \
	X(sonde_closed, &sonde_unavailable, "CLOSED", 503, 0, SONDE_NO, 0) \
	X(sonde_exhausted, &sonde_unavailable, "EXHAUSTED", 503, 0, 0, 0) \
	X(sonde_bulkhead_full, &sonde_exhausted, "BULKHEAD_FULL", 503, 0, 0, 0) \
	X(sonde_queue_full, &sonde_exhausted, "QUEUE_FULL", 503, 0, 0, 0) \
	X(sonde_rate_limited, &sonde_exhausted, "RATE_LIMITED", 429, SONDE_WARN, 0, SONDE_YES) \
	X(sonde_timeout, &sonde_error_base, "TIMEOUT", 504, SONDE_ERROR, SONDE_YES, SONDE_NO)

#define SONDE__DECLARE_ERROR_TYPE(name, ...) SONDE_API extern const struct sonde_error_type name;
SONDE_ERROR_TYPE_MAP(SONDE__DECLARE_ERROR_TYPE)
#undef SONDE__DECLARE_ERROR_TYPE

/* What a type says, found by walking up. Wait-free, async-signal-safe; NULL is sonde_error_base. */
SONDE_API bool sonde_error_type_is(const struct sonde_error_type *type,
				   const struct sonde_error_type *ancestor);
SONDE_API int sonde_error_type_http_status(const struct sonde_error_type *type);
SONDE_API enum sonde_level sonde_error_type_severity(const struct sonde_error_type *type);
SONDE_API bool sonde_error_type_is_retryable(const struct sonde_error_type *type);
SONDE_API bool sonde_error_type_has_public_message(const struct sonde_error_type *type);

/*
 * Raises an error here: takes the place, errno and, by frame pointers, up to 16 return addresses.
 * printf-checked; the message is cut past SONDE_ERROR_MESSAGE_SIZE - 1 bytes, and marked.
 * Lock-free; may allocate when the pool is empty. Keeps errno.
 */
#define SONDE_ERROR_MESSAGE_SIZE 256
#define SONDE_ERROR_FRAMES 16

#define sonde_error_raise(type, ...) \
	sonde_error_raise_at(type, /* cause= */ NULL, __FILE__, __LINE__, __func__, __VA_ARGS__)

/*
 * Raises an error that `cause` caused; takes `cause` over (NULL: as sonde_error_raise). With a type
 * of NULL it is a context: of its cause's type, for those who ask what kind of error it is, with a
 * message and a place of its own.
 */
#define sonde_error_wrap(cause, type, ...) \
	sonde_error_raise_at(type, cause, __FILE__, __LINE__, __func__, __VA_ARGS__)

SONDE_API struct sonde_error *sonde_error_raise_at(const struct sonde_error_type *type,
						   struct sonde_error *cause, const char *file,
						   int line, const char *function,
						   const char *format, ...) SONDE_PRINTF(6, 7)
	__attribute__((returns_nonnull, warn_unused_result, cold));

/*
 * Makes one error of two; owns both. NULL is no error: the other one is returned, so that a loop
 * collects by `all = sonde_error_join(all, one)`. A join that nobody wrapped yet takes more in, up
 * to SONDE_ERROR_JOINED_MAX; past it what comes is counted, and kept in the place of the last where
 * it is worse. Type, severity and HTTP status are those of the worst; it is public, and worth
 * trying again, where all of them are. Lock-free; where there is no memory the worse one is kept.
 */
#define SONDE_ERROR_JOINED_MAX 16

#define sonde_error_join(a, b) sonde_error_join_at(a, b, __FILE__, __LINE__, __func__)

SONDE_API struct sonde_error *sonde_error_join_at(struct sonde_error *a, struct sonde_error *b,
						  const char *file, int line,
						  const char *function)
	__attribute__((warn_unused_result, cold));

/*
 * Frees the error, its causes and what is joined in it; returns NULL, so that `error =
 * sonde_error_free(error)` works.
 */
SONDE_API struct sonde_error *sonde_error_free(struct sonde_error *error);

/*
 * The same error once more, with its causes and all that is joined in it, for somebody else who
 * has to be told: an error has one owner. Captured before, it counts as captured. Where memory runs
 * out it is alone, or the one that says so. NULL for NULL.
 */
SONDE_API struct sonde_error *sonde_error_copy(const struct sonde_error *error)
	__attribute__((warn_unused_result));

/* Frees at the end of the block: SONDE_ERROR_AUTOFREE struct sonde_error *error = f(); */
#define SONDE_ERROR_AUTOFREE SONDE_CLEANUP(sonde__error_cleanup)
SONDE_API void sonde__error_cleanup(struct sonde_error **error);

/* Takes it out of a variable that would free it: return sonde_error_steal(&error); */
static inline struct sonde_error *sonde_error_steal(struct sonde_error **error)
{
	struct sonde_error *stolen = *error;

	*error = 0;
	return stolen;
}

/*
 * What may be added, each copied; NULL is ignored. The error has some hundred bytes for all of it:
 * what does not fit is counted in the exported record.
 *
 * Attributes, one, or several on the way up: return sonde_error_with(error, SONDE_ATTRS(…));
 */
SONDE_API void sonde_error_set(struct sonde_error *error, struct sonde_attr attr);
SONDE_API struct sonde_error *sonde_error_with(struct sonde_error *error,
					       const struct sonde_attr *attrs, size_t n_attrs);
/*
 * Text for those who run the service: exported as sonde.error.detail, never shown to a client. Cut
 * past 255 bytes, or earlier where there is no room, and marked. Replaces what was there.
 */
SONDE_API void sonde_error_set_detail(struct sonde_error *error, const char *format, ...)
	SONDE_PRINTF(2, 3);
/*
 * Names a field of the request that is wrong, and what is: sonde_problem_write lists it for the
 * client, where the error is public. "email" is the member of that name, "/items/0/price" a JSON
 * Pointer. Several texts for one field are kept, one after the other. An attribute:
 * sonde.error.field.<field>.
 */
SONDE_API void sonde_error_add_field(struct sonde_error *error, const char *field,
				     const char *format, ...) SONDE_PRINTF(3, 4);
/* In place of the errno that was found when it was raised; 0: there is none to speak of. */
SONDE_API void sonde_error_set_errno(struct sonde_error *error, int number);
/*
 * How long whoever refused asked us to wait before the next attempt: Retry-After, RetryInfo. What
 * retries waits that long, sonde_problem_retry_after passes it on. Nanoseconds, kept to a
 * microsecond or better; an attribute, in seconds: sonde.error.retry_after.
 */
SONDE_API void sonde_error_set_retry_after(struct sonde_error *error, uint64_t delay_ns);
/* Takes the stack here, where the type asked for none. By frame pointers. */
SONDE_API void sonde_error_add_stack(struct sonde_error *error);

/*
 * Says which errors this one is grouped with: all those with the same text, up to 128 bytes, are
 * one bug, wherever they come from. "{{ default }}" in it stands for the grouping that there would
 * have been; 16 hexadecimal digits, as they were exported, are that group's. Of a chain the
 * outermost error's counts. An attribute: sonde.error.group. As sonde_error_set.
 */
SONDE_API void sonde_error_set_fingerprint(struct sonde_error *error, const char *text);

/*
 * What an error says. Text lives as long as the error; "" or NULL for no error as the type
 * suggests.
 */
SONDE_API const struct sonde_error_type *sonde_error_type_of(const struct sonde_error *error);
SONDE_API bool sonde_error_is(const struct sonde_error *error, const struct sonde_error_type *type);
/* As its type said when it was raised: "NOT_FOUND", 404 (0 for NULL), whether to try again. */
SONDE_API const char *sonde_error_code(const struct sonde_error *error);
SONDE_API int sonde_error_http_status(const struct sonde_error *error);
SONDE_API bool sonde_error_is_retryable(const struct sonde_error *error);
/*
 * The delay that was set on the error, else on the nearest of its causes; of joined ones the
 * longest. UINT64_MAX: nobody asked for one.
 */
SONDE_API uint64_t sonde_error_retry_after_ns(const struct sonde_error *error);
SONDE_API const char *sonde_error_message(const struct sonde_error *error);
SONDE_API const char *sonde_error_detail(const struct sonde_error *error); /* Until it is set. */
SONDE_API const struct sonde_error *sonde_error_cause(const struct sonde_error *error);
/* The errors joined in it, from 0 on; NULL past the last. */
SONDE_API const struct sonde_error *sonde_error_joined(const struct sonde_error *error,
						       size_t index);
SONDE_API const char *sonde_error_file(const struct sonde_error *error);
SONDE_API int sonde_error_line(const struct sonde_error *error);
SONDE_API const char *sonde_error_function(const struct sonde_error *error);
/*
 * As it was when the error was raised, or was set. "ENOENT". Told with the error only where it was
 * set or where the message says it by %m: else it may be of a call long ago.
 */
SONDE_API int sonde_error_errno(const struct sonde_error *error);
SONDE_API const char *sonde_error_errno_name(const struct sonde_error *error);
/* The first error of `type`: the error, then its causes and all that is joined; or NULL. */
SONDE_API const struct sonde_error *sonde_error_find(const struct sonde_error *error,
						     const struct sonde_error_type *type);

/*
 * Writes as text, cut to `size` bytes with the terminating zero, and returns the length that the
 * whole text has, as snprintf does. The line is "TYPE: message"; the chain has a line for each
 * error with its place, errno and detail, from the outermost to the root cause, joined ones as a
 * tree.
 */
SONDE_API size_t sonde_error_format(const struct sonde_error *error, char *buffer, size_t size);
SONDE_API size_t sonde_error_format_chain(const struct sonde_error *error, char *buffer,
					  size_t size);

SONDE_END_DECLS

#endif
