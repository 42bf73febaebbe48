/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

size_t allocator_calls;
bool allocator_fails;
unsigned n_reports;
char last_report[256];

void *__wrap_malloc(size_t size)
{
	__atomic_fetch_add(&allocator_calls, 1, __ATOMIC_RELAXED);
	if (allocator_fails) {
		errno = ENOMEM;
		return NULL;
	}
	return __real_malloc(size);
}

void run_in_child(void (*test)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		test();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void on_report(void *user, enum sonde_level level, const char *text)
{
	(void)user;
	(void)level;
	n_reports++;
	snprintf(last_report, sizeof(last_report), "%s", text);
}

void reports_listen(void)
{
	n_reports = 0;
	sonde__diagnostic_set(on_report, /* user= */ NULL);
}
