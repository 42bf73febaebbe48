/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "agent/privacy.h"
#include "base/compiler.h"
#include "base/diagnostic.h"
#include "base/text.h"

#define DAY_MS UINT64_C(86400000)
#define MEMORY_LIMIT_MIN (UINT64_C(1) << 20)
#define MEMORY_LIMIT_MAX (UINT64_C(1) << 36)
#define MEMORY_LIMIT_DEFAULT (UINT64_C(12) << 20)
#define BATCH_BYTES_MIN (UINT64_C(16) << 10)
#define BATCH_BYTES_MAX (UINT64_C(32) << 20)
#define BATCH_BYTES_DEFAULT (UINT64_C(512) << 10)
#define ITEMS_MAX UINT64_C(1000000)
/*
 * The standard's 512 would make bodies of 90 KiB, which cost twice as much a span as those of
 * 512 KiB: unless somebody asks for a number, the bytes decide.
 */
#define BATCH_ITEMS_DEFAULT 8192

int sonde__settings_copy(const char *text, char **ret)
{
	if (!text || !text[0])
		return SONDE_OK;
	*ret = strdup(text);
	return *ret ? SONDE_OK : SONDE_E_NOMEM;
}

int sonde__options_read(const struct sonde_options *options, struct sonde_options *ret)
{
	const unsigned char *bytes = (const unsigned char *)options;

	memset(ret, 0, sizeof(*ret));
	ret->size = sizeof(*ret);
	if (!options)
		return SONDE_OK;
	if (options->size < sizeof(options->size))
		return SONDE_E_INVALID;
	for (size_t i = sizeof(*ret); i < options->size; i++) {
		if (bytes[i])
			return SONDE_E_INVALID;
	}
	memcpy(ret, options, options->size < sizeof(*ret) ? options->size : sizeof(*ret));
	ret->size = sizeof(*ret);
	return SONDE_OK;
}

static const char *choose(const struct sonde__settings *settings, const char *option,
			  const char *variable)
{
	return option && option[0] ? option :
				     sonde__environment_get(&settings->environment, variable);
}

static int copy_texts(struct sonde__settings *settings, const struct sonde_options *options)
{
	const struct {
		const char *text;
		char **ret;
	} texts[] = {
		{ options->service_name, &settings->service_name },
		{ options->service_version, &settings->service_version },
		{ options->service_namespace, &settings->service_namespace },
		{ options->deployment_environment, &settings->deployment_environment },
		{ options->resource_attributes, &settings->resource_attributes },
		{ choose(settings, options->box_directory, "SONDE_BOX_DIRECTORY"),
		  &settings->box_directory },
		{ choose(settings, options->redact, "SONDE_REDACT"), &settings->redact },
		{ choose(settings, options->redact_keys, "SONDE_REDACT_KEYS"),
		  &settings->redact_keys },
	};

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(texts); i++) {
		int status = sonde__settings_copy(texts[i].text, texts[i].ret);

		if (status < 0)
			return status;
	}
	return SONDE_OK;
}

struct row {
	uint32_t *ret;
	struct sonde__number number;
};

static void read_rows(const struct sonde__settings *settings, const struct row *rows, size_t n_rows)
{
	for (size_t i = 0; i < n_rows; i++)
		*rows[i].ret = (uint32_t)sonde__environment_number(&settings->environment,
								   &rows[i].number);
}

/* The batch processors of spans and of logs, which the standard sets apart. */
static const struct processor {
	const char *delay;
	const char *timeout;
	const char *batch;
	const char *queue;
	uint32_t delay_ms;
} processors[] = {
	[SONDE_SIGNAL_SPAN] = { "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT",
				"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_MAX_QUEUE_SIZE", 5000 },
	[SONDE_SIGNAL_LOG] = { "OTEL_BLRP_SCHEDULE_DELAY", "OTEL_BLRP_EXPORT_TIMEOUT",
			       "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "OTEL_BLRP_MAX_QUEUE_SIZE", 1000 },
};

static void read_processor(struct sonde__settings *settings, const struct sonde_options *options,
			   enum sonde_signal signal)
{
	const struct processor *processor = &processors[signal];
	uint32_t delay_ms = signal == SONDE_SIGNAL_SPAN ? options->schedule_delay_ms :
							  options->log_schedule_delay_ms;
	uint32_t *batch = &settings->max_batch_items[signal];
	uint32_t *queue = &settings->max_queue_items[signal];
	const struct row rows[] = {
		{ &settings->delay_ms[signal],
		  { .name = processor->delay, .option = delay_ms, .fallback = processor->delay_ms,
		    .min = 0, .max = DAY_MS } },
		{ &settings->export_timeout_ms[signal],
		  { .name = processor->timeout, .option = options->export_timeout_ms,
		    .fallback = 30000, .min = 1, .max = DAY_MS, .zero_is_unlimited = true } },
		{ batch,
		  { .name = processor->batch, .option = options->max_batch_items,
		    .fallback = BATCH_ITEMS_DEFAULT, .min = 1, .max = ITEMS_MAX } },
		{ queue,
		  { .name = processor->queue, .option = options->max_queue_items, .fallback = 0,
		    .min = 1, .max = UINT32_MAX } },
	};

	read_rows(settings, rows, SONDE__ARRAY_SIZE(rows));
	if (*queue && *batch > *queue) {
		if (*batch != BATCH_ITEMS_DEFAULT)
			sonde__report(SONDE_WARN, "%s %u is over %s %u: using %u", processor->batch,
				      *batch, processor->queue, *queue, *queue);
		*batch = *queue;
	}
}

static void read_metrics(struct sonde__settings *settings, const struct sonde_options *options)
{
	const struct row rows[] = {
		{ &settings->metric_interval_ms,
		  { .name = "OTEL_METRIC_EXPORT_INTERVAL", .option = options->metric_interval_ms,
		    .fallback = 60000, .min = 1, .max = DAY_MS } },
		{ &settings->export_timeout_ms[SONDE_SIGNAL_METRIC],
		  { .name = "OTEL_METRIC_EXPORT_TIMEOUT", .option = options->export_timeout_ms,
		    .fallback = 30000, .min = 1, .max = DAY_MS, .zero_is_unlimited = true } },
	};

	read_rows(settings, rows, SONDE__ARRAY_SIZE(rows));
}

static void read_delivery(struct sonde__settings *settings, const struct sonde_options *options)
{
	const struct row rows[] = {
		{ &settings->max_batch_bytes,
		  { .name = "SONDE_MAX_BATCH_BYTES", .option = options->max_batch_bytes,
		    .fallback = BATCH_BYTES_DEFAULT, .min = BATCH_BYTES_MIN,
		    .max = BATCH_BYTES_MAX, .is_size = true } },
		{ &settings->slow_threshold_ms,
		  { .name = "SONDE_SLOW_THRESHOLD", .option = options->slow_threshold_ms,
		    .fallback = 1000, .min = 1, .max = DAY_MS } },
		{ &settings->regression_days,
		  { .name = "SONDE_REGRESSION_DAYS", .option = options->regression_days,
		    .fallback = 14, .min = 1, .max = 36500 } },
		{ &settings->breaker_failures,
		  { .name = "SONDE_BREAKER_FAILURES", .option = options->breaker_failures,
		    .fallback = 5, .min = 1, .max = ITEMS_MAX } },
		{ &settings->breaker_reset_ms,
		  { .name = "SONDE_BREAKER_RESET", .option = options->breaker_reset_ms,
		    .fallback = 60000, .min = 1, .max = DAY_MS } },
		{ &settings->breaker_trials,
		  { .name = "SONDE_BREAKER_TRIALS", .option = options->breaker_trials,
		    .fallback = 3, .min = 1, .max = ITEMS_MAX } },
		{ &settings->retry_initial_ms,
		  { .name = "SONDE_RETRY_INITIAL", .option = options->retry_initial_ms,
		    .fallback = 1000, .min = 1, .max = DAY_MS } },
		{ &settings->retry_max_ms,
		  { .name = "SONDE_RETRY_MAX", .option = options->retry_max_ms,
		    .fallback = 30000, .min = 1, .max = DAY_MS } },
	};

	read_processor(settings, options, SONDE_SIGNAL_SPAN);
	read_processor(settings, options, SONDE_SIGNAL_LOG);
	read_metrics(settings, options);
	read_rows(settings, rows, SONDE__ARRAY_SIZE(rows));
}

/* `per_minute` as UINT32_MAX: no limit. */
static struct sonde__rate rate_of(uint32_t burst, uint32_t per_minute)
{
	return (struct sonde__rate){
		.burst = burst,
		.period_ns = per_minute == UINT32_MAX ? 0 : 60 * SONDE__NS_PER_S / per_minute,
	};
}

static void read_flood(struct sonde__settings *settings, const struct sonde_options *options)
{
	uint32_t burst;
	uint32_t rate;
	uint32_t total_burst;
	uint32_t total_rate;
	uint32_t summary_ms;
	const struct row rows[] = {
		{ &burst,
		  { .name = "SONDE_ERROR_BURST", .option = options->error_burst, .fallback = 10,
		    .min = 1, .max = ITEMS_MAX } },
		{ &rate,
		  { .name = "SONDE_ERROR_RATE", .option = options->error_rate, .fallback = 60,
		    .min = 1, .max = UINT32_MAX, .zero_is_unlimited = true } },
		{ &total_burst,
		  { .name = "SONDE_ERROR_TOTAL_BURST", .option = options->error_total_burst,
		    .fallback = 200, .min = 1, .max = ITEMS_MAX } },
		{ &total_rate,
		  { .name = "SONDE_ERROR_TOTAL_RATE", .option = options->error_total_rate,
		    .fallback = 6000, .min = 1, .max = UINT32_MAX, .zero_is_unlimited = true } },
		{ &summary_ms,
		  { .name = "SONDE_ERROR_SUMMARY_INTERVAL", .option = options->error_summary_ms,
		    .fallback = 60000, .min = 1, .max = DAY_MS } },
	};

	read_rows(settings, rows, SONDE__ARRAY_SIZE(rows));
	if (options->no_error_limit ||
	    !sonde__environment_switch(&settings->environment, "SONDE_ERROR_LIMIT", true))
		rate = total_rate = UINT32_MAX;
	settings->flood = (struct sonde__flood_options){
		.group = rate_of(burst, rate),
		.total = rate_of(total_burst, total_rate),
		.summary_ns = summary_ms * SONDE__NS_PER_MS,
	};
}

/* Standard: a signal's own variable, else the general one, else the default. */
static uint32_t read_limit(const struct sonde__settings *settings, const char *own,
			   const char *general, uint32_t fallback)
{
	struct sonde__number number = {
		.name = own, .fallback = fallback, .min = 0, .max = UINT32_MAX
	};

	if (general) {
		struct sonde__number outer = { .name = general, .fallback = fallback, .min = 0,
					       .max = UINT32_MAX };

		number.fallback = sonde__environment_number(&settings->environment, &outer);
	}
	return (uint32_t)sonde__environment_number(&settings->environment, &number);
}

static void read_limits(struct sonde__settings *settings)
{
	settings->limits = (struct sonde__limits){
		.span_attributes = read_limit(settings, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
					      "OTEL_ATTRIBUTE_COUNT_LIMIT", 128),
		.span_events = read_limit(settings, "OTEL_SPAN_EVENT_COUNT_LIMIT", NULL, 128),
		.span_links = read_limit(settings, "OTEL_SPAN_LINK_COUNT_LIMIT", NULL, 128),
		.event_attributes = read_limit(settings, "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", NULL, 128),
		.link_attributes = read_limit(settings, "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", NULL, 128),
		.log_attributes = read_limit(settings, "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
					     "OTEL_ATTRIBUTE_COUNT_LIMIT", 128),
		.span_value_length = read_limit(settings, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
						"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", UINT32_MAX),
		.log_value_length = read_limit(settings, "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
					       "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", UINT32_MAX),
	};
}

static enum sonde_exception_signal read_exception_signal(const struct sonde__settings *settings,
							 enum sonde_exception_signal option)
{
	const char *text = sonde__environment_get(&settings->environment,
						  "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN");

	if (option >= SONDE_EXCEPTION_SPAN_EVENT && option <= SONDE_EXCEPTION_BOTH)
		return option;
	if (!text || sonde__text_equal_nocase(text, "logs/dup"))
		return SONDE_EXCEPTION_BOTH;
	if (sonde__text_equal_nocase(text, "logs"))
		return SONDE_EXCEPTION_LOG;
	sonde__report(SONDE_WARN, "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN=%s is neither logs nor logs/dup: using both",
		      text);
	return SONDE_EXCEPTION_BOTH;
}

static uint64_t read_memory_limit(const struct sonde__settings *settings, uint64_t option)
{
	struct sonde__number number = { .name = "SONDE_MEMORY_LIMIT",
					.option = option,
					.fallback = MEMORY_LIMIT_DEFAULT,
					.min = MEMORY_LIMIT_MIN,
					.max = MEMORY_LIMIT_MAX,
					.is_size = true };

	return sonde__environment_number(&settings->environment, &number);
}

static void warn_of_unsupported(const struct sonde__settings *settings)
{
	const char *file = sonde__environment_get(&settings->environment, "OTEL_CONFIG_FILE");

	if (file)
		sonde__report(SONDE_WARN, "OTEL_CONFIG_FILE=%s: declarative configuration is not supported; the other variables are used",
			      file);
}

int sonde__settings_init(struct sonde__settings *settings, const struct sonde_options *options)
{
	struct sonde_options known;
	int status = sonde__options_read(options, &known);

	if (status < 0)
		return status;
	memset(settings, 0, sizeof(*settings));
	status = sonde__environment_init(&settings->environment);
	if (status == SONDE_OK)
		status = copy_texts(settings, &known);
	if (status == SONDE_OK)
		status = sonde__state_directory_init(settings, &known);
	if (status == SONDE_OK) {
		settings->exception_signal = read_exception_signal(settings,
								   known.exception_signal);
		status = sonde__destinations_init(settings, &known);
	}
	if (status < 0) {
		sonde__settings_deinit(settings);
		return status;
	}
	settings->memory_limit_bytes = read_memory_limit(settings, known.memory_limit_bytes);
	sonde__breadcrumb_settings_init(settings, &known);
	read_delivery(settings, &known);
	read_limits(settings);
	read_flood(settings, &known);
	settings->has_figures = !known.no_figures &&
				sonde__environment_switch(&settings->environment,
							  "SONDE_FIGURES", true);
	sonde__sampling_init(settings, &known);
	settings->is_disabled = known.disabled ||
				sonde__environment_bool(&settings->environment, "OTEL_SDK_DISABLED", false);
	settings->keep_at_exit = known.keep_at_exit;
	settings->before_send = known.before_send;
	settings->before_send_user = known.before_send_user;
	settings->fingerprint = known.fingerprint;
	settings->fingerprint_user = known.fingerprint_user;
	settings->observer = (struct sonde_observer){ known.observer, known.observer_user };
	sonde__audit_read(settings, &known);
	settings->has_open_spans = sonde__environment_switch(&settings->environment,
							     "SONDE_OPEN_SPANS", true);
	warn_of_unsupported(settings);
	return SONDE_OK;
}

void sonde__settings_deinit(struct sonde__settings *settings)
{
	sonde__destinations_deinit(settings);
	free(settings->service_name);
	free(settings->service_version);
	free(settings->service_namespace);
	free(settings->deployment_environment);
	free(settings->resource_attributes);
	free(settings->box_directory);
	free(settings->redact);
	free(settings->redact_keys);
	free(settings->audit_path);
	free(settings->state_directory);
	sonde__environment_deinit(&settings->environment);
	memset(settings, 0, sizeof(*settings));
}
