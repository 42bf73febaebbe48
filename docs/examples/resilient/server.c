/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server: a child process, so that it can be away. Of a hundred questions it answers
 *
 *	78	within 2 ms
 *	12	with "error"
 *	7	after 60 to 200 ms
 *	3	never: it reads the question, and that is all
 *
 * and for 250 ms of every second nobody listens, so that the kernel refuses.
 */
#include "resilient.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TURN_MS 1000
#define AWAY_MS 250

static _Atomic uint64_t chance_state;

/* SplitMix64: the same seed, the same fortune for the first, the second, the third question. */
static uint64_t chance(uint64_t below)
{
	uint64_t x = atomic_fetch_add(&chance_state, UINT64_C(0x9e3779b97f4a7c15));

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (x ^ (x >> 31)) % below;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_ms(uint64_t ms)
{
	(void)poll(NULL, 0, (int)ms);
}

/* Until the client has gone. */
static void hang(int fd)
{
	char byte;

	while (read(fd, &byte, 1) > 0)
		;
}

static void answer(int fd)
{
	uint64_t fortune = chance(100);
	char question[64];
	char text[64] = "error\n";
	ssize_t size = read(fd, question, sizeof(question) - 1);
	unsigned article;

	if (size <= 0)
		return;
	question[size] = '\0';
	if (fortune >= 97) {
		hang(fd);
		return;
	}
	pause_ms(fortune >= 90 ? 60 + chance(140) : chance(3));
	if ((fortune < 78 || fortune >= 90) && sscanf(question, "price %u", &article) == 1)
		snprintf(text, sizeof(text), "price %u\n", 100 + article % 900);
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void *serve_one(void *argument)
{
	int fd = (int)(intptr_t)argument;

	answer(fd);
	close(fd);
	return NULL;
}

/* On a port of the kernel's choice where it is 0. */
static int listen_on(uint16_t *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(*port) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 128) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
		close(fd);
		return -1;
	}
	*port = ntohs(address.sin_port);
	return fd;
}

/* Serves for so long, then nobody listens any more. */
static void serve_for(int listener, int64_t ms)
{
	struct pollfd ready = { .fd = listener, .events = POLLIN };
	int64_t until = now_ms() + ms;
	pthread_attr_t detached;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&detached, 65536);
	for (int64_t left = ms; left > 0; left = until - now_ms()) {
		pthread_t thread;
		int fd;

		if (poll(&ready, 1, (int)left) <= 0)
			continue;
		fd = accept(listener, NULL, NULL);
		if (fd >= 0 &&
		    pthread_create(&thread, &detached, serve_one, (void *)(intptr_t)fd) != 0)
			close(fd);
	}
	pthread_attr_destroy(&detached);
	close(listener);
}

static void serve(int listener, uint16_t port)
{
	for (;;) {
		serve_for(listener, TURN_MS - AWAY_MS);
		pause_ms(AWAY_MS);
		listener = listen_on(&port);
		if (listener < 0)
			_exit(1);
	}
}

pid_t server_start(uint64_t seed, uint16_t *ret_port)
{
	uint16_t port = 0;
	int listener = listen_on(&port);
	pid_t parent = getpid();
	pid_t server;

	if (listener < 0)
		return -1;
	server = fork();
	if (server == 0) {
		/* It ends with the client, however that ends. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		atomic_store(&chance_state, seed);
		if (getppid() == parent)
			serve(listener, port);
		_exit(0);
	}
	close(listener);
	*ret_port = port;
	return server;
}

void server_stop(pid_t server)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}
