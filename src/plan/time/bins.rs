//! `date_bin` of any year, as in Postgres: DataFusion's has no room for times outside of the years 1678 to 2261.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::Error;
use crate::frame::batch::ts_type;

const LOCAL: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
const SPAN: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

static FUNCTION: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Bin { signature: Signature::user_defined(Volatility::Immutable) })));

/// The function in place of DataFusion's.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::clone(&FUNCTION)]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bin {
    signature: Signature,
}

impl ScalarUDFImpl for Bin {
    fn name(&self) -> &str {
        "date_bin"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let text = |of: &DataType| matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null);
        let time = |of: &DataType| text(of) || matches!(of, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
        match given {
            [stride, of @ ..] if matches!(of.len(), 1 | 2) && of.iter().all(time) => {
                if !text(stride) && !matches!(stride, DataType::Interval(_) | DataType::Duration(_)) {
                    return plan_err!("date_bin takes an interval, a time and an origin");
                }
                // What is no moment is one by the clocks of the session; the origin is of the same kind.
                let kind = if matches!(of.first(), Some(DataType::Timestamp(_, None))) { LOCAL } else { ts_type() };
                Ok(std::iter::once(SPAN).chain(of.iter().map(|_| kind.clone())).collect())
            }
            _ => plan_err!("date_bin takes an interval, a time and an origin"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [_, of, ..] => Ok(of.clone()),
            _ => plan_err!("date_bin takes an interval, a time and an origin"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Timestamp(_, zone) = args.return_field.data_type().clone() else { return exec_err!("date_bin gives a time") };
        let arrays = args.args.iter().map(|value| value.to_array(args.number_rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let [strides, times, origin @ ..] = arrays.as_slice() else { return exec_err!("date_bin takes an interval and a time") };
        let of_us = |times: &ArrayRef| cast(times, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()));
        let (strides, times) = (cast(strides, &SPAN)?, of_us(times)?);
        let origins = origin.first().map(of_us).transpose()?;
        let (strides, times) = (strides.as_primitive::<IntervalMonthDayNanoType>(), times.as_primitive::<TimestampMicrosecondType>());
        let origins = origins.as_ref().map(|origins| origins.as_primitive::<TimestampMicrosecondType>());
        let one = |row: usize| -> Result<Option<i64>> {
            if strides.is_null(row) || times.is_null(row) || origins.is_some_and(|origins| origins.is_null(row)) {
                return Ok(None);
            }
            let span = strides.value(row);
            if span.months != 0 {
                let message = "timestamps cannot be binned into intervals containing months or years";
                return Err(Error::unsupported(message, "Use date_trunc('month', t).").into());
            }
            let days_us = i64::from(span.days).checked_mul(86_400_000_000);
            let stride = days_us.and_then(|us| us.checked_add(span.nanoseconds / 1_000));
            let stride = stride.filter(|us| *us > 0).ok_or_else(|| wrong("stride must be greater than zero"))?;
            let (us, origin) = (times.value(row), origins.map_or(0, |origins| origins.value(row)));
            let start = bin(us, stride, origin).ok_or_else(|| wrong("timestamp out of range"))?;
            Ok(Some(start))
        };
        let found = (0..args.number_rows).map(one).collect::<Result<TimestampMicrosecondArray>>()?;
        Ok(ColumnarValue::Array(Arc::new(found.with_timezone_opt(zone))))
    }

    /// Times that follow each other are in bins that do.
    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        Ok(match input {
            [stride, of, rest @ ..] if [stride].into_iter().chain(rest).all(|one| one.sort_properties == SortProperties::Singleton) => {
                of.sort_properties
            }
            _ => SortProperties::Unordered,
        })
    }
}

fn wrong(message: &str) -> Error {
    Error::Encode { code: "22008", message: message.to_owned() }
}

/// The start of the bin in which a time is; that of infinity is itself.
fn bin(us: i64, stride: i64, origin: i64) -> Option<i64> {
    if matches!(us, i64::MAX | i64::MIN) {
        return Some(us);
    }
    us.checked_sub(us.checked_sub(origin)?.rem_euclid(stride))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_the_origin_has_a_bin() {
        assert_eq!(bin(17, 5, 1), Some(16));
        assert_eq!(bin(-3, 5, 0), Some(-5));
        assert_eq!(bin(i64::MAX, 5, 0), Some(i64::MAX));
        assert_eq!(bin(i64::MAX - 1, 5, -10), None);
    }
}
