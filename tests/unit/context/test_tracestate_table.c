/* SPDX-License-Identifier: Apache-2.0 */

/* The table of tracestates: what was kept is read back whole or not at all. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "context/context.h"

#define SLOTS 1024

static void assert_reads(uint64_t reference, const char *wanted)
{
	char text[SONDE_TRACESTATE_LENGTH];

	assert_int_equal(sonde__tracestate_read(reference, text), strlen(wanted));
	assert_memory_equal(text, wanted, strlen(wanted));
}

static void test_keep_and_read(void **state)
{
	char longest[SONDE_TRACESTATE_LENGTH + 1];
	char text[SONDE_TRACESTATE_LENGTH];
	uint64_t a = sonde__tracestate_keep("a=1", 3);
	uint64_t b = sonde__tracestate_keep("bb=22222", 8);
	uint64_t c;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	c = sonde__tracestate_keep(longest, SONDE_TRACESTATE_LENGTH);
	assert_reads(a, "a=1");
	assert_reads(b, "bb=22222");
	assert_int_equal(sonde__tracestate_read(c, text), SONDE_TRACESTATE_LENGTH);
	assert_memory_equal(text, longest, sizeof(text));
	assert_int_equal(sonde__tracestate_keep(longest, SONDE_TRACESTATE_LENGTH + 1), 0);
	assert_int_equal(sonde__tracestate_keep("", 0), 0);
	assert_int_equal(sonde__tracestate_read(0, text), 0);
	/* A freed one stays readable until its slot is used again. */
	sonde__tracestate_free(a);
	sonde__tracestate_free(a);
	assert_reads(a, "a=1");
	sonde__tracestate_free(b);
	sonde__tracestate_free(c);
	sonde__tracestate_free(0);
}

static void test_numbers_nobody_gave(void **state)
{
	char text[SONDE_TRACESTATE_LENGTH];
	uint64_t losses = sonde__tracestate_losses();

	(void)state;
	assert_int_equal(sonde__tracestate_read(UINT64_MAX, text), 0);
	assert_int_equal(
		sonde__tracestate_read(1, text) + sonde__tracestate_read(SLOTS * 77777, text), 0);
	assert_true(sonde__tracestate_losses() > losses);
	sonde__tracestate_free(UINT64_MAX);
	sonde__tracestate_free(1);
}

static void test_free_slots_before_owned_ones(void **state)
{
	uint64_t owned[SLOTS / 2];
	uint64_t losses = sonde__tracestate_losses();

	(void)state;
	for (size_t i = 0; i < SLOTS / 2; i++)
		owned[i] = sonde__tracestate_keep("owned=1", 7);
	/* Requests that end: far more than there are slots. */
	for (size_t i = 0; i < 10 * SLOTS; i++)
		sonde__tracestate_free(sonde__tracestate_keep("short=1", 7));
	assert_int_equal(sonde__tracestate_losses(), losses);
	for (size_t i = 0; i < SLOTS / 2; i++)
		assert_reads(owned[i], "owned=1");
	for (size_t i = 0; i < SLOTS / 2; i++)
		sonde__tracestate_free(owned[i]);
}

static void test_the_oldest_is_taken_and_known(void **state)
{
	uint64_t first = sonde__tracestate_keep("first=1", 7);
	char text[SONDE_TRACESTATE_LENGTH];
	uint64_t last = 0;
	uint64_t losses;

	(void)state;
	for (size_t i = 0; i < 2 * SLOTS; i++)
		last = sonde__tracestate_keep("later=1", 7);
	losses = sonde__tracestate_losses();
	assert_true(losses > 0);
	assert_int_equal(sonde__tracestate_read(first, text), 0);
	assert_int_equal(sonde__tracestate_losses(), losses + 1);
	/* Freeing what is somebody else's by now changes nothing. */
	sonde__tracestate_free(first);
	assert_reads(last, "later=1");
}

static void *reader_main(void *argument)
{
	uint64_t *bad = argument;

	for (size_t i = 0; i < 20000; i++) {
		char mine[SONDE_TRACESTATE_LENGTH];
		char text[SONDE_TRACESTATE_LENGTH];
		size_t size = 1 + i * 7 % SONDE_TRACESTATE_LENGTH;
		uint64_t reference;

		memset(mine, (int)('a' + i % 26), size);
		reference = sonde__tracestate_keep(mine, size);
		if (i % 3 == 0)
			sonde__tracestate_free(reference);
		size = sonde__tracestate_read(reference, text);
		*bad += size &&
			(size != 1 + i * 7 % SONDE_TRACESTATE_LENGTH || memcmp(text, mine, size));
		/* Somebody else's, whichever: the same letter throughout. */
		size = sonde__tracestate_read(reference + 1, text);
		for (size_t k = 1; k < size; k++)
			*bad += text[k] != text[0];
	}
	return NULL;
}

static void test_threads_never_read_a_mixture(void **state)
{
	pthread_t threads[4];
	uint64_t bad[4] = { 0 };

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], /* attr= */ NULL, reader_main, &bad[i]), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], /* ret= */ NULL);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(bad[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keep_and_read),
		cmocka_unit_test(test_numbers_nobody_gave),
		cmocka_unit_test(test_free_slots_before_owned_ones),
		cmocka_unit_test(test_the_oldest_is_taken_and_known),
		cmocka_unit_test(test_threads_never_read_a_mixture),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
