/* SPDX-License-Identifier: Apache-2.0 */

/* The table of values under many at once: what is read is what was set, or less, no mixture. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/exporter.h>

#include "context/context.h"

#define CHUNKS 16384

/* Adds "key" with a number. */
static uint64_t add_number(uint64_t reference, const char *key, uint64_t number)
{
	const struct sonde_attr attr = sonde_int(key, (int64_t)number);

	return sonde__values_add(reference, &attr);
}

/* The last number of the key; -1: none. */
static int64_t number_of(uint64_t reference, const char *key)
{
	uint8_t buffer[SONDE__VALUES_MAX_SIZE];
	struct sonde_bytes rest = { buffer, sonde__values_read(reference, buffer) };
	struct sonde_item_view item;
	int64_t number = -1;

	while (sonde_item_next(SONDE_FIELDS_LOG, &rest, &item))
		if (item.name.size == strlen(key) &&
		    !memcmp(item.name.data, key, item.name.size))
			number = item.value.as.integer;
	return number;
}

static void test_a_reference_never_changes(void **state)
{
	uint64_t one = add_number(0, "n", 1);
	uint64_t two = add_number(one, "n", 2);
	uint64_t other = add_number(one, "n", 3);
	uint64_t sealed = add_number(sonde__values_seal(two), "n", 4);

	(void)state;
	assert_int_equal(number_of(one, "n"), 1);
	assert_int_equal(number_of(two, "n"), 2);
	assert_int_equal(number_of(other, "n"), 3);
	assert_int_equal(number_of(sealed, "n"), 4);
	sonde__values_release(sealed, two);
	assert_int_equal(number_of(two, "n"), 2);
	sonde__values_release(other, 0);
	sonde__values_release(two, 0);
}

static void test_numbers_nobody_gave(void **state)
{
	uint8_t buffer[SONDE__VALUES_MAX_SIZE];
	const uint64_t odd[] = { 1, UINT64_MAX, SONDE__VALUES_SEALED, UINT64_C(0x123456789abcdef0),
				 UINT64_C(31) << 15, UINT64_C(1) << 20 };

	(void)state;
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(odd); i++) {
		uint64_t more;

		assert_int_equal(sonde__values_read(odd[i], buffer), 0);
		sonde__values_lend(odd[i]);
		sonde__values_release(odd[i], 0);
		sonde__values_release_run(odd[i]);
		more = add_number(odd[i], "n", 7);
		assert_int_equal(number_of(more, "n"), 7);
		sonde__values_release(more, 0);
	}
}

static void test_ten_thousand_requests_at_once(void **state)
{
	static uint64_t requests[10000];
	const uint64_t losses = sonde__values_losses();

	(void)state;
	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < SONDE__ARRAY_SIZE(requests); i++) {
			requests[i] = add_number(0, "request", i);
			requests[i] = add_number(requests[i], "round", (uint64_t)round);
		}
		for (size_t i = 0; i < SONDE__ARRAY_SIZE(requests); i++) {
			assert_int_equal(number_of(requests[i], "request"), i);
			assert_int_equal(number_of(requests[i], "round"), round);
			sonde__values_release(requests[i], 0);
		}
	}
	assert_int_equal(sonde__values_losses(), losses);
}

static void test_what_was_lent_outlives_many_others(void **state)
{
	uint64_t lent = sonde__values_lend(add_number(0, "n", 42));

	(void)state;
	sonde__values_release(lent, 0);
	for (uint64_t i = 0; i < 10 * CHUNKS; i++)
		sonde__values_release(add_number(0, "other", i), 0);
	assert_int_equal(number_of(lent, "n"), 42);
}

static void test_retired_before_needed(void **state)
{
	static uint64_t needed[CHUNKS / 2];
	const uint64_t losses = sonde__values_losses();

	(void)state;
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(needed); i++)
		needed[i] = add_number(0, "n", i);
	for (uint64_t i = 0; i < 10 * CHUNKS; i++)
		sonde__values_release(sonde__values_lend(add_number(0, "other", i)), 0);
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(needed); i++) {
		assert_int_equal(number_of(needed[i], "n"), i);
		sonde__values_release(needed[i], 0);
	}
	assert_int_equal(sonde__values_losses(), losses);
}

static void test_too_many_lose_and_are_counted(void **state)
{
	static uint64_t requests[2 * CHUNKS];
	uint64_t losses;
	uint64_t n_lost = 0;

	(void)state;
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(requests); i++)
		requests[i] = add_number(0, "n", i);
	losses = sonde__values_losses();
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(requests); i++) {
		int64_t number = number_of(requests[i], "n");

		assert_true(number == (int64_t)i || number == -1);
		n_lost += number == -1;
	}
	assert_true(n_lost >= CHUNKS);
	assert_int_equal(sonde__values_losses() - losses, n_lost);
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(requests); i++)
		sonde__values_release(requests[i], 0);
}

/* All the same number throughout, whoever's they are. */
static bool is_mixture(uint64_t reference)
{
	uint8_t buffer[SONDE__VALUES_MAX_SIZE];
	struct sonde_bytes rest = { buffer, sonde__values_read(reference, buffer) };
	struct sonde_item_view item;
	int64_t number = 0;
	size_t n = 0;

	while (sonde_item_next(SONDE_FIELDS_LOG, &rest, &item)) {
		if (item.name.size != 1 || item.value.type != SONDE_VALUE_INT ||
		    (n++ && item.value.as.integer != number))
			return true;
		number = item.value.as.integer;
	}
	return rest.size != 0;
}

static _Atomic uint64_t seen[4];

static void *thread_main(void *argument)
{
	uint64_t *bad = argument;
	uint64_t kept[8] = { 0 };

	for (uint64_t i = 0; i < 20000; i++) {
		const uint64_t number = i * 1000003;
		uint64_t reference = 0;

		for (size_t k = 0; k < 1 + i % 40; k++)
			reference = add_number(reference, (char[]){ (char)('a' + k % 26), 0 },
					       number);
		*bad += is_mixture(reference) || number_of(reference, "a") != (int64_t)number;
		/* Whose it is meanwhile, nobody knows. */
		atomic_store_explicit(&seen[i % 4], reference, memory_order_relaxed);
		*bad += is_mixture(atomic_load_explicit(&seen[(i + 1) % 4], memory_order_relaxed));
		*bad += is_mixture(kept[i % 8]);
		kept[i % 8] = i % 5 ? reference : sonde__values_lend(reference);
		sonde__values_release(reference, 0);
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
			pthread_create(&threads[i], /* attr= */ NULL, thread_main, &bad[i]), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], /* ret= */ NULL);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(bad[i], 0);
}

static void test_a_forked_child_has_its_own(void **state)
{
	uint64_t before = add_number(0, "n", 1);
	int status;
	pid_t child;

	(void)state;
	child = fork();
	if (child == 0) {
		uint64_t mine = add_number(before, "n", 2);

		_exit(number_of(mine, "n") != 2 || number_of(before, "n") != 1);
	}
	assert_int_equal(number_of(add_number(before, "n", 3), "n"), 3);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_reference_never_changes),
		cmocka_unit_test(test_numbers_nobody_gave),
		cmocka_unit_test(test_ten_thousand_requests_at_once),
		cmocka_unit_test(test_what_was_lent_outlives_many_others),
		cmocka_unit_test(test_retired_before_needed),
		cmocka_unit_test(test_too_many_lose_and_are_counted),
		cmocka_unit_test(test_threads_never_read_a_mixture),
		cmocka_unit_test(test_a_forked_child_has_its_own),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
