/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What one recording call costs its caller, in processor time of the calling thread. An agent with
 * the null exporter runs on the other processors; the box is emptied between the measured runs, so
 * that no run meets a full one, and at the end every record must have been delivered.
 *
 * floor_ns is what no recorder can do without: two readings of the clock, a copy of 128 bytes and
 * one compare-exchange. It is measured again before each run of anything else, so that a cost can
 * also be given in floors, which hardly depend on how fast and how busy the machine is: budgets are
 * in floors.
 */

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include <sonde/sonde.h>

#include "measure.h"

#define RUN 5000
#define ERROR_RUN 500
#define DEADLINE_MS 10000

static struct sonde_agent *agent;
static struct sonde_span parent;

static uint64_t ticks(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#else
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_nsec;
#endif
}

static void do_floor(size_t n)
{
	static uint8_t from[128];
	static uint8_t to[RUN][128];
	static _Atomic uint64_t word;

	for (size_t i = 0; i < n; i++) {
		uint64_t expected = atomic_load_explicit(&word, memory_order_relaxed);
		uint64_t start = ticks();

		memcpy(from, &start, sizeof(start));
		atomic_compare_exchange_strong_explicit(&word, &expected, expected + 1,
							memory_order_acq_rel, memory_order_relaxed);
		start = ticks();
		memcpy(from + 8, &start, sizeof(start));
		memcpy(to[i % RUN], from, sizeof(from));
		__asm__ volatile("" ::: "memory");
	}
}

static void do_child(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		SONDE_SPAN(span, "child");
	}
}

static void do_root(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		SONDE_SPAN(span, "root", .root = true);
	}
}

static void do_typical(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		SONDE_SPAN(span, "typical");
		sonde_span_set_int(span, "order.items", (int64_t)i);
		sonde_span_set_str(span, "order.currency", "EUR");
		sonde_span_set_bool(span, "order.express", true);
		sonde_span_add_event(span, "order placed",
				     SONDE_ATTRS(sonde_int("order.id", (int64_t)i)));
	}
}

static void do_raise(size_t n)
{
	for (size_t i = 0; i < n; i++)
		sonde_error_free(
			sonde_error_raise(&sonde_not_found, "order %d is not there", (int)i));
}

static void do_error_capture(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct sonde_error *error =
			sonde_error_raise(&sonde_not_found, "order %d is not there", (int)i);

		sonde_error_capture(error);
		sonde_error_free(error);
	}
}

static void do_exception(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		SONDE_SPAN(span, "failing");
		SONDE_ERROR_AUTOFREE struct sonde_error *error =
			sonde_error_raise(&sonde_not_found, "order %d is not there", (int)i);

		sonde_error_capture(error);
	}
}

static void do_log(size_t n)
{
	for (size_t i = 0; i < n; i++)
		sonde_message(SONDE_INFO, "%d orders wait", (int)i);
}

/* Empties the box; the next run finds it as the last one did. */
static void drain(void)
{
	if (agent && sonde_agent_flush(agent, DEADLINE_MS) != SONDE_OK)
		fputs("a flush to the null exporter was not complete\n", stderr);
}

/* The cost, the cost as on a quiet machine, and how many floors that is. */
static void print_cost(const char *name, operation_fn *operation, size_t n)
{
	struct cost cost = measure(operation, do_floor, n, drain);
	char line[64];

	snprintf(line, sizeof(line), "%s_ns", name);
	measure_print(line, cost.median_ns, "ns");
	snprintf(line, sizeof(line), "%s_best_ns", name);
	measure_print(line, cost.best_ns, "ns");
	snprintf(line, sizeof(line), "%s_floors", name);
	measure_print(line, cost.best_ns / cost.floor_ns, "1");
}

static void print_allocations(const char *name, operation_fn *operation)
{
	measure_allocations();
	operation(ERROR_RUN);
	measure_print(name, (double)measure_allocations() / ERROR_RUN, "1/op");
	drain();
}

/* Errors past the pool come from the heap: a counter that does not see them sees nothing. */
static int counter_check(void)
{
	struct sonde_error *error = sonde_error_raise(&sonde_internal, "first");
	struct sonde_error *errors[200];

	measure_allocations();
	for (size_t i = 0; i < 200; i++)
		errors[i] = sonde_error_raise(&sonde_internal, "held");
	for (size_t i = 0; i < 200; i++)
		sonde_error_free(errors[i]);
	sonde_error_free(error);
	if (measure_allocations() >= 100)
		return 0;
	fputs("allocations of the library are not seen\n", stderr);
	return 1;
}

static int agent_start(void)
{
	static const struct sonde_destination null = { .name = "null" };
	struct sonde_options options = SONDE_OPTIONS_INIT;

	options.service_name = "bench";
	options.destinations = &null;
	options.n_destinations = 1;
	return sonde_agent_start(&options, &agent);
}

/* Everything that was measured was also recorded. */
static int losses_check(void)
{
	int result = 0;

	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		struct sonde_account account;

		if (sonde_agent_account(agent, 0, (enum sonde_signal)signal, &account) != SONDE_OK)
			return 1;
		for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++) {
			if (!account.lost[reason])
				continue;
			fprintf(stderr, "%llu of signal %d were lost: %s\n",
				(unsigned long long)account.lost[reason], signal,
				sonde_loss_text((enum sonde_loss)reason));
			result = 1;
		}
	}
	return result;
}

int main(void)
{
	int result;

	if (counter_check() != 0)
		return 1;
	measure_leave_processor();
	if (agent_start() != SONDE_OK)
		return 1;
	sonde_agent_stop(agent, DEADLINE_MS);
	agent = NULL;
	measure_take_processor();
	print_cost("disabled", do_child, 10 * RUN);
	measure_print("floor_ns", measure(do_floor, do_floor, RUN, drain).median_ns, "ns");

	measure_leave_processor();
	if (agent_start() != SONDE_OK)
		return 1;
	measure_take_processor();
	sonde_span_begin(&parent, "parent", NULL);
	print_cost("child", do_child, RUN);
	print_cost("root", do_root, RUN);
	print_cost("typical", do_typical, RUN);
	print_cost("log", do_log, RUN);
	print_allocations("child_allocations", do_child);
	print_allocations("typical_allocations", do_typical);
	sonde_span_end(&parent);

	/*
	 * Without a span around them: a log record each, where do_exception makes an event as well.
	 */
	print_cost("error_raise", do_raise, RUN);
	print_cost("error_capture", do_error_capture, ERROR_RUN);
	print_cost("exception", do_exception, ERROR_RUN);
	print_allocations("error_allocations", do_error_capture);
	result = sonde_agent_stop(agent, DEADLINE_MS) != SONDE_OK;
	return losses_check() || result;
}
