//! `(a, b) OVERLAPS (c, d)` as in Postgres: whether two stretches of time have a moment in common; the second of each may be the end or a length.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, AsArray, BooleanArray};
use datafusion::arrow::compute::cast as cast_array;
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::{DFSchema, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast,
};
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr as SqlExpr};

use crate::plan::syntax::{binary, call};

static OVERLAPS: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Overlaps { signature: Signature::user_defined(Volatility::Immutable) })));

/// The function, for plans that are read back.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::clone(&OVERLAPS)]
}

/// The operator between structs, as DataFusion plans no rows; None for other expressions.
pub(in crate::plan) fn rewritten(expr: &SqlExpr) -> Option<SqlExpr> {
    let SqlExpr::BinaryOp { left, op: BinaryOperator::Overlaps, right } = expr else { return None };
    let pair = |side: &SqlExpr| match side {
        SqlExpr::Tuple(pair) if pair.len() == 2 => Some(call("struct", pair.iter().cloned())),
        _ => None,
    };
    Some(binary(pair(left)?, BinaryOperator::Overlaps, pair(right)?))
}

/// Plans the operator.
#[derive(Debug)]
pub(in crate::plan) struct OverlapsOperator;

impl ExprPlanner for OverlapsOperator {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = expr;
        if op != BinaryOperator::Overlaps {
            return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
        }
        let mut pairs = Vec::with_capacity(2);
        for side in [&left, &right] {
            let Expr::ScalarFunction(pair) = side else { return plan_err!("OVERLAPS compares two pairs of times") };
            let [begin, end] = pair.args.as_slice() else { return plan_err!("OVERLAPS compares two pairs of times") };
            pairs.push((begin, end));
        }
        // A text is a time like the others.
        let types = pairs.iter().flat_map(|(begin, end)| [begin, end]).map(|time| time.get_type(schema)).collect::<Result<Vec<_>>>()?;
        let known = types.into_iter().find(|of| matches!(of, DataType::Timestamp(..) | DataType::Date32 | DataType::Time64(_)));
        let known = known.unwrap_or(DataType::Timestamp(TimeUnit::Microsecond, None));
        let mut args = Vec::with_capacity(4);
        for (begin, end) in pairs {
            let length = matches!(end.get_type(schema)?, DataType::Interval(_) | DataType::Duration(_));
            let is_text = is_text(&begin.get_type(schema)?);
            let begin = if length && is_text { cast(begin.clone(), known.clone()) } else { begin.clone() };
            args.push(begin.clone());
            args.push(if length { begin + end.clone() } else { end.clone() });
        }
        Ok(PlannerResult::Planned(OVERLAPS.call(args)))
    }
}

/// Whether a value may be read as one of another type.
fn is_text(of: &DataType) -> bool {
    matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Overlaps {
    signature: Signature,
}

impl ScalarUDFImpl for Overlaps {
    fn name(&self) -> &str {
        "overlaps"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// All four are of one type.
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let known = given.iter().filter(|of| !is_text(of));
        let mut common: Option<DataType> = None;
        for of in known {
            common = match common {
                None => Some(of.clone()),
                Some(before) if before == *of => Some(before),
                Some(before) => comparison_coercion(&before, of),
            };
            if !matches!(common, Some(DataType::Timestamp(..) | DataType::Date32 | DataType::Time64(_))) {
                return plan_err!("OVERLAPS compares two pairs of times");
            }
        }
        let common = match common.unwrap_or(DataType::Timestamp(TimeUnit::Microsecond, None)) {
            DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone),
            other => other,
        };
        Ok(vec![common; given.len()])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let numbers = arrays.iter().map(|array| cast_array(array, &DataType::Int64)).collect::<Result<Vec<_>, _>>()?;
        let [from, to, other_from, other_to] = numbers.as_slice() else { return internal_err!("OVERLAPS takes four times") };
        let columns = [from, to, other_from, other_to].map(|array| array.as_primitive::<Int64Type>());
        let at = |column: usize, row: usize| columns.get(column).filter(|column| column.is_valid(row)).map(|column| column.value(row));
        let n_rows = from.len();
        let met = (0..n_rows).map(|row| overlap((at(0, row), at(1, row)), (at(2, row), at(3, row))));
        Ok(ColumnarValue::Array(Arc::new(met.collect::<BooleanArray>())))
    }
}

/// Whether stretches have a moment in common, which are without their ends, unless they are one moment; None if that hangs on what is not known.
fn overlap(one: (Option<i64>, Option<i64>), other: (Option<i64>, Option<i64>)) -> Option<bool> {
    // The known end first, and of two the lesser.
    let ordered = |(a, b): (Option<i64>, Option<i64>)| match (a, b) {
        (Some(a), Some(b)) => Some((a.min(b), Some(a.max(b)))),
        (known, None) | (None, known) => Some((known?, None)),
    };
    let ((from, to), (other_from, other_to)) = (ordered(one)?, ordered(other)?);
    if from == other_from {
        return to.and(other_to).map(|_| true);
    }
    // The one that begins first, and where the other begins.
    let (first_to, second_from, second_to) = if from > other_from { (other_to, from, to) } else { (to, other_from, other_to) };
    if second_from < first_to? {
        return Some(true);
    }
    second_to.map(|_| false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_overlap_as_postgres_says() {
        for (one, other, expected) in [
            ((Some(1), Some(5)), (Some(4), Some(9)), Some(true)),
            ((Some(5), Some(1)), (Some(9), Some(4)), Some(true)),
            ((Some(1), Some(4)), (Some(4), Some(9)), Some(false)),
            ((Some(4), Some(4)), (Some(4), Some(9)), Some(true)),
            ((Some(4), Some(4)), (Some(1), Some(9)), Some(true)),
            ((None, Some(4)), (Some(1), Some(9)), Some(true)),
            ((None, Some(4)), (Some(5), Some(9)), None),
            ((Some(4), None), (Some(4), Some(9)), None),
            ((None, None), (Some(1), Some(9)), None),
            ((Some(1), Some(9)), (Some(4), None), Some(true)),
            ((Some(1), Some(3)), (Some(4), None), None),
        ] {
            assert_eq!(overlap(one, other), expected, "{one:?} {other:?}");
        }
    }
}
