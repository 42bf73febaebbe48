/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host process for the fault tests: does one thing that hosts do to libraries (fork, daemon, exit
 * in odd places, a stop with a deadline) while it records, and prints what the driver checks from
 * outside: one line "key value" per fact. What arrives is judged by the exporter's output, not by
 * this program.
 */
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sonde/sonde.h>

extern char **environ;

static struct sonde_agent *agent;

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void record(const char *name)
{
	struct sonde_span span;

	sonde_span_begin(&span, name, /* options= */ NULL);
	sonde_span_set_int(&span, "pid", getpid());
	sonde_span_end(&span);
}

static void record_numbered(const char *prefix, long i)
{
	char name[64];

	snprintf(name, sizeof(name), "%s %ld", prefix, i);
	record(name);
}

static unsigned long long sum(const uint64_t *counts, size_t n)
{
	unsigned long long total = 0;

	for (size_t i = 0; i < n; i++)
		total += counts[i];
	return total;
}

/* "account SIGNAL captured exported queued lost": the sums that must agree, per process. */
static void print_account(void)
{
	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		struct sonde_account account;

		if (sonde_agent_account(agent, 0, (enum sonde_signal)signal, &account) < 0)
			continue;
		printf("account %d %llu %llu %llu %llu\n", signal, (unsigned long long)account.captured,
		       (unsigned long long)account.exported, (unsigned long long)account.queued,
		       sum(account.lost, sizeof(account.lost) / sizeof(account.lost[0])));
	}
	fflush(stdout);
}

static void stop(unsigned deadline_ms)
{
	double started = now_s();
	int status = sonde_agent_stop(agent, deadline_ms);

	printf("stop %d %.3f\n", status, now_s() - started);
	print_account();
}

static _Atomic bool is_over;

static void *record_in_background(void *argument)
{
	_Atomic long *n = argument;

	while (!atomic_load(&is_over)) {
		record("background");
		atomic_fetch_add(n, 1);
		usleep(100);
	}
	return NULL;
}

static void wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		printf("child_failed %d\n", status);
}

/* A threaded parent forks children that record once and leave by exit. */
static int fork_many(long n)
{
	pthread_t thread;
	_Atomic long n_background = 0;

	pthread_create(&thread, NULL, record_in_background, &n_background);
	for (long i = 0; i < n; i++) {
		pid_t pid;

		record_numbered("parent", i);
		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			record_numbered("child", i);
			exit(0);
		}
		wait_for(pid);
	}
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
	printf("background %ld\n", (long)n_background);
	stop(5000);
	return 0;
}

/* A master that never records again forks workers that serve at the same time. */
static int prefork(long n_workers)
{
	record("master");
	fflush(stdout);
	for (long w = 0; w < n_workers; w++) {
		if (fork() == 0) {
			for (long i = 0; i < 200; i++) {
				record_numbered("worker", w * 1000 + i);
				usleep(500);
			}
			stop(5000);
			exit(0);
		}
	}
	for (long w = 0; w < n_workers; w++) {
		int status;

		if (wait(&status) < 0 || status != 0)
			printf("child_failed %d\n", status);
	}
	stop(5000);
	return 0;
}

/* The daemon has no output left: its account of spans goes to a file. */
static int become_daemon(const char *path)
{
	struct sonde_account account;
	FILE *file;

	record("before daemon");
	if (daemon(/* nochdir= */ 1, /* noclose= */ 0) < 0)
		return 1;
	record("after daemon");
	sonde_agent_stop(agent, 5000);
	sonde_agent_account(agent, 0, SONDE_SIGNAL_SPAN, &account);
	file = fopen(path, "w");
	if (!file)
		return 1;
	fprintf(file, "%llu %llu %llu %llu\n", (unsigned long long)account.captured,
		(unsigned long long)account.exported, (unsigned long long)account.queued,
		sum(account.lost, sizeof(account.lost) / sizeof(account.lost[0])));
	return fclose(file);
}

static int raw_fork(long n)
{
	for (long i = 0; i < n; i++) {
		pid_t pid;

		record_numbered("parent", i);
		pid = _Fork();
		if (pid == 0) {
			record_numbered("child", i);
			_exit(sonde_agent_stop(agent, 5000) == SONDE_OK ? 0 : 1);
		}
		wait_for(pid);
	}
	stop(5000);
	return 0;
}

/* A vfork child shares the memory: what it records is the parent's. */
static int share_memory(void)
{
	char name[] = "true";
	char *arguments[] = { name, NULL };
	pid_t pid;

	record("before");
	pid = vfork();
	if (pid == 0) {
		record("in vfork");
		_exit(0);
	}
	wait_for(pid);
	if (posix_spawnp(&pid, "true", NULL, NULL, arguments, environ) == 0)
		wait_for(pid);
	record("after");
	stop(5000);
	return 0;
}

/* A child that leaves by _exit loses what it recorded, in its own box alone. */
static int leave_boxes(long n)
{
	for (long i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			record_numbered("child", i);
			_exit(0);
		}
		wait_for(pid);
	}
	record("parent");
	stop(5000);
	return 0;
}

static void record_late(void)
{
	record("in atexit");
}

__attribute__((destructor)) static void record_very_late(void)
{
	record("in destructor");
}

static int leave(void)
{
	static _Atomic long n;
	pthread_t thread;

	atexit(record_late);
	pthread_create(&thread, NULL, record_in_background, &n);
	record("last");
	exit(0);
}

/* The collector does whatever the driver made it do; stop must keep its deadline. */
static int keep_deadline(unsigned deadline_ms)
{
	double started;

	for (long i = 0; i < 100; i++)
		record_numbered("span", i);
	started = now_s();
	printf("flush %d ", sonde_agent_flush(agent, deadline_ms));
	printf("%.3f\n", now_s() - started);
	stop(deadline_ms);
	return 0;
}

/*
 * Forks again and again for some seconds while deliveries are under way, then exits in the middle.
 */
static int fork_while_sending(long n)
{
	for (long i = 0; i < n; i++) {
		pid_t pid;

		for (int k = 0; k < 20; k++)
			record_numbered("parent", i * 20 + k);
		(void)sonde_agent_flush(agent, 5);
		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			record_numbered("child", i);
			exit(0);
		}
		wait_for(pid);
	}
	stop(5000);
	return 0;
}

static int run(const char *mode, long n, const char *path)
{
	if (!strcmp(mode, "fork-many"))
		return fork_many(n);
	if (!strcmp(mode, "prefork"))
		return prefork(n);
	if (!strcmp(mode, "daemon"))
		return become_daemon(path);
	if (!strcmp(mode, "raw-fork"))
		return raw_fork(n);
	if (!strcmp(mode, "share-memory"))
		return share_memory();
	if (!strcmp(mode, "leave-boxes"))
		return leave_boxes(n);
	if (!strcmp(mode, "leave"))
		return leave();
	if (!strcmp(mode, "deadline"))
		return keep_deadline((unsigned)n);
	if (!strcmp(mode, "fork-while-sending"))
		return fork_while_sending(n);
	fprintf(stderr, "no such mode: %s\n", mode);
	return 2;
}

int main(int argc, char **argv)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;

	if (argc < 2)
		return 2;
	options.service_name = "probe";
	if (sonde_agent_start(&options, &agent) < 0) {
		fprintf(stderr, "no agent\n");
		return 2;
	}
	return run(argv[1], argc > 2 ? strtol(argv[2], NULL, 10) : 0, argc > 3 ? argv[3] : "/dev/null");
}
