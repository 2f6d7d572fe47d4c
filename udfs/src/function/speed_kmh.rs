//! `speed_kmh(vx float8, vy float8, box, calibration text) -> float8`: how fast a track moves on the ground, in kilometres an hour.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::boxes::boxes;
use super::call::{Arguments, sql_function};
use super::figures::FigureFunction;
use crate::figure::FigureKind;

/// Its figure.
pub(super) const FIGURE: FigureFunction = FigureFunction { name: "speed_kmh", kind: FigureKind::Calibration, argument: 3, optional: false };

sql_function!(
    SpeedKmh, "speed_kmh", arguments: [Float, Float, Box, Text, Text], required: 4, returns: DataType::Float64,
    syntax: "speed_kmh(vx float8, vy float8, box, calibration text) -> float8",
    description: "How fast something moves on the ground, in km/h: its speed in the picture, vx and vy in pixels a second as TRACK gives them, seen through a calibration of its source (CREATE CALIBRATION, named by a constant) at the anchor of its box, which is the middle of the lower edge if the calibration says nothing else. \
It is the speed at that moment: a tracker's noise is in it, so take the median over a second or so. NULL for a NULL, for a speed that is not finite, and for a box above the horizon, where no ground is.",
    example: "SELECT speed_kmh(12.0, -30.0, [100, 100, 40, 90], 'ground')"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let boxes = boxes(arguments.array(2)?)?;
    FIGURE.measure(arguments, |calibration, row| {
        let place = calibration.place(boxes.get(row)?.as_ref()?);
        let (x, y) = calibration.speed(place, (arguments.float(0, row)?, arguments.float(1, row)?))?;
        Some(x.hypot(y) * 3.6).filter(|speed| speed.is_finite())
    })
}
