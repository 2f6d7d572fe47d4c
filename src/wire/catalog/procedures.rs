//! The functions of framesql as pg_proc has them: names, arguments, results, and the statement that would make them.

use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, AsArray, StringArray, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Int32Type};
use arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, Documentation, Signature, SimpleScalarUDF, TypeSignature, Volatility};
use datafusion::prelude::SessionContext;
use framesql_udfs::aggregate::aggregates;
use framesql_udfs::function::functions;
use pgwire::api::Type;

use super::builtins::Builtin;
use super::fill::{Columns, Fill, rows_of, some};
use super::schema::{OWNER_OID, PUBLIC_OID, PgCatalog};
use crate::error::Error;

/// What `'name'::regproc::oid` becomes.
pub(in crate::wire) const PROCEDURE_OID: &str = "pg_procedure_oid";
/// Their oids begin here: Postgres assigns none of them.
const FIRST_OID: i32 = 8_300;
/// The oids of the languages of functions that are part of the program.
const INTERNAL_OID: i32 = 12;

/// A function.
pub(super) struct Procedure {
    /// Its oid.
    pub(in crate::wire) oid: i32,
    /// Its name.
    pub(in crate::wire) name: String,
    /// Whether it is an aggregate.
    pub(in crate::wire) aggregate: bool,
    /// Its arguments as its documentation writes them: `frame [, size int4]`.
    pub(in crate::wire) arguments: String,
    /// What it gives.
    pub(in crate::wire) result: String,
    /// What it does.
    description: String,
}

/// All of them, in name order.
pub(super) fn all() -> &'static [Procedure] {
    static ALL: OnceLock<Vec<Procedure>> = OnceLock::new();
    ALL.get_or_init(|| {
        let scalar = functions().into_iter().map(|f| (f.name().to_owned(), false, f.documentation().cloned()));
        let aggregate = aggregates().into_iter().map(|f| (f.name().to_owned(), true, f.documentation().cloned()));
        let mut named: Vec<(String, bool, Documentation)> =
            scalar.chain(aggregate).filter_map(|(name, aggregate, documented)| Some((name, aggregate, documented?))).collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        let procedure = |(at, (name, aggregate, documented)): (usize, (String, bool, Documentation))| {
            let (arguments, result) = signature(&documented.syntax_example);
            Procedure { oid: FIRST_OID + at as i32, name, aggregate, arguments, result, description: documented.description }
        };
        named.into_iter().enumerate().map(procedure).collect()
    })
}

/// The arguments and the result of `name(arguments) -> result`.
fn signature(text: &str) -> (String, String) {
    let (call, result) = text.rsplit_once("->").unwrap_or((text, ""));
    let arguments = call.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map_or("", |(arguments, _)| arguments);
    (arguments.trim().to_owned(), result.trim().to_lowercase())
}

impl Procedure {
    /// The names and types of its arguments, and how many of them may be left out.
    fn each(&self) -> (Vec<(&str, Type)>, usize) {
        let needed = self.arguments.split('[').next().unwrap_or_default();
        let split = |text: &str| text.split(',').filter(|part| !part.trim().is_empty()).count();
        let mut arguments = Vec::new();
        for part in self.arguments.split(',') {
            let mut words = part.split_whitespace().filter(|word| !matches!(*word, "[" | "]"));
            let Some(name) = words.next() else { continue };
            let name = name.trim_matches(|c| matches!(c, '[' | ']'));
            let data_type = words.next().map_or(name, bare);
            if !name.is_empty() {
                arguments.push((name, type_of(data_type)));
            }
        }
        let n_optional = arguments.len().saturating_sub(split(needed));
        (arguments, n_optional)
    }

    /// The statement that would make it, for `\sf` and pg_get_functiondef.
    fn definition(&self) -> String {
        let Procedure { name, arguments, result, .. } = self;
        format!(
            "CREATE OR REPLACE FUNCTION public.{name}({arguments})\n RETURNS {result}\n LANGUAGE internal\nAS $function${name}$function$\n"
        )
    }
}

/// A type without the brackets that end what may be left out.
fn bare(mut word: &str) -> &str {
    while let Some(rest) = word.strip_suffix(']').filter(|_| !word.ends_with("[]")) {
        word = rest;
    }
    word
}

/// The Postgres type that clients see of a type of the documentation.
fn type_of(word: &str) -> Type {
    let lower = word.to_lowercase();
    if let Some(element) = lower.strip_suffix("[]") {
        return crate::wire::value::columns::array_of(&type_of(element));
    }
    match lower.as_str() {
        "bool" | "boolean" => Type::BOOL,
        "int2" => Type::INT2,
        "int4" | "int" => Type::INT4,
        "int8" => Type::INT8,
        "float4" => Type::FLOAT4,
        "float8" => Type::FLOAT8,
        "bytea" => Type::BYTEA,
        "timestamptz" => Type::TIMESTAMPTZ,
        "interval" => Type::INTERVAL,
        "text" | "frame" => Type::TEXT,
        "embedding" => Type::FLOAT4_ARRAY,
        _ => Type::JSONB,
    }
}

/// pg_proc: what Postgres brings, with the functions of framesql behind it.
pub(in crate::wire) fn pg_proc(fixed: &[RecordBatch]) -> Result<Option<RecordBatch>> {
    let Some(first) = fixed.first() else { return Ok(None) };
    let schema = first.schema();
    let (own, n_rows) = own();
    let own = rows_of(own, n_rows)?;
    let column = |field: &Arc<Field>| -> Result<ArrayRef> {
        match own.column_by_name(field.name()) {
            Some(array) => Ok(cast(array, field.data_type()).unwrap_or_else(|_| new_null_array(field.data_type(), n_rows))),
            None => Ok(new_null_array(field.data_type(), n_rows)),
        }
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
    let nullable = Arc::new(arrow::datatypes::Schema::new_with_metadata(
        schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>(),
        schema.metadata().clone(),
    ));
    let own = RecordBatch::try_new(Arc::clone(&nullable), columns)?;
    let fixed = fixed.iter().map(|batch| batch.clone().with_schema(Arc::clone(&nullable))).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(concat_batches(&nullable, fixed.iter().chain([&own]))?))
}

fn own() -> (Columns, usize) {
    let each: Vec<_> = all().iter().map(Procedure::each).collect();
    let of = |text: fn(&Procedure) -> &str| some(all().iter().map(move |p| text(p).to_owned()));
    let columns = vec![
        ("oid", Fill::Oid(all().iter().map(|p| p.oid).collect())),
        ("proname", of(|p| &p.name)),
        ("pronamespace", Fill::OneOid(PUBLIC_OID)),
        ("proowner", Fill::OneOid(OWNER_OID)),
        ("prolang", Fill::OneOid(INTERNAL_OID)),
        ("procost", Fill::Float4(1.0)),
        ("prorows", Fill::Float4(0.0)),
        ("provariadic", Fill::OneOid(0)),
        ("prosupport", Fill::Word("-")),
        ("prokind", some(all().iter().map(|p| if p.aggregate { 'a' } else { 'f' }))),
        ("prosecdef", Fill::Flag(false)),
        ("proleakproof", Fill::Flag(false)),
        ("proisstrict", Fill::Flag(false)),
        ("proretset", Fill::Flag(false)),
        ("provolatile", Fill::Word("i")),
        ("proparallel", Fill::Word("s")),
        ("pronargs", Fill::Int2(each.iter().map(|(arguments, _)| arguments.len() as i16).collect())),
        ("pronargdefaults", Fill::Int2(each.iter().map(|(_, n)| *n as i16).collect())),
        ("prorettype", Fill::Oid(all().iter().map(|p| type_of(&p.result).oid() as i32).collect())),
        ("proargtypes", some(each.iter().map(|(arguments, _)| oids(arguments)))),
        ("proargnames", some(each.iter().map(|(arguments, _)| names(arguments)))),
        ("prosrc", of(|p| &p.name)),
    ];
    (columns, all().len())
}

fn oids(arguments: &[(&str, Type)]) -> String {
    arguments.iter().map(|(_, data_type)| data_type.oid().to_string()).collect::<Vec<_>>().join(" ")
}

fn names(arguments: &[(&str, Type)]) -> String {
    format!("{{{}}}", arguments.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(","))
}

/// information_schema.routines.
pub(super) fn routines(database: &str) -> (Columns, usize) {
    let procedures = || all().iter().filter(|p| !p.aggregate);
    let columns = vec![
        ("specific_catalog", some(procedures().map(|_| database))),
        ("specific_schema", Fill::Word("public")),
        ("specific_name", some(procedures().map(|p| format!("{}_{}", p.name, p.oid)))),
        ("routine_catalog", some(procedures().map(|_| database))),
        ("routine_schema", Fill::Word("public")),
        ("routine_name", some(procedures().map(|p| &p.name))),
        ("routine_type", Fill::Word("FUNCTION")),
        ("data_type", some(procedures().map(|p| super::functions::format_type(type_of(&p.result).oid() as i32)))),
        ("routine_body", Fill::Word("EXTERNAL")),
        ("routine_definition", Fill::Null),
        ("external_language", Fill::Word("INTERNAL")),
    ];
    (columns, procedures().count())
}

/// information_schema.parameters.
pub(in crate::wire) fn parameters(database: &str) -> (Columns, usize) {
    let each: Vec<(&Procedure, usize, &str, Type)> = all()
        .iter()
        .filter(|p| !p.aggregate)
        .flat_map(|p| p.each().0.into_iter().enumerate().map(move |(at, (name, data_type))| (p, at, name, data_type)))
        .collect();
    let columns = vec![
        ("specific_catalog", some(each.iter().map(|_| database))),
        ("specific_schema", Fill::Word("public")),
        ("specific_name", some(each.iter().map(|(p, ..)| format!("{}_{}", p.name, p.oid)))),
        ("ordinal_position", Fill::Int4(each.iter().map(|(_, at, ..)| *at as i32 + 1).collect())),
        ("parameter_mode", Fill::Word("IN")),
        ("parameter_name", some(each.iter().map(|(_, _, name, _)| name))),
        ("data_type", some(each.iter().map(|(.., data_type)| super::functions::format_type(data_type.oid() as i32)))),
        ("udt_name", some(each.iter().map(|(.., data_type)| data_type.name()))),
    ];
    (columns, each.len())
}

/// What obj_description says of a function.
pub(in crate::wire) fn description(oid: i32) -> Option<String> {
    all().iter().find(|p| p.oid == oid).map(|p| p.description.clone())
}

/// Registers the functions about functions.
pub(super) fn register(context: &SessionContext, catalog: &Arc<PgCatalog>) {
    type Text = fn(&Procedure) -> String;
    type BuiltinText = fn(&Builtin) -> Option<String>;
    let texts: [(&str, Text, BuiltinText); 4] = [
        ("pg_get_functiondef", Procedure::definition, Builtin::definition),
        ("pg_get_function_result", |p| p.result.clone(), |b| Some(b.result.clone())),
        ("pg_get_function_arguments", |p| p.arguments.clone(), |b| Some(b.arguments.clone())),
        ("pg_get_function_identity_arguments", |p| p.arguments.clone(), |b| Some(b.arguments.clone())),
    ];
    for (name, text, builtin_text) in texts {
        let held = Arc::clone(catalog);
        let answer = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
            let arrays = ColumnarValue::values_to_arrays(arguments)?;
            let Some(first) = arrays.first() else { return datafusion::common::exec_err!("an oid is needed") };
            let oids = cast(first, &DataType::Int32)?;
            let builtins = held.builtins();
            let of = |oid: Option<i32>| {
                let builtin = builtins.binary_search_by_key(&oid?, |builtin| builtin.oid).ok().and_then(|at| builtins.get(at));
                all().iter().find(|p| Some(p.oid) == oid).map(text).or_else(|| builtin_text(builtin?))
            };
            Ok(ColumnarValue::Array(Arc::new(oids.as_primitive::<Int32Type>().iter().map(of).collect::<StringArray>())))
        };
        let signature = Signature::new(TypeSignature::VariadicAny, Volatility::Stable);
        context.register_udf(SimpleScalarUDF::new_with_signature(name, signature, DataType::Utf8, Arc::new(answer)).into());
    }
    let held = Arc::clone(catalog);
    let answer = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let Some(first) = arrays.first() else { return datafusion::common::exec_err!("a name is needed") };
        let texts = cast(first, &DataType::Utf8)?;
        let oids = texts.as_string::<i32>().iter().map(|name| name.map(|name| oid_of(name, held.builtins())).transpose());
        Ok(ColumnarValue::Array(Arc::new(oids.collect::<Result<arrow::array::Int32Array>>()?)))
    };
    let signature = Signature::new(TypeSignature::Any(1), Volatility::Stable);
    context.register_udf(SimpleScalarUDF::new_with_signature(PROCEDURE_OID, signature, DataType::Int32, Arc::new(answer)).into());
}

/// The oid of a function by its name, perhaps behind a schema's and before its arguments; of several without arguments it is the first. Errs with 42883.
fn oid_of(text: &str, builtins: &[Builtin]) -> Result<i32> {
    let (name, arguments) = text.split_once('(').map_or((text, None), |(name, rest)| (name, Some(rest.trim_end().trim_end_matches(')'))));
    let name = name.rsplit('.').next().unwrap_or(name).trim().trim_matches('"');
    let own = all().iter().find(|p| p.name.eq_ignore_ascii_case(name)).map(|p| p.oid);
    let bare = |arguments: &str| arguments.to_lowercase().replace(' ', "");
    let same = |b: &&Builtin| arguments.is_none_or(|arguments| bare(arguments) == bare(&b.arguments));
    let mut named = builtins.iter().filter(|b| b.name.eq_ignore_ascii_case(name));
    own.or_else(|| named.find(same).map(|b| b.oid)).ok_or_else(|| {
        DataFusionError::from(Error::Data { code: "42883", message: format!("function \"{text}\" does not exist"), detail: None })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_read() {
        let of = |text: &str| {
            let (arguments, result) = signature(text);
            Procedure { oid: 1, name: "f".into(), aggregate: false, arguments, result, description: String::new() }
        };
        let one = of("f(frame [, size int4 [, spread float8]]) -> FRAME");
        let (arguments, n_optional) = one.each();
        assert_eq!(arguments, [("frame", Type::TEXT), ("size", Type::INT4), ("spread", Type::FLOAT8)]);
        assert_eq!((n_optional, one.result.as_str()), (2, "frame"));
        assert_eq!(of("f(boxes DETECTION[], n int8) -> int4").each().0, [("boxes", Type::JSONB_ARRAY), ("n", Type::INT8)]);
        assert_eq!(of("f(frame [, labels text[] [, n int4]]) -> text").each().0[1], ("labels", Type::TEXT_ARRAY));
        assert_eq!(of("f() -> text").each().0, []);
    }

    #[test]
    fn every_function_is_there_once_with_a_result() {
        assert!(all().len() > 50);
        assert!(all().windows(2).all(|pair| pair[0].name < pair[1].name));
        let without: Vec<&str> = all().iter().filter(|p| p.result.is_empty()).map(|p| p.name.as_str()).collect();
        assert_eq!(without, Vec::<&str>::new());
    }
}
