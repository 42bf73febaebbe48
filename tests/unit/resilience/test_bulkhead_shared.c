/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One bulkhead of several processes, some of which are killed: at every point at which somebody
 * else can see what they did, and at random ones. What they held comes back, once.
 */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/bulkhead.h>

#include "base/clock.h"
#include "base/process.h"
#include "base/testpoint.h"
#include "support/virtual_clock.h"

#define LIMIT 3
#define CHILDREN 4

/* What all processes see. */
struct stage {
	_Atomic uint64_t now_ns;
	_Atomic uint32_t n_wrong;
	_Atomic uint32_t n_turns;
	_Atomic uint32_t inside; /* A bit for each child. */
	_Atomic uint64_t keys[CHILDREN];
	_Atomic bool is_full;
	_Atomic bool is_asleep;
	_Atomic bool may_go_on;
};

static struct stage *stage;
static struct sonde_bulkhead bulkhead;
static struct sonde_clock stage_clock;

static uint64_t stage_now_ns(void *user)
{
	(void)user;
	return atomic_load(&stage->now_ns);
}

static int stage_begin(void **state)
{
	(void)state;
	stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	stage_clock.now_ns = stage_now_ns;
	return stage == MAP_FAILED;
}

static int stage_end(void **state)
{
	(void)state;
	return munmap(stage, sizeof(*stage));
}

/* Time stands still, or is real. */
static void bulkhead_begin(bool is_real)
{
	const struct sonde_bulkhead_options options = {
		.limit = LIMIT,
		.max_limit = 2 * LIMIT,
		.max_queue = 4,
		.shared = true,
		.clock = is_real ? NULL : &stage_clock,
	};

	memset(stage, 0, sizeof(*stage));
	atomic_store(&stage->now_ns, SECOND);
	assert_int_equal(sonde_bulkhead_init(&bulkhead, &options), SONDE_OK);
}

static struct sonde_bulkhead_figures figures(void)
{
	struct sonde_bulkhead_figures result;

	sonde_bulkhead_read(&bulkhead, &result);
	return result;
}

static void take(int n)
{
	for (int i = 0; i < n; i++)
		assert_true(sonde_bulkhead_try_acquire(&bulkhead));
}

/* Exactly so many are to be had, and nobody waits. A period later the dead are seen. */
static void assert_free(int n)
{
	int n_free = 0;

	atomic_fetch_add(&stage->now_ns, 100 * MS);
	while (n_free < 2 * LIMIT && sonde_bulkhead_try_acquire(&bulkhead))
		n_free++;
	assert_int_equal(n_free, n);
	/* What came in vain swept, too. */
	assert_int_equal(figures().n_waiting, 0);
	for (int i = 0; i < n; i++)
		sonde_bulkhead_release(&bulkhead);
}

/*
 * ---- Children: raw code, and no assertions ----------------------------------------------------
 */

/* Killed with its parent, so that a test that fails leaves nothing behind. */
static pid_t child_begin(void)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(99);
	}
	return pid;
}

static void assert_killed(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void assert_ended(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void wait_until(uint32_t n_taken, uint32_t n_waiting)
{
	struct sonde_bulkhead_figures now = figures();

	for (int i = 0; i < 20000 && (now.n_taken != n_taken || now.n_waiting != n_waiting); i++) {
		usleep(1000);
		now = figures();
	}
	assert_int_equal(now.n_taken, n_taken);
	assert_int_equal(now.n_waiting, n_waiting);
}

/*
 * ---- At points that test builds have ----------------------------------------------------------
 */

#ifdef SONDE_TESTPOINTS
static const char *deadly_point;
static int n_points_left;

static void die_at_point(const char *name)
{
	if (strcmp(name, deadly_point) == 0 && n_points_left-- == 0)
		kill(getpid(), SIGKILL);
}

/* Everything there is to do; the parent waits until it is full, and lets it go on. */
static void do_everything(const char *point, int n)
{
	deadly_point = point;
	n_points_left = n;
	sonde__testpoint_hook = die_at_point;
	/* The last one is a dead process's. */
	for (int i = 0; i < LIMIT; i++) {
		if (!sonde_bulkhead_try_acquire(&bulkhead))
			_exit(1);
	}
	atomic_store(&stage->is_full, true);
	while (!atomic_load(&stage->may_go_on))
		usleep(1000);
	sonde_bulkhead_release(&bulkhead);
	sonde_bulkhead_release(&bulkhead);
	if (sonde_bulkhead_set_limit(&bulkhead, LIMIT + 1) != SONDE_OK ||
	    sonde_bulkhead_set_limit(&bulkhead, LIMIT) != SONDE_OK)
		_exit(2);
	/* Until it has to wait. */
	while (!sonde_bulkhead_acquire(&bulkhead, NULL))
		;
	_exit(3);
}

static void say_asleep(const char *name)
{
	if (strcmp(name, "bulkhead_before_sleep") == 0)
		atomic_store(&stage->is_asleep, true);
}

static pid_t sleeper_begin(void)
{
	pid_t pid = child_begin();

	if (pid == 0) {
		sonde__testpoint_hook = say_asleep;
		if (sonde_bulkhead_acquire(&bulkhead, NULL))
			_exit(1);
		atomic_store(&stage->now_ns, sonde__monotonic_ns());
		_exit(0);
	}
	for (int i = 0; i < 20000 && !atomic_load(&stage->is_asleep); i++)
		usleep(1000);
	assert_true(atomic_load(&stage->is_asleep));
	return pid;
}

/* False: it was killed before. */
static bool is_full_soon(pid_t victim)
{
	siginfo_t info = { .si_pid = 0 };

	while (!atomic_load(&stage->is_full)) {
		waitid(P_PID, (id_t)victim, &info, WEXITED | WNOHANG | WNOWAIT);
		if (info.si_pid)
			return atomic_load(&stage->is_full);
		usleep(1000);
	}
	return true;
}

static void killed_at(const char *point, int n)
{
	pid_t sleeper = 0;
	pid_t victim;
	pid_t dead;

	bulkhead_begin(/* is_real= */ false);
	dead = child_begin();
	if (dead == 0)
		_exit(sonde_bulkhead_try_acquire(&bulkhead) ? 0 : 1);
	assert_ended(dead);
	victim = child_begin();
	if (victim == 0)
		do_everything(point, n);
	if (is_full_soon(victim))
		sleeper = sleeper_begin();
	atomic_store(&stage->may_go_on, true);
	assert_killed(victim);
	/* Whether it was woken or not. */
	atomic_fetch_add(&stage->now_ns, 100 * MS);
	if (sleeper)
		assert_ended(sleeper);
	assert_free(LIMIT);
	sonde_bulkhead_deinit(&bulkhead);
}

static void test_killed_at_every_point(void **state)
{
	static const struct {
		const char *name;
		int n;
	} points[] = {
		{ "bulkhead_claimed", 4 }, { "bulkhead_before_return", 2 },
		{ "bulkhead_returned", 2 }, { "bulkhead_before_wake", 1 },
		{ "bulkhead_before_reclaim", 1 }, { "bulkhead_waiting", 1 },
		{ "bulkhead_before_sleep", 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		for (int n = 0; n < points[i].n; n++)
			killed_at(points[i].name, n);
	}
}

/* Woken, and not by a look of its own, which would be 100 ms after it fell asleep. */
static uint64_t wake_up_takes_ns(void)
{
	pid_t pid;
	uint64_t released_ns;

	bulkhead_begin(/* is_real= */ true);
	take(LIMIT);
	pid = sleeper_begin();
	released_ns = sonde__monotonic_ns();
	sonde_bulkhead_release(&bulkhead);
	assert_ended(pid);
	sonde_bulkhead_deinit(&bulkhead);
	return atomic_load(&stage->now_ns) - released_ns;
}

static void test_release_wakes_another_process(void **state)
{
	uint64_t best_ns = UINT64_MAX;

	(void)state;
	for (int i = 0; i < 10 && best_ns > 50 * MS; i++) {
		uint64_t ns = wake_up_takes_ns();

		best_ns = ns < best_ns ? ns : best_ns;
	}
	assert_true(best_ns <= 50 * MS);
}

#endif

/* ---- Killed at random ------------------------------------------------------------------------ */

static void check_inside(uint32_t number)
{
	uint64_t keys[CHILDREN];
	uint32_t n_alive = 0;
	uint32_t inside;

	for (uint32_t i = 0; i < CHILDREN; i++)
		keys[i] = atomic_load(&stage->keys[i]);
	inside = atomic_fetch_or(&stage->inside, 1u << number) | 1u << number;
	if (__builtin_popcount(inside) <= LIMIT - 1)
		return;
	for (uint32_t i = 0; i < CHILDREN; i++)
		n_alive += inside >> i & 1 && sonde__process_key_is_alive(keys[i]);
	if (n_alive > LIMIT - 1)
		atomic_fetch_add(&stage->n_wrong, 1);
}

/* With one permit fewer than the limit, which the parent has. */
static void come_and_go(uint32_t number)
{
	atomic_store(&stage->keys[number], sonde__process_key());
	for (uint32_t i = 0;; i++) {
		if (i % 2 ? !sonde_bulkhead_try_acquire(&bulkhead) :
			    sonde_bulkhead_acquire(&bulkhead, NULL) != NULL)
			continue;
		check_inside(number);
		atomic_fetch_add(&stage->n_turns, 1);
		atomic_fetch_and(&stage->inside, ~(1u << number));
		sonde_bulkhead_release(&bulkhead);
	}
}

static pid_t visitor_begin(uint32_t number)
{
	pid_t pid = child_begin();

	if (pid == 0)
		come_and_go(number);
	return pid;
}

static void visitor_kill(pid_t pid, uint32_t number)
{
	kill(pid, SIGKILL);
	assert_killed(pid);
	atomic_fetch_and(&stage->inside, ~(1u << number));
}

static void test_killed_at_random(void **state)
{
	pid_t pids[CHILDREN];
	unsigned random = 1;
	uint32_t n_turns = 0;

	(void)state;
	bulkhead_begin(/* is_real= */ true);
	take(1);
	for (uint32_t i = 0; i < CHILDREN; i++)
		pids[i] = visitor_begin(i);
	for (int round = 0; round < 60; round++) {
		uint32_t number = (uint32_t)rand_r(&random) % CHILDREN;

		usleep((useconds_t)(rand_r(&random) % 3000));
		visitor_kill(pids[number], number);
		pids[number] = visitor_begin(number);
	}
	/* It goes on. */
	n_turns = atomic_load(&stage->n_turns);
	for (int i = 0; i < 20000 && atomic_load(&stage->n_turns) < n_turns + 100; i++)
		usleep(1000);
	assert_true(atomic_load(&stage->n_turns) >= n_turns + 100);
	for (uint32_t i = 0; i < CHILDREN; i++)
		visitor_kill(pids[i], i);
	assert_int_equal(atomic_load(&stage->n_wrong), 0);
	usleep(110000); /* A sweep's period, in real time. */
	assert_free(LIMIT - 1);
	assert_int_equal(figures().n_taken, 1);
	sonde_bulkhead_deinit(&bulkhead);
}

/* ---- Alive ----------------------------------------------------------------------------------- */

static void test_stopped_processes_keep_theirs(void **state)
{
	pid_t pid;

	(void)state;
	bulkhead_begin(/* is_real= */ false);
	pid = child_begin();
	if (pid == 0) {
		if (!sonde_bulkhead_try_acquire(&bulkhead))
			_exit(1);
		raise(SIGSTOP);
		sonde_bulkhead_release(&bulkhead);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
	assert_free(LIMIT - 1);
	assert_int_equal(figures().n_reclaimed, 0);
	kill(pid, SIGCONT);
	assert_ended(pid);
	assert_free(LIMIT);
	assert_int_equal(figures().n_reclaimed, 0);
	sonde_bulkhead_deinit(&bulkhead);
}

static void test_children_do_not_give_back_what_parents_took(void **state)
{
	pid_t pid;

	(void)state;
	bulkhead_begin(/* is_real= */ false);
	take(2);
	pid = child_begin();
	if (pid == 0) {
		sonde_bulkhead_release(&bulkhead);
		/* One is left, and it is its own to give back. */
		if (!sonde_bulkhead_try_acquire(&bulkhead) || sonde_bulkhead_try_acquire(&bulkhead))
			_exit(1);
		sonde_bulkhead_release(&bulkhead);
		sonde_bulkhead_release(&bulkhead);
		_exit(figures().n_taken == 2 ? 0 : 2);
	}
	assert_ended(pid);
	assert_free(LIMIT - 2);
	sonde_bulkhead_deinit(&bulkhead);
}

/* It is the same process still; when it ends they come back, and not before. */
static void test_who_becomes_another_program_keeps_its_own(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	bulkhead_begin(/* is_real= */ false);
	pid = child_begin();
	if (pid == 0) {
		if (sonde_bulkhead_try_acquire(&bulkhead))
			execl("/bin/sh", "sh", "-c", "kill -STOP $$", (char *)NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_free(LIMIT - 1);
	assert_int_equal(figures().n_reclaimed, 0);
	kill(pid, SIGCONT);
	assert_ended(pid);
	assert_free(LIMIT);
	sonde_bulkhead_deinit(&bulkhead);
}

static void test_the_limit_is_of_all(void **state)
{
	pid_t pid;

	(void)state;
	bulkhead_begin(/* is_real= */ false);
	take(LIMIT);
	pid = child_begin();
	if (pid == 0) {
		if (sonde_bulkhead_try_acquire(&bulkhead) ||
		    sonde_bulkhead_set_limit(&bulkhead, 2 * LIMIT) != SONDE_OK ||
		    !sonde_bulkhead_try_acquire(&bulkhead))
			_exit(1);
		sonde_bulkhead_release(&bulkhead);
		_exit(sonde_bulkhead_set_limit(&bulkhead, 1) == SONDE_OK ? 0 : 2);
	}
	assert_ended(pid);
	assert_int_equal(figures().limit, 1);
	for (int i = 0; i < LIMIT; i++) {
		assert_false(sonde_bulkhead_try_acquire(&bulkhead));
		sonde_bulkhead_release(&bulkhead);
	}
	assert_free(1);
	sonde_bulkhead_deinit(&bulkhead);
}

/* The places of the dead come back as well: else a few dead would close the queue for good. */
static void test_queue_is_of_all(void **state)
{
	pid_t pids[4];
	struct sonde_error *error;

	(void)state;
	bulkhead_begin(/* is_real= */ false);
	take(LIMIT);
	for (uint32_t i = 0; i < 4; i++) {
		pids[i] = child_begin();
		if (pids[i] == 0)
			_exit(sonde_bulkhead_acquire(&bulkhead, NULL) ? 1 : 0);
		wait_until(LIMIT, i + 1);
	}
	error = sonde_bulkhead_acquire(&bulkhead, NULL);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_bulkhead_full);
	assert_string_equal(sonde_error_message(error),
			    "bulkhead \"\" is full: its queue is full, too");
	sonde_error_free(error);
	for (int i = 0; i < 4; i++) {
		kill(pids[i], SIGKILL);
		assert_killed(pids[i]);
	}
	assert_int_equal(figures().n_waiting, 4);
	assert_free(0);
	sonde_bulkhead_deinit(&bulkhead);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test_setup_teardown(test_killed_at_every_point, stage_begin, stage_end),
		cmocka_unit_test_setup_teardown(test_release_wakes_another_process, stage_begin,
						stage_end),
#endif
		cmocka_unit_test_setup_teardown(test_killed_at_random, stage_begin, stage_end),
		cmocka_unit_test_setup_teardown(test_stopped_processes_keep_theirs, stage_begin,
						stage_end),
		cmocka_unit_test_setup_teardown(test_children_do_not_give_back_what_parents_took,
						stage_begin, stage_end),
		cmocka_unit_test_setup_teardown(test_who_becomes_another_program_keeps_its_own,
						stage_begin, stage_end),
		cmocka_unit_test_setup_teardown(test_the_limit_is_of_all, stage_begin, stage_end),
		cmocka_unit_test_setup_teardown(test_queue_is_of_all, stage_begin, stage_end),
	};

	alarm(120); /* Who hangs fails. */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
