/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Modules without the dynamic loader's lock.
 *
 * dl_iterate_phdr takes a lock that glibc does not reset in a forked child: a child made while
 * another thread was inside would wait for ever. _dl_find_object (glibc 2.35) finds the module of
 * an address without one. What it points at may be unmapped by a dlclose at any moment, so it is
 * read by way of the kernel, which says that memory is gone where a load would fault; the program
 * itself is never unloaded, and its headers are where the kernel said at exec.
 */

#include "stack/module.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEADERS_MAX 32
#define NOTES_MAX 1024
#define PAGE UINT64_C(4096)

static const char program_path[] = "/proc/self/exe";

extern int _dl_find_object(void *, struct dl_find_object *) __attribute__((weak));

/*
 * Where the kernel forbids process_vm_readv (a container's seccomp filter) the file does the same.
 */
static bool memory_read_file(uint64_t address, void *ret, size_t size)
{
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = pread(fd, ret, size, (off_t)address);
	close(fd);
	return n == (ssize_t)size;
}

bool sonde__memory_read(uint64_t address, void *ret, size_t size)
{
	struct iovec local = { .iov_base = ret, .iov_len = size };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)address, .iov_len = size };

	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)size)
		return true;
	return memory_read_file(address, ret, size);
}

size_t sonde__build_id_find(const uint8_t *notes, size_t size, size_t *ret_offset)
{
	size_t at = 0;

	while (size - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		size_t left = size - at - sizeof(note);
		size_t name_size;
		size_t description_size;

		memcpy(&note, notes + at, sizeof(note));
		name_size = ((size_t)note.n_namesz + 3) & ~(size_t)3;
		description_size = ((size_t)note.n_descsz + 3) & ~(size_t)3;
		if (name_size > left || description_size > left - name_size)
			return 0;
		at += sizeof(note);
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    memcmp(notes + at, "GNU", 4) == 0 && note.n_descsz > 0 &&
		    note.n_descsz <= SONDE__BUILD_ID_MAX) {
			*ret_offset = at + name_size;
			return note.n_descsz;
		}
		at += name_size + description_size;
	}
	return 0;
}

static void add_segment(struct sonde__module *module, const Elf64_Phdr *header)
{
	uint64_t start = module->bias + header->p_vaddr;
	uint64_t end = start + header->p_memsz;

	if (start < module->start)
		module->start = start;
	if (end > module->end)
		module->end = end;
	if (!(header->p_flags & PF_W))
		return;
	if (!module->writable_end || start < module->writable_start)
		module->writable_start = start;
	if (end > module->writable_end)
		module->writable_end = end;
}

/* Fills in range and build-id from the program headers. */
static bool read_headers(const Elf64_Phdr *headers, size_t n, struct sonde__module *module)
{
	uint8_t notes[NOTES_MAX];

	module->start = UINT64_MAX;
	for (size_t i = 0; i < n; i++) {
		uint64_t address = module->bias + headers[i].p_vaddr;
		size_t size = headers[i].p_memsz < sizeof(notes) ? headers[i].p_memsz
								 : sizeof(notes);
		size_t offset;

		if (headers[i].p_type == PT_LOAD) {
			add_segment(module, &headers[i]);
		} else if (headers[i].p_type == PT_NOTE && !module->build_id_size &&
			   sonde__memory_read(address, notes, size)) {
			module->build_id_size = sonde__build_id_find(notes, size, &offset);
			if (!module->build_id_size)
				continue;
			module->note = address + offset;
			memcpy(module->build_id, notes + offset, module->build_id_size);
		}
	}
	return module->start < module->end;
}

/* The program: its headers as the kernel handed them over. */
static bool read_program(struct sonde__module *module)
{
	static const char deleted[] = " (deleted)";
	const Elf64_Phdr *headers = (const Elf64_Phdr *)(uintptr_t)getauxval(AT_PHDR);
	char path[1024];
	const char *slash;
	ssize_t n;

	if (!headers || getauxval(AT_PHENT) != sizeof(*headers))
		return false;
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	if (n > (ssize_t)sizeof(deleted) && strcmp(path + n - (sizeof(deleted) - 1), deleted) == 0)
		path[n - (ssize_t)(sizeof(deleted) - 1)] = '\0';
	slash = strrchr(path, '/');
	snprintf(module->name, sizeof(module->name), "%.63s", slash ? slash + 1 : path);
	snprintf(module->path, sizeof(module->path), "%s", program_path);
	return read_headers(headers, getauxval(AT_PHNUM), module);
}

static void read_stamp(struct sonde__module *module)
{
	struct stat status;

	if (stat(module->path, &status) != 0)
		return;
	module->file[0] = status.st_dev;
	module->file[1] = status.st_ino;
	module->file[2] = (uint64_t)status.st_size;
	module->file[3] = (uint64_t)status.st_mtim.tv_sec;
	module->file[4] = (uint64_t)status.st_mtim.tv_nsec;
}

/* A library: its ELF header is the first thing in its range. */
static bool read_library(uint64_t map_start, struct sonde__module *module)
{
	Elf64_Phdr headers[HEADERS_MAX];
	const char *slash = strrchr(module->path, '/');
	Elf64_Ehdr head;
	size_t n;

	snprintf(module->name, sizeof(module->name), "%.63s", slash ? slash + 1 : module->path);
	if (!sonde__memory_read(map_start, &head, sizeof(head)) ||
	    memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_phentsize != sizeof(headers[0]))
		return false;
	n = head.e_phnum < HEADERS_MAX ? head.e_phnum : HEADERS_MAX;
	if (n == 0 ||
	    !sonde__memory_read(map_start + head.e_phoff, headers, n * sizeof(headers[0])) ||
	    !read_headers(headers, n, module))
		return false;
	if (!module->build_id_size)
		read_stamp(module);
	return true;
}

/* Reads to the end of a page at a time: the next may not be there. False: no end within `size`. */
static bool read_text(uint64_t address, char *ret, size_t size)
{
	while (size > 0) {
		size_t n = PAGE - address % PAGE;

		n = n < size ? n : size;
		if (!sonde__memory_read(address, ret, n))
			return false;
		if (memchr(ret, '\0', n))
			return true;
		address += n;
		ret += n;
		size -= n;
	}
	return false;
}

bool sonde__module_find(uint64_t address, struct sonde__module *ret)
{
	struct sonde__module module = { 0 };
	struct dl_find_object object;
	struct link_map map;
	bool found;

	if (!_dl_find_object || _dl_find_object((void *)(uintptr_t)address, &object) != 0)
		return false;
	if (!sonde__memory_read((uint64_t)(uintptr_t)object.dlfo_link_map, &map,
				offsetof(struct link_map, l_prev)) ||
	    !read_text((uint64_t)(uintptr_t)map.l_name, module.path, sizeof(module.path)))
		return false;
	module.bias = map.l_addr;
	if (module.path[0] == '\0')
		found = read_program(&module);
	else
		found = read_library((uint64_t)(uintptr_t)object.dlfo_map_start, &module);
	if (!found || address < module.start || address >= module.end)
		return false;
	*ret = module;
	return true;
}

/* By all that is there instead of a build-id. */
static bool is_there_still(const struct sonde__module *module)
{
	struct sonde__module now;

	return sonde__module_find(module->start, &now) && now.build_id_size == 0 &&
	       now.bias == module->bias && now.start == module->start && now.end == module->end &&
	       strcmp(now.path, module->path) == 0 &&
	       memcmp(now.file, module->file, sizeof(now.file)) == 0;
}

bool sonde__module_is_current(const struct sonde__module *module)
{
	uint8_t build_id[SONDE__BUILD_ID_MAX];

	if (strcmp(module->path, program_path) == 0)
		return true;
	if (module->build_id_size == 0)
		return is_there_still(module);
	return module->build_id_size <= sizeof(build_id) &&
	       sonde__memory_read(module->note, build_id, module->build_id_size) &&
	       memcmp(build_id, module->build_id, module->build_id_size) == 0;
}

bool sonde__literal_read(uint64_t address, char *ret, size_t size)
{
	struct sonde__module module;

	if (size == 0 || !sonde__module_find(address, &module) ||
	    (address >= module.writable_start && address < module.writable_end))
		return false;
	memset(ret, 0, size);
	/* Without an end it is longer than `size`, and what was read counts. */
	return read_text(address, ret, size - 1) || ret[0] != '\0';
}
