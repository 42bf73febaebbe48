/* SPDX-License-Identifier: Apache-2.0 */

/* Systems whose threads' stack bounds are not known here: the first frame alone. */

#include "stack/stack.h"

size_t sonde__stack_follow(const void *frame, uint64_t *frames, size_t capacity)
{
	(void)frame;
	(void)frames;
	(void)capacity;
	return 0;
}

size_t sonde__stack_walk_interrupted(const void *context, uint64_t *frames, size_t capacity)
{
	(void)context;
	(void)frames;
	(void)capacity;
	return 0;
}
