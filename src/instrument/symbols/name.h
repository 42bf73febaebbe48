/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_INSTRUMENT_SYMBOLS_NAME_H
#define SONDE_INSTRUMENT_SYMBOLS_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* Writes what a C++ linker name means, cut to `size`; false: it is none, or far too long. */
bool sonde__name_demangle(const char *name, char *ret, size_t size);

#endif
