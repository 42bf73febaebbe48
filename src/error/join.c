/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Several errors as one.
 *
 * A join is an object of its own that owns the errors in it, in the order they came. It is as bad
 * as the worst of them: that one gives type, severity and HTTP status, so that whoever asks what
 * kind of error it is gets an answer that holds. It may be shown to a client, and tried again, only
 * where all of them may.
 *
 * A join that nobody wrapped yet takes more in, so `all = sonde_error_join(all, one)` in a loop
 * makes one join, not a tower. It holds SONDE__ERROR_JOINED_MAX; what comes then is counted, and
 * let go, but where it is worse than all before: then it takes the place of the last.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "error/error.h"
#include "error/misuse.h"
#include "error/pool.h"
#include "error/text.h"

static bool is_worse(const struct sonde_error *error, const struct sonde_error *than)
{
	if (error->severity != than->severity)
		return error->severity > than->severity;
	return error->http_status / 100 > than->http_status / 100;
}

static struct sonde_error *last_of(struct sonde_error *join)
{
	struct sonde_error *last = join->joined;

	for (size_t i = 1; last && last->next && i < SONDE__ERROR_JOINED_MAX; i++)
		last = last->next;
	return last;
}

static void type_take(struct sonde_error *join, const struct sonde_error *from, uint8_t index)
{
	const uint8_t traits = ERROR_IS_PUBLIC | ERROR_IS_RETRYABLE;
	const uint8_t common = join->joined ? join->flags & from->flags & traits
					    : from->flags & traits;

	if (index == 0 || is_worse(from, join)) {
		sonde__error_type_adopt(join, from);
		join->primary = index;
	}
	join->flags = (uint8_t)((join->flags & ~traits) | common);
}

/* Takes the last one out, to make room for a worse one. */
static void last_drop(struct sonde_error *join)
{
	struct sonde_error *before = join->joined;
	struct sonde_error *last = last_of(join);

	while (before->next != last)
		before = before->next;
	before->next = NULL;
	join->n_joined--;
	join->n_objects = (uint16_t)(join->n_objects - last->n_objects);
	sonde__error_release(last, SONDE__ERROR_OWNED, /* freed_by= */ 0);
}

/* Leaves out what the first join in the chain of `one` holds: it is too deep, or too much. */
static void one_trim(struct sonde_error *one)
{
	struct sonde_error *join = one;
	uint16_t n_left_out;

	for (size_t i = 1; !join->joined && join->cause && i < SONDE__ERROR_CHAIN_MAX; i++)
		join = join->cause;
	if (!join->joined || sonde__error_is_static(join))
		return;
	n_left_out = (uint16_t)(join->n_objects - 1);
	while (join->n_joined > 1)
		last_drop(join);
	sonde__error_release(join->joined, SONDE__ERROR_OWNED, /* freed_by= */ 0);
	join->joined = NULL;
	join->n_joined = join->primary = 0;
	join->n_omitted += n_left_out;
	for (;; one = one->cause) {
		one->nest = 0;
		one->n_objects = (uint16_t)(one == join ? 1 : one->n_objects - n_left_out);
		if (one == join)
			return;
	}
}

static bool has_room(const struct sonde_error *join, const struct sonde_error *one)
{
	return join->n_joined < SONDE__ERROR_JOINED_MAX && one->nest < SONDE__ERROR_NEST_MAX &&
	       join->n_objects + one->n_objects <= SONDE__ERROR_TREE_MAX;
}

/* Takes in `one`, which is in the state OWNED already. */
static void one_take(struct sonde_error *join, struct sonde_error *one)
{
	struct sonde_error *last;

	one->next = NULL;
	if (join->n_joined == SONDE__ERROR_JOINED_MAX && is_worse(one, join)) {
		last_drop(join);
		join->n_omitted++;
	}
	if (!has_room(join, one))
		one_trim(one);
	if (!has_room(join, one)) {
		join->n_omitted++;
		sonde__error_release(one, SONDE__ERROR_OWNED, /* freed_by= */ 0);
		return;
	}
	type_take(join, one, join->n_joined);
	last = last_of(join);
	if (last)
		last->next = one;
	else
		join->joined = one;
	join->n_joined++;
	join->n_objects = (uint16_t)(join->n_objects + one->n_objects);
	if (join->nest < one->nest + 1)
		join->nest = (uint8_t)(one->nest + 1);
}

static bool is_join(const struct sonde_error *error)
{
	return error->flags & ERROR_IS_JOIN;
}

/* That it was captured is true of those in it; not of those that it is about to take in. */
static void mark_hand_down(struct sonde_error *join)
{
	for (struct sonde_error *one = join->joined; one; one = one->next)
		if (!one->event_id)
			one->event_id = join->event_id;
	join->event_id = 0;
}

/* Takes in an error of the caller's, or those in it where it is a join itself. */
static void any_take(struct sonde_error *join, struct sonde_error *any)
{
	struct sonde_error *one = any->joined;

	if (!sonde__error_state_change(any, SONDE__ERROR_LIVE, SONDE__ERROR_OWNED)) {
		sonde__error_report_misuse("joined after it had been freed, wrapped or joined", any);
		return;
	}
	/* One with attributes of its own is kept whole. */
	if (!is_join(any) || any->attributes_size || any->detail_at != ERROR_BYTES_SIZE) {
		one_take(join, any);
		return;
	}
	mark_hand_down(any);
	join->n_omitted += any->n_omitted;
	any->joined = NULL;
	sonde__error_release(any, SONDE__ERROR_OWNED, /* freed_by= */ 0);
	while (one) {
		struct sonde_error *next = one->next;

		one_take(join, one);
		one = next;
	}
}

/* "3 errors: this; that; the third" */
static size_t message_put(const struct sonde_error *join, char *ret, size_t capacity)
{
	char text[2 * SONDE_ERROR_MESSAGE_SIZE];
	const struct sonde_error *one = join->joined;
	size_t size = (size_t)snprintf(text, sizeof(text), "%" PRIu32 " errors",
				       join->n_joined + join->n_omitted);

	for (const char *before = ": "; one && size < capacity; one = one->next, before = "; ")
		size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%s", before,
					 sonde__error_text(one, one->message_at));
	return sonde__error_text_copy(ret, capacity, text);
}

/* Writes the texts anew; attributes and detail stay, as far as they have room. */
static void texts_put(struct sonde_error *join, const struct sonde_error *from)
{
	char attributes[ERROR_BYTES_SIZE];
	size_t size;

	memcpy(attributes, join->bytes + join->attributes_at, join->attributes_size);
	size = sonde__error_type_name_put(join, sonde__error_text(from, from->type_name_at),
					  sonde__error_text(from, from->code_at));
	size += message_put(join, join->bytes + size, SONDE_ERROR_MESSAGE_SIZE) + 1;
	join->attributes_at = (uint16_t)size;
	if (size + join->attributes_size > join->detail_at)
		join->detail_at = ERROR_BYTES_SIZE;
	memcpy(join->bytes + size, attributes, join->attributes_size);
}

static const struct sonde_error *primary_of(const struct sonde_error *join)
{
	const struct sonde_error *one = join->joined;

	for (unsigned i = 0; one && i < join->primary; i++)
		one = one->next;
	return one;
}

static bool is_live(const struct sonde_error *error)
{
	/* Relaxed: an error belongs to one thread at a time. */
	return atomic_load_explicit(&error->state, memory_order_relaxed) == SONDE__ERROR_LIVE;
}

/* No memory for the join: the worse of the two. */
static struct sonde_error *worse_keep(struct sonde_error *a, struct sonde_error *b)
{
	bool keeps_b = sonde__error_is_static(a) ||
		       (!sonde__error_is_static(b) && is_worse(b, a));
	struct sonde_error *kept = keeps_b ? b : a;
	struct sonde_error *other = keeps_b ? a : b;

	if (!sonde__error_is_static(kept))
		kept->n_omitted += other->n_objects;
	sonde_error_free(other);
	return kept;
}

static struct sonde_error *join_both(struct sonde_error *a, struct sonde_error *b, const char *file,
				     int line, const char *function)
{
	struct sonde_error *join = a;

	if (sonde__error_is_static(a) || sonde__error_is_static(b))
		return worse_keep(a, b);
	if (!is_join(a) || !is_live(a)) {
		join = sonde__error_begin(file, line, function);
		if (!join)
			return worse_keep(a, b);
		join->flags |= ERROR_IS_JOIN;
		join->attributes_at = join->type_name_at;
		any_take(join, a);
	} else {
		mark_hand_down(join);
	}
	any_take(join, b);
	if (join->joined) {
		texts_put(join, primary_of(join));
		return join;
	}
	sonde__error_release(join, SONDE__ERROR_LIVE, /* freed_by= */ 0);
	return sonde_error_raise_at(&sonde_internal, /* cause= */ NULL, file, line, function,
				    "errors were joined that were nobody's to join");
}

struct sonde_error *sonde_error_join_at(struct sonde_error *a, struct sonde_error *b,
					const char *file, int line, const char *function)
{
	int saved_errno = errno;
	struct sonde_error *join;

	if (!a || !b)
		return a ? a : b;
	if (a == b) {
		sonde__error_report_misuse("joined with itself", a);
		return a;
	}
	join = join_both(a, b, file, line, function);
	errno = saved_errno;
	return join;
}
