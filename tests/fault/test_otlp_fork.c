/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are not ours any more: in a forked child, and after the service closed every
 * descriptor it found. A small server in a thread counts what reaches it on which connection.
 */

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/otlp.h>

#include "support/otlp_batch.h"

#define CONNECTIONS_MAX 16

struct server {
	int listener;
	int stop[2];
	pthread_t thread;
	bool is_silent; /* Takes requests, answers nothing. */
	struct pollfd fds[2 + CONNECTIONS_MAX];
	nfds_t n_fds;
	atomic_int n_connections;
	atomic_int n_requests;
	atomic_int n_closed;
};

struct client {
	char endpoint[80];
	void *instance;
	struct sonde_buffer body;
};

/* ---- The server ------------------------------------------------------------------------------ */

/* Requests here are small and come whole: one read is one request. */
static void serve(struct server *server, nfds_t i)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	char data[65536];
	ssize_t n = read(server->fds[i].fd, data, sizeof(data));

	if (n <= 0) {
		close(server->fds[i].fd);
		server->fds[i].fd = -1;
		atomic_fetch_add_explicit(&server->n_closed, 1, memory_order_relaxed);
		return;
	}
	atomic_fetch_add_explicit(&server->n_requests, 1, memory_order_relaxed);
	if (!server->is_silent && write(server->fds[i].fd, answer, sizeof(answer) - 1) < 0)
		server->fds[i].events = 0;
}

static void *run_server(void *argument)
{
	struct server *server = argument;

	while (poll(server->fds, server->n_fds, -1) > 0 && !server->fds[0].revents) {
		for (nfds_t i = 2; i < server->n_fds; i++)
			if (server->fds[i].fd >= 0 && server->fds[i].revents)
				serve(server, i);
		if (server->fds[1].revents && server->n_fds < 2 + CONNECTIONS_MAX) {
			server->fds[server->n_fds++] = (struct pollfd){
				.fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC),
				.events = POLLIN
			};
			atomic_fetch_add_explicit(&server->n_connections, 1, memory_order_relaxed);
		}
	}
	for (nfds_t i = 2; i < server->n_fds; i++)
		if (server->fds[i].fd >= 0)
			close(server->fds[i].fd);
	return NULL;
}

static void server_start(struct server *server, struct client *client)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(address);

	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(server->listener, 8), 0);
	assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
	snprintf(client->endpoint, sizeof(client->endpoint), "http://127.0.0.1:%d", ntohs(address.sin_port));
	assert_int_equal(pipe(server->stop), 0);
	server->fds[0] = (struct pollfd){ .fd = server->stop[0], .events = POLLIN };
	server->fds[1] = (struct pollfd){ .fd = server->listener, .events = POLLIN };
	server->n_fds = 2;
	assert_int_equal(pthread_create(&server->thread, NULL, run_server, server), 0);
}

static void server_stop(struct server *server)
{
	close(server->stop[1]);
	pthread_join(server->thread, NULL);
	close(server->stop[0]);
	close(server->listener);
}

static int count(atomic_int *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- The client ------------------------------------------------------------------------------ */

static const char *setting(void *context, const char *name)
{
	const struct client *client = context;

	return strcmp(name, "OTEL_EXPORTER_OTLP_ENDPOINT") ? NULL : client->endpoint;
}

static void client_open(struct client *client)
{
	const struct sonde_exporter_host host = { .size = sizeof(host),
						  .context = client,
						  .setting = setting };
	struct otlp_batch made;

	assert_int_equal(sonde_otlp_exporter.open(&host, &client->instance), SONDE_OK);
	otlp_batch_spans(&made, 3);
	client->body.limit = 1 << 20;
	client->body.size = 0;
	assert_int_equal(sonde_otlp_exporter.encode(client->instance, &made.batch, &client->body),
			 SONDE_OK);
	otlp_batch_free(&made);
}

static void client_close(struct client *client, bool forked)
{
	sonde_otlp_exporter.close(client->instance, forked);
	free(client->body.data);
	client->body.data = NULL;
	client->body.capacity = 0;
}

static void client_begin(struct client *client, size_t token)
{
	const struct sonde_request request = {
		.size = sizeof(request),
		.token = (void *)token,
		.signal = SONDE_SIGNAL_SPAN,
		.n_items = 3,
		.body = { client->body.data, client->body.size },
		.timeout_ms = 20000,
	};
	struct sonde_result result;

	if (sonde_otlp_exporter.send(client->instance, &request, &result) != SONDE_OUTCOME_PENDING)
		abort();
}

static bool client_step(struct client *client, struct sonde_result *ret)
{
	struct pollfd fds[32];
	int timeout_ms = 1000;
	size_t n;

	if (sonde_otlp_exporter.progress(client->instance, ret))
		return true;
	n = sonde_otlp_exporter.poll(client->instance, fds, 32, &timeout_ms);
	(void)poll(fds, n, timeout_ms);
	return false;
}

static enum sonde_outcome client_send(struct client *client, size_t token)
{
	struct sonde_result result;

	client_begin(client, token);
	while (!client_step(client, &result))
		;
	return result.token == (void *)token ? result.outcome : SONDE_OUTCOME_PENDING;
}

static void expect_in_child(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/*
 * Closes all descriptors, and opens others until their numbers are all taken again: sockets, which
 * look to libcurl like connections that are alive.
 */
static void replace_all_descriptors(int ends[64][2])
{
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	for (int i = 0; i < 64; i++)
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends[i]) < 0)
			_exit(90);
}

/* Nothing was written to any of them, and none was closed. */
static bool are_untouched(int ends[64][2])
{
	char data[16];

	for (int i = 0; i < 64; i++)
		for (int k = 0; k < 2; k++)
			if (read(ends[i][k], data, sizeof(data)) >= 0 || errno != EAGAIN)
				return false;
	return true;
}

/* ---- The tests ------------------------------------------------------------------------------- */

/* The child closes what it inherited without a word; the parent's connection goes on. */
static void test_a_child_says_nothing_on_the_parents_connection(void **state)
{
	struct server server = { .n_fds = 0 };
	struct client client = { .instance = NULL };
	pid_t child;

	(void)state;
	server_start(&server, &client);
	client_open(&client);
	assert_int_equal(client_send(&client, 1), SONDE_OUTCOME_ACCEPTED);
	child = fork();
	if (!child) {
		client_close(&client, /* forked= */ true);
		/* An exporter of its own works at once. */
		client_open(&client);
		_exit(client_send(&client, 2) == SONDE_OUTCOME_ACCEPTED ? 0 : 1);
	}
	expect_in_child(child);
	assert_int_equal(client_send(&client, 3), SONDE_OUTCOME_ACCEPTED);
	assert_int_equal(count(&server.n_connections), 2);
	assert_int_equal(count(&server.n_requests), 3);
	client_close(&client, false);
	server_stop(&server);
}

/* With a request under way, whose answer is the parent's. */
static void test_a_child_leaves_a_request_under_way_to_the_parent(void **state)
{
	struct server server = { .n_fds = 0 };
	struct client client = { .instance = NULL };
	struct sonde_result result;
	pid_t child;

	(void)state;
	server_start(&server, &client);
	client_open(&client);
	client_begin(&client, 7);
	child = fork();
	if (!child) {
		client_close(&client, /* forked= */ true);
		_exit(0);
	}
	expect_in_child(child);
	while (!client_step(&client, &result))
		;
	assert_int_equal(result.outcome, SONDE_OUTCOME_ACCEPTED);
	assert_ptr_equal(result.token, (void *)7);
	assert_int_equal(count(&server.n_connections), 1);
	assert_int_equal(count(&server.n_requests), 1);
	client_close(&client, false);
	server_stop(&server);
}

/* A daemon closes all descriptors and opens its own: these are not ours to close. */
static void test_a_childs_own_descriptors_survive(void **state)
{
	struct server server = { .n_fds = 0 };
	struct client client = { .instance = NULL };
	pid_t child;

	(void)state;
	server_start(&server, &client);
	client_open(&client);
	assert_int_equal(client_send(&client, 1), SONDE_OUTCOME_ACCEPTED);
	child = fork();
	if (!child) {
		int ends[64][2];

		replace_all_descriptors(ends);
		client_close(&client, /* forked= */ true);
		_exit(are_untouched(ends) ? 0 : 1);
	}
	expect_in_child(child);
	client_close(&client, false);
	server_stop(&server);
}

/* In the middle of a process's life, between two requests and during one. */
static void test_closed_descriptors_are_noticed(void **state)
{
	struct server server = { .n_fds = 0 };
	struct client client = { .instance = NULL };
	pid_t child;

	(void)state;
	server_start(&server, &client);
	/* In a child, for cmocka has descriptors too; the server stays with the parent. */
	child = fork();
	if (!child) {
		int ends[64][2];

		client_open(&client);
		if (client_send(&client, 1) != SONDE_OUTCOME_ACCEPTED)
			_exit(1);
		replace_all_descriptors(ends);
		if (client_send(&client, 2) != SONDE_OUTCOME_ACCEPTED)
			_exit(2);
		client_close(&client, false);
		_exit(are_untouched(ends) ? 0 : 3);
	}
	expect_in_child(child);
	assert_int_equal(count(&server.n_requests), 2);
	server_stop(&server);
}

static void test_a_request_whose_descriptor_was_closed_is_for_another_try(void **state)
{
	struct server server = { .n_fds = 0, .is_silent = true };
	struct client client = { .instance = NULL };
	pid_t child;

	(void)state;
	server_start(&server, &client);
	child = fork();
	if (!child) {
		struct sonde_result result;
		int ends[64][2];

		client_open(&client);
		client_begin(&client, 1);
		client_begin(&client, 2);
		for (int i = 0; i < 3; i++)
			if (sonde_otlp_exporter.progress(client.instance, &result))
				_exit(1);
		replace_all_descriptors(ends);
		sonde_otlp_exporter.cancel(client.instance, (void *)1);
		if (!sonde_otlp_exporter.progress(client.instance, &result))
			_exit(2);
		if (result.outcome != SONDE_OUTCOME_RETRY || result.token != (void *)2 ||
		    !result.reason[0])
			_exit(3);
		if (sonde_otlp_exporter.progress(client.instance, &result))
			_exit(4);
		client_close(&client, false);
		_exit(are_untouched(ends) ? 0 : 5);
	}
	expect_in_child(child);
	server_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_child_says_nothing_on_the_parents_connection),
		cmocka_unit_test(test_a_child_leaves_a_request_under_way_to_the_parent),
		cmocka_unit_test(test_a_childs_own_descriptors_survive),
		cmocka_unit_test(test_closed_descriptors_are_noticed),
		cmocka_unit_test(test_a_request_whose_descriptor_was_closed_is_for_another_try),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
