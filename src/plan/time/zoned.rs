//! Functions of moments by the clocks of a zone: `date_trunc` in a zone, `date_add` and `date_subtract`, series of moments, how far the clocks are
//! from UTC, and what they are called.

use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Days, Months};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, ListBuilder, StringArray, TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{
    DataType, Field, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimestampMicrosecondType,
};
use datafusion::common::{internal_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::{moment, time_zone, truncate};
use crate::error::Error;
use crate::frame::batch::ts_type;
use crate::settings::TimeZone;

const SPAN: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
/// Moments that one series may have: it is an array in memory.
const MOST_MOMENTS: usize = 10_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    /// The start of the hour, day, … of a moment, by a unit and a zone.
    Truncate,
    /// A moment and an interval.
    Add,
    /// The same with an interval that is taken away.
    Subtract,
    /// From a moment to a moment by an interval.
    Series,
    /// The name of the clocks at a moment.
    Abbreviation,
    /// How far east of UTC they are, in seconds.
    Offset,
}

static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 6]> = LazyLock::new(|| {
    let all = [
        (TRUNCATE, What::Truncate),
        ("date_add", What::Add),
        ("date_subtract", What::Subtract),
        ("timestamptz_series", What::Series),
        ("timezone_abbreviation", What::Abbreviation),
        (OFFSET, What::Offset),
    ];
    let signature = || Signature::user_defined(Volatility::Immutable);
    all.map(|(name, what)| Arc::new(ScalarUDF::new_from_impl(Zoned { name, what, signature: signature() })))
});

/// `date_trunc(unit, t, zone)` by the name that it has here.
pub(in crate::plan) const TRUNCATE: &str = "date_trunc_zone";
/// `extract(timezone FROM t)`.
pub(in crate::plan) const OFFSET: &str = "timezone_offset";

/// The functions: each takes the zone last; where it is left out it is the session's.
pub(super) fn functions() -> [Arc<ScalarUDF>; 6] {
    FUNCTIONS.clone()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Zoned {
    name: &'static str,
    what: What,
    signature: Signature,
}

impl Zoned {
    /// The types of its arguments before the zone.
    fn takes(&self) -> Vec<DataType> {
        match self.what {
            What::Truncate => vec![DataType::Utf8, ts_type()],
            What::Add | What::Subtract => vec![ts_type(), SPAN],
            What::Series => vec![ts_type(), ts_type(), SPAN],
            What::Abbreviation | What::Offset => vec![ts_type()],
        }
    }
}

impl ScalarUDFImpl for Zoned {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let mut takes = self.takes();
        let fits = |(given, takes): (&DataType, &DataType)| match takes {
            DataType::Timestamp(..) => matches!(given, DataType::Timestamp(..) | DataType::Date32 | DataType::Null) || is_text(given),
            DataType::Interval(_) => matches!(given, DataType::Interval(_) | DataType::Duration(_) | DataType::Null) || is_text(given),
            _ => is_text(given) || given.is_null(),
        };
        let n_takes = takes.len();
        if given.len() == n_takes + 1 {
            takes.push(DataType::Utf8);
        }
        if takes.len() != given.len() || !given.iter().zip(&takes).all(fits) {
            return plan_err!("{} takes {n_takes} arguments, and a zone", self.name);
        }
        Ok(takes)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.what {
            What::Truncate | What::Add | What::Subtract => ts_type(),
            What::Series => DataType::List(Arc::new(Field::new_list_field(ts_type(), true))),
            What::Abbreviation => DataType::Utf8,
            What::Offset => DataType::Int32,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let n_rows = args.number_rows;
        let n_takes = self.takes().len();
        let zones = Zones::of(args.args.get(n_takes), n_rows)?;
        if self.what == What::Truncate {
            let [unit, times, ..] = args.args.as_slice() else { return internal_err!("{} takes a unit and a time", self.name) };
            return truncated(unit, &times.to_array(n_rows)?, &zones);
        }
        let arrays = args.args.iter().take(n_takes).map(|values| values.to_array(n_rows)).collect::<Result<Vec<_>>>()?;
        let found: ArrayRef = match (self.what, arrays.as_slice()) {
            (What::Add | What::Subtract, [times, spans]) => {
                let (times, spans) = (moments(times), spans.as_primitive::<IntervalMonthDayNanoType>());
                let signed = |span: IntervalMonthDayNano| if self.what == What::Add { Some(span) } else { negative(span) };
                let one = |row: usize| -> Result<Option<i64>> {
                    if times.is_null(row) || spans.is_null(row) {
                        return Ok(None);
                    }
                    let Some(zone) = zones.at(row)? else { return Ok(None) };
                    let sum = signed(spans.value(row)).and_then(|span| plus(times.value(row), span, zone));
                    Ok(Some(sum.ok_or_else(out_of_range)?))
                };
                Arc::new((0..n_rows).map(one).collect::<Result<TimestampMicrosecondArray>>()?.with_timezone("UTC"))
            }
            (What::Series, [from, to, steps]) => {
                let (from, to, steps) = (moments(from), moments(to), steps.as_primitive::<IntervalMonthDayNanoType>());
                let mut lists = ListBuilder::new(TimestampMicrosecondBuilder::new().with_timezone("UTC"));
                for row in 0..n_rows {
                    let known = from.is_valid(row) && to.is_valid(row) && steps.is_valid(row);
                    let zone = if known { zones.at(row)? } else { None };
                    if let Some(zone) = zone {
                        let moments = series(from.value(row), to.value(row), steps.value(row), zone)?;
                        lists.values().append_slice(&moments);
                    }
                    lists.append(zone.is_some());
                }
                Arc::new(lists.finish())
            }
            (What::Offset, [times]) => {
                let times = moments(times);
                let one = |row: usize| -> Result<Option<i32>> {
                    let zone = if times.is_valid(row) { zones.at(row)? } else { None };
                    Ok(zone.map(|zone| zone.offset_s(times.value(row))))
                };
                Arc::new((0..n_rows).map(one).collect::<Result<Int32Array>>()?)
            }
            (What::Abbreviation, [times]) => {
                let times = moments(times);
                let one = |row: usize| -> Result<Option<String>> {
                    let zone = if times.is_valid(row) { zones.at(row)? } else { None };
                    Ok(zone.map(|zone| zone.abbreviation(times.value(row))))
                };
                Arc::new((0..n_rows).map(one).collect::<Result<StringArray>>()?)
            }
            _ => return internal_err!("{} takes {n_takes} arguments", self.name),
        };
        Ok(ColumnarValue::Array(found))
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn moments(times: &ArrayRef) -> &TimestampMicrosecondArray {
    times.as_primitive::<TimestampMicrosecondType>()
}

fn out_of_range() -> DataFusionError {
    Error::Encode { code: "22008", message: "timestamp out of range".into() }.into()
}

/// The zones of the rows: mostly a constant.
enum Zones {
    All(Option<TimeZone>),
    Each(ArrayRef),
}

impl Zones {
    /// UTC where no zone is given.
    fn of(zones: Option<&ColumnarValue>, n_rows: usize) -> Result<Zones> {
        Ok(match zones {
            None => Zones::All(Some(TimeZone::default())),
            Some(ColumnarValue::Scalar(zone)) => Zones::All(time_zone::zone_at(&zone.to_array()?, 0)?),
            Some(zones) => Zones::Each(zones.to_array(n_rows)?),
        })
    }

    fn at(&self, row: usize) -> Result<Option<TimeZone>> {
        match self {
            Zones::All(zone) => Ok(*zone),
            Zones::Each(zones) => time_zone::zone_at(zones, row),
        }
    }
}

/// The starts of days and longer are those that the clocks show, and of what is shorter those by the offset of the moment itself, as in Postgres: of an
/// hour that is shown twice each keeps its own.
fn truncated(unit: &ColumnarValue, times: &ArrayRef, zones: &Zones) -> Result<ColumnarValue> {
    let times = moments(times);
    let n_rows = times.len();
    let (mut local, mut of_rows) = (Vec::with_capacity(n_rows), Vec::with_capacity(n_rows));
    for row in 0..n_rows {
        let zone = if times.is_valid(row) { zones.at(row)? } else { None };
        of_rows.push(zone);
        local.push(zone.map(|zone| moment::to_local(times.value(row), zone).ok_or_else(out_of_range)).transpose()?);
    }
    let shown = TimestampMicrosecondArray::from(local);
    let kept = matches!(unit, ColumnarValue::Scalar(unit) if unit.try_as_str().flatten().is_some_and(keeps_offset));
    let cut = truncate::starts(unit, &shown)?;
    // Rows that follow each other are mostly of one day.
    let mut last: Option<(i64, TimeZone, i64)> = None;
    let mut one = |row: usize| -> Result<Option<i64>> {
        let Some(zone) = of_rows.get(row).copied().flatten().filter(|_| cut.is_valid(row)) else { return Ok(None) };
        let (us, shown, cut) = (times.value(row), shown.value(row), cut.value(row));
        let start = match last {
            _ if kept => us.checked_sub(shown.saturating_sub(cut)),
            Some((of, there, start)) if (of, there) == (cut, zone) => Some(start),
            _ => moment::of_local(cut, zone),
        };
        let start = start.ok_or_else(out_of_range)?;
        last = Some((cut, zone, start));
        Ok(Some(start))
    };
    let starts = (0..n_rows).map(&mut one).collect::<Result<TimestampMicrosecondArray>>()?;
    Ok(ColumnarValue::Array(Arc::new(starts.with_timezone("UTC"))))
}

/// Whether the start of a unit keeps the offset of the moment.
fn keeps_offset(unit: &str) -> bool {
    matches!(unit.to_lowercase().as_str(), "hour" | "minute" | "second" | "millisecond" | "microsecond")
}

fn negative(span: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    let IntervalMonthDayNano { months, days, nanoseconds } = span;
    Some(IntervalMonthDayNano { months: months.checked_neg()?, days: days.checked_neg()?, nanoseconds: nanoseconds.checked_neg()? })
}

/// Months, and then days, are those of the clocks, and what is less is time that passes. None beyond the calendar.
fn plus(us: i64, span: IntervalMonthDayNano, zone: TimeZone) -> Option<i64> {
    if matches!(us, i64::MAX | i64::MIN) {
        return Some(us);
    }
    let local = |us: i64| Some(DateTime::from_timestamp_micros(moment::to_local(us, zone)?)?.naive_utc());
    let mut us = us;
    if span.months != 0 {
        let months = Months::new(span.months.unsigned_abs());
        let at = local(us)?;
        let at = if span.months > 0 { at.checked_add_months(months)? } else { at.checked_sub_months(months)? };
        us = moment::of_local(at.and_utc().timestamp_micros(), zone)?;
    }
    if span.days != 0 {
        let days = Days::new(span.days.unsigned_abs().into());
        let at = local(us)?;
        let at = if span.days > 0 { at.checked_add_days(days)? } else { at.checked_sub_days(days)? };
        us = moment::of_local(at.and_utc().timestamp_micros(), zone)?;
    }
    us.checked_add(span.nanoseconds / 1_000)
}

/// Every moment by the step up to the last. Errs for a step of no length.
fn series(from: i64, to: i64, step: IntervalMonthDayNano, zone: TimeZone) -> Result<Vec<i64>> {
    let length = super::interval::length_us(step);
    if length == 0 {
        return Err(Error::Encode { code: "22023", message: "step size cannot equal zero".into() }.into());
    }
    let mut moments = Vec::new();
    let mut at = from;
    let goes_on = |at: i64| if length > 0 { at <= to } else { at >= to };
    while goes_on(at) {
        if moments.len() == MOST_MOMENTS {
            return Err(Error::Encode { code: "54000", message: format!("a series has more than {MOST_MOMENTS} values") }.into());
        }
        moments.push(at);
        let next = plus(at, step, zone).ok_or_else(out_of_range)?;
        // A step of months less days may stand still.
        if next == at {
            break;
        }
        at = next;
    }
    Ok(moments)
}

/// How long the bins are into which `date_trunc` in a zone cuts the time, µs: no row is later than its bin's start by more. None for units without a
/// longest.
pub(in crate::plan) fn longest_us(unit: &str, zone: &str) -> Option<i64> {
    let size_us = match unit.to_lowercase().as_str() {
        "millisecond" => 1_000,
        "second" => 1_000_000,
        "minute" => 60_000_000,
        "hour" => 3_600_000_000,
        "day" => 86_400_000_000_i64 + time_zone::named(zone)?.longest_shift_us(),
        "week" => 604_800_000_000 + time_zone::named(zone)?.longest_shift_us(),
        _ => return None,
    };
    Some(size_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> i64 {
        moment::timestamptz_us(text, TimeZone::default()).unwrap()
    }

    fn span(months: i32, days: i32, hours: i64) -> IntervalMonthDayNano {
        IntervalMonthDayNano { months, days, nanoseconds: hours * 3_600_000_000_000 }
    }

    #[test]
    fn days_are_those_of_the_clocks_and_hours_pass() {
        let zone = TimeZone::read("America/New_York").unwrap();
        // SET timezone = 'America/New_York'; SELECT timestamptz '…' + interval '…' in PostgreSQL 15.
        for (at, of, expected) in [
            ("2024-03-09 12:00-05", span(0, 1, 0), "2024-03-10 12:00-04"),
            ("2024-03-09 12:00-05", span(0, 0, 24), "2024-03-10 13:00-04"),
            ("2024-03-09 02:30-05", span(0, 1, 0), "2024-03-10 03:30-04"),
            ("2024-10-31 01:30-04", span(0, 3, 0), "2024-11-03 01:30-05"),
            ("2024-01-31 00:00-05", span(1, 0, 0), "2024-02-29 00:00-05"),
            ("2024-03-31 00:00-04", span(-1, -1, -1), "2024-02-27 23:00-05"),
        ] {
            assert_eq!(plus(us(at), of, zone), Some(us(expected)), "{at} {of:?}");
        }
    }

    #[test]
    fn a_series_stands_at_one_hour_of_the_clocks() {
        let zone = TimeZone::read("America/New_York").unwrap();
        let days = series(us("2024-03-09 00:00-05"), us("2024-03-12 00:00-04"), span(0, 1, 0), zone).unwrap();
        let expected = ["2024-03-09 00:00-05", "2024-03-10 00:00-05", "2024-03-11 00:00-04", "2024-03-12 00:00-04"];
        assert_eq!(days, expected.map(us));
        assert_eq!(series(0, 10, span(0, -1, 0), zone).unwrap(), [0; 0]);
        assert!(series(0, 1, span(0, 0, 0), zone).is_err());
    }
}
