//! Subqueries in the ON of a join: of an inner join their condition is one on its rows, of the others each is a column of the side whose rows it reads.
//! DataFusion plans them in projections and conditions only.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Projection, Subquery};

use crate::error::Error;

/// The name of such a column.
const VALUE: &str = "__joined";

/// The plan in which they are. Errs (0A000) for one that reads rows of both sides of an outer join.
pub(in crate::plan) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    let asks_there = |node: &LogicalPlan| matches!(node, LogicalPlan::Join(Join { filter: Some(filter), .. }) if asks(filter));
    let mut any = false;
    plan.apply_with_subqueries(|node| {
        any |= asks_there(node);
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !any {
        return Ok(plan);
    }
    let placed = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if join.filter.as_ref().is_some_and(asks) => Ok(Transformed::yes(written(join)?)),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(placed.data)
}

fn asks(expr: &Expr) -> bool {
    expr.exists(|e| Ok(of(e).is_some())).unwrap_or(false)
}

fn of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::Exists(exists) => Some(&exists.subquery),
        Expr::InSubquery(of) => Some(&of.subquery),
        Expr::SetComparison(compared) => Some(&compared.subquery),
        _ => None,
    }
}

fn written(mut join: Join) -> Result<LogicalPlan> {
    let parts = join.filter.take().map(split_conjunction_owned).unwrap_or_default();
    if join.join_type == JoinType::Inner {
        let (conditions, plain): (Vec<Expr>, Vec<Expr>) = parts.into_iter().partition(asks);
        join.filter = conjunction(plain);
        let join = Arc::new(LogicalPlan::Join(join));
        return match conjunction(conditions) {
            Some(condition) => Ok(LogicalPlan::Filter(Filter::try_new(condition, join)?)),
            None => Ok(Arc::unwrap_or_clone(join)),
        };
    }
    let columns: Vec<Expr> = join.schema.columns().into_iter().map(Expr::Column).collect();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let (left_schema, right_schema) = (Arc::clone(join.left.schema()), Arc::clone(join.right.schema()));
    let mut read = |expr: Expr| {
        let read = expr.transform_down(|e| {
            let Some(subquery) = of(&e) else { return Ok(Transformed::no(e)) };
            let reads = reads(&e, subquery);
            let side = if within(&reads, &right_schema) {
                &mut right
            } else if within(&reads, &left_schema) {
                &mut left
            } else {
                return Err(refusal().into());
            };
            let name = format!("{VALUE}_{}_{}", if within(&reads, &right_schema) { "right" } else { "left" }, side.len());
            side.push(e.alias(&name));
            Ok(Transformed::new(Expr::Column(Column::from_name(name)), true, TreeNodeRecursion::Jump))
        });
        Ok(read?.data)
    };
    let filter = parts.into_iter().map(&mut read).collect::<Result<Vec<_>>>()?;
    let with = |plan: Arc<LogicalPlan>, values: Vec<Expr>| -> Result<Arc<LogicalPlan>> {
        if values.is_empty() {
            return Ok(plan);
        }
        let all = plan.schema().columns().into_iter().map(Expr::Column).chain(values).collect();
        Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(all, plan)?)))
    };
    let joined = Join::try_new(
        with(join.left, left)?,
        with(join.right, right)?,
        join.on,
        conjunction(filter),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    LogicalPlanBuilder::from(LogicalPlan::Join(joined)).project(columns)?.build()
}

/// The columns of the row outside that it reads.
fn reads(expr: &Expr, subquery: &Subquery) -> HashSet<Column> {
    let outside = subquery.outer_ref_columns.iter().filter_map(|e| match e {
        Expr::OuterReferenceColumn(_, column) => Some(column.clone()),
        _ => None,
    });
    expr.column_refs().into_iter().cloned().chain(outside).collect()
}

fn within(columns: &HashSet<Column>, schema: &DFSchema) -> bool {
    columns.iter().all(|column| schema.has_column(column))
}

fn refusal() -> Error {
    Error::unsupported(
        "a subquery in the ON of an outer join that reads rows of both sides",
        "Read it in a subquery in FROM, or compare in WHERE.",
    )
}
