//! pg_timezone_names: the zones that the server knows.

use chrono::{DateTime, Offset, TimeZone as _};
use chrono_tz::{OffsetComponents, OffsetName, TZ_VARIANTS, Tz};

use super::fill::{Columns, Fill, some};
use crate::clock;

/// How many there are.
pub(in crate::wire) fn n_zones() -> usize {
    TZ_VARIANTS.len()
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
