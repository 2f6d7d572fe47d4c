//! `LIMIT (SELECT …)` and `OFFSET (SELECT …)`: how many rows is asked before the query runs.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, Limit, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::common::collect;

use super::query;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::run::apart;

/// The optimised plan with the numbers in place of such queries. Errs with 2201W and 2201X for those that are negative.
pub(in crate::engine) async fn known(session: &Session, plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut asked = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            asked.extend(of(limit).map(|(clause, expr)| (clause, expr.clone())));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if asked.is_empty() {
        return Ok(plan);
    }
    let mut numbers = Vec::new();
    for (clause, expr) in asked {
        let n = number(session, &expr).await?;
        if n.is_some_and(|n| n < 0) {
            let code = if clause == "LIMIT" { "2201W" } else { "2201X" };
            return Err(Error::Encode { code, message: format!("{clause} must not be negative") });
        }
        numbers.push((expr, n));
    }
    let found =
        |expr: &Expr| numbers.iter().find(|(asked, _)| asked == expr).map(|(_, n)| Box::new(Expr::Literal(ScalarValue::Int64(*n), None)));
    let placed = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Limit(mut limit) => {
            for part in [&mut limit.skip, &mut limit.fetch].into_iter().flatten() {
                if let Some(n) = found(part) {
                    *part = n;
                }
            }
            Ok(Transformed::yes(LogicalPlan::Limit(limit)))
        }
        other => Ok(Transformed::no(other)),
    });
    Ok(placed?.data)
}

/// The clauses that have a query in them.
fn of(limit: &Limit) -> impl Iterator<Item = (&'static str, &Expr)> {
    let clauses = [("OFFSET", limit.skip.as_deref()), ("LIMIT", limit.fetch.as_deref())];
    let asks = |expr: &Expr| expr.exists(|e| Ok(matches!(e, Expr::ScalarSubquery(_)))).unwrap_or(false);
    clauses.into_iter().filter_map(move |(clause, expr)| expr.filter(|expr| asks(expr)).map(|expr| (clause, expr)))
}

async fn number(session: &Session, expr: &Expr) -> Result<Option<i64>> {
    let plan = LogicalPlanBuilder::empty(true).project([expr.clone()])?.build()?;
    let physical = Box::pin(query::physical_of(session, plan, Vec::new())).await?;
    let batches = collect(apart::rows(physical, session.context().task_ctx(), session.engine().threads()).await?).await?;
    let Some(batch) = batches.first().filter(|batch| batch.num_rows() > 0) else { return Ok(None) };
    let value = batch.column(0);
    let Some(numbers) = value.as_primitive_opt::<Int64Type>() else {
        return Err(Error::Internal(format!("a number of rows is a {}", value.data_type())));
    };
    Ok(numbers.iter().next().flatten())
}
