//! The relations of pg_catalog that tell of this engine: what there is, of which columns, whose.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;

use super::describe::Descriptions;
use super::fill::{Columns, Fill, rows_of, schema_of, some};
use super::information::is_table;
use super::schema::{Listed, OWNER_OID, PUBLIC_OID, PgCatalog, query_of};
use super::{defaults, empty, keys, modifiers, privileges, timezones};
use crate::engine::roles::{FIRST, Grant, Role};
use crate::error::Error;
use crate::settings::{SessionSetting, changes, shown_name};
use crate::wire::session::cancel::{Connected, Doing};
use crate::wire::value::columns;

/// The relations below.
const NAMES: [&str; 22] = [
    "pg_attrdef",
    "pg_attribute",
    "pg_authid",
    "pg_class",
    "pg_constraint",
    "pg_database",
    "pg_depend",
    "pg_description",
    "pg_index",
    "pg_indexes",
    "pg_matviews",
    "pg_namespace",
    "pg_rewrite",
    "pg_roles",
    "pg_settings",
    "pg_shdescription",
    "pg_tables",
    "pg_user",
    "pg_views",
    "pg_stat_activity",
    "pg_stat_database",
    "pg_timezone_names",
];

/// The oid of the one database that a connection knows: the first of those that users make, as tools leave out what is before it.
const DATABASE_OID: i32 = 16_384;

/// Columns of pg_stat_database that PostgreSQL counts and framesql does not.
const UNCOUNTED: [&str; 14] = [
    "xact_commit",
    "xact_rollback",
    "blks_read",
    "blks_hit",
    "tup_returned",
    "tup_fetched",
    "tup_inserted",
    "tup_updated",
    "tup_deleted",
    "conflicts",
    "temp_files",
    "temp_bytes",
    "deadlocks",
    "sessions",
];

/// The names of all that are made here.
pub(in crate::wire) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().chain(empty::names())
}

/// The columns of one of them; None for others.
pub(in crate::wire) fn schema(name: &str) -> Option<SchemaRef> {
    Snapshot::default().columns(name).map(|columns| Arc::new(schema_of(&columns)))
}

/// The rows of one of them; None for others.
pub(super) async fn rows(catalog: &PgCatalog, name: &str) -> Result<Option<RecordBatch>> {
    if !names().any(|known| known == name) {
        return Ok(None);
    }
    let listed = catalog.listed().await?;
    // As in Postgres: who reads it could guess passwords.
    if name == "pg_authid" && !catalog.superuser(&catalog.user) {
        let message = "permission denied for table pg_authid".to_owned();
        return Err(Error::Denied { message, hint: Some("pg_roles shows the roles.".into()) }.into());
    }
    let (roles, mut connections) = (catalog.roles(), catalog.registry.connected());
    if !catalog.superuser(&catalog.user) {
        // What others run is shown to a superuser only.
        for other in connections.iter_mut().filter(|one| one.user != catalog.user) {
            other.doing = Doing { query: "<insufficient privilege>".into(), ..Doing::default() };
        }
    }
    let grants = catalog.engine().map(|engine| engine.roles().grants()).unwrap_or_default();
    let options = |one: &Listed| catalog.options(one);
    let namespace_oids = listed.iter().map(|one| catalog.namespace_oid(&one.namespace)).collect();
    let snapshot = Snapshot {
        namespaces: catalog.namespaces(),
        database: catalog.database.clone(),
        namespace_oids,
        settings: catalog.current.values(),
        role_oids: roles.iter().map(|role| catalog.role_oid(&role.name)).collect(),
        user_oids: connections.iter().map(|one| catalog.role_oid(&one.user)).collect(),
        options: listed.iter().map(options).collect(),
        descriptions: Descriptions::of(catalog, &listed),
        defaults: defaults::all(catalog, &listed),
        listed,
        connections,
        roles,
        grants,
    };
    let Some(columns) = snapshot.columns(name) else { return Ok(None) };
    let n_rows = snapshot.n_rows(name);
    Ok(Some(rows_of(columns, n_rows)?))
}

#[derive(Default)]
struct Snapshot {
    listed: Vec<Listed>,
    namespaces: Vec<(i32, String)>,
    database: String,
    /// Of the schema of each relation.
    namespace_oids: Vec<i32>,
    /// What was set of each relation.
    options: Vec<Option<Vec<String>>>,
    settings: Vec<(&'static SessionSetting, String)>,
    connections: Vec<Connected>,
    /// Of the user of each connection.
    user_oids: Vec<i32>,
    roles: Vec<Role>,
    role_oids: Vec<i32>,
    grants: Vec<Grant>,
    descriptions: Descriptions,
    defaults: Vec<defaults::Known>,
}

impl Snapshot {
    fn n_rows(&self, name: &str) -> usize {
        match name {
            "pg_attribute" => self.listed.iter().map(|one| one.schema.fields().len()).sum(),
            "pg_attrdef" => self.defaults.len(),
            "pg_class" => self.listed.len(),
            "pg_namespace" => self.namespaces.len(),
            "pg_rewrite" => self.listed.iter().filter(|one| is_query(one)).count(),
            "pg_settings" => self.settings.len(),
            "pg_stat_activity" => self.connections.len(),
            "pg_roles" | "pg_user" | "pg_authid" => self.roles.len(),
            "pg_description" => self.descriptions.n_rows(false),
            "pg_index" | "pg_indexes" | "pg_constraint" | "pg_depend" => keys::n_keys(&self.listed),
            "pg_shdescription" => self.descriptions.n_rows(true),
            "pg_tables" => self.of_kind('r').count(),
            "pg_views" => self.of_kind('v').count(),
            "pg_matviews" => self.of_kind('m').count(),
            "pg_database" | "pg_stat_database" => 1,
            "pg_timezone_names" => timezones::n_zones(),
            _ => 0,
        }
    }

    fn columns(&self, name: &str) -> Option<Columns> {
        Some(match name {
            "pg_attrdef" => defaults::pg_attrdef(&self.defaults),
            "pg_attribute" => self.pg_attribute(),
            "pg_class" => self.pg_class(),
            "pg_database" => self.pg_database(),
            "pg_constraint" => keys::pg_constraint(&self.listed, PUBLIC_OID),
            "pg_depend" => keys::pg_depend(&self.listed),
            "pg_index" => keys::pg_index(&self.listed),
            "pg_indexes" => keys::pg_indexes(&self.listed),
            "pg_description" => self.descriptions.columns(false),
            "pg_shdescription" => self.descriptions.columns(true),
            "pg_namespace" => self.pg_namespace(),
            "pg_rewrite" => self.pg_rewrite(),
            "pg_authid" => self.pg_authid(),
            "pg_roles" => self.pg_roles(),
            "pg_user" => self.pg_user(),
            "pg_settings" => settings(&self.settings).0,
            "pg_tables" => self.pg_tables(),
            "pg_views" => self.views('v', "viewname", "viewowner", false),
            "pg_matviews" => self.views('m', "matviewname", "matviewowner", true),
            "pg_stat_activity" => self.pg_stat_activity(),
            "pg_stat_database" => self.pg_stat_database(),
            "pg_timezone_names" => timezones::zones(),
            other => return empty::columns(other),
        })
    }

    fn of_kind(&self, kind: char) -> impl Iterator<Item = &Listed> {
        self.listed.iter().filter(move |one| one.kind == kind)
    }

    fn pg_class(&self) -> Columns {
        let oids: Vec<i32> = self.listed.iter().map(|one| one.oid).collect();
        vec![
            ("oid", Fill::Oid(oids.clone())),
            ("relname", some(self.listed.iter().map(|one| &one.name))),
            ("relnamespace", Fill::Oid(self.namespace_oids.clone())),
            ("reltype", Fill::OneOid(0)),
            ("reloftype", Fill::OneOid(0)),
            ("relowner", Fill::OneOid(OWNER_OID)),
            ("relam", Fill::Oid(self.listed.iter().map(method).collect())),
            ("relfilenode", Fill::Oid(oids)),
            ("reltablespace", Fill::OneOid(0)),
            ("relpages", Fill::Number(0)),
            // -1: nobody has counted.
            ("reltuples", Fill::Float4(-1.0)),
            ("relallvisible", Fill::Number(0)),
            ("reltoastrelid", Fill::OneOid(0)),
            ("relhasindex", Fill::Bool(self.listed.iter().map(|one| self.has_index(one)).collect())),
            ("relisshared", Fill::Flag(false)),
            ("relpersistence", Fill::Word("p")),
            ("relkind", some(self.listed.iter().map(|one| one.kind))),
            ("relnatts", Fill::Int2(self.listed.iter().map(|one| one.schema.fields().len() as i16).collect())),
            ("relchecks", Fill::Int2(vec![0; self.listed.len()])),
            ("relhasrules", Fill::Bool(self.listed.iter().map(is_query).collect())),
            ("relhastriggers", Fill::Flag(false)),
            ("relhassubclass", Fill::Flag(false)),
            ("relrowsecurity", Fill::Flag(false)),
            ("relforcerowsecurity", Fill::Flag(false)),
            ("relispopulated", Fill::Flag(true)),
            ("relreplident", some(self.listed.iter().map(identity))),
            ("relispartition", Fill::Flag(false)),
            ("relrewrite", Fill::OneOid(0)),
            ("relfrozenxid", Fill::Number(0)),
            ("relminmxid", Fill::Number(0)),
            ("relacl", Fill::Arrays(self.listed.iter().map(|one| self.access(one)).collect())),
            ("reloptions", Fill::Arrays(self.options.clone())),
            ("relpartbound", Fill::Null),
        ]
    }

    fn pg_attribute(&self) -> Columns {
        let fields = || self.listed.iter().flat_map(|one| one.schema.fields().iter().enumerate().map(move |(at, field)| (one, at, field)));
        let declared: Vec<_> = fields().filter_map(|(one, at, _)| modifiers::of(one, at)).collect();
        let types: Vec<_> = declared.iter().map(|(data_type, _)| data_type.clone()).collect();
        let sizes: Vec<i16> = types.iter().map(columns::size).collect();
        let is_array = |data_type: &pgwire::api::Type| i32::from(columns::element_of(data_type).is_some());
        vec![
            ("attrelid", Fill::Oid(fields().map(|(one, _, _)| one.oid).collect())),
            ("attname", some(fields().map(|(_, _, field)| field.name()))),
            ("atttypid", Fill::Oid(types.iter().map(|data_type| data_type.oid() as i32).collect())),
            ("attstattarget", Fill::Number(-1)),
            ("attlen", Fill::Int2(sizes.clone())),
            ("attnum", Fill::Int2(fields().map(|(_, at, _)| at as i16 + 1).collect())),
            ("attndims", Fill::Int4(types.iter().map(is_array).collect())),
            ("attcacheoff", Fill::Number(-1)),
            ("atttypmod", Fill::Int4(declared.iter().map(|(_, modifier)| *modifier).collect())),
            ("attbyval", Fill::Bool(sizes.iter().map(|size| (0..=8).contains(size)).collect())),
            ("attalign", Fill::Word("i")),
            ("attstorage", some(sizes.iter().map(|size| if *size < 0 { 'x' } else { 'p' }))),
            ("attcompression", Fill::Word("")),
            ("attnotnull", Fill::Bool(fields().map(|(one, _, field)| !field.is_nullable() && is_table(one)).collect())),
            ("atthasdef", Fill::Bool(fields().map(|(one, at, _)| one.declared.get(at).is_some_and(|d| !d.default.is_null())).collect())),
            ("atthasmissing", Fill::Flag(false)),
            ("attidentity", Fill::Word("")),
            ("attgenerated", Fill::Word("")),
            ("attisdropped", Fill::Flag(false)),
            ("attislocal", Fill::Flag(true)),
            ("attinhcount", Fill::Number(0)),
            ("attcollation", Fill::Oid(types.iter().map(columns::collation).collect())),
            ("attacl", Fill::Arrays(fields().map(|(one, _, field)| self.access_of_column(one, field.name())).collect())),
            ("attoptions", Fill::NullArray),
            ("attfdwoptions", Fill::NullArray),
            ("attmissingval", Fill::Null),
        ]
    }

    fn has_index(&self, one: &Listed) -> bool {
        self.listed.iter().any(|index| index.key.as_ref().is_some_and(|key| key.table_oid == one.oid))
    }

    fn access(&self, one: &Listed) -> Option<Vec<String>> {
        if one.namespace == "public" { privileges::of_relation(&self.grants, &one.name) } else { None }
    }

    fn access_of_column(&self, one: &Listed, column: &str) -> Option<Vec<String>> {
        if one.namespace == "public" { privileges::of_column(&self.grants, &one.name, column) } else { None }
    }

    fn pg_namespace(&self) -> Columns {
        vec![
            ("oid", Fill::Oid(self.namespaces.iter().map(|(oid, _)| *oid).collect())),
            ("nspname", some(self.namespaces.iter().map(|(_, name)| name))),
            ("nspowner", Fill::OneOid(OWNER_OID)),
            ("nspacl", Fill::NullArray),
        ]
    }

    /// The rule behind every view, as Postgres has it: that it is read by its query.
    fn pg_rewrite(&self) -> Columns {
        let views: Vec<i32> = self.listed.iter().filter(|one| is_query(one)).map(|one| one.oid).collect();
        vec![
            ("oid", Fill::Oid(views.clone())),
            ("rulename", Fill::Word("_RETURN")),
            ("ev_class", Fill::Oid(views)),
            ("ev_type", Fill::Word("1")),
            ("ev_enabled", Fill::Word("O")),
            ("is_instead", Fill::Flag(true)),
            ("ev_qual", Fill::Null),
            ("ev_action", Fill::Null),
        ]
    }

    fn pg_database(&self) -> Columns {
        vec![
            ("oid", Fill::OneOid(DATABASE_OID)),
            ("datname", Fill::Text(vec![Some(self.database.clone())])),
            ("datdba", Fill::OneOid(OWNER_OID)),
            // UTF8.
            ("encoding", Fill::Number(6)),
            ("datlocprovider", Fill::Word("c")),
            ("datistemplate", Fill::Flag(false)),
            ("datallowconn", Fill::Flag(true)),
            ("datconnlimit", Fill::Number(-1)),
            ("datfrozenxid", Fill::Number(0)),
            ("datminmxid", Fill::Number(0)),
            ("dattablespace", Fill::OneOid(1663)),
            ("datcollate", Fill::Word("C")),
            ("datctype", Fill::Word("C")),
            ("daticulocale", Fill::Null),
            ("daticurules", Fill::Null),
            ("datcollversion", Fill::Null),
            ("datacl", Fill::NullArray),
        ]
    }

    /// How many are connected. Of pages and transactions nothing is counted: framesql has no pages.
    fn pg_stat_database(&self) -> Columns {
        let mut columns = vec![
            ("datid", Fill::OneOid(DATABASE_OID)),
            ("datname", Fill::Text(vec![Some(self.database.clone())])),
            ("numbackends", Fill::Int4(vec![i32::try_from(self.connections.len()).unwrap_or(i32::MAX)])),
        ];
        columns.extend(UNCOUNTED.map(|name| (name, Fill::Int8(vec![0]))));
        columns.push(("stats_reset", Fill::NullTime));
        columns
    }

    fn pg_roles(&self) -> Columns {
        let flags = |of: fn(&Role) -> bool| Fill::Bool(self.roles.iter().map(of).collect());
        let limit = |role: &Role| role.connection_limit.map_or(-1, |limit| i32::try_from(limit).unwrap_or(i32::MAX));
        vec![
            ("rolname", some(self.roles.iter().map(|role| &role.name))),
            ("rolsuper", flags(|role| role.superuser)),
            ("rolinherit", Fill::Flag(true)),
            ("rolcreaterole", flags(|role| role.superuser)),
            ("rolcreatedb", Fill::Flag(false)),
            ("rolcanlogin", flags(|role| role.login)),
            ("rolreplication", Fill::Flag(false)),
            ("rolconnlimit", Fill::Int4(self.roles.iter().map(limit).collect())),
            ("rolpassword", Fill::Null),
            ("rolvaliduntil", Fill::NullTime),
            ("rolbypassrls", flags(|role| role.superuser)),
            ("rolconfig", Fill::NullArray),
            ("oid", Fill::Oid(self.role_oids.clone())),
        ]
    }

    /// Without the verifiers: whoever has one can pretend to be the server.
    fn pg_authid(&self) -> Columns {
        let mut columns = self.pg_roles();
        columns.retain(|(name, _)| *name != "rolconfig");
        columns.rotate_right(1);
        columns
    }

    fn pg_user(&self) -> Columns {
        let flags = |of: fn(&Role) -> bool| Fill::Bool(self.roles.iter().map(of).collect());
        vec![
            ("usename", some(self.roles.iter().map(|role| &role.name))),
            ("usesysid", Fill::Oid(self.role_oids.clone())),
            ("usecreatedb", Fill::Flag(false)),
            ("usesuper", flags(|role| role.superuser)),
            ("userepl", Fill::Flag(false)),
            ("usebypassrls", flags(|role| role.superuser)),
            ("passwd", Fill::Null),
            ("valuntil", Fill::NullTime),
            ("useconfig", Fill::NullArray),
        ]
    }

    fn pg_tables(&self) -> Columns {
        vec![
            ("schemaname", some(self.of_kind('r').map(|one| &one.namespace))),
            ("tablename", some(self.of_kind('r').map(|one| &one.name))),
            ("tableowner", Fill::Word(FIRST)),
            ("tablespace", Fill::Null),
            ("hasindexes", Fill::Bool(self.of_kind('r').map(|one| self.has_index(one)).collect())),
            ("hasrules", Fill::Flag(false)),
            ("hastriggers", Fill::Flag(false)),
            ("rowsecurity", Fill::Flag(false)),
        ]
    }

    fn views(&self, kind: char, name: &'static str, owner: &'static str, materialized: bool) -> Columns {
        let mut columns = vec![
            ("schemaname", some(self.of_kind(kind).map(|one| &one.namespace))),
            (name, some(self.of_kind(kind).map(|one| &one.name))),
            (owner, Fill::Word(FIRST)),
            ("definition", Fill::Text(self.of_kind(kind).map(|one| one.definition.as_deref().map(query_of)).collect())),
        ];
        if materialized {
            columns.extend([("tablespace", Fill::Null), ("hasindexes", Fill::Flag(false)), ("ispopulated", Fill::Flag(true))]);
        }
        columns
    }

    /// The connections, and what each does.
    fn pg_stat_activity(&self) -> Columns {
        let connections = || self.connections.iter();
        vec![
            ("datid", Fill::OneOid(DATABASE_OID)),
            ("datname", some(connections().map(|one| &one.database))),
            ("pid", Fill::Int4(connections().map(|one| one.pid).collect())),
            ("leader_pid", Fill::NullInt4),
            ("usesysid", Fill::Oid(self.user_oids.clone())),
            ("usename", some(connections().map(|one| &one.user))),
            ("application_name", some(connections().map(|one| &one.doing.application_name))),
            ("client_addr", Fill::Null),
            ("client_hostname", Fill::Null),
            ("client_port", Fill::Number(-1)),
            ("backend_start", Fill::Time(connections().map(|one| Some(one.began_us)).collect())),
            ("xact_start", Fill::NullTime),
            ("query_start", Fill::Time(connections().map(|one| one.doing.query_at_us).collect())),
            ("state_change", Fill::Time(connections().map(|one| one.doing.state_at_us).collect())),
            ("wait_event_type", Fill::Null),
            ("wait_event", Fill::Null),
            ("state", Fill::Text(connections().map(|one| one.doing.state.map(str::to_owned)).collect())),
            ("backend_xid", Fill::NullInt4),
            ("backend_xmin", Fill::NullInt4),
            ("query_id", Fill::Null),
            ("query", some(connections().map(|one| &one.doing.query))),
            ("backend_type", Fill::Word("client backend")),
        ]
    }
}

/// How a relation is stored: a table and a materialized view in a heap, an index as a tree.
fn method(one: &Listed) -> i32 {
    match one.kind {
        _ if one.key.is_some() => keys::BTREE_OID,
        'r' | 'm' => keys::HEAP_OID,
        _ => 0,
    }
}

/// By what a row is told from others where changes are sent: by the primary key, of the catalogue's by nothing.
fn identity(one: &Listed) -> char {
    if matches!(one.kind, 'r' | 'm') && one.namespace == "public" { 'd' } else { 'n' }
}

/// Whether rows come from a query.
fn is_query(one: &Listed) -> bool {
    matches!(one.kind, 'v' | 'm')
}

/// pg_settings, and the function behind it.
pub(in crate::wire) fn settings(values: &[(&'static SessionSetting, String)]) -> (Columns, usize) {
    let settings = || values.iter().map(|(setting, _)| setting);
    let changed = values.iter().map(|(setting, value)| if setting.default == value { "default" } else { "session" });
    let columns = vec![
        ("name", some(settings().map(|setting| shown_name(setting.name)))),
        ("setting", some(values.iter().map(|(_, value)| value))),
        ("unit", Fill::Null),
        ("category", Fill::Word("Session")),
        ("short_desc", some(settings().map(|setting| setting.meaning))),
        ("extra_desc", Fill::Null),
        ("context", some(settings().map(|setting| if changes(setting.name) { "user" } else { "internal" }))),
        ("vartype", Fill::Word("string")),
        ("source", some(changed)),
        ("min_val", Fill::Null),
        ("max_val", Fill::Null),
        ("enumvals", Fill::NullArray),
        ("boot_val", some(settings().map(|setting| setting.default))),
        ("reset_val", some(settings().map(|setting| setting.default))),
        ("sourcefile", Fill::Null),
        ("sourceline", Fill::Number(0)),
        ("pending_restart", Fill::Flag(false)),
    ];
    (columns, values.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_relation_has_columns() {
        for name in names() {
            assert!(schema(name).is_some_and(|schema| !schema.fields().is_empty()), "{name}");
        }
    }
}
