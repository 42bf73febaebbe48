/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Follows frame pointers and reads no byte that is not surely part of the running thread's stack.
 *
 * A frame pointer may be anything: code built without them uses the register as it likes. So each
 * is followed only upward and only inside [frame, top), where `frame` lies on the thread's own
 * stack and `top` is that stack's upper end. A stack is mapped without gaps from its lowest touched
 * byte to its top, hence every address in that range can be read.
 *
 * On glibc for x86-64 the thread's descriptor, which the thread pointer points at, sits at the top
 * of its stack's block, and holds the block's bounds: its start and its size. The main thread has 0
 * and the end of the initial stack there. Where in the descriptor is nobody's business but glibc's,
 * so a constructor looks for the words whose values it knows: on the main thread __libc_stack_end
 * behind a zero, on another what pthread_getattr_np says. Where they are not found, walks have one
 * frame. The thread's bounds are thus two loads from a line that is always present; nothing is
 * cached, so nothing can be stale after a fork, a thread's end or the reuse of its stack.
 *
 * The main thread's block starts at 0 in that descriptor, which would take in every signal stack
 * and coroutine below it. The kernel keeps the 128 MiB below the top of the initial stack free of
 * other mappings, so a frame within MAIN_STACK_WINDOW of the top is on it, and one further down is
 * not followed.
 *
 * A frame that is not on it may be on the thread's signal stack, which the kernel knows: that is a
 * system call, on such stacks alone. A handler returns into what the kernel wrote
 * below it for sigreturn, and there are the registers of what it interrupted: the walk goes on with
 * them.
 */

#include "stack/stack.h"

#include <errno.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include "stack/provider.h"

#define MAIN_STACK_WINDOW (UINT64_C(64) << 20)

/* struct pthread is 2304 bytes in every glibc since 2.4, the bounds well inside. */
#define DESCRIPTOR_WORDS (2048 / sizeof(uint64_t))

/* User space ends here, and no code lies in the first pages. */
#define CODE_MIN UINT64_C(0x1000)
#define CODE_MAX (UINT64_C(1) << 47)

/* The address after the initial stack; not there in some static programs. */
extern void *__libc_stack_end __attribute__((weak));

/* The index of the block's start in the descriptor, its size being next; 0: not known. */
static _Atomic uint32_t bounds_index;

static const uint64_t *descriptor(void)
{
	return __builtin_thread_pointer();
}

/* The words that hold the main thread's bounds: 0, then the end of the initial stack. */
static uint32_t main_bounds_index(void)
{
	const uint64_t *words = descriptor();
	uint32_t found = 0;

	if (!&__libc_stack_end)
		return 0;
	for (uint32_t i = 0; i + 1 < DESCRIPTOR_WORDS; i++) {
		if (words[i] != 0 || words[i + 1] != (uint64_t)(uintptr_t)__libc_stack_end)
			continue;
		if (found)
			return 0;
		found = i;
	}
	return found;
}

/* The words that hold another thread's: a start and a size that end where its stack ends. */
static uint32_t thread_bounds_index(void)
{
	const uint64_t *words = descriptor();
	uint32_t found = 0;
	pthread_attr_t attr;
	void *address;
	size_t size;

	if (pthread_getattr_np(pthread_self(), &attr) != 0)
		return 0;
	if (pthread_attr_getstack(&attr, &address, &size) == 0) {
		uint64_t low = (uint64_t)(uintptr_t)address;

		for (uint32_t i = 0; i + 1 < DESCRIPTOR_WORDS && !found; i++)
			if (words[i] != 0 && words[i] <= low &&
			    words[i] + words[i + 1] == low + size)
				found = i;
	}
	pthread_attr_destroy(&attr);
	return found;
}

/* The C library's code, where signal handlers return to; never unloaded. Set by a constructor. */
static struct {
	uint64_t start;
	uint64_t size;
} library_code;

/* Looks whether the object has the C library's text in it, which lies where its code does. */
static int find_code(struct dl_phdr_info *info, size_t size, void *text)
{
	uint64_t wanted = (uint64_t)(uintptr_t)text;
	bool is_it = false;

	(void)size;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];

		is_it |= header->p_type == PT_LOAD &&
			 wanted - (info->dlpi_addr + header->p_vaddr) < header->p_memsz;
	}
	for (size_t i = 0; i < info->dlpi_phnum && is_it; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];

		if (header->p_type != PT_LOAD || (header->p_flags & (PF_X | PF_R)) != (PF_X | PF_R))
			continue;
		library_code.start = info->dlpi_addr + header->p_vaddr;
		library_code.size = header->p_filesz;
	}
	return is_it;
}

static void SONDE__CONSTRUCTOR find_library_code(void)
{
	(void)dl_iterate_phdr(find_code, (void *)(uintptr_t)gnu_get_libc_version());
}

static void SONDE__CONSTRUCTOR find_bounds(void)
{
	uint32_t index = main_bounds_index();

	if (!index)
		index = thread_bounds_index();
	/*
	 * Relaxed: the word is a number that is right or 0, and nothing else is published with it.
	 */
	atomic_store_explicit(&bounds_index, index, memory_order_relaxed);
}

/* The end of the stack that `frame` is on; 0: it is not on the thread's own. */
static uint64_t stack_top(uint64_t frame)
{
	uint32_t index = atomic_load_explicit(&bounds_index, memory_order_relaxed);
	const uint64_t *words = descriptor();
	uint64_t start;
	uint64_t size;
	uint64_t top;

	if (SONDE__UNLIKELY(!index))
		return 0;
	start = words[index];
	size = words[index + 1];
	top = start + size;
	if (start == 0)
		start = top > MAIN_STACK_WINDOW ? top - MAIN_STACK_WINDOW : 0;
	else if ((uint64_t)(uintptr_t)words < top)
		top = (uint64_t)(uintptr_t)words; /* What lies above is the descriptor's own. */
	return frame >= start && frame < top ? top : 0;
}

/* ---- Stacks that are not the thread's own ---------------------------------------------------- */

/*
 * The end of the signal stack that `frame` is on; 0: on none. What lies between a handler's frame
 * and the end is mapped: the kernel wrote its own frame there, and the handler's came below it.
 */
static uint64_t signal_stack_top(uint64_t frame)
{
	stack_t stack = { .ss_flags = SS_DISABLE };
	uint64_t start;

	if (syscall(SYS_sigaltstack, /* new= */ NULL, &stack) != 0 || stack.ss_flags & SS_DISABLE)
		return 0;
	start = (uint64_t)(uintptr_t)stack.ss_sp;
	return frame >= start && frame - start < stack.ss_size ? start + stack.ss_size : 0;
}

/* By way of the kernel, which says that memory is not there where a load would fault. */
static bool read_checked(uint64_t address, uint64_t *ret)
{
	struct iovec local = { .iov_base = ret, .iov_len = sizeof(*ret) };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)address,
				.iov_len = sizeof(*ret) };

	return syscall(SYS_process_vm_readv, getpid(), &local, 1L, &remote, 1L, 0L) ==
	       (long)sizeof(*ret);
}

/* ---- Frame pointers -------------------------------------------------------------------------- */

/*
 * What the kernel put on the stack under a signal handler, where its return address leads: struct
 * ucontext in System V's ABI for x86-64, in words.
 */
#define KERNEL_FP 15
#define KERNEL_SP 20
#define KERNEL_PC 21
#define KERNEL_SEGMENTS 23
#define KERNEL_FPSTATE 28
#define KERNEL_WORDS 31
#define KERNEL_FLAGS_MAX 7
#define USER_CODE_SEGMENT 0x33

/* The registers of what a handler interrupted, where they lie at `at`. */
struct interrupted {
	uint64_t pc;
	uint64_t sp;
	uint64_t fp;
};

/* What a handler returns to: mov $__NR_rt_sigreturn, %rax; syscall. */
static SONDE__NO_SANITIZE bool is_return_of_handler(uint64_t code)
{
	static const uint8_t expected[] = { 0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05 };
	const uint8_t *bytes = (const uint8_t *)(uintptr_t)code;

	if (SONDE__LIKELY(code - library_code.start >= library_code.size) ||
	    library_code.start + library_code.size - code < sizeof(expected))
		return false;
	for (size_t i = 0; i < sizeof(expected); i++)
		if (bytes[i] != expected[i])
			return false;
	return true;
}

/*
 * Many things must hold of it, so that it is not taken for what it is not: no flags but the known
 * ones, no link, user code's segment, a state of the floating-point unit right above it.
 */
static SONDE__NO_SANITIZE bool read_kernel_frame(uint64_t at, uint64_t top,
						 struct interrupted *ret)
{
	const uint64_t *words = (const uint64_t *)(uintptr_t)at;

	if (at >= top || (top - at) / sizeof(*words) < KERNEL_WORDS)
		return false;
	if (words[0] > KERNEL_FLAGS_MAX || words[1] != 0 ||
	    (words[KERNEL_SEGMENTS] & 0xffff) != USER_CODE_SEGMENT)
		return false;
	if (words[KERNEL_FPSTATE] && (words[KERNEL_FPSTATE] <= at || words[KERNEL_FPSTATE] >= top))
		return false;
	*ret = (struct interrupted){
		.pc = words[KERNEL_PC] + 1,
		.sp = words[KERNEL_SP],
		.fp = words[KERNEL_FP],
	};
	return ret->pc >= CODE_MIN && ret->pc < CODE_MAX;
}

/* A walk: what is stored so far, and where it goes on. */
struct walk {
	uint64_t *frames;
	size_t n;
	size_t capacity;
	uint64_t low; /* The stack is in use from here */
	uint64_t top; /* to here. */
	bool is_unknown; /* Whether it is mapped between these. */
	struct interrupted interrupted; /* If it stopped at a signal handler. */
};

/*
 * Stores where the callers of a function return to whose frame pointer is `next`, up to one that
 * returns into the C library. Returns how many; *ret_last is where the frame of the last one is.
 */
static SONDE__NO_SANITIZE size_t follow_stretch(const struct walk *walk, uint64_t next,
						uint64_t *ret_last)
{
	/* Copies: what is stored might be any of them, for all that the compiler knows. */
	const uint64_t library_start = library_code.start;
	const uint64_t library_size = library_code.size;
	const size_t room = walk->capacity - walk->n;
	uint64_t *const frames = walk->frames + walk->n;
	const uint64_t top = walk->top;
	uint64_t low = walk->low;
	size_t n = 0;

	/* Upward, in bounds, and aligned as the ABI has it at every call. */
	while (n < room && next >= low && next % 16 == 0 && next < top &&
	       top - next >= 2 * sizeof(uint64_t)) {
		const uint64_t *words = (const uint64_t *)(uintptr_t)next;
		uint64_t code = words[1];

		/* Not code: the register was somebody's pointer to a local variable. */
		if (code < CODE_MIN || code >= CODE_MAX || (code >= low && code < top))
			break;
		frames[n++] = code;
		*ret_last = next;
		low = next + 1;
		if (SONDE__UNLIKELY(code - library_start < library_size))
			break;
		next = words[0];
	}
	return n;
}

/* The same to the end. True: it came to a handler's frame, and what was interrupted is known. */
static SONDE__NO_SANITIZE bool follow(struct walk *walk, uint64_t next)
{
	uint64_t last;
	size_t n;

	while ((n = follow_stretch(walk, next, &last)) > 0) {
		const uint64_t *words = (const uint64_t *)(uintptr_t)last;

		walk->n += n;
		walk->low = last + 1;
		if (SONDE__LIKELY(words[1] - library_code.start >= library_code.size))
			return false;
		/* A handler's own caller is what it interrupted, its frame pointer untouched. */
		if (is_return_of_handler(words[1]) &&
		    read_kernel_frame(last + 2 * sizeof(uint64_t), walk->top, &walk->interrupted) &&
		    walk->interrupted.fp == words[0])
			return true;
		next = words[0];
	}
	return false;
}

/* The provider as far as it knows the way, frame pointers from there on. */
static SONDE__NO_SANITIZE bool follow_provider(struct walk *walk,
					       const struct sonde_stack_provider *provider,
					       struct sonde_stack_cursor *cursor)
{
	size_t room = walk->capacity - walk->n;
	int saved_errno = errno;
	size_t n = provider->walk(cursor, walk->frames + walk->n, room);

	errno = saved_errno;
	walk->n += n < room ? n : room;
	walk->low = cursor->sp > walk->low ? cursor->sp : walk->low;
	if (cursor->is_complete || cursor->read || walk->n == walk->capacity)
		return false;
	if (n && is_return_of_handler(cursor->pc) &&
	    read_kernel_frame(cursor->sp, cursor->end, &walk->interrupted))
		return true;
	return follow(walk, cursor->fp);
}

/*
 * Goes on where a signal came: on the thread's own stack, further up on this one, or on one that
 * nobody knows. False: that is nowhere where a walk can come from. Its function may not have
 * touched all of its frame, and may have come to the stack's end, so the lowest word that is read
 * is asked for first.
 */
static SONDE__NO_SANITIZE bool enter_interrupted(struct walk *walk)
{
	uint64_t sp = walk->interrupted.sp;
	uint64_t own = stack_top(sp);

	if (own == walk->top && sp < walk->low)
		return false;
	if (own)
		walk->top = own;
	else
		walk->is_unknown = sp < walk->low || sp >= walk->top;
	if (walk->is_unknown)
		walk->top = CODE_MAX;
	walk->low = sp;
	return true;
}

/* True: it came to the next handler. */
static SONDE__NO_SANITIZE bool follow_interrupted(struct walk *walk)
{
	const struct sonde_stack_provider *provider = sonde__stack_provider();
	struct sonde_stack_cursor cursor = {
		.pc = walk->interrupted.pc,
		.sp = walk->low,
		.fp = walk->interrupted.fp,
		.end = walk->top,
		.is_interrupted = true,
	};
	uint64_t word;

	if (!provider)
		return !walk->is_unknown && read_checked(cursor.fp, &word) &&
		       follow(walk, cursor.fp);
	if (walk->is_unknown || !read_checked(cursor.sp & ~UINT64_C(7), &word))
		cursor.read = read_checked;
	return follow_provider(walk, provider, &cursor);
}

static void walk_on(struct walk *walk)
{
	int saved_errno = errno;

	while (walk->n < walk->capacity && enter_interrupted(walk)) {
		walk->frames[walk->n++] = walk->interrupted.pc;
		if (!follow_interrupted(walk))
			break;
	}
	errno = saved_errno;
}

/*
 * The end of the stack that is in use from `low` on: the thread's own or, by a system call, the
 * signal stack's. Of any other nobody knows it: it is as far as each word can be asked for, which
 * is of use to a provider alone, for frame pointers do not say where a coroutine ends.
 */
static uint64_t find_top(uint64_t low, bool *ret_is_known)
{
	uint64_t top = stack_top(low);

	if (SONDE__UNLIKELY(!top)) {
		int saved_errno = errno;

		top = signal_stack_top(low);
		errno = saved_errno;
	}
	*ret_is_known = top != 0;
	return top ? top : CODE_MAX;
}

SONDE__NO_SANITIZE size_t sonde__stack_follow(const void *frame_address, uint64_t *frames,
					      size_t capacity)
{
	const struct sonde_stack_provider *provider = sonde__stack_provider();
	const uint64_t *words = frame_address;
	uint64_t frame = (uint64_t)(uintptr_t)frame_address;
	struct walk walk = { .frames = frames, .capacity = capacity, .low = frame + 1 };
	struct sonde_stack_cursor cursor;
	bool is_known;

	if (capacity == 0)
		return 0;
	walk.top = find_top(frame, &is_known);
	if (frame > walk.top - 2 * sizeof(uint64_t) || (!is_known && !provider))
		return 0;
	if (!provider) {
		if (SONDE__UNLIKELY(follow(&walk, words[0])))
			walk_on(&walk);
		return walk.n;
	}
	cursor = (struct sonde_stack_cursor){
		.pc = words[1],
		.sp = frame + 2 * sizeof(uint64_t),
		.fp = words[0],
		.end = walk.top,
		.read = is_known ? NULL : read_checked,
	};
	if (SONDE__UNLIKELY(follow_provider(&walk, provider, &cursor)))
		walk_on(&walk);
	return walk.n;
}

SONDE__NO_SANITIZE size_t sonde__stack_walk_interrupted(const void *context, uint64_t *frames,
							size_t capacity)
{
	const greg_t *registers = ((const ucontext_t *)context)->uc_mcontext.gregs;
	struct walk walk = {
		.frames = frames,
		.capacity = capacity,
		.low = (uint64_t)registers[REG_RSP],
		.interrupted = {
			.pc = (uint64_t)registers[REG_RIP] + 1,
			.sp = (uint64_t)registers[REG_RSP],
			.fp = (uint64_t)registers[REG_RBP],
		},
	};
	bool is_known;

	if (capacity == 0)
		return 0;
	walk.top = find_top(walk.low, &is_known);
	if (!is_known)
		walk.top = walk.low;
	walk_on(&walk);
	return walk.n;
}
