//! `pg_sleep(seconds)`: waits, without a thread, until the time has passed by the clock or the statement is cancelled.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use async_trait::async_trait;
use datafusion::common::{exec_err, not_impl_err};
use datafusion::error::Result;
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use pgwire::api::Type;

use crate::clock::Stopwatch;
use crate::wire::value::column_types::with_type;

/// The longest wait: beyond it a float has no whole microseconds.
const MOST_SECONDS: f64 = 1e9;

/// The function. Its answer is an empty text, as a client shows Postgres' void; NULL does not wait.
pub(in crate::wire) fn udf() -> ScalarUDF {
    // Volatile: folded into a plan it would keep the planner waiting.
    let signature = Signature::exact(vec![DataType::Float64], Volatility::Volatile);
    AsyncScalarUDF::new(Arc::new(Sleep { signature })).into_scalar_udf()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sleep {
    signature: Signature,
}

impl ScalarUDFImpl for Sleep {
    fn name(&self) -> &str {
        "pg_sleep"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(with_type(Field::new(self.name(), DataType::Utf8, true), &Type::VOID)))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        not_impl_err!("pg_sleep() is for a SELECT; it is not supported in a continuous query")
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Sleep {
    async fn invoke_async_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let Some(first) = arrays.first() else { return exec_err!("pg_sleep() needs a number of seconds") };
        let seconds = cast(first, &DataType::Float64)?;
        let seconds = seconds.as_primitive::<Float64Type>();
        let mut answers = Vec::with_capacity(seconds.len());
        for seconds in seconds {
            if let Some(seconds) = seconds {
                wait(seconds).await;
            }
            answers.push(seconds.map(|_| ""));
        }
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(answers)) as ArrayRef))
    }
}

async fn wait(seconds: f64) {
    let whole = Duration::from_secs_f64(if seconds > 0.0 { seconds.min(MOST_SECONDS) } else { 0.0 });
    let stopwatch = Stopwatch::start();
    while let Some(rest) = whole.checked_sub(stopwatch.elapsed()).filter(|rest| !rest.is_zero()) {
        tokio::time::sleep(rest).await;
    }
}
