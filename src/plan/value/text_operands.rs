//! A text that is written out beside a number or a condition is read as one, as an untyped constant of Postgres is: `1 + '2'`, `done AND 'f'`.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// The planner of operators with such a text on one side.
#[derive(Debug)]
pub(in crate::plan) struct TextOperands;

impl ExprPlanner for TextOperands {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::{And, Divide, Minus, Modulo, Multiply, Or, Plus};
        let text = |e: &Expr| matches!(e, Expr::Literal(ScalarValue::Utf8(Some(_)), _));
        let RawBinaryExpr { op, left, right } = expr;
        let wanted = |other: &Expr| match op {
            And | Or => Some(DataType::Boolean),
            Plus | Minus | Multiply | Divide | Modulo => other.get_type(schema).ok().filter(DataType::is_numeric),
            _ => None,
        };
        let (left, right) = match (text(&left), text(&right)) {
            (true, false) => match wanted(&right) {
                Some(of) => (cast(left, of), right),
                None => (left, right),
            },
            (false, true) => match wanted(&left) {
                Some(of) => (left, cast(right, of)),
                None => (left, right),
            },
            _ => (left, right),
        };
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }
}
