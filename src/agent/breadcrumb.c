/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of breadcrumbs. */

#include "agent/settings.h"
#include "base/compiler.h"
#include "base/diagnostic.h"
#include "base/text.h"

/* Of the memory limit, and no more than all of them take. */
#define TRAILS_DIVISOR 16
#define TRAILS_MAX_SIZE ((uint64_t)1 << 20)

static uint32_t read_level(const struct sonde__environment *environment)
{
	static const struct {
		const char *word;
		uint32_t level;
	} words[] = {
		{ "off", 0 },		   { "none", 0 },	    { "trace", SONDE_TRACE },
		{ "debug", SONDE_DEBUG }, { "info", SONDE_INFO },   { "warn", SONDE_WARN },
		{ "error", SONDE_ERROR }, { "fatal", SONDE_FATAL },
	};
	const char *text = sonde__environment_get(environment, "SONDE_BREADCRUMB_LEVEL");

	if (!text)
		return 0;
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(words); i++)
		if (sonde__text_equal_nocase(text, words[i].word))
			return words[i].level;
	sonde__report(SONDE_WARN,
		      "SONDE_BREADCRUMB_LEVEL=%s is none of off, trace, debug, info, warn, error, fatal: using off",
		      text);
	return 0;
}

void sonde__breadcrumb_settings_init(struct sonde__settings *settings,
				     const struct sonde_options *options)
{
	const uint64_t share = settings->memory_limit_bytes / TRAILS_DIVISOR;

	settings->trails_size = share < TRAILS_MAX_SIZE ? share : TRAILS_MAX_SIZE;
	settings->breadcrumb_level = (int)options->breadcrumb_level > 0 ?
					     (uint32_t)options->breadcrumb_level :
					     read_level(&settings->environment);
	settings->before_breadcrumb = options->before_breadcrumb;
	settings->before_breadcrumb_user = options->before_breadcrumb_user;
}
