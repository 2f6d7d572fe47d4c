//! `+`, `-` and `*` that err when the result has no room (22003), and `/` of floats that errs for zero (22012), as in Postgres; DataFusion's own wrap
//! around in silence, or give infinity.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Datum, PrimitiveArray};
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::{formula_call, numerics};
use crate::error::Error;

/// The functions, for plans that are read back: no query names them, so no session has them.
pub fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().map(|(_, function)| Arc::clone(function)).chain([formula_call::function()]).chain(numerics::functions())
}

static FUNCTIONS: LazyLock<[(Operator, Arc<ScalarUDF>); 4]> = LazyLock::new(|| {
    let all = [
        (Operator::Plus, "checked_add"),
        (Operator::Minus, "checked_sub"),
        (Operator::Multiply, "checked_mul"),
        (Operator::Divide, "checked_div"),
    ];
    all.map(|(operator, name)| {
        let function = Checked { operator, name, signature: Signature::any(2, Volatility::Immutable) };
        (operator, Arc::new(ScalarUDF::new_from_impl(function)))
    })
});

/// The call in place of an operator on two numbers of one type, as one with the calls in its operands; None where DataFusion's own operator does it.
pub(in crate::plan) fn call(left: &mut Expr, operator: Operator, right: &mut Expr, of: &DataType) -> Option<Expr> {
    let is_checked = match operator {
        Operator::Plus | Operator::Minus | Operator::Multiply => true,
        Operator::Divide if of.is_floating() => true,
        // Of integers DataFusion's own errs, by itself.
        Operator::Divide | Operator::Modulo if !of.is_floating() => {
            formula_call::parts(left).is_some() || formula_call::parts(right).is_some()
        }
        _ => false,
    };
    let nothing = || Expr::Literal(ScalarValue::Null, None);
    is_checked.then(|| formula_call::joined(std::mem::replace(left, nothing()), operator, std::mem::replace(right, nothing())))
}

/// `-x` of an integer as what is left of zero, which errs where it has no room; None for other numbers.
pub(in crate::plan) fn negated(of: &Expr, schema: &DFSchema) -> Option<Expr> {
    let zero = match type_of(of, schema)? {
        DataType::Int16 => ScalarValue::Int16(Some(0)),
        DataType::Int32 => ScalarValue::Int32(Some(0)),
        DataType::Int64 => ScalarValue::Int64(Some(0)),
        _ => return None,
    };
    Some(formula_call::joined(Expr::Literal(zero, None), Operator::Minus, of.clone()))
}

/// One operator's call; DataFusion's own where that errs by itself.
pub(in crate::plan) fn one(left: Expr, operator: Operator, right: Expr) -> Expr {
    match FUNCTIONS.iter().find(|(o, _)| *o == operator) {
        Some((_, function)) => function.call(vec![left, right]),
        None => Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right))),
    }
}

/// The operator of a call.
pub(super) fn operator_of(call: &ScalarFunction) -> Option<Operator> {
    let function = call.func.inner().downcast_ref::<Checked>()?;
    (call.args.len() == 2).then_some(function.operator)
}

/// The type of an expression, if it is one of numbers whose sums may overflow. That of a call is that of its values.
pub(in crate::plan) fn type_of(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    match formula_call::parts(expr) {
        Some((_, values)) => values.last().and_then(|value| type_of(value, schema)),
        None => expr.get_type(schema).ok().filter(may_overflow),
    }
}

/// Whether a type is one of numbers whose sums may overflow.
fn may_overflow(data_type: &DataType) -> bool {
    let is_integer = matches!(data_type, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64);
    is_integer || matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// A condition whose second part divides only where the first leaves it open, as in `h > 0 AND w / h > 1`: DataFusion reads both parts for all rows.
/// None for other conditions, and where the first says nothing of what it is divided by.
pub(in crate::plan) fn in_turn(condition: &BinaryExpr) -> Result<Option<Expr>> {
    let BinaryExpr { left, op, right } = condition;
    let mut divisors = HashSet::new();
    right.apply(|e| {
        divisors.extend(formula_call::divisors(e).into_iter().flat_map(Expr::column_refs).cloned());
        Ok(TreeNodeRecursion::Continue)
    })?;
    if divisors.is_empty() {
        return Ok(None);
    }
    let mut parts = Vec::new();
    split(left, *op, &mut parts);
    // A part that divides itself waits for others: asked again it would bring what it waits for along, and so every part all before it.
    let divides = |part: &Expr| part.exists(|e| Ok(!formula_call::divisors(e).is_empty())).unwrap_or(true);
    let tells = |part: &&Expr| part.column_refs().into_iter().any(|column| divisors.contains(column)) && !divides(part);
    let of_both = |a: Expr, b: Expr| Expr::BinaryExpr(BinaryExpr::new(Box::new(a), *op, Box::new(b)));
    let Some(first) = parts.into_iter().filter(tells).cloned().reduce(of_both) else { return Ok(None) };
    let open = if *op == Operator::And { first.is_not_false() } else { first.is_not_true() };
    // A CASE of a condition would be made AND and OR again, one of a number is left alone.
    let guarded = right.as_ref().clone().transform_down(|e| {
        if formula_call::divisors(&e).is_empty() {
            return Ok(Transformed::no(e));
        }
        let asked = Expr::Case(Case::new(None, vec![(Box::new(open.clone()), Box::new(e))], None));
        Ok(Transformed::new(asked, true, TreeNodeRecursion::Jump))
    })?;
    Ok(Some(of_both(left.as_ref().clone(), guarded.data)))
}

/// The parts of a condition between which that operator stands.
pub(in crate::plan) fn split<'a>(condition: &'a Expr, of: Operator, parts: &mut Vec<&'a Expr>) {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if *op == of => {
            split(left, of, parts);
            split(right, of, parts);
        }
        part => parts.push(part),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operator: Operator,
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [left, _] => Ok(left.clone()),
            _ => internal_err!("{} takes two arguments", self.name),
        }
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        shown(self.operator, args)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        named(self.operator, args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else { return internal_err!("{} takes two arguments", self.name) };
        work_out(self.operator, left, right)
    }
}

/// The text of a call that stands for an operator, in parentheses, as names tell expressions apart.
pub(super) fn shown(operator: Operator, operands: &[Expr]) -> Result<String> {
    match operands {
        [left, right] => Ok(format!("({left} {operator} {right})")),
        _ => internal_err!("{operator} takes two operands"),
    }
}

/// The name of the column that such a call gives.
pub(super) fn named(operator: Operator, operands: &[Expr]) -> Result<String> {
    match operands {
        [left, right] => Ok(format!("({} {operator} {})", left.schema_name(), right.schema_name())),
        _ => internal_err!("{operator} takes two operands"),
    }
}

/// What an operator gives of two numbers, or of two columns of them.
pub(super) fn work_out(operator: Operator, left: &ColumnarValue, right: &ColumnarValue) -> Result<ColumnarValue> {
    let run = |left: &dyn Datum, right: &dyn Datum| -> Result<ArrayRef, ArrowError> {
        match operator {
            Operator::Minus => numeric::sub(left, right),
            Operator::Multiply => numeric::mul(left, right),
            Operator::Divide => numeric::div(left, right),
            Operator::Modulo => numeric::rem(left, right),
            _ => numeric::add(left, right),
        }
    };
    let found = match (left, right) {
        (ColumnarValue::Array(l), ColumnarValue::Array(r)) => ColumnarValue::Array(run(l, r)?),
        (ColumnarValue::Array(l), ColumnarValue::Scalar(r)) => ColumnarValue::Array(run(l, &r.to_scalar()?)?),
        (ColumnarValue::Scalar(l), ColumnarValue::Array(r)) => ColumnarValue::Array(run(&l.to_scalar()?, r)?),
        (ColumnarValue::Scalar(l), ColumnarValue::Scalar(r)) => {
            let value = run(&l.to_scalar()?, &r.to_scalar()?)?;
            ColumnarValue::Scalar(ScalarValue::try_from_array(&value, 0)?)
        }
    };
    match found.data_type() {
        DataType::Float32 => finite::<Float32Type>(operator, [left, right], found, f32::NAN),
        DataType::Float64 => finite::<Float64Type>(operator, [left, right], found, f64::NAN),
        _ => Ok(found),
    }
}

/// What was found, with one NaN for all: a processor's own has a sign, by which it would be no key like another's, and less than every number. Errs where
/// floats gave what none of them was: infinity, or a zero of what is too small.
fn finite<T>(operator: Operator, of: [&ColumnarValue; 2], given: ColumnarValue, nan: T::Native) -> Result<ColumnarValue>
where
    T: ArrowPrimitiveType<Native: Into<f64>>,
{
    let [left, right] = of;
    let n_rows = of.iter().find_map(|of| if let ColumnarValue::Array(values) = of { Some(values.len()) } else { None }).unwrap_or(1);
    let found = given.to_array(n_rows)?;
    let found: &PrimitiveArray<T> = found.as_primitive();
    let scales = matches!(operator, Operator::Multiply | Operator::Divide);
    let suspect = |value: f64| !value.is_finite() || scales && value == 0.0;
    // Mostly there is none.
    if !found.values().iter().any(|value| suspect((*value).into())) {
        return Ok(given);
    }
    let (left, right) = (left.to_array(n_rows)?, right.to_array(n_rows)?);
    let (left, right): (&PrimitiveArray<T>, &PrimitiveArray<T>) = (left.as_primitive(), right.as_primitive());
    for ((found, left), right) in found.iter().zip(left).zip(right) {
        let (Some(found), Some(left), Some(right)) = (found, left, right) else { continue };
        let (found, left, right): (f64, f64, f64) = (found.into(), left.into(), right.into());
        if operator == Operator::Divide && right == 0.0 && !left.is_nan() {
            return Err(Error::Encode { code: "22012", message: "division by zero".into() }.into());
        }
        let which = match operator {
            _ if found.is_infinite() && left.is_finite() && right.is_finite() => "overflow",
            Operator::Multiply if found == 0.0 && left != 0.0 && right != 0.0 => "underflow",
            Operator::Divide if found == 0.0 && left != 0.0 && right.is_finite() => "underflow",
            _ => continue,
        };
        return Err(Error::Encode { code: "22003", message: format!("value out of range: {which}") }.into());
    }
    let is_nan = |value: T::Native| Into::<f64>::into(value).is_nan();
    if !found.values().iter().any(|value| is_nan(*value)) {
        return Ok(given);
    }
    let plain: ArrayRef = Arc::new(found.unary::<_, T>(|value| if is_nan(value) { nan } else { value }));
    Ok(match given {
        ColumnarValue::Array(_) => ColumnarValue::Array(plain),
        ColumnarValue::Scalar(_) => ColumnarValue::Scalar(ScalarValue::try_from_array(&plain, 0)?),
    })
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Float64Array;

    use super::*;

    fn check(operator: Operator, left: f64, right: f64, found: f64) -> Result<ColumnarValue> {
        let of = |value: f64| ColumnarValue::Array(Arc::new(Float64Array::from(vec![Some(value), None])));
        finite::<Float64Type>(operator, [&of(left), &of(right)], of(found), f64::NAN)
    }

    #[test]
    fn one_nan_is_as_another() {
        let ColumnarValue::Array(found) = check(Operator::Minus, f64::INFINITY, f64::INFINITY, -f64::NAN).unwrap() else {
            panic!("one value")
        };
        let found: &Float64Array = found.as_primitive();
        assert!(found.value(0).is_nan() && found.value(0).is_sign_positive() && found.is_null(1));
    }

    #[test]
    fn floats_have_no_room_for_everything() {
        assert!(check(Operator::Divide, 1.0, 0.0, f64::INFINITY).unwrap_err().to_string().contains("division by zero"));
        assert!(check(Operator::Multiply, 1e308, 10.0, f64::INFINITY).unwrap_err().to_string().contains("overflow"));
        assert!(check(Operator::Multiply, 1e-300, 1e-300, 0.0).unwrap_err().to_string().contains("underflow"));
        for (operator, left, right, found) in [
            (Operator::Plus, f64::INFINITY, 1.0, f64::INFINITY),
            (Operator::Divide, f64::NAN, 0.0, f64::NAN),
            (Operator::Divide, 0.0, 2.0, 0.0),
            (Operator::Divide, 1.0, f64::INFINITY, 0.0),
            (Operator::Multiply, 0.0, 2.0, 0.0),
        ] {
            assert!(check(operator, left, right, found).is_ok(), "{left} {operator} {right}");
        }
    }

    #[test]
    fn what_divides_waits_for_what_stands_before_it() {
        use datafusion::prelude::{col, lit};
        let condition = |right: Expr| match col("h").gt(lit(0)).and(right) {
            Expr::BinaryExpr(condition) => in_turn(&condition).unwrap(),
            _ => None,
        };
        assert!(condition((col("w") / col("h")).gt(lit(1))).is_some());
        assert!(condition((col("w") / lit(2)).gt(lit(1))).is_none());
        assert!(condition((col("w") / col("k")).gt(lit(1))).is_none());
        assert!(condition(col("w").gt(lit(1))).is_none());
    }
}
