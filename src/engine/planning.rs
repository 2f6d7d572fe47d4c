//! Where queries are planned: short ones where they are asked, long ones on threads of their own, few at a time. Who does not wait any longer goes at once,
//! and the thread stops when it sees that.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{Query, visit_expressions};
use framesql_udfs::interrupt;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use crate::error::{Error, Result};
use crate::run::Threads;

/// The most expressions of a query that is planned where it is asked: that takes less than a millisecond for each dozen.
const SHORT: usize = 100;

/// The stack of a thread: plans are as deep as they are written.
const STACK_BYTES: usize = 256 << 20;

/// The places in which long queries are planned.
#[derive(Debug)]
pub(super) struct Planning {
    places: Arc<Semaphore>,
    threads: Threads,
}

/// Tells the thread that nobody waits for it.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Planning {
    /// As many places as there are cores, whose threads are counted among those of queries.
    pub(super) fn new(threads: &Threads) -> Planning {
        let n_cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        Planning { places: Arc::new(Semaphore::new(n_cores)), threads: threads.clone() }
    }

    /// Does `work`, which plans: here, or elsewhere if it is `long`.
    pub(super) async fn run<T, F>(&self, long: bool, work: impl FnOnce() -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send,
    {
        if !long {
            return work().await;
        }
        // Places are never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|e| Error::Internal(e.to_string()))?;
        let handle = Handle::try_current().map_err(|e| Error::Internal(e.to_string()))?;
        let at_work = self.threads.start();
        let flag = Arc::new(AtomicBool::new(false));
        let waiting = Waiting(Arc::clone(&flag));
        let (done, planned) = oneshot::channel();
        std::thread::Builder::new()
            .name("planning".into())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                interrupt::heed(flag);
                let answer = handle.block_on(work());
                drop((place, at_work));
                // Nobody may wait any more.
                let _ = done.send(answer);
            })
            .map_err(|e| Error::io("could not start a thread", e))?;
        let answer = planned.await.map_err(|_| Error::Internal("the planner has panicked".into()));
        drop(waiting);
        answer?
    }
}

/// Whether planning a query takes long.
pub(super) fn query_is_long(query: &Query) -> bool {
    let mut n = 0;
    let counted = visit_expressions(query, |_| {
        n += 1;
        if n > SHORT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    counted.is_break()
}

/// Whether going through a plan takes long, or may: the call of a function on constants is worked out on the way.
pub(super) fn plan_is_long(plan: &LogicalPlan) -> bool {
    let (mut n, mut worked_out) = (0, false);
    let counted = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                n += 1;
                worked_out |= matches!(expr, Expr::ScalarFunction(call) if !call.args.is_empty() && !expr.any_column_refs());
                Ok(if n > SHORT || worked_out { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        })
    });
    counted.is_err() || n > SHORT || worked_out
}
