//! `time_to_collision(before, now, seconds float8) -> float8`: when something that grows in the picture would be reached, in seconds.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::boxes::boxes;
use super::call::{Arguments, sql_function};
use crate::out_of_range::out_of_range;

sql_function!(
    TimeToCollision, "time_to_collision", arguments: [Box, Box, Float], required: 3, returns: DataType::Float64,
    syntax: "time_to_collision(before, now, seconds float8) -> float8",
    description: "In how many seconds something would be reached that was in one box and is in another seconds later, if neither it nor the camera changes its speed: it is as far away as it is small, so the height of the boxes says it, without any measure of the road: seconds / (now.h / before.h - 1). Of one track, with its first and last box of a second or so: a pixel more or less \
counts much from one frame to the next. Each box is a BOX, a DETECTION, a struct or a list of four numbers. NULL where it does not come nearer, for a NULL argument or a box without height, or seconds not above 0, as between two rows of one time; a constant not above 0 is an error.",
    example: "SELECT time_to_collision([300, 200, 40, 30], [298, 199, 44, 33], 0.5)"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let (before, now) = (boxes(arguments.array(0)?)?, boxes(arguments.array(1)?)?);
    let times = before.iter().zip(&now).enumerate().map(|(row, (before, now))| {
        let (Some(before), Some(now), Some(seconds)) = (before, now, arguments.float(2, row)) else { return Ok(None) };
        if !(seconds > 0.0 && seconds.is_finite()) {
            // A constant is a mistake of the query, two rows of one time are none.
            if arguments.constant(2) {
                return out_of_range!("time_to_collision needs seconds above 0, not {seconds}");
            }
            return Ok(None);
        }
        Ok(until(f64::from(before.h), f64::from(now.h), seconds))
    });
    Ok(Arc::new(times.collect::<Result<Float64Array>>()?))
}

/// Seconds until the height is without bound; None if it does not grow (Lee, Perception 5, 1976).
fn until(before: f64, now: f64, seconds: f64) -> Option<f64> {
    (before > 0.0 && now > before).then(|| seconds / (now / before - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_reached_and_what_does_not_is_not() {
        // At 40 m and half a second later at 35 m: 3.5 s are left; its height is as 1 to its distance.
        let at = |metres: f64| 1000.0 / metres;
        assert!((until(at(40.0), at(35.0), 0.5).unwrap() - 3.5).abs() < 1e-9);
        assert_eq!([until(30.0, 30.0, 1.0), until(30.0, 20.0, 1.0), until(0.0, 5.0, 1.0)], [None; 3]);
    }
}
