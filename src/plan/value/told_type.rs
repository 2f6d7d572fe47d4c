//! What CASE, NULLIF and COALESCE give of uuid, jsonb and json is told as one, as in Postgres, and what `array_agg` gathers of uuid as an array of them: of
//! a CASE, which the optimiser makes of COALESCE too, and of a list DataFusion knows only that it is text.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection};

use super::text_type::TextType;

/// The plan in which they are told by the columns that they are.
pub(in crate::plan) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    // Most plans have none.
    let mut any = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Projection(projection) = node {
            any |= projection.expr.iter().any(|e| told(e, projection.input.schema()).is_some());
        }
        if let LogicalPlan::Aggregate(aggregate) = node {
            any |= aggregate.aggr_expr.iter().any(|e| gathers(e, aggregate));
        }
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !any {
        return Ok(plan);
    }
    let placed = plan.transform_up_with_subqueries(|node| {
        if let LogicalPlan::Aggregate(aggregate) = node {
            let aggregate = Aggregate::try_new(aggregate.input, aggregate.group_expr, aggregate.aggr_expr)?;
            let any = aggregate.aggr_expr.iter().any(|e| gathers(e, &aggregate));
            return Ok(Transformed::yes(if any { listed(aggregate)? } else { LogicalPlan::Aggregate(aggregate) }));
        }
        if !matches!(node, LogicalPlan::Projection(_)) {
            return Ok(Transformed::yes(node.recompute_schema()?));
        }
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new_for_projection();
        let node = node.map_expressions(|e| {
            let Some(of) = told(&e, &schema) else { return Ok(Transformed::no(e)) };
            let name = names.save(&e);
            let field = Field::new(of.word(), DataType::Utf8, true).with_metadata(of.metadata());
            let cast = |inner: Expr| Expr::Cast(Cast { expr: Box::new(inner), field: Arc::new(field) });
            Ok(Transformed::yes(match e {
                Expr::Alias(mut alias) => {
                    *alias.expr = cast(*alias.expr);
                    Expr::Alias(alias)
                }
                e => name.restore(cast(e)),
            }))
        })?;
        Ok(Transformed::yes(node.data.recompute_schema()?))
    })?;
    Ok(placed.data)
}

/// Whether an aggregate gathers uuids.
fn gathers(e: &Expr, aggregate: &Aggregate) -> bool {
    let Expr::AggregateFunction(call) = e else { return false };
    let of = || call.params.args.first().and_then(|of| TextType::of_expr(of, aggregate.input.schema()));
    call.func.name() == "array_agg" && of() == Some(TextType::Uuid)
}

/// The aggregate with its lists of uuids told as such.
fn listed(aggregate: Aggregate) -> Result<LogicalPlan> {
    let n_keys = aggregate.schema.fields().len().saturating_sub(aggregate.aggr_expr.len());
    let item = Field::new_list_field(DataType::Utf8, true).with_metadata(TextType::Uuid.metadata());
    let field = Arc::new(Field::new("uuids", DataType::List(Arc::new(item)), true));
    let column = |(at, of): (usize, Column)| {
        let uuids = at.checked_sub(n_keys).and_then(|at| aggregate.aggr_expr.get(at)).is_some_and(|e| gathers(e, &aggregate));
        let (relation, name) = (of.relation.clone(), of.name.clone());
        let column = Expr::Column(of);
        if !uuids {
            return column;
        }
        Expr::Cast(Cast { expr: Box::new(column), field: Arc::clone(&field) }).alias_qualified(relation, name)
    };
    let columns = aggregate.schema.columns().into_iter().enumerate().map(column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(LogicalPlan::Aggregate(aggregate)))?))
}

fn told(e: &Expr, schema: &DFSchema) -> Option<TextType> {
    match e {
        Expr::Alias(alias) => told(&alias.expr, schema),
        Expr::Case(_) => TextType::of_expr(e, schema),
        Expr::ScalarFunction(call) if matches!(call.func.name(), "nullif" | "coalesce") => TextType::of_expr(e, schema),
        _ => None,
    }
}
