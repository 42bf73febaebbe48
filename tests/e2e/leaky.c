/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service that lets its secrets into everything it records: what is sent must hold none of them.
 *
 *	leaky [hook|drop|loop]
 *
 * With `hook` before_send writes secrets in, too; with `drop` it drops every other item; with
 * `loop` it captures an error for every item. Prints captured, exported, queued, lost to the hook
 * and lost otherwise for spans and logs, and how many calls there were.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sonde/hooks.h>
#include <sonde/scope.h>
#include <sonde/sonde.h>

#define SECRET "hunter2-s3cr3t"
#define CARD "4111 1111 1111 1111"
#define URL "postgres://bob:" SECRET "@db.example/orders"
#define TEXT "login with password=" SECRET " and card " CARD " at " URL
#define TOKEN "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"

SONDE_ERROR_TYPE(card_declined, sonde_external_service, "CARD_DECLINED");

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

	if (argc > 1) {
		mode = argv[1];
		options.before_send = before_send;
	}
	options.no_error_limit = true;
	options.resource_attributes = "app.secret=" SECRET ",app.url=" URL;
	if (sonde_agent_start(&options, &agent) != SONDE_OK)
		return 2;
	for (uint64_t i = 0; i < 40; i++)
		record(i);
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
