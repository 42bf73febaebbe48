/* SPDX-License-Identifier: Apache-2.0 */
/* The exporter for tests: what goes in comes out once, in order, and no more than fits. */

#include <sonde/memory.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/exporter.h>

#include "../../support/child.h"

static enum sonde_outcome put(const void *data, size_t size)
{
	struct sonde_result result;
	struct sonde_request request = { .size = sizeof(request),
					 .token = &result,
					 .signal = SONDE_SIGNAL_LOG,
					 .body = { data, size },
					 .n_items = 1 };
	enum sonde_outcome outcome = sonde_memory_exporter.send(NULL, &request, &result);

	assert_int_equal(outcome, result.outcome);
	assert_ptr_equal(result.token, &result);
	assert_int_equal(result.reason[0] != '\0', outcome == SONDE_OUTCOME_REFUSED);
	return outcome;
}

static void lines_come_out_once_and_in_order(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(put("one\n", 4), SONDE_OUTCOME_ACCEPTED);
	assert_int_equal(put("two\n", 4), SONDE_OUTCOME_ACCEPTED);
	assert_int_equal(put("", 0), SONDE_OUTCOME_ACCEPTED);
	assert_int_equal(put("three\n", 6), SONDE_OUTCOME_ACCEPTED);
	text = sonde_memory_take();
	assert_string_equal(text, "one\ntwo\nthree\n");
	free(text);
	text = sonde_memory_take();
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(sonde_memory_dropped(), 0);
}

static void no_more_than_fits_is_held(void **state)
{
	char *half = calloc(1, SONDE_MEMORY_SIZE / 2);
	char *text;

	(void)state;
	assert_non_null(half);
	memset(half, 'x', SONDE_MEMORY_SIZE / 2);
	assert_int_equal(put(half, SONDE_MEMORY_SIZE / 2), SONDE_OUTCOME_ACCEPTED);
	assert_int_equal(put(half, SONDE_MEMORY_SIZE / 2), SONDE_OUTCOME_ACCEPTED);
	assert_int_equal(put("y", 1), SONDE_OUTCOME_REFUSED);
	assert_int_equal(sonde_memory_dropped(), 1);
	text = sonde_memory_take();
	assert_int_equal(strlen(text), SONDE_MEMORY_SIZE);
	assert_null(strchr(text, 'y'));
	free(text);
	assert_int_equal(put("y", 1), SONDE_OUTCOME_ACCEPTED);
	free(sonde_memory_take());
	free(half);
}

static void child_takes_its_own(void)
{
	char *text;

	sonde_memory_exporter.close(NULL, /* forked= */ false);
	sonde_memory_exporter.close(NULL, /* forked= */ true);
	CHECK(put("child's", 7) == SONDE_OUTCOME_ACCEPTED);
	text = sonde_memory_take();
	CHECK(strcmp(text, "child's") == 0);
	free(text);
}

/* A forked child begins with nothing, and with all of the room. */
static void a_child_begins_with_nothing(void **state)
{
	(void)state;
	assert_int_equal(put("parent's", 8), SONDE_OUTCOME_ACCEPTED);
	assert_int_equal(child_run(child_takes_its_own), CHILD_OK);
	free(sonde_memory_take());
}

static void signals(void **state)
{
	(void)state;
	assert_true(sonde_memory_exporter.accepts(NULL, SONDE_SIGNAL_SPAN));
	assert_true(sonde_memory_exporter.accepts(NULL, SONDE_SIGNAL_LOG));
	assert_true(sonde_memory_exporter.accepts(NULL, SONDE_SIGNAL_METRIC));
	assert_false(sonde_memory_exporter.accepts(NULL, SONDE_SIGNAL_PART));
}

#define N_PUTTERS 3
#define N_LINES 3000

static void *put_numbers(void *argument)
{
	for (int i = 0; i < N_LINES; i++) {
		char line[16];
		struct sonde_result result;
		struct sonde_request request = { .size = sizeof(request), .body = { line, 0 } };

		request.body.size = (size_t)snprintf(line, sizeof(line), "%c%d\n", *(char *)argument, i);
		if (sonde_memory_exporter.send(NULL, &request, &result) != SONDE_OUTCOME_ACCEPTED)
			return argument;
	}
	return NULL;
}

/* Each putter's lines arrive whole, all of them, and in its order, however they are taken. */
static void takers_and_putters_at_once(void **state)
{
	char names[N_PUTTERS] = { 'a', 'b', 'c' };
	int next[N_PUTTERS] = { 0 };
	pthread_t threads[N_PUTTERS];
	int n_seen = 0;

	(void)state;
	for (int i = 0; i < N_PUTTERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_numbers, &names[i]), 0);
	while (n_seen < N_PUTTERS * N_LINES) {
		char *text = sonde_memory_take();

		for (char *line = text; *line; line = strchr(line, '\n') + 1, n_seen++)
			assert_int_equal(strtol(line + 1, NULL, 10), next[line[0] - 'a']++);
		free(text);
	}
	for (int i = 0; i < N_PUTTERS; i++) {
		void *refused;

		pthread_join(threads[i], &refused);
		assert_null(refused);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_out_once_and_in_order),
		cmocka_unit_test(no_more_than_fits_is_held),
		cmocka_unit_test(a_child_begins_with_nothing),
		cmocka_unit_test(signals),
		cmocka_unit_test(takers_and_putters_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
