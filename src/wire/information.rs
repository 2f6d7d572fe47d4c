//! The schema information_schema: the same objects as in pg_catalog, under the names and types of the SQL standard, as Postgres spells them.

use std::sync::{Arc, Weak};

use arrow::datatypes::Field;
use async_trait::async_trait;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::error::Result;
use pgwire::api::Type;

use super::catalog::{Listed, PgCatalog};
use super::columns;
use super::fill::{Columns, Fill, rows_of, some};
use super::functions::format_type;

/// The relations, in name order; those without a maker have no rows, as framesql has none of what they list.
const NAMES: [&str; 19] = [
    "applicable_roles",
    "check_constraints",
    "column_privileges",
    "columns",
    "constraint_column_usage",
    "domains",
    "enabled_roles",
    "key_column_usage",
    "parameters",
    "referential_constraints",
    "role_table_grants",
    "routines",
    "schemata",
    "sequences",
    "table_constraints",
    "table_privileges",
    "tables",
    "triggers",
    "views",
];

/// The schema of one connection.
#[derive(Debug)]
pub(super) struct Information {
    /// Both are schemas of one database, which holds them.
    catalog: Weak<PgCatalog>,
}

impl Information {
    /// Beside that pg_catalog.
    pub(super) fn new(catalog: &Arc<PgCatalog>) -> Information {
        Information { catalog: Arc::downgrade(catalog) }
    }
}

#[async_trait]
impl SchemaProvider for Information {
    fn table_names(&self) -> Vec<String> {
        NAMES.map(str::to_owned).to_vec()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(catalog) = self.catalog.upgrade().filter(|_| NAMES.contains(&name)) else { return Ok(None) };
        let listed = catalog.listed().await?;
        let (columns, n_rows) = relation(name, &catalog, &listed);
        let rows = rows_of(columns, n_rows)?;
        Ok(Some(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        NAMES.contains(&name)
    }
}

fn relation(name: &str, catalog: &PgCatalog, listed: &[Listed]) -> (Columns, usize) {
    let database = &catalog.database;
    match name {
        "columns" => columns_of(database, listed),
        "tables" => tables(database, listed),
        "views" => views(database, listed),
        "schemata" => schemata(catalog),
        "applicable_roles" => {
            (vec![("grantee", Fill::Text(Vec::new())), ("role_name", Fill::Text(Vec::new())), ("is_grantable", Fill::Text(Vec::new()))], 0)
        }
        "enabled_roles" => (vec![("role_name", Fill::Text(vec![Some(catalog.user.clone())]))], 1),
        "role_table_grants" | "table_privileges" => privileges(catalog, listed),
        other => nothing(other),
    }
}

/// Objects that clients are shown: sources and views, and the relations of framesql; materialized views too, though Postgres leaves them out,
/// because a tool that lists tables would not find what framesql is for.
fn shown(listed: &[Listed]) -> impl Iterator<Item = &Listed> {
    listed.iter()
}

fn columns_of(database: &str, listed: &[Listed]) -> (Columns, usize) {
    let fields: Vec<(&Listed, usize, &Arc<Field>)> =
        shown(listed).flat_map(|one| one.schema.fields().iter().enumerate().map(move |(at, field)| (one, at + 1, field))).collect();
    let types: Vec<Type> = fields.iter().map(|(_, _, field)| columns::of_field(field)).collect();
    let int4 = |of: fn(&Type) -> Option<i32>| Fill::OptionalInt4(types.iter().map(of).collect());
    let columns = vec![
        ("table_catalog", some(fields.iter().map(|_| database))),
        ("table_schema", some(fields.iter().map(|(one, ..)| &one.namespace))),
        ("table_name", some(fields.iter().map(|(one, ..)| &one.name))),
        ("column_name", some(fields.iter().map(|(_, _, field)| field.name()))),
        ("ordinal_position", Fill::Int4(fields.iter().map(|(_, at, _)| *at as i32).collect())),
        ("column_default", Fill::Null),
        ("is_nullable", some(fields.iter().map(|(_, _, field)| if field.is_nullable() { "YES" } else { "NO" }))),
        ("data_type", some(types.iter().map(data_type))),
        ("character_maximum_length", Fill::NullInt4),
        ("character_octet_length", int4(|one| (data_type(one) == "text").then_some(1 << 30))),
        ("numeric_precision", int4(precision)),
        ("numeric_precision_radix", int4(|one| precision(one).map(|_| 2))),
        ("numeric_scale", int4(|one| matches!(*one, Type::INT2 | Type::INT4 | Type::INT8).then_some(0))),
        ("datetime_precision", int4(|one| matches!(*one, Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME | Type::INTERVAL).then_some(6))),
        ("interval_type", Fill::Null),
        ("interval_precision", Fill::NullInt4),
        ("character_set_catalog", Fill::Null),
        ("character_set_schema", Fill::Null),
        ("character_set_name", Fill::Null),
        ("collation_catalog", Fill::Null),
        ("collation_schema", Fill::Null),
        ("collation_name", Fill::Null),
        ("domain_catalog", Fill::Null),
        ("domain_schema", Fill::Null),
        ("domain_name", Fill::Null),
        ("udt_catalog", some(fields.iter().map(|_| database))),
        ("udt_schema", Fill::Word("pg_catalog")),
        ("udt_name", some(types.iter().map(Type::name))),
        ("scope_catalog", Fill::Null),
        ("scope_schema", Fill::Null),
        ("scope_name", Fill::Null),
        ("maximum_cardinality", Fill::NullInt4),
        ("dtd_identifier", some(fields.iter().map(|(_, at, _)| at))),
        ("is_self_referencing", Fill::Word("NO")),
        ("is_identity", Fill::Word("NO")),
        ("identity_generation", Fill::Null),
        ("identity_start", Fill::Null),
        ("identity_increment", Fill::Null),
        ("identity_maximum", Fill::Null),
        ("identity_minimum", Fill::Null),
        ("identity_cycle", Fill::Word("NO")),
        ("is_generated", Fill::Word("NEVER")),
        ("generation_expression", Fill::Null),
        ("is_updatable", Fill::Word("NO")),
    ];
    (columns, fields.len())
}

/// The name of a type in the standard: an array is ARRAY, of what udt_name says.
fn data_type(of: &Type) -> String {
    if columns::element_of(of).is_some() { "ARRAY".to_owned() } else { format_type(of.oid() as i32) }
}

/// Bits of a number, as Postgres counts them.
fn precision(of: &Type) -> Option<i32> {
    match *of {
        Type::INT2 => Some(16),
        Type::INT4 => Some(32),
        Type::INT8 => Some(64),
        Type::FLOAT4 => Some(24),
        Type::FLOAT8 => Some(53),
        _ => None,
    }
}

fn tables(database: &str, listed: &[Listed]) -> (Columns, usize) {
    let all: Vec<&Listed> = shown(listed).collect();
    let kind = |one: &&Listed| match one.kind {
        'r' => "BASE TABLE",
        _ => "VIEW",
    };
    let columns = vec![
        ("table_catalog", some(all.iter().map(|_| database))),
        ("table_schema", some(all.iter().map(|one| &one.namespace))),
        ("table_name", some(all.iter().map(|one| &one.name))),
        ("table_type", some(all.iter().map(kind))),
        ("self_referencing_column_name", Fill::Null),
        ("reference_generation", Fill::Null),
        ("user_defined_type_catalog", Fill::Null),
        ("user_defined_type_schema", Fill::Null),
        ("user_defined_type_name", Fill::Null),
        ("is_insertable_into", Fill::Word("NO")),
        ("is_typed", Fill::Word("NO")),
        ("commit_action", Fill::Null),
    ];
    (columns, all.len())
}

fn views(database: &str, listed: &[Listed]) -> (Columns, usize) {
    let all: Vec<&Listed> = listed.iter().filter(|one| one.kind != 'r').collect();
    let columns = vec![
        ("table_catalog", some(all.iter().map(|_| database))),
        ("table_schema", some(all.iter().map(|one| &one.namespace))),
        ("table_name", some(all.iter().map(|one| &one.name))),
        ("view_definition", Fill::Text(all.iter().map(|one| one.definition.clone()).collect())),
        ("check_option", Fill::Word("NONE")),
        ("is_updatable", Fill::Word("NO")),
        ("is_insertable_into", Fill::Word("NO")),
        ("is_trigger_updatable", Fill::Word("NO")),
        ("is_trigger_deletable", Fill::Word("NO")),
        ("is_trigger_insertable_into", Fill::Word("NO")),
    ];
    (columns, all.len())
}

fn schemata(catalog: &PgCatalog) -> (Columns, usize) {
    let all = catalog.namespaces();
    let columns = vec![
        ("catalog_name", some(all.iter().map(|_| &catalog.database))),
        ("schema_name", some(all.iter().map(|(_, name)| name))),
        ("schema_owner", some(all.iter().map(|_| &catalog.user))),
        ("default_character_set_catalog", Fill::Null),
        ("default_character_set_schema", Fill::Null),
        ("default_character_set_name", Fill::Null),
        ("sql_path", Fill::Null),
    ];
    (columns, all.len())
}

fn privileges(catalog: &PgCatalog, listed: &[Listed]) -> (Columns, usize) {
    let all: Vec<&Listed> = listed.iter().filter(|one| one.namespace == "public").collect();
    let columns = vec![
        ("grantor", some(all.iter().map(|_| &catalog.user))),
        ("grantee", some(all.iter().map(|_| &catalog.user))),
        ("table_catalog", some(all.iter().map(|_| &catalog.database))),
        ("table_schema", some(all.iter().map(|one| &one.namespace))),
        ("table_name", some(all.iter().map(|one| &one.name))),
        ("privilege_type", Fill::Word("SELECT")),
        ("is_grantable", Fill::Word("YES")),
        ("with_hierarchy", Fill::Word("YES")),
    ];
    (columns, all.len())
}

/// A relation without rows; it has the columns that the standard gives it.
fn nothing(name: &str) -> (Columns, usize) {
    let names: &[&'static str] = match name {
        "check_constraints" => &["constraint_catalog", "constraint_schema", "constraint_name", "check_clause"],
        "column_privileges" => {
            &["grantor", "grantee", "table_catalog", "table_schema", "table_name", "column_name", "privilege_type", "is_grantable"]
        }
        "constraint_column_usage" => {
            &["table_catalog", "table_schema", "table_name", "column_name", "constraint_catalog", "constraint_schema", "constraint_name"]
        }
        "domains" => &["domain_catalog", "domain_schema", "domain_name", "data_type", "domain_default"],
        "key_column_usage" => &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "ordinal_position",
            "position_in_unique_constraint",
        ],
        "parameters" => &[
            "specific_catalog",
            "specific_schema",
            "specific_name",
            "ordinal_position",
            "parameter_mode",
            "parameter_name",
            "data_type",
            "udt_name",
        ],
        "referential_constraints" => &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "unique_constraint_catalog",
            "unique_constraint_schema",
            "unique_constraint_name",
            "match_option",
            "update_rule",
            "delete_rule",
        ],
        "routines" => &[
            "specific_catalog",
            "specific_schema",
            "specific_name",
            "routine_catalog",
            "routine_schema",
            "routine_name",
            "routine_type",
            "data_type",
            "routine_definition",
        ],
        "sequences" => &["sequence_catalog", "sequence_schema", "sequence_name", "data_type"],
        "table_constraints" => &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "constraint_type",
            "is_deferrable",
            "initially_deferred",
            "enforced",
        ],
        _ => &["trigger_catalog", "trigger_schema", "trigger_name", "event_manipulation", "event_object_schema", "event_object_table"],
    };
    let text = |name: &&'static str| {
        let numbers = name.ends_with("_position") || *name == "position_in_unique_constraint";
        (*name, if numbers { Fill::Int4(Vec::new()) } else { Fill::Text(Vec::new()) })
    };
    (names.iter().map(text).collect(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_the_names_of_the_standard() {
        assert_eq!(data_type(&Type::TIMESTAMPTZ), "timestamp with time zone");
        assert_eq!(data_type(&Type::INT8_ARRAY), "ARRAY");
        assert_eq!((precision(&Type::INT8), precision(&Type::TEXT)), (Some(64), None));
    }
}
