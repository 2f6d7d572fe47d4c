//! Names of aggregates that keep the parentheses of their arguments: DataFusion tells `sum(a * (b + 1))` and `sum(a * b + 1)` apart by names
//! in which it writes none.

use datafusion::common::tree_node::TreeNode;
use datafusion::error::Result;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr};
use datafusion::logical_expr::{BinaryExpr, Expr};

/// Names the arguments of aggregates.
#[derive(Debug)]
pub(in crate::plan) struct ArgumentNames;

impl ExprPlanner for ArgumentNames {
    fn plan_aggregate(&self, mut aggregate: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        for argument in &mut aggregate.args {
            if nested(argument)? {
                let name = in_parentheses(argument);
                *argument = argument.clone().alias(name);
            }
        }
        Ok(PlannerResult::Original(aggregate))
    }
}

/// The expression as text, each operand that is an operation itself in parentheses.
fn in_parentheses(expr: &Expr) -> String {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let operand = |e: &Expr| if matches!(e, Expr::BinaryExpr(_)) { format!("({})", in_parentheses(e)) } else { e.to_string() };
            format!("{} {op} {}", operand(left), operand(right))
        }
        other => other.to_string(),
    }
}

fn nested(expr: &Expr) -> Result<bool> {
    let operator = |e: &Expr| matches!(e, Expr::BinaryExpr(_));
    expr.exists(|e| Ok(matches!(e, Expr::BinaryExpr(BinaryExpr { left, right, .. }) if operator(left) || operator(right))))
}
