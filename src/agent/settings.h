/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_SETTINGS_H
#define SONDE_AGENT_SETTINGS_H

/*
 * What the agent runs with: the caller's options, the environment and the defaults folded into one
 * value at start. It outlives the start because a forked child makes its own pipeline from it.
 */

#include <sonde/agent.h>
#include <sonde/exporter.h>
#include <sonde/resilience.h>

#include "agent/environment.h"
#include "pipeline/pipeline.h"

struct sonde__destination {
	const struct sonde_exporter *exporter;
	char **settings; /* "NAME=value", the destination's own; NULL at the end; may be NULL. */
	bool takes_spans;
	bool takes_logs;
	bool takes_metrics;
};

/* As struct sonde__capture_options has them. */
struct sonde__sampling {
	uint64_t threshold;
	bool ignores_parent;
};

struct sonde__settings {
	struct sonde__environment environment;
	struct sonde__destination destinations[SONDE__DESTINATIONS_MAX];
	size_t n_destinations;

	char *service_name;
	char *service_version;
	char *service_namespace;
	char *deployment_environment;
	/* From the options; the environment's is read when it is needed. */
	char *resource_attributes;
	char *box_directory;
	/* What is not to leave the process, as the options have them; NULL: the defaults. */
	char *redact;
	char *redact_keys;
	char *state_directory; /* "": none was found. NULL: none is wanted. */
	sonde_before_send_fn *before_send;
	void *before_send_user;
	char *audit_path; /* Absolute; NULL: no audit. */
	uint64_t audit_limit_bytes;

	uint64_t memory_limit_bytes;
	struct sonde__limits limits;
	/* By enum sonde_signal, spans and logs. */
	uint32_t delay_ms[2];
	uint32_t export_timeout_ms[SONDE__SIGNAL_ROWS]; /* And metrics. */
	uint32_t max_batch_items[2];
	uint32_t max_queue_items[2]; /* 0: the byte budget alone. */
	uint32_t metric_interval_ms;
	uint32_t max_batch_bytes;
	uint32_t slow_threshold_ms;
	enum sonde_exception_signal exception_signal;
	struct sonde__sampling sampling;
	struct sonde__flood_options flood;
	bool has_figures;
	uint64_t trails_size; /* Of the memory limit. */
	uint32_t breadcrumb_level; /* 0: off. */
	sonde_before_breadcrumb_fn *before_breadcrumb;
	void *before_breadcrumb_user;
	uint32_t regression_days;
	sonde_fingerprint_fn *fingerprint;
	void *fingerprint_user;
	struct sonde_observer observer;
	uint32_t breaker_failures;
	uint32_t breaker_reset_ms;
	uint32_t breaker_trials;
	uint32_t retry_initial_ms;
	uint32_t retry_max_ms;
	bool is_disabled;
	bool keep_at_exit;
	bool has_open_spans;
};

/*
 * SONDE_E_INVALID where the options have another library's size with unknown fields set. Everything
 * else that is wrong is reported and replaced by its default.
 */
int sonde__settings_init(struct sonde__settings *settings, const struct sonde_options *options);
void sonde__settings_deinit(struct sonde__settings *settings);

/* What is said about breadcrumbs. After the memory limit was read. */
void sonde__breadcrumb_settings_init(struct sonde__settings *settings,
				     const struct sonde_options *options);

/* Which traces the options, OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG choose. */
void sonde__sampling_init(struct sonde__settings *settings, const struct sonde_options *options);

/*
 * Which exporters the options and OTEL_TRACES_EXPORTER, OTEL_LOGS_EXPORTER, OTEL_METRICS_EXPORTER
 * choose, and the webhook. After the exception signal was read.
 */
int sonde__destinations_init(struct sonde__settings *settings, const struct sonde_options *options);
void sonde__destinations_deinit(struct sonde__settings *settings);

/* Where state is kept between runs, as the options and the environment say. SONDE_E_NOMEM. */
int sonde__state_directory_init(struct sonde__settings *settings,
				const struct sonde_options *options);

/* The options as this library knows them, whatever version the caller was built with. */
int sonde__options_read(const struct sonde_options *options, struct sonde_options *ret);

/*
 * Copies a string of the options; NULL and "" give NULL. *ret is left as NULL when memory is short.
 */
int sonde__settings_copy(const char *text, char **ret);

#endif
