/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The C++ library's own function, with limits: a short name can stand for a text that is
 * exponentially longer, and is taken apart by recursion.
 *
 * Standard: Itanium C++ ABI, section 3.4 and 5.1.
 */

#include "name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_SIZE 1024

/* Of libstdc++ (or libc++abi), which has no header for C. */
extern char *__cxa_demangle(const char *name, char *buffer, size_t *size, int *ret_status);

bool sonde__name_demangle(const char *name, char *ret, size_t size)
{
	char *text;
	int status = 0;

	if (strncmp(name, "_Z", 2) != 0 || strlen(name) > NAME_MAX_SIZE)
		return false;
	text = __cxa_demangle(name, NULL, NULL, &status);
	if (!text)
		return false;
	snprintf(ret, size, "%s", text);
	free(text);
	return status == 0;
}
