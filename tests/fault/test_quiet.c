/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What recording does not do, seen from outside the library: the kernel kills the process at any
 * system call of the recording thread but the bell's futex, and this program's own malloc counts
 * what that thread allocates.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/exporter.h>
#include <sonde/retry.h>
#include <sonde/sonde.h>

#define ROUNDS 20000

SONDE_ERROR_TYPE(declined, sonde_conflict, "DECLINED");

static _Thread_local bool is_counting;
static _Thread_local unsigned long n_allocations;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

void *malloc(size_t size)
{
	n_allocations += is_counting;
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	n_allocations += is_counting;
	return __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size)
{
	n_allocations += is_counting;
	return __libc_realloc(memory, size);
}

static _Thread_local unsigned long n_heard;

static void hear(void *user, const struct sonde_observation *observation)
{
	(void)user;
	(void)observation;
	n_heard++;
}

static struct sonde_agent *start(void)
{
	static const struct sonde_destination destination = { .exporter = &sonde_null_exporter };
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_agent *agent = NULL;

	options.destinations = &destination;
	options.n_destinations = 1;
	options.observer = hear;
	assert_int_equal(sonde_agent_start(&options, &agent), SONDE_OK);
	return agent;
}

static const struct sonde_context remote = { { 1 }, { 2 }, SONDE_TRACE_FLAG_SAMPLED,
					     true,  { 0 }, { 0 } };

static double half(void *user)
{
	(void)user;
	return 0.5;
}

/* A failed attempt goes into the span, the log, the metrics and to the service's own hook. */
static void retry_once(void)
{
	const struct sonde_retry_options options = { .name = "price list", .random = half };
	struct sonde_retry_call call;
	struct sonde_retry retry;
	uint64_t delay_ns;
	SONDE_SPAN(span, "retried");

	(void)sonde_retry_init(&retry, &options);
	sonde_retry_call_begin(&call, &retry);
	if (!sonde_retry_call_report(&call, sonde_error_raise(&sonde_timeout, "late"),
				     SONDE_RETRY_NO_WISH, &delay_ns))
		_exit(4);
	if (sonde_retry_call_report(&call, NULL, SONDE_RETRY_NO_WISH, &delay_ns) ||
	    sonde_retry_call_end(&call))
		_exit(5);
	sonde_retry_deinit(&retry);
}

/* One of everything that a request does. */
static void record_all(int i)
{
	SONDE_SPAN(span, "request", .kind = SONDE_KIND_SERVER, .parent = &remote);
	SONDE_TIMED("step", .slow_ms = 60000);
	struct sonde_error *error;

	sonde_context_set_str("request.id", "0f8fad5b-d9cb-469f-a165-70867728950e");
	sonde_context_set_int("attempt", i);
	for (int k = 0; k < 10; k++) {
		SONDE_SCOPE();
		sonde_context_set_int("more than a chunk holds", k);
		sonde_breadcrumb(SONDE_INFO, "step", "%d", k);
	}
	sonde_breadcrumb_text(SONDE_INFO, "step", "the last");
	sonde_span_set_int(span, "n", i);
	sonde_span_set_str(span, "text", "some text of a usual length");
	sonde_span_set_double(span, "ratio", 0.5);
	sonde_span_set_bool(span, "flag", true);
	for (int k = 0; k < 20; k++)
		sonde_span_set_str(span, "more than fits into the span itself", "and so goes out as a part at once");
	sonde_span_add_event(span, "event", SONDE_ATTRS(sonde_int("i", i), sonde_str("s", "t")));
	sonde_span_add_link(span, &remote, SONDE_NO_ATTRS);
	sonde_span_set_status(span, SONDE_SPAN_ERROR, "because");
	sonde_current_set(sonde_int("current", i));
	sonde_message(SONDE_INFO, "message %d", i);
	sonde_log(SONDE_INFO, "log", SONDE_ATTRS(sonde_int("i", i)));
	error = sonde_error_wrap(sonde_error_raise(&sonde_timeout, "after %d ms", i), &declined, "card %d", i);
	sonde_error_capture(error);
	sonde_error_free(error);
	retry_once();
}

static void test_recording_allocates_nothing(void **state)
{
	struct sonde_agent *agent = start();

	(void)state;
	record_all(-1);
	is_counting = true;
	for (int i = 0; i < ROUNDS; i++)
		record_all(i);
	is_counting = false;
	assert_int_equal(n_allocations, 0);
	assert_int_equal(n_heard, 2 * (ROUNDS + 1));
	sonde_agent_stop(agent, 5000);
}

/* The compiler may not know that nobody looks at it, or it would leave the allocation out. */
static void *_Atomic seen;

static void *allocate(void *argument)
{
	is_counting = true;
	seen = malloc(16);
	is_counting = false;
	free(seen);
	*(unsigned long *)argument = n_allocations;
	return NULL;
}

static void test_the_counter_counts(void **state)
{
	unsigned long n = 0;
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, allocate, &n);
	pthread_join(thread, NULL);
	assert_int_equal(n, 1);
}

/* From here on the calling thread may call futex and exit, or the process dies. */
static void forbid_system_calls(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		_exit(3);
}

static void *record_without_system_calls(void *argument)
{
	bool *is_done = argument;

	forbid_system_calls();
	for (int i = 0; i < ROUNDS; i++)
		record_all(i);
	__atomic_store_n(is_done, true, __ATOMIC_RELEASE);
	syscall(SYS_exit, 0);
	return NULL;
}

static void *call_the_system(void *argument)
{
	(void)argument;
	forbid_system_calls();
	syscall(SYS_getppid);
	return NULL;
}

/* Runs the thread in a process of its own; returns that process's wait status. */
static int run_apart(void *(*body)(void *), bool with_agent)
{
	static bool is_done;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		pthread_t thread;

		struct sonde_agent *agent = with_agent ? start() : NULL;

		pthread_create(&thread, NULL, body, &is_done);
		while (!__atomic_load_n(&is_done, __ATOMIC_ACQUIRE))
			usleep(1000);
		sonde_agent_stop(agent, 5000);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_recording_makes_no_system_call(void **state)
{
	(void)state;
	assert_int_equal(run_apart(record_without_system_calls, /* with_agent= */ true), 0);
}

static void test_the_kernel_would_kill(void **state)
{
	int status = run_apart(call_the_system, /* with_agent= */ false);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_counter_counts),
		cmocka_unit_test(test_recording_allocates_nothing),
		cmocka_unit_test(test_the_kernel_would_kill),
		cmocka_unit_test(test_recording_makes_no_system_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
