/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring: many writers, one reader, records of any size, reserve and commit.
 *
 * Structure. A ring has n blocks. Each block in use has a sequence number that no other ever had;
 * the numbers are handed out in order. `head` names the number that is being filled and its block;
 * `tail` is the first number that has no block yet; order[number] says which block has a number in
 * [head, tail). So [head + 1, tail) is a queue of free blocks: the reader appends, writers take.
 *
 *	     passed, with the reader       filling        free
 *	 ... [ 41 ][ 43 ][ 44 ][ 45 ] ... [ head 46 ] [ 47 ][ 48 ] tail 49
 *	      42 was handed out again, as 48
 *
 * A block's word holds all that writers need to know of it: its number, whether it is open, how
 * much is taken, and how many records of each signal that is. A reservation is one compare-and-swap
 * of that word. A commit is one store of one byte, in the commit map, at the record's first
 * granule.
 *
 * Reserve: load head, load the block's word. Has the word the head's number, is it open and is
 * there room: swap. Is the number another: head has moved, load it again. Else the block is passed:
 * if the next number is tail the ring is full, otherwise swap head for the next number and its
 * block.
 *
 * Why it is correct. Invariants, kept by every step:
 *
 *	I1 A block's number changes only by the reader, and only after every reservation ever made under
 *	   its number was committed or discarded, collected and released.
 *	I2 A byte of a block is written only by the writer that reserved it, between its reservation and
 *	   its commit.
 *	I3 head < tail, and tail - n <= the oldest number whose block has not been handed out again.
 *
 * I1: the reader seals a block that the head has passed. The seal is a read-modify-write of the
 * word, so each reservation is either before it, and in the counts that the seal returns, or fails.
 * The reader hands the block out again when as many records were released as the seal counted. A
 * record is released after it was collected, collected after its mark was seen, and marked once. So
 * a writer between reserve and commit, however long it stays there, keeps its block from being
 * handed out: that is the quarantine, it costs one block, and the other blocks go round without it.
 *
 * I2: a reservation moves the offset in the word past what it took, in the same swap that checked
 * it. Only a hand-out sets the offset back, and by I1 there is no writer inside then.
 *
 * I3: writers move head from s to s + 1 only having seen s + 1 < tail, and tail never goes back.
 * The reader moves tail only with a block that it took out of [.., head).
 *
 * Stale writers. A writer may be stopped between any two steps, and find the ring gone on:
 *   - having loaded head, or the word: its swap of the word fails unless the word is what it saw. If it
 *     is, the block has the number, the room and the openness that were checked, so the reservation is
 *     as good as if the loads had just been made: the word is the whole state, there is nothing else
 *     that could have changed behind it. (The number in the word has 19 bits. A writer that sleeps
 *     while exactly a multiple of 2^19 numbers, 8 GiB or more, are handed out can reserve in a block
 *     that is not the head's, possibly one still free. It takes bytes that nobody else takes, is counted
 *     in the word, and comes out when the head passes that block: late, but whole and counted.)
 *   - having loaded tail, or order[s + 1]: its swap of head fails if head moved, and head has 48 bits
 *     of number. If head did not move, s + 1 is still free, so its order entry has not been reused.
 *   - full: tail was s + 1 when it was loaded, so head was s at that moment, by I3: it was full.
 *   - having reserved: I1.
 *
 * Progress. A swap fails only because another writer's or the reader's succeeded: lock-free. The
 * same writer retries after a failed match of the number only if head has changed; where it has
 * not, which the above excludes, the memory was replaced under it (box.c), and it reports full.
 * Nobody waits for the reader, nor the reader for anybody. A signal handler may interrupt any step
 * and reserve itself.
 *
 * Who meets whom, and what orders them (A: acquire, R: release):
 *
 *		reserve		pass		commit		reader
 *	reserve	word, swap	head A2/R2	nothing shared	word A1/R1
 *	pass			head, swap	nothing shared	tail A3/R3, order by these
 *	commit					nothing shared	mark A4/R4
 *
 *	A1/R1 block opened under a new number -> reservation: the map is empty, the reader has read the bytes
 *	A2/R2 head moved -> head loaded: what the mover knew by A3 holds for all who see the new head
 *	A3/R3 tail moved -> head may be moved: the order's entry and the block's word are at least as new
 *	A4/R4 mark set -> mark seen: the record is wholly there
 *
 * Reading before this: Li et al., "BBQ: a block-based bounded queue" (USENIX ATC 2022), for blocks
 * with a version in their word; Desnoyers, LTTng's ring buffer, for reserve and commit. Neither
 * goes on past a writer that never commits; here that is the point. docs/design/ring.md has what
 * was rejected.
 */

#include "box/ring.h"

#include "base/compiler.h"
#include "base/testpoint.h"
#include "box/ring_inline.h"

void sonde__ring_open(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
		      uint64_t sequence, uint16_t number)
{
	for (uint32_t i = 0; i < shape->n_blocks; i++) {
		struct sonde__block *block = sonde__ring_block(ring, shape, i);

		block->ring = number;
		block->index = (uint16_t)i;
		atomic_store_explicit(sonde__ring_order(ring, shape, sequence + i), (uint16_t)i,
				      memory_order_relaxed);
		/* R1 */
		atomic_store_explicit(&block->word, sonde__word_make(sequence + i),
				      memory_order_release);
	}
	ring->read = sequence;
	atomic_store_explicit(&ring->head, sonde__head_make(sequence, /* block= */ 0),
			      memory_order_release); /* R2 */
	atomic_store_explicit(&ring->tail, sequence + shape->n_blocks,
			      memory_order_release); /* R3 */
}

/* The bell is for who may sleep: rung from half full on, once for each block that fills. */
static void ring_bell(const struct sonde__ring_shape *shape, uint64_t n_free)
{
	if (n_free * 2 <= shape->n_blocks)
		sonde__bell_ring(&sonde__box_bell);
}

SONDE__COLD bool sonde__ring_pass(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
				  uint64_t word, uint64_t *head)
{
	uint64_t next = sonde__head_sequence(*head) + 1;
	uint64_t old = *head;
	uint64_t tail;
	uint16_t index;

	if (!sonde__word_has_sequence(word, next - 1)) {
		*head = atomic_load_explicit(&ring->head, memory_order_acquire); /* A2 */
		return *head != old;
	}
	/*
	 * A3, partner R3: the order's entry and the next block's word are seen at least as new as
	 * this tail.
	 */
	tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
	SONDE__TESTPOINT("ring:tail-loaded");
	if (tail <= next)
		return false;
	index = atomic_load_explicit(sonde__ring_order(ring, shape, next), memory_order_relaxed);
	/* R2, partner A2: hands what A3 saw on to the writers that find the head moved. */
	if (atomic_compare_exchange_strong_explicit(&ring->head, head,
						    sonde__head_make(next, index),
						    memory_order_acq_rel, memory_order_acquire)) {
		SONDE__TESTPOINT("ring:head-moved");
		*head = sonde__head_make(next, index);
		ring_bell(shape, tail - next - 1);
	}
	return true;
}

bool sonde__ring_reserve(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
			 uint32_t n_granules, enum sonde_signal signal, struct sonde__place *ret)
{
	return sonde__ring_take(ring, shape, n_granules, signal, ret);
}

unsigned sonde__ring_fill_percent(struct sonde__ring *ring, const struct sonde__ring_shape *shape)
{
	/* Relaxed: an estimate, and each value is right by itself. */
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint32_t index = sonde__head_block(head);
	uint64_t n_free = tail - sonde__head_sequence(head) - 1;
	uint32_t offset = 0;

	if (n_free >= shape->n_blocks || index >= shape->n_blocks)
		return 0;
	offset = sonde__word_offset(atomic_load_explicit(
		&sonde__ring_block(ring, shape, index)->word, memory_order_relaxed));
	if (offset > shape->n_granules)
		offset = shape->n_granules;
	return (unsigned)(((shape->n_blocks - 1 - n_free) * shape->n_granules + offset) * 100 /
			  ((uint64_t)shape->n_blocks * shape->n_granules));
}

void sonde__ring_seal(struct sonde__ring *ring, const struct sonde__ring_shape *shape)
{
	/* Acquire: the counts that are looked at next are final. */
	for (uint32_t i = 0; i < shape->n_blocks; i++)
		atomic_fetch_and_explicit(&sonde__ring_block(ring, shape, i)->word,
					  ~SONDE__WORD_OPEN, memory_order_acquire);
}

void sonde__ring_unseal(struct sonde__ring *ring, const struct sonde__ring_shape *shape)
{
	uint64_t sequence =
		sonde__head_sequence(atomic_load_explicit(&ring->head, memory_order_relaxed));
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	/*
	 * A block that was passed meanwhile may be opened here too: the reader seals what it
	 * visits.
	 */
	for (uint64_t i = 0; sequence + i < tail && i < shape->n_blocks; i++) {
		uint16_t index = atomic_load_explicit(sonde__ring_order(ring, shape, sequence + i),
						      memory_order_relaxed);

		if (index < shape->n_blocks)
			atomic_fetch_or_explicit(&sonde__ring_block(ring, shape, index)->word,
						 SONDE__WORD_OPEN, memory_order_release);
	}
}
