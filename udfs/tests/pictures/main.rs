//! The functions of pictures against OpenCV, Pillow and numpy, whose answers README.md describes and reference.json holds.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod call;
mod codes;
mod filters;
mod found;
mod geometry;
mod refused;
mod sql;

use arrow::array::{ArrayRef, AsArray, Float64Array, ListArray};
use arrow::buffer::Buffer;
use arrow::datatypes::Float64Type;
use framesql_udfs::frame::{ColorMatrix, ColorRange, Picture, PixelFormat};
use framesql_udfs::pixels::{Order, luma, render};
use serde_json::Value;
use std::sync::Arc;

use call::{call, frames, picture_of};

/// The size of the picture that most values are of: odd both ways.
pub(crate) const SIZE: (u32, u32) = (67, 45);
/// Of large results the file holds every fifth pixel of every fifth row.
const STEP: usize = 5;

fn reference(path: &[&str]) -> Value {
    let all: Value = serde_json::from_str(include_str!("reference.json")).unwrap();
    path.iter().fold(all, |value, key| value.get(key).unwrap_or_else(|| panic!("no {key}")).clone())
}

fn bytes(value: &Value) -> Vec<u8> {
    value.as_array().unwrap().iter().map(|v| u8::try_from(v.as_u64().unwrap()).unwrap()).collect()
}

/// A triangle between 0 and 255.
fn wave(v: i32) -> i32 {
    (v.rem_euclid(512) - 256).abs().min(255)
}

/// The picture of make_reference.py, in RGB8.
pub(crate) fn formula(width: u32, height: u32) -> Picture {
    let mut rgb = Vec::new();
    for y in 0..height as i32 {
        for x in 0..width as i32 {
            for channel in [wave(9 * x + 4 * y), wave(2 * x + 11 * y + 100), wave(5 * x + 3 * y + 300)] {
                rgb.push((channel * 232 / 256 + x * y % 23) as u8);
            }
        }
    }
    picture(PixelFormat::Rgb8, (width, height), &[rgb])
}

/// The luma and chroma of make_reference.py.
fn planes(width: u32, height: u32) -> [Vec<u8>; 3] {
    let plane = |width: u32, height: u32, [a, b, c]: [i32; 3]| {
        let rows = 0..height as i32;
        rows.flat_map(|y| (0..width as i32).map(move |x| wave(a * x + b * y + c) as u8)).collect::<Vec<u8>>()
    };
    let (w, h) = (width.div_ceil(2), height.div_ceil(2));
    [plane(width, height, [5, 7, 0]), plane(w, h, [13, 5, 0]), plane(w, h, [3, 17, 200])]
}

pub(crate) fn picture(format: PixelFormat, (width, height): (u32, u32), planes: &[Vec<u8>]) -> Picture {
    let planes = std::array::from_fn(|at| planes.get(at).cloned().map(Buffer::from_vec));
    Picture { format, width, height, range: ColorRange::Full, matrix: ColorMatrix::Bt601, rotation: 0, planes }
}

/// The pixels that the reference keeps, of rows of `width` pixels with `n` samples each.
fn sampled(data: &[u8], width: u32, n: usize) -> Vec<u8> {
    let rows = data.chunks(width as usize * n).step_by(STEP);
    rows.flat_map(|row| row.chunks(n).step_by(STEP).flatten().copied().collect::<Vec<u8>>()).collect()
}

/// The greatest and the mean difference of samples.
fn differences(ours: &[u8], theirs: &[u8]) -> (u8, f64) {
    assert_eq!(ours.len(), theirs.len());
    let all = ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
    (all.clone().max().unwrap_or(0), all.map(f64::from).sum::<f64>() / ours.len() as f64)
}

fn rgb_samples(picture: &Picture) -> Vec<u8> {
    let pixels = render(picture, Order::Rgb, None).unwrap();
    sampled(&pixels.data, pixels.width, 3)
}

fn figure(name: &str, picture: &Picture) -> f64 {
    call(name, &[frames(&[Some(picture)])]).unwrap().as_primitive::<Float64Type>().value(0)
}

fn int(value: u32) -> ArrayRef {
    Arc::new(arrow::array::Int64Array::from(vec![i64::from(value)]))
}

#[test]
fn resize_is_pillows() {
    let picture = formula(SIZE.0, SIZE.1);
    for (size, expected) in reference(&["resize"]).as_object().unwrap() {
        let (width, height) = size.split_once('x').map(|(w, h)| (w.parse().unwrap(), h.parse().unwrap())).unwrap();
        let made = picture_of(&call("resize", &[frames(&[Some(&picture)]), int(width), int(height)]).unwrap(), 0).unwrap();
        assert_eq!((made.format, made.width, made.height), (PixelFormat::Rgb8, width, height));
        let most = differences(&rgb_samples(&made), &bytes(expected)).0;
        assert!(most <= 1, "{size}: up to {most}");
    }
}

#[test]
fn video_that_is_scaled_before_it_is_converted_looks_like_video_that_is_scaled_after() {
    let (width, height) = (66, 44);
    // Smooth, as chroma is in pictures: here the order of the two steps may not show.
    let smooth = |w: u32, h: u32, a: u32| (0..w * h).map(|at| (60 + at % w * a / w + at / w * 40 / h) as u8).collect::<Vec<u8>>();
    let [y, u, v] = [smooth(width, height, 90), smooth(33, 22, 60), smooth(33, 22, 30)];
    let interleaved = u.iter().zip(&v).flat_map(|(u, v)| [*u, *v]).collect();
    let i420 = picture(PixelFormat::I420, (width, height), &[y.clone(), u, v]);
    let nv12 = picture(PixelFormat::Nv12, (width, height), &[y, interleaved]);
    let converted = render(&i420, Order::Rgb, None).unwrap().into_picture();
    // At an odd size the last chroma sample stands for half a pixel outside: colours shift by up to that.
    for (size, tolerance) in [((22, 16), 8), ((100, 50), 8), ((33, 21), 12)] {
        let after = render(&converted, Order::Rgb, Some(size)).unwrap();
        for before in [&i420, &nv12] {
            let before = render(before, Order::Rgb, Some(size)).unwrap();
            assert_eq!((before.width, before.height), size);
            let most = differences(&before.data, &after.data).0;
            assert!(most <= tolerance, "{size:?}: up to {most}");
        }
    }
}

#[test]
fn crop_is_pillows_and_the_same_in_every_layout() {
    let rgb = formula(SIZE.0, SIZE.1);
    let expected = reference(&["crop"]);
    let sides: Vec<Option<f64>> = expected["box"].as_array().unwrap().iter().map(Value::as_f64).collect();
    let bbox: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some(sides)]));
    let crop = |picture: &Picture| picture_of(&call("crop", &[frames(&[Some(picture)]), Arc::clone(&bbox)]).unwrap(), 0).unwrap();
    let cut = crop(&rgb);
    assert_eq!((cut.width, cut.height), (21, 15));
    assert_eq!(rgb_samples(&cut), bytes(&expected["rgb"]));
    let [y, u, v] = planes(SIZE.0, SIZE.1);
    let interleaved = u.iter().zip(&v).flat_map(|(u, v)| [*u, *v]).collect();
    let gray = picture(PixelFormat::Gray8, SIZE, std::slice::from_ref(&y));
    let nv12 = picture(PixelFormat::Nv12, SIZE, &[y.clone(), interleaved]);
    let i420 = picture(PixelFormat::I420, SIZE, &[y, u, v]);
    let jpeg = picture(PixelFormat::Jpeg, SIZE, &[include_bytes!("rgb420.jpg").to_vec()]);
    for whole in [&rgb, &gray, &nv12, &i420, &jpeg] {
        for rotation in [0, 90, 180, 270] {
            let whole = Picture { rotation, ..whole.clone() };
            let (all, cut) = (render(&whole, Order::Rgb, None).unwrap(), render(&crop(&whole), Order::Rgb, None).unwrap());
            assert_eq!((cut.width, cut.height), (21, 15));
            for y in 0..15 {
                let from = ((y + 7) * all.width as usize + 10) * 3;
                let row = y * 21 * 3;
                assert_eq!(cut.data[row..row + 21 * 3], all.data[from..from + 21 * 3], "{:?} turned by {rotation}, row {y}", whole.format);
            }
        }
    }
}

#[test]
fn grayscale_is_opencvs() {
    let made = picture_of(&call("grayscale", &[frames(&[Some(&formula(SIZE.0, SIZE.1))])]).unwrap(), 0).unwrap();
    assert_eq!(made.format, PixelFormat::Gray8);
    let data = made.planes[0].as_ref().unwrap();
    assert_eq!(sampled(data, SIZE.0, 1), bytes(&reference(&["grayscale"])));
}

#[test]
fn brightness_and_sharpness_are_opencvs() {
    for expected in reference(&["figures"]).as_array().unwrap() {
        let [width, height] = [0, 1].map(|at| u32::try_from(expected["size"][at].as_u64().unwrap()).unwrap());
        for name in ["brightness", "sharpness"] {
            let (ours, theirs) = (figure(name, &formula(width, height)), expected[name].as_f64().unwrap());
            assert!((ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0), "{name} of {width}x{height}: {ours} instead of {theirs}");
        }
    }
}

#[test]
fn luma_of_limited_range_counts_from_black_to_white() {
    let [y, u, v] = planes(64, 44);
    let video = Picture { range: ColorRange::Limited, ..picture(PixelFormat::I420, (64, 44), &[y, u, v]) };
    let (ours, theirs) = (figure("brightness", &video), reference(&["brightness of limited luma"]).as_f64().unwrap());
    assert!((ours - theirs).abs() < 0.05, "{ours} instead of {theirs}");
}

#[test]
fn video_becomes_rgb_by_the_definition() {
    let [y, u, v] = planes(SIZE.0, SIZE.1);
    let interleaved = u.iter().zip(&v).flat_map(|(u, v)| [*u, *v]).collect();
    let i420 = picture(PixelFormat::I420, SIZE, &[y.clone(), u, v]);
    let nv12 = picture(PixelFormat::Nv12, SIZE, &[y, interleaved]);
    for matrix in [ColorMatrix::Bt601, ColorMatrix::Bt709] {
        for range in [ColorRange::Limited, ColorRange::Full] {
            let expected = bytes(&reference(&["yuv", &format!("{matrix:?} {range:?}")]));
            for video in [&i420, &nv12] {
                let most = differences(&rgb_samples(&Picture { matrix, range, ..video.clone() }), &expected).0;
                assert!(most <= 2, "{:?} {matrix:?} {range:?}: up to {most}", video.format);
            }
        }
    }
    let [y, u, v] = planes(64, 44);
    let video = Picture { range: ColorRange::Limited, ..picture(PixelFormat::I420, (64, 44), &[y, u, v]) };
    let most = differences(&rgb_samples(&video), &bytes(&reference(&["yuv by OpenCV"]))).0;
    assert!(most <= 3, "against OpenCV: up to {most}");
}

#[test]
fn jpegs_are_decoded_as_libjpeg_does() {
    let files: [(&str, &[u8]); 5] = [
        ("rgb444.jpg", include_bytes!("rgb444.jpg")),
        ("progressive.jpg", include_bytes!("progressive.jpg")),
        ("gray.jpg", include_bytes!("gray.jpg")),
        ("rgb420.jpg", include_bytes!("rgb420.jpg")),
        ("cmyk.jpg", include_bytes!("cmyk.jpg")),
    ];
    for (name, file) in files {
        let jpeg = picture(PixelFormat::Jpeg, SIZE, &[file.to_vec()]);
        let (most, mean) = differences(&rgb_samples(&jpeg), &bytes(&reference(&["jpeg", name])));
        let loose = ["rgb420.jpg", "cmyk.jpg"].contains(&name);
        assert!(if loose { mean <= 3.0 } else { most <= 3 }, "{name}: up to {most}, {mean} on average");
        assert_eq!(luma(&jpeg).unwrap().planes[0].as_ref().unwrap().len(), 67 * 45);
    }
}

#[test]
fn box_iou_is_the_definition() {
    let expected = reference(&["box_iou"]);
    let boxes: Vec<Vec<Option<f64>>> =
        expected["boxes"].as_array().unwrap().iter().map(|b| b.as_array().unwrap().iter().map(Value::as_f64).collect()).collect();
    let column = |of: &mut dyn Iterator<Item = &Vec<Option<f64>>>| -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(of.map(|b| Some(b.clone()))))
    };
    for (a, row) in boxes.iter().zip(expected["iou"].as_array().unwrap()) {
        let overlaps = call("box_iou", &[column(&mut boxes.iter().map(|_| a)), column(&mut boxes.iter())]).unwrap();
        let overlaps: &Float64Array = overlaps.as_primitive();
        for (ours, theirs) in overlaps.values().iter().zip(row.as_array().unwrap()) {
            assert!((ours - theirs.as_f64().unwrap()).abs() < 1e-6, "{a:?}: {ours} instead of {theirs}");
        }
    }
}
