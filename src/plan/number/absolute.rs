//! abs() that errs where the number has no positive of its size, as in Postgres: DataFusion's gives the negative one.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Int16Type, Int32Type, Int64Type};
use datafusion::error::Result;
use datafusion::functions::math;
use datafusion::logical_expr::ScalarUDF;

use crate::error::Error;
use crate::plan::guarded::{Guard, guarded};

/// The function in place of DataFusion's.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [guarded(math::abs(), OutOfRange)]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OutOfRange;

impl Guard for OutOfRange {
    fn before(&self, _: &str, given: &[ArrayRef]) -> Result<()> {
        let Some(values) = given.first() else { return Ok(()) };
        let (least, name) = match values.data_type() {
            DataType::Int16 => (values.as_primitive::<Int16Type>().iter().flatten().any(|value| value == i16::MIN), "smallint"),
            DataType::Int32 => (values.as_primitive::<Int32Type>().iter().flatten().any(|value| value == i32::MIN), "integer"),
            DataType::Int64 => (values.as_primitive::<Int64Type>().iter().flatten().any(|value| value == i64::MIN), "bigint"),
            _ => return Ok(()),
        };
        if least {
            return Err(Error::Encode { code: "22003", message: format!("{name} out of range") }.into());
        }
        Ok(())
    }
}
