/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_SEEN_FILE_H
#define SONDE_PIPELINE_SEEN_FILE_H

/*
 * The file of a seen set: of fixed size, read and written an entry at a time under a lock that is
 * never waited for. Nothing stays open between two visits, so that neither a fork nor a host that
 * closes all descriptors matters.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/base.h>

#define SONDE__SEEN_PATH_SIZE 512
#define SONDE__SEEN_NAME_SIZE 128
#define SONDE__SEEN_RELEASE_SIZE 64

#define SONDE__SEEN_BUCKETS 256
#define SONDE__SEEN_WAYS 16
#define SONDE__SEEN_HEADER_SIZE 512

struct sonde__seen_place {
	char directory[SONDE__SEEN_PATH_SIZE]; /* "": none. */
	char file[SONDE__SEEN_NAME_SIZE]; /* In it: SERVICE.seen */
	char marks[SONDE__SEEN_NAME_SIZE]; /* SERVICE.resolved */
	char release[SONDE__SEEN_RELEASE_SIZE];
	uint32_t release_hash; /* 0: none. */
};

/* As it is in the file, little-endian. */
struct sonde__seen_entry {
	uint64_t fingerprint; /* 0: empty. */
	uint32_t first_s; /* Unix seconds. */
	uint32_t last_s;
	uint32_t release; /* A hash of the one that it was last seen in. */
	uint32_t mark; /* A hash of the last mark that it came back after. */
	uint32_t reserved;
	uint32_t check; /* A hash of all before; an entry without it is empty. */
};

/* What is wrong, for people: a constant text, and errno's where that says more. */
struct sonde__seen_fault {
	const char *what; /* NULL: nothing. */
	int error;
};

/*
 * Where the set is; false, and `directory` is "", where the path is unfit. `service` becomes a file
 * name whatever is in it.
 */
bool sonde__seen_place_init(struct sonde__seen_place *place, const char *directory,
			    struct sonde_text service, struct sonde_text release);

/*
 * Changes an entry: called with what is known of the fingerprint, or with a new entry that has
 * nothing but the fingerprint.
 */
typedef void sonde__seen_visit_fn(void *user, bool is_known, struct sonde__seen_entry *entry);

/*
 * Visits the entry of `fingerprint` while nobody else does, making directory and file when they are
 * not there. What is in the way is set aside, and said. False: not visited, or not written, and
 * *ret_fault says why.
 */
bool sonde__seen_file_visit(const struct sonde__seen_place *place, uint64_t fingerprint,
			    sonde__seen_visit_fn *visit, void *user,
			    struct sonde__seen_fault *ret_fault);

/*
 * Opens the directory if it is one that others cannot write to, making it where `is_made`; or -1.
 */
int sonde__seen_directory_open(const struct sonde__seen_place *place, bool is_made,
			       struct sonde__seen_fault *ret_fault);

#endif
