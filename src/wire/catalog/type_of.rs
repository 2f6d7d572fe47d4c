//! `pg_typeof`, which tells a value's type, and `gen_random_uuid`, whose type is told.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;
use datafusion::functions::string;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::functions::format_type;
use crate::engine::relation::TextType;
use crate::wire::value::columns;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    /// The name of a value's type.
    TypeOf,
    /// A new uuid, a row each.
    RandomUuid,
}

/// The list.
pub(in crate::wire) fn udfs() -> impl Iterator<Item = ScalarUDF> {
    [("pg_typeof", What::TypeOf), ("gen_random_uuid", What::RandomUuid)].into_iter().map(|(name, what)| {
        let (of, volatility) = match what {
            What::TypeOf => (TypeSignature::Any(1), Volatility::Stable),
            What::RandomUuid => (TypeSignature::Nullary, Volatility::Volatile),
        };
        ScalarUDF::new_from_impl(Told { name, what, signature: Signature::new(of, volatility) })
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Told {
    name: &'static str,
    what: What,
    signature: Signature,
}

impl ScalarUDFImpl for Told {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let metadata = if self.what == What::RandomUuid { TextType::Uuid.metadata() } else { Default::default() };
        Ok(Arc::new(Field::new(self.name, DataType::Utf8, true).with_metadata(metadata)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.what == What::RandomUuid {
            return string::uuid().invoke_with_args(args);
        }
        let Some(of) = args.arg_fields.first() else { return exec_err!("pg_typeof() takes a value") };
        let name = if of.data_type().is_null() { "unknown".to_owned() } else { format_type(columns::of_field(of).oid() as i32) };
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(name))))
    }
}
