//! What a function refuses as a mistake of the query, and what depends on the picture of a row and gives NULL.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, NullArray, StringArray};
use arrow::datatypes::{DataType, Field, Float64Type};
use framesql_udfs::aggregate::aggregates;
use framesql_udfs::frame::{ColorMatrix, Picture, PixelFormat};
use framesql_udfs::function::compared::compare;
use framesql_udfs::out_of_range::OutOfRange;
use framesql_udfs::pixels::{Order, render};

use crate::call::{call, call_constant, frames, picture_of};
use crate::{formula, picture};

fn number(value: f64) -> ArrayRef {
    Arc::new(Float64Array::from(vec![value]))
}

fn sides(sides: [f64; 4]) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some(sides.map(Some))]))
}

#[test]
fn thresholds_that_are_no_number_or_negative_are_refused() {
    let frame = frames(&[Some(&formula(64, 48))]);
    for name in ["contours", "is_blurred", "is_dark", "detect_faces"] {
        for wrong in [f64::NAN, -1.0, f64::NEG_INFINITY] {
            let error = call(name, &[Arc::clone(&frame), number(wrong)]).unwrap_err();
            assert!(OutOfRange::caused(&error) && error.to_string().contains(&format!("{name} needs a ")), "{name}: {error}");
        }
        for right in [0.0, -0.0, 5.0, f64::INFINITY] {
            assert!(call(name, &[Arc::clone(&frame), number(right)]).unwrap().is_valid(0), "{name} {right}");
        }
    }
    let error = call("connected_components", &[Arc::clone(&frame), Arc::new(Int64Array::from(vec![-1]))]).unwrap_err();
    assert!(OutOfRange::caused(&error), "{error}");
    let arguments = vec![frames(&[None]), Arc::new(arrow::array::Int32Array::from(vec![25])) as ArrayRef, number(f64::NAN)];
    assert!(OutOfRange::caused(&compare("detect_motion", &[None], arguments).unwrap_err()));
}

#[test]
fn what_depends_on_the_picture_of_a_row_gives_null() {
    let (small, large) = (frames(&[Some(&formula(8, 8))]), frames(&[Some(&formula(90, 60))]));
    for name in ["psnr", "ssim", "template_match"] {
        assert!(call(name, &[Arc::clone(&small), Arc::clone(&large)]).unwrap().is_null(0), "{name}");
    }
    let gray =
        |width: u32, height: u32| frames(&[Some(&picture(PixelFormat::Gray8, (width, height), &[vec![9; (width * height) as usize]]))]);
    let width = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
    assert!(call("resize", &[gray(1, 5000), width(640)]).unwrap().is_null(0));
    assert!(call("resize", &[gray(5000, 1), Arc::new(NullArray::new(1)), width(640)]).unwrap().is_null(0));
    assert!(OutOfRange::caused(&call("resize", &[gray(1, 5000), width(16_384), width(16_384)]).unwrap_err()));
    assert!(call("jpeg", &[gray(65_536, 1)]).unwrap().is_null(0) && call("jpeg", &[gray(65_535, 1)]).unwrap().is_valid(0));
    assert!(call("webp", &[gray(16_385, 1)]).unwrap().is_null(0) && call("webp", &[gray(16_384, 1)]).unwrap().is_valid(0));
    assert!(call("side_by_side", &[gray(1, 12_000), gray(5000, 1)]).unwrap().is_null(0));
    // Two rows of one time are no mistake of the query; a constant is.
    let boxes = [sides([0.0, 0.0, 9.0, 30.0]), sides([0.0, 0.0, 9.0, 40.0])];
    for seconds in [0.0, -1.0, f64::NAN] {
        let arguments = [boxes.to_vec(), vec![number(seconds)]].concat();
        assert!(call("time_to_collision", &arguments).unwrap().is_null(0), "{seconds}");
        assert!(OutOfRange::caused(&call_constant("time_to_collision", &arguments).unwrap_err()), "{seconds}");
    }
}

#[test]
fn a_box_without_end_covers_all_that_it_covers() {
    let whole = formula(64, 48);
    let frame = frames(&[Some(&whole)]);
    let made = |name: &str, bbox: [f64; 4]| picture_of(&call(name, &[Arc::clone(&frame), sides(bbox)]).unwrap(), 0).unwrap();
    let covered = made("pixelate", [0.0, 0.0, 64.0, 48.0]);
    assert_ne!(covered.planes[0], whole.planes[0]);
    let (least, most) = (f64::NEG_INFINITY, f64::INFINITY);
    for bbox in [[-1e300, -1e300, 2e300, 2e300], [least, least, most, most], [-1e39, -5.0, 1e40, 1e39], [0.0, 0.0, most, 1e300]] {
        assert_eq!(made("pixelate", bbox).planes[0], covered.planes[0], "{bbox:?}");
        assert_eq!(made("crop", bbox).planes[0], whole.planes[0], "{bbox:?}");
    }
    // The lower edge of such a box is inside.
    let drawn = made("draw_boxes", [least, least, most, most]);
    assert_eq!(drawn.planes[0], whole.planes[0]);
    assert_ne!(made("draw_boxes", [5.0, 5.0, most, 1e300]).planes[0], whole.planes[0]);
}

#[test]
fn the_luma_of_what_is_made_of_video_is_that_video_s() {
    // Colours that differ much by the two matrices, none of them beyond what RGB holds.
    let n = 64 * 48;
    let luma: Vec<u8> = (0..n).map(|at| 90 + (at % 64) as u8).collect();
    let chroma = |of: u8| vec![of; n / 4];
    let brightness = |column: &ArrayRef| call("brightness", &[Arc::clone(column)]).unwrap().as_primitive::<Float64Type>().value(0);
    for matrix in [ColorMatrix::Bt601, ColorMatrix::Bt709, ColorMatrix::Bt2020] {
        let video = Picture { matrix, ..picture(PixelFormat::I420, (64, 48), &[luma.clone(), chroma(100), chroma(160)]) };
        let frame = frames(&[Some(&video)]);
        let own = brightness(&frame);
        let blurred = call("blur", &[Arc::clone(&frame), Arc::new(Int64Array::from(vec![1]))]).unwrap();
        let resized = call("resize", &[Arc::clone(&frame), Arc::new(Int64Array::from(vec![32]))]).unwrap();
        let pair = call("side_by_side", &[Arc::clone(&frame), Arc::clone(&frame)]).unwrap();
        for made in [&blurred, &resized, &pair, &call("crop", &[Arc::clone(&blurred), sides([0.0, 0.0, 64.0, 40.0])]).unwrap()] {
            assert!((brightness(made) - own).abs() < 0.6, "{matrix:?}: {} instead of {own}", brightness(made));
        }
        // Through a file, which knows no matrix, and back: in both orders.
        let file = call("decode_picture", &[call("png", &[Arc::clone(&frame)]).unwrap()]).unwrap();
        for (a, b) in [(&frame, &file), (&file, &frame), (&blurred, &file)] {
            let alike = call("ssim", &[Arc::clone(a), Arc::clone(b)]).unwrap().as_primitive::<Float64Type>().value(0);
            assert!(alike > 0.9999, "{matrix:?}: {alike}");
        }
    }
}

#[test]
fn flipped_video_stays_video_and_is_the_flipped_picture() {
    let names = ["horizontal", "vertical", "both"];
    for (width, height) in [(64, 48), (63, 48), (64, 47), (5, 3), (2, 2), (1, 1)] {
        let (chroma_width, chroma_height) = (u32::div_ceil(width, 2), u32::div_ceil(height, 2));
        let plane = |n: u32, by: u32| (0..n).map(|at| (at * by % 251) as u8).collect::<Vec<u8>>();
        let n = chroma_width * chroma_height;
        let i420 = picture(PixelFormat::I420, (width, height), &[plane(width * height, 7), plane(n, 11), plane(n, 13)]);
        let nv12 = picture(PixelFormat::Nv12, (width, height), &[plane(width * height, 7), plane(2 * n, 11)]);
        let gray = picture(PixelFormat::Gray8, (width, height), &[plane(width * height, 7)]);
        for whole in [i420, nv12, gray, formula(width, height)] {
            for rotation in [0, 90, 180, 270] {
                let whole = Picture { rotation, ..whole.clone() };
                let before = render(&whole, Order::Rgb, None).unwrap();
                for name in names {
                    let made = call("flip", &[frames(&[Some(&whole)]), Arc::new(StringArray::from(vec![name]))]).unwrap();
                    let made = picture_of(&made, 0).unwrap();
                    assert!(made.format == whole.format || width % 2 == 1 || height % 2 == 1, "{:?}", made.format);
                    let after = render(&made, Order::Rgb, None).unwrap();
                    assert_eq!((after.width, after.height), (before.width, before.height));
                    let (w, h) = (before.width as usize, before.height as usize);
                    for (x, y) in (0..h).flat_map(|y| (0..w).map(move |x| (x, y))) {
                        let from = (if name == "vertical" { x } else { w - 1 - x }, if name == "horizontal" { y } else { h - 1 - y });
                        let at = |data: &[u8], (x, y): (usize, usize)| [0, 1, 2].map(|c| data[(y * w + x) * 3 + c]);
                        assert_eq!(at(&after.data, (x, y)), at(&before.data, from), "{:?} {rotation} {name} {x} {y}", whole.format);
                    }
                }
            }
        }
    }
}

#[test]
fn types_are_named_as_sql_names_them() {
    let frame = frames(&[Some(&formula(4, 4))]);
    let list = |of: &[i64]| {
        Arc::new(ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>([Some(
            of.iter().map(|v| Some(*v)).collect::<Vec<_>>(),
        )])) as ArrayRef
    };
    let refused = |name: &str, arguments: &[ArrayRef]| call(name, arguments).unwrap_err().strip_backtrace();
    assert!(refused("detect_objects", &[Arc::clone(&frame), list(&[1])]).contains("is a list of texts, not bigint[]"));
    assert!(refused("nms", &[list(&[1])]).contains("is a list of detections, not bigint[]"));
    assert!(refused("box_area", &[number(1.5)]).contains("not double precision"));
    let nothing: ArrayRef = Arc::new(arrow::array::new_null_array(&DataType::Null, 0));
    let item = Arc::new(Field::new("item", DataType::Null, true));
    let empty: ArrayRef = Arc::new(ListArray::new(item, arrow::buffer::OffsetBuffer::from_lengths([0]), nothing, None));
    assert!(call("nms", &[empty]).unwrap().as_list::<i32>().value(0).is_empty());
}

#[test]
fn aggregates_take_no_fractions_for_whole_numbers() {
    let heatmap = aggregates().into_iter().find(|a| a.name() == "heatmap").unwrap();
    let list = sides([0.0; 4]).data_type().clone();
    assert_eq!(
        heatmap.coerce_types(&[list.clone(), DataType::Float64, DataType::Int64]).unwrap(),
        [list, DataType::Float64, DataType::Int32]
    );
    let mut state = framesql_heatmap(&heatmap);
    let boxes = sides([1.0, 2.0, 3.0, 4.0]);
    let error = state.update_batch(&[Arc::clone(&boxes), number(99.5), number(50.0)]).unwrap_err();
    assert!(error.to_string().contains("heatmap needs a whole number of 32 bits, not 99.5"), "{error}");
    state.update_batch(&[Arc::clone(&boxes), number(99.0), number(50.0)]).unwrap();
    assert!(!state.evaluate().unwrap().is_null());
    // Two sizes in one group have no picture; when one is gone, the other has.
    state.update_batch(&[Arc::clone(&boxes), number(98.0), number(50.0)]).unwrap();
    assert!(state.evaluate().unwrap().is_null());
    let kept: Vec<ArrayRef> = state.state().unwrap().iter().map(|v| v.to_array().unwrap()).collect();
    let mut other = framesql_heatmap(&heatmap);
    other.merge_batch(&kept).unwrap();
    assert!(other.evaluate().unwrap().is_null());
    state.retract_batch(&[boxes, number(98.0), number(50.0)]).unwrap();
    assert!(!state.evaluate().unwrap().is_null());
}

fn framesql_heatmap(heatmap: &datafusion_expr::AggregateUDF) -> Box<dyn datafusion_expr::Accumulator> {
    let field = |data_type: DataType| Arc::new(Field::new("value", data_type, true));
    let schema = arrow::datatypes::Schema::empty();
    heatmap
        .accumulator(datafusion_expr::function::AccumulatorArgs {
            return_field: field(DataType::Binary),
            schema: &schema,
            ignore_nulls: false,
            order_bys: &[],
            is_reversed: false,
            name: "heatmap",
            is_distinct: false,
            exprs: &[],
            expr_fields: &[],
        })
        .unwrap()
}

/// Bars and spaces of the characters of a Code 39 or a Codabar, `w` for a wide one.
fn bars(characters: &[&str]) -> Vec<bool> {
    let mut line = Vec::new();
    for (at, character) in characters.iter().enumerate() {
        if at > 0 {
            line.extend([false; 2]);
        }
        let runs = character.chars().enumerate();
        line.extend(runs.flat_map(|(at, run)| vec![at % 2 == 0; if run == 'w' { 6 } else { 2 }]));
    }
    line
}

#[test]
fn the_ends_of_bar_codes_are_where_their_bars_end() {
    let star = "nwnnwnwnn";
    let codes = [
        ("code_39", "A", bars(&[star, "wnnnnwnnw", star])),
        ("codabar", "0123", bars(&["nnwwnwn", "nnnnnww", "nnnnwwn", "nnnwnnw", "wwnnnnn", "nnwwnwn"])),
    ];
    for (format, text, bars) in codes {
        let (left, width, height) = (40, bars.len() + 340, 60);
        let mut luma = vec![255_u8; width * height];
        for y in 10..50 {
            bars.iter().enumerate().filter(|(_, bar)| **bar).for_each(|(x, _)| luma[y * width + left + x] = 0);
        }
        let code = picture(PixelFormat::Gray8, (width as u32, height as u32), &[luma]);
        for rotation in [0, 90, 180, 270] {
            let turned = Picture { rotation, ..code.clone() };
            let found = call("read_codes", &[frames(&[Some(&turned)])]).unwrap();
            let found = found.as_list::<i32>().value(0).as_struct().clone();
            assert_eq!(found.len(), 1, "{format} turned by {rotation}");
            let texts = ["format", "text"].map(|field| found.column_by_name(field).unwrap().as_string::<i32>().value(0).to_owned());
            assert_eq!(texts, [format, text]);
            let bbox = found.column_by_name("box").unwrap().as_struct().clone();
            let [x, y, w, h] = [0, 1, 2, 3].map(|at| bbox.column(at).as_primitive::<arrow::datatypes::Float32Type>().value(0));
            let (from, length) = if rotation % 180 == 0 { (x, w) } else { (y, h) };
            let expected = match rotation {
                0 | 90 => left,
                _ => width - left - bars.len(),
            };
            assert!((from - expected as f32).abs() <= 1.0, "{format} turned by {rotation} begins at {from}, not at {expected}");
            assert!((length - bars.len() as f32).abs() <= 1.0, "{format} turned by {rotation} is {length} long, not {}", bars.len());
        }
    }
}
