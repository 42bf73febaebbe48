/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_ERROR_CURL_H
#define SONDE_ERROR_CURL_H

/*
 * Errors of libcurl.
 *
 *	char buffer[CURL_ERROR_SIZE] = "";	// CURLOPT_ERRORBUFFER, or none
 *
 *	code = curl_easy_perform(easy);
 *	if (code)
 *		return sonde_error_raise_curl(code, easy, buffer, "the bank does not answer");
 *
 * curl's words become the private detail; attributes are sonde.curl.code and what the handle knows
 * of the peer. The URL is not taken: it may hold passwords. Compiled by whoever includes this:
 * libsonde needs no libcurl.
 */

#include <curl/curl.h>

#include <sonde/error.h>

SONDE_BEGIN_DECLS

static inline const struct sonde_error_type *sonde_error_type_of_curl(CURLcode code)
{
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return &sonde_timeout;
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_NO_CONNECTION_AVAILABLE:
	case CURLE_AGAIN:
		return &sonde_unavailable;
	case CURLE_OUT_OF_MEMORY:
		return &sonde_out_of_memory;
	case CURLE_ABORTED_BY_CALLBACK:
		return &sonde_cancelled;
	/* Mistakes of the program, and failures of this host. */
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_FAILED_INIT:
	case CURLE_URL_MALFORMAT:
	case CURLE_NOT_BUILT_IN:
	case CURLE_WRITE_ERROR:
	case CURLE_READ_ERROR:
	case CURLE_BAD_FUNCTION_ARGUMENT:
	case CURLE_INTERFACE_FAILED:
	case CURLE_UNKNOWN_OPTION:
	case CURLE_SSL_ENGINE_NOTFOUND:
	case CURLE_SSL_ENGINE_SETFAILED:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_RECURSIVE_API_CALL:
		return &sonde_internal;
	default:
		return &sonde_external_service;
	}
}

/* A handle keeps the number of a failure for ever: it is this one's where no socket was had. */
static inline int sonde__curl_errno(CURLcode code, CURL *easy)
{
	long number = 0;

	if (easy && (code == CURLE_COULDNT_CONNECT || code == CURLE_INTERFACE_FAILED))
		curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
	return (int)number;
}

/* Where the handle was connected to. */
static inline void sonde__error_note_peer(struct sonde_error *error, CURL *easy)
{
	char *address = 0;
	long number = 0;

	if (curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address) == CURLE_OK && address &&
	    *address)
		sonde_error_set(error, sonde_str("network.peer.address", address));
	if (curl_easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &number) == CURLE_OK && number > 0)
		sonde_error_set(error, sonde_int("network.peer.port", number));
	if (curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &number) == CURLE_OK && number > 0)
		sonde_error_set(error, sonde_int("http.response.status_code", number));
}

/* The name of the host in the URL, without what else stands there. */
static inline void sonde__error_note_host(struct sonde_error *error, CURL *easy)
{
	CURLU *url = curl_url();
	char *text = 0;
	char *host = 0;

	if (url && curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &text) == CURLE_OK && text &&
	    curl_url_set(url, CURLUPART_URL, text, CURLU_DEFAULT_SCHEME) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK)
		sonde_error_set(error, sonde_str("server.address", host));
	curl_free(host);
	curl_url_cleanup(url);
}

/*
 * Adds what curl says; returns the error. `easy` and `buffer`, the one given as
 * CURLOPT_ERRORBUFFER, may be NULL. Allocates.
 */
static inline struct sonde_error *sonde_error_note_curl(struct sonde_error *error, CURLcode code,
							CURL *easy, const char *buffer)
{
	sonde_error_set_errno(error, sonde__curl_errno(code, easy));
	sonde_error_set_detail(error, "%s%s%s", curl_easy_strerror(code),
			       buffer && *buffer ? ": " : "", buffer ? buffer : "");
	sonde_error_set(error, sonde_int("sonde.curl.code", (int64_t)code));
	if (easy) {
		sonde__error_note_host(error, easy);
		sonde__error_note_peer(error, easy);
	}
	return error;
}

#define sonde_error_raise_curl(code, easy, buffer, ...) \
	(__extension__({ \
		const CURLcode sonde__code = (code); \
		sonde_error_note_curl( \
			sonde_error_raise(sonde_error_type_of_curl(sonde__code), __VA_ARGS__), \
			sonde__code, (easy), (buffer)); \
	}))

SONDE_END_DECLS

#endif
