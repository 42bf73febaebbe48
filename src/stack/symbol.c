/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reads symbol tables as the untrusted files that they are: every offset is checked against the
 * file's size, every count is bounded, and the file is read, not mapped, because a file that
 * somebody shortens under a mapping is a SIGBUS in the host. The cost is one pass over the table
 * for an address, which the cache in front of it (frame.c) makes rare.
 */

#include "stack/symbol.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "stack/identity.h"

#define SYMBOLS_MAX (UINT64_C(1) << 21)
#define CHUNK 128
#define LINKER_NAME_MAX 1024
#define NOTES_MAX 1024
/* A symbol without a size (hand-written assembly) reaches at most this far. */
#define UNSIZED_REACH 4096

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_NONE
#endif

struct file {
	int fd;
	uint64_t size;
	uint64_t sections_at;
	uint32_t n_sections;
};

static bool file_read(const struct file *file, uint64_t offset, void *ret, size_t size)
{
	if (offset > file->size || size > file->size - offset)
		return false;
	return pread(file->fd, ret, size, (off_t)offset) == (ssize_t)size;
}

static void file_close(struct file *file)
{
	if (file->fd >= 0)
		close(file->fd);
}

static bool file_open(struct file *file, const char *path)
{
	struct stat status;
	Elf64_Ehdr head;

	/* Not blocked by a pipe or a terminal of that name. */
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0 || fstat(file->fd, &status) != 0 || !S_ISREG(status.st_mode))
		return false;
	file->size = (uint64_t)status.st_size;
	if (!file_read(file, 0, &head, sizeof(head)) ||
	    memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_ident[EI_DATA] != ELFDATA2LSB || head.e_machine != MACHINE ||
	    head.e_shentsize != sizeof(Elf64_Shdr))
		return false;
	file->sections_at = head.e_shoff;
	file->n_sections = head.e_shnum;
	return true;
}

static bool section_get(const struct file *file, uint32_t index, Elf64_Shdr *ret)
{
	return index < file->n_sections && file->sections_at < file->size &&
	       file_read(file, file->sections_at + (uint64_t)index * sizeof(*ret), ret,
			 sizeof(*ret));
}

/* The first section of a type at or after *index, which moves behind it. */
static bool section_find(const struct file *file, uint32_t type, uint32_t *index, Elf64_Shdr *ret)
{
	while (*index < file->n_sections && section_get(file, *index, ret)) {
		++*index;
		if (ret->sh_type == type)
			return true;
	}
	return false;
}

/* The file is the build that is loaded: the same build-id, or neither has one. */
static bool is_same_build(const struct file *file, const struct sonde__module *module)
{
	uint8_t notes[NOTES_MAX];
	Elf64_Shdr section;
	uint32_t index = 0;

	while (section_find(file, SHT_NOTE, &index, &section)) {
		size_t size = section.sh_size < sizeof(notes) ? section.sh_size : sizeof(notes);
		size_t offset;
		size_t id_size;

		if (!file_read(file, section.sh_offset, notes, size))
			continue;
		id_size = sonde__build_id_find(notes, size, &offset);
		if (id_size)
			return id_size == module->build_id_size &&
			       memcmp(notes + offset, module->build_id, id_size) == 0;
	}
	return module->build_id_size == 0;
}

/* Whether `a` names `address` better than what was found so far. */
static bool is_better(const Elf64_Sym *a, const Elf64_Sym *best, uint64_t address)
{
	uint64_t reach = a->st_size ? a->st_size : UNSIZED_REACH;
	unsigned type = ELF64_ST_TYPE(a->st_info);

	if ((type != STT_FUNC && type != STT_GNU_IFUNC) || a->st_shndx == SHN_UNDEF ||
	    a->st_name == 0)
		return false;
	if (a->st_value > address || address - a->st_value >= reach)
		return false;
	if (best->st_name == 0)
		return true;
	if (!a->st_size != !best->st_size)
		return a->st_size != 0;
	if (a->st_value != best->st_value)
		return a->st_value > best->st_value;
	return ELF64_ST_BIND(best->st_info) == STB_LOCAL && ELF64_ST_BIND(a->st_info) != STB_LOCAL;
}

/* The best symbol of one table; its st_name is 0 where there is none. */
static Elf64_Sym table_search(const struct file *file, const Elf64_Shdr *table, uint64_t address)
{
	Elf64_Sym best = { 0 };
	Elf64_Sym chunk[CHUNK];
	uint64_t n = table->sh_size / sizeof(best);

	if (table->sh_entsize != sizeof(best) || n > SYMBOLS_MAX)
		return best;
	for (uint64_t i = 0; i < n; i += CHUNK) {
		size_t count = n - i < CHUNK ? (size_t)(n - i) : CHUNK;

		if (!file_read(file, table->sh_offset + i * sizeof(best), chunk,
			       count * sizeof(best)))
			break;
		for (size_t k = 0; k < count; k++)
			if (is_better(&chunk[k], &best, address))
				best = chunk[k];
	}
	return best;
}

/* Reads the name's first bytes; *ret_size is its length, without a zero. */
static bool linker_name_read(const struct file *file, const Elf64_Shdr *table,
			     const Elf64_Sym *symbol, char ret[LINKER_NAME_MAX], size_t *ret_size)
{
	Elf64_Shdr strings;
	uint64_t left;
	size_t size;

	if (!section_get(file, table->sh_link, &strings) || strings.sh_type != SHT_STRTAB ||
	    symbol->st_name >= strings.sh_size)
		return false;
	left = strings.sh_size - symbol->st_name;
	size = left < LINKER_NAME_MAX ? (size_t)left : LINKER_NAME_MAX;
	if (!file_read(file, strings.sh_offset + symbol->st_name, ret, size))
		return false;
	*ret_size = strnlen(ret, size);
	return *ret_size > 0;
}

static bool name_read(const struct file *file, const Elf64_Shdr *table, const Elf64_Sym *symbol,
		      struct sonde__symbol *ret)
{
	char name[LINKER_NAME_MAX];
	size_t size;

	if (!linker_name_read(file, table, symbol, name, &size))
		return false;
	ret->start = symbol->st_value;
	ret->identity = sonde__name_identity(name, size);
	if (size >= sizeof(ret->name))
		size = sizeof(ret->name) - 1;
	for (size_t i = 0; i < size; i++)
		ret->name[i] = (unsigned char)name[i] <= ' ' || name[i] == 0x7f ? '?' : name[i];
	ret->name[size] = '\0';
	return true;
}

static bool file_search(const struct file *file, uint64_t address, struct sonde__symbol *ret)
{
	static const uint32_t types[] = { SHT_SYMTAB, SHT_DYNSYM };
	struct sonde__symbol symbol;

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(types); i++) {
		Elf64_Shdr table;
		uint32_t index = 0;
		Elf64_Sym best;

		if (!section_find(file, types[i], &index, &table))
			continue;
		best = table_search(file, &table, address);
		if (best.st_name == 0 || !name_read(file, &table, &best, &symbol))
			continue;
		*ret = symbol;
		return true;
	}
	return false;
}

bool sonde__symbol_find(const struct sonde__module *module, uint64_t address,
			struct sonde__symbol *ret)
{
	struct file file = { .fd = -1 };
	bool found = file_open(&file, module->path) && is_same_build(&file, module) &&
		     file_search(&file, address, ret);

	file_close(&file);
	return found;
}
