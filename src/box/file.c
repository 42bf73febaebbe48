/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A box must harm nobody. So its file is allocated to the last byte before it is mapped, because a
 * page of a hole that cannot be had later is a SIGBUS in the host; it lies on tmpfs, because a page
 * fault must not wait for a disk; and it lies where nobody else can put, move or replace anything:
 * in a directory of this user's that nobody else can write, opened once, without following a link,
 * and used by its descriptor from there on.
 */

#include "box/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"

#define NAME_ATTEMPTS 8
#define ALLOCATION_STEP (256u * 1024)
#define ALLOCATION_INTERRUPTIONS 200

/* In words for the commonest: strerror is not async-signal-safe. */
static void add_error(struct sonde__line *reason, int error)
{
	switch (error) {
	case ENOSPC:
		sonde__line_add(reason, "no space left");
		return;
	case ENOENT:
		sonde__line_add(reason, "not there");
		return;
	case EACCES:
	case EPERM:
		sonde__line_add(reason, "not permitted");
		return;
	case EROFS:
		sonde__line_add(reason, "read-only");
		return;
	case ELOOP:
	case ENOTDIR:
		sonde__line_add(reason, "a link or not a directory");
		return;
	case EMFILE:
	case ENFILE:
		sonde__line_add(reason, "no descriptor left");
		return;
	case ENOMEM:
		sonde__line_add(reason, "no memory");
		return;
	case EFBIG:
		sonde__line_add(reason, "larger than the file size limit (RLIMIT_FSIZE)");
		return;
	default:
		sonde__line_add(reason, "error ");
		sonde__line_add_number(reason, (uint64_t)error, 10);
	}
}

static void explain(struct sonde__line *reason, const char *what, const char *why, int error)
{
	if (reason->size > 0)
		sonde__line_add(reason, "; ");
	sonde__line_add(reason, what);
	sonde__line_add(reason, ": ");
	if (why)
		sonde__line_add(reason, why);
	else
		add_error(reason, error);
}

/*
 * A service that has closed its standard output gets the number back from the next open, whoever
 * calls it, and prints into what was opened: so what can be written moves away from there.
 */
static int move_from_standard(int fd)
{
	int moved;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (moved < 0)
		return fd;
	close(fd);
	return moved;
}

/* NULL, or what is wrong with it. */
static const char *directory_judge(int fd)
{
	struct stat status;
	struct statfs system;

	if (fstat(fd, &status) < 0 || fstatfs(fd, &system) < 0)
		return "cannot be examined";
	if (status.st_uid != geteuid())
		return "belongs to another user";
	if (status.st_mode & (S_IWGRP | S_IWOTH))
		return "others may write there";
	if ((unsigned long)system.f_type != TMPFS_MAGIC)
		return "not on tmpfs";
	return NULL;
}

int sonde__box_directory_open(const char *path, char ret_path[SONDE__BOX_DIRECTORY_SIZE],
			      struct sonde__line *reason)
{
	struct sonde__line line = sonde__line_begin(ret_path, SONDE__BOX_DIRECTORY_SIZE);
	const char *fault;
	int fd;

	if (path) {
		sonde__line_add(&line, path);
	} else {
		sonde__line_add(&line, "/dev/shm/sonde-");
		sonde__line_add_number(&line, geteuid(), 10);
	}
	/* Later opens, in forked children, may come from another working directory. */
	if (path && path[0] != '/') {
		explain(reason, ret_path, "not an absolute path", 0);
		return -1;
	}
	if (path && path[line.size] != '\0') {
		explain(reason, ret_path, "the path is too long", 0);
		return -1;
	}
	/* Made by us: private from its first moment. There already: judged below. */
	mkdir(ret_path, S_IRWXU);
	fd = open(ret_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		explain(reason, ret_path, NULL, errno);
		return -1;
	}
	fault = directory_judge(fd);
	if (!fault)
		return fd;
	explain(reason, ret_path, fault, 0);
	close(fd);
	return -1;
}

void sonde__box_file_prefix(const char *service, struct sonde__line *name)
{
	sonde__line_add(name, "sonde-");
	for (size_t i = 0; service[i] && i < SONDE__SERVICE_SIZE - 1; i++) {
		char c = service[i];
		bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
				(c >= '0' && c <= '9') || c == '.' || c == '_';

		sonde__line_add_char(name, is_plain ? c : '_');
	}
	sonde__line_add_char(name, '-');
}

static void name_make(const struct sonde__box_header *header, struct sonde__line *name)
{
	uint64_t suffix;

	/* Only against collisions: the directory keeps strangers out. */
	if (sonde__random_bytes(&suffix, sizeof(suffix)) < 0)
		suffix = sonde__mix64(sonde__monotonic_ns());
	name->size = 0;
	sonde__box_file_prefix(header->service, name);
	sonde__line_add_number(name, (uint64_t)header->process.pid, 10);
	sonde__line_add_char(name, '-');
	sonde__line_add_number(name, suffix, 16);
	sonde__line_add(name, ".box");
}

/* Past the limit a file's growth would raise SIGXFSZ, which kills. */
static bool is_size_allowed(uint64_t size)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
	       size <= limit.rlim_cur;
}

/*
 * In steps, and each again where a signal came between: tmpfs gives up on any pending one, and a
 * profiler's would stop a large allocation for ever.
 */
static int allocate(int fd, uint64_t size)
{
	int n_interruptions = 0;

	if (!is_size_allowed(size)) {
		errno = EFBIG;
		return -1;
	}
	for (uint64_t at = 0; at < size;) {
		uint64_t step = size - at < ALLOCATION_STEP ? size - at : ALLOCATION_STEP;

		if (fallocate(fd, /* mode= */ 0, (off_t)at, (off_t)step) == 0)
			at += step;
		else if (errno != EINTR || ++n_interruptions > ALLOCATION_INTERRUPTIONS)
			return -1;
	}
	return 0;
}

static int header_write(int fd, const struct sonde__box_header *header)
{
	ssize_t n = pwrite(fd, header, sizeof(*header), 0);

	if (n == (ssize_t)sizeof(*header))
		return 0;
	if (n >= 0)
		errno = ENOSPC;
	return -1;
}

int sonde__box_file_create(int directory, const struct sonde__box_header *header,
			   struct sonde__line *name, struct sonde__line *reason)
{
	int fd = -1;

	for (int i = 0; i < NAME_ATTEMPTS && fd < 0 && (i == 0 || errno == EEXIST); i++) {
		name_make(header, name);
		fd = openat(directory, name->data,
			    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
	}
	if (fd < 0) {
		explain(reason, "the file", NULL, errno);
		return -1;
	}
	fd = move_from_standard(fd);
	/*
	 * The lock lives as long as the mapping does, without a descriptor: it tells those who
	 * cannot see our pid (another pid namespace) that the box is in use.
	 */
	flock(fd, LOCK_EX | LOCK_NB);
	/* The header first, so that a file that is left half made says whose it was. */
	if (is_size_allowed(header->box_size) && header_write(fd, header) == 0 &&
	    allocate(fd, header->box_size) == 0)
		return fd;
	explain(reason, "the file", NULL, is_size_allowed(header->box_size) ? errno : EFBIG);
	unlinkat(directory, name->data, 0);
	close(fd);
	return -1;
}

int sonde__box_memfd_create(const struct sonde__box_header *header, struct sonde__line *reason)
{
	int fd = move_from_standard(memfd_create("sonde", MFD_CLOEXEC | MFD_ALLOW_SEALING));

	if (fd < 0) {
		explain(reason, "memfd", NULL, errno);
		return -1;
	}
	/*
	 * Sealed: whoever gets hold of it by /proc can read and write, but not cut it off under us.
	 */
	if (allocate(fd, header->box_size) == 0 && header_write(fd, header) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	explain(reason, "memfd", NULL, errno);
	close(fd);
	return -1;
}
