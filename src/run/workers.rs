//! The threads that inferences run on: started when the first batch comes, shared by all queries of an engine, ended with it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

use crate::priority;

/// A bounded number of threads; dropping it ends them.
pub(super) struct Workers {
    n_threads: usize,
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    /// A batch stands here once for each worker that may help with it; whoever waits for it takes it out again.
    batches: VecDeque<Arc<Batch>>,
    ended: bool,
}

/// Items that are worked on side by side.
struct Batch {
    n_items: usize,
    next: AtomicUsize,
    work: Box<dyn Fn(usize) + Send + Sync>,
    n_left: Mutex<usize>,
    done: Condvar,
    panicked: AtomicBool,
}

impl Batch {
    fn work(&self) {
        loop {
            let item = self.next.fetch_add(1, Ordering::Relaxed);
            if item >= self.n_items {
                return;
            }
            // A worker outlives the batch that fails it.
            if catch_unwind(AssertUnwindSafe(|| (self.work)(item))).is_err() {
                self.panicked.store(true, Ordering::Release);
            }
            let mut n_left = self.n_left.lock();
            *n_left -= 1;
            if *n_left == 0 {
                self.done.notify_all();
            }
        }
    }
}

impl Workers {
    /// `n_threads` work at once for a batch, the one that brings it among them.
    pub(super) fn new(n_threads: usize) -> Workers {
        Workers { n_threads: n_threads.max(1), shared: Arc::default(), threads: Mutex::default() }
    }

    /// Calls `work` with every number below `n_items` and returns when all calls have; false if one of them panicked.
    pub(super) fn run(&self, n_items: usize, work: impl Fn(usize) + Send + Sync + 'static) -> bool {
        let batch = Arc::new(Batch {
            n_items,
            next: AtomicUsize::new(0),
            work: Box::new(work),
            n_left: Mutex::new(n_items),
            done: Condvar::new(),
            panicked: AtomicBool::new(false),
        });
        let n_helpers = self.n_threads.min(n_items).saturating_sub(1);
        if n_helpers > 0 {
            self.start();
            self.shared.queue.lock().batches.extend((0..n_helpers).map(|_| Arc::clone(&batch)));
            self.shared.wake.notify_all();
        }
        batch.work();
        let mut n_left = batch.n_left.lock();
        while *n_left > 0 {
            batch.done.wait(&mut n_left);
        }
        drop(n_left);
        if n_helpers > 0 {
            // Those who never came need not: what the batch holds is free at once.
            self.shared.queue.lock().batches.retain(|waiting| !Arc::ptr_eq(waiting, &batch));
        }
        !batch.panicked.load(Ordering::Acquire)
    }

    /// Starts the threads if they are not there. One that cannot be started is one helper less: whoever brings a batch works on it anyway.
    fn start(&self) {
        let mut threads = self.threads.lock();
        while threads.len() + 1 < self.n_threads {
            let shared = Arc::clone(&self.shared);
            match thread::Builder::new().name("infer".into()).spawn(move || help(&shared)) {
                Ok(thread) => threads.push(thread),
                Err(_) => return,
            }
        }
    }
}

fn help(shared: &Shared) {
    priority::lower();
    loop {
        let batch = {
            let mut queue = shared.queue.lock();
            loop {
                if queue.ended {
                    return;
                }
                match queue.batches.pop_front() {
                    Some(batch) => break batch,
                    None => shared.wake.wait(&mut queue),
                }
            }
        };
        batch.work();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.queue.lock().ended = true;
        self.shared.wake.notify_all();
        for thread in self.threads.lock().drain(..) {
            // The last handle of an engine may be one that a batch held: a thread cannot wait for itself.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once_and_the_threads_are_used_again() {
        let workers = Workers::new(3);
        for n_items in [0, 1, 2, 50] {
            let counts: Arc<Vec<AtomicUsize>> = Arc::new((0..n_items).map(|_| AtomicUsize::new(0)).collect());
            let theirs = Arc::clone(&counts);
            assert!(workers.run(n_items, move |item| _ = theirs[item].fetch_add(1, Ordering::Relaxed)));
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
            assert!(workers.threads.lock().len() <= 2);
        }
        assert!(workers.shared.queue.lock().batches.is_empty());
    }

    #[test]
    fn a_panic_is_told_and_the_other_items_are_done() {
        let workers = Workers::new(2);
        let n_done = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&n_done);
        assert!(!workers.run(10, move |item| {
            assert_ne!(item, 3, "this panic is part of the test");
            theirs.fetch_add(1, Ordering::Relaxed);
        }));
        assert_eq!(n_done.load(Ordering::Relaxed), 9);
        assert!(workers.run(2, |_| {}));
    }
}
