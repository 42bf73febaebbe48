/* SPDX-License-Identifier: Apache-2.0 */

/* The current context: a value per thread that attach, restore and scopes move in and out. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/context.h>

#include "context/context.h"

static struct sonde_context make_context(uint8_t seed)
{
	struct sonde_context context = SONDE_CONTEXT_INIT;

	memset(context.trace_id, seed, sizeof(context.trace_id));
	memset(context.span_id, seed + 1, sizeof(context.span_id));
	context.trace_flags = SONDE_TRACE_FLAG_SAMPLED;
	context.extension[SONDE__EXTENSION_DEADLINE] = seed;
	return context;
}

static void assert_same(const struct sonde_context *a, const struct sonde_context *b)
{
	assert_memory_equal(a, b, sizeof(*a));
}

static void assert_current(const struct sonde_context *wanted)
{
	struct sonde_context current = sonde_context_current();

	assert_same(&current, wanted);
}

static void test_attach_and_back(void **state)
{
	const struct sonde_context none = SONDE_CONTEXT_INIT;
	struct sonde_context a = make_context(1);
	struct sonde_context b = make_context(7);
	struct sonde_context before;

	(void)state;
	assert_current(&none);
	before = sonde_context_attach(&a);
	assert_same(&before, &none);
	assert_current(&a);
	before = sonde_context_attach(&b);
	assert_same(&before, &a);
	before = sonde_context_attach(/* context= */ NULL);
	assert_same(&before, &b);
	assert_current(&none);
	sonde__context_restore(/* previous= */ NULL);
	assert_current(&none);
}

static void test_scope(void **state)
{
	const struct sonde_context none = SONDE_CONTEXT_INIT;
	struct sonde_context a = make_context(1);
	struct sonde_context b = make_context(7);

	(void)state;
	{
		SONDE_CONTEXT_SCOPE(&a);
		assert_current(&a);
		{
			SONDE_CONTEXT_SCOPE(&b);
			assert_current(&b);
		}
		assert_current(&a);
	}
	assert_current(&none);
}

static void *thread_main(void *argument)
{
	struct sonde_context *ret = argument;

	ret[0] = sonde_context_current();
	sonde_context_attach(&ret[1]);
	ret[2] = sonde_context_current();
	return NULL;
}

static void test_threads_are_apart(void **state)
{
	const struct sonde_context none = SONDE_CONTEXT_INIT;
	struct sonde_context mine = make_context(1);
	struct sonde_context theirs[3] = { make_context(9), make_context(20), make_context(9) };
	pthread_t thread;

	(void)state;
	SONDE_CONTEXT_SCOPE(&mine);
	assert_int_equal(pthread_create(&thread, /* attr= */ NULL, thread_main, theirs), 0);
	pthread_join(thread, /* ret= */ NULL);
	assert_same(&theirs[0], &none);
	assert_same(&theirs[2], &theirs[1]);
	assert_current(&mine);
}

static void test_valid(void **state)
{
	struct sonde_context context = SONDE_CONTEXT_INIT;

	(void)state;
	assert_false(sonde_context_is_valid(/* context= */ NULL));
	assert_false(sonde_context_is_valid(&context));
	context.trace_id[15] = 1;
	assert_false(sonde_context_is_valid(&context));
	context.span_id[0] = 1;
	assert_true(sonde_context_is_valid(&context));
	context.trace_id[15] = 0;
	assert_false(sonde_context_is_valid(&context));
}

static void test_formats(void **state)
{
	struct sonde_context context = SONDE_CONTEXT_INIT;
	char trace[SONDE_TRACE_ID_LENGTH + 1];
	char span[SONDE_SPAN_ID_LENGTH + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(context.trace_id); i++)
		context.trace_id[i] = (uint8_t)(i * 0x11);
	memcpy(context.span_id, "\x00\x01\x9f\xf9\xab\xcd\xef\xff", sizeof(context.span_id));
	sonde_trace_id_format(&context, trace);
	sonde_span_id_format(&context, span);
	assert_string_equal(trace, "00112233445566778899aabbccddeeff");
	assert_string_equal(span, "00019ff9abcdefff");
	sonde_trace_id_format(/* context= */ NULL, trace);
	sonde_span_id_format(/* context= */ NULL, span);
	assert_string_equal(trace, "00000000000000000000000000000000");
	assert_string_equal(span, "0000000000000000");
	sonde_trace_id_format(&context, /* buffer= */ NULL);
	sonde_span_id_format(&context, /* buffer= */ NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attach_and_back), cmocka_unit_test(test_scope),
		cmocka_unit_test(test_threads_are_apart), cmocka_unit_test(test_valid),
		cmocka_unit_test(test_formats),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
