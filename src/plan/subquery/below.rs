//! The values of subqueries as columns below the projection or the condition that reads them.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection};

/// What an expression is over, with the columns of the subqueries that have been found in it.
pub(super) struct Below {
    pub(super) plan: LogicalPlan,
    /// How many have been found.
    pub(super) n: usize,
}

/// Puts a subquery's value below, and gives what is read of it; None for every other expression.
pub(super) type Value = fn(&mut Below, &Expr) -> Result<Option<Expr>>;

/// Whether a plan has subqueries at all: most have none, and are not gone through again and again for them.
pub(in crate::plan) fn any(plan: &LogicalPlan) -> bool {
    let found = plan.exists(|node| {
        let mut found = matches!(node, LogicalPlan::Subquery(_));
        node.apply_expressions(|e| {
            found |= asks_further(e);
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        Ok(found)
    });
    found.unwrap_or(true)
}

/// The plan with the values that `value` finds below its projections and conditions.
pub(super) fn place(plan: LogicalPlan, value: Value) -> Result<LogicalPlan> {
    let placed = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Projection(projection) => {
            let mut below = Below { plan: projection.input.as_ref().clone(), n: 0 };
            let names = NamePreserver::new_for_projection();
            let read = |e: &Expr| Ok(names.save(e).restore(below.read(e.clone(), value)?));
            let columns = projection.expr.iter().map(read).collect::<Result<Vec<_>>>()?;
            if below.n == 0 {
                return Ok(Transformed::no(LogicalPlan::Projection(projection)));
            }
            Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(below.plan))?)))
        }
        LogicalPlan::Filter(filter) => {
            let mut below = Below { plan: filter.input.as_ref().clone(), n: 0 };
            let condition = below.read(filter.predicate.clone(), value)?;
            if below.n == 0 {
                return Ok(Transformed::no(LogicalPlan::Filter(filter)));
            }
            let columns = filter.input.schema().columns().into_iter().map(Expr::Column).collect();
            let rows = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(below.plan))?);
            Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(rows))?)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(placed.data)
}

impl Below {
    fn read(&mut self, expr: Expr, value: Value) -> Result<Expr> {
        let read = expr.transform_up(|e| match value(self, &e)? {
            Some(read) => Ok(Transformed::yes(read)),
            None => Ok(Transformed::no(e)),
        })?;
        Ok(read.data)
    }
}

/// The expression where the row is that it reads; what is further out stays so.
pub(super) fn outside(expr: Expr, around: &DFSchema) -> Result<Expr> {
    let read = expr.transform_up(|e| match e {
        Expr::OuterReferenceColumn(_, column) if around.has_column(&column) => Ok(Transformed::yes(Expr::Column(column))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(read.data)
}

/// The expression with others in the places of columns.
pub(super) fn replaced(expr: Expr, by: &HashMap<Column, Expr>) -> Result<Expr> {
    let read = expr.transform_up(|e| match e {
        Expr::Column(column) => Ok(match by.get(&column) {
            Some(other) => Transformed::yes(other.clone()),
            None => Transformed::no(Expr::Column(column)),
        }),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(read.data)
}

/// What the columns of a projection are.
pub(super) fn columns_of(projection: &Projection) -> HashMap<Column, Expr> {
    projection.schema.columns().into_iter().zip(projection.expr.iter().map(|e| e.clone().unalias())).collect()
}

/// Whether there are subqueries in an expression.
pub(super) fn asks_further(expr: &Expr) -> bool {
    expr.exists(|e| Ok(matches!(e, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_))))
        .unwrap_or(true)
}
