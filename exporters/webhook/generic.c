/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generic form: one object whose fields are always there, texts empty and numbers 0 where
 * nothing is known. docs/design/webhook.md describes each. "text" is what chat systems other than
 * Slack show of a message they do not know.
 */
#include "json/write.h"
#include "webhook/message.h"

static void put_text(struct sonde__json *json, const char *key, struct sonde_text text,
		     size_t limit)
{
	char clean[SONDE__WEBHOOK_MESSAGE_MAX + 8];
	struct sonde__otlp_line line;

	sonde__otlp_line_init(&line, clean, sizeof(clean));
	sonde__otlp_line_add_cut(&line, text, limit);
	sonde__json_raw(json, key);
	sonde__json_text(json, sonde__webhook_line_text(&line));
}

static void put_name(struct sonde__json *json, const char *key, struct sonde_text text)
{
	put_text(json, key, text, SONDE__WEBHOOK_NAME_MAX);
}

static void put_number(struct sonde__json *json, const char *key, uint64_t number)
{
	sonde__json_raw(json, key);
	sonde__json_u32(json, number < UINT32_MAX ? (uint32_t)number : UINT32_MAX);
}

static void put_bool(struct sonde__json *json, const char *key, bool value)
{
	sonde__json_raw(json, key);
	sonde__json_raw(json, value ? "true" : "false");
}

/* "" where it is all zero. */
static void put_id(struct sonde__json *json, const char *key, const uint8_t *id, size_t size)
{
	size_t n = 0;

	while (n < size && !id[n])
		n++;
	sonde__json_raw(json, key);
	sonde__json_hex(json, id, n < size ? size : 0);
}

static const char *severity_of(const struct sonde__webhook_alert *alert)
{
	static const char *const names[] = { "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL" };

	return alert->severity >= 1 && alert->severity <= 24 ? names[(alert->severity - 1) / 4] :
							       "ERROR";
}

/* The failed request's own, else the service's. */
static struct sonde_text own_or(struct sonde_text own, struct sonde_text other)
{
	return own.size ? own : other;
}

static void put_where(struct sonde__json *json, const struct sonde__webhook_settings *settings,
		      const struct sonde__webhook_alert *alert)
{
	char url[SONDE__WEBHOOK_LINK_SIZE];

	put_name(json, ",\"function\":", alert->function);
	put_name(json, ",\"file\":", alert->file);
	put_number(json, ",\"line\":", alert->line > 0 ? (uint64_t)alert->line : 0);
	put_id(json, ",\"trace_id\":", alert->trace_id, sizeof(alert->trace_id));
	put_id(json, ",\"span_id\":", alert->span_id, sizeof(alert->span_id));
	sonde__json_raw(json, ",\"trace_url\":");
	sonde__json_text(json, sonde__webhook_link(settings, alert, url));
}

static void put_alert(struct sonde__json *json, const struct sonde__webhook_message *message,
		      const struct sonde__webhook_alert *alert)
{
	const struct sonde__webhook_service *service = &message->service;
	char time[SONDE__WEBHOOK_TIME_SIZE];

	put_bool(json, "{\"first_seen\":", alert->reasons & SONDE__WEBHOOK_FIRST_SEEN);
	put_bool(json, ",\"regressed\":", alert->reasons & SONDE__WEBHOOK_REGRESSED);
	put_bool(json, ",\"fatal\":", alert->reasons & SONDE__WEBHOOK_FATAL);
	sonde__json_raw(json, ",\"time\":");
	sonde__json_text(json, sonde__webhook_time(alert->unix_ns, time));
	sonde__json_raw(json, ",\"severity\":\"");
	sonde__json_raw(json, severity_of(alert));
	put_name(json, "\",\"type\":", alert->type);
	put_text(json, ",\"message\":", alert->message, SONDE__WEBHOOK_MESSAGE_MAX);
	put_name(json, ",\"fingerprint\":", alert->fingerprint);
	put_name(json, ",\"id\":", alert->id);
	put_name(json, ",\"version\":", own_or(alert->version, service->version));
	put_name(json, ",\"environment\":", own_or(alert->environment, service->environment));
	put_where(json, message->settings, alert);
	sonde__json_raw(json, "}");
}

static size_t put_alerts(struct sonde__json *json, const struct sonde__webhook_message *message)
{
	struct sonde__webhook_walk walk;
	struct sonde__webhook_alert alert;
	size_t n = 0;

	sonde__webhook_walk_init(&walk, message->batch, message->settings->wanted);
	sonde__json_raw(json, ",\"errors\":[");
	while (n < SONDE__WEBHOOK_LISTED_MAX && sonde__webhook_walk_next(&walk, &alert)) {
		sonde__json_raw(json, n++ ? "," : "");
		put_alert(json, message, &alert);
	}
	sonde__json_raw(json, "]");
	return n;
}

void sonde__webhook_generic(const struct sonde__webhook_message *message, struct sonde__json *json)
{
	const struct sonde__webhook_service *service = &message->service;
	char text[SONDE__WEBHOOK_HEADLINE_SIZE];
	struct sonde__otlp_line line;
	size_t n_listed;

	sonde__otlp_line_init(&line, text, sizeof(text));
	sonde__webhook_headline(message, &line);
	sonde__json_raw(json, "{\"text\":");
	sonde__json_text(json, sonde__webhook_line_text(&line));
	put_name(json, ",\"service\":", service->name);
	put_name(json, ",\"namespace\":", service->namespace);
	put_name(json, ",\"version\":", service->version);
	put_name(json, ",\"environment\":", service->environment);
	put_name(json, ",\"host\":", service->host);
	put_name(json, ",\"instance\":", service->instance);
	n_listed = put_alerts(json, message);
	put_number(json, ",\"more\":", message->n_alerts - n_listed);
	put_number(json, ",\"held_back\":", message->n_held);
	put_bool(json, ",\"limit_reached\":", message->is_limit_reached);
	sonde__json_raw(json, "}");
}
