/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts come from the service, which may have them from strangers: each goes through a line
 * (otlp/line.h) that makes it valid, printable and short, and only then into JSON.
 */
#include "webhook/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json/write.h"

static void read_service(struct sonde__webhook_service *service, struct sonde_bytes attributes)
{
	const struct {
		const char *key;
		struct sonde_text *to;
	} texts[] = {
		{ "service.name", &service->name },
		{ "service.namespace", &service->namespace },
		{ "service.version", &service->version },
		{ "deployment.environment.name", &service->environment },
		{ "host.name", &service->host },
		{ "service.instance.id", &service->instance },
	};
	struct sonde_item_view item;

	while (sonde_item_next(SONDE_FIELDS_RESOURCE, &attributes, &item)) {
		if (item.type != SONDE_ITEM_ATTRIBUTE || item.value.type != SONDE_VALUE_STR)
			continue;
		for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
			if (sonde__webhook_text_is(item.name, texts[i].key))
				*texts[i].to = item.value.as.string;
	}
}

void sonde__webhook_message_init(struct sonde__webhook_message *message,
				 const struct sonde__webhook_settings *settings,
				 const struct sonde_batch *batch)
{
	struct sonde__webhook_walk walk;
	struct sonde__webhook_alert alert;

	*message = (struct sonde__webhook_message){ .settings = settings, .batch = batch };
	read_service(&message->service, batch->resource->attributes);
	sonde__webhook_walk_init(&walk, batch, settings->wanted);
	while (sonde__webhook_walk_next(&walk, &alert)) {
		message->n_alerts++;
		if (alert.reasons & SONDE__WEBHOOK_FATAL)
			message->n_fatal++;
		else if (alert.reasons & SONDE__WEBHOOK_REGRESSED)
			message->n_regressed++;
	}
}

int sonde__webhook_message_write(const struct sonde__webhook_message *message,
				 struct sonde_buffer *out)
{
	struct sonde__json json = { .out = out, .status = SONDE_OK };
	size_t size = out->size;

	if (message->settings->format == SONDE__WEBHOOK_SLACK)
		sonde__webhook_slack(message, &json);
	else
		sonde__webhook_generic(message, &json);
	if (json.status < 0)
		out->size = size;
	return json.status;
}

/* ---- For the templates ----------------------------------------------------------------------- */

const char *sonde__webhook_reason_text(const struct sonde__webhook_alert *alert)
{
	if (alert->reasons & SONDE__WEBHOOK_FATAL)
		return "fatal";
	return alert->reasons & SONDE__WEBHOOK_REGRESSED ? "error is back" : "new error";
}

static void add_service(const struct sonde__webhook_service *service, struct sonde__otlp_line *line)
{
	sonde__otlp_line_add_cut(line, service->name, 64);
	if (service->version.size) {
		sonde__otlp_line_add(line, " ");
		sonde__otlp_line_add_cut(line, service->version, 64);
	}
	if (service->environment.size) {
		sonde__otlp_line_add(line, " (");
		sonde__otlp_line_add_cut(line, service->environment, 64);
		sonde__otlp_line_add(line, ")");
	}
}

static void add_number(struct sonde__otlp_line *line, const char **separator, size_t n,
		       const char *what)
{
	if (!n)
		return;
	sonde__otlp_line_add(line, *separator);
	sonde__otlp_line_add_uint(line, n);
	sonde__otlp_line_add(line, what);
	*separator = ", ";
}

static void add_only_alert(const struct sonde__webhook_message *message,
			   struct sonde__otlp_line *line)
{
	struct sonde__webhook_walk walk;
	struct sonde__webhook_alert alert;

	sonde__webhook_walk_init(&walk, message->batch, message->settings->wanted);
	if (!sonde__webhook_walk_next(&walk, &alert))
		return;
	sonde__otlp_line_add(line, sonde__webhook_reason_text(&alert));
	if (alert.type.size) {
		sonde__otlp_line_add(line, ": ");
		sonde__otlp_line_add_cut(line, alert.type, 100);
	}
	sonde__otlp_line_add(line, ": ");
	sonde__otlp_line_add_cut(line, alert.message, 200);
}

void sonde__webhook_headline(const struct sonde__webhook_message *message,
			     struct sonde__otlp_line *line)
{
	size_t n_new = message->n_alerts - message->n_regressed - message->n_fatal;
	const char *separator = "";

	add_service(&message->service, line);
	sonde__otlp_line_add(line, ": ");
	if (message->n_alerts == 1) {
		add_only_alert(message, line);
		return;
	}
	add_number(line, &separator, message->n_fatal, " fatal");
	add_number(line, &separator, n_new, n_new == 1 ? " new error" : " new errors");
	add_number(line, &separator, message->n_regressed,
		   message->n_regressed == 1 ? " error is back" : " errors are back");
}

static bool is_set(const uint8_t *id, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (id[i])
			return true;
	return false;
}

static size_t put_hex(char *to, const uint8_t *id, size_t size)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		to[2 * i] = digits[id[i] >> 4];
		to[2 * i + 1] = digits[id[i] & 15];
	}
	return 2 * size;
}

struct sonde_text sonde__webhook_link(const struct sonde__webhook_settings *settings,
				      const struct sonde__webhook_alert *alert,
				      char buffer[SONDE__WEBHOOK_LINK_SIZE])
{
	const char *from = settings->trace_url;
	size_t n = 0;

	if (!is_set(alert->trace_id, sizeof(alert->trace_id)))
		return (struct sonde_text){ "", 0 };
	/* A template that is all names is the worst: each gives 22 bytes more than it takes. */
	while (*from && n + 33 < SONDE__WEBHOOK_LINK_SIZE) {
		if (!strncmp(from, "{trace_id}", 10)) {
			n += put_hex(buffer + n, alert->trace_id, sizeof(alert->trace_id));
			from += 10;
		} else if (!strncmp(from, "{span_id}", 9)) {
			n += put_hex(buffer + n, alert->span_id, sizeof(alert->span_id));
			from += 9;
		} else {
			buffer[n++] = *from++;
		}
	}
	/* Cut, it would lead somewhere else. */
	return *from ? (struct sonde_text){ "", 0 } : (struct sonde_text){ buffer, n };
}

/*
 * From days since 1970 to a date, in years that begin in March, so that the leap day is the last
 * (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms"). The C library's own looks the time
 * zone up, in the environment and under a lock.
 */
struct sonde_text sonde__webhook_time(uint64_t unix_ns, char buffer[SONDE__WEBHOOK_TIME_SIZE])
{
	uint64_t seconds = unix_ns / UINT64_C(1000000000);
	uint32_t of_day = (uint32_t)(seconds % 86400);
	uint64_t days = seconds / 86400 + 719468;
	uint64_t era = days / 146097;
	uint32_t of_era = (uint32_t)(days % 146097);
	uint32_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint32_t of_year = of_era - (365 * year + year / 4 - year / 100);
	uint32_t month = (5 * of_year + 2) / 153;
	uint32_t day = of_year - (153 * month + 2) / 5 + 1;
	int n;

	month += month < 10 ? 3 : (uint32_t)-9;
	n = snprintf(buffer, SONDE__WEBHOOK_TIME_SIZE,
		     "%04" PRIu64 "-%02" PRIu32 "-%02" PRIu32 "T%02" PRIu32 ":%02" PRIu32 ":%02" PRIu32
		     ".%06" PRIu32 "Z",
		     era * 400 + year + (month <= 2), month, day, of_day / 3600, of_day / 60 % 60,
		     of_day % 60, (uint32_t)(unix_ns % UINT64_C(1000000000) / 1000));
	return (struct sonde_text){ buffer, (size_t)n };
}
