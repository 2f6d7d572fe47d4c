//! Keys of joins that are casts of ours: such a call has the name of what it casts, as a cast has, and DataFusion's planner, which puts keys beside the
//! columns that they are made of, gives casts a name of their own and no others. So it is given a cast, to the type that the key has already.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, ExprSchemable, Join, LogicalPlan, cast};

use super::value::casts;

/// The plan with such keys in casts; it stands behind the optimiser, which would take them away.
pub(super) fn place(plan: LogicalPlan) -> Result<LogicalPlan> {
    let placed = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Join(mut join) = node else { return Ok(Transformed::no(node)) };
        if !join.on.iter().any(|(left, right)| casts::is_ours(left) || casts::is_ours(right)) {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        let mut on = Vec::with_capacity(join.on.len());
        for (left, right) in std::mem::take(&mut join.on) {
            on.push((in_cast(left, join.left.schema())?, in_cast(right, join.right.schema())?));
        }
        Ok(Transformed::yes(LogicalPlan::Join(Join { on, ..join })))
    })?;
    Ok(placed.data)
}

fn in_cast(key: Expr, schema: &DFSchema) -> Result<Expr> {
    if !casts::is_ours(&key) {
        return Ok(key);
    }
    let of = key.get_type(schema)?;
    Ok(cast(key, of))
}
