/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What recording must not do, seen from outside: no allocation (every allocating function of libc
 * is interposed), and no system call (in a child, seccomp kills the process at any but exit).
 */

#include "fixture.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static _Atomic size_t n_allocations;

#if !SANITIZED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

static void count(void)
{
	atomic_fetch_add_explicit(&n_allocations, 1, memory_order_relaxed);
}

void *malloc(size_t size)
{
	count();
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	count();
	return __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size)
{
	count();
	return __libc_realloc(memory, size);
}

void free(void *memory)
{
	__libc_free(memory);
}
#endif

static const char *header_get(void *carrier, const char *name)
{
	(void)carrier;
	return !strcmp(name, "traceparent") ? "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" : "a=b,c=d";
}

/* Every recording call once. */
static void record_everything(struct sonde_error *error)
{
	static const int64_t integers[] = { 1, 2, 3 };
	struct sonde_context context;

	SONDE_SERVER_SPAN(server, "GET", "/orders/{id}", header_get, /* carrier= */ NULL);
	SONDE_SPAN(span, "x", .kind = SONDE_KIND_CLIENT);
	context = sonde_context_current();
	for (int i = 0; i < 200; i++) {
		sonde_span_set_int(span, "int", i);
		sonde_span_set_str(span, "str", "a value of some length");
	}
	sonde_span_set_double(span, "double", 1.5);
	sonde_span_set_bool(span, "bool", true);
	sonde_span_set(span, sonde_int_array("array", integers, 3));
	sonde_span_add_event(span, "event", SONDE_ATTRS(sonde_int("k", 1)));
	sonde_span_add_link(span, &context, SONDE_NO_ATTRS);
	sonde_span_set_name(span, "another");
	sonde_span_set_status(span, SONDE_SPAN_ERROR, "description");
	sonde_current_set(sonde_int("k", 1));
	sonde_current_add_event("event", SONDE_NO_ATTRS);
	sonde_current_set_status(SONDE_SPAN_ERROR, "description");
	sonde_message(SONDE_ERROR, "%d orders wait, %s, %5.2f", 7, "text", 1.25);
	sonde_log(SONDE_INFO, "body", SONDE_ATTRS(sonde_str("k", "v")));
	sonde_error_capture(error);
	SONDE_TIMED("timed", .slow_ms = 1000);
	{
		struct sonde_timed slow;
		static struct sonde_site site = SONDE_SITE_INIT("slow");

		sonde_timed_begin(&slow, &site, /* options= */ NULL);
		slow.opaque[1] = 1;
		sonde_timed_end(&slow);
	}
}

static void test_no_allocation(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");
	size_t before;

	(void)state;
	if (SANITIZED) {
		sonde_error_free(error);
		skip();
	}
	before = atomic_load_explicit(&n_allocations, memory_order_relaxed);
	free(malloc(1));
	assert_int_equal(atomic_load_explicit(&n_allocations, memory_order_relaxed), before + 1);
	record_everything(error);
	assert_int_equal(atomic_load_explicit(&n_allocations, memory_order_relaxed), before + 1);
	sonde_error_free(error);
	assert_true(fixture_take() > 100);
}

/* Any system call but exit kills from here on. */
static int forbid_system_calls(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int child_status(void (*function)(struct sonde_error *error), struct sonde_error *error)
{
	int status = -1;
	pid_t child = fork();

	assert_int_not_equal(child, -1);
	if (!child) {
		/* The first capture of a child may make system calls: its box, its ids. */
		record_everything(/* error= */ NULL);
		if (forbid_system_calls() < 0)
			_exit(77);
		function(error);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, /* options= */ 0), child);
	return status;
}

static void call_the_kernel(struct sonde_error *error)
{
	(void)error;
	getppid();
}

static void test_no_system_call(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");
	int status;

	(void)state;
	if (SANITIZED) {
		sonde_error_free(error);
		skip();
	}
	status = child_status(record_everything, error);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		sonde_error_free(error);
		skip();
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	/* The filter does kill. */
	status = child_status(call_the_kernel, error);
	assert_true(WIFSIGNALED(status));
	sonde_error_free(error);
}

static void test_errno_is_kept(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");

	(void)state;
	for (int value = 1; value < 5; value++) {
		errno = value;
		record_everything(error);
		assert_int_equal(errno, value);
	}
	sonde_error_free(error);
	fixture_take();
}

/* Threads record side by side, each with spans and a current context of its own. */
static void *thread_main(void *argument)
{
	size_t *bad = argument;

	for (int i = 0; i < 300; i++) {
		SONDE_SPAN(outer, "outer");
		struct sonde_context context = sonde_context_current();
		SONDE_SPAN(inner, "inner");
		sonde_span_set_int(inner, "i", i);
		sonde_message(SONDE_INFO, "round %d", i);
		*bad += memcmp(sonde_span_context(inner).trace_id, context.trace_id, 16) != 0;
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];
	size_t bad[4] = { 0 };

	(void)state;
	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], /* attr= */ NULL, thread_main, &bad[i]);
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], /* ret= */ NULL);
		assert_int_equal(bad[i], 0);
	}
	assert_int_equal(fixture_take(), 4 * 300 * 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_allocation),
		TEST(test_no_system_call),
		TEST(test_errno_is_kept),
		TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
