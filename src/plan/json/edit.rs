//! Functions that give a changed jsonb, as in Postgres: `||`, `-` and `#-`, `jsonb_set`, `jsonb_insert`, `jsonb_strip_nulls`, `jsonb_pretty`.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::build::written;
use super::operators::Other;
use super::tree::{self, Node, Style};
use crate::error::Error;
use crate::plan::value::text_type::TextType;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::plan) enum Edit {
    /// Two values as one.
    Concat,
    /// Without a member, an element, or several.
    Delete,
    /// Without what is at the end of a path.
    DeletePath,
    /// With another value at the end of a path.
    Set,
    /// With one value more there.
    Insert,
    /// Without the members that are null.
    StripNulls,
    StripNullsOfJson,
    /// In lines.
    Pretty,
}

static FUNCTIONS: LazyLock<[(Edit, Arc<ScalarUDF>); 8]> = LazyLock::new(|| {
    [
        (Edit::Concat, "jsonb_concat", 2..=2),
        (Edit::Delete, "jsonb_delete", 2..=2),
        (Edit::DeletePath, "jsonb_delete_path", 2..=2),
        (Edit::Set, "jsonb_set", 3..=4),
        (Edit::Insert, "jsonb_insert", 3..=4),
        (Edit::StripNulls, "jsonb_strip_nulls", 1..=1),
        (Edit::StripNullsOfJson, "json_strip_nulls", 1..=1),
        (Edit::Pretty, "jsonb_pretty", 1..=1),
    ]
    .map(|(edit, name, n_arguments)| {
        let signature = Signature::one_of(n_arguments.map(TypeSignature::Any).collect(), Volatility::Immutable);
        (edit, Arc::new(ScalarUDF::new_from_impl(Edited { edit, name, signature })))
    })
});

/// The functions, those of the operators among them.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().map(|(_, function)| Arc::clone(function))
}

/// The function of an operator.
pub(super) fn function(edit: Edit) -> Option<&'static Arc<ScalarUDF>> {
    FUNCTIONS.iter().find(|(of, _)| *of == edit).map(|(_, function)| function)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Edited {
    edit: Edit,
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Edited {
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
        let field = Field::new(self.name, DataType::Utf8, true);
        Ok(Arc::new(match self.edit {
            Edit::Pretty => field,
            Edit::StripNullsOfJson => field.with_metadata(TextType::JsonText.metadata()),
            _ => field.with_metadata(TextType::Json.metadata()),
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = args.args.iter().map(|value| value.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let Some(values) = arrays.first() else { return exec_err!("{} takes a value", self.name) };
        let values = texts(values)?;
        let Some(other) = Other::new(arrays.get(1))? else { return exec_err!("{} takes two values", self.name) };
        let new = arrays.get(2).map(texts).transpose()?;
        let flags =
            arrays.get(3).map(|flags| Ok::<_, DataFusionError>(cast(flags, &DataType::Boolean)?.as_boolean().clone())).transpose()?;
        let one = |row: usize| -> Result<Option<String>> {
            if arrays.iter().any(|array| array.is_null(row) || array.data_type().is_null()) {
                return Ok(None);
            }
            let text = values.value(row);
            let node = match self.edit {
                Edit::Concat => {
                    let Some(beside) = other.text(row) else { return Ok(None) };
                    concat(read(text)?, read(beside)?)
                }
                Edit::Delete => match &other {
                    Other::Number(numbers) => without_element(read(text)?, numbers.as_primitive::<Int64Type>().value(row))?,
                    Other::Text(_) => without_keys(read(text)?, &other.keys(row, false)?.unwrap_or_default())?,
                    Other::Texts(_) => without_keys(read(text)?, &other.keys(row, true)?.unwrap_or_default())?,
                },
                Edit::DeletePath | Edit::Set | Edit::Insert => {
                    let mut node = read(text)?;
                    let path = other.keys(row, true)?.unwrap_or_default().into_iter().collect::<Option<Vec<String>>>();
                    let Some(path) = path else { return Err(wrong("22004", "path element at position 1 is null")) };
                    let value = new.as_ref().map(|new| read(new.value(row))).transpose()?;
                    let flag = |default: bool| flags.as_ref().map_or(default, |flags: &BooleanArray| flags.value(row));
                    let change = match (self.edit, value) {
                        (Edit::Set, Some(value)) => Change::Set { value, create: flag(true) },
                        (Edit::Insert, Some(value)) => Change::Insert { value, after: flag(false) },
                        _ => Change::Delete,
                    };
                    at_path(&mut node, &path, 1, change)?;
                    node
                }
                Edit::StripNulls => stripped(read(text)?),
                Edit::StripNullsOfJson => stripped(tree::parse_in_order(text).map_err(|_| unreadable(text))?),
                Edit::Pretty => {
                    let mut out = String::new();
                    tree::write_lines(&mut out, &read(text)?, 0);
                    return Ok(Some(out));
                }
            };
            Ok(Some(written(&node, if self.edit == Edit::StripNullsOfJson { Style::Compact } else { Style::Spaced })))
        };
        let found = (0..args.number_rows).map(one).collect::<Result<StringArray>>()?;
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

fn texts(array: &ArrayRef) -> Result<StringArray> {
    Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn read(text: &str) -> Result<Node> {
    tree::parse(text).map_err(|_| unreadable(text))
}

fn unreadable(text: &str) -> DataFusionError {
    let (code, message) = TextType::Json.fault(text);
    Error::Encode { code, message }.into()
}

fn wrong(code: &'static str, message: &str) -> DataFusionError {
    Error::Encode { code, message: message.to_owned() }.into()
}

fn concat(left: Node, right: Node) -> Node {
    match (left, right) {
        (Node::Object(mut members), Node::Object(others)) => {
            others.into_iter().for_each(|(name, value)| tree::put(&mut members, name, value));
            Node::Object(members)
        }
        (left, right) => {
            let elements = |node| match node {
                Node::Array(elements) => elements,
                other => vec![other],
            };
            Node::Array(elements(left).into_iter().chain(elements(right)).collect())
        }
    }
}

fn without_keys(node: Node, keys: &[Option<String>]) -> Result<Node> {
    let keys: Vec<&str> = keys.iter().flatten().map(String::as_str).collect();
    Ok(match node {
        Node::Object(members) => Node::Object(members.into_iter().filter(|(name, _)| !keys.contains(&name.as_str())).collect()),
        Node::Array(elements) => {
            let words: Vec<Node> = keys.into_iter().map(|key| Node::Scalar(tree::string(key))).collect();
            Node::Array(elements.into_iter().filter(|element| !words.contains(element)).collect())
        }
        Node::Scalar(_) => return Err(wrong("22023", "cannot delete from scalar")),
    })
}

fn without_element(node: Node, index: i64) -> Result<Node> {
    match node {
        Node::Array(mut elements) => {
            if let Some(at) = place(index, elements.len()).filter(|at| *at < elements.len()) {
                elements.remove(at);
            }
            Ok(Node::Array(elements))
        }
        Node::Object(_) => Err(wrong("22023", "cannot delete from object using integer index")),
        Node::Scalar(_) => Err(wrong("22023", "cannot delete from scalar")),
    }
}

/// The place of an element; those below zero count from the end. None for one before the first.
fn place(index: i64, n_elements: usize) -> Option<usize> {
    if index >= 0 { usize::try_from(index).ok() } else { n_elements.checked_sub(usize::try_from(index.unsigned_abs()).ok()?) }
}

enum Change {
    Delete,
    /// `create` where nothing is yet.
    Set {
        value: Node,
        create: bool,
    },
    Insert {
        value: Node,
        after: bool,
    },
}

/// Changes what is at the end of a path, whose first step is the `step`th; a path that leads nowhere changes nothing.
fn at_path(node: &mut Node, path: &[String], step: usize, change: Change) -> Result<()> {
    let Some((key, rest)) = path.split_first() else { return Ok(()) };
    let last = rest.is_empty();
    match node {
        Node::Object(members) => {
            let at = members.iter().position(|(name, _)| name == key);
            match (at.and_then(|at| members.get_mut(at)), change) {
                (Some((_, value)), change) if !last => at_path(value, rest, step + 1, change)?,
                (None, _) if !last => {}
                (found, Change::Delete) => {
                    if found.is_some() {
                        members.retain(|(name, _)| name != key);
                    }
                }
                (Some((_, member)), Change::Set { value, .. }) => *member = value,
                (None, Change::Set { value, create: true } | Change::Insert { value, .. }) => tree::put(members, key.clone(), value),
                (None, Change::Set { .. }) => {}
                (Some(_), Change::Insert { .. }) => return Err(wrong("22023", "cannot replace existing key")),
            }
        }
        Node::Array(elements) => {
            let index: i64 =
                key.trim().parse().map_err(|_| wrong("22P02", &format!("path element at position {step} is not an integer: \"{key}\"")))?;
            let at = place(index, elements.len());
            match (at.and_then(|at| elements.get_mut(at)), change) {
                (Some(value), change) if !last => at_path(value, rest, step + 1, change)?,
                (None, _) if !last => {}
                (Some(_), Change::Delete) => {
                    if let Some(at) = at {
                        elements.remove(at);
                    }
                }
                (None, Change::Delete | Change::Set { create: false, .. }) => {}
                (Some(element), Change::Set { value, .. }) => *element = value,
                // What lies outside is put at the nearer end.
                (None, Change::Set { value, .. } | Change::Insert { value, .. }) => {
                    let end = if index < 0 { 0 } else { elements.len() };
                    elements.insert(end, value);
                }
                (Some(_), Change::Insert { value, after }) => {
                    let at = at.unwrap_or_default() + usize::from(after);
                    elements.insert(at.min(elements.len()), value);
                }
            }
        }
        Node::Scalar(_) if step == 1 => {
            let what = if matches!(change, Change::Delete) { "cannot delete path in scalar" } else { "cannot set path in scalar" };
            return Err(wrong("22023", what));
        }
        Node::Scalar(_) => {}
    }
    Ok(())
}

fn stripped(node: Node) -> Node {
    match node {
        Node::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| *value != Node::Scalar("null".to_owned()));
            Node::Object(kept.map(|(name, value)| (name, stripped(value))).collect())
        }
        Node::Array(elements) => Node::Array(elements.into_iter().map(stripped).collect()),
        scalar => scalar,
    }
}
