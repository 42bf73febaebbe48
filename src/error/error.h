/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_ERROR_ERROR_H
#define SONDE_ERROR_ERROR_H

/*
 * What capture needs from an error beyond <sonde/error.h>. All of it reads the object alone, so
 * that an error raised by a plugin can be captured after the plugin was unloaded. Lock-free,
 * async-signal-safe; NULL is accepted.
 */

#include <sonde/error.h>

/*
 * Bounds, see docs/design/error.md: errors in a chain, in a join, joins one inside the other, and
 * errors in all that one join holds.
 */
#define SONDE__ERROR_CHAIN_MAX 64
#define SONDE__ERROR_JOINED_MAX SONDE_ERROR_JOINED_MAX
#define SONDE__ERROR_NEST_MAX 3
#define SONDE__ERROR_TREE_MAX 192

/* As the type said when the error was raised. */
const char *sonde__error_type_name(const struct sonde_error *error);
enum sonde_level sonde__error_severity(const struct sonde_error *error);
bool sonde__error_has_public_message(const struct sonde_error *error);

/*
 * What it all began with: the last error of the chain, where several were joined that of the one
 * that gave the join its type.
 */
const struct sonde_error *sonde__error_root(const struct sonde_error *error);

/* errno where it was said to matter, by sonde_error_set_errno or %m in the message; else 0. */
int sonde__error_said_errno(const struct sonde_error *error);

/*
 * Walks an error with all its causes and those that are joined in it, each before its cause and
 * before what is joined in it. Begins with { .next = error }; NULL at the end, which comes even in
 * memory that somebody overwrote.
 */
struct sonde__error_walk {
	const struct sonde_error *next;
	const struct sonde_error *siblings[SONDE__ERROR_NEST_MAX];
	uint16_t n;
	uint16_t n_in_chain;
	uint8_t next_level;
	bool next_is_joined;
	uint8_t level; /* Of the error that was returned: joins around it. */
	bool is_joined; /* It is joined in another, not the cause of the one before. */
};

const struct sonde_error *sonde__error_walk(struct sonde__error_walk *walk);

/* Errors in the chain of causes alone, at most SONDE__ERROR_CHAIN_MAX. */
size_t sonde__error_chain_length(const struct sonde_error *error);

/* Errors that a chain at its limit had to leave out, just below this one. */
uint32_t sonde__error_n_omitted(const struct sonde_error *error);

/* Return addresses where this error was raised, the innermost first. */
size_t sonde__error_frames(const struct sonde_error *error, const uint64_t **ret_frames);

/*
 * Gives it this stack, another thread's, in place of where it was raised; what is more than
 * SONDE_ERROR_FRAMES is left out. For an error of the caller's.
 */
void sonde__error_set_stack(struct sonde_error *error, const uint64_t *frames, size_t n_frames);

/* Where the format of its message was when it was raised; 0: it had none. Not to be followed. */
uint64_t sonde__error_format_address(const struct sonde_error *error);

/* This error's attributes as fields 6 of LogRecord, and how many did not fit. Keys may repeat. */
struct sonde_bytes sonde__error_attributes(const struct sonde_error *error,
					   uint16_t *ret_n_dropped);

/*
 * Makes `cause` the cause of the error, or of the last of its causes, and takes it over; lets go of
 * it where that has errors joined in it. Returns the error; the cause where that says more: there
 * is no error, or it says only that memory ran out.
 */
struct sonde_error *sonde__error_caused_by(struct sonde_error *error, struct sonde_error *cause);

/* Keys of the attributes that sonde_error_add_field sets. */
#define SONDE__ERROR_FIELD_PREFIX "sonde.error.field."
/* The key of what sonde_error_set_retry_after sets. */
#define SONDE__ERROR_RETRY_AFTER "sonde.error.retry_after"

/* Whether there is nothing in the error that was not captured. */
bool sonde__error_is_captured(const struct sonde_error *error);

/* Under which id this very error was captured; 0: it was not, whatever it wraps. */
uint64_t sonde__error_event_id(const struct sonde_error *error);

/*
 * Marks the error as captured under `event_id`, which is not zero. True: it, or an error that it
 * wraps, was captured before, and *ret_event_id is the id of that event. The static out-of-memory
 * error is never marked.
 */
bool sonde__error_mark_captured(struct sonde_error *error, uint64_t event_id,
				uint64_t *ret_event_id);

/*
 * Keeps what an error says beyond its life: this one, without causes and what is joined in it, as
 * never captured. The image is aligned to 8 bytes. One that is for other processes names its type
 * by the nearest that is the library's; sonde_error_is answers as it did all the same.
 */
#define SONDE__ERROR_IMAGE_SIZE 1024

void sonde__error_save(const struct sonde_error *error, bool is_for_others, void *ret_image);
/* An error of the caller's that says it again; NULL: out of memory. */
struct sonde_error *sonde__error_restore(const void *image);

#endif
