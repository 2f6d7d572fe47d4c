//! `contours(frame [, min_area float8]) -> struct(points struct(x float4, y float4)[], area float8, length float8, box BOX)[]`: the outlines of a picture's bright regions.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::lists::{boxes, list_of, lists, point_type, points, struct_of, structs};
use super::regions::{Region, regions};
use crate::detection::{Box, box_type};
use crate::pixels::upright_luma;

sql_function!(
    Contours, "contours", arguments: [Frame, Float], required: 1, returns: contours_type(),
    syntax: "contours(frame [, min_area float8]) -> struct(points struct(x float4, y float4)[], area float8, length float8, box BOX)[]",
    description: "The outlines of the regions of pixels that are not black and touch by side or corner, from the top down, as the outer ones of OpenCV's findContours with RETR_CCOMP and CHAIN_APPROX_SIMPLE (a region in another's hole has one, too): the pixels at which the outline turns, what it encloses (contourArea), how long it is (arcLength), and its box. Holes have none. Outlines that enclose less than min_area, 0 unless \
given, are left out; a negative one, and NaN, is an error. An empty list for a black picture; NULL for a NULL frame or min_area, or a picture that cannot be decoded.",
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
        let given = if arguments.given(1) { arguments.amount(1, row, "min_area")? } else { Some(0.0) };
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
        ("box", boxes(all().map(|o| Some(&o.bbox)))),
    ];
    Ok(lists(found.iter().map(|row| row.as_ref().map(Vec::len)), Arc::new(structs(columns))))
}

fn outlines(luma: &[u8], width: usize) -> Vec<Outline> {
    // One pixel more on every side, which is black: no neighbour is outside.
    let wide = width + 2;
    let mut framed = vec![0; wide];
    for line in luma.chunks_exact(width.max(1)) {
        framed.push(0);
        framed.extend_from_slice(line);
        framed.push(0);
    }
    framed.resize(framed.len() + wide, 0);
    let one = |region: Region| {
        let points = turns(&framed, wide, (region.start, region.top));
        let ends = || points.iter().zip(points.iter().cycle().skip(1));
        let twice: i64 = ends().map(|(a, b)| i64::from(a.0) * i64::from(b.1) - i64::from(b.0) * i64::from(a.1)).sum();
        let length = ends().map(|(a, b)| f64::from(a.0 - b.0).hypot(f64::from(a.1 - b.1))).sum();
        let bbox = Box { x: region.left as f32, y: region.top as f32, w: region.width() as f32, h: region.height() as f32 };
        Outline { area: twice.abs() as f64 / 2.0, length, bbox, points }
    };
    regions(luma, width).into_iter().map(one).collect()
}

/// The eight neighbours, clockwise from the left as the picture is seen.
const AROUND: [(i32, i32); 8] = [(-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1)];

/// The pixels at which a region's outer border turns, one after another, from its first pixel (Suzuki and Abe 1985). `framed` has rows of `wide`, one black pixel on
/// every side, and what is not black beside a region is part of it.
fn turns(framed: &[u8], wide: usize, (x, y): (usize, usize)) -> Vec<(i32, i32)> {
    let steps = AROUND.map(|(dx, dy)| dy as isize * wide as isize + dx as isize);
    let beside = |at: usize, way: usize| at.wrapping_add_signed(steps[way % 8]);
    let holds = |at: usize| framed.get(at).is_some_and(|v| *v > 0);
    let start = (y + 1) * wide + x + 1;
    let mut place = (x as i32, y as i32);
    let Some(first) = (0..8).find(|way| holds(beside(start, *way))) else { return vec![place] };
    let last = beside(start, first);
    let (mut here, mut came_from) = (start, first);
    let mut turns = Vec::new();
    // The ways out of the first pixel and into the one that it is at.
    let (mut out, mut into) = (None, None);
    loop {
        // The other way round, from the one behind that it came from.
        let Some(way) = (1..=8).map(|step| (came_from + 8 - step) % 8).find(|way| holds(beside(here, *way))) else { return turns };
        if into != Some(way) {
            turns.push(place);
        }
        out = out.or(Some(way));
        let there = beside(here, way);
        if there == start && here == last {
            // It was not known yet whether it turns at the first one.
            if out == Some(way) {
                turns.remove(0);
            }
            return turns;
        }
        place = (place.0 + AROUND[way].0, place.1 + AROUND[way].1);
        (here, came_from, into) = (there, (way + 4) % 8, Some(way));
    }
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
