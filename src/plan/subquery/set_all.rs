//! INTERSECT ALL and EXCEPT ALL, where a row is in the answer as often as both sides, or the left side alone, have it; DataFusion's own makes a semi or
//! an anti join of them, which asks only whether the other side has it at all.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, NullEquality, internal_err};
use datafusion::error::Result;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, Join, LogicalPlan, LogicalPlanBuilder, Projection};

use crate::error::Error;

/// The join as the planner of set operations makes it of the ALL forms. That of the others has a DISTINCT on its left, above which both say the
/// same; IS NOT DISTINCT FROM in a join that somebody wrote is a filter until the plan is optimised.
fn set_all(node: &LogicalPlan) -> Option<&Join> {
    match node {
        LogicalPlan::Join(join)
            if matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
                && join.null_equality == NullEquality::NullEqualsNull
                && join.filter.is_none()
                && !matches!(join.left.as_ref(), LogicalPlan::Distinct(_)) =>
        {
            Some(join)
        }
        _ => None,
    }
}

/// The plan, not yet optimised, with equal rows numbered on both sides of such an operation: the first meets the first, the second the second.
pub(in crate::plan) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    let placed = plan.transform_up_with_subqueries(|node| match set_all(&node) {
        Some(join) => Ok(Transformed::yes(numbered(join)?)),
        None => Ok(Transformed::no(node)),
    })?;
    Ok(placed.data)
}

/// Errs for such an operation in a continuous query: the number of a row would be known when all have come.
pub(in crate::plan) fn check(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| match set_all(node) {
        Some(join) => {
            let operation = if join.join_type == JoinType::LeftSemi { "INTERSECT" } else { "EXCEPT" };
            Err(Error::unsupported(
                format!("{operation} ALL in a continuous query"),
                format!("Write {operation} without ALL, or use it where you read: SELECT … FROM view {operation} ALL …."),
            )
            .into())
        }
        None => Ok(TreeNodeRecursion::Continue),
    })?;
    Ok(())
}

fn numbered(join: &Join) -> Result<LogicalPlan> {
    let (left_keys, right_keys): (Vec<Expr>, Vec<Expr>) = join.on.iter().cloned().unzip();
    let (left, left_number) = with_number(&join.left, left_keys, "__left_number")?;
    let (right, right_number) = with_number(&join.right, right_keys, "__right_number")?;
    let mut on = join.on.clone();
    on.push((left_number, right_number));
    let (left, right) = (Arc::new(left), Arc::new(right));
    let join = Join::try_new(left, right, on, None, join.join_type, join.join_constraint, join.null_equality, false)?;
    let columns = join.left.schema().columns();
    let n_columns = columns.len().saturating_sub(1);
    let columns = columns.into_iter().take(n_columns).map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(LogicalPlan::Join(join)))?))
}

/// A side with the number of each row among those that are equal to it, in a column behind the others.
fn with_number(side: &LogicalPlan, keys: Vec<Expr>, name: &str) -> Result<(LogicalPlan, Expr)> {
    let number = row_number().partition_by(keys).build()?.alias(name);
    let plan = LogicalPlanBuilder::from(side.clone()).window([number])?.build()?;
    let Some((qualifier, field)) = plan.schema().iter().last() else { return internal_err!("a window without a column") };
    let number = Expr::Column(Column::new(qualifier.cloned(), field.name()));
    Ok((plan, number))
}
