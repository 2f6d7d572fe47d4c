//! Functions that make JSON of values: `to_jsonb`, `jsonb_build_object`, `jsonb_build_array` and what aggregates of JSON end in; those of json write
//! their values without spaces, those of jsonb as jsonb is kept.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{exec_err, internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::tree::{self, Node, Style};
use super::values;
use crate::error::Error;
use crate::plan::value::text_type::TextType;
use crate::settings::TimeZone;

/// The JSON of a value that `json_agg` gathers, and what stands before a row or an array behind the first.
pub(super) const ELEMENT: &str = "json_element";
const LINE: &str = "\n ";

/// What `json_agg` and `jsonb_agg` end in: the array of the values that were gathered.
pub(super) const LISTS: [&str; 2] = ["json_list", "jsonb_list"];

/// What `json_object_agg` and `jsonb_object_agg` end in: the object of the names and values that were gathered.
pub(super) const MEMBERS: [&str; 2] = ["json_members", "jsonb_members"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    /// A value.
    Value,
    /// A value that `json_agg` gathers: a row or an array stands on a line of its own.
    Element,
    /// An object of names and values in turn.
    Object,
    /// An array of values.
    Array,
    /// An array of the values of a list, and an object of its names and values.
    List,
    Members,
}

/// The list.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    let [list, list_b] = LISTS;
    let [members, members_b] = MEMBERS;
    let all: [(&'static str, &[&str], What); 11] = [
        ("to_json", &["array_to_json", "row_to_json"], What::Value),
        ("to_jsonb", &[], What::Value),
        ("json_build_object", &[], What::Object),
        ("jsonb_build_object", &[], What::Object),
        (ELEMENT, &[], What::Element),
        ("json_build_array", &[], What::Array),
        ("jsonb_build_array", &[], What::Array),
        (list, &[], What::List),
        (list_b, &[], What::List),
        (members, &[], What::Members),
        (members_b, &[], What::Members),
    ];
    all.into_iter().map(|(name, aliases, what)| {
        let of = match what {
            What::Value | What::Element | What::List | What::Members => vec![TypeSignature::Any(1)],
            What::Object | What::Array => vec![TypeSignature::Nullary, TypeSignature::VariadicAny],
        };
        let gives = if name.contains("jsonb") { TextType::Json } else { TextType::JsonText };
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        let signature = Signature::one_of(of, Volatility::Stable);
        Arc::new(ScalarUDF::new_from_impl(Built { name, aliases, what, gives, signature }))
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Built {
    name: &'static str,
    aliases: Vec<String>,
    what: What,
    gives: TextType,
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
        Ok(Arc::new(Field::new(self.name, DataType::Utf8, true).with_metadata(self.gives.metadata())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let n_rows = args.number_rows;
        let arrays = args.args.iter().map(|value| value.to_array(n_rows)).collect::<Result<Vec<_>>>()?;
        let columns: Vec<Column> =
            arrays.iter().zip(&args.arg_fields).map(|(array, field)| Column { array, json: is_json(field) }).collect();
        let keys = match self.what {
            What::Object => keys(&arrays)?,
            _ => Vec::new(),
        };
        let one = |row: usize| -> Result<Option<String>> {
            let mut out = String::new();
            match self.what {
                What::Object => self.object(&mut out, &keys, &columns, row)?,
                What::Array => self.array(&mut out, &columns, row)?,
                What::Value | What::Element | What::List | What::Members => {
                    let Some(column) = columns.first() else { return exec_err!("{} takes a value", self.name) };
                    if column.array.is_null(row) || column.array.data_type().is_null() {
                        return Ok(None);
                    }
                    match self.what {
                        What::List => list(&mut out, column, row)?,
                        What::Members => members(&mut out, column, row)?,
                        _ => {
                            let own = self.what == What::Element && column.array.data_type().is_nested();
                            out.push_str(if own { LINE } else { "" });
                            column.write(&mut out, row)?;
                        }
                    }
                }
            }
            Ok(Some(if self.gives == TextType::Json { kept(&out)? } else { out }))
        };
        let found = (0..n_rows).map(one).collect::<Result<StringArray>>()?;
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

impl Built {
    fn object(&self, out: &mut String, keys: &[ArrayRef], columns: &[Column], row: usize) -> Result<()> {
        out.push('{');
        for (at, (key, pair)) in keys.iter().zip(columns.chunks(2)).enumerate() {
            let [_, value] = pair else { continue };
            out.push_str(if at > 0 { ", " } else { "" });
            if key.is_null(row) {
                let message = format!("argument {}: key must not be null", 2 * at + 1);
                return Err(wrong(if self.gives == TextType::Json { &message } else { "null value not allowed for object key" }));
            }
            values::write(out, key.as_ref(), row, TimeZone::default())?;
            out.push_str(" : ");
            value.write(out, row)?;
        }
        out.push('}');
        Ok(())
    }

    fn array(&self, out: &mut String, columns: &[Column], row: usize) -> Result<()> {
        out.push('[');
        for (at, column) in columns.iter().enumerate() {
            out.push_str(if at > 0 { ", " } else { "" });
            column.write(out, row)?;
        }
        out.push(']');
        Ok(())
    }
}

/// The names of an object's members as texts.
fn keys(arrays: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    if !arrays.len().is_multiple_of(2) {
        return Err(wrong("argument list must have even number of elements"));
    }
    arrays.iter().step_by(2).map(|key| Ok(cast(key, &DataType::Utf8)?)).collect()
}

struct Column<'a> {
    array: &'a ArrayRef,
    /// Whether its texts are JSON already.
    json: bool,
}

impl Column<'_> {
    fn write(&self, out: &mut String, row: usize) -> Result<()> {
        match self.array.as_string_opt::<i32>() {
            Some(texts) if self.json && texts.is_valid(row) => out.push_str(texts.value(row)),
            _ => values::write_compact(out, self.array.as_ref(), row, TimeZone::default())?,
        }
        Ok(())
    }
}

fn is_json(field: &Field) -> bool {
    TextType::of_field(field).is_some_and(TextType::json)
}

/// The elements of a list: texts are JSON already, as they were made so before they were gathered.
fn list(out: &mut String, column: &Column, row: usize) -> Result<()> {
    let Some(lists) = column.array.as_list_opt::<i32>() else { return internal_err!("an aggregate of JSON gathers a list") };
    let elements = lists.value(row);
    out.push('[');
    for at in 0..elements.len() {
        let begin = out.len();
        Column { array: &elements, json: true }.write(out, at)?;
        if at > 0 {
            out.insert_str(begin, ", ");
        } else if out.get(begin..).is_some_and(|first| first.starts_with(LINE)) {
            out.replace_range(begin..begin + LINE.len(), "");
        }
    }
    out.push(']');
    Ok(())
}

/// The pairs of a list.
fn members(out: &mut String, column: &Column, row: usize) -> Result<()> {
    let Some(lists) = column.array.as_list_opt::<i32>() else { return internal_err!("an aggregate of JSON gathers a list") };
    let pairs = lists.value(row);
    let Some([names, values]) = pairs.as_struct_opt().map(|pairs| pairs.columns()) else {
        return internal_err!("an object is made of names and values");
    };
    out.push_str("{ ");
    for at in 0..pairs.len() {
        out.push_str(if at > 0 { ", " } else { "" });
        if names.is_null(at) {
            return Err(wrong("field name must not be null"));
        }
        values::write(out, names.as_ref(), at, TimeZone::default())?;
        out.push_str(" : ");
        Column { array: values, json: true }.write(out, at)?;
    }
    out.push_str(" }");
    Ok(())
}

fn kept(text: &str) -> Result<String> {
    TextType::Json.read(text).ok_or_else(|| {
        let (code, message) = TextType::Json.fault(text);
        Error::Encode { code, message }.into()
    })
}

/// A value of JSON as text.
pub(in crate::plan) fn written(node: &Node, style: Style) -> String {
    let mut out = String::new();
    tree::write(&mut out, node, style);
    out
}

fn wrong(message: &str) -> DataFusionError {
    Error::Encode { code: "22023", message: message.to_owned() }.into()
}
