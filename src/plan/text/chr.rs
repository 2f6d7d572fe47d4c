//! `chr(n)` that errs for 0, as in Postgres: no text has a zero byte, at which clients in C would cut it.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::functions::string;
use datafusion::logical_expr::ScalarUDF;

use crate::error::Error;
use crate::plan::guarded::{Guard, guarded};

/// The function, in place of DataFusion's.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [guarded(string::chr(), NotZero)]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NotZero;

impl Guard for NotZero {
    fn before(&self, _: &str, given: &[ArrayRef]) -> Result<()> {
        let Some(n) = given.first() else { return Ok(()) };
        if cast(n, &DataType::Int64)?.as_primitive::<Int64Type>().iter().any(|n| n == Some(0)) {
            return Err(Error::Encode { code: "54000", message: "null character not permitted".into() }.into());
        }
        Ok(())
    }
}
