//! `repeat`, `lpad` and `rpad` that err where their text would be longer than Postgres lets one be (54000); DataFusion's own take the memory first.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::error::Result;
use datafusion::functions::{string, unicode};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

use crate::error::Error;

/// The most bytes of a value in Postgres: MaxAllocSize of its memutils.h, of which four are the value's header.
const MOST_BYTES: u64 = (1 << 30) - 5;

/// The functions, in place of DataFusion's of the same names.
pub(super) fn functions() -> [Arc<ScalarUDF>; 3] {
    [string::repeat(), unicode::lpad(), unicode::rpad()].map(|inner| Arc::new(ScalarUDF::new_from_impl(Limited { inner })))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Limited {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for Limited {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(given)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let [text, n, ..] = ColumnarValue::values_to_arrays(&args.args)?.as_slice() {
            let (texts, n) = (cast(text, &DataType::Utf8)?, cast(n, &DataType::Int64)?);
            let of_all = texts.as_string::<i32>().iter().zip(n.as_primitive::<Int64Type>()).map(|(text, n)| self.n_bytes(text?, n?));
            let mut sum = 0_u64;
            let too_long = of_all.flatten().any(|n_bytes| {
                sum = sum.saturating_add(n_bytes);
                // Those of one batch stand in one buffer of Arrow's, whose offsets have 31 bits.
                n_bytes > MOST_BYTES || sum > i32::MAX as u64
            });
            if too_long {
                return Err(Error::Encode { code: "54000", message: "requested length too large".into() }.into());
            }
        }
        self.inner.invoke_with_args(args)
    }
}

impl Limited {
    /// The bytes of the text, or the least that it can have.
    fn n_bytes(&self, text: &str, n: i64) -> Option<u64> {
        let n = u64::try_from(n).ok()?;
        Some(if self.name() == "repeat" { n.saturating_mul(text.len() as u64) } else { n })
    }
}
