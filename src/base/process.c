/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mark: a word in a private page that the kernel zeroes in every child that does not share our
 * memory. Before sonde__process_init it is a static word that is never zero, so that the test needs
 * no "is it there" of its own. On kernels without MADV_WIPEONFORK (before 4.14) the static word
 * stays, and a fork handler zeroes it; a raw clone goes unnoticed there.
 *
 * Identity: a pid is used again, a pid with the start time of its process is not, and both mean
 * nothing after a reboot, hence the boot id. Everything below sonde__process_identify is plain
 * system calls on stack memory, because crash and fork paths call it.
 *
 * The key is both in one word: 22 bits of pid, which is all that the kernel gives out, and 42 of
 * start time, which at 100 ticks a second are 1,394 years. Its cache is in the wiped page, and so
 * no child ever takes its parent's for its own.
 */

#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sonde/base.h>

#include "base/testpoint.h"

#define KEY_PID_BITS 22

struct wiped_page {
	uint32_t mark;
	uint32_t reserved;
	uint64_t key; /* 0: not asked for in this process. */
};

static uint32_t static_mark = 1;
static uint64_t static_key; /* Before there is a page: never cached. */
static uint64_t *key_cache = &static_key;
static uint8_t boot_id_cache[16];
static bool boot_id_known;

const uint32_t *sonde__process_mark = &static_mark;

static void mark_reset(void)
{
	__atomic_store_n(&static_mark, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&static_key, 0, __ATOMIC_RELAXED);
}

/* NULL where the kernel cannot wipe. */
static struct wiped_page *wiped_page_map(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  /* fd= */ -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	/* Who accepts any advice heeds none: so does qemu-user, and children would write as us. */
	if (madvise(page, size, /* advice= */ -1) == 0 ||
	    madvise(page, size, MADV_WIPEONFORK) < 0) {
		munmap(page, size);
		return NULL;
	}
	return page;
}

static void boot_id_read(uint8_t ret[16]);

static int init_status;
static bool forks_are_seen; /* By a page or by a handler. Release, R3, partner A3. */

static void init_once(void)
{
	struct wiped_page *page;

	boot_id_read(boot_id_cache);
	boot_id_known = true;
	page = wiped_page_map();
	if (page) {
		/* Relaxed: readers reach the words through the pointers alone. */
		__atomic_store_n(&page->mark, 1, __ATOMIC_RELAXED);
		/*
		 * R2, partner A2 in sonde__process_key: or the page may be seen before it is
		 * mapped.
		 */
		__atomic_store_n(&key_cache, &page->key, __ATOMIC_RELEASE);
		/* R1, partner A1 in sonde__process_word. */
		__atomic_store_n(&sonde__process_mark, &page->mark, __ATOMIC_RELEASE);
	} else if (pthread_atfork(/* prepare= */ NULL, /* parent= */ NULL, mark_reset) != 0) {
		init_status = SONDE_E_NOMEM;
		return;
	}
	__atomic_store_n(&forks_are_seen, true, __ATOMIC_RELEASE);
}

int sonde__process_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_once);
	return init_status;
}

void sonde__process_adopt(void)
{
	/* Ordinary memory, copied by fork: the child counts on from its parent's number. */
	static uint32_t generation = 1;

	/* The cast is right: both words that the pointer may hold are writable, and ours. */
	union {
		const uint32_t *shown;
		uint32_t *own;
	} mark = { .shown = __atomic_load_n(&sonde__process_mark, __ATOMIC_RELAXED) };

	/* Relaxed: a statement about this process, which publishes nothing else. */
	if (__atomic_load_n(mark.own, __ATOMIC_RELAXED) == 0)
		__atomic_store_n(mark.own, __atomic_add_fetch(&generation, 1, __ATOMIC_RELAXED),
				 __ATOMIC_RELAXED);
}

/* Reads up to size - 1 bytes and ends them with a zero; the length, or -1. */
static ssize_t file_read(const char *path, char *buffer, size_t size)
{
	size_t done = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -1;
	while (done < size - 1) {
		ssize_t n = read(fd, buffer + done, size - 1 - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			break;
	}
	close(fd);
	buffer[done] = '\0';
	return (ssize_t)done;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* All zero where it cannot be read. */
static void boot_id_read(uint8_t ret[16])
{
	char text[64];
	size_t n_digits = 0;

	memset(ret, 0, 16);
	if (file_read("/proc/sys/kernel/random/boot_id", text, sizeof(text)) < 0)
		return;
	for (const char *c = text; *c && n_digits < 32; c++) {
		int digit = hex_digit(*c);

		if (digit < 0)
			continue;
		ret[n_digits / 2] = (uint8_t)(ret[n_digits / 2] << 4 | digit);
		n_digits++;
	}
}

/* "/proc/<pid>/stat" */
static void stat_path(pid_t pid, char ret[32])
{
	char digits[12];
	size_t n = 0;

	memcpy(ret, "/proc/", 6);
	do {
		digits[n++] = (char)('0' + pid % 10);
		pid /= 10;
	} while (pid > 0);
	for (size_t i = 0; i < n; i++)
		ret[6 + i] = digits[n - 1 - i];
	memcpy(ret + 6 + n, "/stat", 6);
}

struct process_stat {
	char state;
	uint64_t n_threads;
	uint64_t start_time;
};

/* Fields 3, 20 and 22 of proc(5)'s stat. The name in field 2 may hold anything, also ") R 1". */
static bool stat_read(pid_t pid, struct process_stat *ret)
{
	char path[32];
	char text[1024];
	const char *c;
	unsigned field = 3;
	uint64_t number = 0;

	if (pid <= 0)
		return false;
	stat_path(pid, path);
	if (file_read(path, text, sizeof(text)) <= 0)
		return false;
	c = strrchr(text, ')');
	if (!c || c[1] != ' ' || !c[2])
		return false;
	c += 2;
	ret->state = *c;
	for (; *c && field <= 22; c++) {
		if (*c >= '0' && *c <= '9')
			number = number * 10 + (uint64_t)(*c - '0');
		if (*c != ' ')
			continue;
		if (field == 20)
			ret->n_threads = number;
		if (field == 22)
			ret->start_time = number;
		number = 0;
		field++;
	}
	return field > 22;
}

static void boot_id_get(uint8_t ret[16])
{
	if (boot_id_known)
		memcpy(ret, boot_id_cache, sizeof(boot_id_cache));
	else
		boot_id_read(ret);
}

void sonde__process_identify(pid_t pid, struct sonde__process_id *ret)
{
	int saved_errno = errno;
	struct process_stat stat;

	memset(ret, 0, sizeof(*ret));
	ret->pid = (int32_t)pid;
	if (stat_read(pid, &stat))
		ret->start_time = stat.start_time;
	boot_id_get(ret->boot_id);
	errno = saved_errno;
}

/* Where /proc does not answer: not mounted, or it hides other users' processes. */
static bool pid_exists(pid_t pid)
{
	return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

static bool process_is_alive(const struct sonde__process_id *id)
{
	static const uint8_t no_boot_id[16];
	struct process_stat stat;
	uint8_t boot_id[16];

	boot_id_get(boot_id);
	if (memcmp(id->boot_id, no_boot_id, sizeof(boot_id)) != 0 &&
	    memcmp(boot_id, no_boot_id, sizeof(boot_id)) != 0 &&
	    memcmp(id->boot_id, boot_id, sizeof(boot_id)) != 0)
		return false;
	if (!stat_read(id->pid, &stat))
		return pid_exists(id->pid);
	if (id->start_time != 0 && id->start_time != stat.start_time)
		return false;
	/* A main thread that left by pthread_exit shows as a zombie while the others go on. */
	return stat.n_threads > 1 || (stat.state != 'Z' && stat.state != 'X' && stat.state != 'x');
}

bool sonde__process_is_alive(const struct sonde__process_id *id)
{
	int saved_errno = errno;
	bool is_alive = process_is_alive(id);

	errno = saved_errno;
	return is_alive;
}

static uint64_t key_make(const struct sonde__process_id *id)
{
	return (uint64_t)(uint32_t)id->pid | id->start_time << KEY_PID_BITS;
}

uint64_t sonde__process_key(void)
{
	/* A2, partner R2 in init_once. */
	uint64_t *cache = __atomic_load_n(&key_cache, __ATOMIC_ACQUIRE);
	/* Relaxed, all: the word is all there is to know. */
	uint64_t key = __atomic_load_n(cache, __ATOMIC_RELAXED);
	struct sonde__process_id id;
	uint64_t first = 0;

	if (SONDE__LIKELY(key))
		return key;
	sonde__process_identify(getpid(), &id);
	key = key_make(&id);
	SONDE__TESTPOINT("process:identified");
	/*
	 * Before sonde__process_init nothing would tell a child that it is not its own. The first
	 * one stays: where /proc did not answer one of two threads, they would sign differently.
	 */
	if (__atomic_load_n(&forks_are_seen, __ATOMIC_ACQUIRE) /* A3 */ &&
	    !__atomic_compare_exchange_n(cache, &first, key, /* weak= */ false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return first;
	return key;
}

bool sonde__process_key_is_alive(uint64_t key)
{
	struct sonde__process_id id = {
		.pid = (int32_t)(key & ((UINT64_C(1) << KEY_PID_BITS) - 1)),
		.start_time = key >> KEY_PID_BITS,
	};

	return key != 0 && sonde__process_is_alive(&id);
}
