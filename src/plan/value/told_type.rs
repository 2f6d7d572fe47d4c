//! What CASE, NULLIF and COALESCE give of uuid, jsonb and json is told as one, as in Postgres, and what `array_agg` gathers of uuid as an array of them: of
//! a CASE, which the optimiser makes of COALESCE too, and of a list DataFusion knows only that it is text.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection};

use super::row::ROW;
use super::text_type::TextType;
use super::uuids;

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
        node.apply_expressions(|e| {
            any = any || e.exists(|e| Ok(arguments(e).next().is_some()))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !any {
        return Ok(plan);
    }
    let placed = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        // A cast has the name of what is cast.
        let node = node.map_expressions(|e| e.transform_up(|e| with_arguments(e, &schema)))?.data;
        if let LogicalPlan::Aggregate(aggregate) = node {
            let aggregate = Aggregate::try_new(aggregate.input, aggregate.group_expr, aggregate.aggr_expr)?;
            let any = aggregate.aggr_expr.iter().any(|e| gathers(e, &aggregate));
            return Ok(Transformed::yes(if any { listed(aggregate)? } else { LogicalPlan::Aggregate(aggregate) }));
        }
        if !matches!(node, LogicalPlan::Projection(_)) {
            return Ok(Transformed::yes(node.recompute_schema()?));
        }
        let names = NamePreserver::new_for_projection();
        let node = node.map_expressions(|e| {
            let Some(of) = told(&e, &schema) else { return Ok(Transformed::no(e)) };
            let name = names.save(&e);
            Ok(Transformed::yes(match e {
                Expr::Alias(mut alias) => {
                    *alias.expr = cast(*alias.expr, of);
                    Expr::Alias(alias)
                }
                e => name.restore(cast(e, of)),
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
    let column = |(at, of): (usize, Column)| {
        let uuids = at.checked_sub(n_keys).and_then(|at| aggregate.aggr_expr.get(at)).is_some_and(|e| gathers(e, &aggregate));
        let (relation, name) = (of.relation.clone(), of.name.clone());
        let column = Expr::Column(of);
        if !uuids {
            return column;
        }
        uuids::told(column).alias_qualified(relation, name)
    };
    let columns = aggregate.schema.columns().into_iter().enumerate().map(column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(LogicalPlan::Aggregate(aggregate)))?))
}

/// The value told as what it is.
fn cast(value: Expr, of: TextType) -> Expr {
    let field = Field::new(of.word(), DataType::Utf8, true).with_metadata(of.metadata());
    Expr::Cast(Cast { expr: Box::new(value), field: Arc::new(field) })
}

/// The arguments of a function that writes JSON in JSON and texts in quotes, or tells a type.
fn arguments(e: &Expr) -> impl Iterator<Item = &Expr> {
    let (name, arguments) = match e {
        Expr::ScalarFunction(call) => (call.func.name(), call.args.as_slice()),
        Expr::AggregateFunction(call) => (call.func.name(), call.params.args.as_slice()),
        _ => ("", [].as_slice()),
    };
    let asks = name.contains("json") || matches!(name, "pg_typeof" | "named_struct" | "struct" | ROW);
    arguments.iter().filter(move |_| asks)
}

fn with_arguments(mut e: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if arguments(&e).all(|of| told(of, schema).is_none()) {
        return Ok(Transformed::no(e));
    }
    let arguments = match &mut e {
        Expr::ScalarFunction(call) => &mut call.args,
        Expr::AggregateFunction(call) => &mut call.params.args,
        _ => return Ok(Transformed::no(e)),
    };
    for argument in arguments {
        if let Some(of) = told(argument, schema) {
            *argument = cast(argument.clone(), of);
        }
    }
    Ok(Transformed::yes(e))
}

fn told(e: &Expr, schema: &DFSchema) -> Option<TextType> {
    match e {
        Expr::Alias(alias) => told(&alias.expr, schema),
        Expr::Case(_) | Expr::ScalarSubquery(_) => TextType::of_expr(e, schema),
        Expr::ScalarFunction(call) if matches!(call.func.name(), "nullif" | "coalesce") => TextType::of_expr(e, schema),
        _ => None,
    }
}
