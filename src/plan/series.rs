//! `generate_series` of times as in Postgres: of dates it gives timestamptz, and its step may be written as text.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::error::Result;
use datafusion::functions_nested::range::gen_series_udf;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::frame::batch::ts_type;

/// The function, in place of DataFusion's of the same name.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::new(ScalarUDF::new_from_impl(Series { inner: gen_series_udf(), signature: Signature::user_defined(Volatility::Immutable) }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Series {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for Series {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let time = |of: &DataType| matches!(of, DataType::Date32 | DataType::Timestamp(..));
        let zoned = |of: &DataType| matches!(of, DataType::Date32 | DataType::Timestamp(_, Some(_)));
        if let [begin, end, _] = given
            && (time(begin) || time(end))
        {
            let of = if zoned(begin) || zoned(end) { ts_type() } else { DataType::Timestamp(TimeUnit::Microsecond, None) };
            return Ok(vec![of.clone(), of, DataType::Interval(IntervalUnit::MonthDayNano)]);
        }
        if given.iter().all(|of| of.is_integer() || of.is_null()) {
            return Ok(vec![DataType::Int64; given.len()]);
        }
        datafusion::common::plan_err!("generate_series takes whole numbers, or two times and an interval")
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
    }
}
