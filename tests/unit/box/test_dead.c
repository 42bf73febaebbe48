/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boxes of processes that were really killed: how many stay, and what is counted of those that go.
 */

#include "box/dead.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../support/child.h"
#include "box/box.h"

static char directory[64];

static struct sonde__box_info open_as(const char *service, uint32_t max_dead)
{
	struct sonde__box_options options = { .size_bytes = 256 * 1024,
					      .directory = directory,
					      .service_name = service,
					      .max_dead_boxes = max_dead };
	struct sonde__box_info info;

	CHECK(sonde__box_open(&options, &info) == SONDE_OK);
	CHECK(info.kind == SONDE__BOX_FILE);
	return info;
}

static void put(enum sonde_signal signal, uint32_t size)
{
	struct sonde__slot slot;

	CHECK(sonde__box_reserve(size, signal, /* urgent= */ false, &slot));
	((struct sonde__record *)slot.record)->size = size;
	sonde__box_commit(&slot);
}

static int n_files(void)
{
	DIR *dir = opendir(directory);
	int n = 0;

	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

/*
 * Dies with three spans, two logs and a part inside; a span more was released, another is
 * unfinished.
 */
static void die_with_records(void)
{
	struct sonde__record_ref ref;
	struct sonde__slot slot;
	bool is_complete;

	open_as("dying", 2);
	for (int i = 0; i < 4; i++)
		put(SONDE_SIGNAL_SPAN, 100);
	put(SONDE_SIGNAL_LOG, 500);
	put(SONDE_SIGNAL_LOG, 500);
	put(SONDE_SIGNAL_PART, 16);
	sonde__box_collect(&ref, 1, &is_complete);
	sonde__box_release(&ref);
	sonde__box_collect(&ref, 1, &is_complete);
	CHECK(sonde__box_reserve(64, SONDE_SIGNAL_SPAN, /* urgent= */ false, &slot));
	raise(SIGKILL);
}

static void open_another_service(void)
{
	CHECK(open_as("dyin", 1).n_dead_removed == 0);
	CHECK(n_files() == 4);
	sonde__box_close();
}

static void other_services_are_left_alone(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(child_run(die_with_records), 1000 + SIGKILL);
	assert_int_equal(n_files(), 3);
	assert_int_equal(child_run(open_another_service), CHILD_OK);
	assert_int_equal(n_files(), 3);
}

static void crash_looping_does_not_fill_the_directory(void **state)
{
	(void)state;
	for (int i = 0; i < 12; i++) {
		assert_int_equal(child_run(die_with_records), 1000 + SIGKILL);
		assert_true(n_files() <= 3);
	}
}

static int started[2];

static void write_for_ever(void)
{
	open_as("dying", 1);
	for (uint64_t i = 0;; i++) {
		struct sonde__slot slot;

		if (i == 300)
			CHECK(write(started[1], "x", 1) == 1);
		if (sonde__box_reserve(100, SONDE_SIGNAL_LOG, /* urgent= */ false, &slot)) {
			memset(slot.record, 1, 100);
			((struct sonde__record *)slot.record)->size = 100;
			sonde__box_commit(&slot);
		}
	}
}

static void open_after_writers(void)
{
	struct sonde__box_info info = open_as("dying", 1);

	CHECK(info.n_dead_removed == 1 && info.dead_records[SONDE_SIGNAL_LOG] >= 300);
	CHECK(info.dead_records[SONDE_SIGNAL_SPAN] == 0 &&
	      info.dead_records[SONDE_SIGNAL_PART] == 0);
	sonde__box_close();
}

/* The second opens while the first is dead, the third while both are. */
static void killed_in_the_middle_of_writing(void **state)
{
	char byte;

	(void)state;
	assert_int_equal(pipe(started), 0);
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		if (pid == 0)
			write_for_ever();
		assert_int_equal(read(started[0], &byte, 1), 1);
		kill(pid, SIGKILL);
		assert_int_equal(child_wait(pid), 1000 + SIGKILL);
	}
	assert_int_equal(child_run(open_after_writers), CHILD_OK);
	close(started[0]);
	close(started[1]);
}

static void look_with_one_allowed(void)
{
	struct sonde__box_info info = open_as("dying", 1);

	CHECK(info.n_dead_removed == 2);
	CHECK(info.dead_records[SONDE_SIGNAL_SPAN] == 6 &&
	      info.dead_records[SONDE_SIGNAL_LOG] == 4 &&
	      info.dead_records[SONDE_SIGNAL_PART] == 2);
	CHECK(n_files() == 2);
	sonde__box_close();
}

static void what_goes_is_counted_by_signal(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(child_run(die_with_records), 1000 + SIGKILL);
	assert_int_equal(child_run(look_with_one_allowed), CHILD_OK);
	assert_int_equal(n_files(), 1);
}

static void file_put(const char *name, const void *data, size_t size)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
}

/* The only file in the directory. */
static const char *only_path(void)
{
	static char path[160];
	DIR *dir = opendir(directory);
	struct dirent *entry;

	path[0] = '\0';
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(path, sizeof(path), "%s/%.90s", directory, entry->d_name);
	closedir(dir);
	return path;
}

/* Its records are added to what was found before; a second take finds nothing. */
static void a_dead_box_is_taken_once(void **state)
{
	struct sonde__box_info info = { .dead_records = { 10, 20, 30 } };
	char path[160];

	(void)state;
	assert_int_equal(child_run(die_with_records), 1000 + SIGKILL);
	memcpy(path, only_path(), sizeof(path));
	assert_true(sonde__box_dead_take(path, &info));
	info.dead_records[0] -= 10;
	info.dead_records[1] -= 20;
	info.dead_records[2] -= 30;
	assert_int_equal(info.dead_records[SONDE_SIGNAL_SPAN], 3);
	assert_int_equal(info.dead_records[SONDE_SIGNAL_LOG], 2);
	assert_int_equal(info.dead_records[SONDE_SIGNAL_PART], 1);
	assert_int_equal(n_files(), 0);
	assert_false(sonde__box_dead_take(path, &info));
}

static void a_box_that_is_not_dead_is_left(void **state)
{
	struct sonde__box_info info = { .kind = SONDE__BOX_NONE };
	int pipes[2];
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		open_as("living", 1);
		put(SONDE_SIGNAL_LOG, 100);
		CHECK(write(pipes[1], "x", 1) == 1);
		pause();
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_false(sonde__box_dead_take(only_path(), &info));
	assert_int_equal(n_files(), 1);
	kill(pid, SIGKILL);
	assert_int_equal(child_wait(pid), 1000 + SIGKILL);
	assert_true(sonde__box_dead_take(only_path(), &info));
	assert_int_equal(info.dead_records[SONDE_SIGNAL_LOG], 1);
	close(pipes[0]);
	close(pipes[1]);
}

/* Not there, empty, noise, somebody's link to a box: never removed, never counted. */
static void what_is_not_a_box_is_left(void **state)
{
	struct sonde__box_info info = { .kind = SONDE__BOX_NONE };
	char link_path[160];
	uint8_t noise[sizeof(struct sonde__box_header)];

	(void)state;
	memset(noise, 0x5a, sizeof(noise));
	assert_false(sonde__box_dead_take("/dev/shm/sonde-not-there", &info));
	assert_false(sonde__box_dead_take(directory, &info));
	file_put("a.box", "", 0);
	assert_false(sonde__box_dead_take(only_path(), &info));
	file_put("a.box", noise, sizeof(noise));
	assert_false(sonde__box_dead_take(only_path(), &info));
	assert_int_equal(unlink(only_path()), 0);
	assert_int_equal(child_run(die_with_records), 1000 + SIGKILL);
	snprintf(link_path, sizeof(link_path), "%s-link", directory);
	assert_int_equal(symlink(only_path(), link_path), 0);
	assert_false(sonde__box_dead_take(link_path, &info));
	assert_int_equal(unlink(link_path), 0);
	assert_int_equal(n_files(), 1);
	assert_int_equal(info.dead_records[SONDE_SIGNAL_SPAN], 0);
}

static void live_in_a_group(void)
{
	struct sonde__box_info info = open_as("living", 1);

	setpgid(0, 0);
	for (int i = 0; i < 5; i++) {
		int pipes[2];
		char byte;

		CHECK(pipe(pipes) == 0);
		if (fork() == 0) {
			CHECK(sonde__box_open(/* options= */ NULL, &info) == SONDE_OK);
			CHECK(info.n_dead_removed == 0);
			CHECK(write(pipes[1], "x", 1) == 1);
			pause();
		}
		CHECK(read(pipes[0], &byte, 1) == 1);
	}
	CHECK(n_files() == 6);
	kill(0, SIGKILL);
}

static void the_living_keep_theirs(void **state)
{
	(void)state;
	assert_int_equal(child_run(live_in_a_group), 1000 + SIGKILL);
	assert_true(n_files() >= 1);
}

/* A header that sends the counter all over, with a dead process's id. */
static void wreck_put(const char *name, uint32_t n_rings, uint32_t n_blocks, uint32_t block_shift,
		      uint64_t offset)
{
	struct sonde__box_header header = { .layout_version = SONDE__BOX_LAYOUT_VERSION,
					    .header_size = sizeof(header) };
	struct stat status;

	header.magic = ~SONDE__BOX_MAGIC_INVERTED;
	header.state = SONDE__BOX_STATE_LIVE;
	memcpy(header.service, "wrecks", 7);
	sonde__process_identify(getpid(), &header.process);
	header.process.start_time ^= 1;
	header.pid_namespace = stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
	header.rings = (struct sonde__box_part){ offset, n_rings, (uint32_t)offset };
	header.ring_shape.n_blocks = n_blocks;
	header.ring_shape.block_shift = block_shift;
	header.ring_shape.n_granules = 2047;
	header.reserve_shape = header.ring_shape;
	file_put(name, &header, sizeof(header));
}

static void open_among_wrecks(void)
{
	struct sonde__box_info info;
	uint8_t noise[600];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 37);
	file_put("sonde-wrecks-1-aa.box", noise, sizeof(noise));
	file_put("sonde-wrecks-2147483000-bb.box", "", 0);
	file_put("sonde-wrecks-x-cc.box", "", 0);
	wreck_put("sonde-wrecks-3-dd.box", UINT32_MAX, UINT32_MAX, 31, 8);
	wreck_put("sonde-wrecks-4-ee.box", 1000, 65535, 5, UINT64_MAX - 5);
	wreck_put("sonde-wrecks-5-ff.box", 1, 0, 77, 0);
	info = open_as("wrecks", 1);
	CHECK(info.n_dead_removed == 2);
	/*
	 * Left: what is not understood, one dead, our own. Gone: the empty file of a dead process.
	 */
	CHECK(n_files() == 4);
	sonde__box_close();
}

static void wrecks_are_survived(void **state)
{
	(void)state;
	assert_int_equal(child_run(open_among_wrecks), CHILD_OK);
}

static int setup(void **state)
{
	(void)state;
	memcpy(directory, "/dev/shm/sonde-test-XXXXXX", 27);
	assert_non_null(mkdtemp(directory));
	return 0;
}

static int teardown(void **state)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	(void)state;
	while ((entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	assert_int_equal(rmdir(directory), 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(other_services_are_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(crash_looping_does_not_fill_the_directory, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_goes_is_counted_by_signal, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_in_the_middle_of_writing, setup, teardown),
		cmocka_unit_test_setup_teardown(the_living_keep_theirs, setup, teardown),
		cmocka_unit_test_setup_teardown(a_dead_box_is_taken_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_box_that_is_not_dead_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_a_box_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(wrecks_are_survived, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
