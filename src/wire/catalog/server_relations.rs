//! Relations of pg_catalog about the server and the session: the zones that it knows, and what framesql keeps no list of.

use chrono::{DateTime, Offset, TimeZone as _};
use chrono_tz::{OffsetComponents, OffsetName, TZ_VARIANTS, Tz};

use super::empty;
use super::fill::{Columns, Fill, some};
use crate::clock;

/// Their columns; None for others.
pub(in crate::wire) fn columns(name: &str) -> Option<Columns> {
    let texts = || Fill::Text(Vec::new());
    Some(match name {
        "pg_timezone_names" => zones(),
        // A connection's statements and cursors are its own; the catalogue does not look into them.
        "pg_prepared_statements" => vec![
            ("name", texts()),
            ("statement", texts()),
            ("prepare_time", Fill::Time(Vec::new())),
            ("parameter_types", Fill::Arrays(Vec::new())),
            ("result_types", Fill::Arrays(Vec::new())),
            ("from_sql", Fill::Bool(Vec::new())),
            ("generic_plans", Fill::Int8(Vec::new())),
            ("custom_plans", Fill::Int8(Vec::new())),
        ],
        "pg_cursors" => vec![
            ("name", texts()),
            ("statement", texts()),
            ("is_holdable", Fill::Bool(Vec::new())),
            ("is_binary", Fill::Bool(Vec::new())),
            ("is_scrollable", Fill::Bool(Vec::new())),
            ("creation_time", Fill::Time(Vec::new())),
        ],
        "pg_user_mappings" => vec![
            ("umid", Fill::Oid(Vec::new())),
            ("srvid", Fill::Oid(Vec::new())),
            ("srvname", texts()),
            ("umuser", Fill::Oid(Vec::new())),
            ("usename", texts()),
            ("umoptions", Fill::Arrays(Vec::new())),
        ],
        other => return empty::columns(other),
    })
}

/// How many rows one of them has.
pub(in crate::wire) fn n_rows(name: &str) -> usize {
    if name == "pg_timezone_names" { TZ_VARIANTS.len() } else { 0 }
}

/// pg_timezone_names, with the offsets that hold now.
pub(in crate::wire) fn zones() -> Columns {
    let now = DateTime::from_timestamp_micros(clock::now_us()).unwrap_or_default().naive_utc();
    let offsets = || TZ_VARIANTS.iter().map(|zone: &Tz| zone.offset_from_utc_datetime(&now));
    vec![
        ("name", some(TZ_VARIANTS.iter().map(|zone| zone.name()))),
        ("abbrev", Fill::Text(offsets().map(|offset| offset.abbreviation().map(str::to_owned)).collect())),
        ("utc_offset", Fill::Seconds(offsets().map(|offset| offset.fix().local_minus_utc()).collect())),
        ("is_dst", Fill::Bool(offsets().map(|offset| !offset.dst_offset().is_zero()).collect())),
    ]
}
