//! Functions of pg_catalog that give rows: keywords, settings, channels, and lists of what framesql has none of.

use std::sync::Arc;

use datafusion::catalog::{MemTable, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::error::Result;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::keywords::{ALL_KEYWORDS, ALL_KEYWORDS_INDEX, RESERVED_FOR_COLUMN_ALIAS, RESERVED_FOR_TABLE_ALIAS};

use super::fill::{Columns, Fill, rows_of, some};
use super::setting::Current;
use super::{relations, timezones};
use crate::wire::session::notify::Channels;

type Make = Box<dyn Fn() -> (Columns, usize) + Send + Sync>;

struct Rows {
    name: &'static str,
    make: Make,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TableFunctionImpl for Rows {
    fn call_with_args(&self, _: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let (columns, n_rows) = (self.make)();
        let rows = rows_of(columns, n_rows)?;
        Ok(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?))
    }
}

/// Registers them.
pub(in crate::wire) fn register(context: &SessionContext, current: &Arc<Current>, channels: &Arc<Channels>, pid: i32) {
    let add = |name: &'static str, make: Make| context.register_udtf(name, Arc::new(Rows { name, make }));
    add("pg_get_keywords", Box::new(keywords));
    let held = Arc::clone(current);
    add("pg_show_all_settings", Box::new(move || relations::settings(&held.values())));
    let held = Arc::clone(channels);
    add(
        "pg_listening_channels",
        Box::new(move || {
            let heard = held.heard_by(pid);
            (vec![("pg_listening_channels", some(heard.iter()))], heard.len())
        }),
    );
    add("pg_available_extensions", Box::new(|| (texts(&["name", "default_version", "installed_version", "comment"]), 0)));
    add("pg_timezone_names", Box::new(|| (timezones::zones(), timezones::n_zones())));
    add("pg_partition_ancestors", Box::new(|| (vec![("relid", Fill::Oid(Vec::new()))], 0)));
}

fn texts(names: &[&'static str]) -> Columns {
    names.iter().map(|name| (*name, Fill::Text(Vec::new()))).collect()
}

fn keywords() -> (Columns, usize) {
    let words = || ALL_KEYWORDS.iter().map(|word| word.to_lowercase());
    let reserved: Vec<bool> =
        ALL_KEYWORDS_INDEX.iter().map(|word| RESERVED_FOR_COLUMN_ALIAS.contains(word) || RESERVED_FOR_TABLE_ALIAS.contains(word)).collect();
    let columns = vec![
        ("word", some(words())),
        ("catcode", some(reserved.iter().map(|reserved| if *reserved { 'R' } else { 'U' }))),
        ("catdesc", some(reserved.iter().map(|reserved| if *reserved { "reserved" } else { "unreserved" }))),
    ];
    (columns, ALL_KEYWORDS.len())
}
