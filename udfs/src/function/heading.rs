//! `heading(vx float8, vy float8 [, box, calibration text]) -> float8`: where something moves to, in degrees clockwise from up, as on a compass.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err};

use super::boxes::boxes;
use super::call::{Arguments, sql_function};
use super::figures::FigureFunction;
use crate::figure::FigureKind;

/// Its figure.
pub(super) const FIGURE: FigureFunction = FigureFunction { name: "heading", kind: FigureKind::Calibration, argument: 3, optional: true };

sql_function!(
    Heading, "heading", arguments: [Float, Float, Box, Text, Text], required: 2, returns: DataType::Float64,
    syntax: "heading(vx float8, vy float8 [, box, calibration text]) -> float8",
    description: "Where something moves to, in degrees from 0 to below 360, clockwise: in the picture 0 is up, 90 right, 180 down and 270 left, from its speed vx to the right and vy down. With a box and a calibration of its source it is the direction on the ground: 0 is where the calibration's second coordinate grows, 90 where its first does, so with metres to the east and to the north it is a compass's. \
NULL for a NULL, for what stands still, and for a box above the horizon.",
    example: "SELECT heading(10, 0), heading(10, 0, [100, 100, 40, 90], 'ground')"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let speed = |row: usize| Some((arguments.float(0, row)?, arguments.float(1, row)?));
    if !arguments.given(2) {
        // y grows downwards.
        let one = |row| speed(row).and_then(|(vx, vy)| clockwise(vx, -vy));
        return Ok(Arc::new(Float64Array::from_iter((0..arguments.n_rows).map(one))));
    }
    if !arguments.given(3) {
        return exec_err!("heading on the ground needs a box and a calibration: heading(vx, vy, box, 'ground')");
    }
    let boxes = boxes(arguments.array(2)?)?;
    FIGURE.measure(arguments, |calibration, row| {
        let (right, up) = calibration.speed(calibration.place(boxes.get(row)?.as_ref()?), speed(row)?)?;
        clockwise(right, up)
    })
}

/// The angle from up to a direction, degrees; None for one without length.
fn clockwise(right: f64, up: f64) -> Option<f64> {
    if !(right.is_finite() && up.is_finite()) || right == 0.0 && up == 0.0 {
        return None;
    }
    let degrees = right.atan2(up).to_degrees();
    let turned = if degrees < 0.0 { degrees + 360.0 } else { degrees };
    // A hair left of up is up: the sum is rounded to 360.
    Some(if turned >= 360.0 { 0.0 } else { turned + 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_those_of_a_compass() {
        let all = [(0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0), (-0.0, 2.0), (-1e-30, 1.0)];
        let found = all.map(|(right, up)| clockwise(right, up).unwrap());
        assert_eq!(found, [0.0, 45.0, 90.0, 180.0, 270.0, 0.0, 0.0]);
        assert_eq!((clockwise(0.0, 0.0), clockwise(f64::NAN, 1.0)), (None, None));
    }
}
