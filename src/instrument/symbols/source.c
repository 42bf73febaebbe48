/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A file with the name that the compiler was given is the source only if it was not written after
 * the program was: a line of another version would be worse than none.
 */

#include "source.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 1024
#define FILE_SIZE_MAX (8 * 1024 * 1024)
#define CHUNK 16384

/* Appends a part of the path; ".." takes the last one back. */
static size_t part_append(char *path, size_t length, const char *part, size_t size)
{
	if (size == 0 || (size == 1 && part[0] == '.'))
		return length;
	if (size == 2 && part[0] == '.' && part[1] == '.' && length > 0) {
		const char *slash = memrchr(path, '/', length);

		if (slash && strcmp(slash, "/..") != 0) {
			path[slash - path] = '\0';
			return (size_t)(slash - path);
		}
	}
	if (length + 1 + size + 1 > PATH_SIZE)
		return length;
	path[length++] = '/';
	memcpy(path + length, part, size);
	path[length + size] = '\0';
	return length + size;
}

/* Every part has a slash before it; a relative path loses the first one in the end. */
static void path_tidy(const char *path, char ret[PATH_SIZE])
{
	bool is_absolute = path[0] == '/';
	size_t length = 0;

	ret[0] = '\0';
	while (*path) {
		size_t size = strcspn(path, "/");

		length = part_append(ret, length, path, size);
		path += size;
		path += *path == '/';
	}
	if (!is_absolute && length > 0)
		memmove(ret, ret + 1, length);
}

void sonde__source_name(const char *path, const char *folder, char *ret, size_t size)
{
	char tidy[PATH_SIZE];
	char root[PATH_SIZE] = "";
	const char *name = tidy;
	size_t length;

	path_tidy(path, tidy);
	if (folder)
		path_tidy(folder, root);
	length = strlen(root);
	if (length > 1 && strncmp(tidy, root, length) == 0 && tidy[length] == '/')
		name = tidy + length + 1;
	length = strlen(name);
	if (length < size)
		memcpy(ret, name, length + 1);
	else
		snprintf(ret, size, "…%s", name + length - (size - sizeof("…")));
}

/* Copies a line without blanks around it; what does not print counts as a blank. */
static void line_copy(const char *line, size_t n, char *ret, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < n && used + 1 < size; i++) {
		unsigned char c = (unsigned char)line[i];

		if (c > ' ' && c != 0x7f)
			ret[used++] = (char)c;
		else if (used > 0)
			ret[used++] = ' ';
	}
	while (used > 0 && ret[used - 1] == ' ')
		used--;
	ret[used] = '\0';
}

struct lines {
	int fd;
	char chunk[CHUNK];
	char line[512];
	size_t line_size; /* May be more than there is. */
	uint32_t number; /* Of the line that is being read. */
};

/* Goes through a chunk; true: the line is complete. */
static bool chunk_read(struct lines *lines, size_t n, uint32_t wanted)
{
	for (size_t i = 0; i < n; i++) {
		char c = lines->chunk[i];

		if (lines->number == wanted && c == '\n')
			return true;
		if (lines->number == wanted && lines->line_size < sizeof(lines->line))
			lines->line[lines->line_size++] = c;
		lines->number += c == '\n';
	}
	return false;
}

static bool line_find(struct lines *lines, uint32_t wanted)
{
	ssize_t n;

	lines->number = 1;
	lines->line_size = 0;
	do {
		n = read(lines->fd, lines->chunk, sizeof(lines->chunk));
		if (n > 0 && memchr(lines->chunk, '\0', (size_t)n))
			return false;
		if (n > 0 && chunk_read(lines, (size_t)n, wanted))
			return true;
	} while (n > 0);
	return lines->line_size > 0;
}

static bool is_source(int fd, struct timespec built)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	       status.st_size <= FILE_SIZE_MAX &&
	       (status.st_mtim.tv_sec < built.tv_sec ||
		(status.st_mtim.tv_sec == built.tv_sec &&
		 status.st_mtim.tv_nsec <= built.tv_nsec));
}

bool sonde__source_line(const char *path, uint32_t line, struct timespec built, char *ret,
			size_t size)
{
	static struct lines lines; /* One thread at a time; not for the stack. */
	char text[512];
	bool found;

	if (path[0] != '/' || line == 0 || size == 0)
		return false;
	lines.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (lines.fd < 0)
		return false;
	found = is_source(lines.fd, built) && line_find(&lines, line);
	close(lines.fd);
	if (!found)
		return false;
	line_copy(lines.line, lines.line_size, text, sizeof(text));
	snprintf(ret, size, "%s", text);
	return ret[0] != '\0';
}
