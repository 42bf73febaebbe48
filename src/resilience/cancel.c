/* SPDX-License-Identifier: Apache-2.0 */
#include "resilience/cancel.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/testpoint.h"

struct token {
	_Atomic uint32_t is_fired;
	bool is_open; /* From init to deinit. */
	int fd; /* -1: nobody asked for it yet. Under the lock, as all below. */
	pthread_mutex_t lock;
	struct sonde__cancel_hook *hooks;
	struct sonde_cancel *parent;
	struct sonde__cancel_hook parent_hook;
	char reason[SONDE_CANCEL_REASON_SIZE];
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct token) <= sizeof(struct sonde_cancel), "a token fits");
_Static_assert(_Alignof(struct token) <= _Alignof(struct sonde_cancel), "and is aligned");
_Static_assert(sizeof(struct sonde__cancel_hook) == sizeof(struct sonde_cancel_hook), "a hook fits");

static struct token *token_of(const struct sonde_cancel *cancel)
{
	return (struct token *)(uintptr_t)cancel;
}

static void fire_child(void *user);

int sonde_cancel_init(struct sonde_cancel *cancel, struct sonde_cancel *parent)
{
	struct token *token = token_of(cancel);

	if (!cancel)
		return SONDE_E_INVALID;
	memset(token, 0, sizeof(*token));
	token->fd = -1;
	token->is_open = true;
	pthread_mutex_init(&token->lock, NULL);
	token->parent = parent;
	token->parent_hook.call = fire_child;
	token->parent_hook.user = cancel;
	sonde__cancel_hook_add(parent, &token->parent_hook);
	return SONDE_OK;
}

void sonde_cancel_deinit(struct sonde_cancel *cancel)
{
	struct token *token = token_of(cancel);

	if (!cancel || !token->is_open)
		return;
	token->is_open = false;
	sonde__cancel_hook_remove(token->parent, &token->parent_hook);
	/* It is seen fired before its firing is over. */
	if (sonde_cancel_is_fired(cancel)) {
		pthread_mutex_lock(&token->lock);
		pthread_mutex_unlock(&token->lock);
	}
	if (token->fd >= 0)
		close(token->fd);
	pthread_mutex_destroy(&token->lock);
}

static void make_readable(const struct token *token)
{
	int number = errno;

	/* It can only be full where somebody wrote into it: then it is readable, too. */
	if (token->fd >= 0)
		(void)!write(token->fd, &(uint64_t){ 1 }, sizeof(uint64_t));
	errno = number;
}

static void token_fire(struct token *token, const char *reason)
{
	pthread_mutex_lock(&token->lock);
	/* Relaxed: it is changed under the lock alone. */
	if (!atomic_load_explicit(&token->is_fired, memory_order_relaxed)) {
		strncpy(token->reason, reason ? reason : "", sizeof(token->reason) - 1);
		/* Release, R1, partner A1: who sees it fired sees the reason. */
		atomic_store_explicit(&token->is_fired, 1, memory_order_release);
		SONDE__TESTPOINT("cancel-fired");
		make_readable(token);
		while (token->hooks) {
			struct sonde__cancel_hook *hook = token->hooks;

			token->hooks = hook->next;
			if (hook->next)
				hook->next->previous = NULL;
			hook->next = NULL;
			hook->call(hook->user);
		}
	}
	pthread_mutex_unlock(&token->lock);
}

/* Under the parent's lock: locks are taken from parents to children, never back. */
static void fire_child(void *user)
{
	struct token *child = token_of(user);

	token_fire(child, token_of(child->parent)->reason);
}

void sonde_cancel_fire(struct sonde_cancel *cancel, const char *reason)
{
	if (cancel)
		token_fire(token_of(cancel), reason);
}

bool sonde_cancel_is_fired(const struct sonde_cancel *cancel)
{
	/* Acquire, A1, partner R1 in token_fire. */
	return cancel && atomic_load_explicit(&token_of(cancel)->is_fired, memory_order_acquire);
}

struct sonde_error *sonde_cancel_error(const struct sonde_cancel *cancel)
{
	if (!sonde_cancel_is_fired(cancel))
		return NULL;
	if (!token_of(cancel)->reason[0])
		return sonde_error_raise(&sonde_cancelled, "cancelled");
	return sonde_error_raise(&sonde_cancelled, "cancelled: %s", token_of(cancel)->reason);
}

int sonde_cancel_fd(struct sonde_cancel *cancel)
{
	struct token *token = token_of(cancel);
	int fd;

	if (!cancel)
		return SONDE_E_INVALID;
	pthread_mutex_lock(&token->lock);
	if (token->fd < 0) {
		token->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (sonde_cancel_is_fired(cancel))
			make_readable(token);
	}
	fd = token->fd;
	pthread_mutex_unlock(&token->lock);
	return fd >= 0 ? fd : SONDE_E_SYSTEM;
}

void sonde__cancel_hook_add(struct sonde_cancel *cancel, struct sonde__cancel_hook *hook)
{
	struct token *token = token_of(cancel);

	if (!cancel)
		return;
	hook->previous = NULL;
	hook->next = NULL;
	pthread_mutex_lock(&token->lock);
	if (sonde_cancel_is_fired(cancel)) {
		hook->call(hook->user);
	} else {
		hook->next = token->hooks;
		if (token->hooks)
			token->hooks->previous = hook;
		token->hooks = hook;
	}
	pthread_mutex_unlock(&token->lock);
}

void sonde__cancel_hook_remove(struct sonde_cancel *cancel, struct sonde__cancel_hook *hook)
{
	struct token *token = token_of(cancel);

	if (!cancel)
		return;
	pthread_mutex_lock(&token->lock);
	/* In the list, or called already. */
	if (token->hooks == hook)
		token->hooks = hook->next;
	else if (hook->previous)
		hook->previous->next = hook->next;
	if (hook->next)
		hook->next->previous = hook->previous;
	hook->next = NULL;
	hook->previous = NULL;
	pthread_mutex_unlock(&token->lock);
}

static struct sonde__cancel_hook *hook_of(struct sonde_cancel_hook *hook)
{
	return (struct sonde__cancel_hook *)(void *)hook;
}

void sonde_cancel_hook_add(struct sonde_cancel *cancel, struct sonde_cancel_hook *memory,
			   void (*call)(void *user), void *user)
{
	struct sonde__cancel_hook *hook = hook_of(memory);

	if (!cancel || !hook || !call)
		return;
	hook->call = call;
	hook->user = user;
	sonde__cancel_hook_add(cancel, hook);
}

void sonde_cancel_hook_remove(struct sonde_cancel *cancel, struct sonde_cancel_hook *hook)
{
	if (hook)
		sonde__cancel_hook_remove(cancel, hook_of(hook));
}
