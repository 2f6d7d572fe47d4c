//! COALESCE in COALESCE as one: the optimiser makes a CASE of each, which has every value but the last twice, so that those in one another would become
//! as many as two to the power of their number.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::{Cast, ScalarFunction};

use crate::error::Error;

/// The values that a statement may have more than it has in its text, when each COALESCE is a CASE.
const MOST: usize = 20_000;

/// Whether a call is COALESCE, or one that is made it.
fn coalesces(call: &ScalarFunction) -> bool {
    matches!(call.func.name(), "coalesce" | "nvl")
}

/// The call with the values of those that stand in it in their places; None if there are none.
pub(super) fn flattened(call: &ScalarFunction) -> Option<Expr> {
    let inner = |value: &Expr| match value {
        Expr::ScalarFunction(inner) => coalesces(inner),
        Expr::Cast(cast) => matches!(cast.expr.as_ref(), Expr::ScalarFunction(inner) if coalesces(inner)),
        _ => false,
    };
    if call.func.name() != "coalesce" || !call.args.iter().any(inner) {
        return None;
    }
    let mut values = Vec::new();
    for value in &call.args {
        match value {
            Expr::ScalarFunction(inner) if coalesces(inner) => values.extend(inner.args.iter().cloned()),
            Expr::Cast(Cast { expr, field }) => match expr.as_ref() {
                // NULL is cast to NULL.
                Expr::ScalarFunction(inner) if coalesces(inner) => {
                    let cast = |value: &Expr| Expr::Cast(Cast { expr: Box::new(value.clone()), field: Arc::clone(field) });
                    values.extend(inner.args.iter().map(cast));
                }
                _ => values.push(value.clone()),
            },
            other => values.push(other.clone()),
        }
    }
    Some(call.func.call(values))
}

/// Errs (54001) for COALESCE in one another, with other calls between them, that would be too many values.
pub(in crate::plan) fn check(expr: &Expr) -> Result<()> {
    let (n_written, n_planned) = sizes(expr)?;
    if n_planned.saturating_sub(n_written) <= MOST {
        return Ok(());
    }
    let detail = Some("Too many COALESCE stand in one another: each but the last value of one is planned twice.".to_owned());
    Err(Error::Data { code: "54001", message: "stack depth limit exceeded".into(), detail }.into())
}

/// The nodes of an expression, and of what the optimiser makes of it.
fn sizes(expr: &Expr) -> Result<(usize, usize)> {
    let mut inner = Vec::new();
    expr.apply_children(|child| {
        inner.push(sizes(child)?);
        Ok(TreeNodeRecursion::Continue)
    })?;
    let n_written = inner.iter().fold(1_usize, |sum, (n, _)| sum.saturating_add(*n));
    let twice = matches!(expr, Expr::ScalarFunction(call) if coalesces(call));
    let last = inner.len().saturating_sub(1);
    let planned = |(at, (_, n)): (usize, &(usize, usize))| if twice && at < last { n.saturating_mul(2) } else { *n };
    let n_planned = inner.iter().enumerate().map(planned).fold(1_usize, usize::saturating_add);
    Ok((n_written, n_planned))
}

#[cfg(test)]
mod tests {
    use datafusion::functions::core::expr_fn::coalesce;
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn values_of_inner_calls_take_their_places() {
        let Expr::ScalarFunction(call) = coalesce(vec![col("a"), coalesce(vec![col("b"), col("c")]), col("d")]) else { unreachable!() };
        assert_eq!(flattened(&call).map(|flat| flat.to_string()).as_deref(), Some("coalesce(a, b, c, d)"));
        let nested = |n: usize| (0..n).fold(col("a"), |inner, _| coalesce(vec![inner + lit(1), col("b")]));
        assert!(check(&nested(8)).is_ok());
        assert!(check(&nested(45)).is_err());
    }
}
