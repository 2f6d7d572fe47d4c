//! `ceil`, `floor` and `trunc` of numerics, which keep no digits behind the point, or those that are asked for, as in Postgres: DataFusion's show zeros in
//! their places.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Decimal128Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int32Type};
use datafusion::common::{ScalarValue, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::functions::math;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The functions, in place of DataFusion's.
pub(super) fn functions() -> [Arc<ScalarUDF>; 3] {
    [(math::ceil(), Way::Up), (math::floor(), Way::Down), (math::trunc(), Way::ToZero)].map(|(of_others, way)| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Whole { of_others, way, signature }))
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    Up,
    Down,
    ToZero,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Whole {
    /// That of floats.
    of_others: Arc<ScalarUDF>,
    way: Way,
    signature: Signature,
}

impl ScalarUDFImpl for Whole {
    fn name(&self) -> &str {
        self.of_others.name()
    }

    fn aliases(&self) -> &[String] {
        self.of_others.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let of = match given {
            [of] => of,
            [of, _] if self.way == Way::ToZero => of,
            _ => {
                return plan_err!("{} takes one number{}", self.name(), if self.way == Way::ToZero { ", and how many places" } else { "" });
            }
        };
        let kept = match of {
            DataType::Decimal128(..) | DataType::Float32 | DataType::Float64 => of.clone(),
            of if of.is_numeric() || of.is_null() => DataType::Float64,
            other => return plan_err!("{} takes a number, and no {other}", self.name()),
        };
        let places = if kept.is_floating() { DataType::Int64 } else { DataType::Int32 };
        Ok([kept, places].into_iter().take(given.len()).collect())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("{} tells its type of its arguments", self.name())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let Some(of) = args.arg_fields.first() else { return internal_err!("{} takes a number", self.name()) };
        let data_type = match of.data_type() {
            DataType::Decimal128(precision, scale) => {
                // Where the places are no constant, all digits stay.
                let places = match args.scalar_arguments.get(1) {
                    None => 0,
                    Some(Some(ScalarValue::Int32(Some(places)))) => i8::try_from(*places).unwrap_or(*scale).clamp(0, *scale),
                    Some(_) => *scale,
                };
                // One that keeps them all is as it was; of others the scale is known.
                DataType::Decimal128(if places == *scale { *precision } else { (*precision).min(37) }, places)
            }
            other => other.clone(),
        };
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Decimal128(precision, to) = *args.return_field.data_type() else { return self.of_others.invoke_with_args(args) };
        let mut values = args.args.iter();
        let (Some(of), places) = (values.next(), values.next()) else { return internal_err!("{} takes a number", self.name()) };
        let of = of.to_array(args.number_rows)?;
        let DataType::Decimal128(_, scale) = *of.data_type() else { return internal_err!("{} takes a numeric", self.name()) };
        let places: ArrayRef = match places {
            Some(places) => cast(&places.to_array(args.number_rows)?, &DataType::Int32)?,
            None => ScalarValue::Int32(Some(0)).to_array_of_size(args.number_rows)?,
        };
        let one = |(value, places): (Option<i128>, Option<i32>)| {
            let (value, places) = (value?, places?);
            // With as many digits as the value has there is nothing to take.
            let dropped = u32::try_from((i32::from(scale)).saturating_sub(places)).unwrap_or(0);
            let unit = 10_i128.checked_pow(dropped);
            let whole = unit.map_or(0, |unit| match self.way {
                Way::Up => -(-value).div_euclid(unit) * unit,
                Way::Down => value.div_euclid(unit) * unit,
                Way::ToZero => value / unit * unit,
            });
            Some(whole / 10_i128.pow(u32::try_from(scale - to).unwrap_or(0)))
        };
        let found: Decimal128Array = of.as_primitive::<Decimal128Type>().iter().zip(places.as_primitive::<Int32Type>()).map(one).collect();
        Ok(ColumnarValue::Array(Arc::new(found.with_precision_and_scale(precision, to)?)))
    }
}
