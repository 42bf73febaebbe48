/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A collector that only swallows: an HTTP/1.1 server on a free port of 127.0.0.1 that answers every
 * request with an empty 200. Says its port on standard output, ends when standard input ends, and
 * then says how many requests and body bytes it took.
 *
 *	bench-sink [hang]
 *
 * One that hangs takes connections and everything that is sent, and never answers.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64
#define HEAD_SIZE 8192
#define READ_SIZE (256 * 1024)
#define EVENTS 16

struct connection {
	int fd; /* -1: free. */
	bool in_body;
	uint64_t body_left;
	size_t head_used;
	char head[HEAD_SIZE + 1];
};

static struct connection connections[CONNECTIONS_MAX];
/* Their addresses mark what is no connection among the events. */
static char listener_mark;
static char input_mark;

static bool hangs;
static uint64_t n_requests;
static uint64_t n_bytes;

static void connection_close(struct connection *connection)
{
	close(connection->fd);
	connection->fd = -1;
}

static bool say(struct connection *connection, const char *text)
{
	return send(connection->fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* The value of a header; the head is terminated. */
static const char *header_find(const char *head, const char *name)
{
	size_t size = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, name, size) == 0 && line[2 + size] == ':')
			return line + 3 + size + strspn(line + 3 + size, " \t");
	return NULL;
}

static bool body_end(struct connection *connection)
{
	connection->in_body = false;
	connection->head_used = 0;
	n_requests++;
	return hangs ||
	       say(connection, "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
			       "Content-Length: 0\r\n\r\n");
}

/* The head is whole: how long is the body? */
static bool body_begin(struct connection *connection)
{
	const char *length = header_find(connection->head, "Content-Length");
	const char *expect = header_find(connection->head, "Expect");

	if (!length) {
		say(connection, "HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\n\r\n");
		return false;
	}
	if (expect && !hangs && !say(connection, "HTTP/1.1 100 Continue\r\n\r\n"))
		return false;
	connection->in_body = true;
	connection->body_left = strtoull(length, NULL, 10);
	return connection->body_left > 0 || body_end(connection);
}

/* Takes bytes of a head, up to its end; returns how many, 0 for one that is too long. */
static size_t head_take(struct connection *connection, const char *data, size_t size,
			bool *ret_whole)
{
	for (size_t i = 0; i < size; i++) {
		if (connection->head_used == HEAD_SIZE)
			return 0;
		connection->head[connection->head_used++] = data[i];
		connection->head[connection->head_used] = '\0';
		*ret_whole = connection->head_used >= 4 &&
			     memcmp(connection->head + connection->head_used - 4, "\r\n\r\n", 4) ==
				     0;
		if (*ret_whole)
			return i + 1;
	}
	return size;
}

static bool connection_feed(struct connection *connection, const char *data, size_t size)
{
	while (size > 0) {
		size_t taken;
		bool is_whole = false;

		if (connection->in_body) {
			taken = connection->body_left < size ? (size_t)connection->body_left : size;
			connection->body_left -= taken;
			n_bytes += taken;
			if (connection->body_left == 0 && !body_end(connection))
				return false;
		} else {
			taken = head_take(connection, data, size, &is_whole);
			if (taken == 0 || (is_whole && !body_begin(connection)))
				return false;
		}
		data += taken;
		size -= taken;
	}
	return true;
}

static void connection_read(struct connection *connection)
{
	static char buffer[READ_SIZE];
	ssize_t n = read(connection->fd, buffer, sizeof(buffer));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || !connection_feed(connection, buffer, (size_t)n))
		connection_close(connection);
}

static void listener_accept(int epoll, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	for (size_t i = 0; fd >= 0 && i < CONNECTIONS_MAX; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &connections[i] };

		if (connections[i].fd >= 0)
			continue;
		connections[i].fd = fd;
		connections[i].in_body = false;
		connections[i].head_used = 0;
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
		return;
	}
	if (fd >= 0)
		close(fd);
}

static int listener_open(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 16) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) != 0)
		return -1;
	printf("%u\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

static void serve(int epoll, int listener)
{
	struct epoll_event events[EVENTS];

	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			char c;

			if (events[i].data.ptr == &listener_mark)
				listener_accept(epoll, listener);
			else if (events[i].data.ptr != &input_mark)
				connection_read(events[i].data.ptr);
			else if (read(STDIN_FILENO, &c, 1) <= 0)
				return;
		}
	}
}

int main(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int listener = listener_open();

	if (epoll < 0 || listener < 0)
		return 1;
	hangs = argc > 1 && strcmp(argv[1], "hang") == 0;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		connections[i].fd = -1;
	event.data.ptr = &input_mark;
	epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
	event.data.ptr = &listener_mark;
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	serve(epoll, listener);
	printf("requests %" PRIu64 " bytes %" PRIu64 "\n", n_requests, n_bytes);
	return 0;
}
