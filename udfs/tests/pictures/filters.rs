//! The functions that make a picture or a measure of one, against OpenCV, scipy and scikit-image.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, StringArray};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use framesql_udfs::frame::{Picture, PixelFormat};
use framesql_udfs::out_of_range::OutOfRange;
use framesql_udfs::pixels::{Order, render};

use crate::call::{call, frames, picture_of};
use crate::{SIZE, bytes, formula, picture, reference, sampled};

fn int(value: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value]))
}

fn number(value: f64) -> ArrayRef {
    Arc::new(Float64Array::from(vec![value]))
}

fn numbers(values: [f64; 3]) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some(values.map(Some))]))
}

fn made(name: &str, picture: &Picture, more: &[ArrayRef]) -> Picture {
    let result = call(name, &[&[frames(&[Some(picture)])], more].concat()).unwrap_or_else(|e| panic!("{name}: {e}"));
    picture_of(&result, 0).unwrap_or_else(|| panic!("{name} gives NULL"))
}

fn of_formula(name: &str, more: &[ArrayRef]) -> ArrayRef {
    call(name, &[&[frames(&[Some(&formula(SIZE.0, SIZE.1))])], more].concat()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn every_filter_is_opencvs() {
    let horizontal: ArrayRef = Arc::new(StringArray::from(vec!["horizontal"]));
    // The most that a sample may differ: means are rounded from floats here, in fixed point there.
    let corners: ArrayRef = Arc::new(StringArray::from(vec!["((5 4, 60 8, 55 40, 8 36))"]));
    let cases: [(&str, Vec<ArrayRef>, u8); 18] = [
        ("blur", vec![int(5)], 1),
        ("gaussian_blur", vec![int(7)], 1),
        ("median_blur", vec![int(5)], 0),
        ("erode", vec![int(5)], 0),
        ("dilate", vec![int(5)], 0),
        ("threshold", vec![int(128)], 0),
        ("adaptive_threshold", vec![int(11), int(4)], 0),
        ("equalize_histogram", vec![], 0),
        ("sobel", vec![], 0),
        ("laplacian", vec![], 0),
        ("canny", vec![int(50), int(150)], 0),
        ("flip", vec![horizontal], 0),
        ("rotate", vec![int(90)], 0),
        ("bilateral", vec![int(5)], 1),
        ("clahe", vec![], 1),
        ("warp_perspective", vec![corners, int(40), int(30)], 2),
        ("hsv", vec![], 0),
        ("in_range", vec![numbers([50.0, 20.0, 30.0]), numbers([200.0, 220.0, 210.0])], 0),
    ];
    for (name, more, most) in cases {
        let result = made(name, &formula(SIZE.0, SIZE.1), &more);
        let expected = bytes(&reference(&["filters", name]));
        let samples = match result.format {
            PixelFormat::Gray8 if ["canny", "adaptive_threshold", "in_range"].contains(&name) => {
                result.planes[0].as_ref().unwrap().to_vec()
            }
            PixelFormat::Gray8 => sampled(result.planes[0].as_ref().unwrap(), result.width, 1),
            _ => {
                let pixels = render(&result, Order::Rgb, None).unwrap();
                sampled(&pixels.data, pixels.width, 3)
            }
        };
        assert_eq!(samples.len(), expected.len(), "{name}");
        let furthest = samples.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(furthest.is_some_and(|f| f <= most), "{name}: up to {furthest:?}");
    }
}

#[test]
fn every_measure_is_the_references() {
    let expected = reference(&["measures"]);
    let near = |name: &str, ours: f64| {
        let theirs = expected[name].as_f64().unwrap();
        assert!((ours - theirs).abs() <= 1e-9 * theirs.abs(), "{name}: {ours} instead of {theirs}");
    };
    near("contrast", of_formula("contrast", &[]).as_primitive::<Float64Type>().value(0));
    let counts = of_formula("histogram", &[]);
    let counts: Vec<i64> = counts.as_list::<i32>().value(0).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(serde_json::json!(counts), expected["histogram"]);
    let bits = of_formula("phash", &[]).as_primitive::<Int64Type>().value(0);
    assert_eq!(format!("{bits:064b}"), expected["phash"].as_str().unwrap());
    let color: Vec<u8> = expected["dominant_color"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap().round() as u8).collect();
    let ours = of_formula("dominant_color", &[]);
    assert_eq!(ours.as_string::<i32>().value(0), format!("#{:02x}{:02x}{:02x}", color[0], color[1], color[2]));
    // The other picture is made by ours, which may be one of 255 off.
    let other = frames(&[Some(&made("gaussian_blur", &formula(SIZE.0, SIZE.1), &[int(7)]))]);
    for (name, tolerance) in [("psnr", 0.1), ("ssim", 0.002)] {
        let ours = of_formula(name, &[Arc::clone(&other)]).as_primitive::<Float64Type>().value(0);
        let theirs = expected[name].as_f64().unwrap();
        assert!((ours - theirs).abs() < tolerance, "{name}: {ours} instead of {theirs}");
    }
}

#[test]
fn a_picture_is_like_itself() {
    let whole = frames(&[Some(&formula(SIZE.0, SIZE.1))]);
    let same = |name: &str| of_formula(name, &[Arc::clone(&whole)]).as_primitive::<Float64Type>().value(0);
    assert_eq!(same("psnr"), f64::INFINITY);
    assert!((same("ssim") - 1.0).abs() < 1e-12);
    let hash = |picture: &Picture| call("phash", &[frames(&[Some(picture)])]).unwrap();
    let distance = |a: &ArrayRef, b: &ArrayRef| {
        call("hamming_distance", &[Arc::clone(a), Arc::clone(b)]).unwrap().as_primitive::<Int32Type>().value(0)
    };
    let (ours, smeared) = (hash(&formula(320, 240)), hash(&made("blur", &formula(320, 240), &[int(3)])));
    assert!(distance(&ours, &smeared) <= 4 && distance(&ours, &hash(&formula(64, 300))) > 10);
    assert_eq!(distance(&int(0), &int(-1)), 64);
}

#[test]
fn tiny_pictures_have_no_structure() {
    let small = frames(&[Some(&formula(8, 8))]);
    assert!(call("ssim", &[Arc::clone(&small), small]).unwrap().is_null(0));
}

#[test]
fn every_filter_takes_the_smallest_pictures() {
    for (width, height) in [(1, 1), (1, 7), (7, 1), (2, 2), (3, 40)] {
        let tiny = formula(width, height);
        for name in ["blur", "gaussian_blur", "median_blur", "erode", "dilate"] {
            for side in [1, 3, 31] {
                let result = made(name, &tiny, &[int(side)]);
                assert_eq!((result.width, result.height), (width, height), "{name} {side}");
                if side == 1 {
                    assert_eq!(result.planes[0], tiny.planes[0], "{name} of one pixel changes it");
                }
            }
        }
        for name in ["equalize_histogram", "sobel", "laplacian", "canny"] {
            let result = made(name, &tiny, &[]);
            assert_eq!(result.planes[0].as_ref().unwrap().len(), (width * height) as usize, "{name}");
        }
    }
}

#[test]
fn a_picture_of_one_colour_has_no_edges_and_no_contrast() {
    let gray = picture(PixelFormat::Gray8, (20, 10), &[vec![90; 200]]);
    for name in ["sobel", "laplacian", "canny"] {
        assert!(made(name, &gray, &[]).planes[0].as_ref().unwrap().iter().all(|v| *v == 0), "{name}");
    }
    assert_eq!(made("equalize_histogram", &gray, &[]).planes[0], gray.planes[0]);
    let figure = |name: &str| call(name, &[frames(&[Some(&gray)])]).unwrap();
    assert_eq!(figure("contrast").as_primitive::<Float64Type>().value(0), 0.0);
    assert!(figure("is_blurred").as_boolean().value(0) && !figure("is_dark").as_boolean().value(0));
    assert_eq!(figure("dominant_color").as_string::<i32>().value(0), "#5a5a5a");
    let half = call("is_dark", &[frames(&[Some(&gray)]), int(91)]).unwrap();
    assert!(half.as_boolean().value(0));
}

#[test]
fn turning_copies_nothing_and_four_quarters_are_none() {
    let whole = formula(20, 10);
    let once = made("rotate", &whole, &[int(90)]);
    assert_eq!(once.displayed(), (10, 20));
    assert_eq!(once.planes[0].as_ref().unwrap().as_ptr(), whole.planes[0].as_ref().unwrap().as_ptr());
    for back in [made("rotate", &once, &[int(-90)]), made("rotate", &whole, &[int(720)])] {
        assert_eq!((back.rotation, &back.planes), (0, &whole.planes));
    }
}

#[test]
fn a_png_comes_back_as_it_went() {
    let whole = formula(31, 17);
    let file = call("png", &[frames(&[Some(&whole)])]).unwrap();
    let back = image::load_from_memory(file.as_binary::<i32>().value(0)).unwrap().into_rgb8();
    assert_eq!(back.into_raw(), whole.planes[0].as_ref().unwrap().to_vec());
    let small = call("png", &[frames(&[Some(&whole)]), int(10)]).unwrap();
    assert_eq!(image::load_from_memory(small.as_binary::<i32>().value(0)).unwrap().width(), 10);
}

#[test]
fn two_pictures_stand_side_by_side_at_the_height_of_the_first() {
    let (left, right) = (formula(10, 8), formula(40, 16));
    let both = call("side_by_side", &[frames(&[Some(&left)]), frames(&[Some(&right)])]).unwrap();
    let both = picture_of(&both, 0).unwrap();
    assert_eq!((both.width, both.height), (30, 8));
    let (all, mine) = (both.planes[0].as_ref().unwrap(), left.planes[0].as_ref().unwrap());
    let (tall, wide) =
        (picture(PixelFormat::Gray8, (1, 16_384), &[vec![9; 16_384]]), picture(PixelFormat::Gray8, (16_384, 1), &[vec![9; 16_384]]));
    assert!(call("side_by_side", &[frames(&[Some(&tall)]), frames(&[Some(&wide)])]).unwrap().is_null(0));
    assert!((0..8).all(|y| all[y * 90..y * 90 + 30] == mine[y * 30..y * 30 + 30]));
}

#[test]
fn arguments_that_cannot_be_meant_are_errors() {
    let frame = frames(&[Some(&formula(4, 4))]);
    let text = |t: &str| -> ArrayRef { Arc::new(StringArray::from(vec![t])) };
    for (name, more) in [
        ("blur", int(4)),
        ("median_blur", int(-1)),
        ("erode", int(256)),
        ("rotate", int(45)),
        ("flip", text("sideways")),
        ("histogram", int(0)),
        ("histogram", int(257)),
        ("png", int(0)),
        ("threshold", number(f64::NAN)),
        ("canny", number(f64::NAN)),
        ("clahe", number(f64::NAN)),
        ("draw_polygon", text("((1 1, 2 2))")),
    ] {
        let error = call(name, &[Arc::clone(&frame), more]).unwrap_err();
        assert!(OutOfRange::caused(&error), "{name}: {error}");
    }
    let nan: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some([Some(1.0), Some(f64::NAN), Some(1.0)])]));
    for (name, more) in [
        ("adaptive_threshold", [int(1), int(0)]),
        ("adaptive_threshold", [int(4), int(0)]),
        ("adaptive_threshold", [int(257), int(0)]),
        ("adaptive_threshold", [int(3), number(f64::NAN)]),
        ("in_range", [Arc::clone(&nan), numbers([1.0; 3])]),
        ("in_range", [numbers([1.0; 3]), nan]),
        ("bilateral", [int(5), number(f64::NAN)]),
    ] {
        let error = call(name, &[vec![Arc::clone(&frame)], more.to_vec()].concat()).unwrap_err();
        assert!(OutOfRange::caused(&error), "{name}: {error}");
    }
}

#[test]
fn a_bilateral_filter_of_the_smallest_sigmas_changes_nothing() {
    let whole = formula(20, 10);
    for sigma in [1e-300, f64::MIN_POSITIVE, 1e-160] {
        let result = made("bilateral", &whole, &[int(9), number(sigma), number(sigma)]);
        assert_eq!(result.planes[0], whole.planes[0], "{sigma}");
    }
}
