/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The problem document. Two questions decide what is in it:
 *
 *	what is it?          the outermost error's status: whoever wrapped the error last knew best
 *	                     what it means for this request
 *	what may be seen?    nothing that its type does not allow. An error that is not public hides
 *	                     all that is below it, too, because who wrapped a public error in one
 *	                     that is not has said that the client cannot do anything about it
 */

#include <sonde/problem.h>

#include <stdio.h>
#include <string.h>

#include <sonde/context.h>
#include <sonde/exporter.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "capture/problem.h"
#include "capture/problem_text.h"
#include "error/error.h"

#define CODE_SIZE 64
#define HIDDEN_DETAIL "The request could not be completed."
#define HIDDEN_DETAIL_TRACED \
	"The request could not be completed. Name the trace_id when you report it."

struct status_text {
	int status;
	const char *title;
	const char *code; /* Of an error that may say no more about itself. */
};

/* Standard: RFC 9110, section 15, and IANA's registry. Others are as the first of their hundred. */
static const struct status_text status_texts[] = {
	{ 400, "Bad Request", "BAD_REQUEST" },
	{ 401, "Unauthorized", "UNAUTHORIZED" },
	{ 402, "Payment Required", "PAYMENT_REQUIRED" },
	{ 403, "Forbidden", "FORBIDDEN" },
	{ 404, "Not Found", "NOT_FOUND" },
	{ 405, "Method Not Allowed", "METHOD_NOT_ALLOWED" },
	{ 406, "Not Acceptable", "NOT_ACCEPTABLE" },
	{ 408, "Request Timeout", "REQUEST_TIMEOUT" },
	{ 409, "Conflict", "CONFLICT" },
	{ 410, "Gone", "GONE" },
	{ 411, "Length Required", "LENGTH_REQUIRED" },
	{ 412, "Precondition Failed", "PRECONDITION_FAILED" },
	{ 413, "Content Too Large", "CONTENT_TOO_LARGE" },
	{ 414, "URI Too Long", "URI_TOO_LONG" },
	{ 415, "Unsupported Media Type", "UNSUPPORTED_MEDIA_TYPE" },
	{ 416, "Range Not Satisfiable", "RANGE_NOT_SATISFIABLE" },
	{ 417, "Expectation Failed", "EXPECTATION_FAILED" },
	{ 421, "Misdirected Request", "MISDIRECTED_REQUEST" },
	{ 422, "Unprocessable Content", "VALIDATION" },
	{ 423, "Locked", "LOCKED" },
	{ 424, "Failed Dependency", "FAILED_DEPENDENCY" },
	{ 425, "Too Early", "TOO_EARLY" },
	{ 426, "Upgrade Required", "UPGRADE_REQUIRED" },
	{ 428, "Precondition Required", "PRECONDITION_REQUIRED" },
	{ 429, "Too Many Requests", "TOO_MANY_REQUESTS" },
	{ 431, "Request Header Fields Too Large", "HEADER_FIELDS_TOO_LARGE" },
	{ 451, "Unavailable For Legal Reasons", "LEGAL_REASONS" },
	{ 499, "Client Closed Request", "CANCELLED" },
	{ 500, "Internal Server Error", "INTERNAL" },
	{ 501, "Not Implemented", "NOT_IMPLEMENTED" },
	{ 502, "Bad Gateway", "EXTERNAL_SERVICE" },
	{ 503, "Service Unavailable", "UNAVAILABLE" },
	{ 504, "Gateway Timeout", "TIMEOUT" },
	{ 505, "HTTP Version Not Supported", "HTTP_VERSION_NOT_SUPPORTED" },
	{ 507, "Insufficient Storage", "INSUFFICIENT_STORAGE" },
	{ 511, "Network Authentication Required", "NETWORK_AUTHENTICATION_REQUIRED" },
};

static const struct status_text *status_text_of(int status)
{
	const struct status_text *hundred = status_texts;

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(status_texts); i++) {
		if (status_texts[i].status == status)
			return &status_texts[i];
		if (status_texts[i].status == status / 100 * 100)
			hundred = &status_texts[i];
	}
	return hundred;
}

int sonde_problem_status(const struct sonde_error *error)
{
	int status = sonde_error_http_status(error);

	if (!error)
		return 200;
	return status >= 400 && status <= 599 ? status : 500;
}

int64_t sonde_problem_retry_after(const struct sonde_error *error)
{
	const int status = sonde_problem_status(error);
	const uint64_t delay_ns = sonde_error_retry_after_ns(error);

	if (delay_ns == UINT64_MAX || (status != 413 && status != 429 && status != 503))
		return -1;
	return (int64_t)(delay_ns / SONDE__NS_PER_S + (delay_ns % SONDE__NS_PER_S != 0));
}

/* ---- Members --------------------------------------------------------------------------------- */

static void name_put(struct sonde__json *json, const char *name)
{
	if (json->used > 1)
		sonde__json_put(json, ",", 1);
	sonde__json_put(json, "\"", 1);
	sonde__json_put_text(json, name);
	sonde__json_put(json, "\":", 2);
}

static void text_member(struct sonde__json *json, const char *name, const char *text, bool may_cut)
{
	size_t mark = json->used;

	name_put(json, name);
	sonde__json_put_string(json, text, strlen(text), may_cut);
	(void)sonde__json_settle(json, mark);
}

static void status_member(struct sonde__json *json, int status)
{
	size_t mark = json->used;
	char digits[12];

	name_put(json, "status");
	(void)snprintf(digits, sizeof(digits), "%d", status);
	sonde__json_put_text(json, digits);
	(void)sonde__json_settle(json, mark);
}

/* "ORDER_NOT_PAID" as a part of a URI, "order-not-paid", or a title, "Order not paid". */
static void code_spell(const char *code, char between, bool is_title, char ret[CODE_SIZE])
{
	size_t n = 0;

	for (; code[n] && n + 1 < CODE_SIZE; n++) {
		bool is_upper = code[n] >= 'A' && code[n] <= 'Z';

		ret[n] = code[n];
		if (code[n] == '_' || code[n] == ' ')
			ret[n] = between;
		else if (is_upper && (n || !is_title))
			ret[n] = (char)(code[n] - 'A' + 'a');
	}
	ret[n] = '\0';
}

/* A type of its own has a title of its own. Standard: RFC 9457, sections 3.1.1 and 4.2.1. */
static void type_members(struct sonde__json *json, const struct sonde_error *error,
			 const struct status_text *status, const char *type_base)
{
	size_t mark = json->used;
	char spelled[CODE_SIZE];

	if (!type_base || !sonde_error_code(error)[0]) {
		text_member(json, "type", "about:blank", /* may_cut= */ false);
		text_member(json, "title", status->title, /* may_cut= */ false);
		return;
	}
	code_spell(sonde_error_code(error), '-', /* is_title= */ false, spelled);
	name_put(json, "type");
	sonde__json_put(json, "\"", 1);
	sonde__json_put_inside(json, type_base, strlen(type_base));
	sonde__json_put_inside(json, spelled, strlen(spelled));
	sonde__json_put(json, "\"", 1);
	(void)sonde__json_settle(json, mark);
	code_spell(sonde_error_code(error), ' ', /* is_title= */ true, spelled);
	text_member(json, "title", spelled, /* may_cut= */ false);
}

static void trace_member(struct sonde__json *json, const struct sonde_context *context)
{
	char trace_id[SONDE_TRACE_ID_LENGTH + 1];

	if (!sonde_context_is_valid(context))
		return;
	sonde_trace_id_format(context, trace_id);
	text_member(json, "trace_id", trace_id, /* may_cut= */ false);
}

/* ---- The list of what is wrong --------------------------------------------------------------- */

static void entry_put(struct sonde__json *json, struct sonde_text detail,
		      const struct sonde_text *field)
{
	const size_t mark = json->used;

	if (json->buffer[mark - 1] != '[')
		sonde__json_put(json, ",", 1);
	sonde__json_put_text(json, "{\"detail\":");
	sonde__json_put_string(json, detail.data, detail.size, /* may_cut= */ false);
	if (field) {
		sonde__json_put_text(json, ",\"pointer\":\"");
		sonde__json_put_pointer(json, field->data, field->size);
		sonde__json_put(json, "\"", 1);
	}
	sonde__json_put(json, "}", 1);
	(void)sonde__json_settle(json, mark);
}

/* The fields that were added to this error; false: none were. */
static bool fields_put(struct sonde__json *json, const struct sonde_error *error)
{
	const size_t prefix_size = sizeof(SONDE__ERROR_FIELD_PREFIX) - 1;
	struct sonde_item_view item;
	uint16_t n_dropped;
	struct sonde_bytes rest = sonde__error_attributes(error, &n_dropped);
	bool has_any = false;

	while (sonde_item_next(SONDE_FIELDS_LOG, &rest, &item)) {
		struct sonde_text field;

		if (item.type != SONDE_ITEM_ATTRIBUTE || item.name.size < prefix_size ||
		    memcmp(item.name.data, SONDE__ERROR_FIELD_PREFIX, prefix_size) != 0 ||
		    item.value.type != SONDE_VALUE_STR)
			continue;
		field = (struct sonde_text){ item.name.data + prefix_size,
					     item.name.size - prefix_size };
		entry_put(json, item.value.as.string, &field);
		has_any = true;
	}
	return has_any;
}

/* Of every error that is public, as are those above it: its fields; of joined ones the message. */
static void entries_put(struct sonde__json *json, const struct sonde_error *error)
{
	struct sonde__error_walk walk = { .next = error };
	int hidden_level = -1; /* Everything below an error of that level, until the next beside. */

	while ((error = sonde__error_walk(&walk)) != NULL) {
		bool is_beside = walk.level < hidden_level ||
				 (walk.level == hidden_level && walk.is_joined);

		if (hidden_level >= 0 && !is_beside)
			continue;
		hidden_level = sonde__error_has_public_message(error) ? -1 : walk.level;
		if (hidden_level >= 0 || fields_put(json, error) || !walk.is_joined ||
		    sonde_error_joined(error, 0))
			continue;
		entry_put(json,
			  (struct sonde_text){ sonde_error_message(error),
					       strlen(sonde_error_message(error)) },
			  /* field= */ NULL);
	}
}

static void errors_member(struct sonde__json *json, const struct sonde_error *error)
{
	size_t mark = json->used;

	name_put(json, "errors");
	sonde__json_put(json, "[", 1);
	if (json->used + 1 > json->limit)
		json->is_full = true;
	if (!sonde__json_settle(json, mark))
		return;
	json->limit--;
	entries_put(json, error);
	json->limit++;
	if (json->buffer[json->used - 1] == '[')
		json->used = mark;
	else
		sonde__json_put(json, "]", 1);
}

/* ---- The document ---------------------------------------------------------------------------- */

static void public_members(struct sonde__json *json, const struct sonde_error *error,
			   const struct sonde_context *context, const char *instance)
{
	text_member(json, "code", sonde_error_code(error), /* may_cut= */ false);
	trace_member(json, context);
	text_member(json, "detail", sonde_error_message(error), /* may_cut= */ true);
	if (instance)
		text_member(json, "instance", instance, /* may_cut= */ false);
	errors_member(json, error);
}

static void hidden_members(struct sonde__json *json, const struct status_text *status,
			   const struct sonde_context *context, const char *instance)
{
	text_member(json, "code", status->code, /* may_cut= */ false);
	trace_member(json, context);
	text_member(json, "detail",
		    sonde_context_is_valid(context) ? HIDDEN_DETAIL_TRACED : HIDDEN_DETAIL,
		    /* may_cut= */ true);
	if (instance)
		text_member(json, "instance", instance, /* may_cut= */ false);
}

size_t sonde_problem_write(const struct sonde_error *error, char *buffer, size_t size,
			   const struct sonde_problem_options *options)
{
	const struct sonde_problem_options defaults = SONDE_PROBLEM_OPTIONS_INIT;
	const bool is_public = sonde__error_has_public_message(error);
	const struct sonde_context context = sonde_context_current();
	struct sonde__json json = { .buffer = buffer };
	const int number = sonde_problem_status(error);
	const struct status_text *status = status_text_of(number);

	if (buffer && size > 0)
		buffer[0] = '\0';
	if (!error || !buffer || size < sizeof("{}"))
		return 0;
	if (!options || options->size < sizeof(*options))
		options = &defaults;
	json.limit = size - sizeof("}");
	sonde__json_put(&json, "{", 1);
	type_members(&json, error, status, is_public ? options->type_base : NULL);
	status_member(&json, number);
	if (is_public)
		public_members(&json, error, &context, options->instance);
	else
		hidden_members(&json, status, &context, options->instance);
	memcpy(json.buffer + json.used, "}", sizeof("}"));
	return json.used + 1;
}

int sonde_problem_answer(struct sonde_error *error, char *buffer, size_t size,
			 const struct sonde_problem_options *options)
{
	const int status = sonde_problem_status(error);

	(void)sonde_problem_write(error, buffer, size, options);
	if (error && sonde_is_recording())
		sonde__problem_record(error, status);
	return status;
}
