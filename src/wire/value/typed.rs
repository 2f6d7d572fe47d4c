//! uuid, jsonb and json: text that is checked, and that the client is told is of its type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, ListBuilder, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{exec_err, internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use pgwire::api::Type;

use crate::engine::relation::{TextType, elements, value_json};
use crate::error::Error;
use crate::settings::TimeZone;

/// What `x::uuid`, `x::jsonb` and `x::json` become, and `x::uuid[]`, `x::jsonb[]` and `x::json[]`.
pub(in crate::wire) const UUID: &str = "uuid";
pub(in crate::wire) const JSONB: &str = "jsonb";
pub(in crate::wire) const JSON: &str = "json";
pub(in crate::wire) const UUIDS: &str = "uuid_array";
pub(in crate::wire) const JSONBS: &str = "jsonb_array";
pub(in crate::wire) const JSONS: &str = "json_array";

/// The functions.
pub(in crate::wire) fn udfs() -> [ScalarUDF; 6] {
    let all = [
        (UUID, TextType::Uuid, false),
        (JSONB, TextType::Json, false),
        (JSON, TextType::JsonText, false),
        (UUIDS, TextType::Uuid, true),
        (JSONBS, TextType::Json, true),
        (JSONS, TextType::JsonText, true),
    ];
    all.map(|(name, of, listed)| {
        let signature = Signature::one_of(vec![TypeSignature::Any(1)], Volatility::Immutable);
        ScalarUDF::new_from_impl(Typed { name, of, listed, signature })
    })
}

/// The type that a field of text stands for.
pub(in crate::wire) fn of_field(field: &Field) -> Option<Type> {
    TextType::of_field(field).map(|of| match of {
        TextType::Uuid => Type::UUID,
        TextType::Json => Type::JSONB,
        TextType::JsonText => Type::JSON,
    })
}

/// What the values of a Postgres type are checked as.
pub(in crate::wire) fn of_type(data_type: &Type) -> Option<TextType> {
    match *data_type {
        Type::UUID => Some(TextType::Uuid),
        Type::JSONB => Some(TextType::Json),
        Type::JSON => Some(TextType::JsonText),
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Typed {
    name: &'static str,
    of: TextType,
    /// Whether the values are arrays of the type.
    listed: bool,
    signature: Signature,
}

impl Typed {
    fn gives(&self) -> DataType {
        if !self.listed {
            return DataType::Utf8;
        }
        DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true).with_metadata(self.of.metadata())))
    }
}

impl ScalarUDFImpl for Typed {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.gives())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = Field::new(self.name, self.gives(), true);
        Ok(Arc::new(if self.listed { field } else { field.with_metadata(self.of.metadata()) }))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let Some(first) = arrays.first() else { return exec_err!("a value is needed") };
        let found: ArrayRef = match first.data_type() {
            DataType::List(_) | DataType::Null if self.listed => {
                let lists = cast(first, &self.gives())?;
                let lists = lists.as_list::<i32>();
                let values = self.checked(lists.values())?;
                let DataType::List(field) = self.gives() else { return internal_err!("{} gives lists", self.name) };
                Arc::new(ListArray::try_new(field, lists.offsets().clone(), values, lists.nulls().cloned())?)
            }
            _ if self.listed => self.read_lists(cast(first, &DataType::Utf8)?.as_string::<i32>())?,
            // A struct or list is shown as jsonb anyway.
            DataType::Struct(_) | DataType::List(_) => self.checked(&written(first)?)?,
            _ => self.checked(first)?,
        };
        Ok(ColumnarValue::Array(found))
    }
}

impl Typed {
    fn checked(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let texts = cast(values, &DataType::Utf8)?;
        let one = |text: Option<&str>| text.map(|text| self.one(text)).transpose();
        Ok(Arc::new(texts.as_string::<i32>().iter().map(one).collect::<Result<StringArray>>()?))
    }

    fn one(&self, text: &str) -> Result<String> {
        self.of.read(text).ok_or_else(|| {
            let (code, message) = self.of.fault(text);
            Error::Encode { code, message }.into()
        })
    }

    /// Arrays that are written as text.
    fn read_lists(&self, texts: &StringArray) -> Result<ArrayRef> {
        let mut lists = ListBuilder::new(StringBuilder::new());
        if let DataType::List(field) = self.gives() {
            lists = lists.with_field(field);
        }
        for text in texts {
            if let Some(text) = text {
                let items = elements(text).ok_or_else(|| unreadable(format!("malformed array literal: \"{text}\"")))?;
                for item in items {
                    let value = item.map(|item| self.one(&item)).transpose()?;
                    lists.values().append_option(value);
                }
            }
            lists.append(text.is_some());
        }
        Ok(Arc::new(lists.finish()))
    }
}

fn written(values: &ArrayRef) -> Result<ArrayRef> {
    let one = |row: usize| {
        let mut out = String::new();
        value_json::write(&mut out, values.as_ref(), row, TimeZone::default()).map(|()| values.is_valid(row).then_some(out))
    };
    Ok(Arc::new((0..values.len()).map(one).collect::<crate::error::Result<StringArray>>()?))
}

fn unreadable(message: String) -> DataFusionError {
    Error::Encode { code: "22P02", message }.into()
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
