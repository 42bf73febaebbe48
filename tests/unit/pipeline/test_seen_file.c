/* SPDX-License-Identifier: Apache-2.0 */

/* Files and directories of any kind, full disks, and many processes that live and die at once. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "seen_rig.h"

/* ---- What may be in the way ------------------------------------------------------------------ */

/* Whatever is there instead of a set goes aside, is said, and a new set is begun. */
static void expect_set_aside(void)
{
	seen_said[0] = '\0';
	assert_int_equal(fresh_answer("1", 7, START), 'f');
	assert_int_equal(fresh_answer("1", 7, START), 'k');
	assert_int_equal(times_said("was set aside as checkout.seen.bad"), 1);
	assert_int_equal(size_of("checkout.seen"), FILE_SIZE);
	assert_true(size_of("checkout.seen.bad") >= 0);
}

static void test_damaged_files(void **state)
{
	(void)state;
	write_file("checkout.seen", "hello", "w");
	expect_set_aside();
	/* Cut and lengthened by somebody. */
	assert_int_equal(truncate(path_of("checkout.seen"), 10000), 0);
	expect_set_aside();
	assert_int_equal(truncate(path_of("checkout.seen"), FILE_SIZE + 1), 0);
	expect_set_aside();
	/* A header that is nearly right. */
	write_file("checkout.seen", "Sonde", "r+");
	expect_set_aside();
	unlink(path_of("checkout.seen"));
	unlink(path_of("checkout.seen.bad"));
	assert_int_equal(symlink("/etc/passwd", path_of("checkout.seen")), 0);
	expect_set_aside();
	unlink(path_of("checkout.seen"));
	assert_int_equal(mkfifo(path_of("checkout.seen"), 0600), 0);
	expect_set_aside();
	unlink(path_of("checkout.seen"));
	unlink(path_of("checkout.seen.bad"));
	assert_int_equal(mkdir(path_of("checkout.seen"), 0700), 0);
	expect_set_aside();
}

static void test_unmade_files(void **state)
{
	(void)state;
	/* Those who made them died before the header was there. */
	write_file("checkout.seen", "", "w");
	assert_int_equal(fresh_answer("1", 7, START), 'f');
	assert_int_equal(fresh_answer("1", 7, START), 'k');
	unlink(path_of("checkout.seen"));
	write_file("checkout.seen", "", "w");
	assert_int_equal(truncate(path_of("checkout.seen"), 5000), 0);
	assert_int_equal(fresh_answer("1", 7, START), 'f');
	assert_int_equal(fresh_answer("1", 7, START), 'k');
	assert_int_equal(size_of("checkout.seen"), FILE_SIZE);
	assert_string_equal(seen_said, "");
}

static void test_damaged_entries(void **state)
{
	uint8_t noise[512];
	int fd;

	(void)state;
	assert_int_equal(fresh_answer("1", 7, START), 'f');
	fd = open(path_of("checkout.seen"), O_WRONLY);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 37);
	for (off_t at = 512; at < FILE_SIZE; at += (off_t)sizeof(noise))
		assert_int_equal(pwrite(fd, noise, sizeof(noise), at), sizeof(noise));
	close(fd);
	expect_set_aside();
}

/* Half an entry is what somebody left who was killed: it counts as none, and is no damage. */
static void test_half_an_entry(void **state)
{
	uint8_t noise[16];
	int fd;

	(void)state;
	assert_int_equal(fresh_answer("1", 7, START), 'f');
	fd = open(path_of("checkout.seen"), O_WRONLY);
	memset(noise, 0x55, sizeof(noise));
	for (off_t at = 512; at < FILE_SIZE; at += 512)
		assert_int_equal(pwrite(fd, noise, sizeof(noise), at), sizeof(noise));
	close(fd);
	assert_int_equal(fresh_answer("1", 7, START), 'f');
	assert_int_equal(fresh_answer("1", 7, START), 'k');
	assert_string_equal(seen_said, "");
}

/* A process that knows a bug does not announce it because somebody took the file away. */
static void test_file_goes_while_in_use(void **state)
{
	struct sonde__seen seen;

	(void)state;
	open_at(&seen, seen_directory, "1");
	assert_int_equal(answer_of(&seen, 7, START), 'f');
	assert_int_equal(unlink(path_of("checkout.seen")), 0);
	assert_int_equal(answer_of(&seen, 7, START + 7200), 'k');
	assert_int_equal(fresh_answer("1", 7, START + 7201), 'k');
	assert_int_equal(truncate(path_of("checkout.seen"), 100), 0);
	assert_int_equal(answer_of(&seen, 7, START + 4 * 3600), 'k');
	assert_int_equal(answer_of(&seen, 8, START + 4 * 3600), 'f');
	assert_int_equal(times_said("set aside"), 1);
	sonde__seen_deinit(&seen);
}

static void test_unfit_directories(void **state)
{
	struct sonde__seen seen;

	(void)state;
	assert_int_equal(chmod(seen_directory, 0777), 0);
	open_at(&seen, seen_directory, "1");
	assert_int_equal(answer_of(&seen, 7, START), 'f');
	assert_int_equal(answer_of(&seen, 7, START), 'k');
	assert_int_equal(answer_of(&seen, 8, START + 61), 'f');
	assert_int_equal(times_said("others may write in the directory"), 1);
	assert_int_equal(size_of("checkout.seen"), -1);
	/* Mended by its user: from then on in the file. */
	assert_int_equal(chmod(seen_directory, 0700), 0);
	assert_int_equal(answer_of(&seen, 7, START + 200), 'k');
	assert_int_equal(fresh_answer("1", 7, START + 201), 'k');
	sonde__seen_deinit(&seen);
	assert_int_equal(symlink(seen_directory, path_of("link")), 0);
	open_at(&seen, path_of("link"), "1");
	assert_int_equal(answer_of(&seen, 7, START), 'f');
	assert_int_equal(times_said("cannot be opened"), 1);
	sonde__seen_deinit(&seen);
	open_at(&seen, "relative", "1");
	assert_int_equal(answer_of(&seen, 7, START), 'f');
	assert_int_equal(answer_of(&seen, 8, START), 'f');
	assert_int_equal(times_said("there is no directory for state"), 1);
	sonde__seen_deinit(&seen);
}

static void test_directories_are_made(void **state)
{
	struct sonde__seen seen;
	struct stat status;
	char deep[256];

	(void)state;
	snprintf(deep, sizeof(deep), "%s/.local/state//sonde/", seen_directory);
	open_at(&seen, deep, "1");
	assert_int_equal(answer_of(&seen, 7, START), 'f');
	sonde__seen_deinit(&seen);
	assert_int_equal(lstat(path_of(".local/state/sonde/checkout.seen"), &status), 0);
	assert_int_equal(lstat(path_of(".local/state"), &status), 0);
	assert_int_equal(status.st_mode, S_IFDIR | 0700);
	/* A home that does not exist is not made. */
	open_at(&seen, "/nonexistent-sonde/.local/state/sonde", "1");
	assert_int_equal(answer_of(&seen, 7, START), 'f');
	sonde__seen_deinit(&seen);
	assert_int_equal(access("/nonexistent-sonde", F_OK), -1);
}

/* ---- In processes of their own --------------------------------------------------------------- */

static int run_child(int (*child)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(child());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define NEED(condition) \
	do { \
		if (!(condition)) \
			return __LINE__ % 200 + 1; \
	} while (0)
#define CANNOT_TEST 255

/* A child's: it leaves without a farewell, and what it holds stays reachable. */
static struct sonde__seen seen_by_child;

static int child_with_limit(void)
{
	struct rlimit limit = { .rlim_cur = 4096, .rlim_max = 4096 };

	setrlimit(RLIMIT_FSIZE, &limit);
	open_at(&seen_by_child, seen_directory, "1");
	NEED(answer_of(&seen_by_child, 7, START) == 'f');
	NEED(answer_of(&seen_by_child, 7, START + 100) == 'k');
	NEED(times_said("the file cannot be made") == 1);
	return 0;
}

/* Growing a file past the limit would be a signal that kills. */
static void test_file_size_limit(void **state)
{
	(void)state;
	assert_int_equal(run_child(child_with_limit), 0);
}

/* A place for mounts of our own, as root or, where users may have namespaces, as anybody. */
static bool enter_mounts(void)
{
	char map[64];
	uid_t self = geteuid();
	int fd;

	if (unshare(CLONE_NEWNS) == 0)
		return true;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
		return false;
	snprintf(map, sizeof(map), "%u %u 1", (unsigned)self, (unsigned)self);
	fd = open("/proc/self/uid_map", O_WRONLY);
	return fd >= 0 && write(fd, map, strlen(map)) == (ssize_t)strlen(map) && close(fd) == 0;
}

static int child_on_a_full_disk(void)
{
	char block[4096] = "x";
	int fd;

	if (!enter_mounts() ||
	    mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("tmpfs", seen_directory, "tmpfs", 0, "size=256k,mode=0700") != 0)
		return CANNOT_TEST;
	fd = open(path_of("filler"), O_WRONLY | O_CREAT, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		;
	open_at(&seen_by_child, seen_directory, "1");
	NEED(answer_of(&seen_by_child, 7, START) == 'f');
	NEED(answer_of(&seen_by_child, 7, START + 1) == 'k');
	NEED(times_said("the file cannot be made: No space left on device") == 1);
	NEED(size_of("checkout.seen") <= 0);
	/* There is room again. */
	NEED(ftruncate(fd, 0) == 0);
	NEED(answer_of(&seen_by_child, 8, START + 120) == 'f');
	NEED(fresh_answer("1", 8, START + 121) == 'k');
	NEED(size_of("checkout.seen") == FILE_SIZE);
	/* Full again: the set has its blocks. */
	while (write(fd, block, sizeof(block)) > 0)
		;
	for (uint64_t i = 100; i < 1000; i++)
		NEED(answer_of(&seen_by_child, i, START + 200) == 'f');
	NEED(fresh_answer("1", 999, START + 201) == 'k');
	return 0;
}

static void test_full_disk(void **state)
{
	int result = run_child(child_on_a_full_disk);

	(void)state;
	if (result == CANNOT_TEST)
		skip();
	assert_int_equal(result, 0);
}

static int child_without_rights(void)
{
	if (geteuid() == 0 && (chown(seen_directory, 65534, 65534) != 0 || setuid(65534) != 0))
		return CANNOT_TEST;
	NEED(chmod(seen_directory, 0500) == 0);
	open_at(&seen_by_child, seen_directory, "1");
	NEED(answer_of(&seen_by_child, 7, START) == 'f');
	NEED(answer_of(&seen_by_child, 7, START + 100) == 'k');
	NEED(answer_of(&seen_by_child, 8, START + 100) == 'f');
	NEED(times_said("the file cannot be opened: Permission denied") == 1);
	return 0;
}

static void test_directory_that_cannot_be_written(void **state)
{
	int result = run_child(child_without_rights);

	(void)state;
	if (result == CANNOT_TEST)
		skip();
	assert_int_equal(result, 0);
}

#define PROCESSES 12
#define BUGS 300

/* Shared with the children: how often each bug was announced. */
static struct {
	_Atomic int times[BUGS];
} *announced;

enum announcement {
	QUIET = 0,
	KEPT_OUT = 1, /* Whoever had the lock was not run for a tenth of a second. */
	FAULT = 2,
};

static int announce_all(void)
{
	struct sonde__seen seen;

	open_at(&seen, seen_directory, "1");
	for (uint64_t i = 0; i < BUGS; i++)
		if (answer_of(&seen, i + 1, START) == 'f')
			atomic_fetch_add_explicit(&announced->times[i], 1, memory_order_relaxed);
	sonde__seen_deinit(&seen);
	if (strlen(seen_said) == 0)
		return QUIET;
	if (times_said("does not let go") == times_said("\n"))
		return KEPT_OUT;
	print_error("%s", seen_said);
	return FAULT;
}

static void announced_new(void)
{
	announced = mmap(NULL, sizeof(*announced), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(announced != MAP_FAILED);
}

/* Whether all of them got in. */
static bool announce_at_once(void)
{
	pid_t pids[PROCESSES];
	bool is_quiet = true;
	int status;

	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(announce_all());
	}
	for (int i = 0; i < PROCESSES; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) != FAULT);
		is_quiet &= WEXITSTATUS(status) == QUIET;
	}
	return is_quiet;
}

/*
 * Each bug is announced, and once; by more than one process only where a machine that is too busy
 * kept somebody out, which he says. Then it is tried again.
 */
static void test_processes_at_once(void **state)
{
	bool is_quiet = false;

	(void)state;
	for (int try = 0; try < 3 && !is_quiet; try++) {
		unlink(path_of("checkout.seen"));
		announced_new();
		is_quiet = announce_at_once();
		for (int i = 0; i < BUGS; i++) {
			int n = atomic_load_explicit(&announced->times[i], memory_order_relaxed);

			assert_in_range(n, 1, is_quiet ? 1 : PROCESSES);
		}
		munmap(announced, sizeof(*announced));
	}
}

/* Killed at any moment: the file stays a set, and what was in it is known. */
static void test_killed_at_any_moment(void **state)
{
	(void)state;
	announced_new();
	assert_int_equal(fresh_answer("1", UINT64_MAX, START), 'f');
	for (int round = 0; round < 40; round++) {
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (pid == 0)
			_exit(announce_all());
		for (int i = 0; i < round * 50; i++)
			sched_yield();
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	for (uint64_t i = 0; i < BUGS; i++)
		assert_in_range(atomic_load_explicit(&announced->times[i], memory_order_relaxed), 0,
				1);
	assert_int_equal(fresh_answer("1", UINT64_MAX, START), 'k');
	assert_int_equal(size_of("checkout.seen"), FILE_SIZE);
	assert_string_equal(seen_said, "");
	munmap(announced, sizeof(*announced));
}

/* Somebody was stopped while it held the lock: nobody waits for it. */
static void test_lock_that_is_held(void **state)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct sonde__seen seen;
	int fd;

	(void)state;
	assert_int_equal(fresh_answer("1", 7, START), 'f');
	fd = open(path_of("checkout.seen"), O_RDWR);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &whole), 0);
	open_at(&seen, seen_directory, "1");
	/* Twice announced is better than never. */
	assert_int_equal(answer_of(&seen, 7, START), 'f');
	assert_int_equal(answer_of(&seen, 9, START), 'f');
	assert_int_equal(times_said("does not let go"), 1);
	close(fd);
	assert_int_equal(answer_of(&seen, 9, START + 100), 'k');
	assert_int_equal(fresh_answer("1", 9, START + 100), 'k');
	sonde__seen_deinit(&seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_damaged_files),
		TEST(test_unmade_files),
		TEST(test_damaged_entries),
		TEST(test_half_an_entry),
		TEST(test_file_goes_while_in_use),
		TEST(test_unfit_directories),
		TEST(test_directories_are_made),
		TEST(test_file_size_limit),
		TEST(test_full_disk),
		TEST(test_directory_that_cannot_be_written),
		TEST(test_processes_at_once),
		TEST(test_killed_at_any_moment),
		TEST(test_lock_that_is_held),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
