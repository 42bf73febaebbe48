/* SPDX-License-Identifier: Apache-2.0 */

/* What an error says. Reads the object alone; chains are walked within their bound. */

#include "error/error.h"

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
	return error ? error->message : "";
}

const struct sonde_error *sonde_error_cause(const struct sonde_error *error)
{
	return error ? error->cause : NULL;
}

const char *sonde_error_file(const struct sonde_error *error)
{
	return error ? error->file : "";
}

int sonde_error_line(const struct sonde_error *error)
{
	return error ? error->line : 0;
}

const char *sonde_error_function(const struct sonde_error *error)
{
	return error ? error->function : "";
}

int sonde_error_errno(const struct sonde_error *error)
{
	return error ? error->errno_value : 0;
}

const struct sonde_error *sonde_error_find(const struct sonde_error *error,
					   const struct sonde_error_type *type)
{
	for (size_t i = 0; error && i < SONDE__ERROR_CHAIN_MAX; i++, error = error->cause)
		if (sonde_error_is(error, type))
			return error;
	return NULL;
}

const char *sonde__error_type_name(const struct sonde_error *error)
{
	return error ? error->type_name : "";
}

enum sonde_level sonde__error_severity(const struct sonde_error *error)
{
	return error ? (enum sonde_level)error->severity : SONDE_ERROR;
}

int sonde__error_http_status(const struct sonde_error *error)
{
	return error ? error->http_status : 0;
}

const struct sonde_error *sonde__error_root(const struct sonde_error *error)
{
	for (size_t i = 1; error && error->cause && i < SONDE__ERROR_CHAIN_MAX; i++)
		error = error->cause;
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
