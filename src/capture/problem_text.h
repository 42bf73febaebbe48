/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CAPTURE_PROBLEM_TEXT_H
#define SONDE_CAPTURE_PROBLEM_TEXT_H

/*
 * JSON into a bounded buffer. Whatever does not fit as a whole is taken back, so that what stands
 * there can always be closed. What is to be redacted in texts by the usual rules is: an answer goes
 * to whoever asked. Lock-free, async-signal-safe, allocates nothing.
 */

#include <stdbool.h>
#include <stddef.h>

struct sonde__json {
	char *buffer;
	size_t used;
	size_t limit; /* What must be closed later has its room behind. */
	bool is_full; /* Something did not fit since this was last cleared. */
};

void sonde__json_put(struct sonde__json *json, const char *bytes, size_t size);
void sonde__json_put_text(struct sonde__json *json, const char *text);

/*
 * A string of any bytes, with its quotes: invalid UTF-8 becomes U+FFFD. If `may_cut`, one that does
 * not fit ends in "…".
 */
void sonde__json_put_string(struct sonde__json *json, const char *text, size_t size, bool may_cut);

/* The inside of a string, which the caller opens and closes. */
void sonde__json_put_inside(struct sonde__json *json, const char *text, size_t size);

/*
 * The inside of a string: a field as a JSON Pointer in a URI fragment. A name stands for the member
 * of that name; what begins with '/' is a pointer already. Standard: RFC 6901, sections 5 and 6.
 */
void sonde__json_put_pointer(struct sonde__json *json, const char *field, size_t size);

/* Takes back to `mark`, an earlier `used`, if something did not fit; true: nothing was lost. */
bool sonde__json_settle(struct sonde__json *json, size_t mark);

#endif
