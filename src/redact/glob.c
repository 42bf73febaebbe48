/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The usual matching with one step back: what a `*` takes grows until the rest fits, and only the
 * last `*` ever has to be thought over again. So the work is the product of the lengths at most.
 */

#include "redact/glob.h"

#include <stdlib.h>
#include <string.h>

#include <sonde/base.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void add(struct sonde__globs *globs, const char *from, const char *to)
{
	struct sonde__glob *glob = &globs->own[globs->n];

	while (from < to && is_blank(*from))
		from++;
	while (to > from && is_blank(to[-1]))
		to--;
	glob->is_exception = from < to && *from == '!';
	from += glob->is_exception;
	if (from == to)
		return;
	glob->pattern = from;
	glob->size = (uint32_t)(to - from);
	globs->n++;
}

int sonde__globs_init(struct sonde__globs *globs, const char *list)
{
	size_t size = strlen(list);
	size_t n = 1;
	const char *from;

	for (size_t i = 0; i < size; i++)
		n += list[i] == ',';
	*globs = (struct sonde__globs){ .own = calloc(n, sizeof(*globs->own)),
					.text = malloc(size + 1) };
	globs->globs = globs->own;
	if (!globs->own || !globs->text) {
		sonde__globs_deinit(globs);
		return SONDE_E_NOMEM;
	}
	for (size_t i = 0; i <= size; i++)
		globs->text[i] = (char)sonde__fold((uint8_t)list[i]);
	from = globs->text;
	for (size_t i = 0; i <= size; i++) {
		if (globs->text[i] != ',' && globs->text[i])
			continue;
		add(globs, from, globs->text + i);
		from = globs->text + i + 1;
	}
	return SONDE_OK;
}

void sonde__globs_deinit(struct sonde__globs *globs)
{
	free(globs->own);
	free(globs->text);
	*globs = (struct sonde__globs){ 0 };
}

static bool glob_match(const struct sonde__glob *glob, const uint8_t *key, size_t size)
{
	size_t star = SIZE_MAX; /* Of the pattern; what it takes ends at `taken`. */
	size_t taken = 0;
	size_t p = 0;
	size_t k = 0;

	while (k < size) {
		if (p < glob->size && glob->pattern[p] == '*') {
			star = p++;
			taken = k;
		} else if (p < glob->size &&
			   (glob->pattern[p] == '?' ||
			    (uint8_t)glob->pattern[p] == sonde__fold(key[k]))) {
			p++;
			k++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			k = ++taken;
		} else {
			return false;
		}
	}
	while (p < glob->size && glob->pattern[p] == '*')
		p++;
	return p == glob->size;
}

bool sonde__globs_match(const struct sonde__globs *globs, const void *key, size_t size)
{
	bool is_match = false;

	for (size_t i = 0; i < globs->n; i++) {
		if (is_match && !globs->globs[i].is_exception)
			continue;
		if (!glob_match(&globs->globs[i], key, size))
			continue;
		if (globs->globs[i].is_exception)
			return false;
		is_match = true;
	}
	return is_match;
}

bool sonde__folded_equal(const void *data, size_t size, const char *folded)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++) {
		if (!folded[i] || sonde__fold(bytes[i]) != (uint8_t)folded[i])
			return false;
	}
	return !folded[size];
}
