//! Every expression of a plan rewritten, from the inside out: what a rule of the analyser does mostly. What is rewritten keeps its name, by which the nodes
//! above read it.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};
use framesql_udfs::interrupt;

/// Those of all nodes, and of the subqueries in them. `rewrite` is told the columns that an expression may read.
pub(super) fn expression(plan: LogicalPlan, rewrite: impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>) -> Result<LogicalPlan> {
    Ok(plan.transform_up_with_subqueries(|node| of_node(node, &rewrite))?.data)
}

/// Those of one node.
pub(super) fn of_node(
    node: LogicalPlan,
    rewrite: impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&node.inputs());
    if let LogicalPlan::TableScan(scan) = &node {
        schema.merge(&scan.projected_schema);
    }
    let names = NamePreserver::new(&node);
    node.map_expressions(|e| {
        // Whoever asks may be gone.
        interrupt::check()?;
        let name = names.save(&e);
        Ok(e.transform_up(|e| rewrite(e, &schema))?.update_data(|e| name.restore(e)))
    })
}
