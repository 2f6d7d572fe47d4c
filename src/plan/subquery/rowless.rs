//! A SELECT without FROM that reads the row outside, `(SELECT greatest(t.a, t.b))`: it is one row, or none where its WHERE does not hold, so that it can be
//! worked out where that row is. DataFusion looks for a relation to join.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery, lit, when};

use super::below::outside;

/// The plan without such.
pub(in crate::plan) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    let placed = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let around = merge_schema(&node.inputs());
        let placed = node.map_expressions(|e| {
            let name = names.save(&e);
            Ok(e.transform_up(|e| worked_out(e, &around))?.update_data(|e| name.restore(e)))
        })?;
        // The columns of a value that may be none are other ones.
        if placed.transformed { placed.map_data(LogicalPlan::recompute_schema) } else { Ok(placed) }
    })?;
    Ok(placed.data)
}

fn worked_out(e: Expr, around: &DFSchema) -> Result<Transformed<Expr>> {
    let row = match &e {
        Expr::ScalarSubquery(subquery) => row(subquery, around)?,
        Expr::Exists(exists) => row(&exists.subquery, around)?,
        Expr::InSubquery(of) => row(&of.subquery, around)?,
        _ => None,
    };
    let Some(Row { value, condition }) = row else { return Ok(Transformed::no(e)) };
    Ok(Transformed::yes(match (e, condition) {
        (Expr::ScalarSubquery(_), None) => value,
        (Expr::ScalarSubquery(_), Some(condition)) => when(condition, value).end()?,
        (Expr::Exists(exists), None) => lit(!exists.negated),
        (Expr::Exists(exists), Some(condition)) if exists.negated => condition.is_not_true(),
        (Expr::Exists(_), Some(condition)) => condition.is_true(),
        (Expr::InSubquery(of), condition) => {
            let equal = (*of.expr).eq(value);
            let found = match condition {
                // No row is equal to anything, NULL too.
                Some(condition) => when(condition, equal).otherwise(lit(false))?,
                None => equal,
            };
            if of.negated { Expr::Not(Box::new(found)) } else { found }
        }
        (other, _) => other,
    }))
}

/// The one row of a SELECT, over the columns outside.
struct Row {
    /// Its one column.
    value: Expr,
    /// Where there is such a row; None is everywhere.
    condition: Option<Expr>,
}

/// None for what reads a relation, or no row outside.
fn row(subquery: &Subquery, around: &DFSchema) -> Result<Option<Row>> {
    let LogicalPlan::Projection(projection) = subquery.subquery.as_ref() else { return Ok(None) };
    let [value] = projection.expr.as_slice() else { return Ok(None) };
    if subquery.outer_ref_columns.is_empty() {
        return Ok(None);
    }
    let condition = match projection.input.as_ref() {
        LogicalPlan::EmptyRelation(none) if none.produce_one_row => None,
        LogicalPlan::Filter(filter) if matches!(filter.input.as_ref(), LogicalPlan::EmptyRelation(none) if none.produce_one_row) => {
            Some(outside(filter.predicate.clone(), around)?)
        }
        _ => return Ok(None),
    };
    Ok(Some(Row { value: outside(value.clone().unalias(), around)?, condition }))
}
