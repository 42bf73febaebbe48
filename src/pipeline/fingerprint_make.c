/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What makes two errors the same bug:
 *
 *	the types of the chain, the outermost first, repetitions once
 *	the types of those that were joined, as a set
 *	the file, by its last name, in which the root cause was raised
 *	the functions: the one that raised it, by the macro's word, and the innermost of the
 *	application's callers, each function once
 *
 *	the format of the message, which names the place in the function as its line would, and
 *	stays where it is when lines move
 *
 * A fixed number of functions, so that a helper that raises for everybody is not all there is, and
 * so that a bug that is reached on many ways does not become many.
 */

#include "pipeline/fingerprint_make.h"

#include <string.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "record/view.h"
#include "stack/frame.h"
#include "stack/identity.h"
#include "stack/module.h"

/* Changed when the recipe is: what is stored elsewhere then counts as never seen. */
#define SEED UINT64_C(0x736f6e64652d6631)
#define FORMAT_SIZE 256
#define TYPES_MAX 8
#define JOINED_MAX 8
#define FRAMES_AT_ONCE 8
#define FUNCTIONS_MAX 4

struct ingredients {
	uint64_t types[TYPES_MAX + 1];
	size_t n_types;
	uint64_t joined[JOINED_MAX]; /* In the order of the numbers. */
	size_t n_joined;
	uint64_t file;
	uint64_t functions[FUNCTIONS_MAX];
	size_t n_functions;
	uint64_t format;
	bool has_place; /* The first function is where the macro stands. */
};

static uint64_t text_hash(struct sonde_text text)
{
	return sonde__hash_bytes(SEED, text.data, text.size);
}

static struct sonde_text last_name(struct sonde_text path)
{
	const char *slash = memrchr(path.data, '/', path.size);
	size_t skipped = slash ? (size_t)(slash + 1 - path.data) : 0;

	return (struct sonde_text){ path.data + skipped, path.size - skipped };
}

static void types_add(struct ingredients *in, uint64_t type)
{
	if (in->n_types && in->types[in->n_types - 1] == type)
		return;
	/* The last is the root's, whatever had no place before it. */
	if (in->n_types > TYPES_MAX)
		in->n_types = TYPES_MAX;
	in->types[in->n_types++] = type;
}

/* Errors that were joined are a set: which failed first, and how many did, is chance. */
static void joined_add(struct ingredients *in, uint64_t type)
{
	size_t at = 0;

	while (at < in->n_joined && in->joined[at] < type)
		at++;
	if (at == JOINED_MAX || (at < in->n_joined && in->joined[at] == type))
		return;
	/* Of too many the smallest numbers stay, whatever came first. */
	if (in->n_joined < JOINED_MAX)
		in->n_joined++;
	memmove(in->joined + at + 1, in->joined + at, (in->n_joined - 1 - at) * sizeof(type));
	in->joined[at] = type;
}

static void functions_add(struct ingredients *in, uint64_t function)
{
	for (size_t i = 0; i < in->n_functions; i++)
		if (in->functions[i] == function)
			return;
	if (in->n_functions < FUNCTIONS_MAX)
		in->functions[in->n_functions++] = function;
}

static void read_chain(struct ingredients *in, const struct sonde__error_record *record)
{
	const struct sonde__error_link *walk = NULL;
	struct sonde__error_link_view link = { 0 };
	struct sonde__error_link_view root = { 0 };
	bool has_root = false;

	while (sonde__error_record_next(record, &walk, &link)) {
		if (link.level)
			joined_add(in, text_hash(link.type));
		else
			types_add(in, text_hash(link.type));
		if (!has_root)
			root = link;
		has_root |= (link.flags & SONDE__LINK_HAS_FRAMES) != 0;
	}
	in->file = text_hash(last_name(root.file));
	in->has_place = root.function.size > 0;
	if (in->has_place)
		functions_add(in, sonde__name_identity(root.function.data, root.function.size));
}

/*
 * Two places in one function differ in what they say. A format that is no literal would bring the
 * message in, and one that is translated the language: they do not count.
 */
static void read_format(struct ingredients *in, uint64_t address)
{
	char format[FORMAT_SIZE];

	if (address && sonde__literal_read(address, format, sizeof(format)))
		in->format = text_hash((struct sonde_text){ format, strlen(format) });
}

/* Where no name is known the place in this very build. */
static uint64_t nameless(const struct sonde__frame *frame)
{
	uint64_t build = frame->build_id_size
				 ? sonde__hash_bytes(SEED, frame->build_id, frame->build_id_size)
				 : sonde__hash_bytes(SEED, frame->module, strlen(frame->module));

	return sonde__hash_word(build, frame->offset);
}

/* Whether the innermost of the application's is still to come, before and after. */
static bool read_frames(struct ingredients *in, const struct sonde__frame *frames, size_t n,
			bool is_innermost)
{
	for (size_t i = 0; i < n; i++) {
		if (frames[i].is_inlined || !frames[i].is_in_app)
			continue;
		if (frames[i].identity)
			functions_add(in, frames[i].identity);
		else if (!is_innermost || !in->has_place)
			functions_add(in, nameless(&frames[i]));
		is_innermost = false;
	}
	return is_innermost;
}

/* Not further than is needed: what has no name yet costs a pass over a symbol table. */
static void read_stack(struct ingredients *in, const struct sonde__error_record *record)
{
	const uint64_t *addresses = sonde__error_record_frames(record);
	struct sonde__frame frames[FRAMES_AT_ONCE * 3];
	bool is_innermost = true;

	for (size_t i = 0; i < record->n_frames && in->n_functions < FUNCTIONS_MAX;
	     i += FRAMES_AT_ONCE) {
		size_t left = record->n_frames - i;
		size_t n = sonde__stack_resolve(addresses + i,
						left < FRAMES_AT_ONCE ? left : FRAMES_AT_ONCE,
						frames, SONDE__ARRAY_SIZE(frames));

		is_innermost = read_frames(in, frames, n, is_innermost);
	}
}

static uint64_t mix(const struct ingredients *in)
{
	uint64_t hash = sonde__hash_bytes(SEED, in->types, in->n_types * sizeof(in->types[0]));

	hash = sonde__hash_bytes(hash, in->joined, in->n_joined * sizeof(in->joined[0]));
	hash = sonde__hash_word(hash, in->file);
	hash = sonde__hash_bytes(hash, in->functions, in->n_functions * sizeof(in->functions[0]));
	hash = sonde__hash_word(hash, in->format);
	return hash ? hash : 1;
}

uint64_t sonde__fingerprint_make(const struct sonde__error_record *record)
{
	struct ingredients in = { 0 };

	read_chain(&in, record);
	read_stack(&in, record);
	read_format(&in, record->format);
	return mix(&in);
}
