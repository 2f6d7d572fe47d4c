//! Top-N and deduplication without a window: `WHERE rn <= n` over `ROW_NUMBER() OVER (PARTITION BY … ORDER BY …) AS rn`, planned as a node.
//!
//! With rn = 1 and ORDER BY event time it keeps the first row of each key, which is final, or with DESC the last, which is updated.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Extension, Filter, LogicalPlan, Operator, UserDefinedLogicalNodeCore, Window, WindowFunctionDefinition,
};

use super::event_time;

/// The node: its input's columns, and the rank.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopN {
    /// What is ranked.
    pub input: LogicalPlan,
    /// What a row's partition is.
    pub partition: Vec<Expr>,
    /// What ranks are given by.
    pub order: Vec<Sort>,
    /// How many ranks, at least one.
    pub n: usize,
    schema: DFSchemaRef,
}

impl TopN {
    /// The event time of which the first row of each partition is kept, as an index of the input, with its lag in µs; None if the ranks are
    /// others, and so may change.
    pub fn keeps_first(&self) -> Option<(usize, i64)> {
        let [only] = self.order.as_slice() else { return None };
        let Expr::Column(column) = &only.expr else { return None };
        if self.n != 1 || !only.asc {
            return None;
        }
        let at = self.input.schema().index_of_column(column).ok()?;
        event_time::lag_us(&self.input, at).map(|lag_us| (at, lag_us))
    }
}

impl PartialOrd for TopN {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.partition, &self.order, &self.n, &self.input).partial_cmp(&(&other.partition, &other.order, &other.n, &other.input))
    }
}

impl UserDefinedLogicalNodeCore for TopN {
    fn name(&self) -> &str {
        "TopNUpdating"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.partition.iter().cloned().chain(self.order.iter().map(|s| s.expr.clone())).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopNUpdating: n={}", self.n)
    }

    fn with_exprs_and_inputs(&self, mut exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let Some(input) = inputs.into_iter().next() else { return internal_err!("TopNUpdating has one input") };
        let order = exprs.split_off(self.partition.len().min(exprs.len()));
        let order = self.order.iter().zip(order).map(|(sort, expr)| sort.with_expr(expr)).collect();
        Ok(TopN { input, partition: exprs, order, ..self.clone() })
    }
}

/// The optimised plan with every such shape as a node; the filter stays above it, as it may ask for more.
pub(super) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    let placed = plan.transform_up(|plan| {
        let LogicalPlan::Filter(filter) = &plan else { return Ok(Transformed::no(plan)) };
        let Some((window, ranks)) = ranked(&filter.input) else { return Ok(Transformed::no(plan)) };
        let bounds = split_conjunction(&filter.predicate).into_iter().filter_map(|e| at_most(e, &ranks));
        let Some(n) = bounds.min().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0) else { return Ok(Transformed::no(plan)) };
        let Some(node) = top(window, n) else { return Ok(Transformed::no(plan)) };
        let node = LogicalPlan::Extension(Extension { node: Arc::new(node) });
        let input = Arc::unwrap_or_clone(Arc::clone(&filter.input)).transform_down(|below| {
            Ok(match below {
                LogicalPlan::Window(_) => Transformed::new(node.clone(), true, TreeNodeRecursion::Jump),
                other => Transformed::no(other),
            })
        })?;
        Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(input.data))?)))
    })?;
    Ok(placed.data)
}

/// The OVER of one function that a plan projects, and the columns of the plan that hold what it gave.
fn ranked(plan: &LogicalPlan) -> Option<(&Window, Vec<Column>)> {
    match plan {
        LogicalPlan::Window(window) => {
            let (qualifier, field) = window.schema.iter().last()?;
            Some((window, vec![Column::new(qualifier.cloned(), field.name())]))
        }
        LogicalPlan::Projection(projection) => {
            let (window, below) = ranked(&projection.input)?;
            let holds = |e: &Expr| matches!(without_cast(e), Expr::Column(c) if below.contains(c));
            let columns = projection.schema.columns().into_iter().zip(&projection.expr);
            Some((window, columns.filter(|(_, e)| holds(e)).map(|(column, _)| column).collect()))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (window, below) = ranked(&alias.input)?;
            let columns = alias.input.schema().columns().into_iter().zip(alias.schema.columns());
            Some((window, columns.filter(|(inner, _)| below.contains(inner)).map(|(_, column)| column).collect()))
        }
        _ => None,
    }
}

fn top(window: &Window, n: usize) -> Option<TopN> {
    let [rank] = window.window_expr.as_slice() else { return None };
    // Where the optimiser has simplified a key, the call keeps its name by an alias.
    let Expr::WindowFunction(rank) = without_cast(rank) else { return None };
    let row_number = matches!(&rank.fun, WindowFunctionDefinition::WindowUDF(f) if f.name() == "row_number");
    let plain = rank.params.filter.is_none() && rank.params.null_treatment.is_none() && !rank.params.distinct;
    if !row_number || !plain || rank.params.order_by.is_empty() {
        return None;
    }
    // Ranks within a window are final when it closes: that is another operator's.
    let timed = |e: &Expr| match e {
        Expr::Column(column) => {
            window.input.schema().index_of_column(column).ok().and_then(|at| event_time::lag_us(&window.input, at)).is_some()
        }
        _ => false,
    };
    if rank.params.partition_by.iter().any(timed) {
        return None;
    }
    Some(TopN {
        input: window.input.as_ref().clone(),
        partition: rank.params.partition_by.clone(),
        order: rank.params.order_by.clone(),
        n,
        schema: Arc::clone(&window.schema),
    })
}

/// An expression without its name and its casts: a rank is a whole number, whatever type it has.
fn without_cast(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => without_cast(&alias.expr),
        Expr::Cast(cast) => without_cast(&cast.expr),
        other => other,
    }
}

/// The greatest rank that a predicate lets through; None if it sets no bound.
fn at_most(predicate: &Expr, ranks: &[Column]) -> Option<u64> {
    let named = |e: &Expr| matches!(without_cast(e), Expr::Column(c) if ranks.contains(c));
    let number = |e: &Expr| match e {
        Expr::Literal(value, _) => match value.cast_to(&DataType::UInt64) {
            Ok(ScalarValue::UInt64(n)) => n,
            _ => None,
        },
        _ => None,
    };
    match predicate {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (op, value) = if named(left) {
                (*op, number(right)?)
            } else if named(right) {
                (op.swap()?, number(left)?)
            } else {
                return None;
            };
            match op {
                Operator::LtEq | Operator::Eq => Some(value),
                Operator::Lt => value.checked_sub(1),
                _ => None,
            }
        }
        Expr::Between(between) if !between.negated && named(&between.expr) => number(&between.high),
        _ => None,
    }
}
