/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boxes of dead processes. One that died keeps its box for recovery, but a service that dies at
 * every start must not fill /dev/shm: so whoever opens a box looks first at what earlier processes
 * of its service left there.
 *
 * There is no memory to collect names in, so the directory is read once for each file that is
 * removed. Nothing in a file is trusted: it is read with pread, since a mapping of a file that
 * somebody cuts off is a SIGBUS, and every figure in it is held against the file's size.
 */

#include "box/dead.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/process.h"
#include "box/file.h"

#define REMOVALS_MAX 64
#define NAME_SIZE 160

enum verdict {
	LEAVE, /* Alive, another service's, or not understood. */
	KEEP, /* Dead: kept while there are not too many. */
	REMOVE, /* Closed in order, or never finished. */
};

struct candidate {
	char name[NAME_SIZE];
	struct timespec changed;
	enum verdict verdict;
	uint32_t n_dead;
};

struct search {
	int directory;
	const struct sonde__box_header *own;
	char prefix[NAME_SIZE];
	size_t prefix_size;
};

/* ---- Counting what goes ---------------------------------------------------------------------- */

static bool read_at(int fd, uint64_t at, void *buffer, size_t size)
{
	return pread(fd, buffer, size, (off_t)at) == (ssize_t)size;
}

static void count_marks(int fd, uint64_t map, uint32_t limit, struct sonde__box_info *info)
{
	uint8_t marks[512];

	for (uint32_t at = 0; at < limit; at += sizeof(marks)) {
		uint32_t n = limit - at < sizeof(marks) ? limit - at : (uint32_t)sizeof(marks);

		if (!read_at(fd, map + at, marks, n))
			return;
		for (uint32_t i = 0; i < n; i++) {
			unsigned kind = marks[i] & SONDE__MARK_KIND;
			unsigned signal = marks[i] & SONDE__MARK_SIGNAL;

			if ((kind == SONDE__MARK_COMMITTED || kind == SONDE__MARK_COLLECTED) &&
			    signal < SONDE_SIGNAL_COUNT)
				info->dead_records[signal]++;
		}
	}
}

/*
 * Whether `n_rings` rings as the header has them fit the file, so that counting them is bounded by
 * it.
 */
static bool shape_is_possible(const struct sonde__ring_shape *shape, uint64_t n_rings,
			      uint64_t file_size)
{
	return n_rings <= SONDE__RINGS_MAX && shape->n_blocks <= SONDE__HEAD_BLOCK_MASK &&
	       shape->block_shift >= SONDE__GRANULE_SHIFT && shape->block_shift < 32 &&
	       shape->n_granules <= SONDE__WORD_MAX &&
	       n_rings * ((uint64_t)shape->n_blocks << shape->block_shift) <= file_size;
}

static void count_ring(int fd, uint64_t ring, const struct sonde__ring_shape *shape,
		       struct sonde__box_info *info)
{
	for (uint32_t i = 0; i < shape->n_blocks; i++) {
		uint64_t map = ring + shape->maps_offset +
			       ((uint64_t)i << (shape->block_shift - SONDE__GRANULE_SHIFT));
		uint64_t word;
		uint32_t limit;

		if (!read_at(fd, ring + shape->blocks_offset + i * sizeof(struct sonde__block),
			     &word, sizeof(word)))
			return;
		limit = (uint32_t)(word & SONDE__WORD_MAX);
		count_marks(fd, map, limit < shape->n_granules ? limit : shape->n_granules, info);
	}
}

static void count_records(int fd, uint64_t file_size, struct sonde__box_info *info)
{
	struct sonde__box_header copy;
	const struct sonde__box_header *header = &copy;

	if (!read_at(fd, 0, &copy, sizeof(copy)) ||
	    !shape_is_possible(&header->ring_shape, header->rings.count, file_size) ||
	    !shape_is_possible(&header->reserve_shape, 1, file_size))
		return;
	for (uint32_t i = 0; i < header->rings.count; i++)
		count_ring(fd, header->rings.offset + (uint64_t)i * header->rings.stride,
			   &header->ring_shape, info);
	count_ring(fd, header->reserve.offset, &header->reserve_shape, info);
}

/* ---- Judging a file -------------------------------------------------------------------------- */

/* A file without a header: its maker died at once, or is at it now. Its name has the pid. */
static enum verdict judge_by_name(const struct search *search, const char *name)
{
	const char *digit = name + search->prefix_size;
	uint64_t pid = 0;

	for (; *digit >= '0' && *digit <= '9' && pid < INT32_MAX; digit++)
		pid = pid * 10 + (uint64_t)(*digit - '0');
	if (*digit != '-' || pid == 0 || pid > INT32_MAX)
		return LEAVE;
	return kill((pid_t)pid, 0) < 0 && errno == ESRCH ? REMOVE : LEAVE;
}

static bool is_alive(int fd, const struct sonde__box_header *theirs,
		     const struct sonde__box_header *own)
{
	if (theirs->pid_namespace == own->pid_namespace)
		return sonde__process_is_alive(&theirs->process);
	/* Their pid means nothing here; the lock that their mapping holds does. */
	return flock(fd, LOCK_EX | LOCK_NB) < 0;
}

static bool header_is_ours(const struct sonde__box_header *theirs,
			   const struct sonde__box_header *own)
{
	return theirs->layout_version == own->layout_version &&
	       theirs->header_size == own->header_size &&
	       memcmp(theirs->service, own->service, sizeof(own->service)) == 0;
}

static enum verdict judge(const struct search *search, int fd, const char *name)
{
	struct sonde__box_header header;
	ssize_t n = pread(fd, &header, sizeof(header), 0);

	if (n == 0)
		return judge_by_name(search, name);
	if (n != (ssize_t)sizeof(header) ||
	    atomic_load_explicit(&header.magic, memory_order_relaxed) !=
		    ~SONDE__BOX_MAGIC_INVERTED ||
	    !header_is_ours(&header, search->own))
		return LEAVE;
	if (is_alive(fd, &header, search->own))
		return LEAVE;
	if (atomic_load_explicit(&header.state, memory_order_relaxed) == SONDE__BOX_STATE_LIVE)
		return KEEP;
	return REMOVE;
}

static int file_open(const struct search *search, const char *name, struct stat *ret)
{
	/* Not blocking: it might be a pipe. */
	int fd = openat(search->directory, name,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0 && fstat(fd, ret) == 0 && S_ISREG(ret->st_mode) && ret->st_uid == geteuid())
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool is_earlier(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static void consider(const struct search *search, const char *name, struct candidate *best)
{
	struct stat status;
	enum verdict verdict;
	int fd;

	if (strncmp(name, search->prefix, search->prefix_size) != 0 || strlen(name) >= NAME_SIZE)
		return;
	fd = file_open(search, name, &status);
	if (fd < 0)
		return;
	verdict = judge(search, fd, name);
	close(fd);
	best->n_dead += verdict == KEEP;
	if (verdict < best->verdict || verdict == LEAVE)
		return;
	if (verdict == best->verdict && !is_earlier(&status.st_ctim, &best->changed))
		return;
	memcpy(best->name, name, strlen(name) + 1);
	best->changed = status.st_ctim;
	best->verdict = verdict;
}

/* ---- The directory --------------------------------------------------------------------------- */

static void find_first(const struct search *search, struct candidate *ret)
{
	_Alignas(struct dirent64) char entries[1024];
	long n;

	ret->verdict = LEAVE;
	ret->n_dead = 0;
	if (lseek(search->directory, 0, SEEK_SET) < 0)
		return;
	while ((n = syscall(SYS_getdents64, search->directory, entries, sizeof(entries))) > 0) {
		for (long at = 0; at < n;) {
			const struct dirent64 *entry = (const struct dirent64 *)(entries + at);

			consider(search, entry->d_name, ret);
			at += entry->d_reclen;
		}
	}
}

/*
 * Of several processes that see the same file, the one whose unlink succeeds counts what was in it.
 */
static bool remove_one(const struct search *search, const struct candidate *candidate,
		       struct sonde__box_info *info)
{
	struct stat status;
	int fd = file_open(search, candidate->name, &status);
	bool is_removed = unlinkat(search->directory, candidate->name, 0) == 0;

	if (is_removed && fd >= 0 && candidate->verdict == KEEP) {
		info->n_dead_removed++;
		count_records(fd, (uint64_t)status.st_size, info);
	}
	if (fd >= 0)
		close(fd);
	return is_removed || errno == ENOENT;
}

void sonde__box_dead_remove(int directory, const struct sonde__box_header *header, uint32_t max,
			    struct sonde__box_info *info)
{
	struct search search = { .directory = directory, .own = header };
	struct sonde__line prefix = sonde__line_begin(search.prefix, sizeof(search.prefix));

	sonde__box_file_prefix(header->service, &prefix);
	search.prefix_size = prefix.size;
	for (int i = 0; i < REMOVALS_MAX; i++) {
		struct candidate candidate;

		find_first(&search, &candidate);
		if (candidate.verdict == LEAVE ||
		    (candidate.verdict == KEEP && candidate.n_dead <= max))
			return;
		if (!remove_one(&search, &candidate, info))
			return;
	}
}

bool sonde__box_dead_take(const char *path, struct sonde__box_info *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct sonde__box_header header;
	struct stat status;
	bool is_taken = false;

	if (fd < 0)
		return false;
	if (fstat(fd, &status) == 0 && read_at(fd, 0, &header, sizeof(header)) &&
	    atomic_load_explicit(&header.magic, memory_order_relaxed) ==
		    ~SONDE__BOX_MAGIC_INVERTED &&
	    !is_alive(fd, &header, /* own= */ &header) && unlink(path) == 0) {
		count_records(fd, (uint64_t)status.st_size, ret);
		is_taken = true;
	}
	close(fd);
	return is_taken;
}
