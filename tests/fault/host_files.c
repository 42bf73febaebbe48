/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that are not ours: the host closes them all, has none left, or closed its first three
 * before it started us.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"

#define N_VICTIMS 24

/* The host's own, with the numbers that were somebody else's: pairs of sockets and files. */
static struct {
	int fd;
	int other; /* The pair's other end, far above. */
	struct stat identity;
} victims[N_VICTIMS];

static void close_above(int first)
{
	if (syscall(SYS_close_range, first, ~0U, 0) < 0)
		for (int fd = first; fd < 1024; fd++)
			close(fd);
}

/* What the driver's pipes are stays; every number from 3 on becomes a victim's. */
static void take_all_numbers(void)
{
	for (int i = 0; i < N_VICTIMS; i++) {
		int pair[2];

		require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0, "a pair");
		victims[i].other = fcntl(pair[1], F_DUPFD, 500);
		close(pair[1]);
		victims[i].fd = pair[0];
		require(fstat(pair[0], &victims[i].identity) == 0, "the pair is there");
	}
}

static void check_victims(void)
{
	for (int i = 0; i < N_VICTIMS; i++) {
		struct stat now;
		char byte;

		require(fstat(victims[i].fd, &now) == 0, "a descriptor of the host was closed");
		require(now.st_ino == victims[i].identity.st_ino, "a descriptor of the host was replaced");
		require(recv(victims[i].other, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN,
			"something was written into a descriptor of the host");
		require(send(victims[i].other, "x", 1, MSG_NOSIGNAL) == 1 && recv(victims[i].fd, &byte, 1, 0) == 1,
			"something was read from a descriptor of the host");
	}
}

/* Again and again while requests are on their way. */
static int close_all(long n)
{
	double began;

	require(host_start() == SONDE_OK, "started");
	record("first");
	host_flush(2000);
	for (long i = 0; i < n; i++) {
		record_numbered("span", i);
		(void)sonde_agent_flush(agent, i % 4 == 3 ? 400 : 3);
		close_above(3);
		take_all_numbers();
		record_numbered("after", i);
		(void)sonde_agent_flush(agent, i % 4 == 2 ? 400 : 5);
		check_victims();
	}
	began = cpu_s();
	usleep(700000);
	printf("cpu %.3f\n", cpu_s() - began);
	check_victims();
	record("last");
	host_flush(3000);
	host_stop(2000);
	check_victims();
	return 0;
}

static void limit_files(rlim_t n)
{
	struct rlimit limit;

	require(getrlimit(RLIMIT_NOFILE, &limit) == 0, "a limit");
	limit.rlim_cur = n;
	require(setrlimit(RLIMIT_NOFILE, &limit) == 0, "the limit is set");
}

/* Without one descriptor to spare, at the start; later there are some. */
static int no_files_at_start(long n)
{
	double began;

	limit_files((rlim_t)n);
	if (host_start() < 0) {
		record("no agent");
		return 0;
	}
	for (int i = 0; i < 50; i++)
		record_numbered("span", i);
	host_flush(300);
	began = cpu_s();
	usleep(500000);
	printf("cpu %.3f\n", cpu_s() - began);
	limit_files(1024);
	record("with files");
	host_flush(3000);
	host_stop(2000);
	return 0;
}

static int no_files_while_running(long n)
{
	int fds[1024];
	int n_fds = 0;
	double began;

	(void)n;
	require(host_start() == SONDE_OK, "started");
	limit_files(200);
	while (n_fds < 1024 && (fds[n_fds] = open("/dev/null", O_RDONLY)) >= 0)
		n_fds++;
	for (int i = 0; i < 50; i++)
		record_numbered("span", i);
	host_flush(300);
	began = cpu_s();
	usleep(500000);
	printf("cpu %.3f\n", cpu_s() - began);
	while (n_fds)
		close(fds[--n_fds]);
	record("with files");
	host_flush(3000);
	host_stop(2000);
	return 0;
}

/* Facts go to a descriptor far above: the host has no standard ones. */
static int no_standard_files(long n)
{
	int facts = fcntl(STDOUT_FILENO, F_DUPFD, 700);
	FILE *file;
	int status;

	(void)n;
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	{
		struct sonde_options options = SONDE_OPTIONS_INIT;

		options.service_name = "host";
		status = sonde_agent_start(&options, &agent);
	}
	for (int i = 0; i < 20; i++) {
		record_numbered("span", i);
		printf("printed by the host\n");
		fflush(stdout);
		fprintf(stderr, "complained by the host\n");
		(void)sonde_agent_flush(agent, i % 5 ? 1 : 1000);
	}
	file = fdopen(facts, "w");
	if (!file)
		return 1;
	for (int fd = 0; fd < 3; fd++) {
		char path[32];
		char target[256];
		ssize_t size;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		size = readlink(path, target, sizeof(target) - 1);
		fprintf(file, "standard %d %.*s\n", fd, size < 0 ? 0 : (int)size, target);
	}
	fprintf(file, "started %d\nstopped %d\n", status, sonde_agent_stop(agent, 2000));
	return fclose(file);
}

/* Bodies larger than the connection takes at once, and a host that dies of SIGPIPE as usual. */
static int send_much(long n)
{
	struct sigaction action;

	signal(SIGPIPE, SIG_DFL);
	require(host_start() == SONDE_OK, "started");
	for (long i = 0; i < n; i++) {
		for (long k = 0; k < 3000; k++)
			record_request(k);
		host_flush(1500);
	}
	host_stop(1000);
	require(sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL, "SIGPIPE's default");
	return 0;
}

const struct mode file_modes[] = {
	{ "close-all", close_all },
	{ "no-files-at-start", no_files_at_start },
	{ "no-files-while-running", no_files_while_running },
	{ "no-standard-files", no_standard_files },
	{ "send-much", send_much },
	{ NULL, NULL },
};
