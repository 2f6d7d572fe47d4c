//! The schema information_schema: the objects of pg_catalog that the user may read, under the names and types of the SQL standard, as Postgres spells
//! them.

use std::sync::{Arc, OnceLock, Weak};

use arrow::datatypes::{Field, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::error::Result;
use pgwire::api::Type;

use super::fill::{Columns, Fill, rows_of, schema_of, some};
use super::functions::format_type;
use super::schema::{Listed, PgCatalog, query_of};
use super::{defaults, keys, modifiers, procedures};
use crate::engine::privileges::readable;
use crate::engine::roles::{FIRST, Grant, PUBLIC, Readable};
use crate::wire::value::columns;

/// The relations, in name order; those without a maker have no rows, as framesql has none of what they list.
const NAMES: [&str; 23] = [
    "applicable_roles",
    "character_sets",
    "check_constraints",
    "column_privileges",
    "columns",
    "constraint_column_usage",
    "domain_constraints",
    "domains",
    "enabled_roles",
    "foreign_tables",
    "information_schema_catalog_name",
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
    pub(in crate::wire) fn new(catalog: &Arc<PgCatalog>) -> Information {
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
        let mut listed = catalog.listed().await?;
        listed.retain(|one| readable_of(&catalog, one) != Readable::Nothing);
        let (columns, n_rows) = relation(name, &catalog, &listed);
        let rows = rows_of(columns, n_rows)?;
        Ok(Some(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        NAMES.contains(&name)
    }
}

/// The relations with their columns, which are the same for all.
pub(in crate::wire) fn schemas(catalog: &PgCatalog) -> &'static [(&'static str, SchemaRef)] {
    static SCHEMAS: OnceLock<Vec<(&'static str, SchemaRef)>> = OnceLock::new();
    SCHEMAS.get_or_init(|| NAMES.iter().map(|name| (*name, Arc::new(schema_of(&relation(name, catalog, &[]).0)))).collect())
}

fn relation(name: &str, catalog: &PgCatalog, listed: &[Listed]) -> (Columns, usize) {
    let database = &catalog.database;
    match name {
        "columns" => columns_of(catalog, listed),
        "tables" => tables(database, listed),
        "views" => views(database, listed),
        "schemata" => schemata(catalog),
        "applicable_roles" => {
            (vec![("grantee", Fill::Text(Vec::new())), ("role_name", Fill::Text(Vec::new())), ("is_grantable", Fill::Text(Vec::new()))], 0)
        }
        "character_sets" => character_sets(database),
        "information_schema_catalog_name" => (vec![("catalog_name", Fill::Text(vec![Some(database.clone())]))], 1),
        "enabled_roles" => (vec![("role_name", Fill::Text(vec![Some(catalog.user.clone())]))], 1),
        "role_table_grants" => privileges(catalog, listed, false),
        "table_privileges" => privileges(catalog, listed, true),
        "table_constraints" => keys::table_constraints(database, listed),
        "key_column_usage" => keys::column_usage(database, listed, true),
        "constraint_column_usage" => keys::column_usage(database, listed, false),
        "routines" => procedures::routines(database),
        "parameters" => procedures::parameters(database),
        "column_privileges" => column_privileges(catalog, listed),
        other => nothing(other),
    }
}

/// Objects that clients are shown: sources and views, and the relations of framesql; materialized views too, though Postgres leaves them out,
/// because a tool that lists tables would not find what framesql is for.
fn shown(listed: &[Listed]) -> impl Iterator<Item = &Listed> {
    listed.iter().filter(|one| one.kind != 'i')
}

/// Whether statements write it.
pub(in crate::wire) fn is_table(one: &Listed) -> bool {
    let made = one.definition.as_deref().and_then(|made| made.split_whitespace().nth(1));
    one.kind == 'r' && made.is_some_and(|word| word.eq_ignore_ascii_case("table"))
}

/// What the user may read of a relation; of an index, of what it is on.
fn readable_of(catalog: &PgCatalog, one: &Listed) -> Readable {
    match catalog.engine() {
        Some(engine) if one.kind != 'i' && !catalog.superuser(&catalog.user) => readable(&engine, &catalog.user, &one.namespace, &one.name),
        _ => Readable::All,
    }
}

fn columns_of(catalog: &PgCatalog, listed: &[Listed]) -> (Columns, usize) {
    let database = &catalog.database;
    let mut fields: Vec<(&Listed, usize, &Arc<Field>)> = Vec::new();
    for one in shown(listed) {
        let may = readable_of(catalog, one);
        let seen = |field: &Field| !matches!(&may, Readable::Columns(columns) if !columns.contains(field.name()));
        fields.extend(one.schema.fields().iter().enumerate().filter(|(_, field)| seen(field)).map(|(at, field)| (one, at + 1, field)));
    }
    let declared: Vec<(Type, i32)> = fields.iter().filter_map(|(one, at, _)| modifiers::of(one, at - 1)).collect();
    let types: Vec<Type> = declared.iter().map(|(data_type, _)| data_type.clone()).collect();
    let int4 = |of: fn(&Type, i32) -> Option<i32>| {
        Fill::OptionalInt4(declared.iter().map(|(data_type, modifier)| of(data_type, *modifier)).collect())
    };
    let columns = vec![
        ("table_catalog", some(fields.iter().map(|_| database))),
        ("table_schema", some(fields.iter().map(|(one, ..)| &one.namespace))),
        ("table_name", some(fields.iter().map(|(one, ..)| &one.name))),
        ("column_name", some(fields.iter().map(|(_, _, field)| field.name()))),
        ("ordinal_position", Fill::Int4(fields.iter().map(|(_, at, _)| *at as i32).collect())),
        ("column_default", Fill::Text(fields.iter().map(|(one, at, _)| defaults::written(one, at - 1)).collect())),
        ("is_nullable", some(fields.iter().map(|(one, _, field)| if field.is_nullable() || !is_table(one) { "YES" } else { "NO" }))),
        ("data_type", some(types.iter().map(data_type))),
        ("character_maximum_length", int4(modifiers::max_chars)),
        ("character_octet_length", int4(octets)),
        ("numeric_precision", int4(|one, modifier| modifiers::digits(one, modifier).map(|(digits, _)| digits).or(precision(one)))),
        ("numeric_precision_radix", int4(|one, _| if *one == Type::NUMERIC { Some(10) } else { precision(one).map(|_| 2) })),
        ("numeric_scale", int4(|one, modifier| modifiers::digits(one, modifier).map(|(_, scale)| scale).or(scale(one)))),
        (
            "datetime_precision",
            int4(|one, _| matches!(*one, Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME | Type::INTERVAL).then_some(6)),
        ),
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
        ("is_updatable", some(fields.iter().map(|(one, ..)| if is_table(one) { "YES" } else { "NO" }))),
    ];
    (columns, fields.len())
}

/// The name of a type in the standard: an array is ARRAY, of what udt_name says.
fn data_type(of: &Type) -> String {
    if columns::element_of(of).is_some() { "ARRAY".to_owned() } else { format_type(of.oid() as i32) }
}

/// Bytes that a text may have: four a character.
fn octets(of: &Type, modifier: i32) -> Option<i32> {
    let text = matches!(*of, Type::TEXT | Type::VARCHAR | Type::BPCHAR);
    modifiers::max_chars(of, modifier).map(|n| n.saturating_mul(4)).or(text.then_some(1 << 30))
}

fn scale(of: &Type) -> Option<i32> {
    matches!(*of, Type::INT2 | Type::INT4 | Type::INT8).then_some(0)
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
        ("is_insertable_into", some(all.iter().map(|one| if is_table(one) { "YES" } else { "NO" }))),
        ("is_typed", Fill::Word("NO")),
        ("commit_action", Fill::Null),
    ];
    (columns, all.len())
}

fn views(database: &str, listed: &[Listed]) -> (Columns, usize) {
    let all: Vec<&Listed> = listed.iter().filter(|one| matches!(one.kind, 'v' | 'm')).collect();
    let columns = vec![
        ("table_catalog", some(all.iter().map(|_| database))),
        ("table_schema", some(all.iter().map(|one| &one.namespace))),
        ("table_name", some(all.iter().map(|one| &one.name))),
        ("view_definition", Fill::Text(all.iter().map(|one| one.definition.as_deref().map(query_of)).collect())),
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
        ("schema_owner", Fill::Word(FIRST)),
        ("default_character_set_catalog", Fill::Null),
        ("default_character_set_schema", Fill::Null),
        ("default_character_set_name", Fill::Null),
        ("sql_path", Fill::Null),
    ];
    (columns, all.len())
}

/// Who may read what: a superuser sees all of it, others what they and everybody were given.
fn grants(catalog: &PgCatalog) -> Vec<Grant> {
    let all = catalog.engine().map(|engine| engine.roles().grants()).unwrap_or_default();
    let superuser = catalog.superuser(&catalog.user);
    all.into_iter().filter(|grant| superuser || grant.role == catalog.user || grant.role == PUBLIC).collect()
}

fn grantee(role: &str) -> String {
    if role == PUBLIC { "PUBLIC".to_owned() } else { role.to_owned() }
}

fn privileges(catalog: &PgCatalog, listed: &[Listed], public: bool) -> (Columns, usize) {
    /// What the owner of a relation has.
    const ALL: [&str; 7] = ["INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];
    let owned = |one: &Listed| ALL.map(|privilege| (FIRST.to_owned(), one.name.clone(), privilege));
    let all: Vec<&Listed> = listed.iter().filter(|one| one.namespace == "public" && one.kind != 'i').collect();
    let mut rows: Vec<(String, String, &str)> = Vec::new();
    if catalog.superuser(&catalog.user) {
        rows.extend(all.into_iter().flat_map(owned));
    }
    let granted = grants(catalog).into_iter().filter(|grant| grant.columns.is_none() && (public || grant.role != PUBLIC));
    rows.extend(granted.map(|grant| (grantee(&grant.role), grant.object, "SELECT")));
    let yes = |(to, _, _): &(String, String, &str)| if to == FIRST { "YES" } else { "NO" };
    let columns = vec![
        ("grantor", Fill::Word(FIRST)),
        ("grantee", some(rows.iter().map(|(to, ..)| to))),
        ("table_catalog", some(rows.iter().map(|_| &catalog.database))),
        ("table_schema", Fill::Word("public")),
        ("table_name", some(rows.iter().map(|(_, name, _)| name))),
        ("privilege_type", some(rows.iter().map(|(.., privilege)| privilege))),
        ("is_grantable", some(rows.iter().map(yes))),
        ("with_hierarchy", some(rows.iter().map(|(.., privilege)| if *privilege == "SELECT" { "YES" } else { "NO" }))),
    ];
    (columns, rows.len())
}

/// The rights to columns, those of whole relations among them, as in Postgres.
fn column_privileges(catalog: &PgCatalog, listed: &[Listed]) -> (Columns, usize) {
    let of = |name: &str| listed.iter().find(|one| one.namespace == "public" && one.name == name);
    let mut rows: Vec<(String, String, String)> = Vec::new();
    for grant in grants(catalog) {
        let columns = grant.columns.or_else(|| Some(of(&grant.object)?.schema.fields().iter().map(|field| field.name().clone()).collect()));
        rows.extend(columns.into_iter().flatten().map(|column| (grantee(&grant.role), grant.object.clone(), column)));
    }
    let columns = vec![
        ("grantor", Fill::Word(FIRST)),
        ("grantee", some(rows.iter().map(|(to, ..)| to))),
        ("table_catalog", some(rows.iter().map(|_| &catalog.database))),
        ("table_schema", Fill::Word("public")),
        ("table_name", some(rows.iter().map(|(_, name, _)| name))),
        ("column_name", some(rows.iter().map(|(.., column)| column))),
        ("privilege_type", Fill::Word("SELECT")),
        ("is_grantable", Fill::Word("NO")),
    ];
    (columns, rows.len())
}

/// The one encoding.
fn character_sets(database: &str) -> (Columns, usize) {
    let columns = vec![
        ("character_set_catalog", Fill::Null),
        ("character_set_schema", Fill::Null),
        ("character_set_name", Fill::Word("UTF8")),
        ("character_repertoire", Fill::Word("UCS")),
        ("form_of_use", Fill::Word("UTF8")),
        ("default_collate_catalog", Fill::Text(vec![Some(database.to_owned())])),
        ("default_collate_schema", Fill::Word("pg_catalog")),
        ("default_collate_name", Fill::Word("C")),
    ];
    (columns, 1)
}

/// A relation without rows; it has the columns that the standard gives it.
fn nothing(name: &str) -> (Columns, usize) {
    let names: &[&'static str] = match name {
        "check_constraints" => &["constraint_catalog", "constraint_schema", "constraint_name", "check_clause"],
        "domains" => &["domain_catalog", "domain_schema", "domain_name", "data_type", "domain_default"],
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
        "domain_constraints" => &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "domain_catalog",
            "domain_schema",
            "domain_name",
            "is_deferrable",
            "initially_deferred",
        ],
        "foreign_tables" => {
            &["foreign_table_catalog", "foreign_table_schema", "foreign_table_name", "foreign_server_catalog", "foreign_server_name"]
        }
        "sequences" => &["sequence_catalog", "sequence_schema", "sequence_name", "data_type"],
        _ => &["trigger_catalog", "trigger_schema", "trigger_name", "event_manipulation", "event_object_schema", "event_object_table"],
    };
    let text = |name: &&'static str| (*name, Fill::Text(Vec::new()));
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
