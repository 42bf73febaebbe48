/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Neither C nor C++ has a dot in a name, so what follows one is the compiler's. Rust's older names
 * do have dots, and say at their end that they are Rust's: only they are cut there instead.
 */

#include "stack/identity.h"

#include <stdbool.h>
#include <string.h>

#include "base/hash.h"

#define SEED UINT64_C(0x736f6e64652d666e)
#define RUST_HASH_SIZE 20 /* 17h, 16 digits, E */

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_rust_hash(const char *at)
{
	if (memcmp(at, "17h", 3) != 0 || at[RUST_HASH_SIZE - 1] != 'E')
		return false;
	for (size_t i = 3; i < RUST_HASH_SIZE - 1; i++)
		if (!is_hex(at[i]))
			return false;
	return true;
}

/* Where Rust's hash begins, in a name that has one at its end or before a compiler's suffix. */
static size_t rust_trim(const char *name, size_t size)
{
	for (size_t i = size; i-- > 0;) {
		size_t left = size - i;

		if (left >= RUST_HASH_SIZE && is_rust_hash(name + i) &&
		    (left == RUST_HASH_SIZE || name[i + RUST_HASH_SIZE] == '.'))
			return i;
	}
	return size;
}

size_t sonde__name_trim(const char *name, size_t size)
{
	const char *end;
	size_t kept = size;

	if (size == 0)
		return 0;
	if (size > 3 && memcmp(name, "_ZN", 3) == 0) {
		kept = rust_trim(name, size);
		if (kept < size)
			return kept;
	}
	/* The first character stays: a name is never trimmed to nothing. */
	end = memchr(name + 1, '.', kept - 1);
	if (end)
		kept = (size_t)(end - name);
	end = memchr(name + 1, '@', kept - 1);
	return end ? (size_t)(end - name) : kept;
}

uint64_t sonde__name_identity(const char *name, size_t size)
{
	size_t kept = sonde__name_trim(name, size);
	uint64_t identity = kept ? sonde__hash_bytes(SEED, name, kept) : 0;

	return kept && !identity ? 1 : identity;
}
