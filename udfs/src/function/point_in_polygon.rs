//! `point_in_polygon(x float8, y float8, polygon text) -> bool`: whether a point lies inside a polygon.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, sql_function};
use crate::polygon::Polygon;

sql_function!(
    PointInPolygon, "point_in_polygon", arguments: [Float, Float, Text], required: 3, returns: DataType::Boolean,
    syntax: "point_in_polygon(x float8, y float8, polygon text) -> bool",
    description: "Whether a point lies inside a polygon or on its border, as OpenCV's pointPolygonTest. The polygon is written '((x y, x y, …))' in pixels, at least three \
corners, its last one joined to its first; a text that is none is an error. NULL for a NULL.",
    example: "SELECT point_in_polygon(100, 50, '((0 0, 640 0, 640 360, 0 360))')"
);

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut last: Option<(String, Polygon)> = None;
    let mut inside = Vec::with_capacity(arguments.n_rows);
    for row in 0..arguments.n_rows {
        let (Some(x), Some(y), Some(text)) = (arguments.float(0, row), arguments.float(1, row), arguments.text(2, row)) else {
            inside.push(None);
            continue;
        };
        // A polygon is read once for all the rows that name it.
        let polygon = match last.take() {
            Some((of, polygon)) if of == text => polygon,
            _ => Polygon::parse(text)?,
        };
        inside.push(Some(polygon.contains(x, y)));
        last = Some((text.to_owned(), polygon));
    }
    Ok(Arc::new(BooleanArray::from(inside)))
}
