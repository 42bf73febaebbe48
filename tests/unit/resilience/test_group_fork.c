/* SPDX-License-Identifier: Apache-2.0 */

/* A forked child has none of its parent's threads: the parent's groups are closed there. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/yard.h"

/* What went wrong in the child; 0: nothing. */
static int look_in_child(struct yard *yard)
{
	struct sonde_group_result result;
	struct sonde_group own;
	struct sonde_error *error;

	if (sonde_group_spawn(&yard->group, NULL, gate_pass, &yard->gates[2], NULL) !=
	    SONDE_E_CLOSED)
		return 1;
	error = sonde_group_wait(&yard->group);
	if (!error || !sonde_error_is(error, &sonde_closed))
		return 2;
	sonde_error_free(error);
	if (sonde_group_next(&yard->group, &result) || sonde_group_gather(&yard->group))
		return 3;
	sonde_group_cancel(&yard->group, NULL);
	sonde_group_deinit(&yard->group);
	if (sonde_group_init(&own, NULL) != SONDE_OK)
		return 4;
	gate_init(&yard->gates[2], 2, NULL);
	gate_open(&yard->gates[2], false);
	if (sonde_group_spawn(&own, NULL, gate_pass, &yard->gates[2], NULL) != SONDE_OK)
		return 5;
	if (sonde_group_wait(&own))
		return 6;
	sonde_group_deinit(&own);
	return 0;
}

static void test_group_is_closed_in_a_child_and_goes_on_in_its_parent(void **state)
{
	struct yard yard;
	int status;
	pid_t child;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ 0 });
	yard_spawn(&yard, 2);
	yard_await(&yard, 2);
	child = fork();
	if (child == 0)
		_exit(look_in_child(&yard));
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	for (unsigned i = 0; i < 2; i++)
		gate_open(&yard.gates[i], false);
	assert_null(sonde_group_wait(&yard.group));
	assert_int_equal(figures_of(&yard).succeeded, 2);
	sonde_group_deinit(&yard.group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group_is_closed_in_a_child_and_goes_on_in_its_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
