/* SPDX-License-Identifier: Apache-2.0 */

/* OpenSSL's own queue, filled by real failures. */

#include "support.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <sonde/error_openssl.h>

#include "adapter.h"

static void test_an_empty_queue(void **state)
{
	struct sonde_error *error;

	(void)state;
	ERR_clear_error();
	assert_null(sonde_error_take_openssl());
	error = sonde_error_raise_openssl("nothing %s", "said");
	assert_type(error, sonde_internal);
	assert_string_equal(sonde_error_message(error), "nothing said");
	assert_null(sonde_error_cause(error));
	sonde_error_free(error);
}

static void test_a_file_that_is_not_there(void **state)
{
	const struct sonde_error *root;
	struct sonde_error *error;

	(void)state;
	assert_null(BIO_new_file("/nowhere/key.pem", "r"));
	error = sonde_error_raise_openssl("the key cannot be read");
	assert_int_equal(ERR_peek_error(), 0);
	assert_type(error, sonde_not_found);
	assert_string_equal(sonde_error_message(error), "the key cannot be read");
	assert_string_equal(sonde_error_function(error), __func__);
	root = sonde__error_root(error);
	assert_type(root, sonde_not_found);
	assert_string_equal(sonde_error_errno_name(root), "ENOENT");
	assert_non_null(strstr(sonde_error_detail(root), "/nowhere/key.pem"));
	assert_non_null(strstr(sonde_error_file(root), "bss_file.c"));
	assert_non_null(sonde_error_find(error, &sonde_not_found));
	assert_int_equal(sonde__error_chain_length(error), 3);
	sonde_error_free(error);
}

static void test_a_key_that_is_none(void **state)
{
	BIO *text = BIO_new_mem_buf("no key at all", -1);
	struct sonde_error *error;

	(void)state;
	assert_null(PEM_read_bio_PrivateKey(text, NULL, NULL, NULL));
	error = sonde_error_raise_openssl("the key is broken");
	assert_type(error, sonde_internal);
	assert_true(sonde__error_chain_length(error) > 1);
	adapter_assert_attribute(sonde__error_root(error), "sonde.openssl.code", "1E08010C");
	adapter_assert_attribute(sonde__error_root(error), "sonde.openssl.library", "DECODER routines");
	assert_string_equal(sonde_error_message(sonde__error_root(error)), "unsupported");
	sonde_error_free(error);
	BIO_free(text);
}

/* A client that speaks TLS to one that does not. */
static void test_a_handshake(void **state)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(context);
	BIO *input = BIO_new(BIO_s_mem());
	struct sonde_error *error;

	(void)state;
	BIO_puts(input, "HTTP/1.1 400 Bad Request\r\n\r\n");
	SSL_set_bio(ssl, input, BIO_new(BIO_s_mem()));
	assert_int_not_equal(SSL_connect(ssl), 1);
	error = sonde_error_raise_openssl("no secure connection");
	assert_type(error, sonde_external_service);
	adapter_assert_attribute(sonde__error_root(error), "sonde.openssl.library", "SSL routines");
	assert_string_equal(sonde_error_message(sonde__error_root(error)), "wrong version number");
	sonde_error_free(error);
	SSL_free(ssl);
	SSL_CTX_free(context);
}

/* A queue that is full, with data of any bytes, and more than an error can hold. */
static void test_a_full_queue(void **state)
{
	char data[3000];
	struct sonde_error *error;

	(void)state;
	memset(data, '\xff', sizeof(data));
	data[sizeof(data) - 1] = '\0';
	for (int i = 0; i < 100; i++) {
		ERR_new();
		ERR_set_error(ERR_LIB_USER, i + 1, "%s", data);
	}
	error = sonde_error_raise_openssl("full");
	assert_int_equal(ERR_peek_error(), 0);
	assert_in_range(sonde__error_chain_length(error), 2, 17);
	assert_string_equal(sonde_error_message(sonde_error_cause(error)), "unknown");
	sonde_error_free(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_empty_queue),
		cmocka_unit_test(test_a_file_that_is_not_there),
		cmocka_unit_test(test_a_key_that_is_none),
		cmocka_unit_test(test_a_handshake),
		cmocka_unit_test(test_a_full_queue),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
