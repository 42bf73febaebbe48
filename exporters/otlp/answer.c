/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "envelope.pb-c.h"
#include "status.pb-c.h"

/* How much of a stranger's text is shown. */
#define SHOWN_MAX 120

/*
 * What protobuf-c may allocate while it reads a body. A few bytes of a body, each an unknown field,
 * can cost it fifty times as much; a real answer is one message with one text.
 */
struct allowance {
	size_t left;
};

static void *allowance_alloc(void *data, size_t size)
{
	struct allowance *allowance = data;

	if (size > allowance->left)
		return NULL;
	allowance->left -= size;
	return malloc(size);
}

static void allowance_free(void *data, void *pointer)
{
	(void)data;
	free(pointer);
}

/* All of a body twice over, for the text, and something for the messages around it. */
static size_t allowance_for(struct sonde_bytes body)
{
	return 2 * body.size + 16384;
}

bool sonde__otlp_answer_is_type(const char *content_type, const char *type)
{
	size_t n = strlen(type);

	return content_type && !strncasecmp(content_type, type, n) &&
	       (!content_type[n] || content_type[n] == ';' || content_type[n] == ' ');
}

static void add_shown(struct sonde__otlp_line *line, const void *data, size_t size)
{
	const char *text = data;

	while (size && (unsigned char)text[size - 1] <= ' ')
		size--;
	sonde__otlp_line_add_cut(line, (struct sonde_text){ text, size }, SHOWN_MAX);
}

static uint64_t not_negative(int64_t number)
{
	return number > 0 ? (uint64_t)number : 0;
}

bool sonde__otlp_answer_read(struct sonde_bytes body, uint64_t *ret_n_rejected,
			     struct sonde__otlp_line *line)
{
	struct allowance allowance = { allowance_for(body) };
	ProtobufCAllocator allocator = { allowance_alloc, allowance_free, &allowance };
	SondeOtlp__Envelope__Response *response;

	*ret_n_rejected = 0;
	response = sonde_otlp__envelope__response__unpack(&allocator, body.size, body.data);
	if (!response)
		return false;
	if (response->partial_success) {
		*ret_n_rejected = not_negative(response->partial_success->rejected);
		add_shown(line, response->partial_success->error_message.data,
			  response->partial_success->error_message.len);
	}
	sonde_otlp__envelope__response__free_unpacked(response, &allocator);
	return true;
}

static void explain_status(struct sonde_bytes body, struct sonde__otlp_line *line)
{
	struct allowance allowance = { allowance_for(body) };
	ProtobufCAllocator allocator = { allowance_alloc, allowance_free, &allowance };
	SondeOtlp__Rpc__Status *status;

	status = sonde_otlp__rpc__status__unpack(&allocator, body.size, body.data);
	if (!status)
		return;
	if (status->message.len) {
		sonde__otlp_line_add(line, ": ");
		add_shown(line, status->message.data, status->message.len);
	}
	sonde_otlp__rpc__status__free_unpacked(status, &allocator);
}

void sonde__otlp_answer_explain(const char *content_type, struct sonde_bytes body,
				struct sonde__otlp_line *line)
{
	if (!body.size)
		return;
	if (sonde__otlp_answer_is_type(content_type, "application/x-protobuf")) {
		explain_status(body, line);
	} else if (sonde__otlp_answer_is_type(content_type, "text/plain") ||
		   sonde__otlp_answer_is_type(content_type, "application/json")) {
		sonde__otlp_line_add(line, ": ");
		add_shown(line, body.data, body.size);
	}
}
