/* SPDX-License-Identifier: Apache-2.0 */
/* The world around the agent changes: user, root, folder, environment, mask, locale, handlers. */
#include <grp.h>
#include <locale.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

#define NOBODY 54321

static void record_and_leave(void)
{
	record("before");
	host_flush(2000);
	record("after");
	host_stop(2000);
}

/* Records before the change and a hundred requests after it. */
static void record_around(void (*change)(void))
{
	require(host_start() == SONDE_OK, "started");
	record("before");
	host_flush(2000);
	change();
	for (int i = 0; i < 100; i++)
		record_request(i);
	record("after");
	host_flush(2000);
	host_stop(2000);
}

static void become_nobody(void)
{
	require(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0, "became nobody");
}

static int set_user(long n)
{
	(void)n;
	record_around(become_nobody);
	return 0;
}

static void leave_root(void)
{
	require(chroot("/proc/self/fdinfo") == 0 && chdir("/") == 0, "changed root");
}

static int change_root(long n)
{
	(void)n;
	record_around(leave_root);
	return 0;
}

static int change_folder(long n)
{
	(void)n;
	require(host_start() == SONDE_OK, "started");
	record("before");
	require(chdir("/") == 0, "changed folder");
	host_flush(2000);
	record("after");
	host_stop(2000);
	return 0;
}

static int no_mask(long n)
{
	(void)n;
	umask(0);
	require(host_start() == SONDE_OK, "started");
	wait_for_driver("open");
	record_and_leave();
	return 0;
}

static atomic_bool is_over;

static void *change_environment(void *unused)
{
	char value[32];

	(void)unused;
	for (long i = 0; !atomic_load(&is_over); i++) {
		snprintf(value, sizeof(value), "%ld", i);
		setenv("UNRELATED", value, 1);
		if (i % 64 == 0)
			clearenv();
	}
	return NULL;
}

/* After the start, whatever the host does to its environment is nothing to us. */
static int set_environment(long n)
{
	pthread_t thread;

	require(host_start() == SONDE_OK, "started");
	pthread_create(&thread, NULL, change_environment, NULL);
	for (long i = 0; i < n; i++) {
		record_request(i);
		if (i % 100 == 0)
			(void)sonde_agent_flush(agent, 2000);
	}
	host_stop(3000);
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
	return 0;
}

static int decimal_comma(long n)
{
	SONDE_TIMED("slow", .slow_ms = 1);
	struct sonde_span span;

	(void)n;
	printf("locale %s\n", setlocale(LC_ALL, "") ? "set" : "missing");
	printf("point %.1f\n", 1.5);
	require(host_start() == SONDE_OK, "started");
	sonde_span_begin(&span, "span", /* options= */ NULL);
	sonde_span_set_double(&span, "half", 0.5);
	sonde_span_set_double(&span, "tiny", 1.5e-300);
	sonde_span_end(&span);
	{
		SONDE_TIMED("slow step", .slow_ms = 1);
		usleep(3000);
	}
	host_stop(2000);
	return 0;
}

static int children_ignored(long n)
{
	signal(SIGCHLD, SIG_IGN);
	require(host_start() == SONDE_OK, "started");
	for (long i = 0; i < n; i++) {
		fflush(stdout);
		if (fork() == 0) {
			record_numbered("child", i);
			exit(0);
		}
	}
	while (wait(NULL) >= 0)
		;
	record_and_leave();
	return 0;
}

static sigjmp_buf back;
static atomic_int n_faults;

static void on_fault(int number)
{
	(void)number;
	record("in the fault handler");
	atomic_fetch_add(&n_faults, 1);
	siglongjmp(back, 1);
}

static int *_Atomic nowhere;

/* The host mends its own faults, as language runtimes do, in the middle of spans. */
static int own_fault_handler(long n)
{
	struct sigaction action = { .sa_handler = on_fault };
	struct sigaction now;

	require(sigaction(SIGSEGV, &action, NULL) == 0, "a handler");
	require(host_start() == SONDE_OK, "started");
	for (long i = 0; i < n; i++) {
		struct sonde_span span;

		sonde_span_begin(&span, "interrupted", /* options= */ NULL);
		if (sigsetjmp(back, /* savemask= */ 1) == 0)
			*atomic_load(&nowhere) = 1;
		sonde_span_end(&span);
	}
	require(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == on_fault, "the host's handler");
	printf("faults %d\n", atomic_load(&n_faults));
	host_stop(2000);
	return 0;
}

const struct mode world_modes[] = {
	{ "set-user", set_user },
	{ "change-root", change_root },
	{ "change-folder", change_folder },
	{ "no-mask", no_mask },
	{ "set-environment", set_environment },
	{ "decimal-comma", decimal_comma },
	{ "children-ignored", children_ignored },
	{ "own-fault-handler", own_fault_handler },
	{ NULL, NULL },
};
