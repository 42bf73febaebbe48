/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is remembered about a module's code must not outlive the module: another one, or another
 * build of the same, may be loaded at the same address. So each walk asks who is there, and a
 * number made of the build-id and the address goes into every key under which something is
 * remembered. The program is never unloaded, its number is a constant.
 */

#include "module.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/auxv.h>

#define PAGE_MASK UINT64_C(0xfff)
#define HEADERS_MAX 64
#define NOTES_MAX 1024

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Makes a number of the build-id in the notes; 0: there is none. */
static uint64_t notes_identify(const uint8_t *notes, size_t size)
{
	while (size >= sizeof(Elf64_Nhdr)) {
		const uint8_t *text;
		uint64_t words[2];
		Elf64_Nhdr note;
		uint64_t whole;

		memcpy(&note, notes, sizeof(note));
		text = notes + sizeof(note);
		whole = sizeof(note) + (((uint64_t)note.n_namesz + 3) & ~UINT64_C(3)) +
			(((uint64_t)note.n_descsz + 3) & ~UINT64_C(3));
		if (whole > size)
			return 0;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    memcmp(text, "GNU", 4) == 0 && note.n_descsz >= sizeof(words)) {
			memcpy(words, text + 4, sizeof(words));
			return mix(words[0] ^ mix(words[1])) | 1;
		}
		notes += whole;
		size -= whole;
	}
	return 0;
}

static bool is_inside(const struct sonde__place *place, uint64_t address, uint64_t size)
{
	return address >= place->start && address < place->end && size <= place->end - address;
}

static uint64_t library_identify(const struct sonde__place *place)
{
	for (size_t i = 0; i < place->n_headers; i++) {
		const Elf64_Phdr *header = &place->headers[i];
		uint64_t address = place->bias + header->p_vaddr;
		uint64_t found;

		if (header->p_type != PT_NOTE || header->p_memsz > NOTES_MAX ||
		    !is_inside(place, address, header->p_memsz))
			continue;
		found = notes_identify((const uint8_t *)(uintptr_t)address, header->p_memsz);
		if (found)
			return mix(found ^ place->start) | 1;
	}
	return 0;
}

/* The program's headers lie where the kernel said at exec, a library's behind its ELF header. */
static bool headers_find(struct sonde__place *place, bool *ret_is_program)
{
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)(uintptr_t)place->start;
	uint64_t program = getauxval(AT_PHDR);

	*ret_is_program = is_inside(place, program, sizeof(Elf64_Phdr));
	if (*ret_is_program) {
		place->headers = (const Elf64_Phdr *)(uintptr_t)program;
		place->n_headers = getauxval(AT_PHNUM);
	} else {
		if (memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
		    head->e_ident[EI_CLASS] != ELFCLASS64)
			return false;
		place->headers = (const Elf64_Phdr *)(uintptr_t)(place->start + head->e_phoff);
		place->n_headers = head->e_phnum;
	}
	return place->n_headers > 0 && place->n_headers <= HEADERS_MAX &&
	       is_inside(place, (uint64_t)(uintptr_t)place->headers,
			 place->n_headers * sizeof(place->headers[0]));
}

bool sonde__place_find(struct sonde__place *place, uint64_t address)
{
	struct dl_find_object object;
	struct sonde__place found = { 0 };
	uint64_t lowest = UINT64_MAX;
	bool is_program;

	if (address >= place->start && address < place->end)
		return true;
	if (_dl_find_object((void *)(uintptr_t)address, &object) != 0)
		return false;
	found.start = (uint64_t)(uintptr_t)object.dlfo_map_start;
	found.end = (uint64_t)(uintptr_t)object.dlfo_map_end;
	found.table = (uint64_t)(uintptr_t)object.dlfo_eh_frame;
	if (!headers_find(&found, &is_program))
		return false;
	for (size_t i = 0; i < found.n_headers; i++)
		if (found.headers[i].p_type == PT_LOAD && found.headers[i].p_vaddr < lowest)
			lowest = found.headers[i].p_vaddr;
	if (lowest == UINT64_MAX)
		return false;
	found.bias = found.start - (lowest & ~PAGE_MASK);
	found.identity = is_program ? 1 : library_identify(&found);
	*place = found;
	return true;
}

bool sonde__place_is_code(const struct sonde__place *place, uint64_t address)
{
	for (size_t i = 0; i < place->n_headers; i++) {
		const Elf64_Phdr *header = &place->headers[i];
		uint64_t start = place->bias + header->p_vaddr;

		if (header->p_type == PT_LOAD && (header->p_flags & PF_X) && address >= start &&
		    address - start < header->p_memsz)
			return true;
	}
	return false;
}
