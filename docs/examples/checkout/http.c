/* SPDX-License-Identifier: Apache-2.0 */
#include "checkout.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 8

struct http_server {
	struct MHD_Daemon *daemon;
	const struct route *routes; /* Ends with a route without a method. */
	void *service;
};

static const char *get_header(void *carrier, const char *name)
{
	return MHD_lookup_connection_value(carrier, MHD_HEADER_KIND, name);
}

static const struct route *find(const struct route *routes, const char *method, const char *path)
{
	for (const struct route *route = routes; route->method; route++) {
		if (!strcmp(route->method, method) && !strcmp(route->path, path))
			return route;
	}
	return NULL;
}

/*
 * The span covers the handler; everything that it records below becomes part of the caller's trace.
 * What fails there bears the request's id, and what this thread did for the request.
 */
static void serve(const struct route *route, struct request *request)
{
	const char *request_id = get_header(request->connection, "X-Request-Id");
	SONDE_SERVER_SPAN(span, request->method, request->route, get_header, request->connection);

	sonde_breadcrumbs_clear();
	if (request_id)
		sonde_context_set_str("request.id", request_id);
	sonde_span_set_str(span, "url.path", request->route);
	sonde_span_set_str(span, "url.scheme", "http");
	route->handle(request);
}

static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *data_size, void **state)
{
	static int started;
	const struct http_server *server = cls;
	const struct route *route = find(server->routes, method, url);
	struct request request = { connection, method, url, server->service };

	(void)version;
	(void)data;
	if (!*state) { /* The headers alone: the body and the end are still to come. */
		*state = &started;
		return MHD_YES;
	}
	if (*data_size) {
		*data_size = 0;
		return MHD_YES;
	}
	if (route)
		serve(route, &request);
	else
		http_reply(&request, MHD_HTTP_NOT_FOUND, "{\"status\":404}\n");
	return MHD_YES;
}

struct http_server *http_start(uint16_t port, const struct route *routes, void *service)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct http_server *server = calloc(1, sizeof(*server));

	if (!server)
		return NULL;
	server->routes = routes;
	server->service = service;
	server->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL, port,
					  NULL, NULL, answer, server, MHD_OPTION_SOCK_ADDR,
					  &address, MHD_OPTION_THREAD_POOL_SIZE, THREADS,
					  MHD_OPTION_END);
	if (!server->daemon) {
		free(server);
		return NULL;
	}
	return server;
}

uint16_t http_port(const struct http_server *server)
{
	return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void http_stop(struct http_server *server)
{
	MHD_stop_daemon(server->daemon);
	free(server);
}

long http_number(const struct request *request, const char *name)
{
	const char *text = MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND,
						       name);
	char *end;
	long number = text ? strtol(text, &end, 10) : -1;

	return text && *text && !*end ? number : -1;
}

/* `retry_after` in seconds; less than 0: none. */
static void reply(struct request *request, unsigned status, const char *type, const char *body,
		  int64_t retry_after)
{
	char seconds[24];
	struct MHD_Response *response = MHD_create_response_from_buffer(
		strlen(body), (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);

	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (retry_after >= 0) {
		(void)snprintf(seconds, sizeof(seconds), "%" PRId64, retry_after);
		MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
	}
	MHD_queue_response(request->connection, status, response);
	MHD_destroy_response(response);
}

void http_reply(struct request *request, unsigned status, const char *body)
{
	sonde_current_set(sonde_int("http.response.status_code", status));
	reply(request, status, "application/json", body, /* retry_after= */ -1);
}

void http_reply_error(struct request *request, struct sonde_error *error)
{
	char body[SONDE_PROBLEM_SIZE];
	int status = sonde_problem_answer(error, body, sizeof(body), /* options= */ NULL);

	reply(request, (unsigned)status, SONDE_PROBLEM_CONTENT_TYPE, body,
	      sonde_problem_retry_after(error));
}
