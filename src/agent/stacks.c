/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/stacks.h"

#include "base/diagnostic.h"
#include "stack/frame.h"
#include "stack/options.h"

#define MEMORY_MIN (UINT64_C(1) << 20)
#define MEMORY_MAX (UINT64_C(1) << 36)

static const char *text_of(const struct sonde__environment *environment, const char *option,
			   const char *name)
{
	return option && option[0] ? option : sonde__environment_get(environment, name);
}

void sonde__stacks_configure(const struct sonde__environment *environment,
			     const struct sonde_options *options)
{
	const struct sonde__number memory = {
		.name = "SONDE_SYMBOLS_MEMORY_LIMIT",
		.option = options->symbols_memory_limit_bytes,
		.fallback = SONDE__SYMBOLS_MEMORY,
		.min = MEMORY_MIN,
		.max = MEMORY_MAX,
		.is_size = true,
	};
	const struct sonde__number lines = {
		.name = "SONDE_SOURCE_LINES",
		.option = options->source_lines,
		.fallback = SONDE__SOURCE_LINES,
		.min = 1,
		.max = SONDE__SOURCE_LINES_MAX,
	};
	const struct sonde__stack_options stacks = {
		.in_app = text_of(environment, options->in_app, "SONDE_IN_APP"),
		.debug_path = text_of(environment, options->debug_path, "SONDE_DEBUG_PATH"),
		.memory_limit_bytes = sonde__environment_number(environment, &memory),
		.has_no_symbols = options->no_symbols ||
				  !sonde__environment_switch(environment, "SONDE_SYMBOLS", true),
		.has_no_source = options->no_source ||
				 !sonde__environment_switch(environment, "SONDE_SOURCE", true),
		.source_lines = (uint32_t)sonde__environment_number(environment, &lines),
	};

	if (!sonde__stack_configure(&stacks))
		sonde__report(SONDE_WARN, "stacks are named as they were before: somebody is naming one");
}
