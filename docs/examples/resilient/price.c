/* SPDX-License-Identifier: Apache-2.0 */
/* One question to the server over a connection of its own, and what is known without asking. */
#include "resilient.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sonde/deadline.h>

SONDE_ERROR_TYPE(price_unreachable, sonde_external_service, "PRICE_UNREACHABLE");
SONDE_ERROR_TYPE(price_failed, sonde_external_service, "PRICE_FAILED");
/* The article is not there: the server is well, and asking again will not help. */
SONDE_ERROR_TYPE(price_nonsense, sonde_internal, "PRICE_NONSENSE");

#define ARTICLES 1024

static _Atomic uint64_t remembered[ARTICLES]; /* 0: never heard of. */

static void close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* False: the deadline came first. */
static bool wait_readable(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	while (poll(&ready, 1, sonde_deadline_poll_ms(/* clock= */ NULL)) <= 0) {
		if (sonde_deadline_is_over(/* clock= */ NULL))
			return false;
	}
	return true;
}

/* On this machine it is connected at once, or refused. */
static int connect_to(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static struct sonde_error *read_answer(int fd, struct price_request *request)
{
	char text[64];
	ssize_t size = recv(fd, text, sizeof(text) - 1, 0);
	unsigned long long price;

	if (size <= 0)
		return sonde_error_raise(&price_unreachable, "the server hung up");
	text[size] = '\0';
	if (strcmp(text, "error\n") == 0)
		return sonde_error_raise(&price_failed, "the server says: error");
	if (sscanf(text, "price %llu", &price) != 1)
		return sonde_error_raise(&price_nonsense, "the server says nonsense");
	request->price = price;
	return NULL;
}

struct sonde_error *price_ask(void *argument)
{
	struct price_request *request = argument;
	int fd SONDE_CLEANUP(close_fd) = connect_to(request->port);
	char question[32];

	if (fd < 0)
		return sonde_error_raise(&price_unreachable, "not connected: %m");
	snprintf(question, sizeof(question), "price %u\n", request->article);
	if (send(fd, question, strlen(question), MSG_NOSIGNAL) < 0)
		return sonde_error_raise(&price_unreachable, "not sent: %m");
	if (!wait_readable(fd))
		return sonde_error_raise(&sonde_timeout, "no answer in time");
	return read_answer(fd, request);
}

void price_remember(const struct price_request *request)
{
	atomic_store(&remembered[request->article % ARTICLES], request->price);
}

bool price_recall(struct price_request *request)
{
	request->price = atomic_load(&remembered[request->article % ARTICLES]);
	return request->price != 0;
}
