/* SPDX-License-Identifier: Apache-2.0 */

/* Errors of a real libcurl: nobody there, silence, nonsense, an abort, mistakes of the program. */

#include "support.h"

#include <poll.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <sonde/error_curl.h>

#include "adapter.h"

static CURL *easy;
static char buffer[CURL_ERROR_SIZE];
static int listener;
static char url[64];
static char port[8];

static int setup(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);

	(void)state;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (void *)&address, sizeof(address)) ||
	    getsockname(listener, (void *)&address, &size))
		return -1;
	snprintf(port, sizeof(port), "%u", ntohs(address.sin_port));
	snprintf(url, sizeof(url), "http://user:hunter2@127.0.0.1:%s/secret?key=hunter2", port);
	buffer[0] = '\0';
	easy = curl_easy_init();
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, buffer);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 20000L);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	curl_easy_cleanup(easy);
	close(listener);
	return 0;
}

static struct sonde_error *perform(void)
{
	CURLcode code = curl_easy_perform(easy);

	return code ? sonde_error_raise_curl(code, easy, buffer, "the bank says %s", "no") : NULL;
}

static void check(struct sonde_error *error, const struct sonde_error_type *type, CURLcode code)
{
	char text[2000];
	char number[8];

	assert_non_null(error);
	assert_ptr_equal(sonde_error_type_of(error), type);
	assert_string_equal(sonde_error_message(error), "the bank says no");
	assert_string_equal(sonde_error_function(error), "perform");
	snprintf(number, sizeof(number), "%d", (int)code);
	adapter_assert_attribute(error, "sonde.curl.code", number);
	assert_memory_equal(sonde_error_detail(error), curl_easy_strerror(code),
			    strlen(curl_easy_strerror(code)));
	sonde_error_format_chain(error, text, sizeof(text));
	assert_null(strstr(text, "hunter2"));
	sonde_error_free(error);
}

static void test_nobody_listens(void **state)
{
	struct sonde_error *error = perform();

	(void)state;
	assert_string_equal(sonde_error_errno_name(error), "ECONNREFUSED");
	assert_true(sonde_error_is_retryable(error));
	assert_non_null(strstr(sonde_error_detail(error), ": Failed to connect to 127.0.0.1"));
	adapter_assert_attribute(error, "server.address", "127.0.0.1");
	check(error, &sonde_unavailable, CURLE_COULDNT_CONNECT);
}

static void test_silence(void **state)
{
	struct sonde_error *error;

	(void)state;
	assert_int_equal(listen(listener, 5), 0);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 50L);
	error = perform();
	adapter_assert_attribute(error, "network.peer.address", "127.0.0.1");
	adapter_assert_attribute(error, "network.peer.port", port);
	check(error, &sonde_timeout, CURLE_OPERATION_TIMEDOUT);
}

/* A server of one answer in a child. */
static pid_t answer(const char *text)
{
	pid_t child;

	assert_int_equal(listen(listener, 5), 0);
	child = fork();
	if (child == 0) {
		int client = accept(listener, NULL, NULL);
		char request[1024];

		_exit(read(client, request, sizeof(request)) > 0 &&
				      write(client, text, strlen(text)) == (ssize_t)strlen(text)
			      ? 0
			      : 1);
	}
	return child;
}

static void end(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_answers(void **state)
{
	struct sonde_error *error;
	pid_t child = answer("");

	(void)state;
	check(perform(), &sonde_external_service, CURLE_GOT_NOTHING);
	end(child);
	child = answer("HTTP/1.1 500 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
	error = perform();
	adapter_assert_attribute(error, "http.response.status_code", "500");
	check(error, &sonde_external_service, CURLE_HTTP_RETURNED_ERROR);
	end(child);
}

/* A handle that is used again still has the number of its last failure to connect. */
static void test_another_failure_of_a_handle(void **state)
{
	struct sonde_error *error = perform();
	pid_t child;

	(void)state;
	assert_int_equal(sonde_error_errno(error), ECONNREFUSED);
	sonde_error_free(error);
	child = answer("HTTP/1.1 500 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
	error = perform();
	assert_int_equal(sonde_error_errno(error), 0);
	check(error, &sonde_external_service, CURLE_HTTP_RETURNED_ERROR);
	end(child);
	curl_easy_setopt(easy, CURLOPT_URL, "nonsense://x");
	error = perform();
	assert_int_equal(sonde_error_errno(error), 0);
	check(error, &sonde_internal, CURLE_UNSUPPORTED_PROTOCOL);
}

static int abort_it(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	(void)user, (void)a, (void)b, (void)c, (void)d;
	return 1;
}

static void test_abort(void **state)
{
	(void)state;
	assert_int_equal(listen(listener, 5), 0);
	curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, abort_it);
	curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	check(perform(), &sonde_cancelled, CURLE_ABORTED_BY_CALLBACK);
}

static void test_mistakes(void **state)
{
	struct sonde_error *error;

	(void)state;
	curl_easy_setopt(easy, CURLOPT_URL, "http://[/");
	check(perform(), &sonde_internal, CURLE_URL_MALFORMAT);
	curl_easy_setopt(easy, CURLOPT_URL, "hunter3://x");
	check(perform(), &sonde_internal, CURLE_UNSUPPORTED_PROTOCOL);
	error = sonde_error_raise_curl(CURLE_OUT_OF_MEMORY, NULL, NULL, "no handle");
	assert_type(error, sonde_out_of_memory);
	assert_string_equal(sonde_error_detail(error), "Out of memory");
	sonde_error_free(error);
	error = sonde_error_raise_curl((CURLcode)4711, NULL, NULL, "no such code");
	assert_type(error, sonde_external_service);
	sonde_error_free(error);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nobody_listens),
		TEST(test_silence),
		TEST(test_answers),
		TEST(test_another_failure_of_a_handle),
		TEST(test_abort),
		TEST(test_mistakes),
	};

	curl_global_init(CURL_GLOBAL_DEFAULT);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	curl_global_cleanup();
	return failed;
}
