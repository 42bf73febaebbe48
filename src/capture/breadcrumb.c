/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that leave breadcrumbs. Of long texts no more is looked at than could be kept. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <sonde/breadcrumb.h>

#include "capture/trail.h"

/* More than a breadcrumb holds, and enough to see that it was cut. */
#define TEXT_MAX_SIZE 120

static struct sonde_text text_of(const char *text)
{
	return (struct sonde_text){ text, text ? strnlen(text, TEXT_MAX_SIZE) : 0 };
}

void sonde__breadcrumb_text(enum sonde_level level, const char *category, const char *message)
{
	sonde__trail_add((int)level, text_of(category), text_of(message));
}

void sonde__breadcrumb(enum sonde_level level, const char *category, const char *format, ...)
{
	const int saved_errno = errno;
	char text[TEXT_MAX_SIZE + 1];
	va_list arguments;

	if (!format || !strchr(format, '%')) {
		sonde__breadcrumb_text(level, category, format);
		return;
	}
	va_start(arguments, format);
	/* errno is still the caller's, for %m. */
	if (vsnprintf(text, sizeof(text), format, arguments) < 0)
		text[0] = '\0';
	va_end(arguments);
	sonde__breadcrumb_text(level, category, text);
	errno = saved_errno;
}
