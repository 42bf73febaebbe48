/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service that lets its secrets into everything it records: what is sent must hold none of them.
 *
 *	leaky [hook|drop|loop|odd]
 *
 * With `odd` it uses what else there is to say something with, and texts that are too long; it
 * prints the answers to failed requests. With `hook` before_send writes secrets in, too; with
 * `drop` it drops every other item; with `loop` it captures an error for every item. Prints
 * captured, exported, queued, lost to the hook and lost otherwise for spans and logs, and how many
 * calls there were.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sonde/breaker.h>
#include <sonde/hooks.h>
#include <sonde/problem.h>
#include <sonde/scope.h>
#include <sonde/sonde.h>

#define SECRET "hunter2-s3cr3t"
#define CARD "4111 1111 1111 1111"
#define URL "postgres://bob:" SECRET "@db.example/orders"
#define TEXT "login with password=" SECRET " and card " CARD " at " URL
#define TOKEN "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"

SONDE_ERROR_TYPE(card_declined, sonde_external_service, "CARD_DECLINED");
/* Made by hand, of what should not be in one. */
static const struct sonde_error_type telling_type = { .size = sizeof(struct sonde_error_type),
						      .name = "login password=" SECRET,
						      .parent = &sonde_validation,
						      .code = "T4111111111111111" };

static uint64_t n_calls;
static const char *mode = "";
static struct sonde_agent *agent;

static void before_send(void *user, struct sonde_outgoing *item)
{
	(void)user;
	n_calls++;
	if (!strcmp(mode, "hook")) {
		(void)sonde_outgoing_set(item, sonde_str("hook.note", TEXT));
		(void)sonde_outgoing_set(item, sonde_str("hook.password", SECRET));
		(void)sonde_outgoing_set_body(item, TEXT);
	} else if (!strcmp(mode, "drop") && n_calls % 2) {
		sonde_outgoing_drop(item);
	} else if (!strcmp(mode, "loop")) {
		struct sonde_error *error = sonde_error_raise(&sonde_internal, "in the hook");
		struct sonde_agent *second;

		sonde_error_capture(error);
		sonde_error_free(error);
		sonde_message(SONDE_INFO, "in the hook");
		if (sonde_agent_start(NULL, &second) != SONDE_E_EXISTS ||
		    sonde_agent_flush(agent, 1) != SONDE_E_INVALID)
			_Exit(3);
	}
}

/* What has a place of its own besides attributes: keys, links, names, labels, breadcrumbs. */
static void record_odd_places(uint64_t i)
{
	static const char tracestate[] = "a=1,token=" SECRET ",pan@v=4111111111111111";
	const struct sonde_attr attrs[] = { sonde_str("at " URL, "v"),
					    sonde_int("card " CARD, 1),
					    sonde_bool("password=" SECRET, true),
					    sonde_str("Bearer " SECRET "1", "v") };
	struct sonde_context caller;

	if (sonde_context_from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
					   tracestate, &caller) != SONDE_OK)
		_Exit(4);
	SONDE_SPAN(span, "at " URL, .parent = &caller);
	SONDE_TIMED("timed " TEXT);
	sonde_span_add_link(span, &caller, attrs, 4);
	sonde_span_add_event(span, "odd", attrs, 4);
	sonde_current_set(attrs[i % 4]);
	sonde_log(SONDE_INFO, "odd", attrs, 4);
	sonde_breadcrumb(SONDE_INFO, TEXT, "%s", URL);
	sonde_breadcrumb(SONDE_INFO, "cart", "%s", TEXT);
}

static void record_errors(void)
{
	struct sonde_problem_options options = SONDE_PROBLEM_OPTIONS_INIT;
	char body[SONDE_PROBLEM_SIZE];
	struct sonde_error *error = sonde_error_raise(&telling_type, "%s", TEXT);

	sonde_error_set_fingerprint(error, TEXT);
	sonde_error_add_field(error, "password=" SECRET, "%s", URL);
	sonde_error_capture(error);
	options.instance = "/login?access_token=" SECRET;
	(void)sonde_problem_write(error, body, sizeof(body), &options);
	puts(body);
	sonde_error_free(error);
}

/* A text in which a limit is in the middle of a secret, at another place each time. */
static const char *around(size_t limit, uint64_t i)
{
	static char text[20000];
	size_t at = limit - 70 + i;

	memset(text, '.', sizeof(text) - 1);
	memcpy(text + at, " " URL, sizeof(URL));
	text[at + sizeof(URL)] = ' ';
	return text;
}

static void record_cut(uint64_t i)
{
	struct sonde_error *error = sonde_error_raise(&sonde_internal, "%s", around(256, i));
	SONDE_SPAN(span, "cut");

	sonde_context_set_str("cut.value", around(235, i));
	sonde_error_set_detail(error, "%s", around(256, i));
	sonde_error_set_fingerprint(error, around(128, i));
	sonde_breadcrumb(SONDE_INFO, "cut", "%s", around(112, i));
	sonde_error_capture(error);
	sonde_error_free(error);
	sonde_message(SONDE_INFO, "%s", around(1024, i));
	sonde_log(SONDE_INFO, around(16384 - 56, i), NULL, 0);
	sonde_span_set(span, sonde_str("cut", around(16384 - 90, i)));
	sonde_span_set_name(span, around(16384 - 90, i));
	sonde_span_set_status(span, SONDE_SPAN_ERROR, around(16384 - 90, i));
}

static void record_toolkit(void)
{
	const struct sonde_breaker_options options = { .name = "db " URL };
	struct sonde_breaker breaker;

	if (sonde_breaker_init(&breaker, &options) != SONDE_OK)
		_Exit(5);
	(void)sonde_breaker_force(&breaker, SONDE_BREAKER_OPEN);
	sonde_breaker_deinit(&breaker);
}

static void record(uint64_t i)
{
	static const char *const texts[] = { "a", TEXT, URL };
	const struct sonde_attr attrs[] = { sonde_str("db.password", SECRET),
					    sonde_str("note", TEXT), sonde_str("jwt.raw", TOKEN),
					    sonde_int("pan", INT64_C(4111111111111111)),
					    sonde_bytes("raw", TEXT, sizeof(TEXT) - 1),
					    sonde_str_array("notes", texts, 3) };
	struct sonde_error *error;

	SONDE_SCOPE();
	sonde_context_set(sonde_str("session.secret", SECRET));
	sonde_context_set(sonde_str("request.url", URL));
	SONDE_SPAN(span, "work");
	for (size_t k = 0; k < 6; k++)
		sonde_span_set(span, attrs[k]);
	sonde_span_add_event(span, TEXT, attrs, 6);
	sonde_log(SONDE_WARN, TEXT, attrs, 6);
	sonde_message(SONDE_INFO, "%s", TEXT);
	error = sonde_error_raise(&sonde_internal, "%s", TEXT);
	sonde_error_set(error, attrs[0]);
	sonde_error_set_detail(error, "%s", URL);
	error = sonde_error_wrap(error, &card_declined, "card %s: %s", CARD, TOKEN);
	sonde_error_capture(error);
	sonde_error_free(error);
	sonde_span_set_status(span, SONDE_SPAN_ERROR, i % 2 ? TEXT : NULL);
	sonde_span_set_name(span, "work " URL);
}

static void print_account(enum sonde_signal signal)
{
	struct sonde_account account;
	uint64_t lost = 0;

	(void)sonde_agent_account(agent, 0, signal, &account);
	for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
		lost += reason == SONDE_LOSS_HOOK ? 0 : account.lost[reason];
	printf("%d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", (int)signal,
	       account.captured, account.exported, account.queued, account.lost[SONDE_LOSS_HOOK],
	       lost);
}

int main(int argc, char **argv)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_redactions redactions;

	if (argc > 1)
		mode = argv[1];
	if (argc > 1 && strcmp(mode, "odd") != 0)
		options.before_send = before_send;
	options.no_error_limit = true;
	options.resource_attributes = "app.secret=" SECRET ",app.url=" URL
				      ",bearer%20" SECRET "1=x";
	if (sonde_agent_start(&options, &agent) != SONDE_OK)
		return 2;
	for (uint64_t i = 0; i < 40; i++) {
		if (!strcmp(mode, "odd")) {
			record_odd_places(i);
			record_errors();
			record_cut(i);
			record_toolkit();
		}
		record(i);
	}
	if (sonde_agent_flush(agent, 10000) != SONDE_OK ||
	    sonde_agent_stop(agent, 10000) != SONDE_OK)
		return 1;
	print_account(SONDE_SIGNAL_SPAN);
	print_account(SONDE_SIGNAL_LOG);
	print_account(SONDE_SIGNAL_PART);
	(void)sonde_agent_redactions(agent, &redactions);
	printf("calls %" PRIu64 " keys %" PRIu64 " cards %" PRIu64 "\n", n_calls,
	       redactions.counts[SONDE_REDACTION_KEY], redactions.counts[SONDE_REDACTION_CARD]);
	return 0;
}
