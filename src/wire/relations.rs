//! The relations of pg_catalog that tell of this engine: what there is, of which columns, whose.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, Int16Array, Int32Array, StringArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_pg::datatypes::PG_OID_ALIAS_KEY;
use datafusion::error::Result;

use super::catalog::{Listed, PgCatalog};
use super::columns;
use crate::settings::SESSION_SETTINGS;

/// The relations below.
pub(super) const NAMES: [&str; 11] = [
    "pg_attribute",
    "pg_class",
    "pg_database",
    "pg_matviews",
    "pg_namespace",
    "pg_roles",
    "pg_settings",
    "pg_tables",
    "pg_user",
    "pg_views",
    "pg_stat_activity",
];

/// The oid of the one user that a connection knows.
pub(super) const USER_OID: i32 = 10;
/// The oid of the one database that a connection knows.
const DATABASE_OID: i32 = 5;

/// What a column is filled with.
enum Fill {
    Oid(Vec<i32>),
    Int4(Vec<i32>),
    Int2(Vec<i16>),
    Float4(f32),
    Bool(Vec<bool>),
    Text(Vec<Option<String>>),
    /// The same text in every row.
    Word(&'static str),
    /// The same number in every row.
    Number(i32),
    /// The same oid in every row.
    OneOid(i32),
    Flag(bool),
    /// NULL text.
    Null,
    /// NULL text[].
    NullArray,
}

type Columns = Vec<(&'static str, Fill)>;

/// The columns of one of them; None for others.
pub(super) fn schema(name: &str) -> Option<SchemaRef> {
    let empty =
        Snapshot { listed: Vec::new(), namespaces: Vec::new(), database: String::new(), user: String::new(), namespace_oids: Vec::new() };
    empty.columns(name).map(|columns| Arc::new(schema_of(&columns)))
}

/// The rows of one of them; None for others.
pub(super) async fn rows(catalog: &PgCatalog, name: &str) -> Result<Option<RecordBatch>> {
    if !NAMES.contains(&name) {
        return Ok(None);
    }
    let listed = catalog.listed().await?;
    let namespace_oids = listed.iter().map(|one| catalog.namespace_oid(&one.namespace)).collect();
    let snapshot = Snapshot {
        listed,
        namespaces: catalog.namespaces(),
        database: catalog.database.clone(),
        user: catalog.user.clone(),
        namespace_oids,
    };
    let Some(columns) = snapshot.columns(name) else { return Ok(None) };
    let n_rows = snapshot.n_rows(name);
    let schema = Arc::new(schema_of(&columns));
    let arrays = columns.into_iter().map(|(_, fill)| array(fill, n_rows)).collect();
    Ok(Some(RecordBatch::try_new(schema, arrays)?))
}

fn schema_of(columns: &Columns) -> Schema {
    let oid = |name: &str| {
        Field::new(name, DataType::Int32, true).with_metadata(HashMap::from([(PG_OID_ALIAS_KEY.to_owned(), "oid".to_owned())]))
    };
    let field = |(name, fill): &(&'static str, Fill)| match fill {
        Fill::Oid(_) | Fill::OneOid(_) => oid(name),
        Fill::Int4(_) | Fill::Number(_) => Field::new(*name, DataType::Int32, true),
        Fill::Int2(_) => Field::new(*name, DataType::Int16, true),
        Fill::Float4(_) => Field::new(*name, DataType::Float32, true),
        Fill::Bool(_) | Fill::Flag(_) => Field::new(*name, DataType::Boolean, true),
        Fill::Text(_) | Fill::Word(_) | Fill::Null => Field::new(*name, DataType::Utf8, true),
        Fill::NullArray => Field::new(*name, text_array(), true),
    };
    Schema::new(columns.iter().map(field).collect::<Vec<_>>())
}

fn text_array() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)))
}

fn array(fill: Fill, n_rows: usize) -> ArrayRef {
    match fill {
        Fill::Oid(values) | Fill::Int4(values) => Arc::new(Int32Array::from(values)),
        Fill::Int2(values) => Arc::new(Int16Array::from(values)),
        Fill::Float4(value) => Arc::new(Float32Array::from(vec![value; n_rows])),
        Fill::Bool(values) => Arc::new(BooleanArray::from(values)),
        Fill::Text(values) => Arc::new(StringArray::from(values)),
        Fill::Word(word) => Arc::new(StringArray::from(vec![word; n_rows])),
        Fill::Number(number) | Fill::OneOid(number) => Arc::new(Int32Array::from(vec![number; n_rows])),
        Fill::Flag(flag) => Arc::new(BooleanArray::from(vec![flag; n_rows])),
        Fill::Null => new_null_array(&DataType::Utf8, n_rows),
        Fill::NullArray => new_null_array(&text_array(), n_rows),
    }
}

struct Snapshot {
    listed: Vec<Listed>,
    namespaces: Vec<(i32, String)>,
    database: String,
    user: String,
    namespace_oids: Vec<i32>,
}

fn some<T: ToString>(values: impl Iterator<Item = T>) -> Fill {
    Fill::Text(values.map(|value| Some(value.to_string())).collect())
}

impl Snapshot {
    fn n_rows(&self, name: &str) -> usize {
        match name {
            "pg_attribute" => self.listed.iter().map(|one| one.schema.fields().len()).sum(),
            "pg_class" => self.listed.len(),
            "pg_namespace" => self.namespaces.len(),
            "pg_settings" => SESSION_SETTINGS.len(),
            "pg_tables" => self.of_kind('r').count(),
            "pg_views" => self.of_kind('v').count(),
            "pg_matviews" => self.of_kind('m').count(),
            _ => 1,
        }
    }

    fn columns(&self, name: &str) -> Option<Columns> {
        Some(match name {
            "pg_attribute" => self.pg_attribute(),
            "pg_class" => self.pg_class(),
            "pg_database" => self.pg_database(),
            "pg_namespace" => self.pg_namespace(),
            "pg_roles" => self.pg_roles(),
            "pg_user" => self.pg_user(),
            "pg_settings" => pg_settings(),
            "pg_tables" => self.pg_tables(),
            "pg_views" => self.views('v', "viewname", "viewowner", false),
            "pg_matviews" => self.views('m', "matviewname", "matviewowner", true),
            "pg_stat_activity" => self.pg_stat_activity(),
            _ => return None,
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
            ("relowner", Fill::OneOid(USER_OID)),
            ("relam", Fill::OneOid(0)),
            ("relfilenode", Fill::Oid(oids)),
            ("reltablespace", Fill::OneOid(0)),
            ("relpages", Fill::Number(0)),
            // -1: nobody has counted.
            ("reltuples", Fill::Float4(-1.0)),
            ("relallvisible", Fill::Number(0)),
            ("reltoastrelid", Fill::OneOid(0)),
            ("relhasindex", Fill::Flag(false)),
            ("relisshared", Fill::Flag(false)),
            ("relpersistence", Fill::Word("p")),
            ("relkind", some(self.listed.iter().map(|one| one.kind))),
            ("relnatts", Fill::Int2(self.listed.iter().map(|one| one.schema.fields().len() as i16).collect())),
            ("relchecks", Fill::Number(0)),
            ("relhasrules", Fill::Flag(false)),
            ("relhastriggers", Fill::Flag(false)),
            ("relhassubclass", Fill::Flag(false)),
            ("relrowsecurity", Fill::Flag(false)),
            ("relforcerowsecurity", Fill::Flag(false)),
            ("relispopulated", Fill::Flag(true)),
            ("relreplident", Fill::Word("n")),
            ("relispartition", Fill::Flag(false)),
            ("relrewrite", Fill::OneOid(0)),
            ("relfrozenxid", Fill::Number(0)),
            ("relminmxid", Fill::Number(0)),
            ("relacl", Fill::NullArray),
            ("reloptions", Fill::NullArray),
            ("relpartbound", Fill::Null),
            ("tableoid", Fill::OneOid(1259)),
        ]
    }

    fn pg_attribute(&self) -> Columns {
        let fields = || self.listed.iter().flat_map(|one| one.schema.fields().iter().enumerate().map(move |(at, field)| (one, at, field)));
        let types: Vec<_> = fields().map(|(_, _, field)| columns::of_field(field)).collect();
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
            ("atttypmod", Fill::Number(-1)),
            ("attbyval", Fill::Bool(sizes.iter().map(|size| (0..=8).contains(size)).collect())),
            ("attalign", Fill::Word("i")),
            ("attstorage", some(sizes.iter().map(|size| if *size < 0 { 'x' } else { 'p' }))),
            ("attcompression", Fill::Word("")),
            ("attnotnull", Fill::Bool(fields().map(|(_, _, field)| !field.is_nullable()).collect())),
            ("atthasdef", Fill::Flag(false)),
            ("atthasmissing", Fill::Flag(false)),
            ("attidentity", Fill::Word("")),
            ("attgenerated", Fill::Word("")),
            ("attisdropped", Fill::Flag(false)),
            ("attislocal", Fill::Flag(true)),
            ("attinhcount", Fill::Number(0)),
            ("attcollation", Fill::OneOid(0)),
            ("attacl", Fill::NullArray),
            ("attoptions", Fill::NullArray),
            ("attfdwoptions", Fill::NullArray),
            ("attmissingval", Fill::Null),
        ]
    }

    fn pg_namespace(&self) -> Columns {
        vec![
            ("oid", Fill::Oid(self.namespaces.iter().map(|(oid, _)| *oid).collect())),
            ("nspname", some(self.namespaces.iter().map(|(_, name)| name))),
            ("nspowner", Fill::OneOid(USER_OID)),
            ("nspacl", Fill::NullArray),
        ]
    }

    fn pg_database(&self) -> Columns {
        vec![
            ("oid", Fill::OneOid(DATABASE_OID)),
            ("datname", Fill::Text(vec![Some(self.database.clone())])),
            ("datdba", Fill::OneOid(USER_OID)),
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

    fn user(&self) -> Fill {
        Fill::Text(vec![Some(self.user.clone())])
    }

    fn pg_roles(&self) -> Columns {
        vec![
            ("rolname", self.user()),
            ("rolsuper", Fill::Flag(true)),
            ("rolinherit", Fill::Flag(true)),
            ("rolcreaterole", Fill::Flag(true)),
            ("rolcreatedb", Fill::Flag(true)),
            ("rolcanlogin", Fill::Flag(true)),
            ("rolreplication", Fill::Flag(false)),
            ("rolconnlimit", Fill::Number(-1)),
            ("rolpassword", Fill::Null),
            ("rolvaliduntil", Fill::Null),
            ("rolbypassrls", Fill::Flag(true)),
            ("rolconfig", Fill::NullArray),
            ("oid", Fill::OneOid(USER_OID)),
        ]
    }

    fn pg_user(&self) -> Columns {
        vec![
            ("usename", self.user()),
            ("usesysid", Fill::OneOid(USER_OID)),
            ("usecreatedb", Fill::Flag(true)),
            ("usesuper", Fill::Flag(true)),
            ("userepl", Fill::Flag(false)),
            ("usebypassrls", Fill::Flag(true)),
            ("passwd", Fill::Null),
            ("valuntil", Fill::Null),
            ("useconfig", Fill::NullArray),
        ]
    }

    fn pg_tables(&self) -> Columns {
        vec![
            ("schemaname", some(self.of_kind('r').map(|one| &one.namespace))),
            ("tablename", some(self.of_kind('r').map(|one| &one.name))),
            ("tableowner", some(self.of_kind('r').map(|_| &self.user))),
            ("tablespace", Fill::Null),
            ("hasindexes", Fill::Flag(false)),
            ("hasrules", Fill::Flag(false)),
            ("hastriggers", Fill::Flag(false)),
            ("rowsecurity", Fill::Flag(false)),
        ]
    }

    fn views(&self, kind: char, name: &'static str, owner: &'static str, materialized: bool) -> Columns {
        let mut columns = vec![
            ("schemaname", some(self.of_kind(kind).map(|one| &one.namespace))),
            (name, some(self.of_kind(kind).map(|one| &one.name))),
            (owner, some(self.of_kind(kind).map(|_| &self.user))),
            ("definition", Fill::Text(self.of_kind(kind).map(|one| one.definition.clone()).collect())),
        ];
        if materialized {
            columns.extend([("tablespace", Fill::Null), ("hasindexes", Fill::Flag(false)), ("ispopulated", Fill::Flag(true))]);
        }
        columns
    }

    /// The connection that asks: the others are not told of it.
    fn pg_stat_activity(&self) -> Columns {
        vec![
            ("datid", Fill::OneOid(DATABASE_OID)),
            ("datname", Fill::Text(vec![Some(self.database.clone())])),
            ("usesysid", Fill::OneOid(USER_OID)),
            ("usename", self.user()),
            ("state", Fill::Word("active")),
            ("backend_type", Fill::Word("client backend")),
        ]
    }
}

fn pg_settings() -> Columns {
    let settings = || SESSION_SETTINGS.iter();
    vec![
        ("name", some(settings().map(|setting| setting.name))),
        ("setting", some(settings().map(|setting| setting.default))),
        ("unit", Fill::Null),
        ("category", Fill::Word("Session")),
        ("short_desc", some(settings().map(|setting| setting.meaning))),
        ("extra_desc", Fill::Null),
        ("context", Fill::Word("user")),
        ("vartype", Fill::Word("string")),
        ("source", Fill::Word("default")),
        ("min_val", Fill::Null),
        ("max_val", Fill::Null),
        ("enumvals", Fill::NullArray),
        ("boot_val", some(settings().map(|setting| setting.default))),
        ("reset_val", some(settings().map(|setting| setting.default))),
        ("sourcefile", Fill::Null),
        ("sourceline", Fill::Number(0)),
        ("pending_restart", Fill::Flag(false)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_relation_has_columns() {
        for name in NAMES {
            assert!(schema(name).is_some_and(|schema| !schema.fields().is_empty()), "{name}");
        }
    }
}
