//! `t AT TIME ZONE z` as in Postgres: what the clocks of a zone show at a moment, and the moment at which they show a time.

use std::sync::Arc;

use chrono::FixedOffset;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{internal_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::moment;
use crate::error::Error;
use crate::frame::batch::ts_type;
use crate::settings::TimeZone;

const LOCAL: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
const SPAN: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// `timezone(z, t)`, which AT TIME ZONE is.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::new(ScalarUDF::new_from_impl(AtTimeZone { signature: Signature::user_defined(Volatility::Immutable) }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AtTimeZone {
    signature: Signature,
}

impl ScalarUDFImpl for AtTimeZone {
    fn name(&self) -> &str {
        "timezone"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let [zone, time] = given else { return plan_err!("timezone takes a zone and a time") };
        let zone = match zone {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => DataType::Utf8,
            DataType::Interval(_) | DataType::Duration(_) => SPAN,
            other => return plan_err!("a time zone is text or an interval, not {other}"),
        };
        let time = match time {
            DataType::Timestamp(_, None) => LOCAL,
            // A day, and a text, are read as moments.
            DataType::Timestamp(_, Some(_)) | DataType::Date32 | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ts_type(),
            DataType::Null => ts_type(),
            other => return plan_err!("AT TIME ZONE is of a timestamp, not of {other}"),
        };
        Ok(vec![zone, time])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [_, DataType::Timestamp(_, None)] => Ok(ts_type()),
            [_, _] => Ok(LOCAL),
            _ => plan_err!("timezone takes a zone and a time"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [zones, times] = args.args.as_slice() else { return internal_err!("timezone takes a zone and a time") };
        let times = times.to_array(args.number_rows)?;
        let shows = args.return_field.data_type() == &LOCAL;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let moved = |us: i64, zone: TimeZone| if shows { moment::to_local(us, zone) } else { moment::of_local(us, zone) };
        // A zone is mostly a constant.
        let constant = match zones {
            ColumnarValue::Scalar(zone) => Some(zone_at(&zone.to_array()?, 0)?),
            ColumnarValue::Array(_) => None,
        };
        let zones = zones.to_array(args.number_rows)?;
        let one = |row: usize| -> Result<Option<i64>> {
            if times.is_null(row) {
                return Ok(None);
            }
            let zone = match constant {
                Some(zone) => zone,
                None => zone_at(&zones, row)?,
            };
            let Some(zone) = zone else { return Ok(None) };
            let out_of_range = || Error::Encode { code: "22008", message: "timestamp out of range".into() };
            Ok(Some(moved(times.value(row), zone).ok_or_else(out_of_range)?))
        };
        let found = (0..times.len()).map(one).collect::<Result<TimestampMicrosecondArray>>()?;
        let found = if shows { found } else { found.with_timezone("UTC") };
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

/// The zone of a row; None for NULL. Errs with 22023 for a name that is none.
pub(super) fn zone_at(zones: &ArrayRef, row: usize) -> Result<Option<TimeZone>> {
    if zones.is_null(row) {
        return Ok(None);
    }
    let unknown =
        |name: &str| DataFusionError::from(Error::Encode { code: "22023", message: format!("time zone \"{name}\" not recognized") });
    if *zones.data_type() == SPAN {
        let span = zones.as_primitive::<IntervalMonthDayNanoType>().value(row);
        if span.months != 0 || span.days != 0 {
            let message = "interval time zone must not include months or days".to_owned();
            return Err(Error::Encode { code: "22023", message }.into());
        }
        let seconds = i32::try_from(span.nanoseconds / 1_000_000_000).ok().and_then(FixedOffset::east_opt);
        return seconds.map(|offset| Some(TimeZone::Fixed(offset))).ok_or_else(|| unknown("interval"));
    }
    let name = zones.as_string::<i32>().value(row);
    named(name).map(Some).ok_or_else(|| unknown(name))
}

/// A zone as AT TIME ZONE names it: there, other than in a timestamp, the sign of a number is that of POSIX, west of Greenwich.
pub(in crate::plan) fn named(name: &str) -> Option<TimeZone> {
    let name = name.trim();
    let offset = name.strip_prefix("UTC").or_else(|| name.strip_prefix("GMT")).filter(|rest| !rest.is_empty()).unwrap_or(name);
    if !offset.starts_with(['+', '-']) {
        return moment::zone(name);
    }
    let (sign, digits) = offset.split_at(1);
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
    let seconds = hours.parse::<i32>().ok()?.checked_mul(3600)?.checked_add(minutes.parse::<i32>().ok()?.checked_mul(60)?)?;
    FixedOffset::west_opt(if sign == "-" { -seconds } else { seconds }).map(TimeZone::Fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_names_in_any_case_and_offsets_with_the_sign_of_posix() {
        // SELECT timestamptz 'epoch' AT TIME ZONE … in PostgreSQL 15.
        for (name, hours) in [("utc", 0), ("asia/TOKYO", 9), ("+02", -2), ("-05", 5), ("UTC+2", -2), ("EST", -5)] {
            assert_eq!(named(name).map(|zone| zone.offset_s(0)), Some(hours * 3600), "{name}");
        }
        assert_eq!(named("-05:30").map(|zone| zone.offset_s(0)), Some(19_800));
        assert_eq!(named("mars/base"), None);
    }
}
