/* SPDX-License-Identifier: Apache-2.0 */

/* A budget in memory that processes share: theirs in common, whoever is killed in the middle. */

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/retry.h>

#define CALLS 20000u
#define WORKERS 3

struct shared {
	struct sonde_retry_budget budget;
	_Atomic uint32_t n_granted;
};

static void spend(struct shared *shared)
{
	while (sonde_retry_budget_try_acquire(&shared->budget))
		atomic_fetch_add(&shared->n_granted, 1);
}

/* Takes for ever: to be killed. */
static void churn(struct shared *shared)
{
	for (;;) {
		if (sonde_retry_budget_try_acquire(&shared->budget))
			atomic_fetch_add(&shared->n_granted, 1);
	}
}

static pid_t begin(struct shared *shared, void (*work)(struct shared *shared))
{
	pid_t child = fork();

	if (child)
		return child;
	work(shared);
	_exit(0);
}

static void test_processes_share_it(void **state)
{
	const struct sonde_retry_budget_options options = { .ratio = 1,
							    .min_per_second = -1,
							    .burst = CALLS };
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t workers[WORKERS];
	uint32_t n_granted;
	pid_t victim;
	int status;

	(void)state;
	assert_ptr_not_equal(shared, MAP_FAILED);
	assert_int_equal(sonde_retry_budget_init(&shared->budget, &options), SONDE_OK);
	for (uint32_t i = 0; i < CALLS; i++)
		sonde_retry_budget_add_call(&shared->budget);
	victim = begin(shared, churn);
	assert_true(victim > 0);
	while (atomic_load(&shared->n_granted) < 100)
		sched_yield();
	assert_int_equal(kill(victim, SIGKILL), 0);
	assert_int_equal(waitpid(victim, &status, 0), victim);
	assert_true(WIFSIGNALED(status));
	for (int i = 0; i < WORKERS; i++) {
		workers[i] = begin(shared, spend);
		assert_true(workers[i] > 0);
	}
	for (int i = 0; i < WORKERS; i++) {
		assert_int_equal(waitpid(workers[i], &status, 0), workers[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	/* The victim may have died between taking one and counting it. */
	n_granted = atomic_load(&shared->n_granted);
	assert_in_range(n_granted, CALLS - 1, CALLS);
	assert_int_equal(sonde_retry_budget_left(&shared->budget), 0);
	sonde_retry_budget_add_call(&shared->budget);
	assert_true(sonde_retry_budget_try_acquire(&shared->budget));
	sonde_retry_budget_deinit(&shared->budget);
	munmap(shared, sizeof(*shared));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_processes_share_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
