/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CANCEL_H
#define SONDE_CANCEL_H

/*
 * A token by which work is told to end early. It only tells: whoever works looks at it, waits on
 * it, or polls its descriptor, and leaves by returning an error.
 *
 *	struct sonde_cancel cancel;
 *
 *	sonde_cancel_init(&cancel, NULL);
 *	…another thread… sonde_cancel_fire(&cancel, "the client has gone");
 *	…the work…	 if (sonde_cancel_is_fired(&cancel))
 *				return sonde_cancel_error(&cancel);
 *	sonde_cancel_deinit(&cancel);
 *
 * Every blocking call of the toolkit that is given a token returns soon after it was fired.
 */

#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

/* Caller's memory; nothing in it is to be read. */
struct sonde_cancel {
	uint64_t opaque[24];
};

#define SONDE_CANCEL_REASON_SIZE 64

/*
 * `parent`, which may be NULL and must outlive the token, fires it when it is fired itself.
 * SONDE_E_INVALID: no token. Not async-signal-safe.
 */
SONDE_API int sonde_cancel_init(struct sonde_cancel *cancel, struct sonde_cancel *parent);

/*
 * Nobody waits on it any more, or is yet to fire it, and it has no children left; a firing that was
 * seen (by a look, a wait, or the descriptor) it waits for. Harmless for NULL, for one that is all
 * zero, and the second time.
 */
SONDE_API void sonde_cancel_deinit(struct sonde_cancel *cancel);

/*
 * For good, and for all its children. The first reason counts; it is copied, and cut past
 * SONDE_CANCEL_REASON_SIZE - 1 bytes; NULL is "". Takes the token's lock for a moment: not
 * async-signal-safe.
 */
SONDE_API void sonde_cancel_fire(struct sonde_cancel *cancel, const char *reason);

/* Never for NULL. Wait-free, async-signal-safe. */
SONDE_API bool sonde_cancel_is_fired(const struct sonde_cancel *cancel);

/* A new error of type sonde_cancelled with the reason in it; NULL while it is not fired. */
SONDE_API struct sonde_error *sonde_cancel_error(const struct sonde_cancel *cancel)
	__attribute__((warn_unused_result));

/*
 * An eventfd that is readable from the firing on; not to be read, written or closed. Made at the
 * first call, of the token until its deinit, shared with forked children. SONDE_E_SYSTEM: the
 * system gave none.
 */
SONDE_API int sonde_cancel_fd(struct sonde_cancel *cancel);

/*
 * To be told in a call, for what waits where no token and no descriptor reaches: sqlite3_interrupt,
 * curl_multi_wakeup, shutdown of a socket. The hook is the caller's memory from its add to its
 * remove.
 */
struct sonde_cancel_hook {
	uint64_t opaque[4];
};

/*
 * `call` is called once, on the thread that fires the token (or its parent), or at once where it
 * was fired already. It is called under the token's lock: it returns soon, and calls nothing of
 * the token but sonde_cancel_is_fired. Takes that lock itself: not async-signal-safe. Nothing is
 * done where one of the three is NULL.
 */
SONDE_API void sonde_cancel_hook_add(struct sonde_cancel *cancel, struct sonde_cancel_hook *hook,
				     void (*call)(void *user), void *user);

/*
 * From its return on the hook is not called any more, and nobody is within a call. To be called
 * once for each add, also where it was called, before the token's deinit. Harmless for NULL.
 */
SONDE_API void sonde_cancel_hook_remove(struct sonde_cancel *cancel,
					struct sonde_cancel_hook *hook);

/* Ends at the end of the block: SONDE_CANCEL_AUTODEINIT struct sonde_cancel cancel; */
#define SONDE_CANCEL_AUTODEINIT SONDE_CLEANUP(sonde_cancel_deinit)

SONDE_END_DECLS

#endif
