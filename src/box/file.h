/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_FILE_H
#define SONDE_BOX_FILE_H

/*
 * The memory under a box: a file that survives the process, else a memfd. Everything here is
 * async-signal-safe: a forked child may call it from a signal handler.
 */

#include <stdbool.h>
#include <stddef.h>

#include "box/box.h"
#include "box/layout.h"
#include "box/line.h"

#define SONDE__BOX_DIRECTORY_SIZE 128

/*
 * Opens `path` (NULL: /dev/shm/sonde-<uid>), making it if it is not there; -1 unless it is a
 * directory on tmpfs that only this user can write. Says why in `reason`, if it failed.
 */
int sonde__box_directory_open(const char *path, char ret_path[SONDE__BOX_DIRECTORY_SIZE],
			      struct sonde__line *reason);

/* The beginning of the names of a service's files: "sonde-<service>-". */
void sonde__box_file_prefix(const char *service, struct sonde__line *name);

/*
 * Makes a new file of header->box_size bytes in the directory, all of them allocated, with the
 * header written; its name goes to `name`. -1: nothing is left behind, and `reason` says why.
 */
int sonde__box_file_create(int directory, const struct sonde__box_header *header,
			   struct sonde__line *name, struct sonde__line *reason);

/* The same without a name, sealed against a change of size. */
int sonde__box_memfd_create(const struct sonde__box_header *header, struct sonde__line *reason);

#endif
