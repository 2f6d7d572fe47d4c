//! `array_agg(x) FROM (SELECT x … ORDER BY y)`: what gathers values has them in the order of the subquery, as in Postgres, where y is among what the subquery
//! selects. DataFusion leaves out an order that no operator above asks for.

use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::error::Result;
use datafusion::logical_expr::expr::Sort as SortExpr;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection, Sort};

/// Aggregates that give their values in the order in which they come. Those of JSON are made of the first.
const GATHER: [&str; 2] = ["array_agg", "string_agg"];

/// The plan in which they ask for that order, and in which subqueries have none that nobody asks for.
pub(super) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    // Most plans have none.
    let mut sorted = false;
    plan.apply_with_subqueries(|node| {
        sorted |= matches!(node, LogicalPlan::SubqueryAlias(alias) if unsorted(&alias.input).is_some());
        Ok(if sorted { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !sorted {
        return Ok(plan);
    }
    let ordered = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Aggregate(aggregate) = node else { return Ok(Transformed::no(node)) };
        let order = if aggregate.aggr_expr.iter().any(gathers) { order_of(&aggregate.input) } else { None };
        let Some(order) = order else { return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate))) };
        let Aggregate { input, group_expr, aggr_expr, schema, .. } = aggregate;
        let aggr_expr = aggr_expr.into_iter().map(|e| in_order(e, &order)).collect();
        let sorted = Aggregate::try_new(input, group_expr, aggr_expr)?;
        // Its name says the order, and what is above knows it by the name without.
        let named = |((relation, field), now): ((Option<&TableReference>, &Arc<Field>), Column)| {
            Expr::Column(now).alias_qualified(relation.cloned(), field.name())
        };
        let columns = schema.iter().zip(sorted.schema.columns()).map(named).collect();
        Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(LogicalPlan::Aggregate(sorted)))?)))
    })?;
    leave_out(ordered.data)
}

fn leave_out(plan: LogicalPlan) -> Result<LogicalPlan> {
    let placed = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::SubqueryAlias(mut alias) = node else { return Ok(Transformed::no(node)) };
        let Some(input) = unsorted(&alias.input) else { return Ok(Transformed::no(LogicalPlan::SubqueryAlias(alias))) };
        alias.input = input;
        Ok(Transformed::yes(LogicalPlan::SubqueryAlias(alias)))
    })?;
    Ok(placed.data)
}

/// The plan without the order of its rows; None if it has none.
fn unsorted(plan: &LogicalPlan) -> Option<Arc<LogicalPlan>> {
    match plan {
        LogicalPlan::Sort(Sort { fetch: None, input, .. }) => Some(Arc::clone(input)),
        LogicalPlan::Projection(projection) => {
            let mut projection = projection.clone();
            projection.input = unsorted(&projection.input)?;
            Some(Arc::new(LogicalPlan::Projection(projection)))
        }
        // Behind LATERAL.
        LogicalPlan::Subquery(subquery) => {
            let mut subquery = subquery.clone();
            subquery.subquery = unsorted(&subquery.subquery)?;
            Some(Arc::new(LogicalPlan::Subquery(subquery)))
        }
        _ => None,
    }
}

fn gathers(e: &Expr) -> bool {
    match e {
        Expr::Alias(alias) => gathers(&alias.expr),
        Expr::AggregateFunction(call) => !call.params.distinct && call.params.order_by.is_empty() && GATHER.contains(&call.func.name()),
        _ => false,
    }
}

fn in_order(mut e: Expr, order: &[SortExpr]) -> Expr {
    if gathers(&e) {
        match &mut e {
            Expr::Alias(alias) => *alias.expr = in_order(std::mem::replace(&mut alias.expr, Expr::Literal(ScalarValue::Null, None)), order),
            Expr::AggregateFunction(call) => call.params.order_by = order.to_vec(),
            _ => {}
        }
    }
    e
}

/// The order of what a plan gives, by its columns; None if it has none, or not by those.
fn order_of(plan: &LogicalPlan) -> Option<Vec<SortExpr>> {
    let by = |order: Vec<SortExpr>, column: &dyn Fn(&Column) -> Option<Column>| -> Option<Vec<SortExpr>> {
        let one = |by: SortExpr| match &by.expr {
            Expr::Column(of) => Some(SortExpr { expr: Expr::Column(column(of)?), ..by }),
            _ => None,
        };
        order.into_iter().map(one).collect()
    };
    match plan {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => by(sort.expr.clone(), &|of| Some(of.clone())),
        LogicalPlan::Filter(filter) => order_of(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => by(order_of(&alias.input)?, &|of| {
            let at = alias.input.schema().index_of_column(of).ok()?;
            alias.schema.columns().into_iter().nth(at)
        }),
        LogicalPlan::Projection(projection) => by(order_of(&projection.input)?, &|of| {
            let is = |e: &Expr| match e {
                Expr::Alias(alias) => matches!(alias.expr.as_ref(), Expr::Column(column) if column == of),
                Expr::Column(column) => column == of,
                _ => false,
            };
            let at = projection.expr.iter().position(is)?;
            projection.schema.columns().into_iter().nth(at)
        }),
        _ => None,
    }
}
