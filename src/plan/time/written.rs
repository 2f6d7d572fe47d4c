//! `to_char` of times and intervals, by the templates of Postgres and by the formats of DataFusion, which have a `%`; of times of any year: DataFusion's
//! takes every time in ns, for which far years have no room.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType};
use datafusion::arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::functions::datetime;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::template::{self, Written};
use crate::error::Error;
use crate::frame::batch::ts_type;
use crate::settings::TimeZone;

/// The function in place of DataFusion's.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    let signature = Signature::user_defined(Volatility::Immutable);
    [Arc::new(ScalarUDF::new_from_impl(ToChar { inner: datetime::to_char(), signature }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToChar {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

const SPAN: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let text = |of: &DataType| matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null);
        let [of, format] = given else { return plan_err!("to_char takes a time and a template") };
        let of = match of {
            _ if !text(format) => return plan_err!("to_char takes a time and a template"),
            DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
            of if text(of) => ts_type(),
            DataType::Interval(_) => SPAN,
            DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) | DataType::Duration(_) => of.clone(),
            _ => return plan_err!("to_char takes a time and a template"),
        };
        Ok(vec![of, DataType::Utf8])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [values, templates] = args.args.as_slice() else { return exec_err!("to_char takes a time and a template") };
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let n_rows = if constant { 1 } else { args.number_rows };
        let templates = templates.to_array(n_rows)?;
        let templates = templates.as_string::<i32>();
        if templates.iter().flatten().any(is_format) {
            return self.inner.invoke_with_args(args);
        }
        let values = Values::of(values.to_array(n_rows)?)?;
        let one = |row: usize| -> Result<Option<String>> {
            let Some(value) = (if templates.is_null(row) { None } else { values.at(row) }) else { return Ok(None) };
            match template::written(templates.value(row), &value) {
                Some(text) => Ok(Some(text)),
                None => {
                    let message = "invalid format specification for an interval value".to_owned();
                    Err(Error::Encode { code: "22007", message }.into())
                }
            }
        };
        let found = (0..n_rows).map(one).collect::<Result<StringArray>>()?;
        Ok(if constant { ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?) } else { ColumnarValue::Array(Arc::new(found)) })
    }
}

/// Whether a template is a format of DataFusion's: a letter follows a `%`, perhaps with a sign between them.
fn is_format(template: &str) -> bool {
    template
        .split('%')
        .skip(1)
        .any(|rest| rest.trim_start_matches(['-', '_', '#', ':', '.', '3', '6', '9']).starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// What is written, by how it is kept.
enum Values {
    Times(ArrayRef, Option<TimeZone>),
    Days(ArrayRef),
    Intervals(ArrayRef),
}

impl Values {
    fn of(values: ArrayRef) -> Result<Values> {
        Ok(match values.data_type() {
            DataType::Date32 => Values::Days(values),
            DataType::Date64 => Values::Days(cast(&values, &DataType::Date32)?),
            DataType::Timestamp(_, zone) => {
                let zone = zone.as_deref().map(TimeZone::of_arrow);
                Values::Times(cast(&values, &DataType::Timestamp(TimeUnit::Microsecond, None))?, zone)
            }
            // What clocks show has passed since midnight.
            DataType::Time32(_) | DataType::Time64(_) => {
                let us = cast(&cast(&values, &DataType::Time64(TimeUnit::Microsecond))?, &DataType::Int64)?;
                Values::Intervals(cast(&cast(&us, &DataType::Duration(TimeUnit::Microsecond))?, &SPAN)?)
            }
            _ => Values::Intervals(cast(&values, &SPAN)?),
        })
    }

    /// The value of a row; None for NULL and for infinity.
    fn at(&self, row: usize) -> Option<Written> {
        match self {
            Values::Times(values, zone) => {
                let us = values.as_primitive::<TimestampMicrosecondType>();
                let us = us.is_valid(row).then(|| us.value(row))?;
                let shown = us.checked_add(zone.map_or(0, |zone| i64::from(zone.offset_s(us)) * 1_000_000))?;
                Some(Written::Time(timestamp_us_to_datetime(shown)?, zone.map(|zone| (zone, us))))
            }
            Values::Days(values) => {
                let days = values.as_primitive::<Date32Type>();
                let us = days.is_valid(row).then(|| i64::from(days.value(row)).checked_mul(86_400_000_000))??;
                Some(Written::Time(timestamp_us_to_datetime(us)?, None))
            }
            Values::Intervals(values) => {
                let spans = values.as_primitive::<IntervalMonthDayNanoType>();
                let span = spans.is_valid(row).then(|| spans.value(row))?;
                Some(Written::Interval(span.months, span.days, span.nanoseconds / 1000))
            }
        }
    }
}
