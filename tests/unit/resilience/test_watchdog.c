/* SPDX-License-Identifier: Apache-2.0 */

/* When a loop counts as stalled: on virtual time, against a model, with nobody else watching. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/watchdog.h>

#include "resilience/watch.h"
#include "support/sequence.h"
#include "support/virtual_clock.h"

struct heard {
	int n_stalls;
	int n_recoveries;
	uint64_t duration_ns; /* Of the last. */
	char message[64];
	char detail[96];
};

static void hear(void *user, const struct sonde_observation *observation)
{
	struct heard *heard = user;

	assert_int_equal(observation->pattern, SONDE_PATTERN_WATCHDOG);
	assert_string_equal(observation->name, "http");
	heard->duration_ns = observation->duration_ns;
	if (observation->what == SONDE_OBSERVED_RECOVERY) {
		heard->n_recoveries++;
		assert_null(observation->error);
		return;
	}
	assert_int_equal(observation->what, SONDE_OBSERVED_STALL);
	heard->n_stalls++;
	assert_ptr_equal(sonde_error_type_of(observation->error), &sonde_internal);
	snprintf(heard->message, sizeof(heard->message), "%s",
		 sonde_error_message(observation->error));
	snprintf(heard->detail, sizeof(heard->detail), "%s",
		 sonde_error_detail(observation->error));
}

struct rig {
	struct virtual_clock clock;
	struct heard heard;
	struct sonde_observer observer;
	struct sonde_watchdog watchdog;
};

static void rig_open(struct rig *rig, uint64_t stall_ms)
{
	memset(rig, 0, sizeof(*rig));
	virtual_clock_init(&rig->clock, 100 * SECOND);
	rig->observer = (struct sonde_observer){ hear, &rig->heard };
	assert_int_equal(sonde_watchdog_init(&rig->watchdog,
					     &(struct sonde_watchdog_options){
						     .name = "http",
						     .clock = &rig->clock.clock,
						     .observer = &rig->observer,
						     .stall_ms = stall_ms,
						     .is_without_stack = true,
						     .is_without_thread = true }),
			 SONDE_OK);
}

/* ---- The model: how old is what is known of the loop? ---------------------------------------- */

struct model {
	bool rests;
	bool has_turned; /* Since the last look. */
	uint64_t age_ns; /* Time since a look found that it had turned. */
	bool is_stalled;
	int n_stalls;
	int n_recoveries;
	uint64_t duration_ns;
};

static enum sonde_watchdog_state model_look(struct model *model, uint64_t limit_ns)
{
	if (model->has_turned || model->rests) {
		if (model->is_stalled) {
			model->n_recoveries++;
			model->duration_ns = model->age_ns;
		}
		model->is_stalled = false;
		model->age_ns = 0;
		model->has_turned = false;
	} else if (!model->is_stalled && model->age_ns >= limit_ns) {
		model->is_stalled = true;
		model->n_stalls++;
		model->duration_ns = model->age_ns;
	}
	if (model->is_stalled)
		return SONDE_WATCHDOG_STALLED;
	return model->rests ? SONDE_WATCHDOG_RESTING : SONDE_WATCHDOG_TURNING;
}

static bool play(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	struct model model = { .rests = true };
	struct rig rig;
	bool is_ok = true;

	rig_open(&rig, /* stall_ms= */ 40);
	for (size_t i = 0; i < n_steps && is_ok; i++) {
		enum sonde_watchdog_state got;
		enum sonde_watchdog_state want;

		switch (steps[i].what % 5) {
		case 0:
			sonde_watchdog_feed(&rig.watchdog);
			model.rests = false;
			model.has_turned = true;
			continue;
		case 1:
			sonde_watchdog_rest(&rig.watchdog);
			model.rests = true;
			model.has_turned = true;
			continue;
		default:
			break;
		}
		rig.clock.now_ns += steps[i].b % (30 * MS);
		model.age_ns += steps[i].b % (30 * MS);
		got = sonde_watchdog_check(&rig.watchdog);
		want = model_look(&model, 40 * MS);
		is_ok = got == want && rig.heard.n_stalls == model.n_stalls &&
			rig.heard.n_recoveries == model.n_recoveries &&
			rig.heard.duration_ns == model.duration_ns;
		if (!is_ok)
			snprintf(why, size, "step %zu: state %d, not %d; %d stalls, not %d", i,
				 got, want, rig.heard.n_stalls, model.n_stalls);
	}
	sonde_watchdog_deinit(&rig.watchdog);
	return is_ok;
}

static void test_as_the_model(void **state)
{
	(void)state;
	sequence_check(play, /* n_sequences= */ 1200, /* n_steps= */ 200);
}

static void test_default_is_one_second(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, /* stall_ms= */ 0);
	sonde_watchdog_feed(&rig.watchdog);
	assert_int_equal(sonde_watchdog_check(&rig.watchdog), SONDE_WATCHDOG_TURNING);
	rig.clock.now_ns += SECOND - 1;
	assert_int_equal(sonde_watchdog_check(&rig.watchdog), SONDE_WATCHDOG_TURNING);
	rig.clock.now_ns += 1;
	assert_int_equal(sonde_watchdog_check(&rig.watchdog), SONDE_WATCHDOG_STALLED);
	assert_string_equal(rig.heard.message, "loop http has not turned for 1.0 s");
	assert_string_equal(rig.heard.detail, "without a stack: options ask for none");
	rig.clock.now_ns += 2300 * MS;
	assert_int_equal(sonde_watchdog_check(&rig.watchdog), SONDE_WATCHDOG_STALLED);
	assert_int_equal(rig.heard.n_stalls, 1);
	sonde_watchdog_feed(&rig.watchdog);
	assert_int_equal(sonde_watchdog_check(&rig.watchdog), SONDE_WATCHDOG_TURNING);
	assert_int_equal(rig.heard.n_recoveries, 1);
	assert_int_equal(rig.heard.duration_ns, 3300 * MS);
	sonde_watchdog_deinit(&rig.watchdog);
}

static void test_a_loop_that_rests_is_not_stalled(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, /* stall_ms= */ 250);
	/* Not fed yet. */
	rig.clock.now_ns += 3600 * SECOND;
	assert_int_equal(sonde_watchdog_check(&rig.watchdog), SONDE_WATCHDOG_RESTING);
	sonde_watchdog_feed(&rig.watchdog);
	sonde_watchdog_rest(&rig.watchdog);
	rig.clock.now_ns += 3600 * SECOND;
	assert_int_equal(sonde_watchdog_check(&rig.watchdog), SONDE_WATCHDOG_RESTING);
	sonde_watchdog_feed(&rig.watchdog);
	assert_int_equal(sonde_watchdog_check(&rig.watchdog), SONDE_WATCHDOG_TURNING);
	rig.clock.now_ns += 250 * MS;
	assert_int_equal(sonde_watchdog_check(&rig.watchdog), SONDE_WATCHDOG_STALLED);
	assert_string_equal(rig.heard.message, "loop http has not turned for 250 ms");
	sonde_watchdog_deinit(&rig.watchdog);
}

static void test_time_in_which_nobody_could_look_does_not_count(void **state)
{
	struct sonde__watch watch;
	uint64_t duration_ns = 0;
	uint64_t word = sonde__watch_fed(0);

	(void)state;
	sonde__watch_init(&watch, 100, 0);
	assert_int_equal(sonde__watch_check(&watch, word, 10, &duration_ns), SONDE__WATCH_NOTHING);
	/* Stopped from 20 to 500. */
	sonde__watch_forgive(&watch, 480, 500);
	assert_int_equal(sonde__watch_check(&watch, word, 500, &duration_ns), SONDE__WATCH_NOTHING);
	assert_int_equal(sonde__watch_check(&watch, word, 589, &duration_ns), SONDE__WATCH_NOTHING);
	assert_int_equal(sonde__watch_check(&watch, word, 590, &duration_ns), SONDE__WATCH_STALL);
	assert_int_equal(duration_ns, 100);
	/* More than there was is no time in the future. */
	sonde__watch_init(&watch, 100, 0);
	sonde__watch_check(&watch, word, 10, &duration_ns);
	sonde__watch_forgive(&watch, UINT64_MAX / 2, 50);
	assert_int_equal(sonde__watch_check(&watch, word, 150, &duration_ns), SONDE__WATCH_STALL);
	/* Of a stall that was reported nothing is taken back. */
	sonde__watch_forgive(&watch, 1000, 1200);
	word = sonde__watch_fed(word);
	assert_int_equal(sonde__watch_check(&watch, word, 1200, &duration_ns),
			 SONDE__WATCH_RECOVERY);
	assert_int_equal(duration_ns, 1150);
}

static void test_nonsense_is_refused(void **state)
{
	struct sonde_watchdog watchdog;
	const struct sonde_watchdog_options wrong = { .signal = SIGTERM };

	(void)state;
	assert_int_equal(sonde_watchdog_init(NULL, NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_watchdog_init(&watchdog, &wrong), SONDE_E_INVALID);
	/* Nothing was begun, so nothing is ended. */
	sonde_watchdog_deinit(&watchdog);
	assert_int_equal(sonde_watchdog_check(&watchdog), SONDE_WATCHDOG_RESTING);
	sonde_watchdog_deinit(NULL);
	sonde_watchdog_adopt(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_model),
		cmocka_unit_test(test_default_is_one_second),
		cmocka_unit_test(test_a_loop_that_rests_is_not_stalled),
		cmocka_unit_test(test_time_in_which_nobody_could_look_does_not_count),
		cmocka_unit_test(test_nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
