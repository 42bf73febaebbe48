/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How many typical spans a second reach a collector: captured, encoded, compressed or not as the
 * environment says, sent over HTTP to a local sink, and accepted. The clock runs from the first
 * begin to the end of the flush, and every span must have been delivered.
 *
 * The producer goes no further ahead than WINDOW spans, so that what is measured is delivery and
 * not the box's size.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <sonde/otlp.h>
#include <sonde/sonde.h>

#include "measure.h"

#define WINDOW 100000
#define STEP 20000
#define PAUSE_NS 2000000
#define WARM_UP 20000
#define MEMORY (UINT64_C(256) << 20)
#define DEADLINE_MS 60000

static struct sonde_agent *agent;

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct sonde_account account_get(void)
{
	struct sonde_account account = { 0 };

	sonde_agent_account(agent, 0, SONDE_SIGNAL_SPAN, &account);
	return account;
}

static void span_record(uint64_t number)
{
	SONDE_SPAN(span, "typical", .root = number % 10 == 0);
	sonde_span_set_int(span, "order.items", (int64_t)number);
	sonde_span_set_str(span, "order.currency", "EUR");
	sonde_span_set_bool(span, "order.express", true);
	sonde_span_add_event(span, "order placed",
			     SONDE_ATTRS(sonde_int("order.id", (int64_t)number)));
}

static void spans_record(uint64_t n)
{
	for (uint64_t i = 0; i < n; i += STEP) {
		for (uint64_t k = 0; k < STEP; k++)
			span_record(i + k);
		/*
		 * The account walks the box: asked seldom, so that it does not become what is
		 * measured.
		 */
		while (account_get().queued > WINDOW)
			nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
	}
}

static int agent_start(const char *endpoint)
{
	const char *const settings[] = { endpoint, NULL };
	const struct sonde_destination otlp = { .exporter = &sonde_otlp_exporter,
						.settings = settings };
	struct sonde_options options = SONDE_OPTIONS_INIT;

	options.service_name = "bench";
	options.destinations = &otlp;
	options.n_destinations = 1;
	options.memory_limit_bytes = MEMORY;
	options.max_batch_items = 4096;
	options.max_batch_bytes = 2 << 20;
	return sonde_agent_start(&options, &agent);
}

int main(int argc, char **argv)
{
	struct sonde_account account;
	uint64_t n;
	double start;
	double duration;
	char endpoint[100];

	if (argc != 3)
		return 2;
	n = strtoull(argv[2], NULL, 10);
	snprintf(endpoint, sizeof(endpoint), "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:%s",
		 argv[1]);
	if (agent_start(endpoint) != SONDE_OK)
		return 1;
	spans_record(WARM_UP);
	sonde_agent_flush(agent, DEADLINE_MS);
	start = seconds();
	spans_record(n);
	sonde_agent_flush(agent, DEADLINE_MS);
	duration = seconds() - start;
	account = account_get();
	measure_print("end_to_end_spans_per_s", (double)n / duration, "1/s");
	sonde_agent_stop(agent, DEADLINE_MS);
	if (account.exported == n + WARM_UP && account.captured == account.exported)
		return 0;
	fprintf(stderr, "captured %llu, delivered %llu of %llu spans\n",
		(unsigned long long)account.captured, (unsigned long long)account.exported,
		(unsigned long long)(n + WARM_UP));
	return 1;
}
