/* SPDX-License-Identifier: Apache-2.0 */
#include "checkout.h"

#include <stdio.h>

#include <curl/curl.h>
#include <pthread.h>
#include <sonde/error_curl.h>

SONDE_ERROR_TYPE(payment_declined, sonde_conflict, "PAYMENT_DECLINED", .public_message = true);
SONDE_ERROR_TYPE(payment_unreachable, sonde_external_service, "PAYMENT_UNREACHABLE");

static pthread_key_t handle_key;
static pthread_once_t handle_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
	pthread_key_create(&handle_key, curl_easy_cleanup);
}

/* A thread's own handle, which keeps its connection open from one request to the next. */
static CURL *own_handle(void)
{
	CURL *handle;

	pthread_once(&handle_once, make_key);
	handle = pthread_getspecific(handle_key);
	if (!handle) {
		handle = curl_easy_init();
		pthread_setspecific(handle_key, handle);
	}
	return handle;
}

static void set_header(void *carrier, const char *name, const char *value)
{
	struct curl_slist **headers = carrier;
	char line[1024];

	snprintf(line, sizeof(line), "%s: %s", name, value);
	*headers = curl_slist_append(*headers, line);
}

static size_t ignore(char *data, size_t size, size_t n, void *user)
{
	(void)data;
	(void)user;
	return size * n;
}

static CURLcode post(CURL *handle, const char *url, long *ret_status)
{
	struct curl_slist *headers = NULL;
	CURLcode code;

	sonde_context_inject(/* context= */ NULL, set_header, &headers);
	curl_easy_reset(handle);
	curl_easy_setopt(handle, CURLOPT_URL, url);
	curl_easy_setopt(handle, CURLOPT_POSTFIELDS, "");
	curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, ignore);
	curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, 5000L);
	curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
	code = curl_easy_perform(handle);
	curl_slist_free_all(headers);
	if (code == CURLE_OK)
		curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, ret_status);
	return code;
}

struct sonde_error *gateway_charge(uint16_t payment_port, const struct order *order)
{
	SONDE_SPAN(span, "POST /charges", .kind = SONDE_KIND_CLIENT);
	char url[128];
	long status = 0;
	CURLcode code;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/charges?order=%ld", payment_port, order->id);
	sonde_span_set_str(span, "http.request.method", "POST");
	sonde_span_set_str(span, "url.full", url);
	sonde_span_set_str(span, "server.address", "127.0.0.1");
	sonde_span_set_int(span, "server.port", payment_port);
	sonde_breadcrumb(SONDE_INFO, "payment", "charging order %ld", order->id);
	code = post(own_handle(), url, &status);
	if (code != CURLE_OK)
		return sonde_error_wrap(
			sonde_error_raise_curl(code, own_handle(), /* buffer= */ NULL,
					       "the charge was not answered"),
			&payment_unreachable, "the payment service does not answer");
	sonde_breadcrumb(SONDE_INFO, "payment", "answered with %ld", status);
	sonde_span_set_int(span, "http.response.status_code", status);
	if (status >= 400) /* Of a client's span a failure, whoever is to blame. */
		sonde_span_set_status(span, SONDE_SPAN_ERROR, /* description= */ NULL);
	if (status == 402)
		return sonde_error_raise(&payment_declined, "the card was declined");
	if (status != 200)
		return sonde_error_raise(&payment_unreachable, "the payment service answered %ld", status);
	return NULL;
}
