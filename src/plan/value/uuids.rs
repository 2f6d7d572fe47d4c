//! A list of texts told as one of uuids. It is a function and no cast: DataFusion keeps one value of a list, as a cast of it gives, without what is said of
//! its elements.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::utils::take_function_args;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::text_type::TextType;

static UUIDS: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Uuids { signature: Signature::any(1, Volatility::Immutable) })));

/// The function, for plans that are read back.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::clone(&UUIDS)
}

/// The list told as one of uuids.
pub(in crate::plan) fn told(list: Expr) -> Expr {
    UUIDS.call(vec![list])
}

/// Whether a list is told as one.
pub(in crate::plan) fn is_told(list: &DataType) -> bool {
    matches!(list, DataType::List(item) if TextType::of_field(item) == Some(TextType::Uuid))
}

/// The type of a list of texts of which nothing is said.
pub(in crate::plan) fn texts() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Uuids {
    signature: Signature,
}

impl ScalarUDFImpl for Uuids {
    fn name(&self) -> &str {
        "framesql_uuids"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        let item = Field::new_list_field(DataType::Utf8, true).with_metadata(TextType::Uuid.metadata());
        Ok(DataType::List(Arc::new(item)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [list] = take_function_args(self.name(), args.args)?;
        let lists = list.into_array(args.number_rows)?;
        Ok(ColumnarValue::Array(cast(&lists, args.return_field.data_type())?))
    }
}
