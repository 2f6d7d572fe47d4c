//! uuid and jsonb: text that is checked, and that the client is told is of its type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use pgwire::api::Type;

use crate::engine::relation::TextType;
use crate::error::Error;

/// What `x::uuid` and `x::jsonb` become.
pub(super) const UUID: &str = "uuid";
pub(super) const JSONB: &str = "jsonb";

/// Both functions.
pub(super) fn udfs() -> [ScalarUDF; 2] {
    TextType::ALL.map(|(of, name)| {
        let signature = Signature::one_of(vec![TypeSignature::Any(1)], Volatility::Immutable);
        ScalarUDF::new_from_impl(Typed { name, of, signature })
    })
}

/// The type that a field of text stands for.
pub(super) fn of_field(field: &Field) -> Option<Type> {
    TextType::of_field(field).map(|of| match of {
        TextType::Uuid => Type::UUID,
        TextType::Json => Type::JSONB,
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Typed {
    name: &'static str,
    of: TextType,
    signature: Signature,
}

impl ScalarUDFImpl for Typed {
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
        Ok(Arc::new(Field::new(self.name, DataType::Utf8, true).with_metadata(self.of.metadata())))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let Some(first) = arrays.first() else { return exec_err!("a value is needed") };
        // A struct or list is shown as jsonb anyway.
        let texts = if matches!(first.data_type(), DataType::Struct(_) | DataType::List(_)) {
            written(first)?
        } else {
            cast(first, &DataType::Utf8)?
        };
        let checked = texts.as_string::<i32>().iter().map(|text| {
            let value = text.map(|text| self.of.read(text).ok_or_else(|| unreadable(self.name, text)));
            value.transpose().map_err(DataFusionError::from)
        });
        Ok(ColumnarValue::Array(Arc::new(checked.collect::<Result<StringArray>>()?)))
    }
}

fn written(values: &ArrayRef) -> Result<ArrayRef> {
    let one = |row: usize| {
        let mut out = String::new();
        super::json::write(&mut out, values.as_ref(), row).map(|()| values.is_valid(row).then_some(out))
    };
    Ok(Arc::new((0..values.len()).map(one).collect::<crate::error::Result<StringArray>>()?))
}

fn unreadable(name: &str, text: &str) -> Error {
    let name = if name == JSONB { "json" } else { name };
    Error::Encode { code: "22P02", message: format!("invalid input syntax for type {name}: \"{text}\"") }
}

/// The 16 bytes of a uuid's binary form; None if the text is none.
pub(super) fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let digits = text.replace('-', "");
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

/// The text of a uuid's binary form.
pub(super) fn uuid_text(bytes: &[u8]) -> Option<String> {
    let number = u128::from_be_bytes(bytes.try_into().ok()?);
    TextType::Uuid.read(&format!("{number:032x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_sixteen_bytes() {
        let one = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        assert_eq!(uuid_text(&uuid_bytes(one).unwrap()).as_deref(), Some(one));
        assert_eq!(uuid_text(&[1, 2]), None);
    }
}
