//! `array_agg(x) FROM (SELECT x … ORDER BY y)`: what gathers values has them in the order of the subquery, as in Postgres. DataFusion leaves out an order that
//! no operator above asks for.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Sort};

/// Aggregates that give their values in the order in which they come. Those of JSON are made of the first.
const GATHER: [&str; 4] = ["array_agg", "string_agg", "first_value", "last_value"];

/// More rows than there are: an order of which so many are asked for is kept.
const ALL: usize = 1 << 40;

/// The plan in which they are sorted.
pub(super) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    let placed = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Aggregate(mut aggregate) = node else { return Ok(Transformed::no(node)) };
        if !aggregate.aggr_expr.iter().any(gathers) {
            return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
        }
        Ok(match kept(&aggregate.input) {
            Some(input) => {
                aggregate.input = input.into();
                Transformed::yes(LogicalPlan::Aggregate(aggregate))
            }
            None => Transformed::no(LogicalPlan::Aggregate(aggregate)),
        })
    })?;
    Ok(placed.data)
}

/// The plan without the order of subqueries: rows of a continuous query come as they come.
pub(super) fn leave_out(plan: LogicalPlan) -> Result<LogicalPlan> {
    let placed = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::SubqueryAlias(mut alias) = node else { return Ok(Transformed::no(node)) };
        Ok(match alias.input.as_ref() {
            LogicalPlan::Sort(Sort { fetch: None, input, .. }) => {
                alias.input = Arc::clone(input);
                Transformed::yes(LogicalPlan::SubqueryAlias(alias))
            }
            _ => Transformed::no(LogicalPlan::SubqueryAlias(alias)),
        })
    })?;
    Ok(placed.data)
}

fn gathers(e: &Expr) -> bool {
    match e {
        Expr::Alias(alias) => gathers(&alias.expr),
        Expr::AggregateFunction(call) => call.params.order_by.is_empty() && GATHER.contains(&call.func.name()),
        _ => false,
    }
}

/// The input with its order kept; None if it has none.
fn kept(input: &LogicalPlan) -> Option<LogicalPlan> {
    match input {
        LogicalPlan::Sort(Sort { fetch: None, .. }) => {
            let LogicalPlan::Sort(mut sort) = input.clone() else { return None };
            sort.fetch = Some(ALL);
            Some(LogicalPlan::Sort(sort))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let mut alias = alias.clone();
            alias.input = kept(&alias.input)?.into();
            Some(LogicalPlan::SubqueryAlias(alias))
        }
        LogicalPlan::Projection(projection) => {
            let mut projection = projection.clone();
            projection.input = kept(&projection.input)?.into();
            Some(LogicalPlan::Projection(projection))
        }
        LogicalPlan::Filter(filter) => {
            let mut filter = filter.clone();
            filter.input = kept(&filter.input)?.into();
            Some(LogicalPlan::Filter(filter))
        }
        _ => None,
    }
}
