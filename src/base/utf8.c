/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 after RFC 3629. Nearly all text is ASCII, so runs of it are skipped eight bytes at a time
 * and only the rest is looked at character by character.
 */

#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

static size_t ascii_prefix(const uint8_t *bytes, size_t size)
{
	size_t i = 0;

	for (uint64_t word; i + sizeof(word) <= size; i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		if (word & UINT64_C(0x8080808080808080))
			break;
	}
	while (i < size && bytes[i] < 0x80)
		i++;
	return i;
}

/*
 * The character that begins at `bytes`: its length and true, or false and the length of the maximal
 * part that a character could have begun with (Unicode, section 3.9, U+FFFD substitution).
 */
static bool character_read(const uint8_t *bytes, size_t size, size_t *ret_length)
{
	uint8_t first = bytes[0];
	uint8_t low = 0x80;
	uint8_t high = 0xbf;
	size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	*ret_length = 1;
	if (first < 0x80)
		return true;
	if (first < 0xc2 || first > 0xf4)
		return false;
	/* The second byte's range excludes overlong forms, surrogates and what is past U+10FFFF. */
	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	for (size_t i = 1; i < length; i++) {
		if (i >= size || bytes[i] < low || bytes[i] > high)
			return false;
		*ret_length = i + 1;
		low = 0x80;
		high = 0xbf;
	}
	return true;
}

size_t sonde__utf8_valid_prefix(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	size_t done = 0;

	while (done < size) {
		size_t length;

		done += ascii_prefix(bytes + done, size - done);
		/* Characters of other scripts come in runs, too. */
		while (done < size && bytes[done] >= 0x80) {
			if (!character_read(bytes + done, size - done, &length))
				return done;
			done += length;
		}
	}
	return done;
}

bool sonde__utf8_is_valid(const void *data, size_t size)
{
	return sonde__utf8_valid_prefix(data, size) == size;
}

size_t sonde__utf8_repair(const void *data, size_t size, char *ret)
{
	static const char replacement[3] = { '\xef', '\xbf', '\xbd' };
	const uint8_t *bytes = data;
	size_t done = 0;
	size_t written = 0;

	while (done < size) {
		size_t length = sonde__utf8_valid_prefix(bytes + done, size - done);

		memcpy(ret + written, bytes + done, length);
		written += length;
		done += length;
		if (done == size)
			break;
		character_read(bytes + done, size - done, &length);
		memcpy(ret + written, replacement, sizeof(replacement));
		written += sizeof(replacement);
		done += length;
	}
	return written;
}

size_t sonde__utf8_cut(const char *data, size_t size, size_t limit)
{
	size_t start;
	size_t length;

	if (size <= limit)
		return size;
	if (!limit)
		return 0;
	/*
	 * Back to the byte that begins the character at the edge; at most three, whatever the text
	 * is.
	 */
	for (start = limit; start > 0 && limit - start < 3; start--)
		if (((uint8_t)data[start] & 0xc0) != 0x80)
			break;
	if (start == limit || !character_read((const uint8_t *)data + start, size - start, &length))
		return limit;
	return start + length > limit ? start : limit;
}

size_t sonde__utf8_cut_characters(const char *data, size_t size, size_t n_characters)
{
	size_t done = 0;

	/* A character has at least one byte. */
	if (size <= n_characters)
		return size;
	for (size_t n = 0; n < n_characters && done < size; n++) {
		size_t length;

		character_read((const uint8_t *)data + done, size - done, &length);
		done += length;
	}
	return done;
}
