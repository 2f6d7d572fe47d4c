//! `x = ANY(…)`, `x > ALL(…)` and `x LIKE ANY(…)`: a subquery is asked by IN, an array by a function that knows the operator.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use super::forms::calls;
use super::rewrite::last;

/// The condition in place of one with ANY or ALL. None for others, and for `x = ANY(array)` and `x <> ALL(array)`, which have a quicker way.
pub(in crate::wire) fn rewritten(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::AnyOp { left, compare_op, right, .. } => of_array(left, compare_op, right, true),
        Expr::AllOp { left, compare_op, right } => of_array(left, compare_op, right, false),
        Expr::Like { negated, any, expr, pattern, escape_char: None } => {
            like(expr, pattern, if *negated { "NOT LIKE" } else { "LIKE" }, *any)
        }
        Expr::ILike { negated, any, expr, pattern, escape_char: None } => {
            like(expr, pattern, if *negated { "NOT ILIKE" } else { "ILIKE" }, *any)
        }
        _ => None,
    }
}

fn of_array(left: &Expr, op: &BinaryOperator, right: &Expr, any: bool) -> Option<Expr> {
    let quick = matches!((op, any), (BinaryOperator::Eq, true) | (BinaryOperator::NotEq, false));
    match right {
        Expr::Subquery(query) if quick => Some(Expr::InSubquery { expr: Box::new(left.clone()), subquery: query.clone(), negated: !any }),
        Expr::Subquery(_) => None,
        right if quick && !is_text(right) => None,
        right => {
            let word = match op {
                BinaryOperator::Eq => "=",
                BinaryOperator::NotEq => "<>",
                BinaryOperator::Lt => "<",
                BinaryOperator::LtEq => "<=",
                BinaryOperator::Gt => ">",
                BinaryOperator::GtEq => ">=",
                BinaryOperator::PGLikeMatch => "LIKE",
                BinaryOperator::PGILikeMatch => "ILIKE",
                BinaryOperator::PGNotLikeMatch => "NOT LIKE",
                BinaryOperator::PGNotILikeMatch => "NOT ILIKE",
                _ => return None,
            };
            Some(compared(left, right, word, any))
        }
    }
}

fn like(of: &Expr, pattern: &Expr, op: &str, any: bool) -> Option<Expr> {
    if any {
        return Some(compared(of, pattern, op, true));
    }
    // ALL is read as the name of a function there.
    let Expr::Function(function) = pattern else { return None };
    let all = matches!(last(&function.name).as_deref(), Some("all"));
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(array))] if all => Some(compared(of, array, op, false)),
        _ => None,
    }
}

fn is_text(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(value.value, Value::SingleQuotedString(_)),
        Expr::Nested(inner) => is_text(inner),
        _ => false,
    }
}

fn compared(left: &Expr, array: &Expr, op: &str, any: bool) -> Expr {
    let op = Expr::Value(Value::SingleQuotedString(op.to_owned()).with_empty_span());
    calls(if any { "compare_any" } else { "compare_all" }, vec![left.clone(), array.clone(), op])
}
