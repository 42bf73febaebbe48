/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Walks stacks by call frame information, which compilers write for all code on x86-64, with frame
 * pointers or without.
 *
 * A walk stands at a return address with the stack pointer and the frame pointer that the function
 * there goes on with. The rule for the address says where its caller's frame is and where the
 * return address lies; both are read from the stack, in bounds; the stack pointer only goes up. A
 * return address is stored only if it lies behind a call instruction in a loaded module's code.
 * Anything else means that the stack was overwritten: the walk is over, short and not wrong.
 *
 * A rule that is not remembered is read from the module's tables, which are mapped: no lock, no
 * allocation, no system call, in the first walk as in every other one.
 */

#include <string.h>

#include <sonde/stack.h>

#include "cache.h"
#include "cfi.h"
#include "module.h"

/* Of the kernel's frame under a signal handler: struct ucontext in System V's ABI for x86-64. */
#define SIGNAL_FP 120
#define SIGNAL_SP 160
#define SIGNAL_PC 168
#define SIGNAL_SIZE 176

#define INTERRUPTED (UINT64_C(1) << 63)

struct walk {
	struct sonde_stack_cursor cursor;
	struct sonde__place place;
	struct sonde__rule rule; /* For the cursor's function. */
};

static bool stack_read(const struct sonde_stack_cursor *cursor, uint64_t address, uint64_t *ret)
{
	if (address < cursor->sp || address % 8 != 0 || address >= cursor->end ||
	    cursor->end - address < sizeof(*ret))
		return false;
	if (cursor->read)
		return cursor->read(address, ret);
	*ret = *(const uint64_t *)(uintptr_t)address;
	return true;
}

/*
 * A call of any form ends right before `address`: e8 and 4 bytes, or ff /2 with 0, 1, 2, 4 or 5
 * more.
 */
static bool is_behind_call(const struct sonde__place *place, uint64_t address)
{
	static const unsigned char sizes[] = { 2, 3, 4, 6, 7 };
	const uint8_t *code = (const uint8_t *)(uintptr_t)address;

	if (!sonde__place_is_code(place, address - 7))
		return false;
	if (code[-5] == 0xe8)
		return true;
	for (size_t i = 0; i < sizeof(sizes); i++) {
		const uint8_t *call = code - sizes[i];

		if (call[0] == 0xff && (call[1] & 0x38) == 0x10)
			return true;
	}
	return false;
}

/* Reads the rule for an instruction that was called from, or where a signal came. */
static struct sonde__rule rule_read(const struct sonde__place *place, uint64_t address,
				    bool is_interrupted)
{
	struct sonde__rule rule = { .kind = SONDE__RULE_STRANGE };

	if (!sonde__place_is_code(place, address))
		return rule;
	rule = sonde__cfi_read(place, address);
	/* What a thread, a coroutine or a signal handler starts from was not called. */
	if (!is_interrupted && (rule.kind == SONDE__RULE_CALL || rule.kind == SONDE__RULE_BARE) &&
	    !is_behind_call(place, address + 1))
		rule.kind = SONDE__RULE_STRANGE;
	return rule;
}

/* A module without an identity may change between two walks: nothing of it is remembered. */
static __attribute__((noinline)) void rule_learn(struct walk *walk, uint64_t key, uint64_t address,
						 bool is_interrupted)
{
	walk->rule = rule_read(&walk->place, address, is_interrupted);
	if (walk->place.identity)
		sonde__rule_remember(key, walk->rule);
}

/* Moves to the function at `pc`; false: it cannot be there. */
static bool walk_enter(struct walk *walk, uint64_t pc, bool is_interrupted)
{
	const struct sonde__place *place = &walk->place;
	uint64_t address = pc - 1;
	uint64_t key;

	if (address - place->start >= place->end - place->start &&
	    !sonde__place_find(&walk->place, address))
		return false;
	key = address ^ place->identity ^ (is_interrupted ? INTERRUPTED : 0);
	if (!place->identity || !sonde__rule_recall(key, &walk->rule))
		rule_learn(walk, key, address, is_interrupted);
	walk->cursor.pc = pc;
	return walk->rule.kind != SONDE__RULE_STRANGE;
}

static bool step_call(struct walk *walk)
{
	const struct sonde__rule *rule = &walk->rule;
	struct sonde_stack_cursor *cursor = &walk->cursor;
	uint64_t base = rule->cfa_is_fp ? cursor->fp : cursor->sp;
	uint64_t cfa = base + (uint64_t)(int64_t)rule->cfa_offset;
	uint64_t offset = (uint64_t)((int64_t)rule->fp_words * 8);
	uint64_t fp = rule->fp == SONDE__FP_SAME ? cursor->fp : 0;
	uint64_t pc;

	if (rule->cfa_is_read && !stack_read(cursor, cfa, &cfa))
		return false;
	if (cfa <= cursor->sp || !stack_read(cursor, cfa - 8, &pc))
		return false;
	if (rule->fp == SONDE__FP_AT_CFA && !stack_read(cursor, cfa + offset, &fp))
		return false;
	if (rule->fp == SONDE__FP_AT_FP && !stack_read(cursor, cursor->fp + offset, &fp))
		return false;
	cursor->sp = cfa;
	cursor->fp = fp;
	return walk_enter(walk, pc, /* is_interrupted= */ false);
}

/*
 * Out of a signal handler, on the same stack. The interrupted instruction counts as one that was
 * returned to, so that all entries of a stack mean the byte before.
 */
static bool step_signal(struct walk *walk)
{
	struct sonde_stack_cursor *cursor = &walk->cursor;
	uint64_t context = cursor->sp;
	uint64_t sp;
	uint64_t fp;
	uint64_t pc;

	if (!stack_read(cursor, context + SIGNAL_FP, &fp) ||
	    !stack_read(cursor, context + SIGNAL_SP, &sp) ||
	    !stack_read(cursor, context + SIGNAL_PC, &pc) || sp < context + SIGNAL_SIZE ||
	    sp >= cursor->end)
		return false;
	cursor->sp = sp;
	cursor->fp = fp;
	return walk_enter(walk, pc + 1, /* is_interrupted= */ true);
}

static bool step(struct walk *walk)
{
	switch (walk->rule.kind) {
	case SONDE__RULE_CALL:
		return step_call(walk);
	case SONDE__RULE_SIGNAL:
		return step_signal(walk);
	default:
		return false;
	}
}

static size_t unwind_walk(struct sonde_stack_cursor *cursor, uint64_t *frames, size_t capacity)
{
	struct walk walk = { .cursor = *cursor };
	size_t n = 0;

	if (!walk_enter(&walk, cursor->pc, cursor->is_interrupted))
		return 0;
	walk.cursor.is_interrupted = false;
	while (n < capacity && step(&walk))
		frames[n++] = walk.cursor.pc;
	*cursor = walk.cursor;
	/*
	 * Overwritten: what lies above is not to be trusted by frame pointers either. A signal that
	 * came from another stack is the core's to follow.
	 */
	cursor->is_complete = walk.rule.kind == SONDE__RULE_END ||
			      (n < capacity && walk.rule.kind != SONDE__RULE_BARE &&
			       walk.rule.kind != SONDE__RULE_SIGNAL);
	return n;
}

SONDE_API const struct sonde_stack_provider sonde_unwind_provider = {
	.size = sizeof(struct sonde_stack_provider),
	.name = "unwind",
	.walk = unwind_walk,
};

__attribute__((constructor)) static void unwind_register(void)
{
	(void)sonde_stack_provider_register(&sonde_unwind_provider);
}
