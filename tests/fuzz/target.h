/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_FUZZ_TARGET_H
#define SONDE_TESTS_FUZZ_TARGET_H

/*
 * What all fuzz targets have: libFuzzer's entry, and a check that ends the program where it fails,
 * with and without NDEBUG.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* The input as a terminated string on the heap, where a read past it is seen. */
static inline char *text_new(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	CHECK(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

#endif
