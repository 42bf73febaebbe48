/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exit stacks: the first entries stand in the caller's memory, more on the heap, in one order. One
 * is taken off before it is called, so whatever it does to the stack meets a stack that is whole.
 */

#include <sonde/exit_stack.h>

#include <stdlib.h>
#include <string.h>

#include <sonde/deadline.h>

#include "resilience/clock.h"
#include "resilience/observe.h"

enum kind {
	KIND_ALWAYS,
	KIND_OPERATION,
	KIND_UNDO,
};

struct entry {
	union {
		void (*call)(void *argument);
		sonde_operation_fn *operation;
	};
	void *argument;
	uint64_t kind;
};

struct stack {
	struct sonde_exit_stack_options options;
	struct entry *more; /* Past the slots. */
	uint32_t n_entries;
	uint32_t n_more_max; /* Entries that `more` has room for. */
	uint64_t reserved;
	struct entry slots[SONDE_EXIT_STACK_SLOTS];
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct stack) <= sizeof(struct sonde_exit_stack), "a stack fits");
_Static_assert(_Alignof(struct stack) <= _Alignof(struct sonde_exit_stack), "and is aligned");

static struct stack *stack_of(const struct sonde_exit_stack *stack)
{
	return (struct stack *)(uintptr_t)stack;
}

static struct entry *stack_entry(struct stack *stack, uint32_t i)
{
	return i < SONDE_EXIT_STACK_SLOTS ? &stack->slots[i] :
					    &stack->more[i - SONDE_EXIT_STACK_SLOTS];
}

int sonde_exit_stack_init(struct sonde_exit_stack *memory,
			  const struct sonde_exit_stack_options *options)
{
	struct stack *stack = stack_of(memory);

	if (!memory)
		return SONDE_E_INVALID;
	memset(stack, 0, sizeof(*stack));
	if (options)
		stack->options = *options;
	return SONDE_OK;
}

/* Room for `n` more. False: there is none, and nothing has changed. */
static bool stack_reserve(struct stack *stack, uint32_t n)
{
	uint64_t n_wanted = (uint64_t)stack->n_entries + n;
	uint64_t n_more = stack->n_more_max ? stack->n_more_max : SONDE_EXIT_STACK_SLOTS;
	struct entry *more;

	if (n_wanted <= SONDE_EXIT_STACK_SLOTS + (uint64_t)stack->n_more_max)
		return true;
	while (n_more < n_wanted - SONDE_EXIT_STACK_SLOTS)
		n_more *= 2;
	if (n_more > UINT32_MAX / 2)
		return false;
	more = realloc(stack->more, n_more * sizeof(*more));
	if (!more)
		return false;
	stack->more = more;
	stack->n_more_max = (uint32_t)n_more;
	return true;
}

static void stack_empty(struct stack *stack)
{
	free(stack->more);
	stack->more = NULL;
	stack->n_more_max = 0;
	stack->n_entries = 0;
}

static void observe(const struct stack *stack, enum sonde_observed what,
		    const struct sonde_error *error)
{
	sonde__observe(stack->options.observer, &(struct sonde_observation){
							.pattern = SONDE_PATTERN_CLEANUP,
							.what = what,
							.name = stack->options.name,
							.count = 1,
							.error = error,
						});
}

/* NULL: it went well, or was not to be run. */
static struct sonde_error *entry_run(const struct entry *entry, bool has_failed)
{
	if (entry->kind == KIND_OPERATION)
		return entry->operation(entry->argument);
	if (entry->kind == KIND_ALWAYS || has_failed)
		entry->call(entry->argument);
	return NULL;
}

/* An error that has nobody to be given to. */
static void lose_error(const struct stack *stack, struct sonde_error *error)
{
	if (error)
		observe(stack, SONDE_OBSERVED_ORPHAN, error);
	sonde_error_free(error);
}

static int stack_push(struct sonde_exit_stack *memory, struct entry entry)
{
	struct stack *stack = stack_of(memory);

	if (!memory || !entry.call)
		return SONDE_E_INVALID;
	if (!stack_reserve(stack, 1)) {
		lose_error(stack, entry_run(&entry, /* has_failed= */ true));
		return SONDE_E_NOMEM;
	}
	*stack_entry(stack, stack->n_entries++) = entry;
	return SONDE_OK;
}

int sonde_exit_stack_push(struct sonde_exit_stack *stack, void (*call)(void *argument),
			  void *argument)
{
	return stack_push(stack, (struct entry){ { call }, argument, KIND_ALWAYS });
}

int sonde_exit_stack_push_operation(struct sonde_exit_stack *stack, sonde_operation_fn *call,
				    void *argument)
{
	struct entry entry = { .operation = call, .argument = argument, .kind = KIND_OPERATION };

	return stack_push(stack, entry);
}

int sonde_exit_stack_push_undo(struct sonde_exit_stack *stack, void (*call)(void *argument),
			       void *argument)
{
	return stack_push(stack, (struct entry){ { call }, argument, KIND_UNDO });
}

/* All, the latest first. `error` is what ended the work; what fails here is joined to it. */
static struct sonde_error *stack_run(struct stack *stack, struct sonde_error *error,
				     bool has_failed)
{
	while (stack->n_entries) {
		struct entry entry = *stack_entry(stack, --stack->n_entries);
		struct sonde_error *one = entry_run(&entry, has_failed || error);

		if (!one)
			continue;
		observe(stack, SONDE_OBSERVED_RUN, one);
		error = sonde_error_join(error, one);
	}
	stack_empty(stack);
	return error;
}

static struct sonde_error *stack_run_limited(struct stack *stack, struct sonde_error *error,
					     bool has_failed)
{
	struct sonde_deadline shield;
	struct sonde_deadline deadline;

	if (!stack->options.limit_ms)
		return stack_run(stack, error, has_failed);
	sonde_deadline_shield(&shield);
	sonde_deadline_begin(&deadline, stack->options.limit_ms, stack->options.clock);
	error = stack_run(stack, error, has_failed);
	sonde_deadline_end(&deadline);
	sonde_deadline_end(&shield);
	return error;
}

struct sonde_error *sonde_exit_stack_close(struct sonde_exit_stack *stack,
					   struct sonde_error *error)
{
	if (!stack || !stack_of(stack)->n_entries)
		return error;
	return stack_run_limited(stack_of(stack), error, /* has_failed= */ error != NULL);
}

void sonde_exit_stack_deinit(struct sonde_exit_stack *stack)
{
	if (!stack || !stack_of(stack)->n_entries)
		return;
	lose_error(stack_of(stack), stack_run_limited(stack_of(stack), /* error= */ NULL,
						      /* has_failed= */ true));
}

void sonde_exit_stack_release(struct sonde_exit_stack *stack)
{
	if (stack)
		stack_empty(stack_of(stack));
}

int sonde_exit_stack_move(struct sonde_exit_stack *from, struct sonde_exit_stack *to)
{
	struct stack *source = stack_of(from);
	struct stack *target = stack_of(to);

	if (!from || !to || from == to)
		return SONDE_E_INVALID;
	if (!stack_reserve(target, source->n_entries))
		return SONDE_E_NOMEM;
	for (uint32_t i = 0; i < source->n_entries; i++)
		*stack_entry(target, target->n_entries++) = *stack_entry(source, i);
	stack_empty(source);
	return SONDE_OK;
}

size_t sonde_exit_stack_count(const struct sonde_exit_stack *stack)
{
	return stack ? stack_of(stack)->n_entries : 0;
}
