/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Stacks as text, behind a cache of fixed size: traces repeat, and what a name costs is a pass over
 * a symbol table.
 *
 * The cache has one owner at a time. Whoever finds it taken writes addresses and does not wait. A
 * forked child inherits a cache that its parent's thread may have been writing, marked with the
 * parent's pid; the child takes it over and empties it.
 *
 * A module may have been unloaded, and another loaded in its place, since it was cached. Its
 * build-id is looked at once for each stack; when it is no longer there the cache is emptied.
 */

#include "stack/stack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "stack/module.h"
#include "stack/symbol.h"

#define MODULES_MAX 48
#define ADDRESSES_MAX 256 /* A power of two. */
#define LINE_SIZE 320

struct cached_module {
	struct sonde__module module;
	uint64_t checked_by; /* The last stack that found it current. */
};

struct cached_address {
	uint64_t address; /* 0: empty. */
	uint32_t module;
	bool has_symbol;
	struct sonde__symbol symbol;
};

static struct {
	struct cached_module modules[MODULES_MAX];
	size_t n_modules;
	struct cached_address addresses[ADDRESSES_MAX];
	uint64_t n_stacks;
} cache;

/* The pid of the process whose thread is inside; 0: nobody. */
static _Atomic int32_t cache_owner;

static void cache_clear(void)
{
	cache.n_modules = 0;
	for (size_t i = 0; i < ADDRESSES_MAX; i++)
		cache.addresses[i].address = 0;
}

static bool cache_enter(void)
{
	int32_t self = (int32_t)getpid();
	int32_t owner = 0;

	/*
	 * A1: acquire, pairs with R1: what the last owner wrote is seen whole. Failure reads a
	 * number.
	 */
	if (atomic_compare_exchange_strong_explicit(&cache_owner, &owner, self,
						    memory_order_acquire, memory_order_relaxed))
		return true;
	if (owner == self)
		return false;
	/* The parent's thread was inside at the fork; it is not in this process. */
	if (!atomic_compare_exchange_strong_explicit(&cache_owner, &owner, self,
						     memory_order_acquire, memory_order_relaxed))
		return false;
	cache_clear();
	return true;
}

static void cache_leave(void)
{
	/* R1: release, pairs with A1. */
	atomic_store_explicit(&cache_owner, 0, memory_order_release);
}

static bool module_check(struct cached_module *cached)
{
	if (cached->checked_by != cache.n_stacks && !sonde__module_is_current(&cached->module))
		return false;
	cached->checked_by = cache.n_stacks;
	return true;
}

/* The index of the module around `address`; false: there is none. */
static bool module_get(uint64_t address, uint32_t *ret)
{
	struct cached_module *cached;

	for (size_t i = 0; i < cache.n_modules; i++) {
		cached = &cache.modules[i];
		if (address < cached->module.start || address >= cached->module.end)
			continue;
		if (!module_check(cached)) {
			cache_clear();
			break;
		}
		*ret = (uint32_t)i;
		return true;
	}
	if (cache.n_modules == MODULES_MAX)
		cache_clear();
	cached = &cache.modules[cache.n_modules];
	if (!sonde__module_find(address, &cached->module))
		return false;
	cached->checked_by = cache.n_stacks;
	*ret = (uint32_t)cache.n_modules++;
	return true;
}

static const struct cached_address *address_get(uint64_t address)
{
	struct cached_address *cached = &cache.addresses[sonde__mix64(address) % ADDRESSES_MAX];
	const struct sonde__module *module;
	uint32_t index;

	if (!module_get(address, &index))
		return NULL;
	if (cached->address == address && cached->module == index)
		return cached;
	module = &cache.modules[index].module;
	cached->address = address;
	cached->module = index;
	cached->has_symbol = sonde__symbol_find(module, address - module->bias, &cached->symbol);
	return cached;
}

static int line_write_named(char *line, size_t index, uint64_t return_address,
			    const struct cached_address *found)
{
	const struct sonde__module *module = &cache.modules[found->module].module;
	uint64_t in_file = return_address - module->bias;
	char build_id[2 * SONDE__BUILD_ID_MAX + 1] = "none";
	char function[SONDE__SYMBOL_NAME_SIZE + 20] = "";

	for (size_t i = 0; i < module->build_id_size; i++)
		snprintf(build_id + 2 * i, 3, "%02x", module->build_id[i]);
	if (found->has_symbol)
		snprintf(function, sizeof(function), "%s+0x%" PRIx64, found->symbol.name,
			 in_file - found->symbol.start);
	else
		snprintf(function, sizeof(function), "0x%" PRIx64, return_address);
	return snprintf(line, LINE_SIZE, "#%zu %s (%s, build-id %s, +0x%" PRIx64 ")\n", index,
			function, module->name, build_id, in_file);
}

size_t sonde__stack_format(const uint64_t *frames, size_t n_frames, char *buffer, size_t size)
{
	int saved_errno = errno;
	bool has_cache = cache_enter();
	size_t used = 0;

	if (size > 0)
		buffer[0] = '\0';
	if (has_cache)
		cache.n_stacks++;
	for (size_t i = 0; i < n_frames; i++) {
		/*
		 * The call is before the address it returns to, and may be the last thing in its
		 * function.
		 */
		const struct cached_address *found =
			has_cache && frames[i] ? address_get(frames[i] - 1) : NULL;
		char line[LINE_SIZE];
		int n;

		if (found)
			n = line_write_named(line, i, frames[i], found);
		else
			n = snprintf(line, sizeof(line), "#%zu 0x%" PRIx64 "\n", i, frames[i]);
		if (n < 0 || (size_t)n >= sizeof(line) || used + (size_t)n >= size)
			break;
		memcpy(buffer + used, line, (size_t)n + 1);
		used += (size_t)n;
	}
	if (has_cache)
		cache_leave();
	errno = saved_errno;
	return used;
}
