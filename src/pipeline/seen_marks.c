/* SPDX-License-Identifier: Apache-2.0 */

/* Reading what people wrote: a line at a time, and what is not a mark is passed over. */

#include "pipeline/seen_marks.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

#define CHUNK 4096
#define MARKS_MAX (256 * 1024)
#define LINE_MAX_SIZE 128
#define SEED UINT64_C(0x736f6e64652d6d6b)

uint64_t sonde__seen_marks_stamp(const struct sonde__seen_place *place)
{
	char path[SONDE__SEEN_PATH_SIZE + SONDE__SEEN_NAME_SIZE];
	size_t size = strlen(place->directory);
	struct stat status;
	uint64_t stamp;

	memcpy(path, place->directory, size);
	path[size] = '/';
	memcpy(path + size + 1, place->marks, strlen(place->marks) + 1);
	if (lstat(path, &status) != 0 || !S_ISREG(status.st_mode))
		return 0;
	stamp = sonde__hash_word((uint64_t)status.st_ino, (uint64_t)status.st_size);
	stamp = sonde__hash_word(stamp, (uint64_t)status.st_mtim.tv_sec);
	return sonde__hash_word(stamp, (uint64_t)status.st_mtim.tv_nsec) | 1;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The next word from *at on, without spaces around it. */
static struct sonde_text word_next(const char **at, const char *end)
{
	struct sonde_text word;

	while (*at < end && is_space(**at))
		++*at;
	word.data = *at;
	while (*at < end && !is_space(**at) && **at != '#')
		++*at;
	word.size = (size_t)(*at - word.data);
	return word;
}

static bool read_fingerprint(struct sonde_text word, uint64_t *ret)
{
	uint64_t number = 0;

	if (word.size == 0 || word.size > 16)
		return false;
	for (size_t i = 0; i < word.size; i++) {
		int digit = digit_of(word.data[i]);

		if (digit < 0)
			return false;
		number = number << 4 | (uint64_t)digit;
	}
	*ret = number;
	return true;
}

/* What a search goes through the file with. */
struct search {
	uint64_t fingerprint;
	uint32_t n_found;
	struct sonde__seen_mark mark;
};

static void take_line(struct search *search, const char *line, size_t size)
{
	const char *end = line + size;
	struct sonde_text word = word_next(&line, end);
	uint64_t fingerprint;

	if (!read_fingerprint(word, &fingerprint) || fingerprint != search->fingerprint)
		return;
	word = word_next(&line, end);
	if (word.size >= sizeof(search->mark.release))
		return;
	search->n_found++;
	memset(search->mark.release, 0, sizeof(search->mark.release));
	memcpy(search->mark.release, word.data, word.size);
	search->mark.hash =
		(uint32_t)sonde__hash_bytes(SEED ^ search->n_found, word.data, word.size) | 1;
}

/* Takes the lines of a chunk; returns how much of its end is the beginning of a line. */
static size_t take_lines(struct search *search, char *chunk, size_t size)
{
	const char *at = chunk;
	const char *end = chunk + size;
	const char *newline;
	size_t left;

	while ((newline = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		take_line(search, at, (size_t)(newline - at));
		at = newline + 1;
	}
	left = (size_t)(end - at);
	/* A line that is longer is none of ours: what is kept of it cannot be read as one. */
	if (left > LINE_MAX_SIZE) {
		memset(chunk, '?', LINE_MAX_SIZE);
		return LINE_MAX_SIZE;
	}
	memmove(chunk, at, left);
	return left;
}

static void search_file(struct search *search, int fd)
{
	char chunk[LINE_MAX_SIZE + CHUNK];
	size_t left = 0;
	off_t at = 0;
	ssize_t n;

	while (at < MARKS_MAX && (n = pread(fd, chunk + left, CHUNK, at)) > 0) {
		at += n;
		left = take_lines(search, chunk, left + (size_t)n);
	}
	take_line(search, chunk, left);
}

bool sonde__seen_mark_find(const struct sonde__seen_place *place, uint64_t fingerprint,
			   struct sonde__seen_mark *ret)
{
	struct search search = { .fingerprint = fingerprint };
	struct sonde__seen_fault fault;
	int directory = sonde__seen_directory_open(place, /* is_made= */ false, &fault);
	struct stat status;
	int fd;

	if (directory < 0)
		return false;
	fd = openat(directory, place->marks,
		    O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		search_file(&search, fd);
	if (fd >= 0)
		close(fd);
	close(directory);
	if (!search.n_found)
		return false;
	*ret = search.mark;
	return true;
}
