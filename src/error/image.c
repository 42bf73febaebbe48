/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An error as plain bytes. An object holds copies of all that it says, so that its bytes are its
 * image, without what it owned; only the type is a pointer, and stands for what the identities say
 * as well.
 */

#include "error/error.h"

#include <stddef.h>
#include <string.h>

#include "error/object.h"
#include "error/pool.h"

_Static_assert(sizeof(struct sonde_error) <= SONDE__ERROR_IMAGE_SIZE, "an error fits");

/* The library's own, which is where it is in every child of the process that wrote the image. */
static const struct sonde_error_type *type_of_library(const struct sonde_error_type *type)
{
#define IS_OWN(name, ...) || type == &name
	for (int i = 0; type && i < SONDE__ERROR_CHAIN_MAX; i++, type = type->parent)
		if (false SONDE_ERROR_TYPE_MAP(IS_OWN))
			return type;
#undef IS_OWN
	return &sonde_error_base;
}

void sonde__error_save(const struct sonde_error *error, bool is_for_others, void *ret_image)
{
	struct sonde_error image;

	memcpy(&image, error, sizeof(image));
	image.cause = image.joined = image.next = NULL;
	image.event_id = 0;
	image.n_omitted = 0;
	image.depth = image.n_objects = 1;
	image.n_joined = image.primary = image.nest = 0;
	image.flags &= (uint8_t) ~(ERROR_IS_POOLED | ERROR_IS_JOIN);
	if (is_for_others)
		image.type = type_of_library(image.type);
	memcpy(ret_image, &image, sizeof(image));
}

struct sonde_error *sonde__error_restore(const void *image)
{
	struct sonde_error *error = sonde__error_take();
	const size_t at = offsetof(struct sonde_error, errno_value);
	uint8_t flags;

	if (!error)
		return NULL;
	/* The state is the object's, and so is where it came from. */
	flags = error->flags & ERROR_IS_POOLED;
	memcpy((char *)error + at, (const char *)image + at, sizeof(*error) - at);
	error->flags |= flags;
	return error;
}
