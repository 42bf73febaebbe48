/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring as a model for SPIN: every interleaving of WRITERS writers with RECORDS records each and
 * one reader, on BLOCKS blocks of GRANULES granules. Each access to shared memory is one step, named
 * by the C function it stands for and, where it is ordered, by its label in src/box/ring.c; what lies
 * between two accesses is private and belongs to the access before it. Executions are sequentially
 * consistent: what weaker orders allow is the subject of the model in loom/.
 *
 * A record is one or two granules long, is committed or discarded, and its writer may die inside.
 * A writer that is stopped anywhere is one that is not chosen for a while: all of that is covered.
 * The reader runs passes and releases what it holds, in any order, one by one, for ever; a pass may
 * find its list full (HELD) and go on later.
 *
 * Variables under "ghost" belong to the proof alone; nothing of the algorithm depends on them.
 * WRAPS: the number in a block's word wraps after NUMBERS, which must be more than are in use at once;
 * then a writer that slept through a whole round may reserve ahead of the head, and its record comes
 * late. BUG_… seeds one bug each; test_spin.py says which there are, and that each is found.
 */

#define IDS (WRITERS * RECORDS)
#define CELLS (BLOCKS * GRANULES)

#define EMPTY 0
#define COMMITTED 1
#define DISCARDED 2
#define COLLECTED 3
#define RELEASED 4
#define INSIDE 5

#define STAGE_OPEN 0
#define STAGE_SEALED 1
#define STAGE_LISTED 2
#define STAGE_WAITING 3

#define NONE 255

/* ---- Shared memory --------------------------------------------------------------------------- */

byte head_number, head_block;	/* One word in C (sonde__head_make): read and changed in one step. */
byte tail;
byte order_of[ORDER];
byte word_number[BLOCKS], word_offset[BLOCKS], word_count[BLOCKS];	/* One, likewise: sonde__word_make. */
bit word_open[BLOCKS];
byte map[CELLS];
byte bytes[CELLS];		/* The id of the record whose bytes are there; 0: none ever. */

/* ---- Ghost ----------------------------------------------------------------------------------- */

byte size_of[IDS + 1];		/* What the record's head says. */
byte owner[CELLS];		/* The record between reserve and commit that has the granule. */
byte inside[BLOCKS];		/* Reservations in the block that are not finished. */
int committed, seen;		/* Sets of ids. */
byte n_refused, n_retired, n_deaths, n_over;
byte n_not_tried;		/* Records that the dead did not come to. */

#define cell(block, at) ((block) * GRANULES + (at))
#define bit_of(id) (1 << (id))
#define in_word(number) ((number) % NUMBERS)	/* The word has fewer bits of it than the head. */
#ifdef BUG_NO_NUMBER
#define same_number(word, number) true	/* sonde__word_has_sequence, sonde__word_admits */
#else
#define same_number(word, number) ((word) == in_word(number))
#endif
#ifdef BUG_NO_OPEN
#define is_open(open) true
#else
#define is_open(open) (open)
#endif
#define admits() (same_number(w_number, h_number) && is_open(w_open) && w_offset + n <= GRANULES)

inline head_load() { h_number = head_number; h_block = head_block }
inline word_load()
{
	w_number = word_number[h_block];
	w_open = word_open[h_block];
	w_offset = word_offset[h_block];
	w_count = word_count[h_block]
}

inline ghost_reserve()
{
	assert(w_offset + n <= GRANULES);
	for (i : 0 .. n - 1) {
		assert(owner[cell(h_block, w_offset + i)] == 0);	/* No byte is two writers'. */
		owner[cell(h_block, w_offset + i)] = id;
	}
	i = 0;
	size_of[id] = n;
	inside[h_block]++
}

inline ghost_finish()
{
	for (i : 0 .. n - 1) {
		assert(owner[cell(h_block, w_offset + i)] == id);
		owner[cell(h_block, w_offset + i)] = 0;
	}
	i = 0;
	inside[h_block]--
}

/* Values that are not used any more, so that states which differ in them alone are one. */
inline forget()
{
	atomic {
		id = 0; n = 0; is_written = false;
		h_number = 0; h_block = 0; w_number = 0; w_offset = 0; w_count = 0; w_open = 0;
		t = 0; index = 0
	}
}

/* ---- Writers --------------------------------------------------------------------------------- */

proctype writer(byte me)
{
	byte record, id, n, i;
	bool is_written;
	byte h_number, h_block, w_number, w_offset, w_count, t, index;
	bit w_open;

next_record:
	forget();
	if
	:: record == RECORDS -> goto over
	:: record < RECORDS
	fi;
	atomic {
		id = me * RECORDS + record + 1;
		record++;
		select (n : 1 .. SIZES);
		head_load()				/* sonde__ring_take, sonde__ring_head: A2 */
	}
again:
	atomic { word_load() }				/* sonde__ring_try: A1 */
try:
	if
	:: admits() ->
#ifdef BUG_WORD_STORE
		skip;
		d_step {
			word_offset[h_block] = w_offset + n;
			word_count[h_block] = w_count + 1;
			ghost_reserve()
		}
		goto reserved
#else
		atomic {				/* sonde__ring_try: swap of the word, A1 */
			if
			:: word_number[h_block] == w_number && word_open[h_block] == w_open &&
			   word_offset[h_block] == w_offset && word_count[h_block] == w_count ->
				word_offset[h_block] = w_offset + n;
				word_count[h_block] = w_count + 1;
				ghost_reserve();
				goto reserved
			:: else ->
				word_load();
				goto try
			fi
		}
#endif
	:: else
	fi;

	if						/* sonde__ring_pass */
	:: !same_number(w_number, h_number) ->
		atomic {				/* sonde__ring_pass: load of the head, A2 */
			assert(head_number != h_number);	/* Else the memory was replaced. */
			head_load()
		}
		goto again
	:: else
	fi;
	atomic {					/* sonde__ring_pass: load of the tail, A3 */
		t = tail;
#ifdef BUG_FULL
		if
		:: t < h_number + 1 -> goto refused
		:: else
		fi
#else
		if
		:: t <= h_number + 1 ->
			/* Full only when full: no block is free, and the head's has no room. */
			assert(head_number == h_number && tail == head_number + 1);
			assert(word_offset[head_block] + n > GRANULES);
			goto refused
		:: else
		fi
#endif
	}
	index = order_of[(h_number + 1) % ORDER];	/* sonde__ring_pass: order */
	atomic {					/* sonde__ring_pass: swap of the head, R2 */
		if
#ifdef BUG_HEAD_STORE
		:: true ->
#else
		:: head_number == h_number && head_block == h_block ->
#endif
			head_number = h_number + 1;
			head_block = index;
			/* The head's block is open, under the head's number. */
			assert(word_open[index] && word_number[index] == in_word(head_number))
		:: else
		fi;
		head_load()
	}
	t = 0; index = 0;
	goto again;

refused:
	n_refused++;
	goto next_record;

reserved:
	atomic { h_number = 0; w_number = 0; w_count = 0; w_open = 0; t = 0; index = 0 }
#ifdef BUG_COMMIT_EARLY
	d_step { map[cell(h_block, w_offset)] = COMMITTED; committed = committed | bit_of(id) }
#endif
	do
	:: !is_written -> d_step {			/* The caller writes its record. */
		for (i : 0 .. n - 1) {
			assert(owner[cell(h_block, w_offset + i)] == id);
			bytes[cell(h_block, w_offset + i)] = id;
		}
		i = 0;
		is_written = true
	   }
	:: is_written -> d_step {			/* sonde__box_give: R4 */
		map[cell(h_block, w_offset)] = COMMITTED;
		committed = committed | bit_of(id);
		ghost_finish()
	   }
	   break
#if DISCARDS
	:: !is_written ->
		bytes[cell(h_block, w_offset)] = id;	/* sonde__box_discard: the size */
		d_step {				/* sonde__box_discard: R4 */
			map[cell(h_block, w_offset)] = DISCARDED;
			ghost_finish()
		}
		break
#endif
	:: d_step {					/* It dies here. */
		n_deaths < DEATHS -> n_deaths++;
		n_not_tried = n_not_tried + RECORDS - record
	   }
	   goto over
	od;
	goto next_record;
over:
	forget();
	n_over++
}

/* ---- The reader ------------------------------------------------------------------------------ */

inline ghost_hand_out(b)
{
	assert(inside[b] == 0);				/* Never under a writer. */
	for (i : 0 .. HELD - 1) {
		assert(held[i] == 0 || (held[i] - 1) / GRANULES != b);	/* Nor under the reader. */
	}
	i = 0
}

inline block_hand_out(b)
{
	d_step {
		ghost_hand_out(b);
		scan[b] = 0; n_seen[b] = 0; n_done[b] = 0; n_final[b] = 0; next[b] = 0;
		stage[b] = STAGE_OPEN;
		n_retired = n_retired + word_count[b];	/* word_renew: retired */
#ifndef BUG_MAP_DIRTY
		for (i : 0 .. GRANULES - 1) {		/* map_clear */
			map[cell(b, i)] = EMPTY;
			bytes[cell(b, i)] = 0;		/* Ghost: nobody may read them again. */
		}
		i = 0
#endif
	}
	d_step {					/* word_renew: R1 */
		word_number[b] = in_word(tail);
		word_open[b] = 1;
		word_offset[b] = 0;
		word_count[b] = 0
	}
#ifdef BUG_ORDER_LATE
	tail++;
	order_of[(tail - 1) % ORDER] = b
#else
	order_of[tail % ORDER] = b;			/* block_hand_out: order */
	tail++						/* block_hand_out: R3 */
#endif
}

inline block_settle(b)
{
	stage[b] = STAGE_WAITING;
	if
	:: n_done[b] == n_final[b] -> block_hand_out(b)
	:: else
	fi
}

/* record_take: the record at `at`, whose mark was seen in this very step. */
inline record_take(b)
{
	id = bytes[cell(b, at)];
	assert(id != 0);
	n = size_of[id];
	assert(at + n <= GRANULES && !(seen & bit_of(id)));	/* Nothing comes twice. */
	seen = seen | bit_of(id);
	n_seen[b]++;
	if
	:: map[cell(b, at)] == COMMITTED ->
		assert(committed & bit_of(id));
		for (i : 0 .. n - 1) {
			assert(bytes[cell(b, at + i)] == id);	/* Whole. */
		}
		for (i : 0 .. HELD - 1) {
			if
			:: held[i] == 0 -> held[i] = cell(b, at) + 1; break
			:: else
			fi
		}
		n_held++;
		map[cell(b, at)] = COLLECTED
#ifdef BUG_DONE_EARLY
		; n_done[b]++
#endif
	:: else ->
		map[cell(b, at)] = RELEASED;
		size_of[id] = 0;
		n_done[b]++
	fi;
	for (i : 1 .. n - 1) {
		assert(map[cell(b, at + i)] == EMPTY);
		map[cell(b, at + i)] = INSIDE;
	}
	i = 0;
	at = at + n;
	n = 0; id = 0
}

inline block_scan(b)
{
	d_step { limit = word_offset[b]; at = scan[b]; hole = NONE; has_room = true }	/* block_limit */
	do
	:: at < limit ->
		d_step {				/* block_scan: mark, A4 */
			if
			:: map[cell(b, at)] == COMMITTED || map[cell(b, at)] == DISCARDED ->
				if
				:: n_held == HELD -> has_room = false
				:: else -> record_take(b)
				fi
			:: else ->
				if
				:: map[cell(b, at)] == EMPTY && hole == NONE -> hole = at
				:: else
				fi;
				at++
			fi
		}
		if
		:: !has_room -> break
		:: else
		fi
	:: else -> break
	od;
	atomic {
		scan[b] = (hole < at -> hole : at);
		at = 0; hole = 0; limit = 0
	}
}

inline block_seal(b)
{
#ifdef BUG_SEAL_STORE
	d_step { n_final[b] = word_count[b]; limit = word_offset[b] }
	d_step { word_open[b] = 0; word_count[b] = n_final[b]; word_offset[b] = limit; limit = 0 }
#endif
#ifdef BUG_NO_SEAL
	n_final[b] = word_count[b];
#endif
#if !defined(BUG_SEAL_STORE) && !defined(BUG_NO_SEAL)
	d_step { word_open[b] = 0; n_final[b] = word_count[b] }	/* block_seal: read-modify-write */
#endif
	stage[b] = STAGE_SEALED
}

#ifdef BUG_HAND_OUT_EARLY
#define all_seen(b) true
#else
#define all_seen(b) (n_seen[b] == n_final[b])
#endif

inline unfinished_collect()
{
	link = 0; block = unfinished;			/* link: the entry before, plus 1; 0: the first */
	do
	:: block == 0 || !has_room -> break
	:: else ->
		block_scan(block - 1);
		if
		:: !has_room
		:: has_room && !all_seen(block - 1) -> link = block; block = next[block - 1]
		:: has_room && all_seen(block - 1) ->
			d_step {
				after = next[block - 1];
				if
				:: link == 0 -> unfinished = after
				:: else -> next[link - 1] = after
				fi
			}
			block_settle(block - 1);
			block = after;
			after = 0
		fi
	od;
	link = 0; block = 0
}

inline passed_collect(b)
{
	if
	:: stage[b] == STAGE_OPEN -> block_seal(b)
	:: else
	fi;
	block_scan(b);
	if
	:: has_room ->
		read++;
		if
		:: all_seen(b) -> 
#ifdef BUG_HAND_OUT_EARLY
			n_final[b] = n_seen[b];
#endif
			block_settle(b)
		:: else ->
			d_step {				/* unfinished_add */
				stage[b] = STAGE_LISTED; next[b] = unfinished; unfinished = b + 1
			}
		fi
	:: else
	fi
}

inline ring_collect()
{
	d_step {					/* sonde__ring_collect: load of the head */
		h = head_number;
		has_room = true;
		if
		:: !is_under_way ->
			is_under_way = true;
			is_last = (n_over == WRITERS);
			target = h;
			due = committed
		:: else
		fi
	}
	unfinished_collect();
	do
	:: !has_room || read > target -> break
	:: else ->
		d_step {				/* read_block */
			block = order_of[read % ORDER];
			assert(word_number[block] == in_word(read))
		}
		if
		:: read >= h -> block_scan(block); break
		:: else -> passed_collect(block)
		fi
	od;
	atomic { block = 0; h = 0 }
	if
	:: has_room ->
#if !WRAPS
		assert((due & seen) == due);		/* What was committed before the pass is in it. */
#endif
		d_step { is_under_way = false; target = 0; due = 0 }
	:: else
	fi;
	has_room = false
}

inline ring_release(k)
{
	d_step {					/* sonde__ring_release */
		at = (held[k] - 1) % GRANULES;
		block = (held[k] - 1) / GRANULES;
		id = bytes[cell(block, at)];
		for (i : 0 .. size_of[id] - 1) {
			assert(bytes[cell(block, at + i)] == id);	/* Whole until it is released. */
		}
		i = 0;
		assert(map[cell(block, at)] == COLLECTED);
		map[cell(block, at)] = RELEASED;
		held[k] = 0; n_held--;
#ifndef BUG_DONE_EARLY
		n_done[block]++;
#endif
		size_of[id] = 0;
		id = 0; at = 0
	}
	if
	:: stage[block] == STAGE_WAITING && n_done[block] == n_final[block] -> block_hand_out(block)
	:: else
	fi;
	block = 0
}

/* When all is over: everything is accounted for, and nothing is held back but under the dead. */
inline check_end()
{
	d_step {
#if WRAPS						/* Or will come out when the head has passed it. */
		for (h : head_number + 1 .. tail - 1) {
			for (at : 0 .. GRANULES - 1) {
				if
				:: map[cell(order_of[h % ORDER], at)] == COMMITTED ->
					seen = seen | bit_of(bytes[cell(order_of[h % ORDER], at)]);
					map[cell(order_of[h % ORDER], at)] = RELEASED;
				:: else
				fi
			}
		}
#endif
		assert((committed & seen) == committed);
		for (i : 0 .. BLOCKS - 1) {
			captured = captured + word_count[i];
			unfinished_found = unfinished_found + word_count[i];
			quarantined = quarantined + (inside[i] > 0 -> 1 : 0);
			for (at : 0 .. GRANULES - 1) {
				if
				:: map[cell(i, at)] == EMPTY || map[cell(i, at)] == INSIDE
				:: else ->
					assert(map[cell(i, at)] == RELEASED);
					unfinished_found--
				fi
			}
		}
		for (i : 1 .. IDS) {
			n_seen_ever = n_seen_ever + (seen & bit_of(i) -> 1 : 0);
		}
		for (h : head_number .. tail - 1) {
			quarantined = quarantined - (inside[order_of[h % ORDER]] > 0 -> 1 : 0);
		}
		captured = captured + n_retired + n_refused;
		assert(captured == IDS - n_not_tried);
		assert(captured == n_seen_ever + n_refused + unfinished_found);
		assert(unfinished_found == n_deaths);
		assert(tail - head_number == BLOCKS - quarantined)
	}
}

proctype reader()
{
	byte scan[BLOCKS], n_seen[BLOCKS], n_done[BLOCKS], n_final[BLOCKS], stage[BLOCKS], next[BLOCKS];
	byte unfinished, read, target;
	bool is_under_way, is_last, has_room;
	byte held[HELD], n_held;
	byte h, i, n, id, at, limit, hole, block, link, after;
	byte captured, n_seen_ever, unfinished_found, quarantined;
	int due;

	do
	:: n_held < HELD -> ring_collect()
	:: n_held > 0 ->
		select (i : 0 .. HELD - 1);
		if
		:: held[i] != 0 -> after = i; i = 0; ring_release(after); after = 0
		:: else -> i = 0
		fi
	/* A whole pass after the last writer was over, and nothing of it is held. */
	:: is_last && !is_under_way && n_held == 0 -> break
	od;
	check_end()
}

init {
	byte i;

	d_step {					/* sonde__ring_open */
		for (i : 0 .. BLOCKS - 1) {
			word_number[i] = in_word(i);
			word_open[i] = 1;
			order_of[i] = i;
		}
		tail = BLOCKS
	}
	atomic {
		for (i : 0 .. WRITERS - 1) {
			run writer(i);
		}
		run reader()
	}
}
