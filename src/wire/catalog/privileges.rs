//! What a role may do with what: has_table_privilege and its like, and access lists as Postgres writes them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Signature, SimpleScalarUDF, TypeSignature, Volatility};
use datafusion::prelude::SessionContext;

use super::schema::PgCatalog;
use crate::engine::Engine;
use crate::engine::privileges::readable;
use crate::engine::roles::{FIRST, Grant, PUBLIC, Readable};
use crate::error::Error;
use crate::wire::session::cancel::Registry;

/// What is asked for by name or by number.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Name(String),
    Number(i32),
}

/// What a privilege is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Table,
    AnyColumn,
    Column,
    Schema,
    Database,
    Sequence,
    Role,
}

/// The functions, and what each asks after.
const FUNCTIONS: [(&str, Of); 7] = [
    ("has_table_privilege", Of::Table),
    ("has_any_column_privilege", Of::AnyColumn),
    ("has_column_privilege", Of::Column),
    ("has_schema_privilege", Of::Schema),
    ("has_database_privilege", Of::Database),
    ("has_sequence_privilege", Of::Sequence),
    ("pg_has_role", Of::Role),
];

/// Registers them, and the functions that end what others run.
pub(in crate::wire) fn register(context: &SessionContext, catalog: &Arc<PgCatalog>, registry: &Arc<Registry>) {
    for (name, of) in FUNCTIONS {
        let held = Arc::clone(catalog);
        let answer = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
            let arrays = ColumnarValue::values_to_arrays(arguments)?;
            let columns = arrays.iter().map(asked).collect::<Result<Vec<_>>>()?;
            let n_rows = arrays.first().map_or(0, |array| array.len());
            let row = |row: usize| {
                let values = columns.iter().map(|column| column.get(row).cloned().flatten()).collect::<Option<Vec<_>>>();
                values.map_or(Ok(None), |values| answer_of(&held, of, &values))
            };
            let answers = (0..n_rows).map(row).collect::<crate::error::Result<BooleanArray>>();
            Ok(ColumnarValue::Array(Arc::new(answers.map_err(DataFusionError::from)?)))
        };
        let signature = Signature::new(TypeSignature::VariadicAny, Volatility::Stable);
        context.register_udf(SimpleScalarUDF::new_with_signature(name, signature, DataType::Boolean, Arc::new(answer)).into());
    }
    context.register_udf(ending("pg_cancel_backend", "cancel query", catalog, registry, Registry::cancel_backend));
    context.register_udf(ending("pg_terminate_backend", "terminate process", catalog, registry, Registry::terminate_backend));
}

/// The values of an argument: text is a name, all else a number.
fn asked(array: &ArrayRef) -> Result<Vec<Option<Asked>>> {
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let names = cast(array, &DataType::Utf8)?;
            Ok(names.as_string::<i32>().iter().map(|name| name.map(|name| Asked::Name(name.to_owned()))).collect())
        }
        DataType::Null => Ok(vec![None; array.len()]),
        _ => {
            let numbers = cast(array, &DataType::Int32)?;
            Ok(numbers.as_primitive::<Int32Type>().iter().map(|number| number.map(Asked::Number)).collect())
        }
    }
}

/// A function that ends what the connection of a process id does. Errs (42501) for one of another role, unless the user is a superuser.
fn ending(
    name: &str,
    what: &'static str,
    catalog: &Arc<PgCatalog>,
    registry: &Arc<Registry>,
    end: fn(&Registry, i32) -> bool,
) -> ScalarUDF {
    let (catalog, registry) = (Arc::clone(catalog), Arc::clone(registry));
    let answer = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let Some(pids) = arrays.first() else { return exec_err!("a process id is needed") };
        let pids = cast(pids, &DataType::Int32)?;
        let one = |pid: Option<i32>| -> crate::error::Result<Option<bool>> {
            let Some(pid) = pid else { return Ok(None) };
            let other = registry.connected().into_iter().find(|one| one.pid == pid && one.user != catalog.user);
            if other.is_some() && !catalog.superuser(&catalog.user) {
                return Err(Error::Denied {
                    message: format!("permission denied to {what}"),
                    hint: Some("A superuser may, and the role whose it is.".into()),
                });
            }
            Ok(Some(end(&registry, pid)))
        };
        let ended = pids.as_primitive::<Int32Type>().iter().map(one).collect::<crate::error::Result<BooleanArray>>();
        Ok(ColumnarValue::Array(Arc::new(ended.map_err(DataFusionError::from)?)))
    };
    let signature = Signature::new(TypeSignature::VariadicAny, Volatility::Volatile);
    SimpleScalarUDF::new_with_signature(name, signature, DataType::Boolean, Arc::new(answer)).into()
}

/// Whether the role may: `[role,] object [, column], privilege`. None for an object of a number that there is not.
fn answer_of(catalog: &PgCatalog, of: Of, values: &[Asked]) -> crate::error::Result<Option<bool>> {
    let wanted = if of == Of::Column { 3 } else { 2 };
    let (role, values) = match values {
        [role, rest @ ..] if rest.len() == wanted => (role_of(catalog, role)?, rest),
        all if all.len() == wanted => (Some(catalog.user.clone()), all),
        _ => return Err(Error::Syntax { message: format!("expected {wanted} or {} arguments", wanted + 1), hint: None }),
    };
    let (Some(role), Some(object), Some(Asked::Name(words))) = (role, values.first(), values.last()) else { return Ok(None) };
    let Some(engine) = catalog.engine() else { return Ok(None) };
    let superuser = catalog.superuser(&role);
    match of {
        Of::Table | Of::AnyColumn => {
            let Some((schema, relation)) = relation_of(catalog, object)? else { return Ok(None) };
            let may = readable_by(&engine, &role, superuser, &schema, &relation);
            let enough = if of == Of::Table { may == Readable::All } else { may != Readable::Nothing };
            any(words, &TABLE, superuser, &[("SELECT", enough)])
        }
        Of::Column => {
            let Some((schema, relation)) = relation_of(catalog, object)? else { return Ok(None) };
            let Some(column) = values.get(1) else { return Ok(None) };
            let Some(column) = column_of(catalog, &engine, &schema, &relation, column)? else { return Ok(None) };
            let enough = match readable_by(&engine, &role, superuser, &schema, &relation) {
                Readable::All => true,
                Readable::Columns(columns) => columns.contains(&column),
                Readable::Nothing => false,
            };
            any(words, &TABLE, superuser, &[("SELECT", enough)])
        }
        Of::Schema => {
            if let Asked::Name(name) = object
                && !catalog.namespaces().iter().any(|(_, known)| *known == folded(name))
            {
                return Err(Error::NotFound { kind: "schema", name: name.clone() });
            }
            any(words, &["USAGE", "CREATE"], superuser, &[("USAGE", true)])
        }
        Of::Database => {
            let all = ["CONNECT", "CREATE", "TEMPORARY", "TEMP"];
            any(words, &all, superuser, &[("CONNECT", true)])
        }
        Of::Sequence => any(words, &["USAGE", "SELECT", "UPDATE"], superuser, &[]),
        Of::Role => {
            let Some(other) = role_of(catalog, object)? else { return Ok(None) };
            any(
                words,
                &["USAGE", "MEMBER", "SET"],
                superuser,
                &[("USAGE", other == role), ("MEMBER", other == role), ("SET", other == role)],
            )
        }
    }
}

/// The privileges of a relation.
const TABLE: [&str; 7] = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];

fn readable_by(engine: &Engine, role: &str, superuser: bool, schema: &str, relation: &str) -> Readable {
    if superuser { Readable::All } else { readable(engine, role, schema, relation) }
}

/// Whether one of the privileges in a list such as `SELECT, UPDATE WITH GRANT OPTION` is there. Errs (22023) for one that there is not.
fn any(words: &str, known: &[&str], superuser: bool, may: &[(&str, bool)]) -> crate::error::Result<Option<bool>> {
    let mut found = false;
    for word in words.split(',') {
        let word = word.trim().to_uppercase();
        let (bare, grants) = match word.strip_suffix("WITH GRANT OPTION").or_else(|| word.strip_suffix("WITH ADMIN OPTION")) {
            Some(bare) => (bare.trim().to_owned(), true),
            None => (word.clone(), false),
        };
        if !known.contains(&bare.as_str()) {
            return Err(Error::Option { message: format!("unrecognized privilege type: \"{word}\""), hint: None });
        }
        found |= superuser || !grants && may.iter().any(|(privilege, there)| *privilege == bare && *there);
    }
    Ok(Some(found))
}

fn role_of(catalog: &PgCatalog, role: &Asked) -> crate::error::Result<Option<String>> {
    match role {
        Asked::Number(oid) => Ok(catalog.role_name(*oid)),
        Asked::Name(name) if name == PUBLIC || catalog.roles().iter().any(|role| role.name == *name) => Ok(Some(name.clone())),
        Asked::Name(name) => Err(Error::NotFound { kind: "role", name: name.clone() }),
    }
}

/// The schema and name of a relation. Errs (42P01) for a name that there is not.
fn relation_of(catalog: &PgCatalog, relation: &Asked) -> crate::error::Result<Option<(String, String)>> {
    match relation {
        Asked::Number(oid) => Ok(catalog.relation(*oid)),
        Asked::Name(text) => {
            let parts = parts(text);
            catalog.find_relation(&parts).map(Some).ok_or_else(|| Error::NotFound { kind: "relation", name: text.clone() })
        }
    }
}

fn column_of(catalog: &PgCatalog, engine: &Engine, schema: &str, relation: &str, column: &Asked) -> crate::error::Result<Option<String>> {
    if schema != "public" {
        // Whoever reads one column of these reads all.
        return Ok(Some(String::new()));
    }
    let fields = engine.relations().into_iter().find(|one| one.name == relation).map(|one| one.schema);
    let Some(fields) = fields else { return Ok(None) };
    match column {
        Asked::Number(at) => {
            let field = usize::try_from(*at).ok().and_then(|at| fields.fields().get(at.checked_sub(1)?));
            Ok(field.map(|field| field.name().clone()))
        }
        Asked::Name(name) if fields.index_of(name).is_ok() => Ok(Some(name.clone())),
        Asked::Name(name) => Err(Error::Data {
            code: "42703",
            message: format!("column \"{name}\" of relation \"{relation}\" does not exist in database \"{}\"", catalog.database),
            detail: None,
        }),
    }
}

fn folded(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_lowercase(),
    }
}

/// The parts of a qualified name in a text.
pub(in crate::wire) fn parts(text: &str) -> Vec<String> {
    let (mut parts, mut part, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.trim().chars() {
        match c {
            '.' if !quoted => parts.push(folded(std::mem::take(&mut part).trim())),
            c => {
                quoted ^= c == '"';
                part.push(c);
            }
        }
    }
    parts.push(folded(part.trim()));
    parts
}

/// A role's name in an access list.
fn listed(role: &str) -> String {
    let plain = role.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match role {
        PUBLIC => String::new(),
        role if plain => role.to_owned(),
        role => format!("\"{}\"", role.replace('"', "\"\"")),
    }
}

/// `pg_class.relacl`: None where nothing was granted, as in Postgres.
pub(super) fn of_relation(grants: &[Grant], relation: &str) -> Option<Vec<String>> {
    let granted: Vec<&Grant> = grants.iter().filter(|grant| grant.object == relation && grant.columns.is_none()).collect();
    let owner = format!("{0}=arwdDxt/{0}", listed(FIRST));
    let items = granted.iter().map(|grant| format!("{}=r/{}", listed(&grant.role), listed(FIRST)));
    (!granted.is_empty()).then(|| std::iter::once(owner).chain(items).collect())
}

/// `pg_attribute.attacl`.
pub(in crate::wire) fn of_column(grants: &[Grant], relation: &str, column: &str) -> Option<Vec<String>> {
    let has = |grant: &&Grant| grant.object == relation && grant.columns.as_ref().is_some_and(|all| all.iter().any(|one| one == column));
    let items: Vec<String> = grants.iter().filter(has).map(|grant| format!("{}=r/{}", listed(&grant.role), listed(FIRST))).collect();
    (!items.is_empty()).then_some(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_lists_are_read_as_postgres_reads_them() {
        assert_eq!(parts("Public.\"A.b\""), ["public", "A.b"]);
        assert_eq!(any("select, insert", &TABLE, false, &[("SELECT", true)]).unwrap(), Some(true));
        assert_eq!(any("SELECT WITH GRANT OPTION", &TABLE, false, &[("SELECT", true)]).unwrap(), Some(false));
        assert_eq!(any("INSERT", &TABLE, true, &[]).unwrap(), Some(true));
        assert_eq!(any("READ", &TABLE, true, &[]).unwrap_err().sqlstate(), "22023");
    }

    #[test]
    fn an_access_list_begins_with_the_owner() {
        let grant = |role: &str, columns: Option<&str>| Grant {
            role: role.into(),
            object: "v".into(),
            columns: columns.map(|column| vec![column.to_owned()]),
        };
        let grants = [grant("bi", None), grant("public", None), grant("a b", Some("n"))];
        assert_eq!(of_relation(&grants, "v").unwrap(), ["framesql=arwdDxt/framesql", "bi=r/framesql", "=r/framesql"]);
        assert_eq!((of_relation(&grants, "w"), of_column(&grants, "v", "m")), (None, None));
        assert_eq!(of_column(&grants, "v", "n").unwrap(), ["\"a b\"=r/framesql"]);
    }
}
