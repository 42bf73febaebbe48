/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The webhook's messages about errors whose every text is hostile, past the pipeline, which would
 * have mended them. Standard input is a sequence of texts, each behind its size as four bytes, the
 * lowest first; standard output the messages in the same form, in the generic form and in Slack's
 * by turns.
 */

#include <stdio.h>
#include <stdlib.h>

#include "support/alert_batch.h"
#include "webhook/message.h"

static bool read_text(char **ret, size_t *ret_size)
{
	unsigned char size[4];

	if (fread(size, 1, sizeof(size), stdin) != sizeof(size))
		return false;
	*ret_size = (size_t)size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16;
	*ret = calloc(1, *ret_size + 1);
	return *ret && fread(*ret, 1, *ret_size, stdin) == *ret_size;
}

static void write_message(const struct sonde_buffer *out)
{
	for (int i = 0; i < 4; i++)
		putchar((int)(out->size >> 8 * i & 0xff));
	fwrite(out->data, 1, out->size, stdout);
}

static int dump(const char *data, size_t size, enum sonde__webhook_format format)
{
	struct sonde__webhook_settings settings = {
		.format = format, .wanted = SONDE__WEBHOOK_FIRST_SEEN,
		.trace_url = "http://j/{trace_id}",
	};
	struct sonde_buffer out = { .limit = (size_t)1 << 20 };
	struct sonde__webhook_message message;
	struct sonde_text text = { data, size };
	static struct alert_batch made;
	int status;

	alert_batch_init(&made, SONDE_SIGNAL_LOG);
	alert_batch_resource(&made, "service.name", text);
	alert_batch_resource(&made, "service.version", text);
	alert_batch_resource(&made, "host.name", text);
	for (int i = 0; i < 12; i++)
		alert_batch_add_log(&made, &(struct alert_spec){ .event_name = "exception",
								 .first_seen = true,
								 .type = data,
								 .message = text,
								 .body = text,
								 .function = data,
								 .file = data,
								 .fingerprint = data,
								 .line = 7,
								 .trace = 3 });
	sonde__webhook_message_init(&message, &settings, &made.batch);
	status = sonde__webhook_message_write(&message, &out);
	if (status == SONDE_OK)
		write_message(&out);
	free(out.data);
	alert_batch_deinit(&made);
	return status;
}

int main(void)
{
	char *text;
	size_t size;

	while (read_text(&text, &size)) {
		if (dump(text, size, SONDE__WEBHOOK_GENERIC) < 0 ||
		    dump(text, size, SONDE__WEBHOOK_SLACK) < 0)
			return 1;
		free(text);
	}
	return 0;
}
