/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Captures errors whose stacks are worth naming; test_symbols.py compiles it in several ways.
 *
 *	named               one error, in an inlined function
 *	named plugin PATH   one error, in a plugin that is gone when it is named
 *	named loaded PATH   one error, in a plugin that stays
 *	named fork N        N children that capture, while our own worker names without an end
 */

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sonde/sonde.h>

#define KEPT __attribute__((noinline, noclone))

int outer(int number);

static inline __attribute__((always_inline)) int inner(int number)
{
	struct sonde_error *error = sonde_error_raise(&sonde_internal, "number %d", number);

	sonde_error_capture(error);
	sonde_error_free(error);
	return number;
}

KEPT int outer(int number)
{
	return inner(number) + 1;
}

/* More places than names are kept for. */
#define PLACE(n) \
	KEPT static int place_##n(int number) \
	{ \
		return outer(number + n) + 1; \
	}
#define TEN(a) PLACE(a##0) PLACE(a##1) PLACE(a##2) PLACE(a##3) PLACE(a##4) PLACE(a##5) \
	PLACE(a##6) PLACE(a##7) PLACE(a##8) PLACE(a##9)
TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9) TEN(10) TEN(11) TEN(12) TEN(13)
TEN(14) TEN(15) TEN(16) TEN(17) TEN(18) TEN(19) TEN(20) TEN(21) TEN(22) TEN(23) TEN(24) TEN(25)
TEN(26) TEN(27) TEN(28) TEN(29) TEN(30) TEN(31) TEN(32) TEN(33) TEN(34) TEN(35) TEN(36) TEN(37)

#define NAME(n) place_##n,
#define TEN_NAMES(a) NAME(a##0) NAME(a##1) NAME(a##2) NAME(a##3) NAME(a##4) NAME(a##5) \
	NAME(a##6) NAME(a##7) NAME(a##8) NAME(a##9)
static int (*const places[])(int) = {
	TEN_NAMES(1) TEN_NAMES(2) TEN_NAMES(3) TEN_NAMES(4) TEN_NAMES(5) TEN_NAMES(6)
	TEN_NAMES(7) TEN_NAMES(8) TEN_NAMES(9) TEN_NAMES(10) TEN_NAMES(11) TEN_NAMES(12)
	TEN_NAMES(13) TEN_NAMES(14) TEN_NAMES(15) TEN_NAMES(16) TEN_NAMES(17) TEN_NAMES(18)
	TEN_NAMES(19) TEN_NAMES(20) TEN_NAMES(21) TEN_NAMES(22) TEN_NAMES(23) TEN_NAMES(24)
	TEN_NAMES(25) TEN_NAMES(26) TEN_NAMES(27) TEN_NAMES(28) TEN_NAMES(29) TEN_NAMES(30)
	TEN_NAMES(31) TEN_NAMES(32) TEN_NAMES(33) TEN_NAMES(34) TEN_NAMES(35) TEN_NAMES(36)
	TEN_NAMES(37)
};
#define N_PLACES (sizeof(places) / sizeof(places[0]))

static int run_plugin(const char *path, bool is_left)
{
	void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	int (*go)(int) = plugin ? (int (*)(int))dlsym(plugin, "plugin_go") : NULL;

	if (!go || go(1) != 3)
		return 4;
	if (is_left)
		return 0;
	return dlclose(plugin) == 0 ? 0 : 5;
}

static bool must_stop;

static void *capture_without_end(void *agent)
{
	for (size_t i = 0; !__atomic_load_n(&must_stop, __ATOMIC_RELAXED); i++) {
		(void)places[i % N_PLACES](1);
		if (i % 16 == 15)
			(void)sonde_agent_flush(agent, 1000);
	}
	return NULL;
}

/* Every second child is made behind the back of pthread_atfork. */
static int run_child(struct sonde_agent *agent, int i)
{
	pid_t child = i % 2 ? fork() : _Fork();
	int status;

	if (child == 0) {
		alarm(60);
		(void)places[(size_t)i * 7 % N_PLACES](i);
		_exit(sonde_agent_flush(agent, 20000) == SONDE_OK ? 0 : 1);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
		printf("child %d status %d\n", i, child < 0 ? -1 : status);
		return 6;
	}
	return 0;
}

static int run_fork(struct sonde_agent *agent, int n)
{
	pthread_t thread;
	int failed = 0;

	if (pthread_create(&thread, NULL, capture_without_end, agent) != 0)
		return 7;
	for (int i = 0; i < n && !failed; i++)
		failed = run_child(agent, i);
	__atomic_store_n(&must_stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	return failed;
}

int main(int argc, char **argv)
{
	struct sonde_agent *agent;
	int failed = 0;

	if (sonde_agent_start(NULL, &agent) != SONDE_OK)
		return 2;
	if (argc > 2 && (!strcmp(argv[1], "plugin") || !strcmp(argv[1], "loaded")))
		failed = run_plugin(argv[2], /* is_left= */ !strcmp(argv[1], "loaded"));
	else if (argc > 2 && !strcmp(argv[1], "fork"))
		failed = run_fork(agent, (int)strtol(argv[2], NULL, 10));
	else
		failed = outer(1) != 2;
	if (sonde_agent_stop(agent, 20000) != SONDE_OK)
		return 3;
	return failed;
}
