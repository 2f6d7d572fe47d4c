//! A text that is written beside a value is one of its type, as in Postgres: `b = 'true'`, `done AND 'f'`, `d - '2024-01-01'`, `tz + '1 day'`.
//! DataFusion would compare texts, or times in ns, for which those of far years have no room.

use datafusion::arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Between, Expr, ExprSchemable, LogicalPlan, cast};
use datafusion::optimizer::AnalyzerRule;
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::postgres_types::shown;

use crate::plan::{each, syntax};

const SPAN: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// Plans operators between a value and a text that is written there.
#[derive(Debug)]
pub(in crate::plan) struct UntypedOperators;

impl ExprPlanner for UntypedOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = expr;
        let (left, right) = match (is_untyped(&left), is_untyped(&right)) {
            (false, true) => {
                let to = type_beside(&op, &left, schema, false);
                (left, to.map_or_else(|| right.clone(), |to| cast(right.clone(), to)))
            }
            (true, false) => {
                let to = type_beside(&op, &right, schema, true);
                (to.map_or_else(|| left.clone(), |to| cast(left.clone(), to)), right)
            }
            _ => (left, right),
        };
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }
}

/// The rule for IN and BETWEEN; it stands before types are coerced.
#[derive(Debug)]
pub(in crate::plan) struct UntypedValues;

impl AnalyzerRule for UntypedValues {
    fn name(&self) -> &str {
        "untyped_values"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        each::expression(plan, |e, schema| Ok(typed(e, schema)))
    }
}

fn typed(mut e: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let (to, values): (_, Vec<&mut Expr>) = match &mut e {
        Expr::InList(InList { expr, list, .. }) if list.iter().any(is_untyped) => {
            (type_beside(&BinaryOperator::Eq, expr, schema, false), list.iter_mut().collect())
        }
        Expr::Between(Between { expr, low, high, .. }) if is_untyped(low) || is_untyped(high) => {
            (type_beside(&BinaryOperator::Eq, expr, schema, false), vec![low, high])
        }
        _ => return Transformed::no(e),
    };
    let Some(to) = to else { return Transformed::no(e) };
    for value in values {
        if is_untyped(value) {
            *value = cast(value.clone(), to.clone());
        }
    }
    Transformed::yes(e)
}

fn is_untyped(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Utf8(Some(_)), None))
}

/// The type of a value beside which a text is one too; None for texts, and for what has rules of its own: numerics, whose digits are not counted
/// here, arrays and frames.
fn typed_as(of: &Expr, schema: &DFSchema) -> Option<DataType> {
    let of = of.get_type(schema).ok()?;
    matches!(
        of,
        DataType::Boolean
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Binary
            | DataType::Date32
            | DataType::Time64(_)
            | DataType::Timestamp(..)
            | DataType::Interval(IntervalUnit::MonthDayNano)
    )
    .then(|| shown(&of).unwrap_or(of))
}

/// What a text stands for beside a value: that value's type, if the operator takes two of it, as in Postgres.
fn type_beside(op: &BinaryOperator, of: &Expr, schema: &DFSchema, before: bool) -> Option<DataType> {
    if matches!(op, BinaryOperator::And | BinaryOperator::Or) {
        return Some(DataType::Boolean);
    }
    let compares = syntax::compares(op);
    let reckons = matches!(op, BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply | BinaryOperator::Divide);
    if !compares && !reckons && *op != BinaryOperator::Modulo {
        return None;
    }
    let known = typed_as(of, schema)?;
    match &known {
        _ if compares => Some(known),
        DataType::Int16 | DataType::Int32 | DataType::Int64 => Some(known),
        DataType::Float32 | DataType::Float64 => (*op != BinaryOperator::Modulo).then_some(known),
        // No times are added.
        DataType::Timestamp(..) | DataType::Time64(_) if *op == BinaryOperator::Plus => Some(SPAN),
        DataType::Date32 | DataType::Timestamp(..) | DataType::Time64(_) => (*op == BinaryOperator::Minus).then_some(known),
        DataType::Interval(_) => match op {
            BinaryOperator::Plus | BinaryOperator::Minus => Some(known),
            BinaryOperator::Multiply => Some(DataType::Float64),
            BinaryOperator::Divide => (!before).then_some(DataType::Float64),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::{col, lit};

    use super::*;

    #[test]
    fn a_text_is_of_the_type_that_stands_beside_it() {
        let schema = Schema::new(vec![
            Field::new("b", DataType::Boolean, true),
            Field::new("d", DataType::Date32, true),
            Field::new("s", DataType::Utf8, true),
        ]);
        let schema = DFSchema::try_from(schema).unwrap();
        let planned = |left: Expr, op: BinaryOperator, right: Expr| match UntypedOperators
            .plan_binary_op(RawBinaryExpr { op, left, right }, &schema)
            .unwrap()
        {
            PlannerResult::Original(of) => format!("{} {} {}", of.left, of.op, of.right),
            PlannerResult::Planned(_) => String::new(),
        };
        assert_eq!(planned(col("b"), BinaryOperator::Eq, lit("t")), "b = CAST(Utf8(\"t\") AS Boolean)");
        assert_eq!(planned(lit("2024-01-01"), BinaryOperator::Minus, col("d")), "CAST(Utf8(\"2024-01-01\") AS Date32) - d");
        assert_eq!(planned(col("s"), BinaryOperator::Eq, lit("t")), "s = Utf8(\"t\")");
        let listed = typed(col("b").in_list(vec![lit("t"), lit(false)], false), &schema).data;
        assert_eq!(listed.to_string(), "b IN ([CAST(Utf8(\"t\") AS Boolean), Boolean(false)])");
    }
}
