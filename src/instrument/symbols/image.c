/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Files are read whole into memory of their own and closed. A mapping would be cheaper, but a file
 * that somebody shortens under it is a SIGBUS in the host; and a descriptor that is kept may be
 * closed by the host and name another file then.
 *
 * A file counts only if it is the build that is loaded: the same build-id, or neither has one and
 * it is the module's own file. A debug file that is named by a .gnu_debuglink is held to the
 * checksum there, too, where there is no build-id to hold it to.
 *
 * Standard: GDB manual, "Debugging Information in Separate Files".
 */

#include "image.h"

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 4096
#define BUILD_ID_MAX 64

/* ---- A file in memory ------------------------------------------------------------------------ */

static bool memory_fill(int fd, uint8_t *memory, size_t size)
{
	size_t at = 0;

	while (at < size) {
		ssize_t n = pread(fd, memory + at, size - at, (off_t)at);

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static bool memory_read(struct sonde__image *image, int fd, uint64_t limit)
{
	struct stat status;

	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0 ||
	    (uint64_t)status.st_size > limit)
		return false;
	image->memory = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (image->memory == MAP_FAILED) {
		image->memory = NULL;
		return false;
	}
	image->size = (size_t)status.st_size;
	image->cost = image->size;
	image->modified = status.st_mtim;
	return memory_fill(fd, image->memory, image->size);
}

static bool elf_open(struct sonde__image *image)
{
	const unsigned char *ident = image->memory;

	if (image->size < sizeof(Elf64_Ehdr) || memcmp(ident, ELFMAG, SELFMAG) != 0 ||
	    ident[EI_CLASS] != ELFCLASS64)
		return false;
	elf_version(EV_CURRENT);
	image->elf = elf_memory(image->memory, image->size);
	return image->elf && elf_kind(image->elf) == ELF_K_ELF;
}

void sonde__image_close(struct sonde__image *image)
{
	if (image->dwarf)
		dwarf_end(image->dwarf);
	if (image->shared) {
		sonde__image_close(image->shared);
		free(image->shared);
	}
	if (image->elf)
		elf_end(image->elf);
	if (image->memory)
		munmap(image->memory, image->size);
	*image = (struct sonde__image){ .memory = NULL };
}

static bool image_read(struct sonde__image *image, const char *path, uint64_t limit)
{
	/* Not blocked by a pipe or a terminal of that name. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool is_read;

	if (fd < 0)
		return false;
	is_read = memory_read(image, fd, limit) && elf_open(image);
	close(fd);
	if (!is_read)
		sonde__image_close(image);
	return is_read;
}

/* ---- Whether it is the right one ------------------------------------------------------------- */

static bool is_same_build(const struct sonde__image *image, const uint8_t *build_id, size_t size)
{
	const void *own = NULL;
	ssize_t own_size = dwelf_elf_gnu_build_id(image->elf, &own);

	if (own_size <= 0)
		return size == 0;
	return (size_t)own_size == size && memcmp(own, build_id, size) == 0;
}

/* Compressed sections are inflated when they are opened: they must fit, too. */
static bool has_debug_info(struct sonde__image *image, uint64_t limit)
{
	Elf_Scn *section = NULL;
	size_t names;
	bool found = false;

	if (elf_getshdrstrndx(image->elf, &names) != 0)
		return false;
	while ((section = elf_nextscn(image->elf, section)) != NULL) {
		GElf_Shdr header;
		GElf_Chdr compressed;
		const char *name;

		if (!gelf_getshdr(section, &header))
			return false;
		name = elf_strptr(image->elf, names, header.sh_name);
		if ((header.sh_flags & SHF_COMPRESSED) && gelf_getchdr(section, &compressed)) {
			if (compressed.ch_size > limit)
				return false;
			image->cost += compressed.ch_size;
		}
		if (name && (!strcmp(name, ".debug_info") || !strcmp(name, ".zdebug_info")) &&
		    header.sh_type != SHT_NOBITS && header.sh_size > 0)
			found = true;
	}
	return found && image->cost <= limit;
}

/* The debug information that dwz moved into a file that several share. */
static void shared_open(struct sonde__image *image, const struct sonde_symbol_query *query);

static bool dwarf_open(struct sonde__image *image, const struct sonde_symbol_query *query)
{
	if (!has_debug_info(image, query->memory_limit_bytes))
		return false;
	image->dwarf = dwarf_begin_elf(image->elf, DWARF_C_READ, NULL);
	if (!image->dwarf)
		return false;
	shared_open(image, query);
	return true;
}

/* ---- Where it may be ------------------------------------------------------------------------- */

/* The next of the folders in the debug path; false: there is none. */
static bool folder_next(const char **rest, int *ret_size, const char **ret)
{
	while (**rest == ':')
		(*rest)++;
	if (!**rest)
		return false;
	*ret = *rest;
	*ret_size = (int)strcspn(*rest, ":");
	*rest += *ret_size;
	return true;
}

/* Opens FOLDER/.build-id/xx/yyyy.debug of the first folder that has it. */
static bool open_by_build_id(struct sonde__image *image, const struct sonde_symbol_query *query,
			     const uint8_t *build_id, size_t size)
{
	const char *rest = query->debug_path;
	char hex[2 * BUILD_ID_MAX + 1];
	const char *folder;
	int folder_size;

	if (size < 2 || size > BUILD_ID_MAX)
		return false;
	for (size_t i = 0; i < size; i++)
		snprintf(hex + 2 * i, 3, "%02x", build_id[i]);
	while (folder_next(&rest, &folder_size, &folder)) {
		char path[PATH_SIZE];

		snprintf(path, sizeof(path), "%.*s/.build-id/%.2s/%s.debug", folder_size, folder,
			 hex, hex + 2);
		if (!image_read(image, path, query->memory_limit_bytes))
			continue;
		if (is_same_build(image, build_id, size))
			return true;
		sonde__image_close(image);
	}
	return false;
}

static uint32_t checksum(const uint8_t *data, size_t size)
{
	uint32_t table[256];
	uint32_t sum = UINT32_MAX;

	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? UINT32_C(0xedb88320) : 0);
	}
	for (size_t i = 0; i < size; i++)
		sum = table[(sum ^ data[i]) & 0xff] ^ sum >> 8;
	return ~sum;
}

static bool open_linked(struct sonde__image *image, const struct sonde_symbol_query *query,
			const char *path, uint32_t sum)
{
	if (!image_read(image, path, query->memory_limit_bytes))
		return false;
	if (query->build_id_size ? is_same_build(image, query->build_id, query->build_id_size)
				 : checksum(image->memory, image->size) == sum)
		return true;
	sonde__image_close(image);
	return false;
}

/* The folder of the module's file, with its slash, as the loader named it or the kernel does. */
static bool module_folder(const char *module, char *ret, size_t size)
{
	ssize_t n = readlink(module, ret, size - 1);
	char *slash;

	if (n > 0)
		ret[n] = '\0';
	if (n <= 0 || ret[0] != '/')
		snprintf(ret, size, "%s", module);
	slash = strrchr(ret, '/');
	if (slash)
		slash[1] = '\0';
	return slash != NULL;
}

/* Opens what .gnu_debuglink names: beside the module, in .debug there, in the debug path. */
static bool open_by_link(struct sonde__image *image, const struct sonde_symbol_query *query,
			 const char *name, uint32_t sum)
{
	const char *rest = query->debug_path;
	char folder[PATH_SIZE / 4];
	char path[PATH_SIZE];
	const char *debug;
	int debug_size;

	if (!name[0] || strchr(name, '/') || !module_folder(query->path, folder, sizeof(folder)))
		return false;
	snprintf(path, sizeof(path), "%s%s", folder, name);
	if (open_linked(image, query, path, sum))
		return true;
	snprintf(path, sizeof(path), "%s.debug/%s", folder, name);
	if (open_linked(image, query, path, sum))
		return true;
	while (folder_next(&rest, &debug_size, &debug)) {
		snprintf(path, sizeof(path), "%.*s%s%s", debug_size, debug, folder, name);
		if (open_linked(image, query, path, sum))
			return true;
	}
	return false;
}

static void shared_open(struct sonde__image *image, const struct sonde_symbol_query *query)
{
	const void *build_id = NULL;
	const char *name = NULL;
	ssize_t size = dwelf_dwarf_gnu_debugaltlink(image->dwarf, &name, &build_id);
	struct sonde__image *shared;

	if (size <= 0)
		return;
	shared = calloc(1, sizeof(*shared));
	if (!shared)
		return;
	if (open_by_build_id(shared, query, build_id, (size_t)size) &&
	    has_debug_info(shared, query->memory_limit_bytes))
		shared->dwarf = dwarf_begin_elf(shared->elf, DWARF_C_READ, NULL);
	if (!shared->dwarf) {
		sonde__image_close(shared);
		free(shared);
		return;
	}
	dwarf_setalt(image->dwarf, shared->dwarf);
	image->cost += shared->cost;
	image->shared = shared;
}

bool sonde__image_open(struct sonde__image *image, const struct sonde_symbol_query *query)
{
	struct sonde__image own = { .memory = NULL };
	struct sonde__image other = { .memory = NULL };
	bool is_own = image_read(&own, query->path, query->memory_limit_bytes) &&
		      is_same_build(&own, query->build_id, query->build_id_size);
	char link[256] = "";
	GElf_Word sum = 0;

	if (is_own && dwarf_open(&own, query)) {
		*image = own;
		return true;
	}
	if (is_own) {
		const char *name = dwelf_elf_gnu_debuglink(own.elf, &sum);

		snprintf(link, sizeof(link), "%s", name ? name : "");
	}
	sonde__image_close(&own);
	if ((open_by_build_id(&other, query, query->build_id, query->build_id_size) ||
	     open_by_link(&other, query, link, sum)) &&
	    dwarf_open(&other, query)) {
		*image = other;
		return true;
	}
	sonde__image_close(&other);
	return false;
}
