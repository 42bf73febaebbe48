/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <string.h>
#include <strings.h>

#include "classify.h"

#define DEFAULT_BASE "http://localhost:4318"
#define DEFAULT_TIMEOUT_MS 10000

enum setting {
	ENDPOINT,
	PROTOCOL,
	TIMEOUT,
	COMPRESSION,
	HEADERS,
	CERTIFICATE,
	CLIENT_KEY,
	CLIENT_CERTIFICATE,
	N_SETTINGS
};

/* By signal, then by enum setting; the general names last. */
#define NAMES(infix) { \
	"OTEL_EXPORTER_OTLP_" infix "ENDPOINT", "OTEL_EXPORTER_OTLP_" infix "PROTOCOL", \
	"OTEL_EXPORTER_OTLP_" infix "TIMEOUT", "OTEL_EXPORTER_OTLP_" infix "COMPRESSION", \
	"OTEL_EXPORTER_OTLP_" infix "HEADERS", "OTEL_EXPORTER_OTLP_" infix "CERTIFICATE", \
	"OTEL_EXPORTER_OTLP_" infix "CLIENT_KEY", "OTEL_EXPORTER_OTLP_" infix "CLIENT_CERTIFICATE" }

static const char *const names[SONDE__OTLP_SIGNALS + 1][N_SETTINGS] = {
	[SONDE_SIGNAL_SPAN] = NAMES("TRACES_"),
	[SONDE_SIGNAL_LOG] = NAMES("LOGS_"),
	[SONDE_SIGNAL_METRIC] = NAMES("METRICS_"),
	[SONDE__OTLP_SIGNALS] = NAMES(""),
};

#define GENERAL SONDE__OTLP_SIGNALS

struct reader {
	struct sonde__otlp_reader base;
	enum sonde_signal signal;
	unsigned int
		*judged; /* A bit for each general setting that was complained about, if at all. */
};

/*
 * Hands the signal's own value and then the general one to `use`, until it takes one; returns what
 * it returned last, 0 where there is no value.
 */
static int resolve(struct reader *reader, enum setting setting, sonde__otlp_use_fn *use)
{
	int status = 0;

	for (int round = 0; round < 2 && status == 0; round++) {
		bool is_general = round == 1;
		const char *value;

		reader->base.is_silent = is_general && (*reader->judged & 1u << setting);
		reader->base.name = names[is_general ? GENERAL : (int)reader->signal][setting];
		value = sonde__otlp_lookup(&reader->base, reader->base.name);
		if (!value)
			continue;
		status = use(&reader->base, value);
		if (is_general)
			*reader->judged |= 1u << setting;
	}
	return status;
}

/* The general endpoint is the base of the signals' paths. */
static const char *const paths[SONDE__OTLP_SIGNALS] = {
	[SONDE_SIGNAL_SPAN] = "v1/traces",
	[SONDE_SIGNAL_LOG] = "v1/logs",
	[SONDE_SIGNAL_METRIC] = "v1/metrics",
};

static int use_endpoint(struct sonde__otlp_reader *base, const char *value)
{
	const struct reader *reader = (const struct reader *)base;
	bool is_general = base->name == names[GENERAL][ENDPOINT];

	return sonde__otlp_use_url(base, value, is_general ? paths[reader->signal] : NULL);
}

static int use_default_endpoint(struct reader *reader)
{
	reader->base.name = names[GENERAL][ENDPOINT];
	return use_endpoint(&reader->base, DEFAULT_BASE);
}

static int use_protocol(struct sonde__otlp_reader *reader, const char *value)
{
	if (!strcasecmp(value, "http/protobuf"))
		return 1;
	if (!strcasecmp(value, "grpc") || !strcasecmp(value, "http/json"))
		sonde__otlp_complain(reader, value, "is not supported by this build; http/protobuf is used instead");
	else
		sonde__otlp_complain(reader, value, "is not a protocol of OTLP; http/protobuf is used instead");
	return 0;
}

static int use_compression(struct sonde__otlp_reader *reader, const char *value)
{
	reader->target->gzip = !strcasecmp(value, "gzip");
	if (reader->target->gzip || !strcasecmp(value, "none"))
		return 1;
	sonde__otlp_complain(reader, value, "is ignored: it is neither gzip nor none");
	return 0;
}

static int target_read(struct reader *reader)
{
	static const struct {
		enum setting setting;
		sonde__otlp_use_fn *use;
	} rest[] = {
		{ PROTOCOL, use_protocol },
		{ TIMEOUT, sonde__otlp_use_timeout },
		{ COMPRESSION, use_compression },
		{ HEADERS, sonde__otlp_use_headers },
		{ CERTIFICATE, sonde__otlp_use_certificate },
		{ CLIENT_KEY, sonde__otlp_use_client_key },
		{ CLIENT_CERTIFICATE, sonde__otlp_use_client_certificate },
	};
	int status;

	reader->base.target->dialect = &sonde__otlp_dialect;
	reader->base.target->timeout_ms = DEFAULT_TIMEOUT_MS;
	status = resolve(reader, ENDPOINT, use_endpoint);
	if (status == 0)
		status = use_default_endpoint(reader);
	for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]) && status >= 0; i++)
		status = resolve(reader, rest[i].setting, rest[i].use);
	if (status >= 0)
		status = sonde__otlp_target_finish(&reader->base, "application/x-protobuf");
	return status < 0 ? status : SONDE_OK;
}

int sonde__otlp_settings_init(struct sonde__otlp_settings *settings,
			      const struct sonde_exporter_host *host)
{
	unsigned int judged = 0;
	int status = SONDE_OK;

	memset(settings, 0, sizeof(*settings));
	for (int i = 0; i < SONDE__OTLP_SIGNALS && status == SONDE_OK; i++) {
		struct reader reader = {
			.base = { .host = host, .target = &settings->targets[i] },
			.signal = (enum sonde_signal)i,
			.judged = &judged,
		};

		if (i != SONDE_SIGNAL_PART)
			status = target_read(&reader);
	}
	if (status < 0)
		sonde__otlp_settings_deinit(settings);
	return status;
}

void sonde__otlp_settings_deinit(struct sonde__otlp_settings *settings)
{
	for (int i = 0; i < SONDE__OTLP_SIGNALS; i++)
		sonde__otlp_target_deinit(&settings->targets[i]);
}
