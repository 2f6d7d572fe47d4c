//! Windows of a continuous query: which aggregate shares panes, which fills, which numbers rows.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, Extension, LogicalPlan, Operator, UserDefinedLogicalNodeCore, Window as Over, WindowFunctionDefinition,
};

use super::arrow;
use crate::error::Error;
use crate::plan::infer::Infer;
use crate::plan::window::{AssignWindow, Shape};
use crate::plan::{event_time, grouping};
use crate::run::map::Map;
use crate::run::topn::{Numbering, OrderBy, TopN};
use crate::run::window::{ByEnd, Window, by_end};

/// The node that puts rows into windows, where only filters and projections that leave its columns alone stand between it and a plan, and
/// which columns of the plan are its own, by index: 0 the start, 1 the end, 2 the time.
pub(super) fn assigned(plan: &LogicalPlan) -> Option<(&AssignWindow, HashMap<usize, usize>)> {
    match plan {
        LogicalPlan::Extension(extension) => {
            if let Some(infer) = extension.node.as_any().downcast_ref::<Infer>() {
                let (assign, own) = assigned(&infer.input)?;
                let calls = UserDefinedLogicalNodeCore::expressions(infer);
                return (!calls.iter().any(|call| reads(call, &infer.input, &own))).then_some((assign, own));
            }
            let assign = extension.node.as_any().downcast_ref::<AssignWindow>()?;
            let n_input = assign.input.schema().fields().len();
            Some((assign, (0..3).map(|which| (n_input + which, which)).collect()))
        }
        LogicalPlan::SubqueryAlias(alias) => assigned(&alias.input),
        LogicalPlan::Filter(filter) => {
            let (assign, own) = assigned(&filter.input)?;
            (!reads(&filter.predicate, &filter.input, &own)).then_some((assign, own))
        }
        LogicalPlan::Projection(projection) => {
            let (assign, own) = assigned(&projection.input)?;
            let mut passed = HashMap::new();
            for (at, expr) in projection.expr.iter().enumerate() {
                match column_of(expr, &projection.input).and_then(|column| own.get(&column)) {
                    Some(which) => drop(passed.insert(at, *which)),
                    None if reads(expr, &projection.input, &own) => return None,
                    None => {}
                }
            }
            Some((assign, passed))
        }
        _ => None,
    }
}

fn column_of(expr: &Expr, input: &LogicalPlan) -> Option<usize> {
    match expr.clone().unalias_nested().data {
        Expr::Column(column) => input.schema().index_of_column(&column).ok(),
        _ => None,
    }
}

/// Whether an expression reads one of these columns.
fn reads(expr: &Expr, input: &LogicalPlan, columns: &HashMap<usize, usize>) -> bool {
    let known = |column: &Column| input.schema().index_of_column(column).is_ok_and(|at| columns.contains_key(&at));
    expr.column_refs().into_iter().any(known)
}

/// The names of what a plan reads.
pub(super) fn sources(plan: &LogicalPlan) -> Result<String> {
    let names: Vec<String> = event_time::sources_of(plan)?.iter().map(|s| s.name().to_owned()).collect();
    Ok(names.join(", "))
}

/// An aggregate by window, before it is known how its rows come.
fn plain(aggregate: &Aggregate, plan: &LogicalPlan, window_key: usize, to_end_us: i64) -> Result<Window> {
    let keys: Vec<Expr> = grouping::keys(aggregate).into_iter().cloned().collect();
    Ok(Window {
        input: Arc::clone(aggregate.input.schema()),
        aggregates: aggregate.aggr_expr.clone(),
        window_key,
        to_end_us,
        by_end: keys.iter().enumerate().map(|(at, _)| (at == window_key).then_some(ByEnd::Before(to_end_us))).collect(),
        panes: None,
        fill: false,
        at_once: false,
        sources: sources(&aggregate.input)?,
        schema: arrow(plan.schema()),
        left_out: grouping::left_out(aggregate)?,
        keys,
    })
}

/// What a window aggregate does whose rows come by pane; None where they cannot, because something tells the windows of a pane apart.
pub(super) fn by_pane(aggregate: &Aggregate, plan: &LogicalPlan) -> Result<Option<Window>> {
    let Some((assign, own)) = assigned(&aggregate.input) else { return Ok(None) };
    let windows = assign.windows;
    let keys = grouping::keys(aggregate);
    let which: Vec<Option<usize>> = keys.iter().map(|key| column_of(key, &aggregate.input).and_then(|at| own.get(&at).copied())).collect();
    let known = which.iter().enumerate().filter_map(|(at, which)| Some((at, (*which)?, windows.to_end_us((*which)?)?)));
    let Some((window_key, column, _)) = known.min_by_key(|(_, _, to_end_us)| *to_end_us) else { return Ok(None) };
    let own_key =
        |(at, which): (usize, &Option<usize>)| which.is_none() || keys.get(at).is_some_and(|k| grouping::in_every_set(aggregate, k));
    let others = keys.iter().zip(&which).filter(|(_, which)| which.is_none()).map(|(key, _)| *key);
    let apart = windows.shape == Shape::Session
        // One start of CUMULATE is that of several windows.
        || (windows.shape == Shape::Cumulate && column == 0)
        || !which.iter().enumerate().all(own_key)
        || others.chain(&aggregate.aggr_expr).any(|expr| reads(expr, &aggregate.input, &own));
    if apart {
        return Ok(None);
    }
    // The start that a row comes with is its pane's.
    let to_end_us = if column == 0 { windows.slide_us } else { windows.to_end_us(column).unwrap_or(0) };
    let mut window = plain(aggregate, plan, window_key, to_end_us)?;
    window.by_end = which.iter().map(|which| which.map(by_end)).collect();
    window.panes = Some(windows);
    window.fill = assign.fill;
    Ok(Some(window))
}

/// What a window aggregate does, and whether rows come to it by pane.
pub(super) fn aggregate(aggregate: &Aggregate, plan: &LogicalPlan) -> Result<(Window, bool)> {
    if let Some(window) = by_pane(aggregate, plan)? {
        return Ok((window, true));
    }
    let Some((window_key, to_end_us)) = event_time::window_key(plan) else {
        return Err(Error::Internal("a continuous aggregate without a window".into()).into());
    };
    let mut window = plain(aggregate, plan, window_key, to_end_us)?;
    // The rows of a session come together, when it is over.
    let key = window.keys.get(window_key).and_then(|key| column_of(key, &aggregate.input));
    let assign = key.and_then(|at| event_time::assigned_by(&aggregate.input, at));
    if assign.is_some_and(|assign| assign.windows.shape == Shape::Session) {
        window.at_once = true;
        window.by_end.iter_mut().for_each(|key| *key = None);
    }
    Ok((window, false))
}

/// What lies between an aggregate and the sessions it is of.
pub(super) struct OfSession<'a> {
    /// Filters and projections, the lowest first.
    pub(super) steps: Vec<Map>,
    /// Which column of the window each key is.
    pub(super) columns: Vec<Option<usize>>,
    /// The node that puts rows into sessions.
    pub(super) extension: &'a Extension,
}

/// What an aggregate by session needs to take rows over before the session is over; None where something asks for all rows of a session with its window.
pub(super) fn of_session<'a>(aggregate: &'a Aggregate, window: &Window) -> Option<OfSession<'a>> {
    if !window.at_once || !window.left_out.is_empty() {
        return None;
    }
    let (_, own) = assigned(&aggregate.input)?;
    let columns: Vec<Option<usize>> =
        window.keys.iter().map(|key| column_of(key, &aggregate.input).and_then(|at| own.get(&at).copied())).collect();
    let others = window.keys.iter().zip(&columns).filter(|(_, column)| column.is_none()).map(|(key, _)| key);
    if others.chain(&aggregate.aggr_expr).any(|expr| reads(expr, &aggregate.input, &own)) {
        return None;
    }
    let (mut steps, mut plan) = (Vec::new(), aggregate.input.as_ref());
    let extension = loop {
        let node = plan;
        plan = match node {
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Filter(filter) => {
                steps.push(super::filter(filter, node));
                &filter.input
            }
            LogicalPlan::Projection(projection) => {
                steps.push(super::projection(projection, node));
                &projection.input
            }
            LogicalPlan::Extension(extension) if extension.node.as_any().is::<AssignWindow>() => break extension,
            // Models are run beforehand, for the rows that a filter lets pass.
            _ => return None,
        };
    };
    steps.reverse();
    Some(OfSession { steps, columns, extension })
}

/// Windows that are to be filled, and nothing that gives a row a window.
pub(super) fn without_aggregate() -> Error {
    Error::unsupported(
        "fill => 'zero' without GROUP BY of its window",
        "Group by window_start and window_end right over the window function, or leave fill out.",
    )
}

/// What OVER does in a window. Errs for functions other than those that number rows.
pub(super) fn over(over: &Over, plan: &LogicalPlan, at_most: Option<u64>) -> Result<TopN> {
    let refuse = || -> Error {
        Error::unsupported(
            "OVER other than ROW_NUMBER, RANK and DENSE_RANK by window in a continuous query",
            "Write ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY …), or use OVER where you read: SELECT … OVER (…) FROM view.",
        )
    };
    let Some((window_key, to_end_us)) = event_time::over_key(plan) else { return Err(refuse().into()) };
    let (mut partition, mut order, mut numberings) = (Vec::new(), Vec::new(), Vec::new());
    for (number, expr) in over.window_expr.iter().enumerate() {
        let Expr::WindowFunction(function) = expr.clone().unalias_nested().data else { return Err(refuse().into()) };
        let WindowFunctionDefinition::WindowUDF(udf) = &function.fun else { return Err(refuse().into()) };
        numberings.push(match udf.name() {
            "row_number" => Numbering::RowNumber,
            "rank" => Numbering::Rank,
            "dense_rank" => Numbering::DenseRank,
            _ => return Err(refuse().into()),
        });
        if number == 0 {
            partition.clone_from(&function.params.partition_by);
            order.clone_from(&function.params.order_by);
        } else if order != function.params.order_by || partition != function.params.partition_by {
            return Err(Error::unsupported("several orders in OVER in a continuous query", "Number by one order a subquery.").into());
        }
    }
    let order = order.into_iter().map(|s| OrderBy { expr: s.expr, descending: !s.asc, nulls_first: s.nulls_first }).collect();
    Ok(TopN {
        input: Arc::clone(over.input.schema()),
        window_key,
        to_end_us,
        partition,
        order,
        at_most: at_most.filter(|_| numberings.len() == 1),
        numberings,
        sources: sources(&over.input)?,
        schema: arrow(plan.schema()),
    })
}

/// The greatest number that a filter right over OVER lets pass: `rn <= 3`, `rn < 4`, `rn = 3`.
pub(super) fn at_most(predicate: &Expr, input: &LogicalPlan) -> Option<u64> {
    match predicate {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            let (left, right) = (at_most(left, input), at_most(right, input));
            left.into_iter().chain(right).min()
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (column, op, bound) = match (left.as_ref(), right.as_ref()) {
                (column, Expr::Literal(bound, _)) => (column, *op, bound),
                (Expr::Literal(bound, _), column) => (column, op.swap()?, bound),
                _ => return None,
            };
            let column = match column {
                Expr::Cast(cast) => cast.expr.as_ref(),
                other => other,
            };
            numbers(input, column_of(column, input)?).then_some(())?;
            let bound = match bound.cast_to(&DataType::Int64).ok()? {
                ScalarValue::Int64(Some(bound)) => bound,
                _ => return None,
            };
            let most = match op {
                Operator::LtEq | Operator::Eq => bound,
                Operator::Lt => bound.saturating_sub(1),
                _ => return None,
            };
            Some(u64::try_from(most).unwrap_or(0))
        }
        _ => None,
    }
}

/// Whether a column is what OVER adds, with nothing in between that changes it or leaves rows out.
fn numbers(plan: &LogicalPlan, at: usize) -> bool {
    match plan {
        LogicalPlan::Window(over) => at >= over.input.schema().fields().len() && event_time::over_key(plan).is_some(),
        LogicalPlan::SubqueryAlias(alias) => numbers(&alias.input, at),
        LogicalPlan::Projection(projection) => {
            let expr = projection.expr.get(at).cloned().map(|e| e.unalias_nested().data);
            let expr = match expr {
                Some(Expr::Cast(cast)) => Some(*cast.expr),
                other => other,
            };
            expr.and_then(|e| column_of(&e, &projection.input)).is_some_and(|at| numbers(&projection.input, at))
        }
        _ => false,
    }
}
