/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/diagnostic.h"
#include "base/process.h"
#include "box/box.h"

static double rig_random(void *user)
{
	return ((struct rig *)user)->random;
}

static void take_diagnostic(void *user, enum sonde_level level, const char *text)
{
	struct rig *rig = user;
	size_t length = strlen(rig->diagnostics);

	rig->n_diagnostics++;
	(void)snprintf(rig->diagnostics + length, sizeof(rig->diagnostics) - length, "%d %s\n",
		       (int)level, text);
}

static void fill_options(struct rig *rig, size_t n_destinations)
{
	static const char *const names[] = { "first", "second", "third" };

	rig->options = (struct sonde__pipeline_options){
		.n_destinations = n_destinations,
		.counts_figures = true,
		.limits = { 128, 128, 128, 128, 128, 128, UINT32_MAX, UINT32_MAX },
		.memory_limit_bytes = 4 << 20,
		.span_delay_ns = 5 * RIG_S,
		.log_delay_ns = RIG_S,
		.metric_interval_ns = 60 * RIG_S,
		.export_timeout_ns = { 30 * RIG_S, 30 * RIG_S, 0, 30 * RIG_S },
		.max_batch_items = { 512, 512 },
		.max_batch_bytes = 512 << 10,
		.breaker_failures = 5,
		.breaker_reset_ns = 60 * RIG_S,
		.breaker_trials = 3,
		.retry_initial_ns = RIG_S,
		.retry_max_ns = 30 * RIG_S,
		.random = rig_random,
		.random_user = rig,
	};
	for (size_t i = 0; i < n_destinations; i++) {
		rig->fakes[i] = (struct fake){ .name = names[i], .now_ns = &rig->now_ns };
		rig->options.destinations[i] = (struct sonde__pipeline_destination){
			.exporter = &fake_exporter,
			.instance = &rig->fakes[i],
			.name = names[i],
			.takes_spans = true,
			.takes_logs = true,
		};
	}
}

void rig_init(struct rig *rig, size_t n_destinations)
{
	struct sonde__box_options box = { .size_bytes = 2 << 20, .service_name = "rig" };
	struct sonde__box_info info;

	memset(rig, 0, sizeof(*rig));
	rig->now_ns = 1000 * RIG_S;
	rig->random = 0.5;
	fill_options(rig, n_destinations);
	assert_int_equal(sonde__process_init(), 0);
	assert_int_equal(sonde__box_open(&box, &info), SONDE_OK);
	rig->cpus = cpus_take_one();
	sonde__diagnostic_set(take_diagnostic, rig);
}

void rig_start(struct rig *rig)
{
	assert_int_equal(sonde__pipeline_new(&rig->options, &rig->pipeline), SONDE_OK);
}

struct sonde_account rig_account(const struct rig *rig, size_t destination,
				 enum sonde_signal signal)
{
	struct sonde_account account;

	assert_int_equal(sonde__pipeline_account(rig->pipeline, destination, signal, &account),
			 SONDE_OK);
	return account;
}

void rig_check_accounts(const struct rig *rig)
{
	for (size_t d = 0; d < rig->options.n_destinations; d++) {
		for (int s = 0; s < SONDE__SIGNAL_ROWS; s++) {
			struct sonde_account account = rig_account(rig, d, (enum sonde_signal)s);
			uint64_t found = account.exported + account.queued;

			for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
				found += account.lost[reason];
			assert_int_equal(account.captured, found);
			if (s != SONDE_SIGNAL_PART && !rig->fakes[d].wanted)
				assert_true(account.exported <= rig->fakes[d].n_items[s]);
		}
	}
}

void rig_end(struct rig *rig)
{
	rig_check_accounts(rig);
	sonde__pipeline_expire(rig->pipeline);
	rig_check_accounts(rig);
	for (size_t d = 0; d < rig->options.n_destinations; d++) {
		for (int s = 0; s < SONDE__SIGNAL_ROWS; s++)
			assert_int_equal(rig_account(rig, d, (enum sonde_signal)s).queued, 0);
	}
	rig->pipeline = sonde__pipeline_free(rig->pipeline, /* forked= */ false);
	assert_null(rig->pipeline);
	for (size_t d = 0; d < rig->options.n_destinations; d++) {
		assert_int_equal(rig->fakes[d].n_closes, 1);
		free(rig->fakes[d].text);
	}
	sonde__diagnostic_set(/* callback= */ NULL, /* user= */ NULL);
	sonde__box_close();
	cpus_give_back(&rig->cpus);
}

uint64_t rig_turn(struct rig *rig, uint64_t later_ns)
{
	rig->now_ns += later_ns;
	return sonde__pipeline_turn(rig->pipeline, rig->now_ns);
}

bool rig_flush(struct rig *rig, bool *ret_incomplete)
{
	sonde__pipeline_flush_begin(rig->pipeline, rig->now_ns);
	for (int n = 0; n < 1000; n++) {
		(void)rig_turn(rig, 0);
		if (sonde__pipeline_flush_is_done(rig->pipeline, ret_incomplete))
			return true;
	}
	return false;
}

static size_t count(const char *where, const char *what)
{
	size_t n = 0;

	for (; where && (where = strstr(where, what)) != NULL; where += strlen(what))
		n++;
	return n;
}

size_t rig_delivered(const struct rig *rig, size_t destination, const char *text)
{
	return count(rig->fakes[destination].text, text);
}

size_t rig_said(const struct rig *rig, const char *text)
{
	return count(rig->diagnostics, text);
}

/* The next delivered line from *at on that is a point of this name and holds `with`; moves *at. */
static bool next_point(const char **at, const struct rig_point *point, char *line, size_t size)
{
	char head[128];

	(void)snprintf(head, sizeof(head), "point %s =", point->name);
	while (*at && (*at = strstr(*at, head)) != NULL) {
		const char *begin = *at;
		size_t length = strcspn(begin, "\n");

		*at = begin + length;
		if (!memmem(begin, length, point->with, strlen(point->with)))
			continue;
		(void)snprintf(line, size, "%.*s", (int)length, begin);
		return true;
	}
	return false;
}

bool rig_point_find(const struct rig *rig, const struct rig_point *point, size_t n, char *line,
		    size_t size)
{
	const char *at = rig->fakes[point->destination].text;
	size_t n_found = 0;

	while (next_point(&at, point, line, size))
		n_found++;
	if (n >= n_found)
		return false;
	at = rig->fakes[point->destination].text;
	for (n = n_found - n; n > 0; n--)
		(void)next_point(&at, point, line, size);
	return true;
}

uint64_t rig_number_after(const char *line, const char *key)
{
	const char *at = strstr(line, key);

	assert_non_null(at);
	return strtoull(at + strlen(key), NULL, 10);
}

uint64_t rig_point_value(const struct rig *rig, const struct rig_point *point)
{
	char line[4096];

	return rig_point_find(rig, point, 0, line, sizeof(line)) ?
		       rig_number_after(line, " =") :
		       UINT64_MAX;
}

uint64_t rig_point_sum(const struct rig *rig, const struct rig_point *point)
{
	const char *at = rig->fakes[point->destination].text;
	uint64_t sum = 0;
	char line[4096];

	while (next_point(&at, point, line, sizeof(line)))
		sum += rig_number_after(line, " =");
	return sum;
}
