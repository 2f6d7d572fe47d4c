//! `connected_components(frame [, min_area int4]) -> struct(box BOX, area int8, center struct(x float4, y float4))[]`: the bright regions of a picture.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::call::{Arguments, Decoder, sql_function};
use super::lists::{boxes, list_of, lists, point_type, points, struct_of, structs};
use super::regions::{Region, regions};
use crate::detection::{Box, box_type};
use crate::out_of_range::out_of_range;
use crate::pixels::upright_luma;

sql_function!(
    ConnectedComponents, "connected_components", arguments: [Frame, Int], required: 1, returns: regions_type(),
    syntax: "connected_components(frame [, min_area int4]) -> struct(box BOX, area int8, center struct(x float4, y float4))[]",
    description: "The regions of pixels that are not black and touch by side or corner, the largest first, as OpenCV's connectedComponentsWithStats: the box, how many pixels it has, and their mean. threshold, in_range and canny make such a picture. Regions of fewer than min_area pixels, 1 unless given, are left out; a negative one is an error. An empty list for a black picture; NULL for a \
NULL frame or min_area, or a picture that cannot be decoded.",
    example: "SELECT spot.box, spot.area FROM clip CROSS JOIN UNNEST(connected_components(threshold(frame, 200), 50)) AS spot WHERE frame_no = 100"
);

fn regions_type() -> DataType {
    list_of(struct_of(&[("box", box_type()), ("area", DataType::Int64), ("center", point_type())]))
}

fn run(arguments: &Arguments) -> Result<ArrayRef> {
    let mut decoder = Decoder::default();
    let found = arguments.pictures(|row, picture| {
        let given = if arguments.given(1) { arguments.int(1, row) } else { Some(1) };
        let Some(least) = given else { return Ok(None) };
        if least < 0 {
            return out_of_range!("connected_components needs a min_area of at least 0, not {least}");
        }
        let luma = upright_luma(&decoder.decode(picture)?)?;
        let mut all = regions(&luma, picture.displayed().0 as usize);
        all.retain(|r| r.area as i64 >= i64::from(least));
        all.sort_by_key(|r| (Reverse(r.area), r.top, r.left));
        Ok(Some(all))
    })?;
    let all = || found.iter().flatten().flatten();
    let frames: Vec<Box> = all().map(around).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("box", boxes(frames.iter().map(Some))),
        ("area", Arc::new(Int64Array::from_iter_values(all().map(|r| r.area as i64)))),
        ("center", points(all().map(|r| (r.centre().0 as f32, r.centre().1 as f32)))),
    ];
    Ok(lists(found.iter().map(|row| row.as_ref().map(Vec::len)), Arc::new(structs(columns))))
}

fn around(region: &Region) -> Box {
    Box { x: region.left as f32, y: region.top as f32, w: region.width() as f32, h: region.height() as f32 }
}
