/* SPDX-License-Identifier: Apache-2.0 */
#include "webhook/settings.h"

#include <string.h>
#include <strings.h>

#include "webhook/alert.h"
#include "webhook/answers.h"

#define DEFAULT_TIMEOUT_MS 10000
#define DEFAULT_PER_MINUTE 10
#define DEFAULT_ON (SONDE__WEBHOOK_FIRST_SEEN | SONDE__WEBHOOK_REGRESSED)

struct reader {
	struct sonde__otlp_reader base;
	struct sonde__webhook_settings *settings;
};

static struct sonde__webhook_settings *settings_of(struct sonde__otlp_reader *base)
{
	return ((struct reader *)base)->settings;
}

/* Slack answers anything but its own form with an error. */
static enum sonde__webhook_format guess_format(const struct sonde__otlp_target *target)
{
	static const char slack[] = "https://hooks.slack.com";

	return strcasecmp(target->shown, slack) ? SONDE__WEBHOOK_GENERIC : SONDE__WEBHOOK_SLACK;
}

static int use_format(struct sonde__otlp_reader *reader, const char *value)
{
	if (!strcasecmp(value, "slack"))
		settings_of(reader)->format = SONDE__WEBHOOK_SLACK;
	else if (!strcasecmp(value, "generic"))
		settings_of(reader)->format = SONDE__WEBHOOK_GENERIC;
	else
		sonde__otlp_complain(reader, value, "is ignored: it is neither generic nor slack");
	return 1;
}

/* 0: no such word. */
static unsigned int reason_of(const char *word, size_t size)
{
	static const struct {
		const char *word;
		unsigned int reason;
	} reasons[] = {
		{ "first_seen", SONDE__WEBHOOK_FIRST_SEEN },
		{ "regressed", SONDE__WEBHOOK_REGRESSED },
		{ "fatal", SONDE__WEBHOOK_FATAL },
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strlen(reasons[i].word) == size && !strncasecmp(word, reasons[i].word, size))
			return reasons[i].reason;
	return 0;
}

static int use_on(struct sonde__otlp_reader *reader, const char *value)
{
	unsigned int wanted = 0;

	for (const char *at = value; *(at += strspn(at, " \t,"));) {
		size_t size = strcspn(at, " \t,");
		unsigned int reason = reason_of(at, size);

		if (!reason) {
			sonde__otlp_complain(reader, value,
					     "is ignored: it is not a list of first_seen, regressed, fatal");
			return 1;
		}
		wanted |= reason;
		at += size;
	}
	if (wanted)
		settings_of(reader)->wanted = wanted;
	return 1;
}

static int use_per_minute(struct sonde__otlp_reader *reader, const char *value)
{
	if (!sonde__otlp_read_number(value, 60000, &settings_of(reader)->per_minute))
		sonde__otlp_complain(reader, value, "is ignored: it is not a number of messages from 0 to 60000");
	return 1;
}

/* What would break a link, in a page or in a message. */
static bool is_link(const char *value)
{
	for (; *value; value++)
		if (*value <= ' ' || *value >= 0x7f || strchr("\"<>|\\^`", *value))
			return false;
	return true;
}

static int use_trace_url(struct sonde__otlp_reader *reader, const char *value)
{
	if (strncasecmp(value, "http://", 7) && strncasecmp(value, "https://", 8))
		sonde__otlp_complain(reader, value, "is ignored: it begins with neither http:// nor https://");
	else if (!strstr(value, "{trace_id}"))
		sonde__otlp_complain(reader, value, "is ignored: it has no {trace_id}");
	else if (!is_link(value) || strlen(value) >= SONDE__WEBHOOK_TRACE_URL_MAX)
		sonde__otlp_complain(reader, value, "is ignored: it is not a URL, or longer than 511 bytes");
	else
		memcpy(settings_of(reader)->trace_url, value, strlen(value) + 1);
	return 1;
}

static int read_url(struct sonde__otlp_reader *reader)
{
	const char *value;
	int status;

	reader->name = "SONDE_WEBHOOK_URL";
	value = sonde__otlp_lookup(reader, reader->name);
	if (!value) {
		sonde__otlp_complain(reader, /* value= */ NULL, "is not set: there is nowhere to send alerts");
		return SONDE_E_INVALID;
	}
	status = sonde__otlp_use_url(reader, value, /* path= */ NULL);
	return status == 0 ? SONDE_E_INVALID : status;
}

static int read_rest(struct sonde__otlp_reader *reader)
{
	static const struct {
		const char *name;
		sonde__otlp_use_fn *use;
	} rest[] = {
		{ "SONDE_WEBHOOK_FORMAT", use_format },
		{ "SONDE_WEBHOOK_ON", use_on },
		{ "SONDE_WEBHOOK_PER_MINUTE", use_per_minute },
		{ "SONDE_WEBHOOK_TIMEOUT", sonde__otlp_use_timeout },
		{ "SONDE_WEBHOOK_HEADERS", sonde__otlp_use_headers },
		{ "SONDE_WEBHOOK_CERTIFICATE", sonde__otlp_use_certificate },
		{ "SONDE_WEBHOOK_CLIENT_KEY", sonde__otlp_use_client_key },
		{ "SONDE_WEBHOOK_CLIENT_CERTIFICATE", sonde__otlp_use_client_certificate },
		{ "SONDE_TRACE_URL", use_trace_url },
	};
	int status = SONDE_OK;

	for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]) && status >= 0; i++) {
		const char *value = sonde__otlp_lookup(reader, rest[i].name);

		reader->name = rest[i].name;
		if (value)
			status = rest[i].use(reader, value);
	}
	return status;
}

int sonde__webhook_settings_init(struct sonde__webhook_settings *settings,
				 const struct sonde_exporter_host *host)
{
	struct reader reader = {
		.base = { .host = host, .target = &settings->target },
		.settings = settings,
	};
	int status;

	*settings = (struct sonde__webhook_settings){
		.target = { .dialect = &sonde__webhook_dialect,
			    .timeout_ms = DEFAULT_TIMEOUT_MS,
			    .is_secret = true },
		.wanted = DEFAULT_ON,
		.per_minute = DEFAULT_PER_MINUTE,
	};
	status = read_url(&reader.base);
	if (status >= 0) {
		settings->format = guess_format(&settings->target);
		status = read_rest(&reader.base);
	}
	if (status >= 0)
		status = sonde__otlp_target_finish(&reader.base, "application/json");
	if (status < 0) {
		sonde__webhook_settings_deinit(settings);
		return status;
	}
	return SONDE_OK;
}

void sonde__webhook_settings_deinit(struct sonde__webhook_settings *settings)
{
	sonde__otlp_target_deinit(&settings->target);
}
