/* SPDX-License-Identifier: Apache-2.0 */
/* The head sampler's setting: options, environment, defaults, and what is said of a bad value. */

#include "agent/settings.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/diagnostic.h"

#define NONE (UINT64_C(1) << 56)

static char said[4096];

static void listen(void *user SONDE__UNUSED, enum sonde_level level SONDE__UNUSED, const char *text)
{
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", text);
}

static int set_up(void **state SONDE__UNUSED)
{
	unsetenv("OTEL_TRACES_SAMPLER");
	unsetenv("OTEL_TRACES_SAMPLER_ARG");
	unsetenv("SONDE_FIGURES");
	setenv("OTEL_TRACES_EXPORTER", "null", 1);
	setenv("OTEL_LOGS_EXPORTER", "null", 1);
	setenv("OTEL_METRICS_EXPORTER", "none", 1);
	sonde__diagnostic_set(listen, /* user= */ NULL);
	return 0;
}

struct plain {
	struct sonde__sampling sampling;
	bool has_figures;
};

/* The plain values that come of an environment (NULL: not set) and options. */
static struct plain read_settings(const char *sampler, const char *argument,
				  const struct sonde_options *options)
{
	struct sonde__settings settings;
	struct plain copy;

	unsetenv("OTEL_TRACES_SAMPLER");
	unsetenv("OTEL_TRACES_SAMPLER_ARG");
	if (sampler)
		setenv("OTEL_TRACES_SAMPLER", sampler, 1);
	if (argument)
		setenv("OTEL_TRACES_SAMPLER_ARG", argument, 1);
	said[0] = '\0';
	assert_int_equal(sonde__settings_init(&settings, options), SONDE_OK);
	copy.sampling = settings.sampling;
	copy.has_figures = settings.has_figures;
	sonde__settings_deinit(&settings);
	return copy;
}

static struct sonde__sampling read(const char *sampler, const char *argument)
{
	return read_settings(sampler, argument, /* options= */ NULL).sampling;
}

static void test_the_standards_names(void **state SONDE__UNUSED)
{
	static const struct {
		const char *name;
		uint64_t threshold;
		bool ignores_parent;
	} samplers[] = {
		{ NULL, 0, false },
		{ "", 0, false },
		{ "always_on", 0, true },
		{ "ALWAYS_OFF", NONE, true },
		{ "traceidratio", NONE / 2, true },
		{ "parentbased_always_on", 0, false },
		{ "parentbased_always_off", NONE, false },
		{ "ParentBased_TraceIdRatio", NONE / 2, false },
	};

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(samplers); i++) {
		struct sonde__sampling sampling = read(samplers[i].name, "0.5");

		assert_int_equal(sampling.threshold, samplers[i].threshold);
		assert_int_equal(sampling.ignores_parent, samplers[i].ignores_parent);
		assert_string_equal(said, "");
	}
}

/* Thresholds as the specification writes them: the leading hexadecimal digits of `th`. */
static void test_ratios_make_the_standards_thresholds(void **state SONDE__UNUSED)
{
	static const struct {
		const char *ratio;
		const char *digits;
	} ratios[] = {
		{ "0.5", "80000000000000" }, { "0.25", "c0000000000000" }, { "0.1", "e6666" },
		{ "0.01", "fd70a" },	     { "1e-3", "ffbe76" },	   { "1.0", "000000" },
		{ "1", "00000000000000" },   { "0.75", "40000000000000" },
	};

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(ratios); i++) {
		char digits[32];

		snprintf(digits, sizeof(digits), "%014llx",
			 (unsigned long long)read("traceidratio", ratios[i].ratio).threshold);
		assert_memory_equal(digits, ratios[i].digits, strlen(ratios[i].digits));
	}
	assert_int_equal(read("traceidratio", "0").threshold, NONE);
	/* The smallest of the standard's ratios, 2^-56, takes one value of all. */
	assert_int_equal(read("traceidratio", "1.3877787807814457e-17").threshold, NONE - 1);
	assert_int_equal(read("traceidratio", "1e-30").threshold, NONE);
	assert_int_equal(read("traceidratio", NULL).threshold, 0);
}

static void test_a_bad_value_is_said_and_is_as_none(void **state SONDE__UNUSED)
{
	static const char *const arguments[] = { "1.5", "-0.1", "half", "nan", "0.5x", "inf", "0,5" };
	static const char *const samplers[] = { "jaeger_remote", "parentbased_jaeger_remote",
						"xray", "sometimes" };

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(arguments); i++) {
		assert_int_equal(read("traceidratio", arguments[i]).threshold, 0);
		assert_non_null(strstr(said, "OTEL_TRACES_SAMPLER_ARG="));
		assert_non_null(strstr(said, arguments[i]));
	}
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(samplers); i++) {
		struct sonde__sampling sampling = read(samplers[i], "0.5");

		assert_int_equal(sampling.threshold, 0);
		assert_false(sampling.ignores_parent);
		assert_non_null(strstr(said, "OTEL_TRACES_SAMPLER="));
		assert_non_null(strstr(said, samplers[i]));
		assert_int_equal(strstr(said, "not supported") != NULL, i < 3);
	}
	/* Standard: the argument counts only together with a sampler. */
	assert_int_equal(read(NULL, "0.5").threshold, 0);
	assert_int_equal(read("always_on", "nonsense").threshold, 0);
	assert_string_equal(said, "");
}

static struct sonde__sampling read_options(enum sonde_sampler sampler, double ratio)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;

	options.sampler = sampler;
	options.sampler_ratio = ratio;
	return read_settings("always_off", "0.25", &options).sampling;
}

static void test_options_beat_the_environment(void **state SONDE__UNUSED)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;

	assert_int_equal(read_options(SONDE_SAMPLER_DEFAULT, 0).threshold, NONE);
	assert_int_equal(read_options(SONDE_SAMPLER_ALWAYS_ON, 0).threshold, 0);
	assert_true(read_options(SONDE_SAMPLER_ALWAYS_ON, 0).ignores_parent);
	assert_int_equal(read_options(SONDE_SAMPLER_PARENT_ALWAYS_OFF, 0).threshold, NONE);
	assert_false(read_options(SONDE_SAMPLER_PARENT_ALWAYS_OFF, 0).ignores_parent);
	assert_int_equal(read_options(SONDE_SAMPLER_RATIO, 0.5).threshold, NONE / 2);
	assert_true(read_options(SONDE_SAMPLER_RATIO, 0.5).ignores_parent);
	assert_int_equal(read_options(SONDE_SAMPLER_PARENT_RATIO, 0).threshold, NONE / 4 * 3);
	assert_string_equal(said, "");
	assert_int_equal(read_options(SONDE_SAMPLER_ALWAYS_ON, 0.5).threshold, 0);
	assert_non_null(strstr(said, "always_on has no ratio"));
	assert_int_equal(read_options((enum sonde_sampler)7, 0).threshold, NONE);
	assert_non_null(strstr(said, "is 7, no sampler"));
	assert_int_equal(read_options(SONDE_SAMPLER_RATIO, NAN).threshold, NONE / 4 * 3);
	assert_non_null(strstr(said, "OTEL_TRACES_SAMPLER_ARG"));
	assert_int_equal(read_options(SONDE_SAMPLER_RATIO, 1.0000001).threshold, NONE / 4 * 3);
	options.sampler_ratio = 0.5;
	assert_int_equal(read_settings(NULL, NULL, &options).sampling.threshold, NONE / 2);
	assert_false(read_settings(NULL, NULL, &options).sampling.ignores_parent);
	assert_true(read_settings("traceidratio", "1", &options).sampling.ignores_parent);
	assert_int_equal(read_settings("traceidratio", "1", &options).sampling.threshold, NONE / 2);
}

static void test_figures_can_be_switched_off(void **state SONDE__UNUSED)
{
	static const struct {
		const char *text;
		bool has_figures;
		bool is_said;
	} texts[] = { { NULL, true, false },  { "on", true, false }, { "OFF", false, false },
		      { "no", true, true },   { "", true, false } };
	struct sonde_options options = SONDE_OPTIONS_INIT;

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(texts); i++) {
		if (texts[i].text)
			setenv("SONDE_FIGURES", texts[i].text, 1);
		assert_int_equal(read_settings(NULL, NULL, NULL).has_figures, texts[i].has_figures);
		assert_int_equal(strstr(said, "SONDE_FIGURES=no") != NULL, texts[i].is_said);
	}
	setenv("SONDE_FIGURES", "on", 1);
	options.no_figures = true;
	assert_false(read_settings(NULL, NULL, &options).has_figures);
	unsetenv("SONDE_FIGURES");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_the_standards_names, set_up),
		cmocka_unit_test_setup(test_ratios_make_the_standards_thresholds, set_up),
		cmocka_unit_test_setup(test_a_bad_value_is_said_and_is_as_none, set_up),
		cmocka_unit_test_setup(test_options_beat_the_environment, set_up),
		cmocka_unit_test_setup(test_figures_can_be_switched_off, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
