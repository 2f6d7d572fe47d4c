//! Numerics among other numbers, as in Postgres: a constant with a fraction beside a whole number is one, a product keeps all its digits, a quotient has
//! sixteen behind the point, and beside a float8 a numeric is one too. DataFusion would take the constant for a float8, the float8 for a numeric of
//! fifteen places, and cut a quotient four places behind what is divided.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, AsArray, Decimal128Array};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, i256};
use datafusion::common::{DFSchema, ScalarValue, internal_datafusion_err, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::checked;
use crate::error::Error;
use crate::plan::syntax;

/// Digits of a numeric that was computed. Those of which no scale was declared have one more, by which they are shown without zeros at their end.
const PRECISION: u8 = 37;
/// Digits behind the point of a quotient: Postgres has as many where it is between 1 and 10,000.
pub(in crate::plan) const QUOTIENT: i8 = 16;
/// Digits behind the point to which a product is rounded, if it has more: before it there is room for 21.
const PRODUCT: i8 = 16;

/// Plans the operators.
#[derive(Debug)]
pub(in crate::plan) struct Numerics;

impl ExprPlanner for Numerics {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, mut left, mut right } = expr;
        let arithmetic = matches!(
            op,
            BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Modulo
        );
        let compares = syntax::compares(&op);
        if !arithmetic && !compares {
            return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
        }
        let (constant_left, constant_right) = (constant(&left), constant(&right));
        let exact = |e: &Expr| match kind(e, schema) {
            Kind::Numeric => true,
            // A comparison of a whole number is left as it is: a source may look at it before it reads.
            Kind::Whole => arithmetic,
            Kind::Float | Kind::Other => false,
        };
        let both = arithmetic && constant_left.is_some() && constant_right.is_some();
        let of_right = constant_right.filter(|_| both || exact(&left));
        let of_left = constant_left.filter(|_| both || exact(&right));
        if let Some(value) = of_right {
            right = value;
        }
        if let Some(value) = of_left {
            left = value;
        }
        match (kind(&left, schema), kind(&right, schema)) {
            (Kind::Numeric, Kind::Float) => left = cast(left, DataType::Float64),
            (Kind::Float, Kind::Numeric) => right = cast(right, DataType::Float64),
            (Kind::Numeric, Kind::Numeric | Kind::Whole) | (Kind::Whole, Kind::Numeric) => {
                let function = match op {
                    BinaryOperator::Multiply => Some(&FUNCTIONS[0]),
                    BinaryOperator::Divide => Some(&FUNCTIONS[1]),
                    // DataFusion takes what is left of a division by 1 for 0.
                    BinaryOperator::Modulo => Some(&FUNCTIONS[2]),
                    _ => None,
                };
                if let Some(function) = function {
                    return Ok(PlannerResult::Planned(function.call(vec![left, right])));
                }
            }
            _ => {}
        }
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }
}

/// What kind of number an expression is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Whole,
    Numeric,
    Float,
    Other,
}

/// The kind, of a long chain of operators without the types of all that stands in it.
fn kind(e: &Expr, schema: &DFSchema) -> Kind {
    match e {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.is_numerical_operators() => {
            match (kind(right, schema), kind(left, schema)) {
                (Kind::Other, _) | (_, Kind::Other) => Kind::Other,
                (Kind::Float, _) | (_, Kind::Float) => Kind::Float,
                (Kind::Numeric, _) | (_, Kind::Numeric) => Kind::Numeric,
                (Kind::Whole, Kind::Whole) => Kind::Whole,
            }
        }
        Expr::ScalarFunction(call) if operator_of(&call.func).is_some() => Kind::Numeric,
        other => match other.get_type(schema) {
            Ok(DataType::Decimal128(..)) => Kind::Numeric,
            Ok(of) if of.is_integer() => Kind::Whole,
            Ok(of) if of.is_floating() => Kind::Float,
            _ => Kind::Other,
        },
    }
}

/// A constant that is written with a fraction, as the numeric of its digits; None for others, and where a float8 has not all of them.
fn constant(e: &Expr) -> Option<Expr> {
    let Expr::Literal(ScalarValue::Float64(Some(value)), None) = e else { return None };
    let written = value.to_string();
    let (whole, fraction) = written.split_once('.').unwrap_or((&written, ""));
    let n_digits = whole.bytes().chain(fraction.bytes()).filter(u8::is_ascii_digit).count();
    // As many as a float8 is sure to keep.
    if !value.is_finite() || n_digits > 15 {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (precision, scale) = (u8::try_from(n_digits).ok()?, i8::try_from(fraction.len()).ok()?);
    Some(Expr::Literal(ScalarValue::Decimal128(Some(digits), precision, scale), None))
}

/// The functions, for plans that are read back: no query names them.
pub(super) fn functions() -> [Arc<ScalarUDF>; 3] {
    FUNCTIONS.clone()
}

static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 3]> = LazyLock::new(|| {
    [("numeric_mul", Operator::Multiply), ("numeric_div", Operator::Divide), ("numeric_rem", Operator::Modulo)].map(|(name, operator)| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(OfNumerics { name, operator, signature }))
    })
});

/// The operator that a function stands for.
pub(super) fn operator_of(function: &ScalarUDF) -> Option<Operator> {
    function.inner().downcast_ref::<OfNumerics>().map(|of| of.operator)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfNumerics {
    name: &'static str,
    operator: Operator,
    signature: Signature,
}

/// The digits behind the point of what an operator gives.
fn scale_of(operator: Operator, left: i8, right: i8) -> i8 {
    let longer = left.max(right);
    match operator {
        Operator::Multiply if left + right <= PRODUCT => left + right,
        Operator::Multiply => longer.max(PRODUCT),
        Operator::Modulo => longer,
        _ => longer.max(QUOTIENT),
    }
}

impl ScalarUDFImpl for OfNumerics {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let numeric = |of: &DataType| match of {
            DataType::Decimal128(..) => Ok(of.clone()),
            of if of.is_integer() => Ok(DataType::Decimal128(20, 0)),
            other => plan_err!("{other} is no numeric"),
        };
        given.iter().map(numeric).collect()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let [DataType::Decimal128(a, left), DataType::Decimal128(b, right)] = types else {
            return internal_err!("{} takes two numerics", self.name);
        };
        // Of a product of which no scale was declared none is shown.
        let open = |precision: u8, scale: i8| precision > PRECISION && scale > 0;
        let any_open = self.operator != Operator::Divide && (open(*a, *left) || open(*b, *right));
        Ok(DataType::Decimal128(if any_open { PRECISION + 1 } else { PRECISION }, scale_of(self.operator, *left, *right)))
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        checked::shown(self.operator, args)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        checked::named(self.operator, args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else { return internal_err!("{} takes two arguments", self.name) };
        let (left, right) = (left.to_array(args.number_rows)?, right.to_array(args.number_rows)?);
        let (left, right) = (decimals(&left)?, decimals(&right)?);
        let scales = (left.scale(), right.scale());
        let scale = scale_of(self.operator, scales.0, scales.1);
        let one = |(left, right): (Option<i128>, Option<i128>)| -> Result<Option<i128>> {
            let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
            if right == 0 && self.operator != Operator::Multiply {
                return Err(Error::Encode { code: "22012", message: "division by zero".into() }.into());
            }
            let found = worked_out(self.operator, (left, scales.0), (right, scales.1), scale).filter(|found| has_room(*found));
            found.map(Some).ok_or_else(|| Error::Encode { code: "22003", message: "numeric field overflow".into() }.into())
        };
        let found = left.iter().zip(right).map(one).collect::<Result<Decimal128Array>>()?;
        let DataType::Decimal128(precision, scale) = args.return_field.data_type() else {
            return internal_err!("{} gives a numeric", self.name);
        };
        Ok(ColumnarValue::Array(Arc::new(found.with_precision_and_scale(*precision, *scale)?)))
    }
}

/// Less than this has room in a numeric that was computed.
const END: u128 = 10_u128.pow(PRECISION as u32);

/// Whether a numeric that was computed has room for so many digits.
pub(in crate::plan) fn has_room(digits: i128) -> bool {
    digits.unsigned_abs() < END
}

fn decimals(values: &dyn Array) -> Result<&Decimal128Array> {
    values.as_primitive_opt::<Decimal128Type>().ok_or_else(|| internal_datafusion_err!("{} is no numeric", values.data_type()))
}

/// What an operator gives, of digits behind each of which there are so many behind the point, with so many behind it. None for what has no room.
fn worked_out(operator: Operator, left: (i128, i8), right: (i128, i8), scale: i8) -> Option<i128> {
    let ((left, of_left), (right, of_right), scale) = ((left.0, i32::from(left.1)), (right.0, i32::from(right.1)), i32::from(scale));
    match operator {
        Operator::Multiply => product(left, right, of_left + of_right - scale),
        Operator::Modulo => {
            let raised = |digits: i128, of: i32| i256::from(digits).checked_mul(power(scale - of)?);
            raised(left, of_left)?.checked_rem(raised(right, of_right)?)?.to_i128()
        }
        _ => quotient(left, right, scale + of_right - of_left),
    }
}

/// A product without its last digits. None for what has no room.
fn product(left: i128, right: i128, dropped: i32) -> Option<i128> {
    rounded(i256::from(left).checked_mul(i256::from(right))?, power(dropped)?)
}

/// A quotient of what is divided with so many digits more. None for what has no room.
pub(in crate::plan) fn quotient(left: i128, right: i128, digits: i32) -> Option<i128> {
    rounded(i256::from(left).checked_mul(power(digits)?)?, i256::from(right))
}

fn power(digits: i32) -> Option<i256> {
    i256::from(10_i128).checked_pow(u32::try_from(digits).ok()?)
}

/// The quotient that is nearest, of two as near the one further from zero.
fn rounded(of: i256, by: i256) -> Option<i128> {
    let (whole, rest) = (of.checked_div(by)?, of.checked_rem(by)?);
    let magnitude = |of: i256| if of < i256::ZERO { of.wrapping_neg() } else { of };
    let (rest, by_size) = (magnitude(rest), magnitude(by));
    let away = rest >= by_size.wrapping_sub(rest);
    let one = if (of < i256::ZERO) == (by < i256::ZERO) { i256::ONE } else { i256::MINUS_ONE };
    if away { whole.wrapping_add(one) } else { whole }.to_i128()
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::lit;

    use super::*;

    #[test]
    fn a_constant_has_the_digits_that_are_written() {
        let of = |value: f64| match constant(&lit(value)) {
            Some(Expr::Literal(value, _)) => Some(value),
            _ => None,
        };
        assert_eq!(of(1.1), Some(ScalarValue::Decimal128(Some(11), 2, 1)));
        assert_eq!(of(-0.05), Some(ScalarValue::Decimal128(Some(-5), 3, 2)));
        assert_eq!(of(1e14), Some(ScalarValue::Decimal128(Some(100_000_000_000_000), 15, 0)));
        for none in [1e15, 1e-20, f64::NAN, f64::INFINITY] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn a_quotient_is_rounded_away_from_zero() {
        for (left, right, digits, expected) in
            [(2, 3, 4, 6667), (-2, 3, 4, -6667), (1, 3, 4, 3333), (1, -2, 0, -1), (1, 2, 0, 1), (7, 7, 2, 100)]
        {
            assert_eq!(quotient(left, right, digits), Some(expected), "{left} / {right}");
        }
        assert_eq!(quotient(i128::MAX, 1, 20), None);
        assert_eq!(product(10_i128.pow(25), 10_i128.pow(25), 20), Some(10_i128.pow(30)));
        assert_eq!(product(15, 1, 1), Some(2));
        assert_eq!(worked_out(Operator::Modulo, (155, 2), (7, 1), 2), Some(15));
        assert_eq!(worked_out(Operator::Modulo, (-155, 2), (2, 0), 2), Some(-155));
        assert_eq!(worked_out(Operator::Modulo, (10_i128.pow(37), 0), (7, 37), 37), Some(2));
    }
}
