/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trails: a pool of rings of breadcrumbs, in the library's zeroed memory, of which a thread
 * uses one at a time. docs/design/breadcrumb.md argues it.
 *
 * A trail's word:	generation, 24 bits | number of the next breadcrumb, 32 | pins, 8
 *
 * A thread remembers the trail and the generation under which it got it. Whatever it does there it
 * does with a pin, which it gets only while the generation is its own; and a trail changes hands,
 * by a new generation, only while it has no pin. So nobody ever writes into another's, and no
 * thread's end needs to be noticed: what has been silent longest is what is taken. A signal handler
 * pins a second time, and has the next breadcrumb to itself.
 */

#include "capture/trail.h"

#include <stdatomic.h>
#include <string.h>

#include <sonde/breadcrumb.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/text.h"
#include "capture/capture.h"
#include "record/view.h"
#include "record/varint.h"

#define CRUMBS 32
#define TEXT_SIZE 112
#define CANDIDATES 8
#define TRIES 4

#define PIN UINT64_C(1)
#define PINS UINT64_C(0xff)
#define NUMBER_SHIFT 8
#define GENERATION_SHIFT 40

struct crumb {
	uint64_t ticks;
	_Atomic uint32_t number; /* Plus 1, once it is written. */
	uint8_t level;
	uint8_t category_size;
	uint8_t message_size;
	uint8_t cuts;
	char text[TEXT_SIZE];
};

_Static_assert(sizeof(struct crumb) * CRUMBS == SONDE__TRAIL_SIZE, "a trail's size");

struct trail {
	_Atomic uint64_t word;
	_Atomic uint64_t last; /* When a breadcrumb was left, in ticks. */
	uint32_t cleared; /* Breadcrumbs before this number do not count. The owner's. */
} __attribute__((aligned(64)));

static struct trail trails[SONDE__TRAILS_MAX];
static struct crumb crumbs[SONDE__TRAILS_MAX][CRUMBS];
static _Atomic uint32_t n_trails;
static _Atomic uint32_t n_given; /* Trails that were never used come first. */
static _Atomic uint32_t hand;
static _Atomic uint64_t losses;

/* The thread's trail: the generation it got it under << 32 | its index + 1; 0: none. */
static SONDE__THREAD_LOCAL uint64_t own;

uint64_t sonde__trail_losses(void)
{
	/* Relaxed: a statistic. */
	return atomic_load_explicit(&losses, memory_order_relaxed);
}

static void count_loss(void)
{
	atomic_fetch_add_explicit(&losses, 1, memory_order_relaxed);
}

void sonde__trails_open(uint32_t n)
{
	/* Relaxed: any of the values will do. */
	atomic_store_explicit(&n_trails, n < SONDE__TRAILS_MAX ? n : SONDE__TRAILS_MAX,
			      memory_order_relaxed);
}

static uint32_t number_of(uint64_t word)
{
	return (uint32_t)(word >> NUMBER_SHIFT);
}

/* ---- Pins ------------------------------------------------------------------------------------ */

/* Pins the thread's trail, and takes `n` numbers. NULL: it has none any more. */
static struct trail *pin(uint32_t n, uint64_t *ret_word)
{
	const uint64_t reference = own;
	struct trail *trail;
	uint64_t word;
	uint64_t next;

	if (!reference)
		return NULL;
	trail = &trails[(uint32_t)reference - 1];
	word = atomic_load_explicit(&trail->word, memory_order_relaxed);
	do {
		if (word >> GENERATION_SHIFT != reference >> 32 || (word & PINS) == PINS)
			return NULL;
		/* The numbers go round; the generation above them is not theirs to change. */
		next = (word & ~(UINT64_C(0xffffffff) << NUMBER_SHIFT)) |
		       (uint64_t)(uint32_t)(number_of(word) + n) << NUMBER_SHIFT;
		/* Relaxed: what stands in the trail this thread itself has written, or cleared. */
	} while (!atomic_compare_exchange_weak_explicit(&trail->word, &word, next + PIN,
							memory_order_relaxed,
							memory_order_relaxed));
	*ret_word = word;
	return trail;
}

static void unpin(struct trail *trail)
{
	/* R1, with A1: what was written here is done before another thread has the trail. */
	atomic_fetch_sub_explicit(&trail->word, PIN, memory_order_release);
}

/* ---- Taking one ------------------------------------------------------------------------------ */

static bool take(uint32_t index)
{
	struct trail *trail = &trails[index];
	uint64_t word = atomic_load_explicit(&trail->word, memory_order_relaxed);
	uint64_t next = ((word >> GENERATION_SHIFT) + 1) & 0xffffff;

	if (word & PINS)
		return false;
	next = next ? next : 1;
	/* A1, with R1 of who had it before. The pin is ours, until it has been set to rights. */
	if (!atomic_compare_exchange_strong_explicit(&trail->word, &word,
						     next << GENERATION_SHIFT | PIN,
						     memory_order_acquire, memory_order_relaxed))
		return false;
	trail->cleared = 0;
	for (size_t i = 0; i < CRUMBS; i++)
		atomic_store_explicit(&crumbs[index][i].number, 0, memory_order_relaxed);
	atomic_store_explicit(&trail->last, sonde__ticks(), memory_order_relaxed);
	own = next << 32 | (index + 1);
	unpin(trail);
	return true;
}

/* Of some of them the one that has been silent longest; `n` is not 0. */
static uint32_t choose(uint32_t n)
{
	/* Relaxed: only a place to begin at, and times to compare. */
	const uint32_t first = atomic_fetch_add_explicit(&hand, CANDIDATES, memory_order_relaxed);
	uint64_t oldest = UINT64_MAX;
	uint32_t chosen = first % n;

	for (uint32_t i = 0; i < CANDIDATES; i++) {
		const uint32_t index = (first + i) % n;
		const uint64_t last =
			atomic_load_explicit(&trails[index].last, memory_order_relaxed);

		if (last < oldest) {
			oldest = last;
			chosen = index;
		}
	}
	return chosen;
}

static __attribute__((noinline)) bool take_any(void)
{
	const uint32_t n = atomic_load_explicit(&n_trails, memory_order_relaxed);
	uint32_t given = atomic_load_explicit(&n_given, memory_order_relaxed);

	/* Somebody has it now, who will count what he leaves. */
	if (own)
		count_loss();
	/* Relaxed: a hint. Who comes late takes one that is in use already. */
	if (given < n) {
		given = atomic_fetch_add_explicit(&n_given, 1, memory_order_relaxed);
		if (given < n && take(given))
			return true;
	}
	for (int i = 0; n && i < TRIES; i++)
		if (take(choose(n)))
			return true;
	own = 0;
	return false;
}

/* ---- Breadcrumbs ----------------------------------------------------------------------------- */

static struct crumb *crumb_at(const struct trail *trail, uint32_t number)
{
	return &crumbs[trail - trails][number % CRUMBS];
}

static void crumb_fill(struct crumb *crumb, int level, struct sonde_text category,
		       struct sonde_text message)
{
	const size_t category_size = category.size <= TEXT_SIZE / 2 ?
					     category.size :
					     sonde__utf8_cut(category.data, category.size,
							     TEXT_SIZE / 2);
	const size_t room = TEXT_SIZE - category_size;
	const size_t message_size =
		message.size <= room ? message.size
				     : sonde__utf8_cut(message.data, message.size, room);

	crumb->ticks = sonde__ticks();
	crumb->level = (uint8_t)(level < SONDE_TRACE ? SONDE_TRACE : level > 24 ? 24 : level);
	crumb->category_size = (uint8_t)category_size;
	crumb->message_size = (uint8_t)message_size;
	crumb->cuts = (message_size < message.size ? SONDE__CRUMB_MESSAGE_CUT : 0) |
		      (category_size < category.size ? SONDE__CRUMB_CATEGORY_CUT : 0);
	sonde__bytes_put(sonde__bytes_put((uint8_t *)crumb->text, category.data, category_size),
			 message.data, message_size);
}

void sonde__trail_add(int level, struct sonde_text category, struct sonde_text message)
{
	struct crumb *crumb;
	struct trail *trail;
	uint64_t word;

	trail = pin(1, &word);
	while (SONDE__UNLIKELY(!trail)) {
		if (!take_any()) {
			count_loss();
			return;
		}
		trail = pin(1, &word);
	}
	crumb = crumb_at(trail, number_of(word));
	/* A signal handler that captures an error must not take half of it. */
	atomic_store_explicit(&crumb->number, 0, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	crumb_fill(crumb, level, category, message);
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&crumb->number, number_of(word) + 1, memory_order_relaxed);
	atomic_store_explicit(&trail->last, crumb->ticks, memory_order_relaxed);
	unpin(trail);
}

void sonde__breadcrumbs_clear(void)
{
	uint64_t word;
	struct trail *trail = pin(0, &word);

	if (!trail)
		return;
	trail->cleared = number_of(word);
	unpin(trail);
}

/* ---- In a record ----------------------------------------------------------------------------- */

static bool crumb_is(const struct crumb *crumb, uint32_t number)
{
	return atomic_load_explicit(&crumb->number, memory_order_relaxed) == number + 1;
}

static struct sonde__crumb crumb_head(const struct crumb *crumb)
{
	return (struct sonde__crumb){ .ticks = crumb->ticks,
				      .level = crumb->level,
				      .category_size = crumb->category_size,
				      .message_size = crumb->message_size,
				      .cuts = crumb->cuts };
}

static size_t crumb_size(const struct crumb *crumb)
{
	const struct sonde__crumb head = crumb_head(crumb);

	return sonde__crumb_size(&head);
}

void sonde__trail_open(struct sonde__trail_view *view, size_t room)
{
	struct trail *trail;
	uint64_t word;
	uint32_t n;

	*view = (struct sonde__trail_view){ 0 };
	trail = pin(0, &word);
	if (!trail)
		return;
	view->trail = (uint32_t)(trail - trails) + 1;
	view->first = number_of(word);
	n = view->first - trail->cleared;
	for (n = n < CRUMBS ? n : CRUMBS; n; n--) {
		const struct crumb *crumb = crumb_at(trail, view->first - 1);

		if (!crumb_is(crumb, view->first - 1) || view->size + crumb_size(crumb) > room)
			break;
		view->size += crumb_size(crumb);
		view->first--;
		view->n++;
	}
}

/*
 * A signal handler may have left breadcrumbs since the open, over the oldest. Then those up to
 * there are all that is written, and zeros.
 */
void sonde__trail_write(const struct sonde__trail_view *view, uint8_t *at)
{
	uint8_t *const end = at + view->size;

	for (uint32_t i = 0; i < view->n; i++) {
		const struct crumb *crumb = crumb_at(&trails[view->trail - 1], view->first + i);
		const struct sonde__crumb head = crumb_head(crumb);
		const size_t size = sonde__crumb_size(&head);
		uint8_t *text_end;

		if (size > (size_t)(end - at))
			break;
		text_end = sonde__bytes_put(sonde__bytes_put(at, &head, sizeof(head)), crumb->text,
					    (size_t)head.category_size + head.message_size);
		atomic_signal_fence(memory_order_seq_cst);
		if (!crumb_is(crumb, view->first + i))
			break;
		at += size;
		memset(text_end, 0, (size_t)(at - text_end));
	}
	memset(at, 0, (size_t)(end - at));
}

void sonde__trail_close(const struct sonde__trail_view *view)
{
	if (view->trail)
		unpin(&trails[view->trail - 1]);
}
