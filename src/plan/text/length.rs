//! `length` and `octet_length` as in Postgres: of text in characters and bytes, of bytea in bytes, which DataFusion's do not take.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::kernels::length::length;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::functions::{string, unicode};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The two functions.
pub(super) fn functions() -> [Arc<ScalarUDF>; 2] {
    [("length", unicode::character_length()), ("octet_length", string::octet_length())].map(|(name, text)| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Length { name, text, signature }))
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Length {
    name: &'static str,
    /// The same of text.
    text: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for Length {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)] => Ok(vec![DataType::Binary]),
            [DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null] => Ok(vec![DataType::Utf8]),
            [other] => plan_err!("the argument of {} is text or bytea, not {other}", self.name),
            _ => plan_err!("{} takes one argument", self.name),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.first() {
            Some(value) if value.data_type() == DataType::Binary => {
                let lengths: ArrayRef = length(value.to_array(args.number_rows)?.as_ref())?;
                Ok(ColumnarValue::Array(lengths))
            }
            _ => self.text.invoke_with_args(args),
        }
    }
}
