/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_ERROR_ERROR_H
#define SONDE_ERROR_ERROR_H

/*
 * What capture needs from an error beyond <sonde/error.h>. All of it reads the object alone, so
 * that an error raised by a plugin can be captured after the plugin was unloaded. Lock-free,
 * async-signal-safe; NULL is accepted.
 */

#include <sonde/error.h>

/* No chain is longer: see sonde_error_wrap in docs/design/error.md. */
#define SONDE__ERROR_CHAIN_MAX 64

/* As the type said when the error was raised. */
const char *sonde__error_type_name(const struct sonde_error *error);
enum sonde_level sonde__error_severity(const struct sonde_error *error);
int sonde__error_http_status(const struct sonde_error *error);

/* The last error of the chain: what it all began with. */
const struct sonde_error *sonde__error_root(const struct sonde_error *error);

/* Errors in the chain, at most SONDE__ERROR_CHAIN_MAX. */
size_t sonde__error_chain_length(const struct sonde_error *error);

/* Errors that a chain at its limit had to leave out, just below this one. */
uint32_t sonde__error_n_omitted(const struct sonde_error *error);

/* Return addresses where this error was raised, the innermost first. */
size_t sonde__error_frames(const struct sonde_error *error, const uint64_t **ret_frames);

/* Where the format of its message was when it was raised; 0: it had none. Not to be followed. */
uint64_t sonde__error_format_address(const struct sonde_error *error);

/* This error's attributes as fields 6 of LogRecord, and how many did not fit. Keys may repeat. */
struct sonde_bytes sonde__error_attributes(const struct sonde_error *error,
					   uint16_t *ret_n_dropped);

/*
 * Marks the error as captured under `event_id`, which is not zero. True: it, or an error that it
 * wraps, was captured before, and *ret_event_id is the id of that event. The static out-of-memory
 * error is never marked.
 */
bool sonde__error_mark_captured(struct sonde_error *error, uint64_t event_id,
				uint64_t *ret_event_id);

#endif
