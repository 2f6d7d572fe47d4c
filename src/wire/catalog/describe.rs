//! What is said of things: obj_description and its like, and the relation behind them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Signature, SimpleScalarUDF, TypeSignature, Volatility};
use datafusion::prelude::SessionContext;

use super::fill::{Columns, Fill, some};
use super::schema::{Listed, PgCatalog};
use crate::plan::parse::{Commented, Kind};

/// The oids of the catalogues that objects are in.
const PG_CLASS: i32 = 1259;
const PG_AUTHID: i32 = 1260;
const PG_TYPE: i32 = 1247;
const PG_PROC: i32 = 1255;
const PG_DATABASE: i32 = 1262;
const PG_CONSTRAINT: i32 = 2606;
const PG_NAMESPACE: i32 = 2615;

/// Registers the functions.
pub(in crate::wire) fn register(context: &SessionContext, catalog: &Arc<PgCatalog>) {
    for name in ["obj_description", "col_description", "shobj_description"] {
        let held = Arc::clone(catalog);
        let answer = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
            let arrays = ColumnarValue::values_to_arrays(arguments)?;
            let n_rows = arrays.first().map_or(0, |array| array.len());
            let oids = numbers(arrays.first(), n_rows)?;
            let texts: StringArray = match name {
                "col_description" => {
                    let places = numbers(arrays.get(1), n_rows)?;
                    oids.into_iter().zip(places).map(|(oid, at)| column(&held, oid?, at?)).collect()
                }
                _ => {
                    let catalogs = words(arrays.get(1), n_rows)?;
                    oids.into_iter().zip(catalogs).map(|(oid, catalog)| object(&held, name, oid?, catalog.as_deref())).collect()
                }
            };
            Ok(ColumnarValue::Array(Arc::new(texts)))
        };
        let signature = Signature::new(TypeSignature::VariadicAny, Volatility::Stable);
        context.register_udf(SimpleScalarUDF::new_with_signature(name, signature, DataType::Utf8, Arc::new(answer)).into());
    }
}

/// Registers pg_describe_object.
pub(super) fn register_describe(context: &SessionContext, catalog: &Arc<PgCatalog>) {
    let held = Arc::clone(catalog);
    let answer = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let n_rows = arrays.first().map_or(0, |array| array.len());
        let (catalogs, oids) = (numbers(arrays.first(), n_rows)?, numbers(arrays.get(1), n_rows)?);
        let places = numbers(arrays.get(2), n_rows)?;
        let one = |((of, oid), at): ((Option<i32>, Option<i32>), Option<i32>)| described(&held, of?, oid?, at?);
        Ok(ColumnarValue::Array(Arc::new(catalogs.into_iter().zip(oids).zip(places).map(one).collect::<StringArray>())))
    };
    let signature = Signature::new(TypeSignature::Any(3), Volatility::Stable);
    let udf = SimpleScalarUDF::new_with_signature("pg_describe_object", signature, DataType::Utf8, Arc::new(answer));
    context.register_udf(udf.into());
}

/// An object by its catalogue, its oid and, of a relation, the place of a column; None if there is none.
fn described(catalog: &PgCatalog, of: i32, oid: i32, at: i32) -> Option<String> {
    match of {
        PG_CLASS => {
            if let Some((index, ..)) = catalog.key(true, oid) {
                return Some(format!("index {index}"));
            }
            let (schema, name) = catalog.relation(oid)?;
            let own = catalog.engine()?.relations().into_iter().find(|one| schema == "public" && one.name == name);
            let kind = match own.as_ref().map(|one| one.kind) {
                Some(Kind::View) => "view",
                Some(Kind::MaterializedView) => "materialized view",
                _ => "table",
            };
            let shown = if catalog.visible(oid) { name } else { format!("{schema}.{name}") };
            if at == 0 {
                return Some(format!("{kind} {shown}"));
            }
            let column = own?.schema.fields().get(usize::try_from(at).ok()?.checked_sub(1)?)?.name().clone();
            Some(format!("column {column} of {kind} {shown}"))
        }
        PG_CONSTRAINT => catalog.key(false, oid).map(|(key, table, _)| format!("constraint {key} on table {table}")),
        PG_NAMESPACE => catalog.namespaces().into_iter().find(|(known, _)| *known == oid).map(|(_, name)| format!("schema {name}")),
        PG_AUTHID => catalog.role_name(oid).map(|name| format!("role {name}")),
        PG_DATABASE => Some(format!("database {}", catalog.database)),
        PG_TYPE => Some(super::functions::format_type(oid)).filter(|name| name != "???").map(|name| format!("type {name}")),
        PG_PROC => {
            let found = super::procedures::all().iter().find(|one| one.oid == oid)?;
            Some(format!("function {}({})", found.name, found.arguments))
        }
        _ => None,
    }
}

fn numbers(array: Option<&ArrayRef>, n_rows: usize) -> Result<Vec<Option<i32>>> {
    let Some(array) = array else { return Ok(vec![None; n_rows]) };
    let array = cast(array, &DataType::Int32)?;
    Ok(array.as_primitive::<Int32Type>().iter().collect())
}

fn words(array: Option<&ArrayRef>, n_rows: usize) -> Result<Vec<Option<String>>> {
    let Some(array) = array else { return Ok(vec![None; n_rows]) };
    let array = cast(array, &DataType::Utf8)?;
    Ok(array.as_string::<i32>().iter().map(|word| word.map(str::to_owned)).collect())
}

fn object(catalog: &PgCatalog, function: &str, oid: i32, of: Option<&str>) -> Option<String> {
    let engine = catalog.engine()?;
    match (function, of) {
        ("shobj_description", Some("pg_authid")) => engine.comments().of(&Commented::Role(catalog.role_name(oid)?)),
        ("obj_description", Some("pg_class") | None) => {
            let (schema, name) = catalog.relation(oid).filter(|(schema, _)| schema == "public")?;
            let kind = engine.relations().into_iter().find(|one| one.name == name && schema == "public")?.kind;
            engine.comments().of(&Commented::Relation(kind, name))
        }
        ("obj_description", Some("pg_proc")) => super::procedures::description(oid),
        _ => None,
    }
}

fn column(catalog: &PgCatalog, oid: i32, at: i32) -> Option<String> {
    let engine = catalog.engine()?;
    let (_, relation) = catalog.relation(oid).filter(|(schema, _)| schema == "public")?;
    let schema = engine.relations().into_iter().find(|one| one.name == relation)?.schema;
    let column = schema.fields().get(usize::try_from(at).ok()?.checked_sub(1)?)?.name().clone();
    engine.comments().of(&Commented::Column { relation, column })
}

/// The rows of pg_description and pg_shdescription: oid, catalogue, column from 1 or 0, text.
#[derive(Default)]
pub(in crate::wire) struct Descriptions(Vec<(i32, i32, i32, String)>);

impl Descriptions {
    /// What was said of the relations listed, and of roles.
    pub(in crate::wire) fn of(catalog: &PgCatalog, listed: &[Listed]) -> Descriptions {
        let Some(engine) = catalog.engine() else { return Descriptions::default() };
        let relation = |name: &str| listed.iter().find(|one| one.namespace == "public" && one.name == name);
        let row = |(on, text): (Commented, String)| match on {
            Commented::Relation(_, name) => Some((relation(&name)?.oid, PG_CLASS, 0, text)),
            Commented::Column { relation: name, column } => {
                let one = relation(&name)?;
                let at = one.schema.index_of(&column).ok().and_then(|at| i32::try_from(at + 1).ok())?;
                Some((one.oid, PG_CLASS, at, text))
            }
            Commented::Role(name) => Some((catalog.role_oid(&name), PG_AUTHID, 0, text)),
        };
        Descriptions(engine.comments().all().into_iter().filter_map(row).collect())
    }

    /// Those of roles, which all databases share, or the others.
    fn rows(&self, shared: bool) -> impl Iterator<Item = &(i32, i32, i32, String)> {
        self.0.iter().filter(move |(_, of, ..)| (*of == PG_AUTHID) == shared)
    }

    /// How many there are.
    pub(in crate::wire) fn n_rows(&self, shared: bool) -> usize {
        self.rows(shared).count()
    }

    /// pg_description, or pg_shdescription.
    pub(in crate::wire) fn columns(&self, shared: bool) -> Columns {
        let mut columns = vec![
            ("objoid", Fill::Oid(self.rows(shared).map(|(oid, ..)| *oid).collect())),
            ("classoid", Fill::Oid(self.rows(shared).map(|(_, of, ..)| *of).collect())),
        ];
        if !shared {
            columns.push(("objsubid", Fill::Int4(self.rows(shared).map(|(_, _, at, _)| *at).collect())));
        }
        columns.push(("description", some(self.rows(shared).map(|(.., text)| text))));
        columns
    }
}
