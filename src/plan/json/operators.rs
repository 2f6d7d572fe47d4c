//! The operators of JSON as in Postgres (`->`, `->>`, `#>`, `#>>`, `?`, `?&`, `?|`, `@>`, `<@`), and the functions that ask what a value is.
//!
//! A box or a detection, which clients see as jsonb, is a struct: `box -> 'x'` is its field, with the type that the field has.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListArray, ListBuilder, StringArray, StringBuilder, StructArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast as cast_array;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{DFSchema, ScalarValue, internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::functions_nested::expr_fn::array_element;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast, lit,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use framesql_udfs::interrupt;
use serde_json::Value;

use super::edit::{self, Edit};
use super::text::{self, Json, Step};
use super::tree::Fault;
use crate::error::Error;
use crate::plan::array::text::elements;
use crate::plan::value::text_type::TextType;

/// What a function gives of a value, and of the key, path or other value beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    /// A member or an element, as it is written.
    Member,
    /// Its text.
    MemberText,
    /// What is at the end of a path.
    Path,
    PathText,
    /// Whether a key is there, or all of several, or any.
    Has,
    HasAll,
    HasAny,
    /// Whether the other value is in it.
    Contains,
    /// `object`, `array`, `string`, `number`, `boolean` or `null`.
    TypeOf,
    /// How many elements.
    Length,
    /// Its elements, their texts, its keys, as a list each: where Postgres gives rows they are unnested.
    Elements,
    ElementTexts,
    Keys,
    /// Its members, as a list of names and values, which may be texts.
    Members,
    MemberTexts,
}

impl What {
    /// Each with the name of its function: that of Postgres, where there is one, or of the function behind Postgres' operator.
    const ALL: [(What, &'static str); 15] = [
        (What::Member, "jsonb_object_field"),
        (What::MemberText, "jsonb_object_field_text"),
        (What::Path, "jsonb_extract_path_of"),
        (What::PathText, "jsonb_extract_path_text_of"),
        (What::Has, "jsonb_exists"),
        (What::HasAll, "jsonb_exists_all"),
        (What::HasAny, "jsonb_exists_any"),
        (What::Contains, "jsonb_contains"),
        (What::TypeOf, "jsonb_typeof"),
        (What::Length, "jsonb_array_length"),
        (What::Elements, "jsonb_elements"),
        (What::ElementTexts, "jsonb_elements_text"),
        (What::Keys, "jsonb_keys"),
        (What::Members, "jsonb_entries"),
        (What::MemberTexts, "jsonb_entries_text"),
    ];

    fn call(self, args: Vec<Expr>) -> Expr {
        // Every one has its function: the list is made of them.
        FUNCTIONS.iter().find(|(what, _)| *what == self).map_or_else(|| lit(ScalarValue::Null), |(_, function)| function.call(args))
    }

    fn n_arguments(self) -> usize {
        match self {
            What::TypeOf | What::Length => 1,
            what if what.gives().is_nested() => 1,
            _ => 2,
        }
    }

    fn gives(self) -> DataType {
        match self {
            What::Member | What::MemberText | What::Path | What::PathText | What::TypeOf => DataType::Utf8,
            What::Has | What::HasAll | What::HasAny | What::Contains => DataType::Boolean,
            What::Length => DataType::Int32,
            What::Elements | What::ElementTexts | What::Keys => DataType::new_list(DataType::Utf8, true),
            What::Members | What::MemberTexts => {
                let metadata = if self == What::Members { TextType::Json.metadata() } else { Default::default() };
                let value = Field::new("value", DataType::Utf8, true).with_metadata(metadata);
                DataType::new_list(DataType::Struct(vec![Field::new("key", DataType::Utf8, true), value].into()), true)
            }
        }
    }
}

static FUNCTIONS: LazyLock<Vec<(What, Arc<ScalarUDF>)>> = LazyLock::new(|| {
    let function = |(what, name): (What, &'static str)| {
        // The same of json, which is no other type here.
        let aliases = vec![name.replacen("jsonb", "json", 1)];
        let signature = Signature::any(what.n_arguments(), Volatility::Immutable);
        (what, Arc::new(ScalarUDF::new_from_impl(OfJson { what, name, aliases, signature })))
    };
    What::ALL.into_iter().map(function).collect()
});

/// The functions, those of the operators among them.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().map(|(_, function)| Arc::clone(function))
}

/// Plans the operators.
#[derive(Debug)]
pub(in crate::plan) struct JsonOperators;

impl ExprPlanner for JsonOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        // Each is planned in its turn, and of a chain each looks at all before it.
        interrupt::check()?;
        let RawBinaryExpr { op, left, right } = expr;
        let is_json = |e: &Expr| is_json(e, schema);
        let is_value = |e: &Expr| is_json(e) || matches!(e, Expr::Literal(ScalarValue::Utf8(_), _));
        let what = match &op {
            BinaryOperator::Arrow => What::Member,
            BinaryOperator::LongArrow => What::MemberText,
            BinaryOperator::HashArrow => What::Path,
            BinaryOperator::HashLongArrow => What::PathText,
            BinaryOperator::Question => What::Has,
            BinaryOperator::QuestionAnd => What::HasAll,
            BinaryOperator::QuestionPipe => What::HasAny,
            // Of arrays they are DataFusion's.
            BinaryOperator::AtArrow if is_json(&left) || is_json(&right) => What::Contains,
            BinaryOperator::ArrowAt if is_json(&left) || is_json(&right) => {
                // As it is written, as another column may be the same the other way round.
                let name = format!("{left} <@ {right}");
                return Ok(PlannerResult::Planned(What::Contains.call(vec![right, left]).alias(name)));
            }
            BinaryOperator::StringConcat if is_value(&left) && is_value(&right) && (is_json(&left) || is_json(&right)) => {
                return Ok(edited(Edit::Concat, left, right));
            }
            BinaryOperator::Minus if is_json(&left) => return Ok(edited(Edit::Delete, left, right)),
            BinaryOperator::HashMinus => return Ok(edited(Edit::DeletePath, left, right)),
            _ => return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right })),
        };
        let planned = match field_of(what, &left, &right, schema)? {
            Some(field) => field,
            None => what.call(vec![left, known(right)]),
        };
        Ok(PlannerResult::Planned(planned))
    }
}

/// What is at the end of a path, an array of texts.
pub(super) fn at_path(of: Expr, path: Expr) -> Expr {
    What::Path.call(vec![of, path])
}

fn is_json(expr: &Expr, schema: &DFSchema) -> bool {
    TextType::of_expr(expr, schema).is_some_and(TextType::json)
}

fn edited(edit: Edit, left: Expr, right: Expr) -> PlannerResult<RawBinaryExpr> {
    PlannerResult::Planned(edit::function(edit).map_or_else(|| lit(ScalarValue::Null), |function| function.call(vec![left, known(right)])))
}

/// The field of a struct, or the element of a list, that a constant names.
fn field_of(what: What, of: &Expr, key: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    if !matches!(what, What::Member | What::MemberText) {
        return Ok(None);
    }
    let found = match (of.get_type(schema), key) {
        (Ok(DataType::Struct(fields)), Expr::Literal(ScalarValue::Utf8(Some(name)), _)) => {
            // Of a member that is not there JSON says nothing.
            if fields.find(name).is_none() { lit(ScalarValue::Utf8(None)) } else { get_field(of.clone(), name.as_str()) }
        }
        (Ok(DataType::List(_)), Expr::Literal(ScalarValue::Int64(Some(at)), _)) => {
            // From 0, where arrays of SQL go from 1; both count -1 from the end.
            array_element(of.clone(), lit(if *at < 0 { *at } else { at.saturating_add(1) }))
        }
        _ => return Ok(None),
    };
    let plain = matches!(found.get_type(schema), Ok(t) if !t.is_nested());
    Ok(Some(if what == What::MemberText && plain { cast(found, DataType::Utf8) } else { found }))
}

/// A parameter of which nothing is known is text here.
fn known(key: Expr) -> Expr {
    match key {
        Expr::Placeholder(Placeholder { id, field: None }) => {
            Expr::Placeholder(Placeholder::new_with_field(id, Some(Arc::new(Field::new("", DataType::Utf8, true)))))
        }
        other => other,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfJson {
    what: What,
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for OfJson {
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
        Ok(self.what.gives())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = match self.what {
            What::Elements => {
                let element = Field::new_list_field(DataType::Utf8, true).with_metadata(TextType::Json.metadata());
                Field::new(self.name, DataType::List(Arc::new(element)), true)
            }
            What::Member | What::Path => Field::new(self.name, DataType::Utf8, true).with_metadata(TextType::Json.metadata()),
            other => Field::new(self.name, other.gives(), true),
        };
        Ok(Arc::new(field))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // A key is mostly a constant, and one row for all.
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let n_rows = if constant { 1 } else { args.number_rows };
        let mut arrays = args.args.iter().map(|arg| arg.to_array(n_rows));
        let Some(values) = arrays.next().transpose()? else { return internal_err!("{} takes a value", self.name) };
        let other = arrays.next().transpose()?;
        let values = cast_array(&values, &DataType::Utf8)?;
        let values = values.as_string::<i32>();
        let found = match self.what {
            What::Elements | What::ElementTexts | What::Keys => self.lists(values, args.return_field.data_type())?,
            What::Members | What::MemberTexts => self.members(values)?,
            _ => {
                let Some(other) = Other::new(other.as_ref())? else { return internal_err!("{} takes a key", self.name) };
                self.each(values, &other)?
            }
        };
        Ok(if constant { ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?) } else { ColumnarValue::Array(found) })
    }
}

impl OfJson {
    /// One answer a row.
    fn each(&self, values: &StringArray, other: &Other) -> Result<ArrayRef> {
        let rows = || (0..values.len()).map(|row| values.is_valid(row).then(|| (values.value(row), row)));
        Ok(match self.what {
            What::Member | What::MemberText | What::Path | What::PathText => {
                let as_text = matches!(self.what, What::MemberText | What::PathText);
                let one = |(text, row): (&str, usize)| -> Result<Option<String>> {
                    let Some(steps) = other.steps(row, matches!(self.what, What::Path | What::PathText))? else { return Ok(None) };
                    let mut at = text.trim_ascii();
                    for step in &steps {
                        match text::step(&read(at)?, step) {
                            Some(found) => at = found,
                            None => return Ok(None),
                        }
                    }
                    if as_text { plain(at) } else { Ok(Some(at.to_owned())) }
                };
                let found = rows().map(|row| row.map_or(Ok(None), one));
                Arc::new(found.collect::<Result<StringArray>>()?)
            }
            What::Has | What::HasAll | What::HasAny => {
                let one = |(text, row): (&str, usize)| -> Result<Option<bool>> {
                    let Some(keys) = other.keys(row, self.what != What::Has)? else { return Ok(None) };
                    let json = read(text)?;
                    let has = |key: &Option<String>| key.as_deref().is_some_and(|key| has(&json, key));
                    Ok(Some(if self.what == What::HasAny { keys.iter().any(has) } else { keys.iter().all(has) }))
                };
                Arc::new(rows().map(|row| row.map_or(Ok(None), one)).collect::<Result<BooleanArray>>()?)
            }
            What::Contains => {
                let one = |(text, row): (&str, usize)| -> Result<Option<bool>> {
                    let Some(part) = other.text(row) else { return Ok(None) };
                    Ok(Some(text::contains(&value(text)?, &value(part)?)))
                };
                Arc::new(rows().map(|row| row.map_or(Ok(None), one)).collect::<Result<BooleanArray>>()?)
            }
            What::TypeOf => {
                let one = |(text, _): (&str, usize)| Ok(Some(type_of(&read(text)?)));
                Arc::new(rows().map(|row| row.map_or(Ok(None), one)).collect::<Result<StringArray>>()?)
            }
            What::Length => {
                let one = |(text, _): (&str, usize)| match read(text)? {
                    Json::Array(elements) => Ok(Some(i32::try_from(elements.len()).unwrap_or(i32::MAX))),
                    Json::Object(_) => Err(wrong("cannot get array length of a non-array")),
                    Json::Scalar(_) => Err(wrong("cannot get array length of a scalar")),
                };
                Arc::new(rows().map(|row| row.map_or(Ok(None), one)).collect::<Result<Int32Array>>()?)
            }
            _ => return internal_err!("{} gives lists", self.name),
        })
    }

    /// A list a row.
    fn lists(&self, values: &StringArray, data_type: &DataType) -> Result<ArrayRef> {
        let mut lists = ListBuilder::new(StringBuilder::new());
        if let DataType::List(field) = data_type {
            lists = lists.with_field(Arc::clone(field));
        }
        for text in values {
            let Some(text) = text else {
                lists.append_null();
                continue;
            };
            match (self.what, read(text)?) {
                (What::Keys, Json::Object(members)) => members.into_iter().for_each(|(key, _)| lists.values().append_value(key)),
                (What::Elements, Json::Array(elements)) => elements.into_iter().for_each(|element| lists.values().append_value(element)),
                (What::ElementTexts, Json::Array(elements)) => {
                    for element in elements {
                        lists.values().append_option(plain(element)?);
                    }
                }
                (What::Keys, Json::Array(_)) => return Err(wrong("cannot call jsonb_object_keys on an array")),
                (What::Keys, _) => return Err(wrong("cannot call jsonb_object_keys on a scalar")),
                (_, _) => return Err(wrong("cannot extract elements from what is no array")),
            }
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()))
    }
}

impl OfJson {
    /// A list of names and values a row.
    fn members(&self, values: &StringArray) -> Result<ArrayRef> {
        let (mut names, mut texts) = (Vec::new(), Vec::new());
        let mut lengths = Vec::with_capacity(values.len());
        for text in values {
            let before = names.len();
            match text.map(read).transpose()? {
                Some(Json::Object(members)) => {
                    for (name, value) in members {
                        texts.push(if self.what == What::MemberTexts { plain(value)? } else { Some(value.to_owned()) });
                        names.push(name);
                    }
                }
                Some(_) => return Err(wrong("cannot call jsonb_each on a non-object")),
                None => {}
            }
            lengths.push(names.len() - before);
        }
        let DataType::List(item) = self.what.gives() else { return internal_err!("{} gives lists", self.name) };
        let DataType::Struct(fields) = item.data_type() else { return internal_err!("{} gives pairs", self.name) };
        let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(names)), Arc::new(StringArray::from(texts))];
        let pairs = StructArray::try_new(fields.clone(), columns, None)?;
        let nulls = values.nulls().cloned();
        Ok(Arc::new(ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), Arc::new(pairs), nulls)?))
    }
}

/// What stands beside a value, a row each.
pub(in crate::plan) enum Other {
    Text(StringArray),
    Number(ArrayRef),
    /// Paths and keys as arrays.
    Texts(ArrayRef),
}

impl Other {
    /// None stands for nothing beside it.
    pub(in crate::plan) fn new(array: Option<&ArrayRef>) -> Result<Option<Other>> {
        let Some(array) = array else { return Ok(Some(Other::Text(StringArray::new_null(0)))) };
        Ok(Some(match array.data_type() {
            DataType::List(_) => Other::Texts(cast_array(array, &DataType::new_list(DataType::Utf8, true))?),
            number if number.is_integer() => Other::Number(cast_array(array, &DataType::Int64)?),
            _ => Other::Text(cast_array(array, &DataType::Utf8)?.as_string::<i32>().clone()),
        }))
    }

    pub(in crate::plan) fn text(&self, row: usize) -> Option<&str> {
        match self {
            Other::Text(texts) if texts.is_valid(row) => Some(texts.value(row)),
            _ => None,
        }
    }

    /// The way into a value; None if it is NULL.
    fn steps(&self, row: usize, is_path: bool) -> Result<Option<Vec<Step<'_>>>> {
        Ok(match self {
            Other::Number(numbers) => numbers.is_valid(row).then(|| vec![Step::Index(numbers.as_primitive::<Int64Type>().value(row))]),
            Other::Text(_) if !is_path => self.text(row).map(|name| vec![Step::Key { name: name.into(), of_arrays: false }]),
            _ => {
                let keys = self.keys(row, true)?.and_then(|keys| keys.into_iter().collect::<Option<Vec<String>>>());
                keys.map(|keys| keys.into_iter().map(|name| Step::Key { name: name.into(), of_arrays: true }).collect())
            }
        })
    }

    /// One key, or the elements of an array, which may be written as text.
    pub(in crate::plan) fn keys(&self, row: usize, several: bool) -> Result<Option<Vec<Option<String>>>> {
        match self {
            Other::Texts(lists) if lists.is_valid(row) => {
                let list = lists.as_list::<i32>().value(row);
                Ok(Some(list.as_string::<i32>().iter().map(|key| key.map(str::to_owned)).collect()))
            }
            Other::Text(_) => match self.text(row) {
                Some(text) if several => match elements(text) {
                    Some(keys) => Ok(Some(keys)),
                    None => Err(unreadable(format!("malformed array literal: \"{text}\""))),
                },
                key => Ok(key.map(|key| vec![Some(key.to_owned())])),
            },
            _ => Ok(None),
        }
    }
}

fn has(json: &Json<'_>, key: &str) -> bool {
    let is = |written: &str| written.starts_with('"') && matches!(text::as_text(written), Ok(Some(text)) if text == key);
    match json {
        Json::Object(members) => members.iter().any(|(name, _)| name == key),
        Json::Array(elements) => elements.iter().any(|element| is(element)),
        Json::Scalar(written) => is(written),
    }
}

fn type_of(json: &Json<'_>) -> &'static str {
    match json {
        Json::Object(_) => "object",
        Json::Array(_) => "array",
        Json::Scalar(written) => match written.as_bytes().first() {
            Some(b'"') => "string",
            Some(b't' | b'f') => "boolean",
            Some(b'n') => "null",
            _ => "number",
        },
    }
}

fn read(text: &str) -> Result<Json<'_>> {
    text::read(text).ok_or_else(|| unreadable(format!("invalid input syntax for type json: \"{text}\"")))
}

/// The text that a value is. Errs for escapes that stand for no text, which json may hold.
fn plain(value: &str) -> Result<Option<String>> {
    text::as_text(value).map_err(|fault| match fault {
        Fault::Character => Error::Encode { code: "22P05", message: "unsupported Unicode escape sequence".to_owned() }.into(),
        Fault::Syntax | Fault::Length => unreadable(format!("invalid input syntax for type json: \"{value}\"")),
    })
}

fn value(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|_| unreadable(format!("invalid input syntax for type json: \"{text}\"")))
}

fn unreadable(message: String) -> DataFusionError {
    Error::Encode { code: "22P02", message }.into()
}

fn wrong(message: &str) -> DataFusionError {
    Error::Encode { code: "22023", message: message.to_owned() }.into()
}
