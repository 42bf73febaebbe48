/* SPDX-License-Identifier: Apache-2.0 */

/* Timed scopes: time is set back in the scope's memory in place of waiting. */

#include "fixture.h"

#include <errno.h>

#include "base/clock.h"

/* As if the scope had begun so much earlier. */
static void begin_earlier(struct sonde_timed *timed, uint64_t milliseconds)
{
	timed->opaque[1] -= milliseconds * sonde__ticks_per_ms();
}

static struct sonde_site site = { "fraud check", "check.c", "check", 17, 0 };

static struct sonde_timed timed_of(uint32_t slow_ms)
{
	struct sonde_timed_options options = SONDE_TIMED_OPTIONS_INIT;
	struct sonde_timed timed;

	options.slow_ms = slow_ms;
	sonde_timed_begin(&timed, &site, &options);
	return timed;
}

static void test_slow(void **state)
{
	struct sonde_value_view value;
	struct sonde__site_view place;
	struct sonde_context context;
	struct sonde_timed timed;
	SONDE_SPAN(span, "x");

	(void)state;
	context = sonde_span_context(span);
	timed = timed_of(250);
	begin_earlier(&timed, 1234);
	errno = 42;
	sonde_timed_end(&timed);
	assert_int_equal(errno, 42);
	sonde_timed_end(&timed);
	assert_int_equal(fixture_take(), 2);
	assert_memory_equal(sonde__log_record_body(fixture_log()).data, "Slow operation: fraud check took 1.23", 37);
	assert_int_equal(sonde__log_record_body(fixture_log()).size, 39);
	assert_int_equal(sonde__log_record_body(fixture_log()).data[38], 's');
	assert_int_equal(fixture_log()->severity, SONDE_WARN);
	assert_memory_equal(fixture_log()->span_id, context.span_id, 8);
	assert_true(sonde__site_get(fixture_log()->site, &place));
	assert_int_equal(place.line, 17);
	value = fixture_attribute(SONDE_FIELDS_LOG, sonde__log_record_fields(fixture_log()),
				  "sonde.slow_operation.duration");
	assert_true(value.as.real >= 1.233 && value.as.real < 2);
	assert_memory_equal(fixture_part()->span_id, context.span_id, 8);
	fixture_assert_text(fixture_attribute(SONDE_FIELDS_SPAN,
					      sonde__part_record_fields(fixture_part()),
					      "sonde.slow_operation.name")
				    .as.string,
			    "fraud check");
}

static void test_thresholds(void **state)
{
	static const struct {
		uint32_t slow_ms; /* 0: the agent's, 1000. */
		uint64_t took_ms;
		size_t n_records;
	} cases[] = { { 0, 900, 0 },   { 0, 1100, 1 },	  { 250, 200, 0 },
		      { 250, 300, 1 }, { 5000, 4000, 0 }, { UINT32_MAX, 100000, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sonde_timed timed = timed_of(cases[i].slow_ms);

		begin_earlier(&timed, cases[i].took_ms);
		sonde_timed_end(&timed);
		assert_int_equal(fixture_take(), cases[i].n_records);
	}
}

static void test_macro_and_odd_names(void **state)
{
	struct sonde_timed timed;
	char name[2000];
	struct sonde_site long_site = { name, "f", "g", 1, 0 };

	(void)state;
	{
		SONDE_TIMED("quick", .slow_ms = 60000);
		SONDE_TIMED("quick too");
	}
	assert_int_equal(fixture_take(), 0);
	sonde_timed_begin(&timed, /* site= */ NULL, /* options= */ NULL);
	begin_earlier(&timed, 61000);
	sonde_timed_end(&timed);
	fixture_take();
	assert_memory_equal(sonde__log_record_body(fixture_log()).data, "Slow operation: unnamed took 61.0", 33);
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	sonde_timed_begin(&timed, &long_site, /* options= */ NULL);
	begin_earlier(&timed, 61000);
	sonde_timed_end(&timed);
	fixture_take();
	assert_in_range(fixture_log()->body_size, 512, 600);
}

static void test_abuse(void **state)
{
	struct sonde_timed timed;

	(void)state;
	/* Time that runs backwards between two CPUs is no slow operation. */
	timed = timed_of(250);
	timed.opaque[1] += 1000 * sonde__ticks_per_ms();
	sonde_timed_end(&timed);
	memset(&timed, 0x71, sizeof(timed));
	sonde_timed_end(&timed);
	/* Begun with one agent, ended with none or the next. */
	timed = timed_of(250);
	begin_earlier(&timed, 1000);
	sonde__capture_close();
	sonde_timed_end(&timed);
	fixture_reopen(128, SONDE_EXCEPTION_BOTH);
	timed = timed_of(250);
	begin_earlier(&timed, 1000);
	fixture_reopen(128, SONDE_EXCEPTION_BOTH);
	sonde_timed_end(&timed);
	assert_int_equal(fixture_take(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_slow),
		TEST(test_thresholds),
		TEST(test_macro_and_odd_names),
		TEST(test_abuse),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
