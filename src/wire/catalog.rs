//! The catalogue that Postgres clients look into: the schema pg_catalog, its functions, and the rewriting of the queries that read it.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, MemTable, MemoryCatalogProviderList, SchemaProvider};
use datafusion::datasource::{TableProvider, TableType};
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables};
use parking_lot::Mutex;

use super::cancel::{Registered, Registry};
use super::information::Information;
use super::notify::Channels;
use super::setting::{self, Current};
use super::{functions, relations, rewrite, table_functions};
use crate::engine::Engine;
use crate::engine::roles::Role;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::plan::parse::Kind;

/// The schema's name.
const PG_CATALOG: &str = "pg_catalog";
const INFORMATION_SCHEMA: &str = "information_schema";
/// Oids of system relations begin here, those of users' at the other, as in Postgres.
const FIRST_SYSTEM_OID: i32 = 12_000;
pub(super) const FIRST_USER_OID: i32 = 16_384;

type Fixed = PgCatalogSchemaProvider<Arc<dyn CatalogProviderList>, EmptyContextProvider>;

/// What all connections of a listener share: the relations that never change, and the oids of those that do.
pub(super) struct Shared {
    fixed: Fixed,
    oids: Mutex<Oids>,
    /// Who listens to what.
    pub(super) channels: Arc<Channels>,
}

#[derive(Default)]
struct Oids {
    by_name: BTreeMap<(String, String), i32>,
    n_user: i32,
    n_system: i32,
}

/// A relation as pg_class has it.
pub(super) struct Listed {
    /// Its oid, the same for every connection as long as it exists.
    pub(super) oid: i32,
    /// Its schema.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// `r` table, `v` view, `m` materialized view.
    pub(super) kind: char,
    /// Its columns.
    pub(super) schema: SchemaRef,
    /// The statement that made it.
    pub(super) definition: Option<String>,
}

impl Shared {
    pub(super) fn new() -> Result<Shared> {
        let nothing: Arc<dyn CatalogProviderList> = Arc::new(MemoryCatalogProviderList::new());
        let fixed = Fixed::try_new(nothing, Arc::new(PgCatalogStaticTables::try_new()?), EmptyContextProvider)?;
        Ok(Shared { fixed, oids: Mutex::default(), channels: Arc::default() })
    }

    /// The oid of a relation, the one that Postgres has for it where clients know it by heart.
    fn oid(&self, namespace: &str, name: &str) -> i32 {
        let known = match (namespace, name) {
            (PG_CATALOG, "pg_type") => Some(1247),
            (PG_CATALOG, "pg_attribute") => Some(1249),
            (PG_CATALOG, "pg_proc") => Some(1255),
            (PG_CATALOG, "pg_class") => Some(1259),
            (PG_CATALOG, "pg_authid") => Some(1260),
            (PG_CATALOG, "pg_database") => Some(1262),
            (PG_CATALOG, "pg_constraint") => Some(2606),
            (PG_CATALOG, "pg_namespace") => Some(2615),
            _ => None,
        };
        known.unwrap_or_else(|| self.assigned(namespace, name))
    }

    fn assigned(&self, namespace: &str, name: &str) -> i32 {
        let mut oids = self.oids.lock();
        let Oids { by_name, n_user, n_system } = &mut *oids;
        let next = || {
            let (first, count) = if namespace == "public" { (FIRST_USER_OID, n_user) } else { (FIRST_SYSTEM_OID, n_system) };
            *count += 1;
            first + *count
        };
        *by_name.entry((namespace.to_owned(), name.to_owned())).or_insert_with(next)
    }

    /// Forgets the oids of relations that are gone, so that names that come and go leave nothing behind.
    fn retain(&self, listed: &[Listed]) {
        self.oids.lock().by_name.retain(|(namespace, name), _| {
            namespace.is_empty() || listed.iter().any(|one| one.namespace == *namespace && one.name == *name)
        });
    }
}

/// The schema pg_catalog of one connection.
pub(super) struct PgCatalog {
    shared: Arc<Shared>,
    engine: Weak<Engine>,
    /// The database that it is a schema of: it holds this, so it must not be held back.
    parent: Weak<dyn CatalogProvider>,
    /// The database's name.
    pub(super) database: String,
    /// The connection's user, who owns everything.
    pub(super) user: String,
    /// The connection's settings.
    pub(super) current: Arc<Current>,
    /// The connections of the listener.
    pub(super) registry: Arc<Registry>,
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

    /// Every relation but those of information_schema.
    pub(super) async fn listed(&self) -> datafusion::error::Result<Vec<Listed>> {
        let relations = self.engine.upgrade().map(|engine| engine.relations()).unwrap_or_default();
        let mut listed = Vec::new();
        for relation in relations {
            let kind = match relation.kind {
                Kind::Source | Kind::Table | Kind::Zone | Kind::Line | Kind::Calibration => 'r',
                Kind::View => 'v',
                Kind::MaterializedView => 'm',
            };
            let oid = self.shared.oid("public", &relation.name);
            let definition = Some(relation.definition);
            listed.push(Listed { oid, namespace: "public".into(), name: relation.name, kind, schema: relation.schema, definition });
        }
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
                listed.push(Listed { oid, namespace: namespace.clone(), name, kind, schema: table.schema(), definition: None });
            }
        }
        for name in self.table_names() {
            let Some(schema) = self.columns(&name).await? else { continue };
            let oid = self.shared.oid(PG_CATALOG, &name);
            listed.push(Listed { oid, namespace: PG_CATALOG.into(), name, kind: 'r', schema, definition: None });
        }
        self.shared.retain(&listed);
        Ok(listed)
    }

    async fn columns(&self, name: &str) -> datafusion::error::Result<Option<SchemaRef>> {
        match relations::schema(name) {
            Some(schema) => Ok(Some(schema)),
            None => Ok(self.shared.fixed.build_table_by_name(name)?.map(|table| table.schema())),
        }
    }

    /// The roles, and the connection's user if it is none.
    pub(super) fn roles(&self) -> Vec<Role> {
        let Some(engine) = self.engine.upgrade() else { return Vec::new() };
        let mut roles = engine.roles().all();
        if roles.iter().all(|role| role.name != self.user) {
            let superuser = engine.roles().superuser(&self.user);
            roles.insert(0, Role { name: self.user.clone(), superuser, login: true, verifier: None, connection_limit: None });
        }
        roles
    }

    /// What pg_get_viewdef gives.
    pub(super) fn definition(&self, oid: i32) -> Option<String> {
        let relations = self.engine.upgrade()?.relations();
        let found = relations.into_iter().find(|relation| self.shared.oid("public", &relation.name) == oid)?;
        matches!(found.kind, Kind::View | Kind::MaterializedView).then_some(found.definition)
    }

    /// Whether a relation is found without its schema.
    pub(super) fn visible(&self, oid: i32) -> bool {
        let oids = self.shared.oids.lock();
        let found = oids.by_name.iter().find(|(_, known)| **known == oid);
        found.is_none_or(|((namespace, _), _)| matches!(namespace.as_str(), "public" | PG_CATALOG))
    }

    /// What a regclass prints as.
    pub(super) fn relation_name(&self, oid: i32) -> Option<String> {
        self.shared.oids.lock().by_name.iter().find(|(_, known)| **known == oid).map(|((_, name), _)| name.clone())
    }
}

/// The oid of a schema.
pub(super) fn namespace_oid(shared: &Shared, name: &str) -> i32 {
    match name {
        PG_CATALOG => 11,
        "public" => 2200,
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
        names.extend(relations::NAMES.map(str::to_owned));
        names.sort();
        names.dedup();
        names
    }

    async fn table(&self, name: &str) -> datafusion::error::Result<Option<Arc<dyn TableProvider>>> {
        if let Some(batch) = relations::rows(self, name).await? {
            return Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)));
        }
        self.shared.fixed.table(name).await
    }

    fn table_exist(&self, name: &str) -> bool {
        relations::NAMES.contains(&name) || self.shared.fixed.table_exist(name)
    }
}

/// Gives a session what Postgres clients look for, and the settings that its functions read.
pub(super) fn install(
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
    functions::register(context, &catalog, registry, registered.pid);
    table_functions::register(context, &current, &shared.channels, registered.pid);
    setting::register(context, &current);
    session.set_rewrite(Arc::new(rewrite::rewrite));
    Ok(current)
}

/// The same for a session without a connection: it has no process id that others know.
pub(super) fn install_alone(session: &Session) -> Result<()> {
    let (shared, registry) = (Arc::new(Shared::new()?), Arc::new(Registry::default()));
    let database = session.context().state().config_options().catalog.default_catalog.clone();
    let registered = registry.register(session.user(), &database);
    install(&shared, &registry, session, session.user(), &database, &registered).map(|_| ())
}
