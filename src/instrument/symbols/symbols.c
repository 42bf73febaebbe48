/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A few modules' debug information is kept, the most recently used ones, as much as the query's
 * memory limit allows; also that a module has none, for that is what takes longest to find out.
 * Modules are told apart by their build-ids and, where they have none, by their files.
 *
 * Called by one thread at a time. In a forked child whose parent was in here everything is left
 * where it is and forgotten: it may be half of what it should be.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sonde/stack.h>

#include "function.h"
#include "image.h"
#include "name.h"
#include "source.h"

#define MODULES_MAX 16
#define KEY_SIZE 64
#define NAME_SIZE 512
#define FILE_SIZE 512
#define SOURCE_SIZE 4096

struct module {
	uint8_t key[KEY_SIZE];
	uint64_t used_at; /* 0: this place is free. */
	struct sonde__image image; /* Without dwarf: there is none. */
};

struct texts {
	char function[NAME_SIZE];
	char file[FILE_SIZE];
	char source[SOURCE_SIZE];
};

static struct {
	struct module modules[MODULES_MAX];
	uint64_t n_uses;
	struct texts texts[SONDE__SCOPES_MAX];
} kept;

/* ---- Modules --------------------------------------------------------------------------------- */

static bool key_make(const struct sonde_symbol_query *query, uint8_t ret[KEY_SIZE])
{
	struct stat status;
	uint64_t words[5];

	memset(ret, 0, KEY_SIZE);
	if (query->build_id_size > 0 && query->build_id_size < KEY_SIZE) {
		ret[0] = (uint8_t)query->build_id_size;
		memcpy(ret + 1, query->build_id, query->build_id_size);
		return true;
	}
	if (query->build_id_size > 0 || stat(query->path, &status) != 0)
		return false;
	words[0] = status.st_dev;
	words[1] = status.st_ino;
	words[2] = (uint64_t)status.st_size;
	words[3] = (uint64_t)status.st_mtim.tv_sec;
	words[4] = (uint64_t)status.st_mtim.tv_nsec;
	memcpy(ret + 1, words, sizeof(words));
	return true;
}

static void module_free(struct module *module)
{
	sonde__image_close(&module->image);
	module->used_at = 0;
}

static uint64_t total_cost(void)
{
	uint64_t cost = 0;

	for (size_t i = 0; i < MODULES_MAX; i++)
		cost += kept.modules[i].image.cost;
	return cost;
}

/* The one that was not used for longest; `but`: not this one. */
static struct module *oldest(const struct module *but)
{
	struct module *found = NULL;

	for (size_t i = 0; i < MODULES_MAX; i++) {
		struct module *module = &kept.modules[i];

		if (module == but || (but && !module->image.memory))
			continue;
		if (!found || module->used_at < found->used_at)
			found = module;
	}
	return found;
}

static struct module *module_add(const struct sonde_symbol_query *query,
				 const uint8_t key[KEY_SIZE])
{
	struct module *module = oldest(/* but= */ NULL);

	module_free(module);
	memcpy(module->key, key, KEY_SIZE);
	module->used_at = ++kept.n_uses;
	if (!sonde__image_open(&module->image, query))
		return module;
	while (total_cost() > query->memory_limit_bytes) {
		struct module *other = oldest(module);

		if (!other)
			break;
		module_free(other);
	}
	return module;
}

static struct module *module_get(const struct sonde_symbol_query *query)
{
	uint8_t key[KEY_SIZE];

	if (!key_make(query, key))
		return NULL;
	for (size_t i = 0; i < MODULES_MAX; i++) {
		struct module *module = &kept.modules[i];

		if (!module->used_at || memcmp(module->key, key, KEY_SIZE) != 0)
			continue;
		module->used_at = ++kept.n_uses;
		return module;
	}
	return module_add(query, key);
}

/* ---- Frames ---------------------------------------------------------------------------------- */

static void frame_fill(struct sonde_symbol_frame *frame, struct texts *texts,
		       struct sonde__function *function, const struct sonde_symbol_query *query,
		       struct timespec built)
{
	const struct sonde__position *position = &function->position;
	struct sonde__source_place place;

	*frame = (struct sonde_symbol_frame){
		.linkage_name = sonde__function_linkage_name(function),
		.line = position->line > 0 ? (uint32_t)position->line : 0,
		.column = position->column > 0 ? (uint32_t)position->column : 0,
	};
	frame->function = sonde__function_name(function);
	if (frame->linkage_name && sonde__name_demangle(frame->linkage_name, texts->function,
							sizeof(texts->function)))
		frame->function = texts->function;
	if (!position->file)
		return;
	sonde__source_name(position->file, sonde__function_folder(function), texts->file,
			   sizeof(texts->file));
	frame->file = texts->file;
	place = (struct sonde__source_place){ position->file, frame->line, query->source_lines };
	if (sonde__source_lines(&place, built, texts->source, sizeof(texts->source),
				&frame->source_first))
		frame->source = texts->source;
}

static size_t symbols_resolve(const struct sonde_symbol_query *query,
			      struct sonde_symbol_frame *ret, size_t capacity)
{
	struct sonde__function functions[SONDE__SCOPES_MAX];
	int saved_errno = errno;
	const struct module *module = module_get(query);
	size_t n = 0;
	size_t skipped;

	if (module && module->image.dwarf)
		n = sonde__functions_find(module->image.dwarf, query->address, functions);
	skipped = n > capacity ? n - capacity : 0;
	for (size_t i = skipped; i < n; i++) {
		frame_fill(&ret[i - skipped], &kept.texts[i], &functions[i], query,
			   module->image.modified);
		ret[i - skipped].is_inlined = i + 1 < n;
	}
	errno = saved_errno;
	return n - skipped;
}

static void symbols_abandon(void)
{
	memset(&kept, 0, sizeof(kept));
}

static void symbols_clear(void)
{
	for (size_t i = 0; i < MODULES_MAX; i++)
		module_free(&kept.modules[i]);
}

SONDE_API const struct sonde_symbol_provider sonde_symbols_provider = {
	.size = sizeof(struct sonde_symbol_provider),
	.name = "symbols",
	.resolve = symbols_resolve,
	.abandon = symbols_abandon,
	.clear = symbols_clear,
};

__attribute__((constructor)) static void symbols_register(void)
{
	(void)sonde_symbol_provider_register(&sonde_symbols_provider);
}
