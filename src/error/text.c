/* SPDX-License-Identifier: Apache-2.0 */

/* Texts of bounded size: cut at a character, and marked, so that a cut is seen. */

#include "error/text.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

static size_t mark_cut(char *ret, size_t capacity)
{
	size_t cut = sonde__utf8_cut(ret, capacity - 1, capacity - sizeof(ERROR_CUT_MARK));

	memcpy(ret + cut, ERROR_CUT_MARK, sizeof(ERROR_CUT_MARK));
	return cut + sizeof(ERROR_CUT_MARK) - 1;
}

size_t sonde__error_text_copy(char *ret, size_t capacity, const char *text)
{
	size_t size = text ? strnlen(text, capacity) : 0;

	if (size < capacity) {
		memcpy(ret, text ? text : "", size);
		ret[size] = '\0';
		return size;
	}
	memcpy(ret, text, capacity - 1);
	return mark_cut(ret, capacity);
}

size_t sonde__error_path_copy(char *ret, size_t capacity, const char *path)
{
	const size_t mark_size = sizeof(ERROR_CUT_MARK) - 1;
	size_t size = path ? strlen(path) : 0;
	const char *tail;

	if (size < capacity)
		return sonde__error_text_copy(ret, capacity, path);
	tail = path + size - (capacity - sizeof(ERROR_CUT_MARK));
	while (((unsigned char)*tail & 0xc0) == 0x80)
		tail++;
	memcpy(ret, ERROR_CUT_MARK, mark_size);
	return mark_size +
	       sonde__error_text_copy(ret + mark_size, capacity - mark_size, tail);
}

size_t sonde__error_text_format(char *ret, size_t capacity, const char *format, va_list arguments)
{
	int size;

	/* Most messages need no formatting, which would take longer than all the rest. */
	if (!format || !strchr(format, '%'))
		return sonde__error_text_copy(ret, capacity, format);
	size = vsnprintf(ret, capacity, format, arguments);
	if (size < 0)
		return sonde__error_text_copy(ret, capacity, format);
	return (size_t)size < capacity ? (size_t)size : mark_cut(ret, capacity);
}
