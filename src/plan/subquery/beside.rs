//! LATERAL subqueries that are joined by an equality, where DataFusion works out more than the rows of one row beside them: a window function is numbered over
//! those alone, and what cannot be said so is refused.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, Projection, Subquery, Window};

use crate::error::Error;

/// The plan in which they are right.
pub(in crate::plan) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    let placed = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(mut join) => {
            let right = join.right.as_ref().clone().transform_down(|node| match node {
                LogicalPlan::Subquery(subquery) if !subquery.outer_ref_columns.is_empty() => {
                    let plan = beside(subquery.subquery.as_ref().clone())?;
                    let subquery = Subquery { subquery: Arc::new(plan), ..subquery };
                    Ok(Transformed::new(LogicalPlan::Subquery(subquery), true, TreeNodeRecursion::Jump))
                }
                other => Ok(Transformed::no(other)),
            })?;
            if !right.transformed {
                return Ok(Transformed::no(LogicalPlan::Join(join)));
            }
            join.right = Arc::new(right.data);
            Ok(Transformed::yes(LogicalPlan::Join(join)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(placed.data)
}

fn beside(plan: LogicalPlan) -> Result<LogicalPlan> {
    let placed = plan.transform_up(|node| match node {
        LogicalPlan::Window(window) => match keys(&window.input)? {
            keys if keys.is_empty() => Ok(Transformed::no(LogicalPlan::Window(window))),
            keys => Ok(Transformed::yes(partitioned(window, &keys)?)),
        },
        LogicalPlan::Filter(filter)
            if matches!(filter.input.as_ref(), LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty())
                && !filter.input.all_out_ref_exprs().is_empty() =>
        {
            Err(Error::unsupported("HAVING of a LATERAL subquery without GROUP BY", "Filter beside it: … LATERAL (…) AS l WHERE l.n > 1.")
                .into())
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(placed.data)
}

/// What the rows below are joined by to the row beside them.
fn keys(plan: &LogicalPlan) -> Result<Vec<Expr>> {
    let mut keys = Vec::new();
    plan.apply(|node| {
        let LogicalPlan::Filter(filter) = node else { return Ok(TreeNodeRecursion::Continue) };
        for condition in split_conjunction(&filter.predicate).into_iter().filter(|condition| condition.contains_outer()) {
            let key = match condition {
                Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (left.contains_outer(), right.contains_outer()) {
                    (true, false) => Some(right.as_ref()).filter(|_| left.column_refs().is_empty()),
                    (false, true) => Some(left.as_ref()).filter(|_| right.column_refs().is_empty()),
                    _ => None,
                },
                _ => None,
            };
            let known = |key: &&Expr| key.column_refs().into_iter().all(|column: &Column| plan.schema().has_column(column));
            match key.filter(known) {
                Some(key) => keys.push(key.clone()),
                None => {
                    return Err(Error::unsupported(
                        "a window function in a LATERAL subquery whose rows are not joined by equalities of their columns",
                        "Write it in a query of its own, with what the rows are joined by in its PARTITION BY.",
                    )
                    .into());
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(keys)
}

/// The window functions over the rows of one row beside, under the names that they had.
fn partitioned(window: Window, keys: &[Expr]) -> Result<LogicalPlan> {
    let names = window.schema.columns();
    let calls = window.window_expr.into_iter().map(|e| {
        let read = e.transform_up(|e| match e {
            Expr::WindowFunction(mut call) => {
                let missing = keys.iter().filter(|key| !call.params.partition_by.contains(key)).cloned().collect::<Vec<_>>();
                call.params.partition_by.extend(missing);
                Ok(Transformed::yes(Expr::WindowFunction(call)))
            }
            other => Ok(Transformed::no(other)),
        });
        Ok(read?.data)
    });
    let window = LogicalPlan::Window(Window::try_new(calls.collect::<Result<Vec<_>>>()?, window.input)?);
    let given = window.schema().columns().into_iter().zip(names);
    let columns =
        given.map(
            |(column, name)| {
                if column == name { Expr::Column(column) } else { Expr::Column(column).alias_qualified(name.relation, name.name) }
            },
        );
    Ok(LogicalPlan::Projection(Projection::try_new(columns.collect(), Arc::new(window))?))
}
