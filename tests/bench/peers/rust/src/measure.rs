// SPDX-License-Identifier: Apache-2.0
//! As ../../../drive.c does it: bursts on pinned threads, processor time of the calling thread, between
//! two bursts the tracer's queues are emptied. Allocations are counted by the global allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Barrier;

pub const WARM_UPS: usize = 6;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        System.alloc(layout)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        System.dealloc(memory, layout)
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        System.realloc(memory, layout, size)
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn thread_ns() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// The processors that we may use, highest first; asked before anything is pinned.
pub struct Processors(Vec<usize>);

impl Processors {
    pub fn find() -> Self {
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        unsafe { libc::sched_getaffinity(0, std::mem::size_of_val(&set), &mut set) };
        Self((0..libc::CPU_SETSIZE as usize).rev().filter(|&i| unsafe { libc::CPU_ISSET(i, &set) }).collect())
    }

    fn use_only(which: &[usize]) {
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        which.iter().for_each(|&i| unsafe { libc::CPU_SET(i, &mut set) });
        unsafe { libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set) };
    }

    fn pin(&self, number: usize) {
        Self::use_only(&[self.0[number % self.0.len()]]);
    }

    /// For who starts the tracer's own threads.
    pub fn leave_last(&self) {
        if self.0.len() > 1 {
            Self::use_only(&self.0[1..]);
        }
    }
}

fn quantile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[((share * samples.len() as f64) as usize).min(samples.len() - 1)]
}

fn overhead_ns() -> f64 {
    let mut samples: Vec<f64> = (0..1001).map(|_| -thread_ns() + thread_ns()).collect();
    quantile(&mut samples, 0.5)
}

pub struct Drive<'a> {
    pub processors: &'a Processors,
    pub rounds: usize,
    /// Operations that the tracer's queues hold.
    pub room: usize,
    pub drain: &'a (dyn Fn() + Sync),
}

impl Drive<'_> {
    /// Prints the cost of `operation`, which gets how often it is to be done.
    pub fn measure(&self, name: &str, operation: &(dyn Fn(usize) + Sync)) {
        for n_threads in [1, 2, 4, 16] {
            let suffix = if n_threads == 1 { String::new() } else { format!("_t{n_threads}") };
            let burst = (self.room / n_threads).max(1);
            let (mut samples, allocations) = self.run(n_threads, burst, operation);
            let spread = quantile(&mut samples, 0.75) - quantile(&mut samples, 0.25);
            println!("{name}_ns{suffix} {:.2} ns {spread:.2}", quantile(&mut samples, 0.5));
            if n_threads == 1 {
                println!("{name}_allocations {allocations:.3} 1/op 0");
            }
        }
    }

    /// What one operation cost in each round, all threads together, and its allocations.
    fn run(&self, n_threads: usize, burst: usize, operation: &(dyn Fn(usize) + Sync)) -> (Vec<f64>, f64) {
        let barrier = Barrier::new(n_threads + 1);
        let mut totals = vec![0.0; self.rounds];
        let mut allocations = 0;
        std::thread::scope(|scope| {
            let members: Vec<_> = (0..n_threads)
                .map(|number| {
                    let barrier = &barrier;
                    scope.spawn(move || self.member(number, burst, operation, barrier))
                })
                .collect();
            for _ in 0..WARM_UPS + self.rounds {
                barrier.wait();
                barrier.wait();
                (self.drain)();
                barrier.wait();
            }
            for member in members {
                let (bursts, n) = member.join().unwrap();
                totals.iter_mut().zip(bursts).for_each(|(total, ns)| *total += ns);
                allocations += n;
            }
        });
        let n = (n_threads * burst) as f64;
        totals.iter_mut().for_each(|total| *total /= n);
        (totals, allocations as f64 / n / self.rounds as f64)
    }

    fn member(
        &self,
        number: usize,
        burst: usize,
        operation: &(dyn Fn(usize) + Sync),
        barrier: &Barrier,
    ) -> (Vec<f64>, u64) {
        let mut bursts = Vec::with_capacity(self.rounds);
        let mut allocations = 0;
        self.processors.pin(number);
        let overhead = overhead_ns();
        for i in 0..WARM_UPS + self.rounds {
            barrier.wait();
            let before = ALLOCATIONS.with(Cell::get);
            let start = thread_ns();
            operation(burst);
            let end = thread_ns();
            if i >= WARM_UPS {
                allocations += ALLOCATIONS.with(Cell::get) - before;
                bursts.push(end - start - overhead);
            }
            barrier.wait();
            barrier.wait();
        }
        (bursts, allocations)
    }
}
