//! The catalogue that Postgres clients look into: the schema pg_catalog, its functions, and the rewriting of the queries that read it.

use std::sync::{Arc, Weak};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, MemTable, SchemaProvider};
use datafusion::datasource::{TableProvider, TableType};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::builtins::Builtin;
use super::information::Information;
use super::keys::{self, Key};
use super::server::Life;
use super::setting::{self, Current};
use super::shared::{CONSTRAINTS, DEFAULTS, INDEXES, ROLES, Shared};
use super::{brought, defaults, describe, functions, information, modifiers, privileges, procedures, relations, table_functions};
use crate::engine::Engine;
use crate::engine::relation::{Declared, Relation};
use crate::engine::roles::{FIRST, Role};
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::plan::parse::Kind;
use crate::wire::query::{empty, rewrite};
use crate::wire::session::cancel::{Registered, Registry};
use crate::wire::session::notify::Channels;

/// The schema's name.
pub(super) const PG_CATALOG: &str = "pg_catalog";
pub(super) const INFORMATION_SCHEMA: &str = "information_schema";
/// The oid of the first role, who owns everything.
pub(super) const OWNER_OID: i32 = 10;
/// The oid of the schema public.
pub(super) const PUBLIC_OID: i32 = 2200;

/// A relation as pg_class has it.
pub(in crate::wire) struct Listed {
    /// Its oid, the same for every connection as long as it exists.
    pub(in crate::wire) oid: i32,
    /// Its schema.
    pub(in crate::wire) namespace: String,
    /// Its name.
    pub(in crate::wire) name: String,
    /// `r` table, `v` view, `m` materialized view, `i` index.
    pub(in crate::wire) kind: char,
    /// Its columns.
    pub(in crate::wire) schema: SchemaRef,
    /// The statement that made it.
    pub(in crate::wire) definition: Option<String>,
    /// Of an index, the key that it is there for.
    pub(in crate::wire) key: Option<Key>,
    /// Of each column of a table, how it was declared.
    pub(in crate::wire) declared: Vec<Declared>,
}

impl Listed {
    fn new(oid: i32, namespace: &str, name: String, kind: char, schema: SchemaRef) -> Listed {
        Listed { oid, namespace: namespace.to_owned(), name, kind, schema, definition: None, key: None, declared: Vec::new() }
    }
}

/// The schema pg_catalog of one connection.
pub(super) struct PgCatalog {
    shared: Arc<Shared>,
    engine: Weak<Engine>,
    /// The database that it is a schema of: it holds this, so it must not be held back.
    parent: Weak<dyn CatalogProvider>,
    /// The database's name.
    pub(in crate::wire) database: String,
    /// The connection's user.
    pub(in crate::wire) user: String,
    /// The connection's settings.
    pub(in crate::wire) current: Arc<Current>,
    /// The connections of the listener.
    pub(in crate::wire) registry: Arc<Registry>,
}

impl std::fmt::Debug for PgCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgCatalog").field("database", &self.database).finish_non_exhaustive()
    }
}

impl PgCatalog {
    /// The schemas, with their oids.
    pub(super) fn namespaces(&self) -> Vec<(i32, String)> {
        let mut names = self.parent.upgrade().map(|parent| parent.schema_names()).unwrap_or_default();
        names.extend([PG_CATALOG, INFORMATION_SCHEMA].map(str::to_owned));
        names.sort();
        names.dedup();
        names.into_iter().map(|name| (namespace_oid(&self.shared, &name), name)).collect()
    }

    /// What users have made, with the indexes of the tables.
    pub(super) fn own_relations(&self) -> Vec<Listed> {
        let relations = self.engine.upgrade().map(|engine| engine.relations()).unwrap_or_default();
        let mut listed = Vec::new();
        for relation in relations {
            let kind = match relation.kind {
                Kind::Source | Kind::Table | Kind::Gallery => 'r',
                // They are no relations.
                Kind::Model | Kind::Zone | Kind::Line | Kind::Calibration => continue,
                Kind::View => 'v',
                Kind::MaterializedView => 'm',
            };
            let oid = self.shared.oid("public", &relation.name);
            let index = self.index(&relation, oid);
            let (definition, declared) = (Some(relation.definition), relation.declared);
            listed.push(Listed { definition, declared, ..Listed::new(oid, "public", relation.name, kind, relation.schema) });
            listed.extend(index);
        }
        listed
    }

    /// Every relation.
    pub(in crate::wire) async fn listed(&self) -> datafusion::error::Result<Vec<Listed>> {
        let mut listed = self.own_relations();
        let parent = self.parent.upgrade();
        for namespace in
            parent.iter().flat_map(|parent| parent.schema_names()).filter(|name| !matches!(name.as_str(), PG_CATALOG | INFORMATION_SCHEMA))
        {
            let Some(provider) = parent.as_ref().and_then(|parent| parent.schema(&namespace)) else { continue };
            for name in provider.table_names() {
                if listed.iter().any(|one| one.namespace == namespace && one.name == name) {
                    continue;
                }
                let Some(table) = provider.table(&name).await? else { continue };
                let kind = if table.table_type() == TableType::Base && namespace == "public" { 'r' } else { 'v' };
                let oid = self.shared.oid(&namespace, &name);
                listed.push(Listed::new(oid, &namespace, name, kind, table.schema()));
            }
        }
        for name in self.table_names() {
            let Some(schema) = self.columns(&name).await? else { continue };
            let oid = self.shared.oid(PG_CATALOG, &name);
            listed.push(Listed::new(oid, PG_CATALOG, name, 'r', schema));
        }
        for (name, schema) in information::schemas(self) {
            let oid = self.shared.oid(INFORMATION_SCHEMA, name);
            listed.push(Listed::new(oid, INFORMATION_SCHEMA, (*name).to_owned(), 'v', Arc::clone(schema)));
        }
        self.shared.retain(&listed);
        Ok(listed)
    }

    /// The index of a table's primary key, as Postgres names it.
    fn index(&self, relation: &Relation, table_oid: i32) -> Option<Listed> {
        let places: Vec<usize> = relation.primary_key.iter().filter_map(|column| relation.schema.index_of(column).ok()).collect();
        let schema = Arc::new(relation.schema.project(&places).ok().filter(|schema| !schema.fields().is_empty())?);
        let name = format!("{}_pkey", relation.name);
        let key = Key {
            table_oid,
            table: relation.name.clone(),
            constraint_oid: self.shared.oid(CONSTRAINTS, &name),
            places: places.into_iter().map(|at| at as i16 + 1).collect(),
        };
        let oid = self.shared.oid(INDEXES, &name);
        Some(Listed { key: Some(key), ..Listed::new(oid, "public", name, 'i', schema) })
    }

    /// The oid of a column's default.
    pub(super) fn default_oid(&self, table: &str, column: &str) -> i32 {
        self.shared.assigned(DEFAULTS, &format!("{table}\0{column}"))
    }

    /// The index, table and columns of a primary key by the oid of its index, or of its constraint.
    pub(in crate::wire) fn key(&self, of_index: bool, oid: i32) -> Option<(String, String, Vec<String>)> {
        let relations = self.engine.upgrade()?.relations();
        let namespace = if of_index { INDEXES } else { CONSTRAINTS };
        let found = relations.into_iter().filter(|relation| !relation.primary_key.is_empty()).find(|relation| {
            let oids = self.shared.oids.lock();
            oids.by_name.get(&(namespace.to_owned(), format!("{}_pkey", relation.name))) == Some(&oid)
        })?;
        Some((format!("{}_pkey", found.name), found.name, found.primary_key))
    }

    async fn columns(&self, name: &str) -> datafusion::error::Result<Option<SchemaRef>> {
        match relations::schema(name) {
            Some(schema) => Ok(Some(schema)),
            None => brought::schema(&self.shared, name),
        }
    }

    /// The engine, as long as it is there.
    pub(in crate::wire) fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.upgrade()
    }

    /// The roles, and the first one and the connection's user if those are none.
    pub(in crate::wire) fn roles(&self) -> Vec<Role> {
        let Some(engine) = self.engine.upgrade() else { return Vec::new() };
        let mut roles = engine.roles().all();
        for name in [self.user.as_str(), FIRST] {
            if roles.iter().all(|role| role.name != name) {
                let (superuser, login) = (engine.roles().superuser(name), name == self.user || !engine.roles().passwords());
                roles.insert(0, Role { name: name.to_owned(), superuser, login, verifier: None, connection_limit: None });
            }
        }
        roles
    }

    /// Who listens to what.
    pub(in crate::wire) fn channels(&self) -> &Channels {
        &self.shared.channels
    }

    /// Since when the listener is there.
    pub(super) fn life(&self) -> &Arc<Life> {
        &self.shared.life
    }

    /// The functions that Postgres brings, by oid.
    pub(super) fn builtins(&self) -> &[Builtin] {
        self.shared.builtins()
    }

    /// Whether a role may do everything.
    pub(in crate::wire) fn superuser(&self, role: &str) -> bool {
        self.engine.upgrade().is_some_and(|engine| engine.roles().superuser(role))
    }

    /// The oid of a role.
    pub(super) fn role_oid(&self, name: &str) -> i32 {
        if name == FIRST { OWNER_OID } else { self.shared.assigned(ROLES, name) }
    }

    /// The role of an oid.
    pub(in crate::wire) fn role_name(&self, oid: i32) -> Option<String> {
        self.roles().into_iter().map(|role| role.name).find(|name| self.role_oid(name) == oid)
    }

    /// The schema and name of a relation by its oid.
    pub(in crate::wire) fn relation(&self, oid: i32) -> Option<(String, String)> {
        let oids = self.shared.oids.lock();
        let found =
            oids.by_name.iter().find(|((namespace, _), known)| **known == oid && !namespace.is_empty() && !namespace.starts_with(' '));
        found.map(|(name, _)| name.clone())
    }

    /// The schema and name of a relation by its name, perhaps behind a schema's.
    pub(super) fn find_relation(&self, parts: &[String]) -> Option<(String, String)> {
        let there = |schema: &str, name: &str| match schema {
            PG_CATALOG => self.table_exist(name),
            schema => self.parent.upgrade().and_then(|parent| parent.schema(schema)).is_some_and(|schema| schema.table_exist(name)),
        };
        match parts {
            [name] => ["public", PG_CATALOG].into_iter().find(|schema| there(schema, name)).map(|schema| (schema.to_owned(), name.clone())),
            [schema, name] => there(schema, name).then(|| (schema.clone(), name.clone())),
            _ => None,
        }
    }

    /// The oid of a relation by its name, or as it is written. Errs with 42P01.
    pub(super) fn relation_oid(&self, text: &str) -> Result<i32> {
        if let Ok(oid) = text.trim().parse() {
            return Ok(oid);
        }
        let parts = privileges::parts(text);
        if let Some((schema, name)) = self.find_relation(&parts) {
            return Ok(self.shared.oid(&schema, &name));
        }
        let index = parts.last().filter(|name| self.shared.oids.lock().by_name.contains_key(&(INDEXES.to_owned(), (*name).clone())));
        let index = index.map(|name| self.shared.oid(INDEXES, name));
        index.ok_or_else(|| Error::NotFound { kind: "relation", name: text.to_owned() })
    }

    /// What was set of a relation, as in pg_class.reloptions.
    pub(in crate::wire) fn options(&self, one: &Listed) -> Option<Vec<String>> {
        let channel = self.engine.upgrade()?.channel(&one.name).filter(|_| one.kind == 'm' && one.namespace == "public")?;
        Some(vec![format!("notify={channel}")])
    }

    /// pg_proc: made once, as no function comes or goes.
    fn procedures(&self) -> datafusion::error::Result<Option<RecordBatch>> {
        if let Some(made) = self.shared.procedures.get() {
            return Ok(made.clone());
        }
        let Some((_, rows)) = brought::rows(&self.shared, "pg_proc")? else { return Ok(None) };
        let made = procedures::pg_proc(&rows)?;
        Ok(self.shared.procedures.get_or_init(|| made).clone())
    }

    /// What pg_get_viewdef gives.
    pub(in crate::wire) fn definition(&self, oid: i32) -> Option<String> {
        let relations = self.engine.upgrade()?.relations();
        let found = relations.into_iter().find(|relation| self.shared.oid("public", &relation.name) == oid)?;
        matches!(found.kind, Kind::View | Kind::MaterializedView).then(|| query_of(&found.definition))
    }

    /// Whether a relation is found without its schema.
    pub(super) fn visible(&self, oid: i32) -> bool {
        let oids = self.shared.oids.lock();
        let found = oids.by_name.iter().find(|(_, known)| **known == oid);
        found.is_none_or(|((namespace, _), _)| matches!(namespace.as_str(), "public" | PG_CATALOG | INDEXES))
    }

    /// What a regclass prints as.
    pub(super) fn relation_name(&self, oid: i32) -> Option<String> {
        self.shared.oids.lock().by_name.iter().find(|(_, known)| **known == oid).map(|((_, name), _)| name.clone())
    }
}

/// The query of a view's definition: what stands behind its first AS outside of parentheses.
pub(super) fn query_of(definition: &str) -> String {
    let dialect = PostgreSqlDialect {};
    let Ok(tokens) = Tokenizer::new(&dialect, definition).tokenize() else { return definition.to_owned() };
    let mut depth = 0;
    let found = tokens.iter().position(|token| {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::Word(word) if depth == 0 && word.quote_style.is_none() && word.value.eq_ignore_ascii_case("as") => return true,
            _ => {}
        }
        false
    });
    match found {
        Some(at) => format!(" {};", tokens.iter().skip(at + 1).map(Token::to_string).collect::<String>().trim()),
        None => definition.to_owned(),
    }
}

/// The oid of a schema.
pub(super) fn namespace_oid(shared: &Shared, name: &str) -> i32 {
    match name {
        PG_CATALOG => 11,
        "public" => PUBLIC_OID,
        "information_schema" => 13_000,
        other => shared.oid("", other),
    }
}

impl PgCatalog {
    /// The oid of a schema.
    pub(super) fn namespace_oid(&self, name: &str) -> i32 {
        namespace_oid(&self.shared, name)
    }
}

#[async_trait]
impl SchemaProvider for PgCatalog {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.shared.fixed.table_names();
        names.extend(relations::names().map(str::to_owned));
        names.sort();
        names.dedup();
        names
    }

    async fn table(&self, name: &str) -> datafusion::error::Result<Option<Arc<dyn TableProvider>>> {
        if let Some(batch) = relations::rows(self, name).await? {
            return Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)));
        }
        if name == "pg_proc"
            && let Some(batch) = self.procedures()?
        {
            return Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)));
        }
        brought::table(&self.shared, name).await
    }

    fn table_exist(&self, name: &str) -> bool {
        relations::names().any(|known| known == name) || self.shared.fixed.table_exist(name)
    }
}

/// Gives a session what Postgres clients look for, and the settings that its functions read.
pub(in crate::wire) fn install(
    shared: &Arc<Shared>,
    registry: &Arc<Registry>,
    session: &Session,
    user: &str,
    database: &str,
    registered: &Registered,
) -> Result<Arc<Current>> {
    let context = session.context();
    let parent = context.catalog(database).ok_or_else(|| Error::NotFound { kind: "database", name: database.to_owned() })?;
    let current = Arc::new(Current::default());
    let catalog = Arc::new(PgCatalog {
        shared: Arc::clone(shared),
        engine: Arc::downgrade(session.engine()),
        parent: Arc::downgrade(&parent),
        database: database.to_owned(),
        user: user.to_owned(),
        current: Arc::clone(&current),
        registry: Arc::clone(registry),
    });
    parent.register_schema(PG_CATALOG, Arc::clone(&catalog) as _)?;
    parent.register_schema(INFORMATION_SCHEMA, Arc::new(Information::new(&catalog)))?;
    // DataFusion would answer for that schema by itself, with Arrow's names of types.
    context.state_ref().write().config_mut().options_mut().catalog.information_schema = false;
    functions::register(context, &catalog, registered.pid);
    privileges::register(context, &catalog, registry);
    describe::register(context, &catalog);
    defaults::register(context, &catalog);
    modifiers::register(context);
    describe::register_describe(context, &catalog);
    keys::register(context, &catalog);
    procedures::register(context, &catalog);
    table_functions::register(context, &current, &shared.channels, registered.pid);
    setting::register(context, &current);
    let (engine, shared) = (Arc::downgrade(session.engine()), Arc::clone(shared));
    // A session holds its rewrite, and the engine: this must not hold it back.
    session.set_rewrite(Arc::new(move |query| {
        let there = || {
            let relations = engine.upgrade().map(|engine| engine.relations()).unwrap_or_default();
            empty::There {
                keys: relations.iter().any(|one| !one.primary_key.is_empty()),
                defaults: relations.iter().any(|one| one.declared.iter().any(|column| !column.default.is_null())),
            }
        };
        rewrite::rewrite(query, there, || shared.column_types())
    }));
    Ok(current)
}

/// The same for a session without a connection: it has no process id that others know.
pub(in crate::wire) fn install_alone(session: &Session) -> Result<()> {
    let (shared, registry) = (Arc::new(Shared::new()?), Arc::new(Registry::default()));
    let database = session.context().state().config_options().catalog.default_catalog.clone();
    let registered = registry.register(session.user(), &database);
    install(&shared, &registry, session, session.user(), &database, &registered).map(|_| ())
}
