/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A header, then buckets of entries; a fingerprint's bucket is where its hash says, and of a full
 * one the entry that was seen longest ago goes.
 *
 * Every visit opens the file, locks a bucket, reads it, writes one entry, and closes the file. The
 * lock is the open file's own (F_OFD_SETLK): closing another descriptor of the file does not drop
 * it, and a process that dies lets go. It is asked for a bounded number of times: a process that
 * was stopped while it held the lock costs the others an answer from memory, and a tenth of a
 * second.
 *
 * The file is made in its place, by whoever holds all of it and finds it without a header. Its
 * blocks are allocated before the header is written, so a full disk shows then and never later. A
 * maker that dies leaves no header, and the next one begins again. An entry is written by one call,
 * within one block, and has a check: half of one counts as none, and two that are spoilt in one
 * bucket are damage.
 */

#include "pipeline/seen_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/diagnostic.h"
#include "base/hash.h"

#define MAGIC "sonde seen set 1\n"
#define CHECK_SEED UINT64_C(0x736f6e64652d7365)
#define LOCK_TRIES 200
#define LOCK_QUICK_TRIES 100 /* The others are a millisecond apart. */
#define OPEN_TRIES 4
#define BUCKET_SIZE (SONDE__SEEN_WAYS * sizeof(struct sonde__seen_entry))
#define LOCKED "another process does not let go of the file"
#define FILE_SIZE (SONDE__SEEN_HEADER_SIZE + SONDE__SEEN_BUCKETS * BUCKET_SIZE)

struct header {
	char magic[32];
	uint32_t n_buckets;
	uint32_t n_ways;
	uint32_t entry_size;
	uint32_t check; /* Of all before. */
};

_Static_assert(sizeof(struct sonde__seen_entry) == 32, "as in the file");
_Static_assert(BUCKET_SIZE == 512 && SONDE__SEEN_HEADER_SIZE == 512, "a bucket is in one block");

/* An open file under its lock. */
struct file {
	int directory;
	int fd;
	const char *name;
};

static bool fail(struct sonde__seen_fault *fault, const char *what, int error)
{
	*fault = (struct sonde__seen_fault){ what, error };
	return false;
}

static uint32_t check_of(const void *data, size_t size)
{
	return (uint32_t)sonde__hash_bytes(CHECK_SEED, data, size);
}

/* ---- The file -------------------------------------------------------------------------------- */

/* Whether the range is ours. The longest wait is for somebody who was stopped while inside. */
static bool lock(int fd, off_t start, off_t size)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start,
			       .l_len = size };

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (fcntl(fd, F_OFD_SETLK, &range) == 0)
			return true;
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return false;
		if (i < LOCK_QUICK_TRIES)
			sched_yield();
		else
			(void)poll(/* fds= */ NULL, 0, /* ms= */ 1);
	}
	return false;
}

static void unlock(int fd)
{
	struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	(void)fcntl(fd, F_OFD_SETLK, &all);
}

static bool is_regular(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* What was locked is still what the name leads to. */
static bool is_in_place(const struct file *file)
{
	struct stat opened;
	struct stat named;

	return fstat(file->fd, &opened) == 0 &&
	       fstatat(file->directory, file->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

/* Whatever has the name is out of the way, and stays to be looked at. */
static bool set_aside(const struct file *file, const char *what, struct sonde__seen_fault *fault)
{
	char aside[SONDE__SEEN_NAME_SIZE + 8];

	snprintf(aside, sizeof(aside), "%s.bad", file->name);
	if (renameat(file->directory, file->name, file->directory, aside) != 0)
		return fail(fault, "the file is not a seen set and cannot be set aside", errno);
	sonde__report(SONDE_WARN, "%s %s: it was set aside as %s and a new one is begun", file->name,
		      what, aside);
	return true;
}

static struct header header_make(void)
{
	struct header header = {
		.magic = MAGIC,
		.n_buckets = SONDE__SEEN_BUCKETS,
		.n_ways = SONDE__SEEN_WAYS,
		.entry_size = sizeof(struct sonde__seen_entry),
	};

	header.check = check_of(&header, offsetof(struct header, check));
	return header;
}

/* Past the limit a file's growth would raise SIGXFSZ, which kills. */
static bool is_size_allowed(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur >= FILE_SIZE;
}

static bool file_make(const struct file *file, struct sonde__seen_fault *fault)
{
	struct header header = header_make();
	int error = EFBIG;

	if (is_size_allowed())
		error = posix_fallocate(file->fd, 0, FILE_SIZE);
	if (error == 0 &&
	    pwrite(file->fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
		error = errno;
	if (error == 0)
		return true;
	/* Nothing is left on a full disk but the name. */
	if (ftruncate(file->fd, 0) != 0)
		(void)unlinkat(file->directory, file->name, 0);
	return fail(fault, "the file cannot be made", error);
}

enum finding {
	FOUND_GOOD,
	FOUND_UNMADE,
	FOUND_FOREIGN,
};

static enum finding file_judge(const struct file *file)
{
	struct header expected = header_make();
	struct header header = { 0 };
	struct stat status;
	ssize_t n = pread(file->fd, &header, sizeof(header), 0);
	const char *bytes = (const char *)&header;

	if (n < 0 || fstat(file->fd, &status) != 0)
		return FOUND_FOREIGN;
	if (n == (ssize_t)sizeof(header) && memcmp(&header, &expected, sizeof(header)) == 0)
		return status.st_size == (off_t)FILE_SIZE ? FOUND_GOOD : FOUND_FOREIGN;
	for (ssize_t i = 0; i < n; i++)
		if (bytes[i])
			return FOUND_FOREIGN;
	return status.st_size <= (off_t)FILE_SIZE ? FOUND_UNMADE : FOUND_FOREIGN;
}

enum attempt {
	ATTEMPT_DONE,
	ATTEMPT_AGAIN, /* Something was put right. */
	ATTEMPT_FAILED,
};

static enum attempt aside_try(const struct file *file, const char *what,
			      struct sonde__seen_fault *fault)
{
	return set_aside(file, what, fault) ? ATTEMPT_AGAIN : ATTEMPT_FAILED;
}

/* What is not a set becomes one, or goes, while nobody else is inside. */
static enum attempt file_mend(const struct file *file, struct sonde__seen_fault *fault)
{
	enum attempt attempt = ATTEMPT_AGAIN;

	if (!lock(file->fd, 0, /* size= */ 0)) {
		fail(fault, LOCKED, 0);
		return ATTEMPT_FAILED;
	}
	if (is_in_place(file)) {
		enum finding finding = file_judge(file);

		if (finding == FOUND_UNMADE && !file_make(file, fault))
			attempt = ATTEMPT_FAILED;
		else if (finding == FOUND_FOREIGN)
			attempt = aside_try(file, "is damaged or not ours", fault);
	}
	unlock(file->fd);
	return attempt;
}

/* Leaves an open file that is a set; if it says so. */
static enum attempt file_try(struct file *file, struct sonde__seen_fault *fault)
{
	const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	enum attempt attempt = ATTEMPT_DONE;

	file->fd = openat(file->directory, file->name, flags, S_IRUSR | S_IWUSR);
	if (file->fd < 0 && (errno == ELOOP || errno == EISDIR || errno == ENXIO))
		return aside_try(file, "is not a file", fault);
	if (file->fd < 0) {
		fail(fault, "the file cannot be opened", errno);
		return ATTEMPT_FAILED;
	}
	if (!is_regular(file->fd))
		attempt = aside_try(file, "is not a file", fault);
	else if (file_judge(file) != FOUND_GOOD)
		attempt = file_mend(file, fault);
	if (attempt != ATTEMPT_DONE)
		close(file->fd);
	return attempt;
}

static bool file_open(struct file *file, struct sonde__seen_fault *fault)
{
	for (int i = 0; i < OPEN_TRIES; i++) {
		enum attempt attempt = file_try(file, fault);

		if (attempt != ATTEMPT_AGAIN)
			return attempt == ATTEMPT_DONE;
	}
	return fail(fault, "the file comes and goes", 0);
}

/* ---- An entry -------------------------------------------------------------------------------- */

static bool entry_is_valid(const struct sonde__seen_entry *entry)
{
	return entry->fingerprint &&
	       entry->check == check_of(entry, offsetof(struct sonde__seen_entry, check));
}

/* Where the fingerprint is or goes. */
static size_t entry_choose(const struct sonde__seen_entry *bucket, uint64_t fingerprint,
			   bool *ret_is_known)
{
	size_t chosen = 0;

	*ret_is_known = false;
	for (size_t i = 0; i < SONDE__SEEN_WAYS; i++) {
		if (entry_is_valid(&bucket[i]) && bucket[i].fingerprint == fingerprint) {
			*ret_is_known = true;
			return i;
		}
		if (entry_is_valid(&bucket[chosen]) &&
		    (!entry_is_valid(&bucket[i]) || bucket[i].last_s < bucket[chosen].last_s))
			chosen = i;
	}
	return chosen;
}

static bool bucket_read(int fd, off_t at, struct sonde__seen_entry *ret,
			struct sonde__seen_fault *fault)
{
	ssize_t n = pread(fd, ret, BUCKET_SIZE, at);

	if (n != (ssize_t)BUCKET_SIZE)
		return fail(fault, "the file cannot be read", n < 0 ? errno : 0);
	return true;
}

/* Who dies in a write leaves half of one entry; more than that is somebody else's doing. */
static bool bucket_is_damaged(const struct sonde__seen_entry *bucket)
{
	static const struct sonde__seen_entry empty;
	size_t n_spoilt = 0;

	for (size_t i = 0; i < SONDE__SEEN_WAYS; i++)
		n_spoilt += !entry_is_valid(&bucket[i]) &&
			    memcmp(&bucket[i], &empty, sizeof(empty)) != 0;
	return n_spoilt > 1;
}

/* A good header says nothing of what is behind it. False, and no fault: begin again. */
static bool damaged_set_aside(const struct file *file, off_t at, struct sonde__seen_fault *fault)
{
	struct sonde__seen_entry bucket[SONDE__SEEN_WAYS];

	unlock(file->fd);
	if (!lock(file->fd, 0, /* size= */ 0))
		return fail(fault, LOCKED, 0);
	if (is_in_place(file) && bucket_read(file->fd, at, bucket, fault) &&
	    bucket_is_damaged(bucket))
		(void)set_aside(file, "is damaged", fault);
	return false;
}

/* Under the bucket's lock. */
static bool entry_visit(int fd, off_t at, struct sonde__seen_entry *bucket, uint64_t fingerprint,
			sonde__seen_visit_fn *visit, void *user, struct sonde__seen_fault *fault)
{
	struct sonde__seen_entry *entry;
	ssize_t n;
	bool is_known;

	entry = &bucket[entry_choose(bucket, fingerprint, &is_known)];
	if (!is_known)
		*entry = (struct sonde__seen_entry){ .fingerprint = fingerprint };
	visit(user, is_known, entry);
	entry->check = check_of(entry, offsetof(struct sonde__seen_entry, check));
	at += (off_t)((size_t)(entry - bucket) * sizeof(*entry));
	n = pwrite(fd, entry, sizeof(*entry), at);
	if (n != (ssize_t)sizeof(*entry))
		return fail(fault, "the file cannot be written", n < 0 ? errno : 0);
	return true;
}

/* False: begin again, or given up if there is a fault. */
static bool bucket_visit(struct file *file, uint64_t fingerprint, sonde__seen_visit_fn *visit,
			 void *user, struct sonde__seen_fault *fault)
{
	uint64_t index = sonde__mix64(fingerprint) % SONDE__SEEN_BUCKETS;
	off_t at = (off_t)(SONDE__SEEN_HEADER_SIZE + index * BUCKET_SIZE);
	struct sonde__seen_entry bucket[SONDE__SEEN_WAYS];
	bool is_visited = false;

	if (!file_open(file, fault))
		return false;
	if (!lock(file->fd, at, BUCKET_SIZE))
		fail(fault, LOCKED, 0);
	else if (is_in_place(file) && bucket_read(file->fd, at, bucket, fault))
		is_visited = bucket_is_damaged(bucket) ?
				     damaged_set_aside(file, at, fault) :
				     entry_visit(file->fd, at, bucket, fingerprint, visit, user,
						 fault);
	close(file->fd); /* And with it the lock. */
	return is_visited;
}

bool sonde__seen_file_visit(const struct sonde__seen_place *place, uint64_t fingerprint,
			    sonde__seen_visit_fn *visit, void *user,
			    struct sonde__seen_fault *ret_fault)
{
	struct file file = { .name = place->file };
	bool is_visited = false;

	*ret_fault = (struct sonde__seen_fault){ 0 };
	file.directory = sonde__seen_directory_open(place, /* is_made= */ true, ret_fault);
	if (file.directory < 0)
		return false;
	for (int i = 0; i < OPEN_TRIES && !is_visited && !ret_fault->what; i++)
		is_visited = bucket_visit(&file, fingerprint, visit, user, ret_fault);
	if (!is_visited && !ret_fault->what)
		fail(ret_fault, "the file comes and goes", 0);
	close(file.directory);
	return is_visited;
}
