/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slack's incoming webhooks, in the form that Mattermost, Rocket.Chat and Discord read as well: a
 * text, and an attachment for each error. Standard: Slack's "Formatting text for app surfaces": in
 * what is shown &, < and > are escaped, and then nothing in it is a link, a mention or a command.
 */
#include "json/write.h"
#include "webhook/message.h"

/* Five bytes for one, at worst. */
#define ESCAPED_SIZE (5 * SONDE__WEBHOOK_HEADLINE_SIZE)

/* `text` is clean already. */
static void put_escaped(struct sonde__json *json, const char *key, struct sonde_text text)
{
	char escaped[ESCAPED_SIZE];
	struct sonde__otlp_line line;
	size_t done = 0;

	sonde__otlp_line_init(&line, escaped, sizeof(escaped));
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];

		if (c != '&' && c != '<' && c != '>')
			continue;
		sonde__otlp_line_add_text(&line, (struct sonde_text){ text.data + done, i - done });
		sonde__otlp_line_add(&line, c == '&' ? "&amp;" : c == '<' ? "&lt;" : "&gt;");
		done = i + 1;
	}
	sonde__otlp_line_add_text(&line,
				  (struct sonde_text){ text.data + done, text.size - done });
	sonde__json_raw(json, key);
	sonde__json_text(json, sonde__webhook_line_text(&line));
}

static void put_cut(struct sonde__json *json, const char *key, struct sonde_text text, size_t limit)
{
	char clean[SONDE__WEBHOOK_MESSAGE_MAX + 8];
	struct sonde__otlp_line line;

	sonde__otlp_line_init(&line, clean, sizeof(clean));
	sonde__otlp_line_add_cut(&line, text, limit);
	put_escaped(json, key, sonde__webhook_line_text(&line));
}

static void put_title(struct sonde__json *json, const struct sonde__webhook_alert *alert)
{
	char clean[SONDE__WEBHOOK_NAME_MAX + 64];
	struct sonde__otlp_line line;

	sonde__otlp_line_init(&line, clean, sizeof(clean));
	sonde__otlp_line_add(&line, sonde__webhook_reason_text(alert));
	if (alert->type.size) {
		sonde__otlp_line_add(&line, ": ");
		sonde__otlp_line_add_cut(&line, alert->type, SONDE__WEBHOOK_NAME_MAX);
	}
	put_escaped(json, "\"title\":", sonde__webhook_line_text(&line));
}

static void put_link(struct sonde__json *json, const struct sonde__webhook_settings *settings,
		     const struct sonde__webhook_alert *alert)
{
	char url[SONDE__WEBHOOK_LINK_SIZE];
	struct sonde_text link = sonde__webhook_link(settings, alert, url);

	if (!link.size)
		return;
	sonde__json_raw(json, ",\"title_link\":");
	sonde__json_text(json, link);
}

/* "charge (checkout.c:41)" */
static void put_place(struct sonde__json *json, const struct sonde__webhook_alert *alert)
{
	char clean[2 * SONDE__WEBHOOK_NAME_MAX + 64];
	struct sonde__otlp_line line;

	if (!alert->function.size && !alert->file.size)
		return;
	sonde__otlp_line_init(&line, clean, sizeof(clean));
	sonde__otlp_line_add_cut(&line, alert->function, SONDE__WEBHOOK_NAME_MAX);
	if (alert->file.size) {
		sonde__otlp_line_add(&line, " (");
		sonde__otlp_line_add_cut(&line, alert->file, SONDE__WEBHOOK_NAME_MAX);
		if (alert->line > 0) {
			sonde__otlp_line_add(&line, ":");
			sonde__otlp_line_add_uint(&line, (uint64_t)alert->line);
		}
		sonde__otlp_line_add(&line, ")");
	}
	put_escaped(json, "{\"title\":\"place\",\"short\":true,\"value\":",
		    sonde__webhook_line_text(&line));
	sonde__json_raw(json, "},");
}

static void put_host(struct sonde__json *json, const struct sonde__webhook_message *message)
{
	if (!message->service.host.size)
		return;
	put_cut(json, "{\"title\":\"host\",\"short\":true,\"value\":", message->service.host,
		SONDE__WEBHOOK_NAME_MAX);
	sonde__json_raw(json, "},");
}

static void put_fingerprint(struct sonde__json *json, const struct sonde__webhook_alert *alert)
{
	if (!alert->fingerprint.size)
		return;
	put_cut(json, "{\"title\":\"fingerprint\",\"short\":true,\"value\":", alert->fingerprint,
		SONDE__WEBHOOK_NAME_MAX);
	sonde__json_raw(json, "},");
}

static void put_alert(struct sonde__json *json, const struct sonde__webhook_message *message,
		      const struct sonde__webhook_alert *alert)
{
	char buffer[SONDE__WEBHOOK_TIME_SIZE];
	struct sonde_text time = sonde__webhook_time(alert->unix_ns, buffer);

	sonde__json_raw(json, alert->reasons & SONDE__WEBHOOK_REGRESSED ?
				      "{\"color\":\"warning\"," :
				      "{\"color\":\"danger\",");
	put_title(json, alert);
	put_link(json, message->settings, alert);
	put_cut(json, ",\"text\":", alert->message, SONDE__WEBHOOK_MESSAGE_MAX);
	sonde__json_raw(json, ",\"fields\":[");
	put_place(json, alert);
	put_host(json, message);
	put_fingerprint(json, alert);
	sonde__json_raw(json, "{\"title\":\"time\",\"short\":true,\"value\":");
	sonde__json_text(json, time);
	sonde__json_raw(json, "}]}");
}

static void add_rest(const struct sonde__webhook_message *message, struct sonde__otlp_line *line)
{
	if (message->n_alerts > SONDE__WEBHOOK_LISTED_MAX) {
		sonde__otlp_line_add(line, "; here are ");
		sonde__otlp_line_add_uint(line, SONDE__WEBHOOK_LISTED_MAX);
		sonde__otlp_line_add(line, " and ");
		sonde__otlp_line_add_uint(line, message->n_alerts - SONDE__WEBHOOK_LISTED_MAX);
		sonde__otlp_line_add(line, " more");
	}
	if (message->n_held) {
		sonde__otlp_line_add(line, "; ");
		sonde__otlp_line_add_uint(line, message->n_held);
		sonde__otlp_line_add(line, " were held back before");
	}
	if (message->is_limit_reached)
		sonde__otlp_line_add(line, "; more will be held back now");
}

static void put_text(struct sonde__json *json, const struct sonde__webhook_message *message)
{
	char text[SONDE__WEBHOOK_HEADLINE_SIZE];
	struct sonde__otlp_line line;

	sonde__otlp_line_init(&line, text, sizeof(text));
	sonde__webhook_headline(message, &line);
	add_rest(message, &line);
	put_escaped(json, "{\"text\":", sonde__webhook_line_text(&line));
}

void sonde__webhook_slack(const struct sonde__webhook_message *message, struct sonde__json *json)
{
	struct sonde__webhook_walk walk;
	struct sonde__webhook_alert alert;
	size_t n = 0;

	put_text(json, message);
	sonde__json_raw(json, ",\"attachments\":[");
	sonde__webhook_walk_init(&walk, message->batch, message->settings->wanted);
	while (n < SONDE__WEBHOOK_LISTED_MAX && sonde__webhook_walk_next(&walk, &alert)) {
		sonde__json_raw(json, n++ ? "," : "");
		put_alert(json, message, &alert);
	}
	sonde__json_raw(json, "]}");
}
