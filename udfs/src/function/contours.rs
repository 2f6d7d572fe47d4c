//! `contours(frame [, min_area float8]) -> struct(points struct(x float4, y float4)[], area float8, length float8, box BOX)[]`: the outlines of a picture's bright regions.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::lists::{boxes, list_of, lists, point_type, points, struct_of, structs};
use super::regions::{Region, labels, regions};
use crate::detection::{Box, box_type};
use crate::pixels::upright_luma;

sql_function!(
    Contours, "contours", arguments: [Frame, Float], required: 1, returns: contours_type(),
    syntax: "contours(frame [, min_area float8]) -> struct(points struct(x float4, y float4)[], area float8, length float8, box BOX)[]",
    description: "The outlines of the regions of pixels that are not black and touch by side or corner, from the top down, as the outer ones of OpenCV's findContours with CHAIN_APPROX_SIMPLE: the pixels at which the outline turns, what it encloses (contourArea), how long it is (arcLength), and its box. Holes have none. Outlines that enclose less than min_area, 0 unless \
given, are left out. An empty list for a black picture; NULL for a NULL frame or min_area, or a picture that cannot be decoded.",
    example: "SELECT outline.area, cardinality(outline.points) FROM clip CROSS JOIN UNNEST(contours(threshold(frame, 200), 100)) AS outline WHERE frame_no = 100"
);

fn contours_type() -> DataType {
    list_of(struct_of(&[
        ("points", list_of(point_type())),
        ("area", DataType::Float64),
        ("length", DataType::Float64),
        ("box", box_type()),
    ]))
}

struct Outline {
    points: Vec<(i32, i32)>,
    area: f64,
    length: f64,
    bbox: Box,
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    let found = arguments.pictures(|row, picture| {
        let given = if arguments.given(1) { arguments.float(1, row) } else { Some(0.0) };
        let Some(least) = given else { return Ok(None) };
        let luma = upright_luma(&decoder.decode(picture)?)?;
        let mut all = outlines(&luma, picture.displayed().0 as usize);
        all.retain(|o| o.area >= least);
        Ok(Some(all))
    })?;
    let all = || found.iter().flatten().flatten();
    let corners = points(all().flat_map(|o| o.points.iter().map(|(x, y)| (*x as f32, *y as f32))));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("points", lists(all().map(|o| Some(o.points.len())), corners)),
        ("area", Arc::new(Float64Array::from_iter_values(all().map(|o| o.area)))),
        ("length", Arc::new(Float64Array::from_iter_values(all().map(|o| o.length)))),
        ("box", boxes(all().map(|o| &o.bbox))),
    ];
    Ok(lists(found.iter().map(|row| row.as_ref().map(Vec::len)), Arc::new(structs(columns))))
}

fn outlines(luma: &[u8], width: usize) -> Vec<Outline> {
    let labels = labels(luma, width);
    let one = |(at, region): (usize, Region)| {
        let label = at as u32 + 1;
        let row = labels.get(region.top * width..(region.top + 1) * width).unwrap_or(&[]);
        let first = row.iter().position(|l| *l == label).unwrap_or(region.left);
        let points = turns(&border(&labels, width, label, (first as i32, region.top as i32)));
        let ends = || points.iter().zip(points.iter().cycle().skip(1));
        let twice: i64 = ends().map(|(a, b)| i64::from(a.0) * i64::from(b.1) - i64::from(b.0) * i64::from(a.1)).sum();
        let length = ends().map(|(a, b)| f64::from(a.0 - b.0).hypot(f64::from(a.1 - b.1))).sum();
        let bbox = Box { x: region.left as f32, y: region.top as f32, w: region.width() as f32, h: region.height() as f32 };
        Outline { area: twice.abs() as f64 / 2.0, length, bbox, points }
    };
    regions(luma, width).into_iter().enumerate().map(one).collect()
}

/// The eight neighbours, clockwise from the left as the picture is seen.
const AROUND: [(i32, i32); 8] = [(-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1)];

/// The pixels of a region's outer border, one after another, from its first pixel (Suzuki and Abe 1985).
fn border(labels: &[u32], width: usize, label: u32, start: (i32, i32)) -> Vec<(i32, i32)> {
    let holds = |(x, y): (i32, i32)| {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return false };
        x < width && labels.get(y * width + x) == Some(&label)
    };
    let beside = |(x, y): (i32, i32), at: usize| AROUND.get(at % 8).map_or((x, y), |(dx, dy)| (x + dx, y + dy));
    let Some(first) = (0..8).find(|at| holds(beside(start, *at))) else { return vec![start] };
    let last = beside(start, first);
    let (mut here, mut came_from) = (start, first);
    let mut border = Vec::new();
    loop {
        border.push(here);
        // The other way round, from the one behind that it came from.
        let Some(next) = (1..=8).map(|step| (came_from + 8 - step) % 8).find(|at| holds(beside(here, *at))) else { return border };
        let there = beside(here, next);
        if there == start && here == last {
            return border;
        }
        (here, came_from) = (there, (next + 4) % 8);
    }
}

/// Those of a closed chain of neighbours at which it turns.
fn turns(border: &[(i32, i32)]) -> Vec<(i32, i32)> {
    let n = border.len();
    let at = |index: usize| border.get(index % n.max(1)).copied().unwrap_or_default();
    let step = |a: (i32, i32), b: (i32, i32)| (b.0 - a.0, b.1 - a.1);
    let turned = |index: usize| n < 3 || step(at(index + n - 1), at(index)) != step(at(index), at(index + 1));
    (0..n).filter(|index| turned(*index)).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlines_turn_at_corners() {
        let picture = "
            ####..#
            #..#...
            ####..#";
        let rows: Vec<&str> = picture.split_whitespace().collect();
        let luma: Vec<u8> = rows.iter().flat_map(|row| row.bytes().map(|c| if c == b'#' { 255 } else { 0 })).collect();
        let all = outlines(&luma, 7);
        assert_eq!(all.len(), 3);
        let mut corners = all[0].points.clone();
        corners.sort_unstable();
        assert_eq!(corners, [(0, 0), (0, 2), (3, 0), (3, 2)]);
        assert_eq!((all[0].area, all[0].length), (6.0, 10.0));
        assert_eq!((&all[1].points, all[1].area, all[1].length), (&vec![(6, 0)], 0.0, 0.0));
        assert!(outlines(&[], 0).is_empty());
    }
}
