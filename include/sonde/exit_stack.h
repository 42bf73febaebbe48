/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_EXIT_STACK_H
#define SONDE_EXIT_STACK_H

/*
 * What has to be undone, given back or finished at the end, kept while it comes about: run in
 * reverse order, all of it whatever fails, with every error joined to the one that ended the work.
 *
 *	SONDE_EXIT_STACK_AUTODEINIT struct sonde_exit_stack stack;
 *	struct sonde_error *error;
 *
 *	sonde_exit_stack_init(&stack, NULL);
 *	file = file_open(path);
 *	sonde_exit_stack_push(&stack, file_close, file);
 *	order = order_reserve(id);
 *	sonde_exit_stack_push_undo(&stack, order_release, order);
 *	error = order_pay(order);
 *	return sonde_exit_stack_close(&stack, error);
 *
 * A stack has one owner at a time. Nothing here is async-signal-safe. A forked child has a copy of
 * its own: who runs it twice undoes twice, so a child releases it.
 */

#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

/* Room for so many without allocating. */
#define SONDE_EXIT_STACK_SLOTS 8

/* Caller's memory; nothing in it is to be read. */
struct sonde_exit_stack {
	uint64_t opaque[8 + 3 * SONDE_EXIT_STACK_SLOTS];
};

struct sonde_exit_stack_options {
	const char *name; /* In telemetry; must outlive the stack. */
	/*
	 * How long all that is run at one end has, even where the context's deadline is over or
	 * nearer: what undoes needs time of its own. 0: the context's deadline as it is.
	 */
	uint64_t limit_ms;
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
};

/* `options` may be NULL. SONDE_E_INVALID: no stack. */
SONDE_API int sonde_exit_stack_init(struct sonde_exit_stack *stack,
				    const struct sonde_exit_stack_options *options);

/*
 * The end without a result: it counts as a failure, so what undoes is run as well. An error of what
 * is run here is given to nobody: it is observed as an orphan, which the agent captures. Harmless
 * after a close, the second time, and for NULL.
 */
SONDE_API void sonde_exit_stack_deinit(struct sonde_exit_stack *stack);

/* Ends at the end of the block: SONDE_EXIT_STACK_AUTODEINIT struct sonde_exit_stack stack; */
#define SONDE_EXIT_STACK_AUTODEINIT SONDE_CLEANUP(sonde_exit_stack_deinit)

/*
 * To be called with `argument` at the end. The first kind always; the second always, and it may
 * fail; the third only where the work failed, or something that was run before it at the end.
 *
 * SONDE_E_NOMEM, past SONDE_EXIT_STACK_SLOTS alone: it has been called at once, so that nothing is
 * left behind: what it stood for is gone. SONDE_E_INVALID: nothing was called.
 */
SONDE_API int sonde_exit_stack_push(struct sonde_exit_stack *stack, void (*call)(void *argument),
				    void *argument);
SONDE_API int sonde_exit_stack_push_operation(struct sonde_exit_stack *stack,
					      sonde_operation_fn *call, void *argument);
SONDE_API int sonde_exit_stack_push_undo(struct sonde_exit_stack *stack,
					 void (*call)(void *argument), void *argument);

/*
 * Runs all, the latest first, also what is pushed meanwhile, and returns `error`, NULL if the work
 * went well, joined with what failed here, in this order. The stack is empty then and may be used
 * again. Observed: a run for each that failed.
 */
SONDE_API struct sonde_error *sonde_exit_stack_close(struct sonde_exit_stack *stack,
						     struct sonde_error *error)
	__attribute__((warn_unused_result));

/* Nothing of it is run: somebody else does it all, or nobody need. */
SONDE_API void sonde_exit_stack_release(struct sonde_exit_stack *stack);

/*
 * Hands all over to `to`, on top of what it has and in the same order: for what outlives this block
 * after all. SONDE_E_NOMEM: both are as they were. SONDE_E_INVALID: no stack, or one and the same.
 */
SONDE_API int sonde_exit_stack_move(struct sonde_exit_stack *from, struct sonde_exit_stack *to);

/* How many there are to run. */
SONDE_API size_t sonde_exit_stack_count(const struct sonde_exit_stack *stack);

SONDE_END_DECLS

#endif
