//! Functions whose answers have a shape: arrays of oids and of types, privileges as rows, and texts that others are made of.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Int32Array, Int32Builder, ListArray, ListBuilder, StringArray, StringBuilder, StructBuilder,
    new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use arrow_pg::datatypes::PG_OID_ALIAS_KEY;
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use pgwire::api::Type;

use super::fill::of_privilege;
use super::functions::{ACL_ITEMS, OID_ARRAY, REGTYPE_OID, REGTYPES_TEXT, format_type};
use super::schema::{OWNER_OID, PG_CATALOG, PgCatalog};
use crate::error::Error;
use crate::wire::value::column_types::with_type;

/// The function of that name.
const CURRENT_SCHEMAS: &str = "current_schemas";

type Answer = Arc<dyn Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync>;

/// The list.
pub(in crate::wire) fn udfs(catalog: &Arc<PgCatalog>) -> Vec<ScalarUDF> {
    let held = Arc::clone(catalog);
    let text_list = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    let items = DataType::List(Arc::new(Field::new_list_field(DataType::Struct(item_fields()), true)));
    let oids = DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)));
    let all: [(&'static str, DataType, Answer); 8] = [
        (ACL_ITEMS, items, Arc::new(move |arrays, n_rows| acl_items(arrays, n_rows, |role| held.role_oid(role)))),
        (OID_ARRAY, oids, Arc::new(oid_array)),
        (REGTYPES_TEXT, text_list.clone(), Arc::new(regtypes)),
        (CURRENT_SCHEMAS, text_list, Arc::new(current_schemas)),
        ("like_escape", DataType::Utf8, Arc::new(like_escape)),
        ("to_regtype", DataType::Int32, Arc::new(to_regtype)),
        (REGTYPE_OID, DataType::Int32, Arc::new(regtype_oid)),
        ("pg_char_to_encoding", DataType::Int32, Arc::new(encoding)),
    ];
    let udf = |(name, data_type, answer)| {
        let signature = Signature::one_of(vec![TypeSignature::Nullary, TypeSignature::VariadicAny], Volatility::Stable);
        ScalarUDF::new_from_impl(Shape { name, data_type, answer, signature })
    };
    all.into_iter().map(udf).collect()
}

struct Shape {
    name: &'static str,
    data_type: DataType,
    answer: Answer,
    signature: Signature,
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shape").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PartialEq for Shape {
    fn eq(&self, other: &Shape) -> bool {
        self.name == other.name
    }
}

impl Eq for Shape {}

impl std::hash::Hash for Shape {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Shape {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = Field::new(self.name, self.data_type.clone(), true);
        let alias = match self.name {
            OID_ARRAY | REGTYPE_OID | "to_regtype" => Some("oid"),
            _ => None,
        };
        let metadata = alias.map(|alias| HashMap::from([(PG_OID_ALIAS_KEY.to_owned(), alias.to_owned())])).unwrap_or_default();
        let field = field.with_metadata(metadata);
        Ok(Arc::new(if self.name == CURRENT_SCHEMAS { with_type(field, &Type::NAME_ARRAY) } else { field }))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays: Vec<ArrayRef> = arguments.args.iter().map(|value| value.to_array(arguments.number_rows)).collect::<Result<_>>()?;
        Ok(ColumnarValue::Array((self.answer)(&arrays, arguments.number_rows)?))
    }
}

fn first(arrays: &[ArrayRef]) -> Result<&ArrayRef> {
    match arrays.first() {
        Some(array) => Ok(array),
        None => exec_err!("an argument is needed"),
    }
}

fn texts(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    Ok(cast(first(arrays)?, &DataType::Utf8)?)
}

fn oid_array(arrays: &[ArrayRef], n_rows: usize) -> Result<ArrayRef> {
    let data_type = DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)));
    let array = first(arrays)?;
    if *array.data_type() == DataType::Null { Ok(new_null_array(&data_type, n_rows)) } else { Ok(cast(array, &data_type)?) }
}

fn item_fields() -> Fields {
    vec![
        Field::new("grantor", DataType::Int32, true),
        Field::new("grantee", DataType::Int32, true),
        Field::new("privilege_type", DataType::Utf8, true),
        Field::new("is_grantable", DataType::Boolean, true),
    ]
    .into()
}

/// `{reader=r/framesql}` as rows: one a privilege; no list has no rows.
fn acl_items(arrays: &[ArrayRef], n_rows: usize, oid_of: impl Fn(&str) -> i32) -> Result<ArrayRef> {
    let array = first(arrays)?;
    let data_type = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    let lists = if *array.data_type() == DataType::Null { new_null_array(&data_type, n_rows) } else { cast(array, &data_type)? };
    let lists = lists.as_list::<i32>();
    let field = Field::new_list_field(DataType::Struct(item_fields()), true);
    let builder = StructBuilder::new(
        item_fields(),
        vec![Box::new(Int32Builder::new()), Box::new(Int32Builder::new()), Box::new(StringBuilder::new()), Box::new(BooleanBuilder::new())],
    );
    let mut out = ListBuilder::new(builder).with_field(field);
    for row in 0..lists.len() {
        let items = lists.is_valid(row).then(|| lists.value(row));
        for item in items.iter().flat_map(|items| items.as_string::<i32>().iter().flatten()) {
            let (grantee, rest) = item.split_once('=').unwrap_or(("", item));
            let letters = rest.split('/').next().unwrap_or(rest);
            let grantee = grantee
                .strip_prefix('"')
                .and_then(|name| name.strip_suffix('"'))
                .map_or_else(|| grantee.to_owned(), |name| name.replace("\"\"", "\""));
            let to_oid = if grantee.is_empty() { 0 } else { oid_of(&grantee) };
            for letter in letters.chars().filter(|letter| *letter != '*') {
                let one = out.values();
                if let Some(grantor) = one.field_builder::<Int32Builder>(0) {
                    grantor.append_value(OWNER_OID);
                }
                if let Some(to) = one.field_builder::<Int32Builder>(1) {
                    to.append_value(to_oid);
                }
                if let Some(privilege) = one.field_builder::<StringBuilder>(2) {
                    privilege.append_value(of_privilege(letter));
                }
                if let Some(grantable) = one.field_builder::<BooleanBuilder>(3) {
                    grantable.append_value(false);
                }
                one.append(true);
            }
        }
        out.append(items.is_some());
    }
    Ok(Arc::new(out.finish()))
}

/// The names of the types whose oids a text has, however they are separated.
fn regtypes(arrays: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let texts = texts(arrays)?;
    let mut out = ListBuilder::new(StringBuilder::new());
    for text in texts.as_string::<i32>() {
        let oids = text.unwrap_or_default().split(|c: char| !c.is_ascii_digit()).filter_map(|oid| oid.parse::<i32>().ok());
        oids.for_each(|oid| out.values().append_value(format_type(oid)));
        out.append(text.is_some());
    }
    let lists: ListArray = out.finish();
    Ok(Arc::new(lists))
}

/// The schemas in which a name is looked for; with those that nobody names if that is asked for.
fn current_schemas(arrays: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let implicit = cast(first(arrays)?, &DataType::Boolean)?;
    let mut out = ListBuilder::new(StringBuilder::new());
    for implicit in implicit.as_boolean() {
        if implicit == Some(true) {
            out.values().append_value(PG_CATALOG);
        }
        out.values().append_value("public");
        out.append(implicit.is_some());
    }
    Ok(Arc::new(out.finish()))
}

/// A pattern of LIKE with another escape character, as one with the backslash.
fn like_escape(arrays: &[ArrayRef], n_rows: usize) -> Result<ArrayRef> {
    let [pattern, escape] = arrays else { return exec_err!("like_escape() needs a pattern and an escape character") };
    let (pattern, escape) = (cast(pattern, &DataType::Utf8)?, cast(escape, &DataType::Utf8)?);
    let (pattern, escape) = (pattern.as_string::<i32>(), escape.as_string::<i32>());
    let one = |row: usize| (pattern.is_valid(row) && escape.is_valid(row)).then(|| with_backslash(pattern.value(row), escape.value(row)));
    Ok(Arc::new((0..n_rows).map(one).collect::<StringArray>()))
}

fn with_backslash(pattern: &str, escape: &str) -> String {
    let escape = escape.chars().next();
    let mut out = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        if Some(c) == escape {
            let escaped = characters.next();
            if matches!(escaped, Some('%' | '_' | '\\') | None) {
                out.push('\\');
            }
            out.extend(escaped);
        } else {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out
}

/// The oid of a type by the name that it has in pg_type or in SQL.
fn type_oid(name: &str) -> Option<i32> {
    /// The last oid of the types that Postgres brings.
    const LAST: u32 = 5100;
    let lower = name.trim().to_lowercase();
    let name = lower.strip_prefix("pg_catalog.").unwrap_or(&lower);
    // Names that the parser of Postgres knows beside those that it shows.
    let name = match name {
        "int" => "integer",
        "decimal" => "numeric",
        "timestamp" => "timestamp without time zone",
        "time" => "time without time zone",
        other => other,
    };
    let found = (16..LAST).find(|oid| Type::from_oid(*oid).is_some_and(|known| known.name() == name) || format_type(*oid as i32) == name);
    found.map(|oid| oid as i32)
}

/// NULL if there is none.
fn to_regtype(arrays: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let texts = texts(arrays)?;
    Ok(Arc::new(texts.as_string::<i32>().iter().map(|name| type_oid(name?)).collect::<Int32Array>()))
}

/// Of a name, or of an oid as text. Errs with 42704.
fn regtype_oid(arrays: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let texts = texts(arrays)?;
    let oid = |name: Option<&str>| -> Result<Option<i32>> {
        let Some(name) = name else { return Ok(None) };
        let found = name.trim().parse().ok().or_else(|| type_oid(name));
        found.map(Some).ok_or_else(|| Error::NotFound { kind: "type", name: name.to_owned() }.into())
    };
    Ok(Arc::new(texts.as_string::<i32>().iter().map(oid).collect::<Result<Int32Array>>()?))
}

/// The number of an encoding: UTF8 is 6, the others are not here.
fn encoding(arrays: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let number = |name: &str| if matches!(name.to_uppercase().as_str(), "UTF8" | "UTF-8" | "UNICODE") { 6 } else { -1 };
    Ok(Arc::new(texts(arrays)?.as_string::<i32>().iter().map(|name| name.map(number)).collect::<Int32Array>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_keeps_its_meaning_with_another_escape() {
        for (pattern, escape, expected) in
            [("pg/_%", "/", "pg\\_%"), ("a\\b", "/", "a\\\\b"), ("a//b", "/", "a/b"), ("a/", "/", "a\\"), ("a%", "", "a%")]
        {
            assert_eq!(with_backslash(pattern, escape), expected);
        }
    }

    #[test]
    fn privileges_are_rows() {
        let mut lists = ListBuilder::new(StringBuilder::new());
        lists.values().append_value("reader=r/framesql");
        lists.append(true);
        lists.append(false);
        let items = acl_items(&[Arc::new(lists.finish())], 2, |_| 7).unwrap();
        let items = items.as_list::<i32>();
        assert_eq!((items.value(0).len(), items.is_null(1)), (1, true));
    }
}
