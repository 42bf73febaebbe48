/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics: when they are collected, what is told to whom, and that nothing is told twice. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "box/box.h"
#include "pipeline/state.h"
#include "redact/redact.h"
#include "metered_rig.h"
#include "support/records.h"


static struct sonde_site site = { "charge card", __FILE__, "charge", __LINE__, 0 };
static struct sonde_site other = { "fraud check", __FILE__, "charge", __LINE__, 0 };
/* Whose figures are meant, where every destination is told of all of them. */
static const char *const own[] = { "=\"first_", "=\"second_" };
static const char *const processors[] = { "_processor/0", "_processor/1" };

static bool find_point(size_t destination, const char *name, const char *with, size_t n, char *line,
		       size_t size)
{
	return rig_point_find(&rig, &(struct rig_point){ destination, name, with }, n, line, size);
}

static uint64_t value_of(size_t destination, const char *name, const char *with)
{
	return rig_point_value(&rig, &(struct rig_point){ destination, name, with });
}

static uint64_t sum_of(size_t destination, const char *name, const char *with)
{
	return rig_point_sum(&rig, &(struct rig_point){ destination, name, with });
}

static void collected_once_an_interval(void **state)
{
	struct fake *fake = &rig.fakes[TOTALS];

	(void)state;
	start();
	(void)rig_turn(&rig, 60 * RIG_S - 1);
	assert_int_equal(fake->n_sends, 0);
	(void)rig_turn(&rig, 1);
	assert_int_equal(fake->n_sends, 1);
	assert_int_equal(fake->sent_signal[0], SONDE_SIGNAL_METRIC);
	/* A turn that comes late does not move the next one, */
	(void)rig_turn(&rig, 65 * RIG_S);
	assert_int_equal(fake->n_sends, 2);
	(void)rig_turn(&rig, 55 * RIG_S);
	assert_int_equal(fake->n_sends, 3);
	/* and what was missed altogether is not made up for. */
	(void)rig_turn(&rig, 300 * RIG_S);
	(void)rig_turn(&rig, RIG_S);
	assert_int_equal(fake->n_sends, 4);
	(void)rig_turn(&rig, 59 * RIG_S);
	assert_int_equal(fake->n_sends, 5);
}

static void the_worker_is_woken_for_it(void **state)
{
	uint64_t wait_ns;

	(void)state;
	rig.options.span_delay_ns = 500 * RIG_S;
	rig.options.log_delay_ns = 500 * RIG_S;
	rig_start(&rig);
	assert_int_equal(rig_turn(&rig, 0), 60 * RIG_S);
	wait_ns = rig_turn(&rig, 20 * RIG_S);
	assert_int_equal(wait_ns, 40 * RIG_S);
	assert_int_equal(rig_turn(&rig, wait_ns), 60 * RIG_S);
	assert_int_equal(rig.fakes[TOTALS].n_sends, 1);
}

static void errors_are_told_by_type_and_place(void **state)
{
	const struct sonde__site_view place = { .name = { "card_\xff""declined", 14 },
						.file = { "pay.c", 5 },
						.function = { "charge", 6 },
						.line = 41,
						.kind = SONDE__SITE_ERROR };
	char line[4096];

	(void)state;
	start();
	collect();
	assert_int_equal(value_of(TOTALS, "sonde.errors", ""), UINT64_MAX);
	for (int i = 0; i < 3; i++)
		sonde__errors_count(&place);
	collect();
	sonde__errors_count(&place);
	collect();
	assert_true(find_point(TOTALS, "sonde.errors", "", 0, line, sizeof(line)));
	assert_non_null(strstr(line, "=4 total"));
	assert_non_null(strstr(line, "error.type=\"card_\xef\xbf\xbd""declined\""));
	assert_non_null(strstr(line, "code.function.name=\"charge\" code.file.path=\"pay.c\" "
				     "code.line.number=41"));
	assert_int_equal(value_of(DELTAS, "sonde.errors", ""), 1);
	assert_int_equal(sum_of(DELTAS, "sonde.errors", ""), 4);
	/* Nor does it become a site with calls. */
	assert_int_equal(value_of(TOTALS, "sonde.site.errors", "pay.c"), UINT64_MAX);
	assert_int_equal(value_of(TOTALS, "sonde.site.duration", "pay.c"), UINT64_MAX);
}

/* Labels say no more than records do, and series that differed still do. */
static void labels_are_redacted(void **state)
{
	static struct sonde__redactor redactor;
	static struct sonde_site calls[] = {
		{ "postgres://u:hunter1@db", "pay.c", "charge", 1, 0 },
		{ "postgres://u:hunter2@db", "pay.c", "charge", 1, 0 },
	};
	struct sonde__site_view place = { .name = { "t password=hunter3 ", 18 },
					  .file = { "4111111111111111.c", 18 },
					  .function = { "charge", 6 },
					  .line = 41,
					  .kind = SONDE__SITE_ERROR };

	(void)state;
	sonde__redact_count_anew();
	assert_int_equal(sonde__redactor_init(&redactor, "code.function.*", /* detectors= */ NULL,
					      /* report= */ NULL, /* user= */ NULL),
			 SONDE_OK);
	rig.options.redactor = &redactor;
	start();
	sonde__errors_count(&place);
	count_calls(&calls[0], 3, /* is_error= */ false);
	count_calls(&calls[1], 5, /* is_error= */ false);
	collect();
	assert_int_equal(rig_delivered(&rig, TOTALS, "hunter"), 0);
	assert_int_equal(rig_delivered(&rig, TOTALS, "41111111"), 0);
	assert_int_equal(value_of(TOTALS, "sonde.errors", "error.type=\"t password=[redacted]\" "
							  "code.function.name=\"[redacted]\" "
							  "code.file.path=\"[redacted].c\""),
			 1);
	for (size_t i = 0; i < 2; i++) {
		char with[64];

		snprintf(with, sizeof(with), "code.line.number=1 sonde.series=%u", calls[i].id);
		assert_int_equal(value_of(TOTALS, "sonde.site.duration", with), i ? 5 : 3);
	}
	/* For both destinations each. */
	assert_int_equal(sonde__redact_counted(SONDE_REDACTION_URL), 4);
	assert_int_equal(sonde__redact_counted(SONDE_REDACTION_CARD), 2);
	assert_int_equal(sonde__redact_counted(SONDE_REDACTION_KEY), 6);
	collect();
	assert_true(value_of(TOTALS, "sonde.redactions", "kind=\"card\"") >= 2);
	rig_end(&rig);
	sonde__redactor_deinit(&redactor);
	rig_init(&rig, /* n_destinations= */ 1);
	start();
}

static void totals_repeat_and_deltas_add_up(void **state)
{
	char first[4096], second[4096];

	(void)state;
	start();
	count_calls(&site, 3, /* is_error= */ false);
	count_calls(&site, 1, /* is_error= */ true);
	collect();
	assert_int_equal(value_of(TOTALS, "sonde.site.duration", "charge card"), 4);
	assert_int_equal(value_of(DELTAS, "sonde.site.duration", "charge card"), 4);
	assert_int_equal(value_of(DELTAS, "sonde.site.errors", "charge card"), 1);
	count_calls(&site, 2, /* is_error= */ false);
	collect();
	assert_int_equal(value_of(TOTALS, "sonde.site.duration", "charge card"), 6);
	assert_int_equal(value_of(DELTAS, "sonde.site.duration", "charge card"), 2);
	assert_int_equal(value_of(TOTALS, "sonde.site.errors", "charge card"), 1);
	collect();
	assert_int_equal(sum_of(TOTALS, "sonde.site.duration", "charge card"), 4 + 6 + 6);
	assert_int_equal(sum_of(DELTAS, "sonde.site.duration", "charge card"), 6);
	assert_int_equal(sum_of(DELTAS, "sonde.site.errors", "charge card"), 1);

	assert_true(find_point(TOTALS, "sonde.site.duration", "", 1, first, sizeof(first)));
	assert_true(find_point(TOTALS, "sonde.site.duration", "", 0, second, sizeof(second)));
	assert_non_null(strstr(first, " total "));
	assert_int_equal(rig_number_after(first, "start="), rig_number_after(second, "start="));
	assert_true(rig_number_after(first, "time=") < rig_number_after(second, "time="));
	assert_true(find_point(DELTAS, "sonde.site.duration", "", 1, first, sizeof(first)));
	assert_true(find_point(DELTAS, "sonde.site.duration", "", 0, second, sizeof(second)));
	assert_non_null(strstr(first, " added "));
	assert_true(rig_number_after(first, "start=") < rig_number_after(first, "time="));
	assert_int_equal(rig_number_after(first, "time="), rig_number_after(second, "start="));
}

static void histograms_are_as_counted(void **state)
{
	char line[4096];

	(void)state;
	start();
	count_calls(&site, 3, /* is_error= */ false);
	sonde__figures_count(site.id, SECOND / 2, /* is_error= */ false);
	sonde__figures_count(site.id, 0, /* is_error= */ false);
	collect();
	for (size_t d = 0; d < 2; d++) {
		assert_true(find_point(d, "sonde.site.duration", "", 0, line, sizeof(line)));
		/* From a second on it is bucket 0: four to an octave. */
		assert_non_null(strstr(line, "=5 sum=3.500000000 zero=1 scale=2 buckets=-4:1,0,0,0,3 "));
		assert_non_null(strstr(line, " sonde.site.name=\"charge card\""));
		assert_non_null(strstr(line, " code.file.path=\""));
		assert_non_null(strstr(line, " code.line.number="));
	}
	/* What is added next lies below and above what was there. */
	sonde__figures_count(site.id, 4 * SECOND, /* is_error= */ false);
	sonde__figures_count(site.id, SECOND / 4, /* is_error= */ false);
	collect();
	assert_true(find_point(DELTAS, "sonde.site.duration", "", 0, line, sizeof(line)));
	assert_non_null(strstr(line, "=2 sum=4.250000000 zero=0 scale=2 buckets=-8:1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1 "));
	count_calls(&site, 1, /* is_error= */ false);
	collect();
	assert_true(find_point(DELTAS, "sonde.site.duration", "", 0, line, sizeof(line)));
	assert_non_null(strstr(line, "=1 sum=1.000000000 zero=0 scale=2 buckets=0:1 "));
}

static void what_has_no_site_is_overflow(void **state)
{
	(void)state;
	start();
	sonde__figures_count(/* site= */ 0, SECOND, /* is_error= */ true);
	collect();
	assert_int_equal(value_of(TOTALS, "sonde.site.duration", "otel.metric.overflow=true"), 1);
	assert_int_equal(value_of(TOTALS, "sonde.site.errors", "otel.metric.overflow=true"), 1);
}

static void undelivered_deltas_are_neither_lost_nor_doubled(void **state)
{
	(void)state;
	start();
	rig.fakes[DELTAS].otherwise = (struct fake_step){ .what = FAKE_RETRY };
	for (int i = 0; i < 4; i++) {
		count_calls(&site, 10, /* is_error= */ false);
		collect();
	}
	assert_int_equal(rig_delivered(&rig, DELTAS, "point "), 0);
	rig.fakes[DELTAS].otherwise = (struct fake_step){ .what = FAKE_ACCEPT };
	for (int i = 0; i < 30; i++)
		(void)rig_turn(&rig, 10 * RIG_S);
	assert_int_equal(sum_of(DELTAS, "sonde.site.duration", "charge card"), 40);
	assert_int_equal(value_of(TOTALS, "sonde.site.duration", "charge card"), 40);
}

static void refused_deltas_are_counted_and_not_repeated(void **state)
{
	struct sonde_account account;

	(void)state;
	start();
	rig.fakes[DELTAS].n_steps = 1;
	rig.fakes[DELTAS].steps[0] = (struct fake_step){ .what = FAKE_REFUSE };
	count_calls(&site, 10, /* is_error= */ false);
	collect();
	count_calls(&site, 5, /* is_error= */ false);
	collect();
	assert_int_equal(sum_of(DELTAS, "sonde.site.duration", "charge card"), 5);
	account = rig_account(&rig, DELTAS, SONDE_SIGNAL_METRIC);
	assert_true(account.lost[SONDE_LOSS_REFUSED] > 1);
	assert_int_equal(sum_of(DELTAS, "sonde.records.lost",
				"sonde.signal=\"metric\" sonde.loss=\"refused\""),
			 account.lost[SONDE_LOSS_REFUSED]);
}

static void low_memory_keeps_no_past_of_running_totals(void **state)
{
	char line[4096];

	(void)state;
	rig.options.destinations[DELTAS].temporality = SONDE__LOW_MEMORY;
	start();
	count_calls(&site, 3, /* is_error= */ true);
	collect();
	assert_true(find_point(DELTAS, "sonde.site.duration", "", 0, line, sizeof(line)));
	assert_non_null(strstr(line, " added "));
	assert_true(find_point(DELTAS, "sonde.site.errors", "", 0, line, sizeof(line)));
	assert_non_null(strstr(line, " added monotonic "));
	assert_true(find_point(DELTAS, "otel.sdk.log.created", "", 0, line, sizeof(line)));
	assert_non_null(strstr(line, " total monotonic "));
}

static void what_can_go_down_is_always_a_total(void **state)
{
	char line[4096];

	(void)state;
	start();
	collect();
	assert_true(find_point(DELTAS, "otel.sdk.processor.span.queue.size", "", 0, line,
			       sizeof(line)));
	assert_non_null(strstr(line, " total start="));
	assert_true(find_point(DELTAS, "otel.sdk.exporter.span.exported", "", 0, line,
			       sizeof(line)) == false);
}

static void put_spans(size_t n)
{
	while (n--)
		assert_true(record_span(&(struct record_spec){ .trace = 1, .span = 1 + n, .name = "s" }));
}

static void a_flush_tells_of_its_own_deliveries(void **state)
{
	bool is_incomplete = true;

	(void)state;
	start();
	put_spans(700);
	assert_true(record_log(&(struct record_spec){ .name = "m" }));
	assert_true(rig_flush(&rig, &is_incomplete));
	assert_false(is_incomplete);
	for (size_t d = 0; d < 2; d++) {
		assert_int_equal(value_of(d, "otel.sdk.exporter.span.exported", own[0]), 700);
		assert_int_equal(value_of(d, "otel.sdk.exporter.span.exported", own[1]), 700);
		assert_int_equal(value_of(d, "otel.sdk.processor.span.processed", ""), 700);
		assert_int_equal(value_of(d, "otel.sdk.exporter.log.exported", ""), 1);
		assert_int_equal(value_of(d, "otel.sdk.log.created", ""), 1);
		assert_int_equal(value_of(d, "otel.sdk.processor.span.queue.size", ""), 0);
	}
	/* Another one tells the same totals again, and of deltas what was added: its own points. */
	assert_true(rig_flush(&rig, &is_incomplete));
	assert_int_equal(sum_of(TOTALS, "otel.sdk.exporter.span.exported", own[0]), 1400);
	assert_int_equal(sum_of(DELTAS, "otel.sdk.exporter.span.exported", own[0]), 700);
}

static void a_flush_waits_for_its_points(void **state)
{
	struct sonde_account account;
	bool is_incomplete = true;

	(void)state;
	start();
	rig.fakes[TOTALS].otherwise.pending = true;
	rig.fakes[DELTAS].otherwise.pending = true;
	put_spans(10);
	assert_true(rig_flush(&rig, &is_incomplete));
	assert_false(is_incomplete);
	for (size_t d = 0; d < 2; d++) {
		account = rig_account(&rig, d, SONDE_SIGNAL_METRIC);
		assert_true(account.exported > 0);
		assert_int_equal(account.queued, 0);
	}
	/* It is not done while they are under way, */
	rig.fakes[TOTALS].otherwise = (struct fake_step){ .what = FAKE_HANG };
	assert_false(rig_flush(&rig, &is_incomplete));
	/* and says when they were not taken. */
	(void)rig_turn(&rig, 31 * RIG_S);
	assert_true(sonde__pipeline_flush_is_done(rig.pipeline, &is_incomplete));
	assert_true(is_incomplete);
	rig.fakes[TOTALS].otherwise = (struct fake_step){ .what = FAKE_RETRY, .pending = true };
	assert_true(rig_flush(&rig, &is_incomplete));
	assert_true(is_incomplete);
}

static void a_flush_does_not_wait_for_a_hanging_lane(void **state)
{
	uint64_t wait_ns;

	(void)state;
	rig.options.n_destinations = 1;
	start();
	put_spans(10);
	rig.fakes[TOTALS].n_steps = 1;
	rig.fakes[TOTALS].steps[0] = (struct fake_step){ .what = FAKE_HANG };
	sonde__pipeline_flush_begin(rig.pipeline, rig.now_ns);
	do
		wait_ns = rig_turn(&rig, 0);
	while (!wait_ns);
	assert_in_range(wait_ns, 1, 200 * RIG_MS);
	assert_int_equal(rig.fakes[TOTALS].n_sends, 1);
	wait_ns = rig_turn(&rig, 199 * RIG_MS);
	assert_int_equal(rig.fakes[TOTALS].n_sends, 1);
	assert_int_equal(wait_ns, RIG_MS);
	(void)rig_turn(&rig, RIG_MS);
	assert_int_equal(rig.fakes[TOTALS].sent_signal[1], SONDE_SIGNAL_METRIC);
	assert_int_equal(value_of(TOTALS, "otel.sdk.exporter.span.inflight", ""), 10);
	assert_int_equal(value_of(TOTALS, "otel.sdk.processor.span.queue.size", ""), 10);
	assert_false(sonde__pipeline_flush_is_done(rig.pipeline, /* ret_incomplete= */ NULL));
}

/* captured = processed + unsampled + queue.size, and what is handed over = exported. */
static void check_balance(size_t d, enum sonde_signal signal, const char *kind)
{
	struct sonde_account account = rig_account(&rig, d, signal);
	char processed[64], queue[64], exported[64];
	uint64_t n_handed = 0, n_lost = 0, n_exported = 0, n_failed = 0;
	char line[4096];

	(void)snprintf(processed, sizeof(processed), "otel.sdk.processor.%s.processed", kind);
	(void)snprintf(queue, sizeof(queue), "otel.sdk.processor.%s.queue.size", kind);
	(void)snprintf(exported, sizeof(exported), "otel.sdk.exporter.%s.exported", kind);
	for (size_t n = 0; find_point(d, processed, processors[d], n, line, sizeof(line)); n++)
		*(strstr(line, "error.type=") ? &n_lost : &n_handed) += rig_number_after(line, " =");
	for (size_t n = 0; find_point(d, exported, own[d], n, line, sizeof(line)); n++)
		*(strstr(line, "error.type=") ? &n_failed : &n_exported) += rig_number_after(line, " =");
	assert_int_equal(account.captured, n_handed + n_lost + account.lost[SONDE_LOSS_UNSAMPLED] +
						   value_of(d, queue, processors[d]));
	assert_int_equal(n_handed, n_exported + n_failed);
	assert_int_equal(account.exported, n_exported);
}

static void every_loss_is_told_by_reason(void **state)
{
	struct sonde_account account;

	(void)state;
	/* By deltas, all points of a name add up to what it stands at. */
	rig.options.n_destinations = 2;
	rig.options.destinations[TOTALS].temporality = SONDE__DELTA;
	rig.options.dead_records[SONDE_SIGNAL_PART] = 41;
	start();
	rig.fakes[TOTALS].n_steps = 2;
	rig.fakes[TOTALS].steps[0] = (struct fake_step){ .what = FAKE_REFUSE };
	rig.fakes[TOTALS].steps[1] = (struct fake_step){ .n_rejected = 3 };
	put_spans(20);
	sonde__box_count_loss(SONDE_SIGNAL_SPAN, SONDE_LOSS_TOO_BIG);
	sonde__box_count_loss(SONDE_SIGNAL_SPAN, SONDE_LOSS_RING_FULL);
	sonde__box_count_loss(SONDE_SIGNAL_SPAN, SONDE_LOSS_UNSAMPLED);
	sonde__box_count_loss(SONDE_SIGNAL_PART, SONDE_LOSS_UNSAMPLED);
	sonde__box_count_loss(SONDE_SIGNAL_LOG, SONDE_LOSS_NO_BOX);
	assert_true(record_garbage(200, SONDE__RECORD_SPAN, SONDE_SIGNAL_SPAN));
	(void)rig_turn(&rig, 6 * RIG_S);
	put_spans(20);
	(void)rig_turn(&rig, 6 * RIG_S);
	put_spans(7);
	collect();
	for (size_t d = 0; d < 2; d++) {
		check_balance(d, SONDE_SIGNAL_SPAN, "span");
		check_balance(d, SONDE_SIGNAL_LOG, "log");
		assert_int_equal(value_of(d, "otel.sdk.processor.span.processed", "error.type=\"queue_full\""), 1);
		assert_int_equal(value_of(d, "otel.sdk.processor.span.processed", "error.type=\"too_big\""), 1);
	}
	assert_int_equal(value_of(TOTALS, "otel.sdk.exporter.span.exported", "error.type=\"refused\""), 20);
	assert_int_equal(value_of(TOTALS, "otel.sdk.exporter.span.exported", "error.type=\"rejected\""), 3);
	for (int s = 0; s < SONDE_SIGNAL_COUNT; s++) {
		account = rig_account(&rig, TOTALS, (enum sonde_signal)s);
		for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++) {
			static const char *const signals[] = { "span", "log", "part" };
			char with[128];

			(void)snprintf(with, sizeof(with), "sonde.signal=\"%s\" sonde.loss=\"%s\"",
				       signals[s], sonde_loss_name((enum sonde_loss)reason));
			assert_int_equal(sum_of(TOTALS, "sonde.records.lost", with),
					 account.lost[reason] +
						 (reason == SONDE_LOSS_DEAD_PROCESS ?
							  rig.options.dead_records[s] :
							  0));
		}
	}
}

static void what_was_evicted_never_met_the_exporter(void **state)
{
	struct sonde_account account;

	(void)state;
	rig.options.destinations[TOTALS].takes_metrics = false;
	rig.options.max_queue_items[SONDE_SIGNAL_SPAN] = 10;
	start();
	rig.fakes[TOTALS].otherwise = (struct fake_step){ .what = FAKE_RETRY };
	for (int i = 0; i < 5; i++) {
		put_spans(10);
		(void)rig_turn(&rig, 6 * RIG_S);
	}
	collect();
	account = rig_account(&rig, TOTALS, SONDE_SIGNAL_SPAN);
	assert_true(account.lost[SONDE_LOSS_QUEUE_FULL] >= 20);
	assert_int_equal(sum_of(DELTAS, "otel.sdk.processor.span.processed",
				"/0\" otel.component.type=\"batching_span_processor\" error.type=\"queue_full\""),
			 account.lost[SONDE_LOSS_QUEUE_FULL]);
	assert_int_equal(sum_of(DELTAS, "otel.sdk.exporter.span.exported", own[TOTALS]), 0);
	assert_int_equal(value_of(DELTAS, "otel.sdk.processor.span.queue.capacity", ""), 10);
}

static void attempts_are_timed(void **state)
{
	char line[4096];

	(void)state;
	rig.options.n_destinations = 1;
	start();
	rig.fakes[TOTALS].n_steps = 3;
	rig.fakes[TOTALS].steps[0] = (struct fake_step){ .what = FAKE_RETRY, .pending = true };
	rig.fakes[TOTALS].steps[1] = (struct fake_step){ .what = FAKE_REFUSE };
	rig.fakes[TOTALS].steps[2] = (struct fake_step){ .pending = true };
	put_spans(1);
	(void)rig_turn(&rig, 5 * RIG_S);
	(void)rig_turn(&rig, 400 * RIG_MS); /* The answer: later, please. */
	(void)rig_turn(&rig, 5 * RIG_S); /* And then: no. */
	put_spans(1);
	(void)rig_turn(&rig, 6 * RIG_S);
	(void)rig_turn(&rig, 2 * RIG_S);
	collect();
	assert_true(find_point(TOTALS, "otel.sdk.exporter.operation.duration", "error.type=\"retry\"",
			       0, line, sizeof(line)));
	assert_non_null(strstr(line, "=1 sum=0.400000000 zero=0 scale=0 buckets=-2:1 "));
	assert_true(find_point(TOTALS, "otel.sdk.exporter.operation.duration",
			       "error.type=\"refused\"", 0, line, sizeof(line)));
	assert_non_null(strstr(line, "=1 sum=0.000000000 zero=1 "));
	assert_int_equal(sum_of(TOTALS, "otel.sdk.exporter.operation.duration", "first_span"), 3);
	collect();
	assert_int_equal(value_of(TOTALS, "otel.sdk.metric_reader.collection.duration",
				  "periodic_metric_reader/0"), 1);
}

static void what_is_too_big_is_halved(void **state)
{
	(void)state;
	rig.fakes[TOTALS].max_items = 3;
	start();
	count_calls(&site, 3, /* is_error= */ true);
	count_calls(&other, 2, /* is_error= */ false);
	collect();
	assert_true(rig.fakes[TOTALS].n_sends > 3);
	assert_int_equal(value_of(TOTALS, "sonde.site.duration", "charge card"), 3);
	assert_int_equal(value_of(TOTALS, "sonde.site.duration", "fraud check"), 2);
	assert_int_equal(rig.fakes[TOTALS].n_items[SONDE_SIGNAL_METRIC],
			 rig_account(&rig, TOTALS, SONDE_SIGNAL_METRIC).exported);
}

static void whoever_did_not_ask_gets_none(void **state)
{
	(void)state;
	rig.options.destinations[TOTALS].exporter = &fake_plain_exporter;
	rig.options.destinations[DELTAS].takes_metrics = false;
	start();
	count_calls(&site, 3, /* is_error= */ true);
	assert_int_equal(rig_turn(&rig, 60 * RIG_S), RIG_S);
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(rig.fakes[TOTALS].n_sends + rig.fakes[DELTAS].n_sends, 0);
	assert_int_equal(rig_account(&rig, TOTALS, SONDE_SIGNAL_METRIC).captured, 0);
}

static void metrics_fail_quietly_where_spans_fail(void **state)
{
	(void)state;
	rig.options.n_destinations = 1;
	start();
	rig.fakes[TOTALS].otherwise = (struct fake_step){ .what = FAKE_RETRY, .reason = "gone" };
	put_spans(3);
	(void)rig_turn(&rig, 6 * RIG_S);
	collect();
	assert_int_equal(rig_said(&rig, "gone"), 1);
}

static void metrics_that_fail_alone_are_said_once(void **state)
{
	(void)state;
	rig.options.n_destinations = 1;
	start();
	rig.fakes[TOTALS].otherwise = (struct fake_step){ .what = FAKE_REFUSE, .reason = "404" };
	for (int i = 0; i < 10; i++)
		collect();
	assert_int_equal(rig_said(&rig, "404"), 1);
	assert_int_equal(rig_said(&rig, "lost"), 0);
	assert_true(rig_account(&rig, TOTALS, SONDE_SIGNAL_METRIC).lost[SONDE_LOSS_REFUSED] > 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(collected_once_an_interval),
		TEST(the_worker_is_woken_for_it),
		TEST(totals_repeat_and_deltas_add_up),
		TEST(errors_are_told_by_type_and_place),
		TEST(labels_are_redacted),
		TEST(histograms_are_as_counted),
		TEST(what_has_no_site_is_overflow),
		TEST(undelivered_deltas_are_neither_lost_nor_doubled),
		TEST(refused_deltas_are_counted_and_not_repeated),
		TEST(low_memory_keeps_no_past_of_running_totals),
		TEST(what_can_go_down_is_always_a_total),
		TEST(a_flush_tells_of_its_own_deliveries),
		TEST(a_flush_waits_for_its_points),
		TEST(a_flush_does_not_wait_for_a_hanging_lane),
		TEST(every_loss_is_told_by_reason),
		TEST(what_was_evicted_never_met_the_exporter),
		TEST(attempts_are_timed),
		TEST(what_is_too_big_is_halved),
		TEST(whoever_did_not_ask_gets_none),
		TEST(metrics_fail_quietly_where_spans_fail),
		TEST(metrics_that_fail_alone_are_said_once),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
