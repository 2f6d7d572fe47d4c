//! Which columns of a plan carry event time: those of its sources passed on unchanged, and the times of windows over them.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, TableScan};

use super::column_names::without_mark;
use super::join::{self, Way};
use super::subquery::elements::Elements;
use super::table::SourceTable;
use super::topn_updating::TopN;
use super::tracked::Tracked;
use super::{asof, bin, grouping, infer, over, pattern, previous, system_time, track, unnest, window};
use crate::error::Error;
use crate::frame::source::Source;

/// The source behind a scan; None for DataFusion's own tables.
pub fn source_of(scan: &TableScan) -> Option<Arc<dyn Source>> {
    let provider = source_as_provider(&scan.source).ok()?;
    provider.downcast_ref::<SourceTable>().map(|table| Arc::clone(&table.source))
}

/// Every source that a plan reads.
pub fn sources_of(plan: &LogicalPlan) -> Result<Vec<Arc<dyn Source>>> {
    let mut sources = Vec::new();
    datafusion::common::tree_node::TreeNode::apply(plan, |p| {
        if let LogicalPlan::TableScan(scan) = p {
            sources.extend(source_of(scan));
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    Ok(sources)
}

/// How far behind the watermark the values of a column may still come, µs; None for a column that does not carry event time.
pub fn lag_us(plan: &LogicalPlan, at: usize) -> Option<i64> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let column = match &scan.projection {
                Some(projection) => *projection.get(at)?,
                None => at,
            };
            source_of(scan)?.time_columns().into_iter().find(|t| t.index == column).map(|t| t.lag_us)
        }
        LogicalPlan::Extension(extension) if extension.node.as_any().is::<pattern::Pattern>() => {
            let pattern = extension.node.as_any().downcast_ref::<pattern::Pattern>()?;
            lag_us(&pattern.input, pattern.recognition.time())?;
            // Its watermark stays at the first row that may yet be in a match.
            pattern.carries_time(at).then_some(0)
        }
        LogicalPlan::Extension(extension) if extension.node.as_any().is::<Tracked>() => {
            let tracked = extension.node.as_any().downcast_ref::<Tracked>()?;
            lag_us(&tracked.input, tracked.tracks.time())?;
            // Its watermark stays at the last row inside of a visit that goes on.
            tracked.carries_time(at).then_some(0)
        }
        LogicalPlan::Extension(extension) if extension.node.as_any().is::<track::Track>() => {
            let track = extension.node.as_any().downcast_ref::<track::Track>()?;
            // Rows are given in the order of this column, before the watermark that passes them; others may be far behind it.
            (track.time() == Some(at)).then(|| lag_us(&track.input, at)).flatten().map(|_| 0)
        }
        LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref::<window::AssignWindow>() {
            Some(assign) if at >= assign.input.schema().fields().len() => {
                let time = assign.input.schema().index_of_column(&assign.time).ok()?;
                lag_us(&assign.input, time)?;
                // A window fires at its end, so its start is its size behind; window_time is within the last millisecond.
                assign.windows.to_end_us(at - assign.input.schema().fields().len())
            }
            _ => match extension.node.as_any().downcast_ref::<asof::AsofJoin>() {
                Some(asof) => asof_lag_us(asof, at),
                None => below(plan, at).and_then(|(input, at)| lag_us(input, at)),
            },
        },
        LogicalPlan::Join(join) => join_lag_us(join, at),
        LogicalPlan::Union(union) => union.inputs.iter().map(|input| lag_us(input, at)).reduce(|a, b| Some(a?.max(b?))).flatten(),
        // Rows are given in the order of this column, before the watermark that passes them; others may be far behind it.
        LogicalPlan::Window(window) if over_key(plan).is_none() && over::time(window) == Some(at) => lag_us(&window.input, at).map(|_| 0),
        LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) => {
            if let Some((input, column, size_us)) = bin::column(plan, at) {
                return lag_us(input, column).map(|lag_us| lag_us.saturating_add(size_us));
            }
            let held_us = held_us(plan, at)?;
            below(plan, at).and_then(|(input, at)| lag_us(input, at)).map(|lag_us| lag_us.saturating_add(held_us))
        }
        _ => match bin::column(plan, at) {
            Some((input, column, size_us)) => lag_us(input, column).map(|lag_us| lag_us.saturating_add(size_us)),
            None => below(plan, at).and_then(|(input, at)| lag_us(input, at)),
        },
    }
}

/// The columns of a plan that carry event time, by index, with their lag in µs.
pub fn columns_of(plan: &LogicalPlan) -> Vec<(usize, i64)> {
    (0..plan.schema().fields().len()).filter_map(|at| lag_us(plan, at).map(|lag| (at, lag))).collect()
}

/// The key of an aggregate that says when a group is complete, and what to add to it to have that moment, µs: a window's, if there is one,
/// or else another event time. None if no key tells.
pub fn window_key(aggregate: &LogicalPlan) -> Option<(usize, i64)> {
    let LogicalPlan::Aggregate(a) = aggregate else { return None };
    complete_by(aggregate, 0..grouping::keys(a).len())
}

/// Which of these columns says when the rows with one value of it are complete, and what to add to it to have that moment, µs.
pub fn complete_by(plan: &LogicalPlan, columns: impl Iterator<Item = usize> + Clone) -> Option<(usize, i64)> {
    let complete = |at: usize| Some((at, group_complete_us(plan, at)?));
    // The nearest window decides, as the operator closes by it; of its columns the one that knows soonest: a growing window's start waits
    // until it has grown.
    let by_window = columns
        .clone()
        .filter_map(|at| below(plan, at).and_then(|(input, column)| steps_to_window(input, column)).zip(complete(at)))
        .min_by_key(|(n_steps, (_, to_end_us))| (*n_steps, *to_end_us))
        .map(|(_, key)| key);
    by_window.or_else(|| columns.clone().find_map(complete))
}

/// What to add to a column that rows are grouped by, to have the moment at which a group is complete, µs.
fn group_complete_us(plan: &LogicalPlan, at: usize) -> Option<i64> {
    match bin::column(plan, at) {
        Some((input, column, size_us)) => lag_us(input, column).map(|lag_us| lag_us.saturating_add(size_us)),
        None => below(plan, at).and_then(|(input, column)| complete_us(input, column)),
    }
}

/// What to add to a column to have the moment at which every row of that value has come, µs; None if it is no event time.
pub fn complete_us(plan: &LogicalPlan, at: usize) -> Option<i64> {
    if let Some((assign, which)) = window_column(plan, at) {
        let time = assign.input.schema().index_of_column(&assign.time).ok()?;
        lag_us(&assign.input, time)?;
        return assign.windows.to_end_us(which);
    }
    if let LogicalPlan::Join(join) = plan {
        return join_complete_us(join, at);
    }
    if let Some((input, column, size_us)) = bin::column(plan, at) {
        return lag_us(input, column).map(|lag_us| lag_us.saturating_add(size_us));
    }
    let held_us = if matches!(plan, LogicalPlan::Aggregate(_) | LogicalPlan::Window(_)) { held_us(plan, at)? } else { 0 };
    match below(plan, at) {
        Some((input, at)) => complete_us(input, at).map(|complete_us| complete_us.saturating_add(held_us)),
        // A time that is no window's is complete when the watermark is past it.
        None => lag_us(plan, at).map(|lag| lag.saturating_add(1)),
    }
}

/// A join that keeps rows gives its times later than they came: those that it waits by, and the times of windows that it gives when they close.
fn join_lag_us(join: &Join, at: usize) -> Option<i64> {
    let (side, column) = side_of(join, at)?;
    let timed = match join::way(join).ok()? {
        Way::Timed(timed) => timed,
        Way::LookupLeft | Way::LookupRight => return lag_us(side, column),
        Way::Unbounded => return None,
    };
    if timed.at_close {
        return join_complete_us(join, at);
    }
    let held_us = match std::ptr::eq(side, join.left.as_ref()) {
        true if column == timed.left.column => timed.right.complete_us.saturating_sub(timed.lower_us),
        false if column == timed.right.column => timed.left.complete_us.saturating_add(timed.upper_us),
        _ => return None,
    };
    Some(lag_us(side, column)?.max(held_us.saturating_sub(1)))
}

fn join_complete_us(join: &Join, at: usize) -> Option<i64> {
    let (side, column) = side_of(join, at)?;
    match join::way(join).ok()? {
        Way::Timed(timed) if timed.at_close => {
            let key = if std::ptr::eq(side, join.left.as_ref()) { timed.left } else { timed.right };
            let same = std::ptr::eq(assigned_by(side, column)?, assigned_by(side, key.column)?);
            let waits_us = timed.left.complete_us.max(timed.right.complete_us).saturating_sub(key.complete_us);
            same.then(|| complete_us(side, column)).flatten().map(|us| us.saturating_add(waits_us))
        }
        Way::Timed(_) => join_lag_us(join, at).map(|lag| lag.saturating_add(1)),
        Way::LookupLeft | Way::LookupRight => complete_us(side, column),
        Way::Unbounded => None,
    }
}

/// The left time of a row that waited until no nearer version could come.
fn asof_lag_us(asof: &asof::AsofJoin, at: usize) -> Option<i64> {
    let (left, right) = asof.times().ok()?;
    if at != left.column {
        return None;
    }
    Some(lag_us(&asof.left, at)?.max(right.complete_us.saturating_sub(1)))
}

/// The side of a join that a column of its answer comes from, if it carries that side's times on.
fn side_of(join: &Join, at: usize) -> Option<(&LogicalPlan, usize)> {
    let (left, right) = (join.left.as_ref(), join.right.as_ref());
    let n_left = left.schema().fields().len();
    let (side, column) = match at.checked_sub(n_left) {
        _ if join::of_right(join.join_type) => (right, at),
        None => (left, at),
        Some(_) if join::of_left(join.join_type) => return None,
        Some(column) => (right, column),
    };
    let looked_up = match join::way(join).ok()? {
        Way::Timed(_) | Way::Unbounded => None,
        Way::LookupLeft => Some(left),
        Way::LookupRight => Some(right),
    };
    let mark = column >= side.schema().fields().len();
    (!mark && looked_up.is_none_or(|table| !std::ptr::eq(table, side))).then_some((side, column))
}

/// Whether two columns are the same one of window functions of one shape.
pub fn same_window(one: (&LogicalPlan, usize), other: (&LogicalPlan, usize)) -> bool {
    match (window_of(one.0, one.1), window_of(other.0, other.1)) {
        (Some((a, which_a)), Some((b, which_b))) => a.windows == b.windows && which_a == which_b,
        _ => false,
    }
}

/// The column of the input by whose windows OVER numbers its rows, and what to add to it to have the moment at which they are complete, µs.
/// None if its partitions are not of windows.
pub fn over_key(plan: &LogicalPlan) -> Option<(usize, i64)> {
    let LogicalPlan::Window(over) = plan else { return None };
    let mut partitions = over.window_expr.iter().map(|e| match e.clone().unalias_nested().data {
        // What is not numbered needs no whole window: it is an OVER of its own.
        Expr::WindowFunction(f) if matches!(f.fun.name(), "row_number" | "rank" | "dense_rank") => Some(f.params.partition_by),
        _ => None,
    });
    let partition = partitions.next()??;
    if !partitions.all(|other| other.as_ref() == Some(&partition)) {
        return None;
    }
    let schema = over.input.schema();
    let columns: Vec<usize> =
        partition.iter().filter_map(|e| e.try_as_col().and_then(|column| schema.index_of_column(column).ok())).collect();
    columns.iter().filter_map(|at| Some((*at, complete_us(&over.input, *at)?))).min_by_key(|(_, to_end_us)| *to_end_us)
}

/// How much longer than its window an aggregate, or OVER, holds back a column, µs: the times of the window itself are what it waits for, any
/// other time may lie a whole window behind them. None where that cannot be told.
fn held_us(plan: &LogicalPlan, at: usize) -> Option<i64> {
    let (key, _) = window_key(plan).or_else(|| over_key(plan))?;
    if key == at {
        return Some(0);
    }
    let windows_of = |at: usize| below(plan, at).and_then(|(input, column)| assigned_by(input, column));
    let window = windows_of(key)?;
    if windows_of(at).is_some_and(|other| std::ptr::eq(other, window)) { Some(0) } else { window.windows.to_end_us(0) }
}

/// The window function that a column comes from, passed on unchanged.
pub fn assigned_by(plan: &LogicalPlan, at: usize) -> Option<&window::AssignWindow> {
    window_of(plan, at).map(|(assign, _)| assign)
}

fn window_of(plan: &LogicalPlan, at: usize) -> Option<(&window::AssignWindow, usize)> {
    window_column(plan, at).or_else(|| below(plan, at).and_then(|(input, at)| window_of(input, at)))
}

/// How many nodes lie between a column and the window function that it comes from, passed on unchanged.
fn steps_to_window(plan: &LogicalPlan, at: usize) -> Option<usize> {
    match window_column(plan, at) {
        Some(_) => Some(0),
        None => below(plan, at).and_then(|(input, at)| steps_to_window(input, at)).map(|n_steps| n_steps + 1),
    }
}

/// Which of the columns that a window function adds this is: the start, the end or the time.
fn window_column(plan: &LogicalPlan, at: usize) -> Option<(&window::AssignWindow, usize)> {
    let LogicalPlan::Extension(extension) = plan else { return None };
    let assign = extension.node.as_any().downcast_ref::<window::AssignWindow>()?;
    Some((assign, at.checked_sub(assign.input.schema().fields().len())?))
}

/// The input's column that a column passes on unchanged.
fn below(plan: &LogicalPlan, at: usize) -> Option<(&LogicalPlan, usize)> {
    let column_of = |input: &LogicalPlan, expr: &Expr| match bin::same_instant(expr) {
        Expr::Column(column) => input.schema().index_of_column(column).ok(),
        _ => None,
    };
    match plan {
        LogicalPlan::Projection(p) => Some((&p.input, column_of(&p.input, p.expr.get(at)?)?)),
        LogicalPlan::Aggregate(a) => {
            let key = *grouping::keys(a).get(at)?;
            // Where a grouping set leaves it out it is NULL.
            Some((&a.input, column_of(&a.input, grouping::in_every_set(a, key).then_some(key)?)?))
        }
        LogicalPlan::Filter(f) => Some((&f.input, at)),
        // The columns that it adds follow those of its input.
        LogicalPlan::Window(w) => (at < w.input.schema().fields().len() && over_key(plan).is_some()).then_some((w.input.as_ref(), at)),
        LogicalPlan::SubqueryAlias(s) => Some((&s.input, at)),
        LogicalPlan::Unnest(u) => {
            let input = *u.dependency_indices.get(at)?;
            (u.list_type_columns.iter().all(|(list, _)| *list != input)).then_some((u.input.as_ref(), input))
        }
        LogicalPlan::Extension(extension) => {
            let node = extension.node.as_any();
            if let Some(assign) = node.downcast_ref::<window::AssignWindow>() {
                // Nobody knows how long a session holds its rows.
                let held = assign.windows.shape == window::Shape::Session;
                return (!held && at < assign.input.schema().fields().len()).then_some((&assign.input, at));
            }
            if let Some(topn) = node.downcast_ref::<TopN>() {
                // A rank that changes brings back rows of long ago.
                return (topn.keeps_first().is_some() && at < topn.input.schema().fields().len()).then_some((&topn.input, at));
            }
            if let Some(infer) = node.downcast_ref::<infer::Infer>() {
                return (at < infer.input.schema().fields().len()).then_some((&infer.input, at));
            }
            if let Some(previous) = node.downcast_ref::<previous::Previous>() {
                return (at < previous.input.schema().fields().len()).then_some((&previous.input, at));
            }
            if let Some(looked_up) = node.downcast_ref::<system_time::AsOfNow>() {
                return Some((&looked_up.input, at));
            }
            if let Some(elements) = node.downcast_ref::<Elements>() {
                return (at < elements.n_passed()).then_some((&elements.input, at));
            }
            let unnest = node.downcast_ref::<unnest::Unnest>()?;
            (at < unnest.list()).then_some((&unnest.input, at))
        }
        // A join that keeps rows holds every other time back for longer than can be told.
        LogicalPlan::Join(join) => match join::way(join).ok()? {
            Way::Unbounded => None,
            Way::Timed(timed) if !timed.at_close => None,
            _ => side_of(join, at),
        },
        _ => None,
    }
}

/// The hint that names the columns of a plan that carry event time.
pub fn usable(plan: &LogicalPlan) -> String {
    let name = |at: usize| plan.schema().fields().get(at).map(|f| without_mark(f.name()).to_owned());
    let names: Vec<String> = columns_of(plan).into_iter().filter_map(|(at, _)| name(at)).collect();
    if names.is_empty() {
        "No column of this query carries event time: it is a source's ts passed on unchanged, or window_start, window_end or window_time."
            .to_owned()
    } else {
        format!("Use an event time column: {}.", names.join(", "))
    }
}

/// The error for a window, or a group, over a column that is no event time: it names those that would do.
pub fn refusal(plan: &LogicalPlan, column: &Column) -> Error {
    let name = without_mark(&column.name);
    Error::refused(format!("a continuous window over column \"{name}\", which is not event time, would never close"), usable(plan))
}
