/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head sampler's setting: the options, then OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG,
 * then a parent's decision, and all traces where there is none. A bad value is said by name and
 * counts as not given.
 *
 * Standard: OpenTelemetry environment variables, "General SDK configuration"; the threshold of a
 * ratio as in "TraceState: probability sampling".
 */
#include "agent/settings.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/diagnostic.h"
#include "base/text.h"

#define ALL (UINT64_C(1) << 56) /* As many values have the bits of a trace id that decide. */

static const struct sampler {
	const char *name;
	bool is_ratio;
	bool ignores_parent;
	double ratio; /* Of those that are not asked for one. */
} samplers[] = {
	[SONDE_SAMPLER_ALWAYS_ON] = { "always_on", .ignores_parent = true, .ratio = 1 },
	[SONDE_SAMPLER_ALWAYS_OFF] = { "always_off", .ignores_parent = true, .ratio = 0 },
	[SONDE_SAMPLER_RATIO] = { "traceidratio", .ignores_parent = true, .is_ratio = true },
	[SONDE_SAMPLER_PARENT_ALWAYS_ON] = { "parentbased_always_on", .ratio = 1 },
	[SONDE_SAMPLER_PARENT_ALWAYS_OFF] = { "parentbased_always_off", .ratio = 0 },
	[SONDE_SAMPLER_PARENT_RATIO] = { "parentbased_traceidratio", .is_ratio = true },
};

/* Written so that what is no number is none of them. */
static bool is_ratio(double ratio)
{
	return ratio >= 0 && ratio <= 1;
}

static bool is_known_elsewhere(const char *text)
{
	static const char *const names[] = { "jaeger_remote", "parentbased_jaeger_remote", "xray" };

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(names); i++)
		if (sonde__text_equal_nocase(text, names[i]))
			return true;
	return false;
}

static enum sonde_sampler read_environment(const struct sonde__settings *settings)
{
	const char *text = sonde__environment_get(&settings->environment, "OTEL_TRACES_SAMPLER");

	if (!text)
		return SONDE_SAMPLER_DEFAULT;
	for (size_t i = 1; i < SONDE__ARRAY_SIZE(samplers); i++)
		if (sonde__text_equal_nocase(text, samplers[i].name))
			return (enum sonde_sampler)i;
	sonde__report(SONDE_WARN, "OTEL_TRACES_SAMPLER=%s is %s: using parentbased_always_on", text,
		      is_known_elsewhere(text) ? "not supported" : "no sampler");
	return SONDE_SAMPLER_DEFAULT;
}

/* Standard: the argument counts only together with OTEL_TRACES_SAMPLER. */
static double read_argument(const struct sonde__settings *settings)
{
	const char *text = sonde__environment_get(&settings->environment, "OTEL_TRACES_SAMPLER_ARG");
	double ratio;

	if (!text || !sonde__environment_get(&settings->environment, "OTEL_TRACES_SAMPLER"))
		return 1;
	if (sonde__parse_double(text, &ratio) && is_ratio(ratio))
		return ratio;
	sonde__report(SONDE_WARN, "OTEL_TRACES_SAMPLER_ARG=%s is not a number from 0 to 1: using 1", text);
	return 1;
}

/* The option's ratio; 0: none that counts. */
static double read_option(const struct sonde_options *options)
{
	if (is_ratio(options->sampler_ratio))
		return options->sampler_ratio;
	sonde__report(SONDE_WARN, "the option for OTEL_TRACES_SAMPLER_ARG is %g, not a number from 0 to 1: ignored",
		      options->sampler_ratio);
	return 0;
}

static enum sonde_sampler choose(const struct sonde__settings *settings,
				 enum sonde_sampler option, double ratio)
{
	enum sonde_sampler sampler = option;

	if ((unsigned)sampler >= SONDE__ARRAY_SIZE(samplers)) {
		sonde__report(SONDE_WARN, "the option for OTEL_TRACES_SAMPLER is %d, no sampler: ignored",
			      (int)option);
		sampler = SONDE_SAMPLER_DEFAULT;
	}
	if (sampler == SONDE_SAMPLER_DEFAULT)
		sampler = read_environment(settings);
	if (sampler == SONDE_SAMPLER_DEFAULT)
		sampler = ratio > 0 ? SONDE_SAMPLER_PARENT_RATIO : SONDE_SAMPLER_PARENT_ALWAYS_ON;
	return sampler;
}

void sonde__sampling_init(struct sonde__settings *settings, const struct sonde_options *options)
{
	double ratio = read_option(options);
	const struct sampler *sampler = &samplers[choose(settings, options->sampler, ratio)];

	if (!sampler->is_ratio) {
		if (ratio > 0)
			sonde__report(SONDE_WARN, "the sampler %s has no ratio: the option %g is ignored",
				      sampler->name, ratio);
		ratio = sampler->ratio;
	} else if (ratio == 0) {
		ratio = read_argument(settings);
	}
	settings->sampling.ignores_parent = sampler->ignores_parent;
	settings->sampling.threshold = ALL - (uint64_t)(ratio * (double)ALL + 0.5);
}
