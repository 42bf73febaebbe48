/* SPDX-License-Identifier: Apache-2.0 */
/* The box's life: opened, closed, opened again, forked, and where its memory comes from. */

#include "box/box.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "../../support/child.h"
#include "../../support/pattern.h"
#include "base/process.h"
#include "box/shape.h"

#define N_IDS 20000

static struct ledger ledger;
static char directory[64];

static void ledger_begin(void)
{
	ledger = (struct ledger){ .fates = calloc(N_IDS, 1),
				  .seen = calloc(N_IDS, 1),
				  .n_ids = N_IDS };
}

static struct sonde__box_options options_make(void)
{
	struct sonde__box_options options = { .size_bytes = 512 * 1024, .directory = directory, .service_name = "unit box/1" };

	return options;
}

static struct sonde__box_info open_it(void)
{
	struct sonde__box_options options = options_make();
	struct sonde__box_info info;

	CHECK(sonde__box_open(&options, &info) == SONDE_OK);
	return info;
}

static bool file_is_there(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0;
}

static void close_removes_the_file(void)
{
	struct sonde__box_info info = open_it();
	struct sonde__box_options options = options_make();
	struct stat status;

	CHECK(info.kind == SONDE__BOX_FILE && info.reason[0] == '\0');
	CHECK(strncmp(info.path, directory, strlen(directory)) == 0 && strstr(info.path, "sonde-unit_box_1-"));
	CHECK(stat(info.path, &status) == 0);
	CHECK((status.st_mode & 0777) == 0600 && (size_t)status.st_size == info.size_bytes);
	CHECK((uint64_t)status.st_blocks * 512 >= info.size_bytes);
	CHECK(info.size_bytes <= 512 * 1024);
	CHECK(sonde__box_open(&options, &info) == SONDE_E_EXISTS);
	sonde__box_close();
	CHECK(!file_is_there(info.path));
	sonde__box_close();
}

static void the_header_describes_the_box(void)
{
	struct sonde__box_info info = open_it();
	struct sonde__box_header header;
	int fd = open(info.path, O_RDONLY);

	CHECK(fd >= 0 && pread(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header));
	CHECK(memcmp(&header, "sondebox", 8) == 0);
	CHECK(header.box_size == info.size_bytes && header.state == SONDE__BOX_STATE_LIVE);
	CHECK(header.process.pid == getpid() && sonde__process_is_alive(&header.process));
	CHECK(strcmp(header.service, "unit box/1") == 0);
	CHECK(header.rings.count == info.n_rings && header.ring_shape.n_blocks == info.n_blocks);
	CHECK(header.rings.offset + (uint64_t)header.rings.count * header.rings.stride <=
	      header.reserve.offset);
	CHECK(header.reserve.offset + header.reserve.stride <= header.box_size);
	CHECK(header.anchor_realtime_ns > UINT64_C(1600000000) * 1000000000 &&
	      header.open_spans.count == 256 &&
	      header.open_spans.stride == sizeof(struct sonde__open_entry));
	CHECK(header.open_spans.offset >= header.figures.offset + header.figures.stride &&
	      header.open_spans.offset % 4096 == 0 &&
	      header.open_spans.offset + header.open_spans.count * header.open_spans.stride <=
		      header.box_size);
	sonde__box_close();
}

static void a_restart_gives_fresh_memory(void)
{
	struct sonde__box_account account;
	struct sonde__box_info first;
	const uint8_t *base;

	ledger_begin();
	first = open_it();
	base = sonde__box_get()->base;
	for (uint64_t i = 0; i < 500; i++)
		pattern_put(&ledger, i, /* urgent= */ false);
	ledger_drain(&ledger);
	sonde__box_close();
	CHECK(open_it().reason[0] == '\0');
	CHECK(sonde__box_get()->base == base);
	sonde__box_account(SONDE_SIGNAL_LOG, &account);
	CHECK(account.captured == 0);
	ledger.n_seen = 0;
	for (uint64_t i = 500; i < 1000; i++)
		pattern_put(&ledger, i, /* urgent= */ false);
	ledger_drain(&ledger);
	ledger_close(&ledger);
	CHECK(ledger_balances(&ledger, 0) && ledger.n_wrong == 0);
	CHECK(first.kind == SONDE__BOX_FILE);
	sonde__box_close();
}

static void a_restart_keeps_what_is_unfinished(void)
{
	struct sonde__box_info info;
	struct sonde__slot slot;

	ledger_begin();
	open_it();
	pattern_put(&ledger, 1, /* urgent= */ false);
	ledger.fates[2] = FATE_COMMITTED;
	CHECK(sonde__box_reserve(pattern_size(2), pattern_signal(2), /* urgent= */ false, &slot));
	ledger_drain(&ledger);
	sonde__box_close();
	info = open_it();
	CHECK(info.kind == SONDE__BOX_MEMFD && strstr(info.reason, "still in the box"));
	ledger.n_seen = 0;
	CHECK(ledger_balances(&ledger, 1));
	pattern_put(&ledger, 3, /* urgent= */ false);
	pattern_fill(slot.record, 2);
	sonde__box_commit(&slot);
	ledger_drain(&ledger);
	ledger_close(&ledger);
	CHECK(ledger_balances(&ledger, 0) && ledger.n_wrong == 0);
	sonde__box_close();
	CHECK(open_it().kind == SONDE__BOX_FILE);
	sonde__box_close();
}

static uint64_t map_sum(const struct sonde__box *box)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < box->size; i += 8)
		sum = sonde__mix64(sum ^ *(const uint64_t *)(box->base + i));
	return sum;
}

/*
 * The fork comes between reserve and commit, once with the child opening its box before it commits.
 */
static void fork_between(bool opens_first)
{
	struct sonde__box_info info;
	struct sonde__box_info childs;
	struct sonde__slot slot;
	uint64_t before;
	pid_t pid;

	ledger_begin();
	info = open_it();
	pattern_put(&ledger, 1, /* urgent= */ false);
	ledger.fates[2] = FATE_COMMITTED;
	CHECK(sonde__box_reserve(pattern_size(2), pattern_signal(2), /* urgent= */ false, &slot));
	pattern_fill(slot.record, 2);
	before = map_sum(sonde__box_get());
	pid = fork();
	if (pid == 0) {
		if (!opens_first)
			sonde__box_commit(&slot);
		CHECK(!pattern_put(&ledger, 3, /* urgent= */ false));
		CHECK(sonde__box_open(/* options= */ NULL, &childs) == SONDE_OK);
		sonde__process_adopt();
		CHECK(childs.kind == SONDE__BOX_FILE && strcmp(childs.path, info.path) != 0);
		ledger_begin();
		ledger.fates[3] = FATE_REFUSED;
		sonde__box_commit(&slot);
		sonde__box_discard(&slot);
		for (uint64_t i = 10; i < 5000; i++)
			pattern_put(&ledger, i, /* urgent= */ false);
		ledger_drain(&ledger);
		ledger_close(&ledger);
		CHECK(ledger_balances(&ledger, 0) && ledger.n_wrong == 0);
		sonde__box_close();
		_exit(CHILD_OK);
	}
	CHECK(child_wait(pid) == CHILD_OK);
	CHECK(map_sum(sonde__box_get()) == before && file_is_there(info.path));
	sonde__box_commit(&slot);
	ledger_drain(&ledger);
	ledger_close(&ledger);
	CHECK(ledger_balances(&ledger, 0) && ledger.n_wrong == 0);
	sonde__box_close();
}

static void a_fork_before_the_commit(void)
{
	fork_between(/* opens_first= */ false);
}

static void a_fork_before_the_commit_with_a_box(void)
{
	fork_between(/* opens_first= */ true);
}

static void a_forsaken_child_counts(void)
{
	struct sonde__box_account account;
	struct sonde__slot slot;

	open_it();
	if (fork() == 0) {
		sonde__box_forsake();
		sonde__process_adopt();
		CHECK(!sonde__box_reserve(64, SONDE_SIGNAL_SPAN, /* urgent= */ true, &slot));
		sonde__box_account(SONDE_SIGNAL_SPAN, &account);
		CHECK(account.captured == 1 && account.lost[SONDE_LOSS_NO_BOX] == 1);
		sonde__box_close();
		_exit(CHILD_OK);
	}
	int status;

	wait(&status);
	CHECK(status == 0);
	sonde__box_account(SONDE_SIGNAL_SPAN, &account);
	CHECK(account.captured == 0);
	sonde__box_close();
}

/* ---- Where the memory comes from ------------------------------------------------------------- */

static void expect_fallback(const char *words)
{
	struct sonde__box_info info;

	ledger_begin();
	info = open_it();
	CHECK(strstr(info.reason, words));
	pattern_put(&ledger, 1, /* urgent= */ false);
	CHECK(ledger_drain(&ledger) == 1);
	sonde__box_close();
}

static void a_directory_that_others_write_is_refused(void)
{
	chmod(directory, 0777);
	expect_fallback("others may write");
}

static void a_directory_of_somebody_else_is_refused(void)
{
	CHECK(chown(directory, 12345, 12345) == 0);
	expect_fallback("another user");
	CHECK(chown(directory, 0, 0) == 0);
}

static void a_link_is_not_followed(void)
{
	char target[64];

	memcpy(target, directory, sizeof(target));
	directory[strlen(directory) - 1] = '#';
	CHECK(symlink(target, directory) == 0);
	expect_fallback("a link");
	unlink(directory);
}

static void a_disk_is_refused(void)
{
	strncpy(directory, "/proc", sizeof(directory) - 1);
	expect_fallback("not on tmpfs");
}

/* Growth past the limit raises SIGXFSZ, which kills: so it is not tried. */
static void a_file_size_limit_does_not_kill(void)
{
	struct rlimit limit = { 4096, 4096 };

	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	expect_fallback("RLIMIT_FSIZE");
}

/* A /dev/shm of 64 KiB, in a mount namespace of its own. */
static void a_full_tmpfs_falls_back(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "", MS_REC | MS_PRIVATE, "") < 0 ||
	    mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=64k") < 0) {
		fprintf(stderr, "skipped: no mount namespace is to be had here\n");
		return;
	}
	CHECK(mkdir(directory, 0700) == 0);
	expect_fallback("no space left");
	CHECK(rmdir(directory) == 0); /* So nothing was left in it. */
}

static void a_missing_shm_falls_back(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "", MS_REC | MS_PRIVATE, "") < 0 ||
	    mount("tmpfs", "/dev", "tmpfs", 0, "size=64k") < 0) {
		fprintf(stderr, "skipped: no mount namespace is to be had here\n");
		return;
	}
	expect_fallback("not there");
	CHECK(!file_is_there("/dev/shm"));
}

static void losses_before_the_box_are_kept(void)
{
	struct sonde__box_account account;
	struct sonde__slot slot;

	CHECK(!sonde__box_reserve(64, SONDE_SIGNAL_LOG, /* urgent= */ false, &slot));
	open_it();
	sonde__box_account(SONDE_SIGNAL_LOG, &account);
	CHECK(account.captured == 1 && account.lost[SONDE_LOSS_NO_BOX] == 1);
	sonde__box_close();
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
	(void)state;
	/* Empty, or a box was left behind. */
	assert_int_equal(rmdir(directory), 0);
	return 0;
}

static void in_child(void **state)
{
	assert_int_equal(child_run(*(void (**)(void))state), CHILD_OK);
}

#define CHILD_TEST(name) { #name, in_child, setup, teardown, (void *)(uintptr_t)name }

int main(void)
{
	const struct CMUnitTest tests[] = {
		CHILD_TEST(close_removes_the_file),
		CHILD_TEST(the_header_describes_the_box),
		CHILD_TEST(a_restart_gives_fresh_memory),
		CHILD_TEST(a_restart_keeps_what_is_unfinished),
		CHILD_TEST(a_fork_before_the_commit),
		CHILD_TEST(a_fork_before_the_commit_with_a_box),
		CHILD_TEST(a_forsaken_child_counts),
		CHILD_TEST(a_directory_that_others_write_is_refused),
		CHILD_TEST(a_directory_of_somebody_else_is_refused),
		CHILD_TEST(a_link_is_not_followed),
		CHILD_TEST(a_disk_is_refused),
		CHILD_TEST(a_file_size_limit_does_not_kill),
		CHILD_TEST(a_full_tmpfs_falls_back),
		CHILD_TEST(a_missing_shm_falls_back),
		CHILD_TEST(losses_before_the_box_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
