/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_STACK_IDENTITY_H
#define SONDE_STACK_IDENTITY_H

/* A function's name as a number that stays when the compiler does something else to it. */

#include <stddef.h>
#include <stdint.h>

/*
 * What of a linker name its source has given it: without symbol versions (foo@VERS_1), without what
 * the compiler appends to parts and copies of a function (.cold, .constprop.0, .isra.1, .part.2,
 * .lto_priv.3, .avx2.1), without Rust's hash of the crate (17h0123456789abcdefE). Returns how many
 * bytes count, from the first on; 0: none.
 */
size_t sonde__name_trim(const char *name, size_t size);

/*
 * A hash of what counts, the same in every build and on every host; 0 for no name, and only then.
 */
uint64_t sonde__name_identity(const char *name, size_t size);

#endif
