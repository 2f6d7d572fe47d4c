//! A list of uuids that is a subquery's value, `(SELECT array_agg(id) FROM t)`: DataFusion keeps one value of a list without what is said of its elements, so
//! it goes out of the subquery as a list of texts, and is told there what it is.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Subquery, cast};

use crate::plan::value::uuids;

/// The plan in which they are told.
pub(in crate::plan) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    let placed = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|e| {
            let name = names.save(&e);
            Ok(e.transform_up(told)?.update_data(|e| name.restore(e)))
        })
    })?;
    Ok(placed.data)
}

fn told(e: Expr) -> Result<Transformed<Expr>> {
    let Expr::ScalarSubquery(subquery) = e else { return Ok(Transformed::no(e)) };
    let schema = subquery.subquery.schema();
    if !matches!(schema.fields().as_ref(), [field] if uuids::is_told(field.data_type())) {
        return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
    }
    let texts = schema.columns().into_iter().map(|of| cast(Expr::Column(of.clone()), uuids::texts()).alias_qualified(of.relation, of.name));
    let plan = LogicalPlan::Projection(Projection::try_new(texts.collect(), Arc::clone(&subquery.subquery))?);
    Ok(Transformed::yes(uuids::told(Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), ..subquery }))))
}
