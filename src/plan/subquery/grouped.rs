//! Subqueries in GROUP BY and in the arguments of aggregates that read the row outside: each is a column below, which is grouped or gathered. DataFusion
//! plans them in projections and conditions only.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, TableReference};
use datafusion::error::Result;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, Projection};

/// The name of such a column.
const VALUE: &str = "__grouped";

/// The plan in which they are.
pub(in crate::plan) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut any = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Aggregate(aggregate) = node {
            any |= aggregate.group_expr.iter().chain(&aggregate.aggr_expr).any(asks);
        }
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !any {
        return Ok(plan);
    }
    let placed = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.iter().chain(&aggregate.aggr_expr).any(asks) => {
            Ok(Transformed::yes(below(aggregate)?))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(placed.data)
}

fn asks(expr: &Expr) -> bool {
    expr.exists(|e| Ok(reads_outside(e))).unwrap_or(false)
}

fn reads_outside(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarSubquery(subquery) => !subquery.outer_ref_columns.is_empty(),
        Expr::Exists(exists) => !exists.subquery.outer_ref_columns.is_empty(),
        Expr::InSubquery(of) => !of.subquery.outer_ref_columns.is_empty(),
        _ => false,
    }
}

/// The aggregate over its input with a column for each subquery, its own columns under their names.
fn below(aggregate: Aggregate) -> Result<LogicalPlan> {
    let names: Vec<(Option<TableReference>, String)> =
        aggregate.schema.iter().map(|(qualifier, field)| (qualifier.cloned(), field.name().clone())).collect();
    let mut columns: Vec<Expr> = aggregate.input.schema().columns().into_iter().map(Expr::Column).collect();
    let mut found: Vec<Expr> = Vec::new();
    let mut read = |expr: Expr| {
        let read = expr.transform_down(|e| {
            if !reads_outside(&e) {
                return Ok(Transformed::no(e));
            }
            let at = found.iter().position(|other| *other == e).unwrap_or(found.len());
            if at == found.len() {
                found.push(e);
            }
            Ok(Transformed::new(Expr::Column(Column::from_name(format!("{VALUE}_{at}"))), true, TreeNodeRecursion::Jump))
        });
        Ok(read?.data)
    };
    let keys = aggregate.group_expr.into_iter().map(&mut read).collect::<Result<Vec<_>>>()?;
    let values = aggregate.aggr_expr.into_iter().map(&mut read).collect::<Result<Vec<_>>>()?;
    columns.extend(found.into_iter().enumerate().map(|(at, e)| e.alias(format!("{VALUE}_{at}"))));
    let input = LogicalPlan::Projection(Projection::try_new(columns, aggregate.input)?);
    let aggregate = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), keys, values)?);
    let given = aggregate.schema().columns().into_iter().map(Expr::Column);
    let named = given.zip(names).map(|(column, (qualifier, name))| column.alias_qualified(qualifier, name)).collect::<Vec<_>>();
    LogicalPlanBuilder::from(aggregate).project(named)?.build()
}
