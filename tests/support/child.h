/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_SUPPORT_CHILD_H
#define SONDE_TESTS_SUPPORT_CHILD_H

/*
 * Runs a function in a process of its own: the box is one for a process and cannot be unmade.
 * There, CHECK takes the place of cmocka's assertions, which would go on in the wrong process.
 */

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_OK 0
#define CHILD_FAILED 99

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			_exit(CHILD_FAILED); \
		} \
	} while (0)

/* The exit status, or 1000 and the signal that killed it. */
static inline int child_wait(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static inline int child_run(void (*function)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		function();
		_exit(CHILD_OK);
	}
	return child_wait(pid);
}

#endif
