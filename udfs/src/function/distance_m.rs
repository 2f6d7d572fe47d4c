//! `distance_m(a, b, calibration text) -> float8`: how far two things stand from one another on the ground, in metres.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::boxes::points;
use super::call::{Arguments, sql_function};
use super::figures::FigureFunction;
use crate::figure::FigureKind;
use crate::figure::calibration::Calibration;

/// Its figure.
pub(super) const FIGURE: FigureFunction =
    FigureFunction { name: "distance_m", kind: FigureKind::Calibration, argument: 2, optional: false };

sql_function!(
    DistanceM, "distance_m", arguments: [Place, Place, Text, Text], required: 3, returns: DataType::Float64,
    syntax: "distance_m(a, b, calibration text) -> float8",
    description: "How far two things stand from one another on the ground, in metres, by a calibration of their source (CREATE CALIBRATION), which is named by a constant. Each is a box, whose anchor counts (the middle of its lower edge, if the calibration says nothing else), or a point (x, y) in pixels such as box_center gives. \
NULL for a NULL, and for what is above the horizon, where no ground is.",
    example: "SELECT distance_m([100, 100, 40, 90], box_center([300, 150, 40, 100]), 'ground')"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let text = FIGURE.text(arguments)?;
    let calibration = text.map(|text| Calibration::parse(&text)).transpose()?;
    let places = |at: usize| points(arguments.array(at)?, |bbox| calibration.as_ref().map_or((0.0, 0.0), |c| c.place(bbox)));
    let (a, b) = (places(0)?, places(1)?);
    FIGURE.measure(arguments, |calibration, row| {
        let ground = |places: &[Option<(f64, f64)>]| calibration.ground((*places.get(row)?)?);
        let ((ax, ay), (bx, by)) = (ground(&a)?, ground(&b)?);
        Some((ax - bx).hypot(ay - by))
    })
}
