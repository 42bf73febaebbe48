/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Names of files: a service's name with whatever is in it, kept apart from all others. And the
 * directory they are in, into which nobody else may put anything.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/hash.h"
#include "pipeline/seen_file.h"

#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xff534d42
#endif

#define NAME_MAX_SIZE 80
#define SEED UINT64_C(0x736f6e64652d706c)

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '.';
}

/* As it is, if it can be; else what can be of it, and a hash. */
static void name_make(struct sonde_text service, char ret[NAME_MAX_SIZE + 18])
{
	bool is_changed = service.size == 0 || service.size > NAME_MAX_SIZE;
	size_t n = 0;

	for (; n < service.size && n < NAME_MAX_SIZE; n++) {
		char c = service.data[n];
		bool is_kept = is_plain(c) && !(n == 0 && c == '.');

		ret[n] = is_kept ? c : '_';
		is_changed |= !is_kept;
	}
	ret[n] = '\0';
	if (is_changed)
		snprintf(ret + n, 18, "-%016llx",
			 (unsigned long long)sonde__hash_bytes(SEED, service.data, service.size));
}

bool sonde__seen_place_init(struct sonde__seen_place *place, const char *directory,
			    struct sonde_text service, struct sonde_text release)
{
	size_t size = directory ? strlen(directory) : 0;
	char name[NAME_MAX_SIZE + 18];

	memset(place, 0, sizeof(*place));
	name_make(service, name);
	snprintf(place->file, sizeof(place->file), "%s.seen", name);
	snprintf(place->marks, sizeof(place->marks), "%s.resolved", name);
	snprintf(place->release, sizeof(place->release), "%.*s", (int)release.size, release.data);
	if (release.size)
		place->release_hash =
			(uint32_t)sonde__hash_bytes(SEED, release.data, release.size) | 1;
	if (!size || directory[0] != '/' || size >= sizeof(place->directory))
		return false;
	memcpy(place->directory, directory, size + 1);
	return true;
}

/* Makes what is missing of the path, but nothing at the root: a home that is not there stays so. */
static void path_make(const char *path)
{
	char part[SONDE__SEEN_PATH_SIZE];
	size_t depth = 0;

	for (size_t i = 0; path[i] && i < sizeof(part) - 1; i++) {
		bool is_end = i > 0 && (path[i + 1] == '/' || path[i + 1] == '\0') &&
			      path[i] != '/';

		part[i] = path[i];
		if (!is_end)
			continue;
		part[i + 1 < sizeof(part) ? i + 1 : i] = '\0';
		if (depth++ > 0)
			(void)mkdir(part, S_IRWXU);
	}
}

/* NULL: a directory to keep state in. */
static const char *directory_judge(int fd)
{
	struct stat status;
	struct statfs system;

	if (fstat(fd, &status) < 0 || fstatfs(fd, &system) < 0)
		return "the directory cannot be examined";
	if (status.st_uid != geteuid())
		return "the directory belongs to another user";
	if (status.st_mode & (S_IWGRP | S_IWOTH))
		return "others may write in the directory";
	switch ((unsigned long)system.f_type) {
	case NFS_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
		return "the directory is on another machine, which may not answer";
	default:
		return NULL;
	}
}

int sonde__seen_directory_open(const struct sonde__seen_place *place, bool is_made,
			       struct sonde__seen_fault *ret_fault)
{
	const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = open(place->directory, flags);
	const char *what;

	if (fd < 0 && errno == ENOENT && is_made) {
		path_make(place->directory);
		fd = open(place->directory, flags);
	}
	if (fd < 0) {
		*ret_fault = (struct sonde__seen_fault){ "the directory cannot be opened", errno };
		return -1;
	}
	what = directory_judge(fd);
	if (!what)
		return fd;
	close(fd);
	*ret_fault = (struct sonde__seen_fault){ what, 0 };
	return -1;
}
