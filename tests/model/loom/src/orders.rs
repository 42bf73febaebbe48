// SPDX-License-Identifier: Apache-2.0
//! The memory orders of the C, each by its label in src/box/ring.c, so that a test can weaken one.

use loom::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

#[derive(Clone, Copy)]
pub struct Orders {
    pub take_head: Ordering,      // A2, sonde__ring_take: load of the head
    pub take_word: Ordering,      // A1, sonde__ring_take: load of the word
    pub swap_word: Ordering,      // A1, sonde__ring_take: swap of the word, success
    pub swap_word_fail: Ordering, // A1, and failure
    pub pass_head: Ordering,      // A2, sonde__ring_pass: load of the head after a mismatch
    pub pass_tail: Ordering,      // A3, sonde__ring_pass: load of the tail
    pub swap_head: Ordering,      // R2, sonde__ring_pass: swap of the head, success
    pub swap_head_fail: Ordering, // A2, and failure
    pub commit: Ordering,         // R4, sonde__box_give: the mark
    pub discard: Ordering,        // R4, sonde__box_discard: the mark
    pub scan: Ordering,           // A4, block_scan: the mark
    pub renew: Ordering,          // R1, word_renew: the word
    pub tail: Ordering,           // R3, block_hand_out: the tail
    pub retire: Ordering,         // S1, word_renew: `retired`, and map_clear
    pub retired: Ordering,        // S2, word_renew: `retirements` even again
    pub look: Ordering,           // A5, look_at_counts and look_at_map
    pub look_first: Ordering,     // A6, look_steadily: `retirements`
}

pub const AS_IN_C: Orders = Orders {
    take_head: Acquire,
    take_word: Acquire,
    swap_word: Acquire,
    swap_word_fail: Acquire,
    pass_head: Acquire,
    pass_tail: Acquire,
    swap_head: AcqRel,
    swap_head_fail: Acquire,
    commit: Release,
    discard: Release,
    scan: Acquire,
    renew: Release,
    tail: Release,
    retire: Release,
    retired: Release,
    look: Acquire,
    look_first: Acquire,
};

/// The label, what the C would be without it, and the case in tests/ring.rs that shows it.
pub type Seed = (&'static str, fn(&mut Orders), &'static str);

pub const SEEDS: &[Seed] = &[
    ("A1 of the word's load", |o| o.take_word = Relaxed, "a head that has moved"),
    ("A1 of the word's swap", |o| o.swap_word = Relaxed, "a number that wraps"),
    ("A1 of the word's swap that fails", |o| o.swap_word_fail = Relaxed, "a word that has changed"),
    ("R1", |o| o.renew = Relaxed, "a head that has moved"),
    ("A2 of the head's first load", |o| o.take_head = Relaxed, "two writers and a new block"),
    ("A2 of the head's second load", |o| o.pass_head = Relaxed, "a head that has moved far"),
    ("A2 of the head's swap that fails", |o| o.swap_head_fail = Relaxed, "a head that has moved twice"),
    ("R2", |o| o.swap_head = Acquire, "two writers and a new block"),
    ("A3", |o| o.pass_tail = Relaxed, "a block that is handed out again"),
    ("R3", |o| o.tail = Relaxed, "a block that is handed out again"),
    ("A4", |o| o.scan = Relaxed, "a block that is handed out again"),
    ("R4 of a commit", |o| o.commit = Relaxed, "a block that is handed out again"),
    ("R4 of a discard", |o| o.discard = Relaxed, "a discard"),
    ("A5", |o| o.look = Relaxed, "an account"),
    ("A6", |o| o.look_first = Relaxed, "an account"),
    ("S1", |o| o.retire = Relaxed, "an account"),
    ("S2", |o| o.retired = Relaxed, "an account"),
];
