/* SPDX-License-Identifier: Apache-2.0 */
/* Names of error numbers, where the C library knows them (glibc from 2.32 on). */

#include "base/error_number.h"

#include <stddef.h>
#include <string.h>

const char *sonde__errno_name(int number)
{
	const char *name = number > 0 ? strerrorname_np(number) : NULL;

	return name ? name : "";
}
