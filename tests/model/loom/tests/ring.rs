// SPDX-License-Identifier: Apache-2.0
//! Cases that loom explores under every schedule with at most so many preemptions, and in each every
//! value that C11 lets a load return. With the orders of the C each holds; with any one of them
//! weakened, some case fails.

use loom::model::Builder;
use loom::thread;
use sonde_ring_model::orders::{Orders, AS_IN_C, SEEDS};
use sonde_ring_model::ring::{settled, Reader, Ring};
use std::sync::Arc;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

struct Case {
    name: &'static str,
    n_blocks: u32,
    n_granules: u32,
    numbers: u32,
    before: &'static [u32],           // Sizes of the records that are there at first.
    writers: &'static [&'static [i32]], // Sizes of each one's records; a negative one is discarded.
    reader_first: &'static [i32],       // What the reader's thread writes itself before its passes,
    n_passes: u32,                      // while the writers run,
    reader_then: &'static [i32],        // and after.
    has_account: bool,
    preemptions: usize,
}

const PLAIN: Case = Case {
    name: "",
    n_blocks: 2,
    n_granules: 1,
    numbers: 64,
    before: &[],
    writers: &[],
    reader_first: &[],
    n_passes: 2,
    reader_then: &[],
    has_account: false,
    preemptions: 2,
};

const CASES: &[Case] = &[
    Case { name: "a block that is handed out again", before: &[1, 1], writers: &[&[1, 1]], ..PLAIN },
    Case { name: "two writers and a new block", before: &[1, 1], writers: &[&[1], &[1]], n_passes: 1, ..PLAIN },
    Case { name: "a head that has moved", before: &[1], writers: &[&[1], &[1]], n_passes: 1, ..PLAIN },
    Case { name: "a head that has moved twice", before: &[1], writers: &[&[1]], reader_first: &[1], n_passes: 1, reader_then: &[1], ..PLAIN },
    Case { name: "a word that has changed", writers: &[&[1], &[1, 1]], n_passes: 1, ..PLAIN },
    Case { name: "a head that has moved far", n_blocks: 3, before: &[1], writers: &[&[1]], reader_first: &[1, 1], n_passes: 1, reader_then: &[1, 1], ..PLAIN },
    Case { name: "records of two sizes", n_granules: 2, writers: &[&[2], &[1, 1]], n_passes: 1, ..PLAIN },
    Case { name: "a discard", writers: &[&[-1]], n_passes: 1, ..PLAIN },
    Case { name: "a number that wraps", numbers: 2, writers: &[&[1], &[1, 1]], n_passes: 1, ..PLAIN },
    Case { name: "an account", before: &[1, 1], writers: &[], n_passes: 1, has_account: true, ..PLAIN },
];

fn write_all(ring: &Ring, first_id: u32, sizes: &[i32]) -> Vec<u32> {
    let mut committed = Vec::new();
    for (i, size) in sizes.iter().enumerate() {
        if let Some(slot) = ring.reserve(size.unsigned_abs()) {
            if *size < 0 {
                ring.discard(slot);
                continue;
            }
            ring.write(&slot, first_id + i as u32);
            ring.commit(slot);
            committed.push(first_id + i as u32);
        }
    }
    committed
}

/// A pass, and the release of what it found.
fn drain(reader: &mut Reader, seen: &mut Vec<u32>) {
    reader.collect();
    for held in std::mem::take(&mut reader.held) {
        assert!(!seen.contains(&held.id), "came twice");
        seen.push(held.id);
        reader.release(held);
    }
}

/// Never less than what was there before the threads began, never more than could be there at most.
fn account(ring: &Ring, n_before: u32, n_most: u32) {
    if let Some(captured) = ring.account_captured() {
        assert!(captured >= n_before && captured <= n_most, "captured {captured}");
    }
    if let Some((queued, unfinished)) = ring.account_block(0) {
        assert!(queued <= 1 && unfinished == 0, "queued {queued}, unfinished {unfinished}");
    }
}

fn run(case: &'static Case, orders: Orders) {
    let ring = Arc::new(Ring::new(orders, case.n_blocks, case.n_granules, case.numbers));
    let n_before = case.before.len() as u32;
    let mut n_tried = n_before;
    let mut committed: Vec<u32> = Vec::new();
    for (i, size) in case.before.iter().enumerate() {
        committed.extend(write_all(&ring, 1 + i as u32, &[*size as i32]));
    }
    let mut threads = Vec::new();
    for (w, sizes) in case.writers.iter().enumerate() {
        let ring = ring.clone();
        n_tried += sizes.len() as u32;
        threads.push(thread::spawn(move || write_all(&ring, 10 * (w as u32 + 1), sizes)));
    }
    let observer = case.has_account.then(|| {
        let ring = ring.clone();
        thread::spawn(move || account(&ring, n_before, n_tried))
    });
    let mut reader = Reader::new(ring.clone());
    let reading_ring = ring.clone();
    n_tried += (case.reader_first.len() + case.reader_then.len()) as u32;
    let reading = thread::spawn(move || {
        let mut seen = Vec::new();
        let mut own = write_all(&reading_ring, 60, case.reader_first);
        for _ in 0..case.n_passes {
            drain(&mut reader, &mut seen);
        }
        own.extend(write_all(&reading_ring, 70, case.reader_then));
        (reader, seen, own)
    });
    for writer in threads {
        committed.extend(writer.join().unwrap());
    }
    if let Some(observer) = observer {
        observer.join().unwrap();
    }
    let (mut reader, mut seen, own) = reading.join().unwrap();
    committed.extend(own);
    drain(&mut reader, &mut seen);
    drain(&mut reader, &mut seen);
    committed.sort();
    seen.sort();
    if case.numbers > 2 {
        assert_eq!(committed, seen, "lost or invented");
    }
    let (captured, queued, unfinished) = settled(&ring);
    assert_eq!(captured, n_tried);
    assert_eq!(captured, seen.len() as u32 + reader.invalid + ring.refused() + queued + unfinished);
    assert_eq!(unfinished, 0);
}

/// How many executions there were; None: one of them failed.
fn explore(case: &'static Case, orders: Orders) -> Option<u64> {
    let count = Arc::new(AtomicU64::new(0));
    let counter = count.clone();
    let mut builder = Builder::new();
    builder.preemption_bound = Some(case.preemptions);
    builder.max_branches = 10_000;
    let result = catch_unwind(AssertUnwindSafe(|| {
        builder.check(move || {
            counter.fetch_add(1, Relaxed);
            run(case, orders)
        })
    }));
    result.ok().map(|_| count.load(Relaxed))
}

#[test]
fn the_orders_of_the_c_hold() {
    for case in CASES {
        let started = std::time::Instant::now();
        let n = explore(case, AS_IN_C).expect(case.name);
        println!("{}: {n} executions, {:.1} s", case.name, started.elapsed().as_secs_f32());
    }
}

#[test]
fn each_order_is_needed() {
    let mut n_missed = 0;
    for (label, weaken, name) in SEEDS {
        let mut orders = AS_IN_C;
        weaken(&mut orders);
        let case = CASES.iter().find(|case| case.name == *name).expect(name);
        let is_found = explore(case, orders).is_none();
        println!("without {label}: {} by {name}", if is_found { "found" } else { "NOT FOUND" });
        n_missed += !is_found as u32;
    }
    assert_eq!(n_missed, 0);
}
