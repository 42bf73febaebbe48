// SPDX-License-Identifier: Apache-2.0
//! The ring's algorithm on loom's atomics: the steps of src/box/ring_inline.h, ring.c, write_inline.h,
//! write.c, reader.c and account.c in their order, each with the name of its C function and, where it
//! is ordered, its label. One signal, small fields, and no checks against scribbled memory.
//!
//! A record's bytes are loom cells: an access that is not ordered after another thread's is a panic,
//! whether or not its value would have been right.

use crate::orders::Orders;
use crate::shared::Shared;
use loom::cell::UnsafeCell;
use loom::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::Arc;

const ORDER: u32 = 4;

const EMPTY: u32 = 0x00;
const COMMITTED: u32 = 0x10;
const DISCARDED: u32 = 0x20;
const COLLECTED: u32 = 0x30;
const RELEASED: u32 = 0x40;
const INSIDE: u32 = 0x50;

const OPEN: u32 = 1 << 16;

/// A block's word: granules taken, records, open, number.
fn offset_of(word: u32) -> u32 {
    word & 0xff
}

fn count_of(word: u32) -> u32 {
    word >> 8 & 0xff
}

pub struct Ring {
    head: Shared, // number << 8 | block
    tail: Shared,
    order: Vec<Shared>,
    words: Vec<Shared>,
    map: Vec<Vec<Shared>>,
    bytes: Vec<Vec<UnsafeCell<u32>>>,
    refused: Shared,
    retirements: Shared,
    retired: Shared,
    orders: Orders,
    n_granules: u32,
    numbers: u32, // The number in a word wraps after these.
}

unsafe impl Sync for Ring {}
unsafe impl Send for Ring {}

pub struct Slot {
    block: usize,
    at: u32,
    n: u32,
}

impl Ring {
    /// sonde__ring_open. Not raced with, so relaxed does: threads begin after it.
    pub fn new(orders: Orders, n_blocks: u32, n_granules: u32, numbers: u32) -> Ring {
        let words = (0..n_blocks).map(|number| OPEN | (number % numbers) << 17);
        Ring {
            head: Shared::new(0),
            tail: Shared::new(n_blocks),
            order: (0..ORDER).map(Shared::new).collect(),
            words: words.map(Shared::new).collect(),
            map: (0..n_blocks).map(|_| (0..n_granules).map(|_| Shared::new(EMPTY)).collect()).collect(),
            bytes: (0..n_blocks).map(|_| (0..n_granules).map(|_| UnsafeCell::new(0)).collect()).collect(),
            refused: Shared::new(0),
            retirements: Shared::new(0),
            retired: Shared::new(0),
            orders,
            n_granules,
            numbers,
        }
    }

    /// sonde__word_make
    fn word_make(&self, number: u32) -> u32 {
        (number % self.numbers) << 17 | OPEN
    }

    /// sonde__word_has_sequence
    fn has_number(&self, word: u32, number: u32) -> bool {
        word >> 17 == number % self.numbers
    }

    /// sonde__word_admits
    fn admits(&self, word: u32, number: u32, n: u32) -> bool {
        (word ^ self.word_make(number)) >> 16 == 0 && offset_of(word) + n <= self.n_granules
    }

    fn order_of(&self, number: u32) -> &Shared {
        &self.order[(number % ORDER) as usize]
    }

    // ---- Writers -----------------------------------------------------------------------------

    /// sonde__ring_take, sonde__box_reserve_elsewhere
    pub fn reserve(&self, n: u32) -> Option<Slot> {
        let mut head = self.head.load(self.orders.take_head); // A2, partner R2
        loop {
            let block = (head & 0xff) as usize; // sonde__head_make
            let mut word = self.words[block].load(self.orders.take_word); // A1, partner R1
            while self.admits(word, head >> 8, n) {
                match self.words[block].swap(
                    word,
                    word + n + (1 << 8),
                    self.orders.swap_word, // A1
                    self.orders.swap_word_fail,
                ) {
                    Ok(_) => return Some(Slot { block, at: offset_of(word), n }),
                    Err(other) => word = other,
                }
            }
            if !self.pass(word, &mut head) {
                self.refused.fetch_add(1, Relaxed);
                return None;
            }
        }
    }

    /// sonde__ring_pass
    fn pass(&self, word: u32, head: &mut u32) -> bool {
        let next = (*head >> 8) + 1;
        if !self.has_number(word, next - 1) {
            let old = *head;
            *head = self.head.load(self.orders.pass_head); // A2
            // ring.c, "Progress": where the head has not moved, memory was replaced.
            assert_ne!(*head, old, "the head's block has another number, and the head has not moved");
            return true;
        }
        let tail = self.tail.load(self.orders.pass_tail); // A3, partner R3
        if tail <= next {
            return false;
        }
        let index = self.order_of(next).load(Relaxed);
        let moved = next << 8 | index;
        // R2, partner A2
        match self.head.swap(*head, moved, self.orders.swap_head, self.orders.swap_head_fail) {
            Ok(_) => *head = moved,
            Err(other) => *head = other,
        }
        true
    }

    /// What the caller does between reserve and commit.
    pub fn write(&self, slot: &Slot, id: u32) {
        for i in 0..slot.n {
            self.bytes[slot.block][(slot.at + i) as usize].with_mut(|p| unsafe { *p = id << 8 | slot.n });
        }
    }

    /// sonde__box_give
    pub fn commit(&self, slot: Slot) {
        self.map[slot.block][slot.at as usize].store(COMMITTED, self.orders.commit); // R4, partner A4
    }

    /// sonde__box_discard
    pub fn discard(&self, slot: Slot) {
        self.bytes[slot.block][slot.at as usize].with_mut(|p| unsafe { *p = slot.n });
        self.map[slot.block][slot.at as usize].store(DISCARDED, self.orders.discard); // R4, partner A4
    }

    // ---- Accounts ----------------------------------------------------------------------------

    /// look_at_counts, block_word
    fn look_at_counts(&self) -> u32 {
        let mut captured = self.retired.load(self.orders.look); // A5, partner S1
        for word in self.words.iter() {
            captured += count_of(word.load(self.orders.look)); // A5
        }
        captured
    }

    /// look_at_map, block_word: (queued, unfinished) in a block
    fn look_at_map(&self, block: usize) -> (u32, u32) {
        let word = self.words[block].load(self.orders.look); // A5
        let (mut queued, mut finished) = (0, 0);
        for at in 0..offset_of(word).min(self.n_granules) {
            let mark = self.map[block][at as usize].load(self.orders.look); // A5
            if mark != EMPTY && mark != INSIDE {
                finished += 1;
                queued += (mark != RELEASED) as u32;
            }
        }
        (queued, count_of(word).saturating_sub(finished))
    }

    /// look_steadily, with one look; None where the C would look again.
    fn look_steadily<T>(&self, look: impl Fn() -> T) -> Option<T> {
        let before = self.retirements.load(self.orders.look_first); // A6, partner S2
        let found = look();
        let after = self.retirements.load(Relaxed);
        (before % 2 == 0 && before == after).then_some(found)
    }

    /// sonde__ring_account: captured but for the refused
    pub fn account_captured(&self) -> Option<u32> {
        self.look_steadily(|| self.look_at_counts())
    }

    /// sonde__ring_account: (queued, unfinished) of a block
    pub fn account_block(&self, block: usize) -> Option<(u32, u32)> {
        self.look_steadily(|| self.look_at_map(block))
    }

    pub fn refused(&self) -> u32 {
        self.refused.load(Relaxed)
    }
}

// ---- The reader --------------------------------------------------------------------------------

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Open,
    Sealed,
    Listed,
    Waiting,
}

#[derive(Clone, Copy)]
struct Figures {
    scan: u32,
    n_seen: u32,
    n_done: u32,
    n_final: u32,
    stage: Stage,
}

const FRESH: Figures = Figures { scan: 0, n_seen: 0, n_done: 0, n_final: 0, stage: Stage::Open };

/// A record that was collected and not yet released.
pub struct Held {
    block: usize,
    at: u32,
    n: u32,
    pub id: u32,
}

/// The reader's private state, which C keeps in the ring as well.
pub struct Reader {
    ring: Arc<Ring>,
    figures: Vec<Figures>,
    unfinished: Vec<usize>,
    read: u32,
    pub invalid: u32,
    pub held: Vec<Held>,
}

impl Reader {
    pub fn new(ring: Arc<Ring>) -> Reader {
        let figures = vec![FRESH; ring.words.len()];
        Reader { ring, figures, unfinished: Vec::new(), read: 0, invalid: 0, held: Vec::new() }
    }

    /// word_renew, map_clear
    fn word_renew(&mut self, block: usize, word: u32, number: u32) {
        let ring = self.ring.clone();
        let moves = ring.retirements.load(Relaxed);
        ring.retirements.store(moves + 1, Relaxed);
        let retired = ring.retired.load(Relaxed);
        ring.retired.store(retired + count_of(word), ring.orders.retire); // S1, partner A5
        for at in 0..offset_of(word) {
            ring.map[block][at as usize].store(EMPTY, ring.orders.retire); // S1
        }
        ring.words[block].store(ring.word_make(number), ring.orders.renew); // R1, partner A1
        ring.retirements.store(moves + 2, ring.orders.retired); // S2, partner A6
    }

    /// block_hand_out
    fn hand_out(&mut self, block: usize) {
        let tail = self.ring.tail.load(Relaxed);
        let word = self.ring.words[block].load(Relaxed);
        self.figures[block] = FRESH;
        self.word_renew(block, word, tail);
        self.ring.order_of(tail).store(block as u32, Relaxed);
        self.ring.tail.store(tail + 1, self.ring.orders.tail); // R3, partner A3
    }

    /// block_settle
    fn settle(&mut self, block: usize) {
        self.figures[block].stage = Stage::Waiting;
        if self.figures[block].n_done == self.figures[block].n_final {
            self.hand_out(block);
        }
    }

    fn read_bytes(&self, block: usize, at: u32) -> u32 {
        self.ring.bytes[block][at as usize].with(|p| unsafe { *p })
    }

    /// record_take, the mark having been seen: steps over this many granules.
    fn record_take(&mut self, block: usize, at: u32, mark: u32) -> u32 {
        let bytes = self.read_bytes(block, at);
        let n = bytes & 0xff;
        assert!(n >= 1 && at + n <= self.ring.n_granules, "a size that was never written");
        self.figures[block].n_seen += 1;
        if mark == COMMITTED {
            for i in 1..n {
                assert_eq!(self.read_bytes(block, at + i), bytes, "torn");
            }
            self.held.push(Held { block, at, n, id: bytes >> 8 });
            self.ring.map[block][at as usize].store(COLLECTED, Relaxed);
        } else {
            self.invalid += 1;
            self.ring.map[block][at as usize].store(RELEASED, Relaxed);
            self.figures[block].n_done += 1;
        }
        for i in 1..n {
            self.ring.map[block][(at + i) as usize].store(INSIDE, Relaxed);
        }
        n
    }

    /// block_limit, block_scan
    fn scan(&mut self, block: usize) {
        let limit = offset_of(self.ring.words[block].load(Relaxed)).min(self.ring.n_granules);
        let mut at = self.figures[block].scan;
        let mut hole = u32::MAX;
        while at < limit {
            let mark = self.ring.map[block][at as usize].load(self.ring.orders.scan); // A4, partner R4
            if mark == COMMITTED || mark == DISCARDED {
                at += self.record_take(block, at, mark);
                continue;
            }
            if mark == EMPTY && hole == u32::MAX {
                hole = at;
            }
            at += 1;
        }
        self.figures[block].scan = hole.min(at);
    }

    /// block_seal
    fn seal(&mut self, block: usize) {
        let word = self.ring.words[block].fetch_and(!OPEN, Relaxed);
        self.figures[block].n_final = count_of(word);
        self.figures[block].stage = Stage::Sealed;
    }

    fn is_seen_whole(&self, block: usize) -> bool {
        self.figures[block].n_seen == self.figures[block].n_final
    }

    /// unfinished_collect
    fn unfinished_collect(&mut self) {
        for block in std::mem::take(&mut self.unfinished) {
            self.scan(block);
            if self.is_seen_whole(block) {
                self.settle(block);
            } else {
                self.unfinished.push(block);
            }
        }
    }

    /// passed_collect, unfinished_add
    fn passed_collect(&mut self, block: usize) {
        if self.figures[block].stage == Stage::Open {
            self.seal(block);
        }
        self.scan(block);
        self.read += 1;
        if self.is_seen_whole(block) {
            self.settle(block);
        } else {
            self.figures[block].stage = Stage::Listed;
            self.unfinished.push(block);
        }
    }

    /// sonde__ring_collect, read_block
    pub fn collect(&mut self) {
        let head = self.ring.head.load(Relaxed) >> 8;
        self.unfinished_collect();
        while self.read <= head {
            let block = self.ring.order_of(self.read).load(Relaxed) as usize;
            assert!(self.ring.has_number(self.ring.words[block].load(Relaxed), self.read));
            if self.read >= head {
                self.scan(block);
                break;
            }
            self.passed_collect(block);
        }
    }

    /// sonde__ring_release
    pub fn release(&mut self, held: Held) {
        for i in 0..held.n {
            assert_eq!(self.read_bytes(held.block, held.at + i) >> 8, held.id, "reused under the reader");
        }
        self.ring.map[held.block][held.at as usize].store(RELEASED, Relaxed);
        let figures = &mut self.figures[held.block];
        figures.n_done += 1;
        if figures.stage == Stage::Waiting && figures.n_done == figures.n_final {
            self.hand_out(held.block);
        }
    }
}

/// Keeps the relaxed loads of the C, which order nothing, apart from what a check of the end may use.
pub fn settled(ring: &Ring) -> (u32, u32, u32) {
    let mut queued = 0;
    let mut unfinished = 0;
    for block in 0..ring.words.len() {
        let (q, u) = ring.look_at_map(block);
        queued += q;
        unfinished += u;
    }
    let captured = ring.look_at_counts() + ring.refused.load(Acquire);
    (captured, queued, unfinished)
}
