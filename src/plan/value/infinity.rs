//! Dates as timestamps and timestamps as dates, as in Postgres: infinity stays infinity.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Date32Array, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::internal_err;
use datafusion::error::Result;

use super::read::days_of_infinity;
use crate::error::{Error, Result as Answer};

const US_A_DAY: i64 = 86_400_000_000;

/// Whether a cast is one of these. Of times in another zone than UTC Arrow knows the day.
pub(super) fn casts(from: &DataType, to: &DataType) -> bool {
    let plain = |of: &DataType| match of {
        DataType::Timestamp(TimeUnit::Microsecond, zone) => zone.as_deref().is_none_or(|zone| zone == "UTC"),
        _ => false,
    };
    *from == DataType::Date32 && plain(to) || plain(from) && *to == DataType::Date32
}

/// The values as the other type. Errs with 22008 for what is beyond it.
pub(super) fn converted(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let beyond = |message: &str| Error::Encode { code: "22008", message: message.to_owned() };
    match (values.data_type(), to) {
        (DataType::Date32, DataType::Timestamp(_, zone)) => {
            let one = |days: i32| match days {
                i32::MAX => Ok(i64::MAX),
                i32::MIN => Ok(i64::MIN),
                days => i64::from(days).checked_mul(US_A_DAY).ok_or_else(|| beyond("date out of range for timestamp")),
            };
            let days = values.as_primitive::<Date32Type>();
            let found = days.iter().map(|days| days.map(one).transpose()).collect::<Answer<TimestampMicrosecondArray>>()?;
            Ok(cast(&found.with_timezone_opt(zone.clone()), to)?)
        }
        (DataType::Timestamp(..), DataType::Date32) => {
            let one = |us: i64| match days_of_infinity(us) {
                Some(days) => Ok(days),
                None => i32::try_from(us.div_euclid(US_A_DAY)).map_err(|_| beyond("date out of range")),
            };
            let times = values.as_primitive::<TimestampMicrosecondType>();
            Ok(Arc::new(times.iter().map(|us| us.map(one).transpose()).collect::<Answer<Date32Array>>()?))
        }
        (from, to) => internal_err!("{from} is not cast to {to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinity_stays_what_it_is() {
        let local = DataType::Timestamp(TimeUnit::Microsecond, None);
        let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(i32::MAX), Some(-1), Some(i32::MIN), None]));
        let times = converted(&days, &local).unwrap();
        let us: Vec<Option<i64>> = times.as_primitive::<TimestampMicrosecondType>().iter().collect();
        assert_eq!(us, [Some(i64::MAX), Some(-US_A_DAY), Some(i64::MIN), None]);
        assert_eq!(&converted(&times, &DataType::Date32).unwrap(), &days);
        let far: ArrayRef = Arc::new(Date32Array::from(vec![i32::MAX - 1]));
        assert!(converted(&far, &local).is_err());
    }
}
