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
#define LINES_MAX 32
#define LINE_SIZE 256
#define TAB 8

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

/* The lines of a window, each cut to LINE_SIZE: the rest would be blanks, or is too much. */
struct window {
	uint32_t first;
	uint32_t last;
	uint32_t number; /* Of the line that is being read. */
	char lines[LINES_MAX][LINE_SIZE];
	size_t sizes[LINES_MAX]; /* May be more than there is. */
	uint32_t n_lines; /* That were begun. */
};

static void window_put(struct window *window, char c)
{
	uint32_t index = window->number - window->first;
	size_t *size = &window->sizes[index];

	if (index == window->n_lines)
		window->sizes[window->n_lines++] = 0;
	if (*size >= LINE_SIZE)
		return;
	/* Tabs as wide as they are shown, so that the lines stand below each other. */
	if (c == '\t')
		for (size_t n = TAB - *size % TAB; n > 0 && *size < LINE_SIZE; n--)
			window->lines[index][(*size)++] = ' ';
	else
		window->lines[index][(*size)++] = (unsigned char)c < ' ' || c == 0x7f ? ' ' : c;
}

/* Goes through a chunk; true: the last line is complete. */
static bool chunk_read(struct window *window, const char *chunk, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (window->number >= window->first)
			window_put(window, chunk[i]);
		if (chunk[i] != '\n')
			continue;
		if (window->number == window->last)
			return true;
		window->number++;
	}
	return false;
}

/* False: it is no text. What is behind the window is not looked at. */
static bool window_read(struct window *window, int fd)
{
	static char chunk[CHUNK]; /* One thread at a time; not for the stack. */
	size_t left = FILE_SIZE_MAX; /* The file may be growing. */
	ssize_t n;

	window->number = 1;
	window->n_lines = 0;
	do {
		n = read(fd, chunk, sizeof(chunk));
		if (n > 0 && memchr(chunk, '\0', (size_t)n))
			return false;
		if (n > 0 && chunk_read(window, chunk, (size_t)n))
			return true;
		left -= n > 0 && (size_t)n < left ? (size_t)n : left;
	} while (n > 0 && left > 0);
	return true;
}

static size_t indent_of(const struct window *window, uint32_t index)
{
	size_t n = 0;

	while (n < window->sizes[index] && window->lines[index][n] == ' ')
		n++;
	return n;
}

/* Drops the blanks behind each line; returns how many all begin with that are not empty. */
static size_t window_trim(struct window *window)
{
	size_t common = LINE_SIZE;

	for (uint32_t i = 0; i < window->n_lines; i++) {
		size_t indent = indent_of(window, i);

		while (window->sizes[i] > 0 && window->lines[i][window->sizes[i] - 1] == ' ')
			window->sizes[i]--;
		if (window->sizes[i] && indent < common)
			common = indent;
	}
	return common;
}

/* Writes the lines with newlines between them, whole ones, as long as they fit. */
static void window_write(const struct window *window, size_t indent, char *ret, size_t size)
{
	size_t used = 0;

	for (uint32_t i = 0; i < window->n_lines; i++) {
		size_t skipped = window->sizes[i] ? indent : 0;
		size_t n = window->sizes[i] - skipped;

		if (used + n + 2 > size)
			break;
		if (i > 0)
			ret[used++] = '\n';
		memcpy(ret + used, window->lines[i] + skipped, n);
		used += n;
	}
	ret[used] = '\0';
}

static bool is_source(const struct stat *status, struct timespec built)
{
	return S_ISREG(status->st_mode) && status->st_size <= FILE_SIZE_MAX &&
	       (status->st_mtim.tv_sec < built.tv_sec ||
		(status->st_mtim.tv_sec == built.tv_sec &&
		 status->st_mtim.tv_nsec <= built.tv_nsec));
}

/*
 * Opening a device may do something to it, so it is looked at before, and again when it is open,
 * for it may have been replaced. Links are followed: build trees are full of them.
 */
static int source_open(const char *path, struct timespec built)
{
	struct stat status;
	int fd;

	if (path[0] != '/' || stat(path, &status) != 0 || !is_source(&status, built))
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 && (fstat(fd, &status) != 0 || !is_source(&status, built))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

bool sonde__source_lines(const struct sonde__source_place *place, struct timespec built, char *ret,
			 size_t size, uint32_t *ret_first)
{
	static struct window window; /* One thread at a time; not for the stack. */
	uint32_t n_lines = place->n_lines < LINES_MAX ? place->n_lines : LINES_MAX;
	uint32_t before = n_lines / 2;
	size_t indent;
	bool is_text;
	int fd;

	if (place->line == 0 || n_lines == 0 || size == 0 || place->line > UINT32_MAX - LINES_MAX)
		return false;
	fd = source_open(place->path, built);
	if (fd < 0)
		return false;
	window.first = place->line > before ? place->line - before : 1;
	window.last = place->line + (n_lines - 1 - before);
	is_text = window_read(&window, fd);
	close(fd);
	indent = window_trim(&window);
	if (!is_text || window.n_lines <= place->line - window.first ||
	    !window.sizes[place->line - window.first])
		return false;
	window_write(&window, indent, ret, size);
	*ret_first = window.first;
	return true;
}
