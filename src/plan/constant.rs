//! What an argument says that is the same for every row: a literal, a cast of one, or anything else that can be worked out before a row is read.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, Volatility};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

/// Its value; None where it hangs on a row, on a parameter that is not known yet, or on the time at which it is asked.
pub(super) fn folded(expr: &Expr) -> Option<ScalarValue> {
    if let Expr::Literal(value, _) = expr {
        return Some(value.clone());
    }
    if !known(expr) {
        return None;
    }
    match ExprSimplifier::new(SimplifyContext::default()).simplify(expr.clone()) {
        Ok(Expr::Literal(value, _)) => Some(value),
        _ => None,
    }
}

/// Whether a parameter that is not known yet is all that an expression waits for.
pub(super) fn waits(expr: &Expr) -> bool {
    expr.exists(|e| Ok(matches!(e, Expr::Placeholder(_)))).unwrap_or(false) && expr.column_refs().is_empty()
}

fn known(expr: &Expr) -> bool {
    let mut known = true;
    let _ = expr.apply(|e| {
        known &= match e {
            Expr::Literal(..) | Expr::Cast(_) | Expr::TryCast(_) | Expr::BinaryExpr(_) | Expr::Negative(_) | Expr::Alias(_) => true,
            Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Immutable,
            _ => false,
        };
        Ok(if known { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    known
}
