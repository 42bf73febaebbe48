/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_UNIT_ERROR_ADAPTER_H
#define SONDE_TESTS_UNIT_ERROR_ADAPTER_H

/* What the tests of the adapters share: they look at an error as its reader does. */

#include <sonde/error.h>

/* Fails the test unless the attribute is there with this text, or number as text. */
void adapter_assert_attribute(const struct sonde_error *error, const char *key, const char *wanted);
bool adapter_has_attribute(const struct sonde_error *error, const char *key);

#define assert_type(error, type) assert_ptr_equal(sonde_error_type_of(error), &(type))

#endif
