/* SPDX-License-Identifier: Apache-2.0 */

#include "stack/options.h"

#include <stddef.h>
#include <string.h>

#include "base/compiler.h"

/*
 * A star takes nothing at first and one more character after each failure; only the last star is
 * gone back to, so it takes at most pattern times text steps.
 */
static bool glob_matches(const char *glob, size_t size, const char *text)
{
	size_t at = 0;
	size_t star = size;
	const char *retry = text;

	while (*text) {
		if (at < size && glob[at] == '*') {
			star = at++;
			retry = text;
		} else if (at < size && (glob[at] == '?' || glob[at] == *text)) {
			at++;
			text++;
		} else if (star < size) {
			at = star + 1;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (at < size && glob[at] == '*')
		at++;
	return at == size;
}

enum sonde__ownership sonde__ownership_find(const char *globs, const char *path, const char *name)
{
	enum sonde__ownership found = SONDE__OWNED_UNSAID;

	while (globs && *globs) {
		size_t blanks = strspn(globs, " \t,");
		bool is_system;
		size_t size;

		globs += blanks;
		size = strcspn(globs, ",");
		is_system = *globs == '!';
		if (size > (size_t)is_system) {
			const char *glob = globs + is_system;
			size_t length = size - is_system;

			while (length > 0 && (glob[length - 1] == ' ' || glob[length - 1] == '\t'))
				length--;
			if (glob_matches(glob, length, path) || glob_matches(glob, length, name))
				found = is_system ? SONDE__OWNED_BY_SYSTEM : SONDE__OWNED_BY_APP;
		}
		globs += size;
	}
	return found;
}

static bool text_begins(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

bool sonde__module_is_in_app(const char *globs, const struct sonde__module *module)
{
	static const char *const system[] = { "/lib/", "/lib32/", "/lib64/", "/libx32/",
					      "/usr/lib/", "/usr/lib32/", "/usr/lib64/",
					      "/usr/libx32/" };

	enum sonde__ownership said = sonde__ownership_find(globs, module->path, module->name);

	if (said != SONDE__OWNED_UNSAID)
		return said == SONDE__OWNED_BY_APP;
	if (!strchr(module->path, '/') || text_begins(module->name, "libsonde"))
		return false; /* The kernel's vdso has no path. */
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(system); i++)
		if (text_begins(module->path, system[i]))
			return false;
	return true;
}

bool sonde__function_is_in_app(const char *name)
{
	static const char *const start[] = { "_start", "__libc_start_main", "__libc_start_call_main",
					     "__libc_start_main_impl", "start_thread", "clone",
					     "clone3", "__clone", "__clone3" };

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(start); i++)
		if (strcmp(name, start[i]) == 0)
			return false;
	return !text_begins(name, "sonde_");
}
