/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mark in children of every kind, and identity. `process_fallback` is this file built so that
 * madvise fails, as on a kernel that cannot wipe.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"
#include "base/testpoint.h"

#ifdef TEST_NO_WIPE
int __wrap_madvise(void *address, size_t size, int advice);

int __wrap_madvise(void *address, size_t size, int advice)
{
	(void)address;
	(void)size;
	(void)advice;
	errno = EINVAL;
	return -1;
}
#endif

static int child_status(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void test_known_before_init(void **state)
{
	(void)state;
	assert_true(sonde__process_is_known());
}

static void test_fork_is_seen_and_adopted(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(sonde__process_init(), 0);
	assert_int_equal(sonde__process_init(), 0);
	assert_true(sonde__process_is_known());
	pid = fork();
	if (pid == 0) {
		bool seen = !sonde__process_is_known();

		sonde__process_adopt();
		if (seen && sonde__process_is_known()) {
			/* And the child's own child. */
			pid = fork();
			if (pid == 0)
				_exit(sonde__process_is_known());
			_exit(child_status(pid));
		}
		_exit(99);
	}
	assert_int_equal(child_status(pid), 0);
	assert_true(sonde__process_is_known());
}

/* What belongs to an ancestor can be told from one's own by the number. */
static void test_each_generation_has_its_number(void **state)
{
	uint32_t ours;
	pid_t pid;

	(void)state;
	assert_int_equal(sonde__process_init(), 0);
	ours = sonde__process_word();
	pid = fork();
	if (pid == 0) {
		uint32_t child;

		sonde__process_adopt();
		child = sonde__process_word();
		pid = fork();
		if (pid == 0) {
			uint32_t word;

			sonde__process_adopt();
			word = sonde__process_word();
			_exit(word != child && word != ours && word != 0 ? 0 : 1);
		}
		_exit(child != ours && child != 0 ? child_status(pid) : 2);
	}
	assert_int_equal(child_status(pid), 0);
	assert_int_equal(sonde__process_word(), ours);
}

#ifndef TEST_NO_WIPE
static void test_raw_clone_is_seen(void **state)
{
	pid_t pid;

	(void)state;
	assert_int_equal(sonde__process_init(), 0);
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
	if (pid == 0)
		syscall(SYS_exit_group, sonde__process_is_known() ? 1 : 0);
	assert_int_equal(child_status(pid), 0);
	assert_true(sonde__process_is_known());
}
#endif

static int shared_memory_child(void *unused)
{
	(void)unused;
	return sonde__process_is_known() ? 0 : 1;
}

/* valgrind makes a fork of every vfork. */
static bool runs_under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload");
}

/* What vfork and posix_spawn make: a child in the parent's memory. */
static void test_child_in_our_memory_is_us(void **state)
{
	static char stack[65536] __attribute__((aligned(64)));
	pid_t pid;

	(void)state;
	if (runs_under_valgrind())
		skip();
	assert_int_equal(sonde__process_init(), 0);
	pid = clone(shared_memory_child, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD,
		    NULL);
	assert_int_equal(child_status(pid), 0);
	assert_true(sonde__process_is_known());
}

static void test_own_process_is_alive(void **state)
{
	struct sonde__process_id id;

	(void)state;
	errno = 77;
	sonde__process_identify(getpid(), &id);
	assert_int_equal(id.pid, getpid());
	assert_true(id.start_time > 0);
	assert_true(sonde__process_is_alive(&id));
	assert_int_equal(errno, 77);
}

static void test_pid_used_again_is_another(void **state)
{
	struct sonde__process_id id;

	(void)state;
	sonde__process_identify(getpid(), &id);
	id.start_time++;
	assert_false(sonde__process_is_alive(&id));
}

static void test_other_boot_is_dead(void **state)
{
	struct sonde__process_id id;

	(void)state;
	sonde__process_identify(getpid(), &id);
	id.boot_id[3] ^= 1;
	assert_false(sonde__process_is_alive(&id));
}

static void test_zombie_is_dead(void **state)
{
	struct sonde__process_id id;
	siginfo_t info;
	int gate[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(gate), 0);
	pid = fork();
	if (pid == 0) {
		char c;

		close(gate[1]);
		_exit((int)read(gate[0], &c, 1));
	}
	sonde__process_identify(pid, &id);
	assert_true(sonde__process_is_alive(&id));
	close(gate[0]);
	close(gate[1]);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	errno = 77;
	assert_false(sonde__process_is_alive(&id));
	assert_int_equal(child_status(pid), 0);
	assert_false(sonde__process_is_alive(&id));
	assert_int_equal(errno, 77);
}

static int leader_pipe[2];

static void *outlive_leader(void *leader)
{
	char c = 'x';

	pthread_join(*(pthread_t *)leader, NULL);
	/* The leader's thread is gone by the kernel's word only a moment after the join. */
	for (;;) {
		char text[256];
		FILE *file = fopen("/proc/self/stat", "r");
		bool is_zombie = file && fgets(text, sizeof(text), file) && strstr(text, ") Z ");

		if (file)
			fclose(file);
		if (is_zombie)
			break;
		sched_yield();
	}
	if (write(leader_pipe[1], &c, 1) != 1)
		_exit(1);
	pause();
	return NULL;
}

/* The main thread left by pthread_exit: /proc shows a zombie, the process lives. */
static void test_process_without_leader_is_alive(void **state)
{
	struct sonde__process_id id;
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(pipe(leader_pipe), 0);
	pid = fork();
	if (pid == 0) {
		static pthread_t leader;
		pthread_t other;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		leader = pthread_self();
		if (pthread_create(&other, NULL, outlive_leader, &leader) != 0)
			_exit(1);
		pthread_exit(NULL);
	}
	close(leader_pipe[1]);
	assert_int_equal(read(leader_pipe[0], &c, 1), 1);
	close(leader_pipe[0]);
	sonde__process_identify(pid, &id);
	assert_true(sonde__process_is_alive(&id));
	kill(pid, SIGKILL);
	child_status(pid);
	assert_false(sonde__process_is_alive(&id));
}

/* A process may call itself anything, also what looks like the rest of the line. */
static void test_hostile_name_is_no_field(void **state)
{
	struct sonde__process_id before;
	struct sonde__process_id after;
	char name[16];

	(void)state;
	prctl(PR_GET_NAME, name);
	sonde__process_identify(getpid(), &before);
	prctl(PR_SET_NAME, "a) Z 1 (x) X 9");
	sonde__process_identify(getpid(), &after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_true(sonde__process_is_alive(&before));
	prctl(PR_SET_NAME, name);
}

static void test_nonsense_pids_are_dead(void **state)
{
	const pid_t pids[] = { 0, -1, INT32_MAX, INT32_MIN };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct sonde__process_id id;

		sonde__process_identify(pids[i], &id);
		assert_int_equal(id.start_time, 0);
		assert_false(sonde__process_is_alive(&id));
	}
}

#ifdef SONDE_TESTPOINTS
static struct rlimit all_files;
static uint64_t rival_key;

static void ask_as_another_thread(const char *name)
{
	if (strcmp(name, "process:identified") != 0)
		return;
	sonde__testpoint_hook = NULL;
	setrlimit(RLIMIT_NOFILE, &all_files);
	rival_key = sonde__process_key();
}

/* What one thread has signed another can give back, also where no file was to be had at first. */
static void test_threads_have_one_key(void **state)
{
	struct rlimit no_files;
	pid_t pid;

	(void)state;
	assert_int_equal(sonde__process_init(), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all_files), 0);
	no_files = all_files;
	no_files.rlim_cur = 0;
	pid = fork();
	if (pid == 0) {
		sonde__testpoint_hook = ask_as_another_thread;
		if (setrlimit(RLIMIT_NOFILE, &no_files) < 0)
			_exit(1);
		if (sonde__process_key() != rival_key || sonde__process_key() != rival_key)
			_exit(2);
		_exit(sonde__process_key_is_alive(rival_key) ? 0 : 3);
	}
	assert_int_equal(child_status(pid), 0);
}
#endif

/* Asked for in every generation, so that each has a parent's in its memory. */
static void test_key_is_of_one_process(void **state)
{
	uint64_t ours;
	uint64_t dead;
	int ends[2];
	pid_t pid;

	(void)state;
	assert_int_equal(sonde__process_init(), 0);
	ours = sonde__process_key();
	assert_int_not_equal(ours, 0);
	assert_true(ours == sonde__process_key());
	assert_int_equal(ours & 0x3fffff, getpid());
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		uint64_t child = sonde__process_key();

		pid = fork();
		if (pid == 0) {
			uint64_t grandchild = sonde__process_key();

			_exit(grandchild != child && grandchild != ours &&
					      sonde__process_key_is_alive(child) &&
					      sonde__process_key_is_alive(grandchild) ?
				      0 :
				      1);
		}
		(void)!write(ends[1], &child, sizeof(child));
		_exit(child != ours && sonde__process_key_is_alive(ours) ? child_status(pid) : 2);
	}
	assert_int_equal(read(ends[0], &dead, sizeof(dead)), sizeof(dead));
	assert_int_equal(child_status(pid), 0);
	assert_false(sonde__process_key_is_alive(dead));
	assert_false(sonde__process_key_is_alive(0));
	/* The same pid, but another start. */
	assert_false(sonde__process_key_is_alive(ours + (UINT64_C(1) << 22)));
	assert_true(sonde__process_key_is_alive(ours));
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_before_init),
		cmocka_unit_test(test_fork_is_seen_and_adopted),
		cmocka_unit_test(test_each_generation_has_its_number),
#ifndef TEST_NO_WIPE
		cmocka_unit_test(test_raw_clone_is_seen),
#endif
		cmocka_unit_test(test_child_in_our_memory_is_us),
		cmocka_unit_test(test_own_process_is_alive),
		cmocka_unit_test(test_pid_used_again_is_another),
		cmocka_unit_test(test_other_boot_is_dead),
		cmocka_unit_test(test_zombie_is_dead),
		cmocka_unit_test(test_process_without_leader_is_alive),
		cmocka_unit_test(test_hostile_name_is_no_field),
		cmocka_unit_test(test_nonsense_pids_are_dead),
		cmocka_unit_test(test_key_is_of_one_process),
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test(test_threads_have_one_key),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
