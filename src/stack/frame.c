/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Addresses as frames, behind a cache of fixed size: stacks repeat, and what a name costs is a pass
 * over a symbol table.
 *
 * The cache has one owner at a time (owner.h). Whoever finds it taken gets addresses and does not
 * wait. A forked child that inherits a cache which was being written empties it.
 *
 * Asking a symbol provider may take long, so a thread of its own may do that (namer.h): without the
 * cache, which it enters to learn what to ask, and to put down what it heard.
 *
 * A module may have been unloaded, and another loaded in its place, since it was cached. Its
 * build-id is looked at once for each stack; when it is no longer there the cache is emptied.
 */

#include "stack/frame.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/random.h"
#include "stack/identity.h"
#include "stack/names.h"
#include "stack/options.h"
#include "stack/owner.h"

#define MODULES_MAX 48
#define SETS 64
#define WAYS 4
#define OPTION_SIZE 1024
#define PATIENCE 1000
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
	bool is_asked; /* A symbol provider was, or there is none. */
	struct sonde__symbol symbol;
	struct sonde__names names;
};

static struct {
	struct cached_module modules[MODULES_MAX];
	size_t n_modules;
	struct cached_address addresses[SETS][WAYS]; /* The newest of a set first. */
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

static struct sonde__owner cache_owner;

/* The pid of the process in which another thread asks (stack/namer.h); 0: whoever resolves does. */
static _Atomic int32_t asks_apart;

static void cache_clear(void)
{
	cache.generation++;
	cache.n_modules = 0;
	for (size_t i = 0; i < SETS; i++)
		for (size_t k = 0; k < WAYS; k++)
			cache.addresses[i][k].address = 0;
}

static bool cache_enter(void)
{
	enum sonde__entered entered = sonde__owner_enter(&cache_owner);

	if (entered == SONDE__ENTERED_TORN) {
		cache_clear();
		sonde__names_forget();
	}
	return entered != SONDE__ENTERED_NOT;
}

static bool asks_apart_here(void)
{
	/* Relaxed: a number, and nothing else is published with it. */
	return atomic_load_explicit(&asks_apart, memory_order_relaxed) == (int32_t)getpid();
}

/* The thread that learns is inside for moments, and not when it asks. */
static bool cache_enter_patiently(void)
{
	bool has_entered = cache_enter();

	for (int i = 0; !has_entered && i < PATIENCE && asks_apart_here(); i++) {
		(void)sched_yield();
		has_entered = cache_enter();
	}
	return has_entered;
}

static void cache_leave(void)
{
	sonde__owner_leave(&cache_owner);
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
	cached->is_in_app = sonde__module_is_in_app(in_app, &cached->module);
	*ret = (uint32_t)cache.n_modules++;
	return true;
}

/* The address's place in its set, or NULL. */
static struct cached_address *address_find(uint64_t address)
{
	struct cached_address *set = cache.addresses[sonde__mix64(address) % SETS];

	for (size_t i = 0; i < WAYS; i++)
		if (set[i].address == address)
			return &set[i];
	return NULL;
}

static struct cached_address *address_add(uint64_t address)
{
	struct cached_address *set = cache.addresses[sonde__mix64(address) % SETS];
	struct cached_address *found = address_find(address);

	if (!found) {
		memmove(set + 1, set, (WAYS - 1) * sizeof(set[0]));
		found = set;
	}
	*found = (struct cached_address){ .address = address };
	return found;
}

static bool is_complete(const struct cached_address *cached)
{
	return cached->is_asked && sonde__names_have_source(&cached->names);
}

static const struct cached_address *address_get(uint64_t address, bool asks)
{
	struct cached_address *cached;
	const struct sonde__module *module;
	struct sonde__answer answer;
	uint32_t index;

	if (!module_get(address, &index))
		return NULL;
	cached = address_find(address);
	if (cached && cached->module == index &&
	    (asks ? is_complete(cached) : sonde__names_are_kept(&cached->names)))
		return cached;
	module = &cache.modules[index].module;
	cached = address_add(address);
	cached->module = index;
	cached->has_symbol =
		sonde__symbol_find(module, address - module->bias, &cached->symbol);
	if (!asks || !sonde__names_ask(&options, module, address - module->bias,
				       cache.modules[index].is_in_app, &answer))
		return cached;
	cached->is_asked = true;
	cached->names = sonde__names_keep(&answer);
	sonde__names_release();
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
	frame->is_in_app = cached->is_in_app && sonde__function_is_in_app(frame->function);
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

void sonde__stack_ask_apart(bool is_apart)
{
	atomic_store_explicit(&asks_apart, is_apart ? (int32_t)getpid() : 0, memory_order_relaxed);
}

size_t sonde__stack_resolve(const uint64_t *frames, size_t n_frames, struct sonde__frame *ret,
			    size_t capacity)
{
	int saved_errno = errno;
	bool has_cache = cache_enter_patiently();
	bool asks = !asks_apart_here();
	size_t n = 0;

	if (has_cache)
		cache.n_stacks++;
	for (size_t i = 0; i < n_frames && n < capacity; i++) {
		/*
		 * The call is before the address it returns to, and may be the last thing in its
		 * function.
		 */
		const struct cached_address *found =
			has_cache && frames[i] ? address_get(frames[i] - 1, asks) : NULL;

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

	if (!source->size || !cache_enter_patiently())
		return false;
	is_read = sonde__source_read(source, ret);
	cache_leave();
	return is_read;
}

uint64_t sonde__stack_generation(void)
{
	int saved_errno = errno;
	uint64_t generation;

	if (!cache_enter_patiently())
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

bool sonde__stack_knows(const uint64_t *frames, size_t n_frames, uint64_t *ret_generation)
{
	bool knows = true;

	*ret_generation = 0;
	if (!cache_enter())
		return false;
	*ret_generation = cache.generation + 1;
	for (size_t i = 0; i < n_frames && knows; i++) {
		const struct cached_address *cached = address_find(frames[i] - 1);

		knows = frames[i] == 0 || (cached && is_complete(cached));
	}
	cache_leave();
	return knows;
}

/* An address that is asked about: copies, for others are inside meanwhile. */
struct learning {
	uint64_t address;
	uint64_t generation;
	struct sonde__module module;
	bool is_in_app;
	struct sonde__stack_options options;
	char debug_path[OPTION_SIZE];
};

/* False: there is nothing to ask. */
static bool learning_begin(struct learning *learning)
{
	const struct cached_address *cached;
	uint32_t index;

	/* First the module: what is known of one that is gone is forgotten by that. */
	if (!module_get(learning->address, &index))
		return false;
	cached = address_find(learning->address);
	if (cached && cached->module == index && is_complete(cached))
		return false;
	learning->generation = cache.generation;
	learning->module = cache.modules[index].module;
	learning->is_in_app = cache.modules[index].is_in_app;
	learning->options = options;
	memcpy(learning->debug_path, debug_path, sizeof(debug_path));
	learning->options.debug_path = learning->debug_path;
	return true;
}

static void learning_end(const struct learning *learning, const struct sonde__symbol *symbol,
			 const struct sonde__answer *answer)
{
	struct cached_address *cached;
	uint32_t index;

	/* If it was unloaded meanwhile, this is about nothing that is here. */
	if (!module_get(learning->address, &index) || cache.generation != learning->generation)
		return;
	cached = address_add(learning->address);
	cached->module = index;
	cached->is_asked = true;
	cached->has_symbol = symbol != NULL;
	if (symbol)
		cached->symbol = *symbol;
	cached->names = sonde__names_keep(answer);
}

void sonde__stack_learn(uint64_t frame, void (*wait)(void))
{
	struct learning learning = { .address = frame - 1 };
	struct sonde__symbol symbol;
	struct sonde__answer answer;
	uint64_t in_file;
	bool has_symbol;
	bool is_new;

	if (!frame)
		return;
	while (!cache_enter())
		wait();
	cache.n_stacks++;
	is_new = learning_begin(&learning);
	cache_leave();
	in_file = learning.address - learning.module.bias;
	if (!is_new || !sonde__names_ask(&learning.options, &learning.module, in_file,
					 learning.is_in_app, &answer))
		return;
	has_symbol = sonde__symbol_find(&learning.module, in_file, &symbol);
	while (!cache_enter())
		wait();
	learning_end(&learning, has_symbol ? &symbol : NULL, &answer);
	cache_leave();
	sonde__names_release();
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
		cache.rest.is_over = sonde__names_clear();
	}
	cache_leave();
}
