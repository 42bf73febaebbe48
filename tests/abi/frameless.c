/* SPDX-License-Identifier: Apache-2.0 */

/* Raises an error under functions that have no frame pointers. */

#include <stdio.h>

#include <sonde/sonde.h>

#define KEPT __attribute__((noinline, noclone, externally_visible))

int fail(int depth);
int deepest(int depth);
int middle(int depth);
int outer(int depth);

KEPT int fail(int depth)
{
	struct sonde_error *error = sonde_error_raise(&sonde_internal, "at depth %d", depth);

	sonde_error_capture(error);
	sonde_error_free(error);
	return depth;
}

KEPT int deepest(int depth)
{
	return fail(depth + 1) + 1;
}

KEPT int middle(int depth)
{
	char memory[3000];

	snprintf(memory, sizeof(memory), "%d", depth);
	return deepest(depth + 1) + memory[0];
}

KEPT int outer(int depth)
{
	return middle(depth + 1) + 1;
}

int main(void)
{
	struct sonde_agent *agent;

	if (sonde_agent_start(NULL, &agent) != SONDE_OK)
		return 1;
	if (outer(0) == 0)
		return 2;
	return sonde_agent_stop(agent, 5000) == SONDE_OK ? 0 : 3;
}
