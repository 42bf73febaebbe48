/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_CANCEL_H
#define SONDE_RESILIENCE_CANCEL_H

/* Being told that a token was fired. docs/design/cancel.md argues it. */

#include <sonde/cancel.h>

/* In the memory of whoever wants to be told, until it is removed. */
struct sonde__cancel_hook {
	struct sonde__cancel_hook *next;
	struct sonde__cancel_hook *previous;
	/*
	 * Called once, under the token's lock, on the thread that fires, or at once where it was
	 * fired already. It must not touch the token.
	 */
	void (*call)(void *user);
	void *user;
};

/* `cancel` may be NULL: then both do nothing. */
void sonde__cancel_hook_add(struct sonde_cancel *cancel, struct sonde__cancel_hook *hook);

/* From its return on the hook is not called any more. */
void sonde__cancel_hook_remove(struct sonde_cancel *cancel, struct sonde__cancel_hook *hook);

#endif
