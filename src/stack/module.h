/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_STACK_MODULE_H
#define SONDE_STACK_MODULE_H

/* Loaded modules: the program, its libraries, its plugins. For the background. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SONDE__BUILD_ID_MAX 32
#define SONDE__MODULE_PATH_SIZE 256
#define SONDE__MODULE_NAME_SIZE 64

struct sonde__module {
	uint64_t bias; /* Address in memory minus address in the file. */
	uint64_t start; /* The loaded range. */
	uint64_t end;
	uint64_t writable_start; /* Variables, in their place between the two. */
	uint64_t writable_end;
	uint64_t note; /* Where the build-id's bytes are in memory, */
	uint8_t build_id[SONDE__BUILD_ID_MAX]; /* which are these. */
	size_t build_id_size; /* 0: it has none. */
	uint64_t file[5]; /* A library's then: which file has its path, and since when; or zeros. */
	char path[SONDE__MODULE_PATH_SIZE]; /* Opens the file. */
	char name[SONDE__MODULE_NAME_SIZE]; /* For people: the last part of the path. */
};

/*
 * Finds the module that `address` lies in. No lock, no allocation; memory that another thread
 * unmaps meanwhile is not found, and never a fault. Changes *ret only when it returns true.
 */
bool sonde__module_find(uint64_t address, struct sonde__module *ret);

/*
 * Still loaded where it was: it is the program, or its build-id is still there. A library without
 * one is there if one of its path and size is, and the file, which is all that can be known of it,
 * has not been changed.
 */
bool sonde__module_is_current(const struct sonde__module *module);

/* Copies memory of this process that may be gone; false then. */
bool sonde__memory_read(uint64_t address, void *ret, size_t size);

/*
 * Copies the text at an address that lies among a module's constants, as a literal does, cut to
 * `size` bytes with the terminating zero. False: nothing is there, or it may be a variable.
 */
bool sonde__literal_read(uint64_t address, char *ret, size_t size);

/* Searches notes (the contents of a PT_NOTE or SHT_NOTE) for the GNU build-id; 0: none. */
size_t sonde__build_id_find(const uint8_t *notes, size_t size, size_t *ret_offset);

#endif
