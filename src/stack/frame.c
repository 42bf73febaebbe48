/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Addresses as frames, behind a cache of fixed size: stacks repeat, and what a name costs is a pass
 * over a symbol table.
 *
 * The cache has one owner at a time. Whoever finds it taken gets addresses and does not wait. A
 * forked child inherits a cache that its parent's thread may have been writing, marked with the
 * parent's pid; the child takes it over and empties it.
 *
 * A module may have been unloaded, and another loaded in its place, since it was cached. Its
 * build-id is looked at once for each stack; when it is no longer there the cache is emptied.
 */

#include "stack/frame.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/random.h"
#include "stack/identity.h"
#include "stack/names.h"
#include "stack/options.h"

#define MODULES_MAX 48
#define ADDRESSES_MAX 256 /* A power of two. */
#define OPTION_SIZE 1024
#define REST_NS (UINT64_C(60) * 1000 * 1000 * 1000)

struct cached_module {
	struct sonde__module module;
	uint64_t checked_by; /* The last stack that found it current. */
	bool is_in_app;
};

struct cached_address {
	uint64_t address; /* 0: empty. */
	uint32_t module;
	bool has_symbol;
	struct sonde__symbol symbol;
	struct sonde__names names;
};

static struct {
	struct cached_module modules[MODULES_MAX];
	size_t n_modules;
	struct cached_address addresses[ADDRESSES_MAX];
	uint64_t n_stacks;
	uint64_t generation;
	/* Since when there were no more stacks, and whether what they needed was freed. */
	struct {
		uint64_t n_stacks;
		uint64_t since_ns;
		bool is_over;
	} rest;
} cache;

/* Changed by the thread that is inside. */
static char in_app[OPTION_SIZE];
static char debug_path[OPTION_SIZE] = SONDE__DEBUG_PATH;
static struct sonde__stack_options options = {
	.in_app = in_app,
	.debug_path = debug_path,
	.memory_limit_bytes = SONDE__SYMBOLS_MEMORY,
	.source_lines = SONDE__SOURCE_LINES,
};

/* The pid of the process whose thread is inside; 0: nobody. */
static _Atomic int32_t cache_owner;

static void cache_clear(void)
{
	cache.generation++;
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
	sonde__names_abandon();
	return true;
}

static void cache_leave(void)
{
	/* R1: release, pairs with A1. */
	atomic_store_explicit(&cache_owner, 0, memory_order_release);
}

static bool text_begins(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* The program, and the libraries that are not the system's. */
static bool module_is_in_app(const struct sonde__module *module)
{
	static const char *const system[] = { "/lib/", "/lib32/", "/lib64/", "/libx32/",
					      "/usr/lib/", "/usr/lib32/", "/usr/lib64/",
					      "/usr/libx32/" };

	enum sonde__ownership said = sonde__ownership_find(in_app, module->path, module->name);

	if (said != SONDE__OWNED_UNSAID)
		return said == SONDE__OWNED_BY_APP;
	if (!strchr(module->path, '/') || text_begins(module->name, "libsonde"))
		return false; /* The kernel's vdso has no path. */
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(system); i++)
		if (text_begins(module->path, system[i]))
			return false;
	return true;
}

/*
 * In static programs, what calls main and threads' functions is in the program itself, and so is
 * sonde.
 */
static bool function_is_in_app(const char *name)
{
	static const char *const start[] = { "_start", "__libc_start_main", "__libc_start_call_main",
					     "__libc_start_main_impl", "start_thread", "clone",
					     "clone3", "__clone", "__clone3" };

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(start); i++)
		if (strcmp(name, start[i]) == 0)
			return false;
	return !text_begins(name, "sonde_");
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
	cached->is_in_app = module_is_in_app(&cached->module);
	*ret = (uint32_t)cache.n_modules++;
	return true;
}

static bool is_kept(const struct cached_address *cached)
{
	return cached->names.n == 0 || sonde__names_have_source(&cached->names);
}

static const struct cached_address *address_get(uint64_t address)
{
	struct cached_address *cached = &cache.addresses[sonde__mix64(address) % ADDRESSES_MAX];
	const struct sonde__module *module;
	uint64_t in_file;
	uint32_t index;

	if (!module_get(address, &index))
		return NULL;
	if (cached->address == address && cached->module == index && is_kept(cached))
		return cached;
	module = &cache.modules[index].module;
	in_file = address - module->bias;
	cached->address = address;
	cached->module = index;
	cached->has_symbol = sonde__symbol_find(module, in_file, &cached->symbol);
	cached->names = sonde__names_ask(&options, module, in_file, cache.modules[index].is_in_app);
	return cached;
}

/* What the address and its module say, whatever is inlined there. */
static void frame_fill(struct sonde__frame *frame, const struct cached_address *found)
{
	const struct cached_module *cached = &cache.modules[found->module];
	const struct sonde__module *module = &cached->module;

	frame->offset = frame->address - module->bias;
	frame->build_id_size = (uint8_t)module->build_id_size;
	memcpy(frame->build_id, module->build_id, sizeof(frame->build_id));
	memcpy(frame->module, module->name, sizeof(frame->module));
	frame->is_in_app = cached->is_in_app;
	if (!found->has_symbol)
		return;
	frame->function_start = found->symbol.start;
	frame->identity = found->symbol.identity;
	memcpy(frame->function, found->symbol.name, sizeof(found->symbol.name));
	frame->is_in_app = cached->is_in_app && function_is_in_app(frame->function);
}

/* What a symbol provider says about one of the functions there. */
static void frame_refine(struct sonde__frame *frame, const struct sonde__name *name)
{
	frame->line = name->line;
	frame->column = name->column;
	frame->is_inlined = name->is_inlined;
	memcpy(frame->file, name->file, sizeof(frame->file));
	frame->source = name->source;
	if (name->function[0])
		memcpy(frame->function, name->function, sizeof(frame->function));
}

/* Writes the frames of one address; returns how many there was room for. */
static size_t frames_make(uint64_t address, const struct cached_address *found,
			  struct sonde__frame *ret, size_t capacity)
{
	const struct sonde__names *names = found ? &found->names : NULL;
	size_t n = names && names->n ? names->n : 1;

	for (size_t i = 0; i < n && i < capacity; i++) {
		ret[i] = (struct sonde__frame){ .address = address };
		if (!found)
			break;
		frame_fill(&ret[i], found);
		if (!names->n)
			break;
		/* A stripped file names no function, its debug file does. */
		if (!ret[i].identity)
			ret[i].identity = sonde__name_at(names, n - 1)->identity;
		frame_refine(&ret[i], sonde__name_at(names, i));
	}
	return n < capacity ? n : capacity;
}

size_t sonde__stack_resolve(const uint64_t *frames, size_t n_frames, struct sonde__frame *ret,
			    size_t capacity)
{
	int saved_errno = errno;
	bool has_cache = cache_enter();
	size_t n = 0;

	if (has_cache)
		cache.n_stacks++;
	for (size_t i = 0; i < n_frames && n < capacity; i++) {
		/*
		 * The call is before the address it returns to, and may be the last thing in its
		 * function.
		 */
		const struct cached_address *found =
			has_cache && frames[i] ? address_get(frames[i] - 1) : NULL;

		n += frames_make(frames[i], found, ret + n, capacity - n);
	}
	if (has_cache)
		cache_leave();
	errno = saved_errno;
	return n;
}

bool sonde__stack_source(const struct sonde__source *source, char ret[SONDE__SOURCE_SIZE])
{
	bool is_read;

	if (!source->size || !cache_enter())
		return false;
	is_read = sonde__source_read(source, ret);
	cache_leave();
	return is_read;
}

uint64_t sonde__stack_generation(void)
{
	int saved_errno = errno;
	uint64_t generation;

	if (!cache_enter())
		return 0;
	for (size_t i = 0; i < cache.n_modules; i++) {
		if (sonde__module_is_current(&cache.modules[i].module))
			continue;
		cache_clear();
		break;
	}
	generation = cache.generation + 1;
	cache_leave();
	errno = saved_errno;
	return generation;
}

static void option_copy(char ret[OPTION_SIZE], const char *text)
{
	snprintf(ret, OPTION_SIZE, "%s", text);
}

bool sonde__stack_configure(const struct sonde__stack_options *wanted)
{
	if (!cache_enter())
		return false;
	cache_clear();
	option_copy(in_app, wanted->in_app ? wanted->in_app : "");
	option_copy(debug_path, wanted->debug_path ? wanted->debug_path : SONDE__DEBUG_PATH);
	options.memory_limit_bytes = wanted->memory_limit_bytes ? wanted->memory_limit_bytes
								: SONDE__SYMBOLS_MEMORY;
	options.has_no_symbols = wanted->has_no_symbols;
	options.has_no_source = wanted->has_no_source;
	options.source_lines = wanted->source_lines ? wanted->source_lines : SONDE__SOURCE_LINES;
	if (options.source_lines > SONDE__SOURCE_LINES_MAX)
		options.source_lines = SONDE__SOURCE_LINES_MAX;
	cache_leave();
	return true;
}

void sonde__stack_rest(uint64_t now_ns)
{
	if (!cache_enter())
		return;
	if (now_ns == UINT64_MAX) {
		sonde__names_clear();
	} else if (cache.rest.n_stacks != cache.n_stacks) {
		cache.rest.n_stacks = cache.n_stacks;
		cache.rest.since_ns = now_ns;
		cache.rest.is_over = false;
	} else if (!cache.rest.is_over && now_ns - cache.rest.since_ns >= REST_NS) {
		sonde__names_clear();
		cache.rest.is_over = true;
	}
	cache_leave();
}
