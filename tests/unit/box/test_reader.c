/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader on memory that somebody scribbled on: it may find nonsense, but never leaves the ring.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "box/ring.h"
#include "box/shape.h"

#define MEMORY_SIZE (160 * 1024)
#define GUARD 4096
#define N_REFS 2048

static _Alignas(4096) uint8_t memory[GUARD + MEMORY_SIZE + GUARD];
static struct sonde__ring *const ring = (struct sonde__ring *)(memory + GUARD);
static struct sonde__ring_shape shape;
static struct sonde__record_ref refs[N_REFS];
static uint64_t seed;

static uint64_t draw(uint64_t below)
{
	return sonde__mix64(seed++) % below;
}

static void begin(uint64_t number)
{
	seed = number << 32;
	memset(memory, 0, sizeof(memory));
	memset(memory, 0xa5, GUARD);
	memset(memory + GUARD + MEMORY_SIZE, 0xa5, GUARD);
	assert_true(sonde__ring_shape_fit(MEMORY_SIZE, /* block_shift= */ 14, &shape));
	sonde__ring_open(ring, &shape, /* sequence= */ number % 100, /* number= */ 0);
}

static void guards_check(void)
{
	for (size_t i = 0; i < GUARD; i++) {
		assert_int_equal(memory[i], 0xa5);
		assert_int_equal(memory[GUARD + MEMORY_SIZE + i], 0xa5);
	}
}

static void put(uint32_t size)
{
	struct sonde__place place;
	enum sonde_signal signal = (enum sonde_signal)draw(SONDE_SIGNAL_COUNT);

	if (!sonde__ring_reserve(ring, &shape, (size + SONDE__GRANULE - 1) / SONDE__GRANULE, signal,
				 &place))
		return;
	assert_in_range((uintptr_t)place.record, (uintptr_t)ring + shape.data_offset,
			(uintptr_t)ring + shape.size - size);
	((struct sonde__record *)place.record)->size = size;
	if (draw(10) > 0)
		atomic_store_explicit(place.mark, (uint8_t)(SONDE__MARK_COMMITTED | signal),
				      memory_order_release);
}

static void read_all(void)
{
	struct sonde__ring_pass pass = { 0 };
	size_t n = 0;

	sonde__ring_collect(ring, &shape, &pass, refs, N_REFS, &n);
	assert_true(n <= N_REFS);
	for (size_t i = 0; i < n; i++) {
		const uint8_t *record = (const uint8_t *)refs[i].record;
		struct sonde__block *block = refs[i].block;

		/* The whole record lies inside the ring, as far as it says it goes. */
		assert_true(record >= (uint8_t *)ring + shape.data_offset);
		assert_true(refs[i].record->size <= SONDE__RECORD_MAX_SIZE);
		assert_true(record + refs[i].record->size <= (uint8_t *)ring + shape.size);
		if (block->index < shape.n_blocks && draw(4) > 0)
			sonde__ring_release(ring, &shape, block, refs[i].record);
	}
}

static void look(void)
{
	struct sonde__ring_account account;

	sonde__ring_account(ring, &shape, (enum sonde_signal)draw(SONDE_SIGNAL_COUNT), &account);
	assert_true(sonde__ring_fill_percent(ring, &shape) <= 100);
}

/* Bits anywhere in the control part; in the record heads; whole words of chosen nonsense. */
static void scribble(void)
{
	static const uint64_t nonsense[] = { 0,		 1,
					     UINT64_MAX, UINT64_MAX >> 1,
					     0x7ff,	 0x00ff00ff00ff00ff };
	uint64_t at = draw(shape.data_offset / 8) * 8;

	switch (draw(4)) {
	case 0:
		memory[GUARD + draw(shape.data_offset)] ^= (uint8_t)(1 << draw(8));
		break;
	case 1:
		memory[GUARD + shape.data_offset + draw(MEMORY_SIZE - shape.data_offset)] =
			(uint8_t)draw(256);
		break;
	case 2:
		memcpy(memory + GUARD + at, &nonsense[draw(6)], sizeof(uint64_t));
		break;
	default:
		at = shape.maps_offset + draw(shape.data_offset - shape.maps_offset);
		memory[GUARD + at] = (uint8_t)(draw(16) << 4 | draw(4));
	}
}

static void nonsense_is_survived(void **state)
{
	(void)state;
	for (uint64_t number = 1; number <= 1000; number++) {
		begin(number);
		for (int step = 0; step < 30; step++) {
			for (uint64_t i = draw(40); i > 0; i--)
				put(16 + (uint32_t)draw(600));
			for (uint64_t i = draw(3); i > 0; i--)
				scribble();
			read_all();
			look();
		}
		guards_check();
	}
}

static void pure_noise_is_survived(void **state)
{
	(void)state;
	for (uint64_t number = 1; number <= 300; number++) {
		begin(number);
		for (size_t i = 0; i < MEMORY_SIZE; i += 8)
			*(uint64_t *)(memory + GUARD + i) = sonde__mix64(seed++);
		for (int step = 0; step < 5; step++) {
			put(100);
			read_all();
			look();
		}
		guards_check();
	}
}

/* What cannot be understood costs its block, and the other blocks go on. */
static void a_wrecked_block_is_left_alone(void **state)
{
	struct sonde__block *block;
	size_t n_put = 0;

	(void)state;
	begin(/* number= */ 1);
	seed = 0;
	put(64);
	block = sonde__ring_block(ring, &shape, 0);
	/* A record more than there is. */
	atomic_fetch_add_explicit(&block->word,
				  UINT64_C(1) << SONDE__WORD_COUNT_SHIFT(SONDE_SIGNAL_LOG),
				  memory_order_relaxed);
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 100; i++) {
			struct sonde__place place;

			if (!sonde__ring_reserve(ring, &shape, 4, SONDE_SIGNAL_SPAN, &place))
				continue;
			((struct sonde__record *)place.record)->size = 128;
			atomic_store_explicit(place.mark, SONDE__MARK_COMMITTED,
					      memory_order_release);
			n_put++;
		}
		read_all();
		read_all();
	}
	assert_true(n_put > 1000);
	assert_true(sonde__word_has_sequence(
		atomic_load_explicit(&block->word, memory_order_relaxed), 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nonsense_is_survived),
		cmocka_unit_test(pure_noise_is_survived),
		cmocka_unit_test(a_wrecked_block_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
