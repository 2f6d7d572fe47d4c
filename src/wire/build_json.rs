//! Functions that make JSON of values: `to_jsonb`, `jsonb_build_object`, `jsonb_build_array`, and the same of json; and what tells a value's type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::string;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use pgwire::api::Type;

use super::columns;
use super::functions::format_type;
use crate::engine::relation::{TextType, value_json as json};
use crate::error::Error;
use crate::settings::TimeZone;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    /// A value as JSON.
    Value,
    /// An object of names and values in turn.
    Object,
    /// An array of values.
    Array,
    /// The name of a value's type.
    TypeOf,
    /// A new uuid, a row each.
    RandomUuid,
}

/// The list.
pub(super) fn udfs() -> impl Iterator<Item = ScalarUDF> {
    let all = [
        ("to_jsonb", "to_json", What::Value),
        ("jsonb_build_object", "json_build_object", What::Object),
        ("jsonb_build_array", "json_build_array", What::Array),
        ("pg_typeof", "pg_typeof", What::TypeOf),
        ("gen_random_uuid", "gen_random_uuid", What::RandomUuid),
    ];
    all.into_iter().map(|(name, alias, what)| {
        let (of, volatility) = match what {
            What::Value | What::TypeOf => (vec![TypeSignature::Any(1)], Volatility::Stable),
            What::Object | What::Array => (vec![TypeSignature::Nullary, TypeSignature::VariadicAny], Volatility::Stable),
            What::RandomUuid => (vec![TypeSignature::Nullary], Volatility::Volatile),
        };
        let aliases = if alias == name { Vec::new() } else { vec![alias.to_owned()] };
        ScalarUDF::new_from_impl(Built { name, aliases, what, signature: Signature::one_of(of, volatility) })
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Built {
    name: &'static str,
    aliases: Vec<String>,
    what: What,
    signature: Signature,
}

impl ScalarUDFImpl for Built {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let metadata = match self.what {
            What::Value | What::Object | What::Array => TextType::Json.metadata(),
            What::RandomUuid => TextType::Uuid.metadata(),
            What::TypeOf => Default::default(),
        };
        Ok(Arc::new(Field::new(self.name, DataType::Utf8, true).with_metadata(metadata)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let n_rows = args.number_rows;
        let types: Vec<Type> = args.arg_fields.iter().map(|field| columns::of_field(field)).collect();
        let values = || -> Result<Vec<(ArrayRef, &Type)>> {
            let array = |(value, of): (&ColumnarValue, _)| Ok((value.to_array(n_rows)?, of));
            args.args.iter().zip(&types).map(array).collect()
        };
        let found: StringArray = match self.what {
            What::RandomUuid => return string::uuid().invoke_with_args(args),
            What::TypeOf => {
                let Some(of) = types.first() else { return exec_err!("pg_typeof() takes a value") };
                let null = args.arg_fields.first().is_some_and(|field| field.data_type().is_null());
                let name = if null { "unknown".to_owned() } else { format_type(of.oid() as i32) };
                return Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(name))));
            }
            What::Value => {
                let all = values()?;
                let Some((array, of)) = all.first() else { return exec_err!("{} takes a value", self.name) };
                let one = |row: usize| -> Result<Option<String>> {
                    let mut out = String::new();
                    member(&mut out, array, of, row)?;
                    Ok(array.is_valid(row).then_some(out))
                };
                (0..n_rows).map(one).collect::<Result<_>>()?
            }
            What::Array => {
                let all = values()?;
                let one = |row: usize| -> Result<Option<String>> {
                    let mut out = String::from("[");
                    for (at, (array, of)) in all.iter().enumerate() {
                        out.push_str(if at > 0 { ", " } else { "" });
                        member(&mut out, array, of, row)?;
                    }
                    out.push(']');
                    Ok(Some(out))
                };
                (0..n_rows).map(one).collect::<Result<_>>()?
            }
            What::Object => objects(&values()?, n_rows)?,
        };
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

/// What is JSON already stands as it is.
fn member(out: &mut String, array: &ArrayRef, of: &Type, row: usize) -> Result<()> {
    match array.as_string_opt::<i32>() {
        Some(texts) if *of == Type::JSONB && texts.is_valid(row) => out.push_str(texts.value(row)),
        _ => json::write(out, array.as_ref(), row, TimeZone::default())?,
    }
    Ok(())
}

fn objects(all: &[(ArrayRef, &Type)], n_rows: usize) -> Result<StringArray> {
    let wrong = |message: &str| -> DataFusionError { Error::Encode { code: "22023", message: message.to_owned() }.into() };
    if !all.len().is_multiple_of(2) {
        return Err(wrong("argument list must have even number of elements"));
    }
    let mut pairs = Vec::with_capacity(all.len() / 2);
    for pair in all.chunks(2) {
        let [(key, _), value] = pair else { continue };
        pairs.push((cast(key, &DataType::Utf8)?, value));
    }
    let mut objects = Vec::with_capacity(n_rows);
    for row in 0..n_rows {
        let mut out = String::from("{");
        for (at, (key, (value, of))) in pairs.iter().enumerate() {
            out.push_str(if at > 0 { ", " } else { "" });
            if key.is_null(row) {
                return Err(wrong("null value not allowed for object key"));
            }
            json::write(&mut out, key.as_ref(), row, TimeZone::default())?;
            out.push_str(": ");
            member(&mut out, value, of, row)?;
        }
        out.push('}');
        objects.push(out);
    }
    Ok(StringArray::from(objects))
}
