//! uuid and jsonb: text that is checked, and that the client is told is of its type.

use std::collections::HashMap;
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

use crate::error::Error;

/// What `x::uuid` and `x::jsonb` become.
pub(super) const UUID: &str = "uuid";
pub(super) const JSONB: &str = "jsonb";
/// The key under which a field of text says that it is one of these.
const KEY: &str = "framesql.postgres_type";

/// Both functions.
pub(super) fn udfs() -> [ScalarUDF; 2] {
    [UUID, JSONB].map(|name| {
        let signature = Signature::one_of(vec![TypeSignature::Any(1)], Volatility::Immutable);
        ScalarUDF::new_from_impl(Typed { name, signature })
    })
}

/// The type that a field of text stands for.
pub(super) fn of_field(field: &Field) -> Option<Type> {
    match field.metadata().get(KEY)?.as_str() {
        UUID => Some(Type::UUID),
        JSONB => Some(Type::JSONB),
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Typed {
    name: &'static str,
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
        let metadata = HashMap::from([(KEY.to_owned(), self.name.to_owned())]);
        Ok(Arc::new(Field::new(self.name, DataType::Utf8, true).with_metadata(metadata)))
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
        let read = |text: &str| if self.name == UUID { uuid(text) } else { jsonb(text) };
        let checked = texts.as_string::<i32>().iter().map(|text| {
            let value = text.map(|text| read(text).ok_or_else(|| unreadable(self.name, text)));
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

/// 32 hexadecimal digits, with hyphens after any group of four and perhaps braces around, as Postgres shows them.
fn uuid(text: &str) -> Option<String> {
    let inner = text.trim();
    let inner = inner.strip_prefix('{').map_or(Some(inner), |rest| rest.strip_suffix('}'))?;
    let digits: String = inner.chars().filter(|c| *c != '-').collect::<String>().to_lowercase();
    let mut n_digits = 0;
    let hyphens = inner.chars().all(|c| {
        let fits = c != '-' || n_digits > 0 && n_digits % 4 == 0 && n_digits < 32;
        n_digits += usize::from(c != '-');
        fits
    });
    if digits.len() != 32 || !hyphens || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let parts = [digits.get(..8)?, digits.get(8..12)?, digits.get(12..16)?, digits.get(16..20)?, digits.get(20..)?];
    Some(parts.join("-"))
}

/// Any JSON, as it was written: keys keep their order, as boxes do.
fn jsonb(text: &str) -> Option<String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok().map(|_| text.to_owned())
}

/// The 16 bytes of a uuid's binary form; None if the text is none.
pub(super) fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let digits = text.replace('-', "");
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

/// The text of a uuid's binary form.
pub(super) fn uuid_text(bytes: &[u8]) -> Option<String> {
    let number = u128::from_be_bytes(bytes.try_into().ok()?);
    uuid(&format!("{number:032x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_read_in_every_form_that_postgres_reads() {
        let one = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        for text in
            [one, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}", "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11"]
        {
            assert_eq!(uuid(text).as_deref(), Some(one));
        }
        for text in
            ["", "a0eebc99", "g0eebc999c0b4ef8bb6d6bb9bd380a11", "a0eeb-c999c0b4ef8bb6d6bb9bd380a11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11"]
        {
            assert_eq!(uuid(text), None, "{text}");
        }
        assert_eq!(uuid_text(&uuid_bytes(one).unwrap()).as_deref(), Some(one));
        assert_eq!((jsonb("{\"a\": [1]}").is_some(), jsonb("{a}")), (true, None));
    }
}
