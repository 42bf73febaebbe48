/* SPDX-License-Identifier: Apache-2.0 */

/* Scopes: what is set in one is seen below it and by copies, and gone after its end. */

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/exporter.h>
#include <sonde/scope.h>

#include "context/context.h"

static struct sonde_bytes read_current(uint8_t buffer[SONDE__VALUES_MAX_SIZE])
{
	const uint64_t values = sonde__thread.current.extension[SONDE__EXTENSION_VALUES];

	return (struct sonde_bytes){ buffer, sonde__values_read(values, buffer) };
}

static _Thread_local bool is_in_handler;

/* The value that counts for the key, as text; NULL: none. */
static const char *value_of(const char *key)
{
	static _Thread_local char texts[2][SONDE__VALUES_MAX_SIZE];
	char *text = texts[is_in_handler];
	uint8_t buffer[SONDE__VALUES_MAX_SIZE];
	struct sonde_bytes rest = read_current(buffer);
	struct sonde_item_view item;
	bool found = false;

	while (sonde_item_next(SONDE_FIELDS_LOG, &rest, &item)) {
		if (item.name.size != strlen(key) || memcmp(item.name.data, key, item.name.size))
			continue;
		found = true;
		if (item.value.type == SONDE_VALUE_STR)
			snprintf(text, sizeof(texts[0]), "%.*s", (int)item.value.as.string.size,
				 item.value.as.string.data);
		else if (item.value.type == SONDE_VALUE_INT)
			snprintf(text, sizeof(texts[0]), "%lld", (long long)item.value.as.integer);
		else if (item.value.type == SONDE_VALUE_BOOL)
			snprintf(text, sizeof(texts[0]), "%s", item.value.as.boolean ? "true" : "false");
		else
			snprintf(text, sizeof(texts[0]), "%g", item.value.as.real);
	}
	return found ? text : NULL;
}

static void assert_value(const char *key, const char *wanted)
{
	const char *value = value_of(key);

	if (wanted && value)
		assert_string_equal(value, wanted);
	else if (wanted || value)
		fail_msg("%s is %s, not %s", key, value ? value : "absent",
			 wanted ? wanted : "absent");
}

static size_t count_values(void)
{
	uint8_t buffer[SONDE__VALUES_MAX_SIZE];
	struct sonde_bytes rest = read_current(buffer);
	struct sonde_item_view item;
	size_t n = 0;

	while (sonde_item_next(SONDE_FIELDS_LOG, &rest, &item))
		n++;
	return n;
}

static int gate_open(void **state)
{
	(void)state;
	__atomic_store_n(&sonde_gate, 1, __ATOMIC_RELAXED);
	return 0;
}

static int gate_close(void **state)
{
	(void)state;
	__atomic_store_n(&sonde_gate, 0, __ATOMIC_RELAXED);
	sonde_context_attach(/* context= */ NULL);
	return 0;
}

static void test_every_type(void **state)
{
	SONDE_SCOPE();

	(void)state;
	sonde_context_set_str("str", "text");
	sonde_context_set_strn("strn", "text and more", 4);
	sonde_context_set_int("int", -7);
	sonde_context_set_bool("bool", true);
	sonde_context_set_double("double", 0.5);
	sonde_context_set(sonde_str("any", "attribute"));
	sonde_context_set_user("u-1", "Ada", "ada@example.org");
	assert_value("str", "text");
	assert_value("strn", "text");
	assert_value("int", "-7");
	assert_value("bool", "true");
	assert_value("double", "0.5");
	assert_value("any", "attribute");
	assert_value("user.id", "u-1");
	assert_value("user.name", "Ada");
	assert_value("user.email", "ada@example.org");
	sonde_context_set_user(/* id= */ NULL, "Grace", /* email= */ NULL);
	assert_value("user.id", "u-1");
	assert_value("user.name", "Grace");
}

static void test_a_scope_ends_what_was_set_in_it(void **state)
{
	(void)state;
	{
		SONDE_SCOPE();
		sonde_context_set_str("outer", "1");
		{
			SONDE_SCOPE();
			sonde_context_set_str("inner", "2");
			sonde_context_set_str("outer", "3");
			assert_value("inner", "2");
			assert_value("outer", "3");
		}
		assert_value("inner", NULL);
		assert_value("outer", "1");
		sonde_context_set_str("later", "4");
		assert_value("outer", "1");
		assert_value("later", "4");
	}
	assert_int_equal(count_values(), 0);
}

static void test_nothing_without_an_agent(void **state)
{
	struct sonde_scope scope;

	__atomic_store_n(&sonde_gate, 0, __ATOMIC_RELAXED);
	(void)state;
	sonde_scope_begin(&scope);
	sonde_context_set_str("key", "value");
	assert_int_equal(count_values(), 0);
	/* Begun without, ended with one. */
	__atomic_store_n(&sonde_gate, 1, __ATOMIC_RELAXED);
	sonde_context_set_str("key", "value");
	sonde_scope_end(&scope);
	assert_value("key", "value");
}

static void test_odd_arguments(void **state)
{
	struct sonde_scope scope;

	(void)state;
	sonde_scope_begin(/* scope= */ NULL);
	sonde_scope_end(/* scope= */ NULL);
	sonde_scope_begin(&scope);
	sonde_context_set_str(/* key= */ NULL, "value");
	sonde_context_set_str("", "value");
	sonde_context_set_int(/* key= */ NULL, 1);
	sonde__context_set(/* attr= */ NULL);
	assert_int_equal(count_values(), 0);
	sonde_context_set_str("empty", /* value= */ NULL);
	sonde_context_set_strn("zero", "a\0b", 3);
	assert_value("empty", "");
	sonde_scope_end(&scope);
	sonde_context_set_str("after", "1");
	sonde_scope_end(&scope);
	assert_value("after", "1");
}

static void test_huge_values_are_cut(void **state)
{
	static char huge[1 << 20];
	char key[300];
	SONDE_SCOPE();

	(void)state;
	memset(huge, 'x', sizeof(huge) - 1);
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	sonde_context_set_str("small", "1");
	sonde_context_set_str("huge", huge);
	sonde_context_set_str("small", "2");
	assert_true(strlen(value_of("huge")) >= 200);
	assert_value("small", "2");
	/* Told, as what is redacted hangs on it. */
	assert_string_equal(value_of("huge") + strlen(value_of("huge")) - 4, "x…");
	/* What just has room is whole. */
	for (size_t n = 150; n < 260; n++) {
		sonde_context_set_strn("exact", huge, n);
		assert_true(strspn(value_of("exact"), "x") == n || strstr(value_of("exact"), "x…"));
	}
	/* No room for the key alone. */
	sonde_context_set_str(key, "1");
	assert_value(key, NULL);
	/* Between characters, not within one. */
	for (size_t i = 0; i + 2 < sizeof(huge); i += 2)
		memcpy(huge + i, "\xc3\xa4", 2);
	sonde_context_set_str("umlauts", huge);
	assert_string_equal(value_of("umlauts") + strlen(value_of("umlauts")) - 5, "ä…");
}

static void test_a_key_set_again_and_again(void **state)
{
	const uint64_t losses = sonde__values_losses();
	char text[32];

	(void)state;
	/* As a worker does that has no scopes. */
	for (int i = 0; i < 100000; i++) {
		snprintf(text, sizeof(text), "request-%d", i);
		sonde_context_set_str("request.id", text);
		if (i % 7 == 0)
			sonde_context_set_int("attempt", i);
		if (i % 1000 == 0)
			assert_value("request.id", text);
	}
	assert_value("request.id", "request-99999");
	assert_value("attempt", "99995");
	assert_int_equal(sonde__values_losses(), losses);
	assert_true(count_values() < 20);
}

static void test_more_keys_than_one_chunk_holds(void **state)
{
	const uint64_t losses = sonde__values_losses();
	char key[16];
	char text[64];

	(void)state;
	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < 12; i++) {
			snprintf(key, sizeof(key), "key.%d", i);
			snprintf(text, sizeof(text), "%d: a value of a usual length", round + i);
			sonde_context_set_str(key, text);
		}
		for (int i = 0; i < 12; i++) {
			snprintf(key, sizeof(key), "key.%d", i);
			snprintf(text, sizeof(text), "%d: a value of a usual length", round + i);
			assert_value(key, text);
		}
	}
	assert_int_equal(sonde__values_losses(), losses);
	/* And at last too many. */
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "more.%d", i);
		sonde_context_set_str(key, text);
	}
	assert_true(sonde__values_losses() > losses);
	assert_value("key.0", "199: a value of a usual length");
}

static void nest(int depth)
{
	SONDE_SCOPE();
	char key[24];

	snprintf(key, sizeof(key), "level.%d", depth);
	sonde_context_set_int(key, depth);
	sonde_context_set_int("level", depth);
	if (depth < 20)
		nest(depth + 1);
	for (int i = 0; i <= 20; i++) {
		char wanted[16];

		snprintf(key, sizeof(key), "level.%d", i);
		snprintf(wanted, sizeof(wanted), "%d", i);
		assert_value(key, i <= depth ? wanted : NULL);
	}
	snprintf(key, sizeof(key), "%d", depth);
	assert_value("level", key);
}

static void test_deep_nesting(void **state)
{
	const uint64_t losses = sonde__values_losses();

	(void)state;
	for (int i = 0; i < 50; i++)
		nest(0);
	assert_int_equal(count_values(), 0);
	assert_int_equal(sonde__values_losses(), losses);
}

static jmp_buf back;

__attribute__((noinline)) static void leave_by_longjmp(void)
{
	SONDE_SCOPE();

	sonde_context_set_str("left", "behind");
	longjmp(back, 1);
}

static void test_longjmp_past_a_scope(void **state)
{
	(void)state;
	{
		SONDE_SCOPE();
		sonde_context_set_str("outer", "1");
		if (!setjmp(back))
			leave_by_longjmp();
		/* Stale until the next scope ends, never wrong. */
		assert_value("left", "behind");
		assert_value("outer", "1");
	}
	assert_int_equal(count_values(), 0);
}

struct job {
	struct sonde_context context;
	bool was_right;
};

static void *job_main(void *argument)
{
	struct job *job = argument;
	const char *value;

	{
		SONDE_CONTEXT_SCOPE(&job->context);
		value = value_of("request.id");
		job->was_right = value && !strcmp(value, "r-17");
		sonde_context_set_str("worker", "1");
		sonde_context_set_str("request.id", "changed");
		value = value_of("worker");
		job->was_right &= value && !strcmp(value, "1");
	}
	job->was_right &= count_values() == 0;
	return NULL;
}

static void test_a_copy_is_carried_to_another_thread(void **state)
{
	struct job jobs[2];
	pthread_t threads[2];

	(void)state;
	{
		SONDE_SCOPE();
		sonde_context_set_str("request.id", "r-17");
		for (size_t i = 0; i < 2; i++)
			jobs[i].context = sonde_context_current();
		pthread_create(&threads[0], /* attr= */ NULL, job_main, &jobs[0]);
		sonde_context_set_str("request.id", "r-18");
		pthread_join(threads[0], /* ret= */ NULL);
		assert_value("request.id", "r-18");
		assert_value("worker", NULL);
	}
	/* The scope has ended, and others come and go. */
	for (int i = 0; i < 1000; i++) {
		SONDE_SCOPE();
		sonde_context_set_str("request.id", "another");
	}
	pthread_create(&threads[1], /* attr= */ NULL, job_main, &jobs[1]);
	pthread_join(threads[1], /* ret= */ NULL);
	assert_true(jobs[0].was_right);
	assert_true(jobs[1].was_right);
}

/* ---- Signal handlers ------------------------------------------------------------------------- */

static void on_signal(int number)
{
	SONDE_SCOPE();

	is_in_handler = true;
	sonde_context_set_int("in handler", number);
	if (!value_of("in handler"))
		abort();
	is_in_handler = false;
}

static void *interrupted_main(void *done)
{
	char text[32];

	for (int i = 0; i < 40000; i++) {
		SONDE_SCOPE();
		snprintf(text, sizeof(text), "%d", i);
		sonde_context_set_str("a", text);
		sonde_context_set_str("b", text);
		assert_value("a", text);
		assert_value("b", text);
		assert_value("in handler", NULL);
	}
	__atomic_store_n((bool *)done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void test_signals_in_the_middle(void **state)
{
	struct sigaction action = { .sa_handler = on_signal };
	const uint64_t losses = sonde__values_losses();
	struct sigaction before;
	bool done = false;
	pthread_t thread;

	(void)state;
	sigaction(SIGUSR1, &action, &before);
	pthread_create(&thread, /* attr= */ NULL, interrupted_main, &done);
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		pthread_kill(thread, SIGUSR1);
	pthread_join(thread, /* ret= */ NULL);
	sigaction(SIGUSR1, &before, /* old= */ NULL);
	assert_int_equal(sonde__values_losses(), losses);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, gate_open, gate_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_type),
		TEST(test_a_scope_ends_what_was_set_in_it),
		TEST(test_nothing_without_an_agent),
		TEST(test_odd_arguments),
		TEST(test_huge_values_are_cut),
		TEST(test_a_key_set_again_and_again),
		TEST(test_more_keys_than_one_chunk_holds),
		TEST(test_deep_nesting),
		TEST(test_longjmp_past_a_scope),
		TEST(test_a_copy_is_carried_to_another_thread),
		TEST(test_signals_in_the_middle),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
