// SPDX-License-Identifier: Apache-2.0
//! An atomic whose accesses loom tries in every order.
//!
//! When loom looks for another schedule it asks which access of a location came last, and tries the two
//! the other way round. A thread that loads a word and then swaps it hides every other thread's load
//! from that question by its own, so that "the other load after the swap" is never tried: with bare
//! atomics the reader of this model never saw a reservation at all. So each access is announced by one
//! of a twin, a relaxed read-modify-write: of those any two depend on each other, none hides another,
//! and whatever order they are put in the accesses themselves follow. It orders nothing else: relaxed,
//! on a location that carries no value.

use loom::sync::atomic::{AtomicU32, Ordering};

pub struct Shared {
    twin: AtomicU32,
    value: AtomicU32,
}

impl Shared {
    pub fn new(value: u32) -> Shared {
        Shared { twin: AtomicU32::new(0), value: AtomicU32::new(value) }
    }

    fn announce(&self) {
        self.twin.fetch_add(0, Ordering::Relaxed);
    }

    pub fn load(&self, order: Ordering) -> u32 {
        self.announce();
        self.value.load(order)
    }

    pub fn store(&self, value: u32, order: Ordering) {
        self.announce();
        self.value.store(value, order);
    }

    pub fn swap(&self, old: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32> {
        self.announce();
        self.value.compare_exchange(old, new, success, failure)
    }

    pub fn fetch_and(&self, mask: u32, order: Ordering) -> u32 {
        self.announce();
        self.value.fetch_and(mask, order)
    }

    pub fn fetch_add(&self, n: u32, order: Ordering) -> u32 {
        self.announce();
        self.value.fetch_add(n, order)
    }
}
