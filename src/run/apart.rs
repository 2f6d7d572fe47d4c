//! Work on a thread of its own: no thread of the network, and of no other query, waits for a decoder, a model or a query that goes through many rows.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::async_func::AsyncFuncExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use framesql_udfs::interrupt;
use futures::{FutureExt, Stream, StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::exec::{OperatorExec, events_of};
use super::{Description, Threads};
use crate::error::Error;
use crate::frame::source::EventStream;
use crate::priority;

/// Items between the two threads: batches of rows without pixels, and what is said of them.
const AHEAD: usize = 2;

/// The stack of the thread: expressions are as deep as they are written.
const STACK_BYTES: usize = 64 << 20;

/// What a thread works out, one after the other, up to its end or its first error.
type Items<T> = Pin<Box<dyn Stream<Item = Result<T>> + Send>>;

/// The rows of a query that ends; what it reads is open when this returns. What only looks rows up goes on where it is: a thread would cost more than that.
pub async fn rows(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>, threads: &Threads) -> Result<SendableRecordBatchStream> {
    if looks_up(&plan)? {
        return execute_stream(plan, context);
    }
    let rows = built(move || execute_stream(plan, context)).await?;
    Ok(Box::pin(RecordBatchStreamAdapter::new(rows.schema(), on_thread(rows, threads)?)))
}

/// The events of a continuous query; its sources are open when this returns.
pub async fn events(plan: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<EventStream> {
    let Some(ours) = plan.downcast_ref::<OperatorExec>().filter(|_| !follows(plan)) else { return events_of(plan, context) };
    let (whole, context) = (Arc::clone(plan), Arc::clone(context));
    let events = built(move || events_of(&whole, &context)).await?;
    if matches!(ours.description(), Description::Detach(_)) { Ok(events) } else { on_thread(events, ours.threads()) }
}

/// What `build` gives of a plan, apart as well: an operator may load a model when it is built.
async fn built<T: Send + 'static>(build: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(build).await.map_err(|e| Error::Internal(e.to_string()))?
}

/// Whether a continuous query only filters rows that are held already, and calls no function on them: a commit of a view and its watermark come together,
/// and a thread in between would tell the one before the other.
fn follows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let calls = |expr: &Expr| expr.exists(|e| Ok(matches!(e, Expr::ScalarFunction(_)))).unwrap_or(true);
    let own = match plan.downcast_ref::<OperatorExec>().map(OperatorExec::description) {
        Some(Description::Scan(scan)) => scan.source.holds(),
        Some(Description::Map(map)) => !map.predicate.iter().chain(map.columns.iter().flatten()).any(calls),
        _ => false,
    };
    own && plan.children().into_iter().all(follows)
}

/// Whether a plan only filters, sorts and counts rows that are there already, and calls no function on them: what a call takes nobody knows before.
fn looks_up(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let held = match plan.downcast_ref::<OperatorExec>().map(OperatorExec::description) {
        Some(Description::Scan(scan)) => scan.source.holds() || !scan.source.flows(),
        Some(_) => return Ok(false),
        None => false,
    };
    let simple = held
        || plan.is::<FilterExec>()
        || plan.is::<ProjectionExec>()
        || plan.is::<SortExec>()
        || plan.is::<AggregateExec>()
        || plan.is::<GlobalLimitExec>()
        || plan.is::<LocalLimitExec>()
        || plan.is::<EmptyExec>()
        || plan.is::<PlaceholderRowExec>()
        || plan.is::<DataSourceExec>()
        // DataFusion puts it above every leaf.
        || plan.is::<CooperativeExec>()
        // It waits, and does not work.
        || plan.is::<AsyncFuncExec>();
    let mut calls = false;
    plan.apply_expressions(&mut |expr| {
        calls |= has_call(expr);
        Ok(TreeNodeRecursion::Continue)
    })?;
    if !simple || calls {
        return Ok(false);
    }
    for input in plan.children() {
        if !looks_up(input)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has_call(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<ScalarFunctionExpr>().is_some() || expr.children().into_iter().any(has_call)
}

/// The items, worked out on a thread of their own as long as they are read.
pub(super) fn on_thread<T: Send + 'static>(mut items: Items<T>, threads: &Threads) -> Result<Items<T>> {
    // None is the end: a thread that goes without it was ended.
    let (sender, receiver) = mpsc::channel::<Option<Result<T>>>(AHEAD);
    let handle = Handle::try_current().map_err(|e| Error::Internal(e.to_string()))?;
    let at_work = threads.start();
    // A function that is at one picture for minutes cannot see that its reader is gone: it looks at this.
    let unread = Unread::default();
    let flag = Arc::clone(&unread.0);
    let work = async move {
        loop {
            tokio::select! {
                // A reader that is gone is noticed even while a camera is silent.
                biased;
                () = sender.closed() => break,
                item = AssertUnwindSafe(items.next()).catch_unwind() => {
                    let item = item.unwrap_or_else(|panic| Some(Err(told(&*panic).into())));
                    let last = !matches!(item, Some(Ok(_)));
                    if sender.send(item).await.is_err() || last { break }
                }
            }
        }
    };
    std::thread::Builder::new()
        .name("query".into())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            priority::lower();
            interrupt::heed(flag);
            handle.block_on(work);
            drop(at_work);
        })
        .map_err(|e| Error::io("could not start a thread", e))?;
    Ok(Box::pin(stream::unfold(Some((receiver, unread)), |reading| async move {
        let (mut receiver, unread) = reading?;
        match receiver.recv().await {
            Some(Some(Ok(item))) => Some((Ok(item), Some((receiver, unread)))),
            Some(Some(Err(e))) => Some((Err(e), None)),
            Some(None) => None,
            None => Some((Err(Error::Internal("a thread that works for a query has stopped".into()).into()), None)),
        }
    })))
}

/// What a query is told whose thread panicked; nothing of it is polled again.
fn told(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
    match text {
        // Arrow's, in DataFusion's ScalarValue::to_array_of_size: a long constant beside many rows.
        "offset overflow" => {
            Error::Encode { code: "54000", message: "the values of one column of a batch of rows are longer than 2 GB together".into() }
        }
        _ => Error::Internal(format!("a thread that works for a query has stopped: {text}")),
    }
}

/// Set when it is dropped.
#[derive(Default)]
struct Unread(Arc<AtomicBool>);

impl Drop for Unread {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
