/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_FINGERPRINT_H
#define SONDE_FINGERPRINT_H

/*
 * Which errors are one bug, if the service knows better: options.fingerprint is shown an error and
 * says what it is grouped by.
 *
 *	static const char *by_bank(void *user, const struct sonde_fingerprint_view *error)
 *	{
 *		const struct sonde_fingerprint_link *root = &error->links[error->n_links - 1];
 *
 *		return is_about_bank(root->message) ? "the bank is closed" : NULL;
 *	}
 *
 * It runs on the agent's background thread, one call at a time, and must return. It is asked once
 * for errors with the same types, messages, places and stacks, as long as that is remembered, and
 * also for errors that are then held back; not for those whose raiser said it already
 * (sonde_error_set_fingerprint). A slow one delays delivery, and is told of. What it records itself
 * leaves without being shown to it.
 */

#include <sonde/base.h>

SONDE_BEGIN_DECLS

/* One error of the chain. Texts are not terminated. */
struct sonde_fingerprint_link {
	struct sonde_text type;
	struct sonde_text message;
	struct sonde_text file;
	struct sonde_text function;
	uint32_t line;
	int32_t errno_value;
};

struct sonde_fingerprint_frame {
	struct sonde_text function; /* As the linker names it; empty: not known. */
	struct sonde_text module; /* The last part of its path; empty: in none. */
	uint64_t offset; /* In the module's file. */
	bool is_in_app;
};

struct sonde_fingerprint_view {
	size_t size;
	const struct sonde_fingerprint_link *links; /* Outermost first, the root cause last. */
	size_t n_links; /* At least 1, at most 16: of more, those before the root are left out. */
	const struct sonde_fingerprint_frame *frames; /* Where it was raised, innermost first. */
	size_t n_frames;
	uint64_t fingerprint; /* What it will be otherwise. */
	uint16_t http_status;
	uint8_t severity; /* enum sonde_level */
};

SONDE_END_DECLS

#endif
