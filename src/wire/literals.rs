//! Whole numbers that stand in the answer of a query are int4, as in Postgres, where they are int8 to DataFusion: `SELECT 1`.

use datafusion::sql::sqlparser::ast::{self, BinaryOperator, CastKind, Expr, Query, SelectItem, SetExpr, UnaryOperator, Value};

/// Gives the columns of the answer that are computed from such numbers alone their type; what a query around it computes with stays as it is.
pub(super) fn answer(query: &mut Query) {
    body(query.body.as_mut());
}

fn body(of: &mut SetExpr) {
    match of {
        SetExpr::Query(inner) => body(inner.body.as_mut()),
        SetExpr::SetOperation { left, right, .. } => {
            body(left);
            body(right);
        }
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
                    && int4(expr)
                {
                    // More than an int4 holds is an error of the cast, as it is one of the operator in Postgres.
                    let data_type = ast::DataType::Integer(None);
                    *expr = Expr::Cast {
                        kind: CastKind::DoubleColon,
                        expr: Box::new(nested(expr.clone())),
                        data_type,
                        array: false,
                        format: None,
                    };
                }
            }
        }
        _ => {}
    }
}

/// `-1::int` would be the other way about.
fn nested(expr: Expr) -> Expr {
    if matches!(expr, Expr::Value(_) | Expr::Nested(_) | Expr::Case { .. }) { expr } else { Expr::Nested(Box::new(expr)) }
}

/// Whether an expression is made of whole numbers that fit an int4, and of nothing else.
fn int4(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(&value.value, Value::Number(digits, false) if digits.parse::<i32>().is_ok()),
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr: inner } => int4(inner),
        Expr::BinaryOp { left, op, right } => {
            let whole = matches!(
                op,
                BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Modulo
            );
            whole && int4(left) && int4(right)
        }
        Expr::Case { conditions, else_result, .. } => {
            let others = else_result.iter().all(|result| int4(result) || null(result));
            others
                && conditions.iter().any(|when| int4(&when.result))
                && conditions.iter().all(|when| int4(&when.result) || null(&when.result))
        }
        _ => false,
    }
}

fn null(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if value.value == Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::parse::parse_query;

    #[test]
    fn numbers_of_the_answer_are_int4() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT 1::INTEGER"),
            ("SELECT 1 AS a, -2, a + 1, 1.5", "SELECT 1::INTEGER AS a, (-2)::INTEGER, a + 1, 1.5"),
            ("SELECT 40 + 2 UNION ALL SELECT 3", "SELECT (40 + 2)::INTEGER UNION ALL SELECT 3::INTEGER"),
            ("SELECT 2147483648", "SELECT 2147483648"),
            ("SELECT a FROM (SELECT 1 AS a) AS t", "SELECT a FROM (SELECT 1 AS a) AS t"),
            ("SELECT CASE WHEN a THEN 1 ELSE NULL END FROM t", "SELECT CASE WHEN a THEN 1 ELSE NULL END::INTEGER FROM t"),
            ("SELECT CASE WHEN a THEN 1 ELSE b END FROM t", "SELECT CASE WHEN a THEN 1 ELSE b END FROM t"),
        ] {
            let mut query = parse_query(sql).unwrap().query;
            answer(&mut query);
            assert_eq!(query.to_string(), expected);
        }
    }
}
