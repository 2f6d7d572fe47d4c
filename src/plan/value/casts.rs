//! Casts as Postgres does them, where DataFusion's are others: fractions are rounded to whole numbers and not cut, texts are read in the forms of
//! Postgres, and values are written in them.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Date32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, ListBuilder, StringArray,
    StringBuilder, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::cast as cast_array;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Float64Type, IntervalUnit};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, ScalarValue, internal_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};
use framesql_udfs::frame::is_frame;

use super::{infinity, numbers, read, write};
use crate::error::Error;
use crate::plan::array::text::elements;
use crate::plan::number::formula_call;
use crate::plan::time::calendar_part;
use crate::settings::TimeZone;

/// The two functions: of which the second rounds a half away from zero, as a numeric is, where a float8 goes to the even number.
static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 2]> = LazyLock::new(|| {
    [("cast_as", false), ("cast_numeric_as", true)].map(|(name, numeric)| {
        let signature = Signature::any(2, Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(CastAs { name, numeric, signature }))
    })
});

/// The functions, for plans that are read back.
pub(super) fn functions() -> [Arc<ScalarUDF>; 2] {
    FUNCTIONS.clone()
}

/// What stands for a cast that DataFusion does otherwise; None for the others. Errs for a constant that cannot be cast.
pub(in crate::plan) fn replaced(cast: &Cast, schema: &DFSchema) -> Result<Option<Expr>> {
    let Ok(from) = cast.expr.get_type(schema) else { return Ok(None) };
    let to = cast.field.data_type();
    if !differs(&from, to) {
        return Ok(None);
    }
    let [plain, numeric] = &*FUNCTIONS;
    let is_numeric = from.is_floating() && is_numeric(&cast.expr, schema) == Some(true);
    // What a source is asked for is compared with constants. A constant float8 is one that is written, and so a numeric of Postgres.
    if let Expr::Literal(value, metadata) = cast.expr.as_ref()
        && !to.is_floating()
    {
        let values = converted(&value.to_array()?, to, is_numeric)?;
        return Ok(Some(Expr::Literal(ScalarValue::try_from_array(&values, 0)?, metadata.clone())));
    }
    let function = if is_numeric { numeric } else { plain };
    Ok(Some(function.call(vec![cast.expr.as_ref().clone(), lit(ScalarValue::try_new_null(to)?)])))
}

/// Whether an expression is such a cast.
pub(in crate::plan) fn is_ours(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.inner().is::<CastAs>())
}

/// Whether an expression that is a float8 here would be numeric in Postgres, where constants with a fraction are, and what extract() gives;
/// None if either is the same: of whole numbers.
fn is_numeric(expr: &Expr, schema: &DFSchema) -> Option<bool> {
    match expr {
        Expr::Literal(ScalarValue::Float64(_), _) => Some(true),
        Expr::ScalarFunction(call) if matches!(call.func.name(), "date_part" | calendar_part::NAME) => Some(true),
        Expr::Alias(alias) => is_numeric(&alias.expr, schema),
        Expr::Negative(inner) => is_numeric(inner, schema),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo,
            right,
        }) => arithmetic(left, right, schema),
        // The operators that err when a result has no room.
        Expr::ScalarFunction(call) if call.func.name().starts_with("checked_") => match formula_call::parts(expr) {
            Some((_, values)) => values.iter().fold(None, |known, value| both(known, is_numeric(value, schema))),
            None => Some(false),
        },
        // A number was made a float to meet one; of another type it was asked for.
        Expr::Cast(cast) => match cast.expr.get_type(schema) {
            Ok(of) if of.is_integer() || of.is_decimal() => None,
            _ => Some(false),
        },
        other => match other.get_type(schema) {
            Ok(of) if of.is_integer() => None,
            Ok(of) if of.is_decimal() => Some(true),
            _ => Some(false),
        },
    }
}

/// Whether a call rounds a float8 that is one in Postgres too, to a whole number.
pub(super) fn rounds_float(call: &ScalarFunction, schema: &DFSchema) -> bool {
    match call.args.as_slice() {
        [of] if call.func.name() == "round" => {
            // The mean of whole numbers is a numeric there; of floats nothing is known here.
            let mean = of.exists(|e| Ok(matches!(e, Expr::Column(column) if column.name.starts_with("avg(")))).unwrap_or(true);
            !mean && of.get_type(schema).is_ok_and(|of| of.is_floating()) && is_numeric(of, schema) == Some(false)
        }
        _ => false,
    }
}

fn arithmetic(left: &Expr, right: &Expr, schema: &DFSchema) -> Option<bool> {
    both(is_numeric(left, schema), is_numeric(right, schema))
}

fn both(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), _) | (_, Some(true)) => Some(true),
        (None, None) => None,
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_whole(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int16 | DataType::Int32 | DataType::Int64)
}

/// Whether DataFusion casts otherwise than Postgres.
fn differs(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (from, to) if is_whole(to) => from.is_floating() || from.is_decimal(),
        // The optimiser would take a cast that loses digits away from before a comparison.
        (DataType::Decimal128(_, from), DataType::Decimal128(_, to)) => to < from,
        (from, DataType::Decimal128(..)) => is_text(from) || from.is_floating(),
        (from, DataType::Float32 | DataType::Float64) => is_text(from),
        (from, to) if infinity::casts(from, to) => true,
        (from, DataType::Timestamp(..) | DataType::Date32 | DataType::Time64(_) | DataType::Binary) => is_text(from),
        (from, DataType::Interval(IntervalUnit::MonthDayNano)) => is_text(from),
        (DataType::List(from), DataType::List(to)) => differs(from.data_type(), to.data_type()),
        (from, DataType::List(_)) => is_text(from),
        (from, to) if is_text(to) => match from {
            DataType::Float32
            | DataType::Float64
            | DataType::Decimal128(..)
            | DataType::Date32
            | DataType::Timestamp(..)
            | DataType::Time64(_) => true,
            DataType::Interval(_) | DataType::Duration(_) | DataType::Binary | DataType::Map(..) => true,
            DataType::List(of) | DataType::LargeList(of) | DataType::FixedSizeList(of, _) => !is_frame(of.data_type()),
            of @ DataType::Struct(_) => !is_frame(of),
            _ => false,
        },
        _ => false,
    }
}

/// Whether texts are read as values of a type here, and not by DataFusion.
pub fn reads(data_type: &DataType) -> bool {
    differs(&DataType::Utf8, data_type)
}

/// Texts as values of such a type, moments without a zone in the one that is given. Errs for a text that is none.
pub fn read(texts: &ArrayRef, data_type: &DataType, zone: TimeZone) -> Result<ArrayRef> {
    match data_type {
        DataType::Timestamp(unit, Some(_)) => {
            let told = DataType::Timestamp(*unit, Some(zone.arrow_name().into()));
            Ok(cast_array(&converted(texts, &told, false)?, data_type)?)
        }
        _ => converted(texts, data_type, false),
    }
}

/// The values as another type.
fn converted(values: &ArrayRef, to: &DataType, numeric: bool) -> Result<ArrayRef> {
    let from = values.data_type();
    if !differs(from, to) {
        return Ok(cast_array(values, to)?);
    }
    if is_text(from) {
        let texts = cast_array(values, &DataType::Utf8)?;
        return of_text(texts.as_string::<i32>(), to);
    }
    match to {
        to if is_text(to) => written(values, to),
        to if is_whole(to) => rounded(values, to, numeric),
        to if infinity::casts(from, to) => infinity::converted(values, to),
        DataType::Decimal128(precision, scale) if from.is_floating() => numbers::of_floats(values, *precision, *scale),
        DataType::Decimal128(precision, scale) => match from {
            DataType::Decimal128(_, of) => numbers::narrowed(values, *of, *precision, *scale),
            _ => internal_err!("{from} is not cast to {to}"),
        },
        DataType::List(field) => {
            let lists = values.as_list::<i32>();
            let inner = converted(lists.values(), field.data_type(), numeric)?;
            Ok(Arc::new(ListArray::try_new(Arc::clone(field), lists.offsets().clone(), inner, lists.nulls().cloned())?))
        }
        other => internal_err!("{from} is not cast to {other}"),
    }
}

/// Texts as what they say.
fn of_text(texts: &StringArray, to: &DataType) -> Result<ArrayRef> {
    fn each<T, A: FromIterator<Option<T>>>(texts: &StringArray, read: impl Fn(&str) -> crate::error::Result<T>) -> Result<A> {
        Ok(texts.iter().map(|text| text.map(&read).transpose()).collect::<crate::error::Result<A>>()?)
    }
    let malformed = |code: &'static str, name: &'static str| {
        move |text: &str| Error::Encode { code, message: format!("invalid input syntax for type {name}: \"{text}\"") }
    };
    Ok(match to {
        DataType::Timestamp(_, zone) => {
            let times: TimestampMicrosecondArray = match zone.as_deref().map(TimeZone::of_arrow) {
                Some(zone) => each(texts, |text| read::timestamptz(text, zone))?,
                None => each(texts, read::timestamp)?,
            };
            cast_array(&times.with_timezone_opt(zone.clone()), to)?
        }
        DataType::Date32 => Arc::new(each::<_, Date32Array>(texts, read::date)?),
        DataType::Time64(_) => {
            let times: Time64MicrosecondArray = each(texts, read::time)?;
            cast_array(&times, to)?
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let wrong = malformed("22007", "interval");
            Arc::new(each::<_, IntervalMonthDayNanoArray>(texts, |text| read::interval(text).ok_or_else(|| wrong(text)))?)
        }
        DataType::Binary => {
            let wrong = malformed("22P02", "bytea");
            let bytes: Vec<Option<Vec<u8>>> = each(texts, |text| read::bytea(text).ok_or_else(|| wrong(text)))?;
            Arc::new(bytes.iter().map(Option::as_deref).collect::<BinaryArray>())
        }
        DataType::List(field) => {
            let mut lists = ListBuilder::new(StringBuilder::new());
            for text in texts {
                if let Some(text) = text {
                    let malformed = || Error::Encode { code: "22P02", message: format!("malformed array literal: \"{text}\"") };
                    elements(text).ok_or_else(malformed)?.into_iter().for_each(|item| lists.values().append_option(item));
                }
                lists.append(text.is_some());
            }
            let lists = lists.finish();
            let inner = converted(lists.values(), field.data_type(), false)?;
            Arc::new(ListArray::try_new(Arc::clone(field), lists.offsets().clone(), inner, lists.nulls().cloned())?)
        }
        other => numbers::of_texts(texts, other)?,
    })
}

/// Values as Postgres writes them, times in the zone that their type names.
fn written(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let mut texts = StringBuilder::with_capacity(values.len(), values.len() * 16);
    let mut text = String::new();
    for row in 0..values.len() {
        if values.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        write::write(&mut text, values.as_ref(), row, TimeZone::default())?;
        texts.append_value(&text);
    }
    Ok(cast_array(&texts.finish(), to)?)
}

/// Numbers without their fractions. Errs with 22003 for what has no room.
fn rounded(values: &ArrayRef, to: &DataType, numeric: bool) -> Result<ArrayRef> {
    let (name, low, high) = match to {
        DataType::Int16 => ("smallint", i64::from(i16::MIN), i64::from(i16::MAX)),
        DataType::Int32 => ("integer", i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => ("bigint", i64::MIN, i64::MAX),
    };
    let fits = |number: Option<i64>| {
        let out_of_range = || DataFusionError::from(Error::Encode { code: "22003", message: format!("{name} out of range") });
        number.filter(|number| (low..=high).contains(number)).ok_or_else(out_of_range)
    };
    let whole: Int64Array = if values.data_type().is_floating() {
        let floats = cast_array(values, &DataType::Float64)?;
        let round = |value: f64| {
            let value = if numeric { value.round() } else { value.round_ties_even() };
            // 2^63 is the first that has no room, and NaN is in no range.
            fits((-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value).then_some(value as i64))
        };
        floats.as_primitive::<Float64Type>().iter().map(|value| value.map(round).transpose()).collect::<Result<_>>()?
    } else {
        let (_, scale) = match values.data_type() {
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => (*p, *s),
            other => return internal_err!("{other} has no fraction"),
        };
        let decimals = cast_array(values, &DataType::Decimal128(38, scale))?;
        let round = |value: i128| fits(half_away(value, scale).and_then(|whole| i64::try_from(whole).ok()));
        decimals.as_primitive::<Decimal128Type>().iter().map(|value| value.map(round).transpose()).collect::<Result<_>>()?
    };
    Ok(cast_array(&whole, to)?)
}

/// The whole number next to a decimal, of two the one further from zero.
fn half_away(digits: i128, scale: i8) -> Option<i128> {
    let power = 10i128.checked_pow(u32::from(scale.unsigned_abs()))?;
    if scale <= 0 {
        return digits.checked_mul(power);
    }
    let (whole, rest) = (digits / power, digits % power);
    Some(if rest.unsigned_abs() >= power.unsigned_abs() / 2 && rest != 0 { whole + rest.signum() } else { whole })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CastAs {
    name: &'static str,
    numeric: bool,
    signature: Signature,
}

impl ScalarUDFImpl for CastAs {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [_, to] => Ok(to.clone()),
            _ => plan_err!("{} takes a value and a NULL of the type to cast it to", self.name),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [from, to] => Ok(Arc::new(Field::new(self.name, to.data_type().clone(), from.is_nullable()))),
            _ => plan_err!("{} takes a value and a NULL of the type to cast it to", self.name),
        }
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [of, Expr::Literal(to, _)] => Ok(format!("CAST({of} AS {})", to.data_type())),
            _ => internal_err!("{} takes two arguments", self.name),
        }
    }

    /// That of a cast: what it casts.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [of, _] => Ok(of.schema_name().to_string()),
            _ => internal_err!("{} takes two arguments", self.name),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let to = args.return_field.data_type();
        match args.args.first() {
            Some(ColumnarValue::Array(values)) => Ok(ColumnarValue::Array(converted(values, to, self.numeric)?)),
            Some(ColumnarValue::Scalar(value)) => {
                let values = converted(&value.to_array()?, to, self.numeric)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?))
            }
            None => internal_err!("{} takes a value", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Decimal128Array, Float64Array};
    use datafusion::arrow::datatypes::{Int64Type, TimeUnit};

    use super::*;

    fn whole(values: ArrayRef, numeric: bool) -> Result<Vec<Option<i64>>> {
        let found = converted(&values, &DataType::Int64, numeric)?;
        Ok(found.as_primitive::<Int64Type>().iter().collect())
    }

    #[test]
    fn fractions_are_rounded() {
        let floats = || -> ArrayRef { Arc::new(Float64Array::from(vec![Some(1.5), Some(2.5), Some(-2.5), Some(2.4), None])) };
        assert_eq!(whole(floats(), false).unwrap(), [Some(2), Some(2), Some(-2), Some(2), None]);
        assert_eq!(whole(floats(), true).unwrap(), [Some(2), Some(3), Some(-3), Some(2), None]);
        let decimals = Decimal128Array::from(vec![Some(250), Some(-250), Some(249), Some(-49)]).with_precision_and_scale(10, 2).unwrap();
        assert_eq!(whole(Arc::new(decimals), false).unwrap(), [Some(3), Some(-3), Some(2), Some(0)]);
        for value in [9.3e18, f64::NAN, f64::INFINITY] {
            assert!(whole(Arc::new(Float64Array::from(vec![value])), false).is_err(), "{value}");
        }
        let values: ArrayRef = Arc::new(Float64Array::from(vec![32_767.6]));
        assert!(converted(&values, &DataType::Int16, false).is_err());
    }

    #[test]
    fn texts_are_read_and_values_written() {
        let of = |text: &str, to: &DataType| -> Result<String> {
            let texts: ArrayRef = Arc::new(StringArray::from(vec![text]));
            let back = converted(&converted(&texts, to, false)?, &DataType::Utf8, false)?;
            Ok(back.as_string::<i32>().value(0).to_owned())
        };
        let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        for (text, to, expected) in [
            ("2026-05-01 12:30+02", zoned, "2026-05-01 10:30:00+00"),
            ("2026-05-01 12:30", DataType::Date32, "2026-05-01"),
            ("P1DT2H", DataType::Interval(IntervalUnit::MonthDayNano), "1 day 02:00:00"),
            ("\\xDEADbeef", DataType::Binary, "\\xdeadbeef"),
            ("{\"a b\",c,NULL}", DataType::new_list(DataType::Utf8, true), "{\"a b\",c,NULL}"),
            ("{1,2}", DataType::new_list(DataType::Int32, true), "{1,2}"),
            ("{}", DataType::new_list(DataType::Float64, true), "{}"),
        ] {
            assert_eq!(of(text, &to).unwrap(), expected);
        }
        for (text, to) in [("{1", DataType::new_list(DataType::Int32, true)), ("\\xd", DataType::Binary), ("12:30", DataType::Date32)] {
            assert!(of(text, &to).is_err(), "{text}");
        }
    }
}
