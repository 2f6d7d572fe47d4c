//! What all connections of a listener share of the catalogue: what never changes, and the oids of what does.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::record_batch::RecordBatch;
use datafusion::catalog::{CatalogProviderList, MemoryCatalogProviderList, SchemaProvider};
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables, PgCatalogTable};
use parking_lot::Mutex;

use super::builtins::{self, Builtin};
use super::schema::{Listed, PG_CATALOG};
use super::server::Life;
use super::{brought, relations};
use crate::error::Result;
use crate::wire::query::empty_types::CatalogTypes;
use crate::wire::session::notify::Channels;

/// Oids of system relations begin here, those of users' at the other, as in Postgres.
const FIRST_SYSTEM_OID: i32 = 12_000;
pub(super) const FIRST_USER_OID: i32 = 16_384;
/// Under what the oids of roles are kept: no schema has the name.
pub(super) const ROLES: &str = " role";
/// The same for the indexes and constraints of primary keys.
pub(super) const INDEXES: &str = " index";
pub(in crate::wire) const CONSTRAINTS: &str = " constraint";
/// And for the defaults of columns.
pub(super) const DEFAULTS: &str = " default";

type Fixed = PgCatalogSchemaProvider<Arc<dyn CatalogProviderList>, EmptyContextProvider>;

/// What all connections of a listener share: the relations that never change, and the oids of those that do.
pub(in crate::wire) struct Shared {
    /// The relations that Postgres brings.
    pub(in crate::wire) fixed: Fixed,
    pub(super) oids: Mutex<Oids>,
    pub(in crate::wire) procedures: OnceLock<Option<RecordBatch>>,
    column_types: OnceLock<Arc<CatalogTypes>>,
    builtins: OnceLock<Vec<Builtin>>,
    /// Since when the listener is there.
    pub(super) life: Arc<Life>,
    /// Who listens to what.
    pub(in crate::wire) channels: Arc<Channels>,
}

/// The oids that were given.
#[derive(Default)]
pub(super) struct Oids {
    pub(in crate::wire) by_name: BTreeMap<(String, String), i32>,
    n_user: i32,
    n_system: i32,
}

impl Shared {
    pub(in crate::wire) fn new() -> Result<Shared> {
        let nothing: Arc<dyn CatalogProviderList> = Arc::new(MemoryCatalogProviderList::new());
        let fixed = Fixed::try_new(nothing, Arc::new(PgCatalogStaticTables::try_new()?), EmptyContextProvider)?;
        let (oids, life, channels) = (Mutex::default(), Arc::default(), Arc::default());
        let (procedures, column_types, builtins) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Ok(Shared { fixed, oids, procedures, column_types, builtins, life, channels })
    }

    /// The types of the columns of pg_catalog.
    pub(in crate::wire) fn column_types(&self) -> Arc<CatalogTypes> {
        let made = || {
            // Those of this engine take the place of what was brought under their names.
            let own = relations::names().filter_map(|name| Some((name.to_owned(), relations::schema(name)?)));
            let others = self.fixed.table_names().into_iter();
            let brought = others.filter_map(|name| brought::schema(self, &name).ok()?.map(|schema| (name, schema)));
            Arc::new(CatalogTypes::of(brought.chain(own)))
        };
        Arc::clone(self.column_types.get_or_init(made))
    }

    /// The functions that Postgres brings, by oid.
    pub(super) fn builtins(&self) -> &[Builtin] {
        self.builtins.get_or_init(|| match self.fixed.build_table_by_name("pg_proc") {
            Ok(Some(PgCatalogTable::Static(table))) => builtins::read(table.data()),
            _ => Vec::new(),
        })
    }

    /// The oid of a relation, the one that Postgres has for it where clients know it by heart.
    pub(in crate::wire) fn oid(&self, namespace: &str, name: &str) -> i32 {
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

    pub(in crate::wire) fn assigned(&self, namespace: &str, name: &str) -> i32 {
        let mut oids = self.oids.lock();
        let Oids { by_name, n_user, n_system } = &mut *oids;
        let next = || {
            let (first, count) = if matches!(namespace, "public" | ROLES | INDEXES | CONSTRAINTS | DEFAULTS) {
                (FIRST_USER_OID, n_user)
            } else {
                (FIRST_SYSTEM_OID, n_system)
            };
            *count += 1;
            first + *count
        };
        *by_name.entry((namespace.to_owned(), name.to_owned())).or_insert_with(next)
    }

    /// Forgets the oids of relations that are gone, so that names that come and go leave nothing behind.
    pub(in crate::wire) fn retain(&self, listed: &[Listed]) {
        self.oids.lock().by_name.retain(|(namespace, name), _| match namespace.as_str() {
            "" | ROLES => true,
            INDEXES | CONSTRAINTS => listed.iter().any(|one| one.kind == 'i' && one.name == *name),
            DEFAULTS => listed.iter().any(|one| !one.declared.is_empty() && name.split('\0').next() == Some(one.name.as_str())),
            namespace => listed.iter().any(|one| one.namespace == namespace && one.name == *name),
        });
    }
}
