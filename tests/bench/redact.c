/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What redaction costs behind the box: processor time of the process less that of the thread that
 * records, a record, with an exporter that encodes nothing.
 *
 *	bench-redact RECORDS ROUNDS
 *
 *	redact_KIND_none_ns	nothing is redacted
 *	redact_KIND_default_ns	what always is
 *	redact_KIND_all_ns	with e-mail, and with a dozen globs of one's own
 *
 *	typical		a span with three attributes and an event
 *	log		a sentence with a URL, a place and an address, none of them a secret
 *	secret		the same with a card's number, a password and a token
 *
 * The three ways go in turn, so that a busy moment of the machine falls on all of them.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sonde/sonde.h>

#include "measure.h"
#include "operations.h"

#define BURST 500
#define ROUNDS_MAX 100
#define DEADLINE_MS 20000
#define N_WAYS 3
#define N_KINDS 3
#define GLOBS \
	"*a*a*a*a*b,iban,*.iban,*birth*,*_pin,passport*,*tax?id*,customer.*.phone,*mail*,!mail.id," \
	"x-internal-*,*salary*"

static const struct way {
	const char *name;
	const char *detectors;
	const char *keys;
} ways[N_WAYS] = { { "none", "none", "none" }, { "default", NULL, NULL }, { "all", "all", GLOBS } };

static const char *const kinds[N_KINDS] = { "typical", "log", "secret" };

static void logs_record(const char *text)
{
	const struct sonde_attr attrs[] = { sonde_str("http.route", "/orders/{id}"),
					    sonde_str("user.note", text), sonde_int("order", 4711) };

	for (size_t i = 0; i < BURST; i++)
		sonde_log(SONDE_INFO, text, attrs, 3);
}

static void burst_record(size_t kind)
{
	const struct operation *typical = operation_find("typical");

	if (kind == 1) {
		logs_record("order 4711 of https://shop.example/orders?page=2 is on its way: "
			    "Main St. 12, room 7");
	} else if (kind == 2) {
		logs_record("order 4711 was paid with 4111 1111 1111 1111 at "
			    "postgres://u:hunter2@db, Bearer abc123def456");
	} else {
		typical->enter(BURST);
		typical->run(BURST);
		typical->leave();
	}
}

static double background_ns(void)
{
	return measure_process_ns() - measure_thread_ns();
}

/* Nanoseconds a record. */
static double way_measure(const struct way *way, size_t kind, size_t n_records)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;
	const struct sonde_destination null = { .name = "null" };
	struct sonde_agent *agent;
	double begun_ns;
	double ns;

	options.service_name = "bench";
	options.destinations = &null;
	options.n_destinations = 1;
	options.redact = way->detectors;
	options.redact_keys = way->keys;
	if (sonde_agent_start(&options, &agent) != SONDE_OK)
		exit(1);
	burst_record(kind);
	if (sonde_agent_flush(agent, DEADLINE_MS) != SONDE_OK)
		exit(1);
	begun_ns = background_ns();
	for (size_t n = 0; n < n_records; n += BURST) {
		burst_record(kind);
		if (sonde_agent_flush(agent, DEADLINE_MS) != SONDE_OK)
			exit(1);
	}
	ns = background_ns() - begun_ns;
	if (sonde_agent_stop(agent, DEADLINE_MS) != SONDE_OK)
		exit(1);
	return ns / (double)n_records;
}

int main(int argc, char **argv)
{
	static double samples[N_KINDS][N_WAYS][ROUNDS_MAX];
	const size_t n_records = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	const size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	if (n_records < BURST || n_records % BURST || !rounds || rounds > ROUNDS_MAX) {
		fputs("usage: bench-redact RECORDS ROUNDS\n", stderr);
		return 2;
	}
	for (size_t round = 0; round < rounds; round++)
		for (size_t kind = 0; kind < N_KINDS; kind++)
			for (size_t way = 0; way < N_WAYS; way++)
				samples[kind][way][round] =
					way_measure(&ways[way], kind, n_records);
	for (size_t kind = 0; kind < N_KINDS; kind++)
		for (size_t way = 0; way < N_WAYS; way++)
			measure_print(measure_figure(samples[kind][way], rounds), "ns",
				      "redact_%s_%s_ns", kinds[kind], ways[way].name);
	return 0;
}
