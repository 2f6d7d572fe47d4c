//! What CASE, NULLIF and COALESCE give of uuid, jsonb and json is told as one, as in Postgres: of a CASE, which the optimiser makes of COALESCE too,
//! DataFusion knows only that it is text.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::text_type::TextType;

/// The plan in which they are told by the columns that they are.
pub(in crate::plan) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    // Most plans have none.
    let mut any = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Projection(projection) = node {
            any |= projection.expr.iter().any(|e| told(e, projection.input.schema()).is_some());
        }
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !any {
        return Ok(plan);
    }
    let placed = plan.transform_up_with_subqueries(|node| {
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

fn told(e: &Expr, schema: &DFSchema) -> Option<TextType> {
    match e {
        Expr::Alias(alias) => told(&alias.expr, schema),
        Expr::Case(_) => TextType::of_expr(e, schema),
        Expr::ScalarFunction(call) if matches!(call.func.name(), "nullif" | "coalesce") => TextType::of_expr(e, schema),
        _ => None,
    }
}
