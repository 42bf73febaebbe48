/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs a program and counts, from outside, the system calls that its threads make between their
 * marks (counters.h). Says for each name that was marked how many calls an operation made, and how
 * many of these were wake-ups (futex wakes). A wake-up is only in order if somebody had gone to
 * sleep on that very word: at the end of all, no word may have been rung more often than it was
 * waited on. Ends as the program ended, or with 1 where that does not hold.
 *
 * A thread is stopped at every system call from mark to mark alone. Otherwise a filter lets all
 * pass but the marks themselves and what may be a rest on a futex.
 *
 *	bench-trace PROGRAM [ARGUMENT]...
 */

#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counters.h"

#define THREADS_MAX 512
#define FIGURES_MAX 1024
#define WORDS_MAX 4096
#define NAME_SIZE 96
#define NUMBERS_MAX 512

struct figure_count {
	char name[NAME_SIZE];
	uint64_t n_operations;
	uint64_t n_wakes;
	uint64_t n_calls[NUMBERS_MAX]; /* By number of the system call, wakes left out. */
};

/* A futex word; two sleepers of one thread at once do not exist. */
struct word {
	uint64_t address;
	uint64_t n_waits;
	uint64_t n_wakes; /* By threads between their marks. */
};

struct thread {
	pid_t id; /* 0: free. */
	struct figure_count *figure; /* Between its marks. */
};

static struct thread threads[THREADS_MAX];
static struct figure_count figures[FIGURES_MAX];
static struct word words[WORDS_MAX];
static size_t n_figures;

static struct thread *thread_find(pid_t id)
{
	struct thread *free_one = NULL;

	for (size_t i = 0; i < THREADS_MAX; i++) {
		if (threads[i].id == id)
			return &threads[i];
		if (!threads[i].id && !free_one)
			free_one = &threads[i];
	}
	if (!free_one) {
		fputs("more threads than can be counted\n", stderr);
		exit(1);
	}
	*free_one = (struct thread){ .id = id };
	return free_one;
}

static struct word *word_find(uint64_t address)
{
	for (size_t i = 0; i < WORDS_MAX; i++) {
		struct word *word = &words[(address / 4 + i) % WORDS_MAX];

		if (!word->address)
			word->address = address;
		if (word->address == address)
			return word;
	}
	fputs("more futexes than can be counted\n", stderr);
	exit(1);
}

static struct figure_count *figure_find(pid_t id, uint64_t name_address)
{
	char name[NAME_SIZE] = "";
	struct iovec own = { .iov_base = name, .iov_len = sizeof(name) - 1 };
	struct iovec theirs = { .iov_base = (void *)(uintptr_t)name_address,
				.iov_len = sizeof(name) - 1 };

	if (process_vm_readv(id, &own, 1, &theirs, 1, /* flags= */ 0) <= 0) {
		perror("the name of a figure");
		exit(1);
	}
	for (size_t i = 0; i < n_figures; i++)
		if (strcmp(figures[i].name, name) == 0)
			return &figures[i];
	if (n_figures == FIGURES_MAX) {
		fputs("more figures than can be counted\n", stderr);
		exit(1);
	}
	memcpy(figures[n_figures].name, name, sizeof(name));
	return &figures[n_figures++];
}

static void mark(struct thread *thread, const uint64_t *arguments)
{
	if (arguments[2] == MARK_BEGIN) {
		thread->figure = figure_find(thread->id, arguments[3]);
	} else if (thread->figure) {
		thread->figure->n_operations += arguments[4];
		thread->figure = NULL;
	}
}

static bool is_mark(uint64_t number, const uint64_t *arguments)
{
	return number == SYS_getppid && arguments[1] == MARK_MAGIC;
}

/* A call that a thread makes between its marks. */
static void call_count(struct thread *thread, uint64_t number, const uint64_t *arguments)
{
	int operation = (int)arguments[1] & FUTEX_CMD_MASK;

	if (!thread->figure || is_mark(number, arguments))
		return;
	if (number == SYS_futex && operation == FUTEX_WAKE) {
		word_find(arguments[0])->n_wakes++;
		thread->figure->n_wakes++;
		return;
	}
	thread->figure->n_calls[number < NUMBERS_MAX ? number : 0]++;
}

/* What the filter does not let pass. */
static void call_filtered(struct thread *thread, uint64_t number, const uint64_t *arguments)
{
	if (is_mark(number, arguments))
		mark(thread, arguments);
	else if (number == SYS_futex)
		word_find(arguments[0])->n_waits++;
}

static void stopped(pid_t id, int status)
{
	struct thread *thread = thread_find(id);
	struct __ptrace_syscall_info info = { 0 };
	int number = WSTOPSIG(status);
	bool is_filtered = status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8);
	long deliver = 0;

	if (number == (SIGTRAP | 0x80) || is_filtered)
		ptrace(PTRACE_GET_SYSCALL_INFO, id, sizeof(info), &info);
	else if (number != SIGTRAP && number != SIGSTOP)
		deliver = number;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
		call_count(thread, info.entry.nr, (const uint64_t *)(const void *)info.entry.args);
	else if (info.op == PTRACE_SYSCALL_INFO_SECCOMP)
		call_filtered(thread, info.seccomp.nr,
			      (const uint64_t *)(const void *)info.seccomp.args);
	ptrace(thread->figure ? PTRACE_SYSCALL : PTRACE_CONT, id, NULL, deliver);
}

static int trace(pid_t program)
{
	int status = 0;
	int result = 1;

	for (;;) {
		pid_t id = waitpid(-1, &status, __WALL);

		if (id < 0 && errno == EINTR)
			continue;
		if (id < 0)
			return result;
		if (WIFSTOPPED(status)) {
			stopped(id, status);
			continue;
		}
		thread_find(id)->id = 0;
		if (id == program)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	}
}

/* "child _t4" becomes child_syscalls_t4. */
static void figure_print(const struct figure_count *figure)
{
	int size = (int)strcspn(figure->name, " ");
	const char *suffix = figure->name[size] ? figure->name + size + 1 : "";
	double n = figure->n_operations ? (double)figure->n_operations : 1;
	uint64_t n_others = 0;

	for (size_t i = 0; i < NUMBERS_MAX; i++) {
		n_others += figure->n_calls[i];
		if (figure->n_calls[i])
			fprintf(stderr, "%s: system call %zu, %" PRIu64 " times\n", figure->name, i,
				figure->n_calls[i]);
	}
	printf("%.*s_syscalls%s %g 1/op 0\n", size, figure->name, suffix,
	       (double)(n_others + figure->n_wakes) / n);
	printf("%.*s_syscalls_but_wakeups%s %g 1/op 0\n", size, figure->name, suffix,
	       (double)n_others / n);
}

static bool wakes_are_in_order(void)
{
	bool result = true;

	for (size_t i = 0; i < WORDS_MAX; i++) {
		if (words[i].n_wakes <= words[i].n_waits)
			continue;
		fprintf(stderr, "woken %" PRIu64 " times, but parked %" PRIu64 " times\n",
			words[i].n_wakes, words[i].n_waits);
		result = false;
	}
	return result;
}

static int filter_install(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, FUTEX_CMD_MASK & 0x7f),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_WAIT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void program_begin(char **arguments)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	if (filter_install() == 0)
		execvp(arguments[0], arguments);
	_exit(127);
}

int main(int argc, char **argv)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACESECCOMP |
			     PTRACE_O_EXITKILL;
	pid_t program;
	int result;

	if (argc < 2)
		return 2;
	program = fork();
	if (program == 0)
		program_begin(argv + 1);
	if (program < 0 || waitpid(program, NULL, __WALL) != program ||
	    ptrace(PTRACE_SETOPTIONS, program, NULL, options) != 0 ||
	    ptrace(PTRACE_CONT, program, NULL, NULL) != 0) {
		perror("this machine does not let a program be traced");
		return 3;
	}
	result = trace(program);
	for (size_t i = 0; i < n_figures; i++)
		figure_print(&figures[i]);
	return wakes_are_in_order() ? result : 1;
}
