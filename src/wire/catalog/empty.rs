//! Relations of pg_catalog that are always empty here, as framesql has nothing of what they list: locks, policies, rules, sequences, statistics of columns.

use super::fill::{Columns, Fill};

/// Their names, and their columns with their types.
const RELATIONS: [(&str, &str); 18] = [
    (
        "pg_available_extension_versions",
        "name text, version text, installed bool, superuser bool, trusted bool, relocatable bool, \
         schema text, requires array, comment text",
    ),
    ("pg_available_extensions", "name text, default_version text, installed_version text, comment text"),
    // A connection's statements and cursors are its own; the catalogue does not look into them.
    ("pg_cursors", "name text, statement text, is_holdable bool, is_binary bool, is_scrollable bool, creation_time timestamptz"),
    (
        "pg_prepared_statements",
        "name text, statement text, prepare_time timestamptz, parameter_types array, result_types array, \
         from_sql bool, generic_plans int8, custom_plans int8",
    ),
    ("pg_user_mappings", "umid oid, srvid oid, srvname text, umuser oid, usename text, umoptions array"),
    (
        "pg_locks",
        "locktype text, database oid, relation oid, page int4, tuple int2, virtualxid text, \
         transactionid text, classid oid, objid oid, objsubid int2, virtualtransaction text, pid int4, \
         mode text, granted bool, fastpath bool, waitstart timestamptz",
    ),
    (
        "pg_policies",
        "schemaname text, tablename text, policyname text, permissive text, roles array, cmd text, \
         qual text, with_check text",
    ),
    ("pg_prepared_xacts", "transaction text, gid text, prepared timestamptz, owner text, database text"),
    ("pg_publication_tables", "pubname text, schemaname text, tablename text, attnames array, rowfilter text"),
    (
        "pg_replication_slots",
        "slot_name text, plugin text, slot_type text, datoid oid, database text, temporary bool, \
         active bool, active_pid int4, xmin text, catalog_xmin text, restart_lsn text, \
         confirmed_flush_lsn text, wal_status text, safe_wal_size int8, two_phase bool",
    ),
    ("pg_rules", "schemaname text, tablename text, rulename text, definition text"),
    (
        "pg_seclabels",
        "objoid oid, classoid oid, objsubid int4, objtype text, objnamespace oid, objname text, \
         provider text, label text",
    ),
    (
        "pg_sequences",
        "schemaname text, sequencename text, sequenceowner text, data_type text, start_value int8, \
         min_value int8, max_value int8, increment_by int8, cycle bool, cache_size int8, last_value int8",
    ),
    ("pg_stat_gssapi", "pid int4, gss_authenticated bool, principal text, encrypted bool"),
    (
        "pg_stat_replication",
        "pid int4, usesysid oid, usename text, application_name text, client_addr text, \
         client_hostname text, client_port int4, backend_start timestamptz, backend_xmin text, state text, \
         sent_lsn text, write_lsn text, flush_lsn text, replay_lsn text, write_lag interval, \
         flush_lag interval, replay_lag interval, sync_priority int4, sync_state text, \
         reply_time timestamptz",
    ),
    (
        "pg_stat_user_indexes",
        "relid oid, indexrelid oid, schemaname text, relname text, indexrelname text, idx_scan int8, \
         idx_tup_read int8, idx_tup_fetch int8",
    ),
    (
        "pg_statio_user_tables",
        "relid oid, schemaname text, relname text, heap_blks_read int8, heap_blks_hit int8, \
         idx_blks_read int8, idx_blks_hit int8, toast_blks_read int8, toast_blks_hit int8, \
         tidx_blks_read int8, tidx_blks_hit int8",
    ),
    (
        "pg_stats",
        "schemaname text, tablename text, attname text, inherited bool, null_frac float4, avg_width int4, \
         n_distinct float4, most_common_vals array, most_common_freqs array, histogram_bounds array, \
         correlation float4, most_common_elems array, most_common_elem_freqs array, \
         elem_count_histogram array",
    ),
];

/// Their names.
pub(in crate::wire) fn names() -> impl Iterator<Item = &'static str> {
    RELATIONS.iter().map(|(name, _)| *name)
}

/// The columns of one; None for others.
pub(in crate::wire) fn columns(name: &str) -> Option<Columns> {
    let (_, columns) = RELATIONS.iter().find(|(known, _)| *known == name)?;
    Some(columns.split(", ").filter_map(|column| column.split_once(' ')).map(|(name, of)| (name, nothing(of))).collect())
}

fn nothing(of: &str) -> Fill {
    match of {
        "bool" => Fill::Bool(Vec::new()),
        "int2" => Fill::Int2(Vec::new()),
        "int4" => Fill::Int4(Vec::new()),
        "int8" => Fill::Int8(Vec::new()),
        "float4" => Fill::Float4(0.0),
        "oid" => Fill::Oid(Vec::new()),
        "timestamptz" => Fill::Time(Vec::new()),
        "interval" => Fill::Seconds(Vec::new()),
        "array" => Fill::Arrays(Vec::new()),
        _ => Fill::Text(Vec::new()),
    }
}
