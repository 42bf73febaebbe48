/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where state is kept between runs: where the options or SONDE_STATE_DIRECTORY say, else where the
 * service manager made a place ($STATE_DIRECTORY), else where the user's state is.
 *
 * Standard: XDG Base Directory Specification, "$XDG_STATE_HOME"; systemd.exec(5), StateDirectory=.
 */
#include "agent/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diagnostic.h"

#define PATH_MAX_SIZE 480

static bool is_none(const char *path)
{
	return strcmp(path, "none") == 0;
}

/* The folder below the one that a variable names, of which there may be several with : between. */
static bool below(const struct sonde__settings *settings, const char *variable, const char *name,
		  char ret[PATH_MAX_SIZE])
{
	const char *value = sonde__environment_get(&settings->environment, variable);
	size_t size = value ? strcspn(value, ":") : 0;

	/* The specification has relative paths ignored. */
	if (!size || value[0] != '/' || size + strlen(name) >= PATH_MAX_SIZE)
		return false;
	snprintf(ret, PATH_MAX_SIZE, "%.*s%s", (int)size, value, name);
	return true;
}

int sonde__state_directory_init(struct sonde__settings *settings,
				const struct sonde_options *options)
{
	const char *given = options->state_directory;
	char path[PATH_MAX_SIZE];

	if (!given || !given[0])
		given = sonde__environment_get(&settings->environment, "SONDE_STATE_DIRECTORY");
	if (given && is_none(given))
		return SONDE_OK;
	if (given && given[0] == '/' && strlen(given) < PATH_MAX_SIZE)
		return sonde__settings_copy(given, &settings->state_directory);
	if (given)
		sonde__report(SONDE_WARN, "the state directory %s is not an absolute path, or too long: using the default",
			      given);
	if (below(settings, "STATE_DIRECTORY", "/sonde", path) ||
	    below(settings, "XDG_STATE_HOME", "/sonde", path) ||
	    below(settings, "HOME", "/.local/state/sonde", path))
		return sonde__settings_copy(path, &settings->state_directory);
	settings->state_directory = calloc(1, 1);
	return settings->state_directory ? SONDE_OK : SONDE_E_NOMEM;
}
