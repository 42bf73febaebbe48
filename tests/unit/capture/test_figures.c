/* SPDX-License-Identifier: Apache-2.0 */
/* Every span and timed scope is counted with its site, recorded or not, once, with its status. */

#include "capture/figures.h"

#include <unistd.h>

#include "../../support/child.h"
#include "base/process.h"
#include "fixture.h"

/* 240 bytes. */
#define FORTY "0123456789012345678901234567890123456789"
#define FILLER FORTY FORTY FORTY FORTY FORTY FORTY

static struct sonde__figures figures; /* Some KiB. */

static struct sonde_site site = { "figured", __FILE__, "test", 1, 0 };

/* Calls and errors of `site` since the box was opened, what was recorded included. */
static void assert_counted(uint64_t calls, uint64_t errors)
{
	fixture_take();
	if (!sonde__figures_read(sonde__site_id(&site), &figures)) {
		assert_int_equal(calls, 0);
		return;
	}
	assert_int_equal(figures.calls, calls);
	assert_int_equal(figures.errors, errors);
}

/* Begins and ends under an unsampled parent, or a sampled one. */
static struct sonde_context parent_make(bool is_sampled)
{
	struct sonde_context parent = { .trace_id = { 1 }, .span_id = { 2 } };

	parent.trace_flags = is_sampled ? SONDE_TRACE_FLAG_SAMPLED : 0;
	return parent;
}

static void span_begin(struct sonde_span *span, bool is_sampled)
{
	struct sonde_context parent = parent_make(is_sampled);

	sonde_context_attach(&parent);
	sonde_span_begin_at(span, &site, /* options= */ NULL);
	assert_int_equal(sonde_span_is_recording(span), is_sampled);
}

static void recorded_or_not_it_is_counted(void **state)
{
	(void)state;
	for (int is_sampled = 0; is_sampled < 2; is_sampled++) {
		struct sonde_span span;

		span_begin(&span, is_sampled);
		sonde_span_end(&span);
		sonde_span_end(&span);
		assert_counted((uint64_t)is_sampled + 1, 0);
	}
	/* What was taken last is the one that was recorded. */
	assert_int_equal(fixture_count(SONDE__RECORD_SPAN), 1);
	assert_int_equal(fixture_lost(SONDE_SIGNAL_SPAN, SONDE_LOSS_UNSAMPLED), 1);
}

/* All ways to say a status, and whether the span has failed then. */
static void status_said(struct sonde_span *span, int way)
{
	struct sonde_error *error;

	switch (way) {
	case 1:
		sonde_span_set_status(span, SONDE_SPAN_ERROR, "failed");
		break;
	case 2:
		sonde_current_set_status(SONDE_SPAN_ERROR, "failed");
		break;
	case 3:
		error = sonde_error_raise(&sonde_not_found, "gone");
		sonde_error_capture(error);
		sonde_error_capture(error);
		sonde_error_free(error);
		break;
	case 4:
		sonde_span_set_status(span, SONDE_SPAN_ERROR, "failed");
		sonde_span_set_status(span, SONDE_SPAN_OK, /* description= */ NULL);
		break;
	case 5:
		sonde_current_set_status(SONDE_SPAN_OK, /* description= */ NULL);
		sonde_current_set_status(SONDE_SPAN_ERROR, "failed");
		break;
	case 6:
		sonde_span_set_status(span, SONDE_SPAN_ERROR, "failed");
		sonde_current_set_status(SONDE_SPAN_OK, /* description= */ NULL);
		break;
	case 7:
		sonde_current_set_status(SONDE_SPAN_ERROR, "failed");
		sonde_span_set_status(span, SONDE_SPAN_OK, /* description= */ NULL);
		break;
	default:
		sonde_span_set_status(span, SONDE_SPAN_UNSET, "nothing");
		sonde_current_set_status(SONDE_SPAN_UNSET, "nothing");
		break;
	}
}

static void its_status_counts(void **state)
{
	uint64_t errors = 0;
	uint64_t calls = 0;

	(void)state;
	for (int way = 0; way < 8; way++) {
		for (int is_sampled = 0; is_sampled < 2; is_sampled++) {
			struct sonde_span span;

			span_begin(&span, is_sampled);
			status_said(&span, way);
			sonde_span_end(&span);
			errors += way >= 1 && way <= 3;
			assert_counted(++calls, errors);
		}
	}
}

/* What is said of a span is not its parent's, and stays with it while a child runs. */
static void a_status_stays_with_its_span(void **state)
{
	static struct sonde_site inner = SONDE_SITE_INIT("inner");

	(void)state;
	for (int is_sampled = 0; is_sampled < 2; is_sampled++) {
		struct sonde_span outer;
		struct sonde_span child;

		span_begin(&outer, is_sampled);
		sonde_span_begin_at(&child, &inner, /* options= */ NULL);
		sonde_current_set_status(SONDE_SPAN_ERROR, "failed");
		sonde_span_end(&child);
		sonde_span_end(&outer);
		assert_counted(2 * (uint64_t)is_sampled + 1, (uint64_t)is_sampled);

		span_begin(&outer, is_sampled);
		sonde_current_set_status(SONDE_SPAN_ERROR, "failed");
		sonde_span_begin_at(&child, &inner, /* options= */ NULL);
		sonde_span_end(&child);
		sonde_span_end(&outer);
		assert_counted(2 * (uint64_t)is_sampled + 2, (uint64_t)is_sampled + 1);
	}
	assert_true(sonde__figures_read(sonde__site_id(&inner), &figures));
	assert_int_equal(figures.calls, 4);
	assert_int_equal(figures.errors, 2);
}

/* A caller's status is not said through a remote context, and does not become a span's. */
static void a_remote_parent_has_no_status(void **state)
{
	struct sonde_context parent = parent_make(/* is_sampled= */ true);
	struct sonde_span span;

	(void)state;
	parent.is_remote = true;
	sonde_context_attach(&parent);
	sonde_current_set_status(SONDE_SPAN_ERROR, "failed");
	sonde_span_begin_at(&span, &site, /* options= */ NULL);
	sonde_span_end(&span);
	assert_counted(1, 0);
}

static double sum_of_one_call(uint64_t start_unix_ns, uint64_t end_unix_ns)
{
	struct sonde_span_options options = SONDE_SPAN_OPTIONS_INIT;
	double before = sonde__figures_read(sonde__site_id(&site), &figures) ? figures.sum_seconds :
									       0;
	struct sonde_span span;

	options.start_unix_ns = start_unix_ns;
	sonde_span_begin_at(&span, &site, &options);
	if (end_unix_ns)
		sonde_span_end_with_time(&span, end_unix_ns);
	else
		sonde_span_end(&span);
	fixture_take();
	assert_true(sonde__figures_read(sonde__site_id(&site), &figures));
	return figures.sum_seconds - before;
}

static void given_times_make_durations(void **state)
{
	uint64_t now = sonde__realtime_ns();
	const uint64_t second = SONDE__NS_PER_S;
	double seconds;

	(void)state;
	seconds = sum_of_one_call(now, now + 3 * second);
	assert_true(seconds > 2.999999 && seconds < 3.000001);
	assert_true(sum_of_one_call(now, now - second) == 0);
	seconds = sum_of_one_call(now - 7 * second, /* end_unix_ns= */ 0);
	assert_true(seconds >= 7 && seconds < 17);
	seconds = sum_of_one_call(/* start_unix_ns= */ 0, now + 100 * second);
	assert_true(seconds > 89 && seconds < 100.001);
	assert_true(sum_of_one_call(/* start_unix_ns= */ 0, now - second) == 0);
}

static void spans_without_a_site_are_the_others(void **state)
{
	struct sonde_span span;

	(void)state;
	sonde_span_begin(&span, "by name", /* options= */ NULL);
	sonde_span_end(&span);
	fixture_take();
	assert_true(sonde__figures_read(/* site= */ 0, &figures));
	assert_int_equal(figures.calls, 1);
}

static void without_room_it_is_counted_at_once(void **state)
{
	const uint64_t n_spans = 100000;

	(void)state;
	for (uint64_t i = 0; i < n_spans; i++) {
		struct sonde_span span;

		span_begin(&span, /* is_sampled= */ true);
		sonde_span_set_str(&span, "filler", FILLER);
		if (i % 5 == 0)
			sonde_span_set_status(&span, SONDE_SPAN_ERROR, "failed");
		sonde_span_end(&span);
	}
	assert_true(fixture_lost(SONDE_SIGNAL_SPAN, SONDE_LOSS_RING_FULL) > n_spans / 2);
	assert_counted(n_spans, n_spans / 5);
}

static void timed_scopes_are_counted(void **state)
{
	static struct sonde_site scope = SONDE_SITE_INIT("scope");
	struct sonde_timed timed;

	(void)state;
	for (int i = 0; i < 3; i++) {
		sonde_timed_begin(&timed, &scope, /* options= */ NULL);
		sonde_timed_end(&timed);
		sonde_timed_end(&timed);
	}
	assert_true(sonde__figures_read(sonde__site_id(&scope), &figures));
	assert_int_equal(figures.calls, 3);
	assert_int_equal(figures.errors, 0);
	assert_int_equal(fixture_take(), 0);
}

static void a_closed_gate_counts_nothing(void **state)
{
	struct sonde_span span;
	struct sonde_timed timed;

	(void)state;
	span_begin(&span, /* is_sampled= */ true);
	sonde_timed_begin(&timed, &site, /* options= */ NULL);
	sonde__capture_close();
	sonde_timed_end(&timed);
	sonde_span_end(&span);
	assert_counted(0, 0);
}

/* A child's figures are its own, from nothing; what the parent began is the parent's. */
static void a_child_begins_at_zero(void **state)
{
	struct sonde_span span;
	pid_t pid;

	(void)state;
	span_begin(&span, /* is_sampled= */ true);
	sonde_span_end(&span);
	span_begin(&span, /* is_sampled= */ false);
	pid = fork();
	if (pid == 0) {
		sonde_span_end(&span);
		CHECK(!sonde__process_is_known());
		sonde_span_begin_at(&span, &site, /* options= */ NULL);
		CHECK(!sonde__figures_read(sonde__site_id(&site), &figures));
		sonde_span_end(&span);
		CHECK(sonde__figures_read(sonde__site_id(&site), &figures) && figures.calls == 1);
		_exit(CHILD_OK);
	}
	assert_int_equal(child_wait(pid), CHILD_OK);
	assert_counted(1, 0);
	sonde_span_end(&span);
	assert_counted(2, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(recorded_or_not_it_is_counted, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(its_status_counts, fixture_open, fixture_close),
		cmocka_unit_test_setup_teardown(a_status_stays_with_its_span, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(a_remote_parent_has_no_status, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(given_times_make_durations, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(spans_without_a_site_are_the_others, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(without_room_it_is_counted_at_once, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(timed_scopes_are_counted, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(a_child_begins_at_zero, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(a_closed_gate_counts_nothing, fixture_open,
						fixture_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
