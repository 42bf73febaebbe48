/* SPDX-License-Identifier: Apache-2.0 */

/* What an error says. Reads the object alone; chains are walked within their bound. */

#include "error/error.h"

#include "base/error_number.h"
#include "error/object.h"
#include "error/types.h"

const struct sonde_error_type *sonde_error_type_of(const struct sonde_error *error)
{
	return error ? error->type : NULL;
}

bool sonde_error_is(const struct sonde_error *error, const struct sonde_error_type *type)
{
	uint32_t wanted;

	if (!error)
		return false;
	if (sonde__type_identify(type, &wanted, 1) == 0)
		return true;
	for (size_t i = 0; i < error->n_identities; i++)
		if (error->identities[i] == wanted)
			return true;
	/* Not copied in whole: the static error, and types with very many ancestors. */
	if (error->n_identities == 0 || error->n_identities == ERROR_IDENTITIES)
		return sonde_error_type_is(error->type, type);
	return false;
}

const char *sonde_error_message(const struct sonde_error *error)
{
	return error ? sonde__error_text(error, error->message_at) : "";
}

const char *sonde_error_detail(const struct sonde_error *error)
{
	if (!error || error->detail_at >= ERROR_BYTES_SIZE)
		return "";
	return sonde__error_text(error, error->detail_at);
}

const struct sonde_error *sonde_error_cause(const struct sonde_error *error)
{
	return error ? error->cause : NULL;
}

const struct sonde_error *sonde_error_joined(const struct sonde_error *error, size_t index)
{
	const struct sonde_error *one = error ? error->joined : NULL;

	if (!error || index >= error->n_joined)
		return NULL;
	while (one && index--)
		one = one->next;
	return one;
}

const char *sonde_error_file(const struct sonde_error *error)
{
	return error ? error->bytes : "";
}

int sonde_error_line(const struct sonde_error *error)
{
	return error ? error->line : 0;
}

const char *sonde_error_function(const struct sonde_error *error)
{
	return error ? sonde__error_text(error, error->function_at) : "";
}

int sonde_error_errno(const struct sonde_error *error)
{
	return error ? error->errno_value : 0;
}

const char *sonde_error_errno_name(const struct sonde_error *error)
{
	return error ? sonde__errno_name(error->errno_value) : "";
}

const struct sonde_error *sonde_error_find(const struct sonde_error *error,
					   const struct sonde_error_type *type)
{
	struct sonde__error_walk walk = { .next = error };

	while ((error = sonde__error_walk(&walk)) != NULL)
		if (sonde_error_is(error, type))
			return error;
	return NULL;
}

/* Where a walk goes on behind `error`, which has neither cause nor joined ones. */
static void walk_up(struct sonde__error_walk *walk)
{
	walk->next = NULL;
	while (walk->next_level > 0) {
		const struct sonde_error *sibling = walk->siblings[walk->next_level - 1];

		if (sibling) {
			walk->siblings[walk->next_level - 1] = sibling->next;
			walk->next = sibling;
			walk->next_is_joined = true;
			return;
		}
		walk->next_level--;
	}
}

const struct sonde_error *sonde__error_walk(struct sonde__error_walk *walk)
{
	const struct sonde_error *error = walk->next;

	if (!error || walk->n++ > SONDE__ERROR_TREE_MAX + SONDE__ERROR_CHAIN_MAX)
		return NULL;
	walk->level = walk->next_level;
	walk->is_joined = walk->next_is_joined;
	walk->n_in_chain = (uint16_t)(walk->is_joined ? 1 : walk->n_in_chain + 1);
	walk->next_is_joined = false;
	if (error->joined && walk->level < SONDE__ERROR_NEST_MAX) {
		walk->siblings[walk->next_level++] = error->joined->next;
		walk->next = error->joined;
		walk->next_is_joined = true;
	} else if (error->cause && walk->n_in_chain < SONDE__ERROR_CHAIN_MAX) {
		walk->next = error->cause;
	} else {
		walk_up(walk);
	}
	return error;
}

const char *sonde__error_type_name(const struct sonde_error *error)
{
	return error ? sonde__error_text(error, error->type_name_at) : "";
}

enum sonde_level sonde__error_severity(const struct sonde_error *error)
{
	return error ? (enum sonde_level)error->severity : SONDE_ERROR;
}

int sonde_error_http_status(const struct sonde_error *error)
{
	return error ? error->http_status : 0;
}

const char *sonde_error_code(const struct sonde_error *error)
{
	return error ? sonde__error_text(error, error->code_at) : "";
}

bool sonde_error_is_retryable(const struct sonde_error *error)
{
	return error && (error->flags & ERROR_IS_RETRYABLE);
}

bool sonde__error_has_public_message(const struct sonde_error *error)
{
	return error && (error->flags & ERROR_IS_PUBLIC);
}

int sonde__error_said_errno(const struct sonde_error *error)
{
	return error && (error->flags & ERROR_ERRNO_COUNTS) ? error->errno_value : 0;
}

const struct sonde_error *sonde__error_root(const struct sonde_error *error)
{
	for (size_t i = 1; error && i < SONDE__ERROR_CHAIN_MAX * (SONDE__ERROR_NEST_MAX + 1); i++) {
		const struct sonde_error *below =
			error->joined ? sonde_error_joined(error, error->primary) : error->cause;

		if (!below)
			break;
		error = below;
	}
	return error;
}

size_t sonde__error_chain_length(const struct sonde_error *error)
{
	size_t n = 0;

	for (; error && n < SONDE__ERROR_CHAIN_MAX; error = error->cause)
		n++;
	return n;
}

uint32_t sonde__error_n_omitted(const struct sonde_error *error)
{
	return error ? error->n_omitted : 0;
}

uint64_t sonde__error_format_address(const struct sonde_error *error)
{
	return error ? error->format : 0;
}

size_t sonde__error_frames(const struct sonde_error *error, const uint64_t **ret_frames)
{
	if (!error)
		return 0;
	*ret_frames = error->frames;
	return error->n_frames;
}
