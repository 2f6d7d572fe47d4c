//! What holds for every function: NULL for what is not there or cannot be decoded, errors for mistakes, constants for constants, and no panic.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float64Array, Int64Array, ListArray, NullArray, StringArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type};
use framesql_udfs::detection::{Box as Bbox, Detection, DetectionListBuilder};
use framesql_udfs::frame::{Picture, PixelFormat, is_frame, without_pixels};
use framesql_udfs::function::compared::needs_previous;
use framesql_udfs::function::{functions, is_model};
use framesql_udfs::pixels::{Order, render};

use crate::call::{call, call_constant, frames, picture_of};
use crate::{SIZE, formula, picture};

const JPEG: &[u8] = include_bytes!("rgb420.jpg");
/// The functions that take no frame.
const OF_OTHERS: [&str; 14] = [
    "box_area",
    "box_center",
    "box_iou",
    "cosine_similarity",
    "decode_picture",
    "distance_m",
    "hamming_distance",
    "heading",
    "in_zone",
    "l2_distance",
    "nms",
    "point_in_polygon",
    "speed_kmh",
    "time_to_collision",
];

/// The functions whose first argument is a frame and that look at no other, but for those whose models an engine has.
fn of_frames() -> Vec<String> {
    let alone = |name: &String| !OF_OTHERS.contains(&name.as_str()) && !needs_previous(name) && (!is_model(name) || name == "detect_faces");
    functions().iter().map(|f| f.name().to_owned()).filter(alone).collect()
}

fn jpeg(bytes: &[u8]) -> Picture {
    picture(PixelFormat::Jpeg, SIZE, &[bytes.to_vec()])
}

/// A column of `n` boxes, written as lists.
fn boxes(n: usize, sides: [f64; 4]) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>((0..n).map(|_| Some(sides.map(Some)))))
}

/// A column of `n` faces with five landmarks.
fn faces(n: usize) -> ArrayRef {
    let landmarks = Some(vec![(20.0, 15.0), (30.0, 15.0), (25.0, 20.0), (21.0, 25.0), (29.0, 25.0)]);
    let bbox = Bbox { x: 15.0, y: 8.0, w: 20.0, h: 24.0 };
    let face = Detection { label: "face".into(), score: 0.9, bbox, landmarks, track_id: None };
    let mut list = DetectionListBuilder::new();
    list.append(&vec![face; n]);
    Arc::clone(list.finish().values())
}

fn ints(n: usize, value: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value; n]))
}

fn floats(n: usize, value: f64) -> ArrayRef {
    Arc::new(Float64Array::from(vec![value; n]))
}

fn texts(n: usize, value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value; n]))
}

/// A column of bounds of colours.
fn bounds(n: usize, value: f64) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>((0..n).map(|_| Some([Some(value); 3]))))
}

/// Further arguments for `n` rows that the function can do something with.
fn more(name: &str, frames: &ArrayRef) -> Vec<ArrayRef> {
    let n = frames.len();
    match name {
        "crop" | "draw_boxes" | "pixelate" => vec![boxes(n, [5.0, 5.0, 30.0, 20.0])],
        "align_face" => vec![faces(n)],
        "resize" => vec![ints(n, 31)],
        "rotate" => vec![ints(n, 90)],
        "threshold" => vec![ints(n, 100)],
        "adaptive_threshold" => vec![ints(n, 5), ints(n, 2)],
        "flip" => vec![texts(n, "both")],
        "draw_line" => vec![floats(n, 1.0), floats(n, 2.0), floats(n, 30.0), floats(n, 20.0)],
        "draw_polygon" => vec![texts(n, "((1 1, 30 2, 20 30))")],
        "draw_text" => vec![texts(n, "gate"), floats(n, 3.0), floats(n, 4.0)],
        "in_range" => vec![bounds(n, 20.0), bounds(n, 200.0)],
        "overlay_text" => vec![texts(n, "gate 3")],
        "warp_perspective" => vec![texts(n, "((1 1, 30 2, 20 30, 3 25))"), ints(n, 8), ints(n, 6)],
        "psnr" | "side_by_side" | "ssim" | "template_match" => vec![Arc::clone(frames)],
        _ => Vec::new(),
    }
}

fn apply(name: &str, frames: ArrayRef) -> datafusion_common::Result<ArrayRef> {
    let more = more(name, &frames);
    call(name, &[vec![frames], more].concat())
}

/// The functions that look at nothing but the luma.
const OF_LUMA: [&str; 21] = [
    "adaptive_threshold",
    "brightness",
    "canny",
    "clahe",
    "connected_components",
    "contours",
    "contrast",
    "detect_lanes",
    "equalize_histogram",
    "grayscale",
    "histogram",
    "hough_lines",
    "is_blurred",
    "is_dark",
    "laplacian",
    "phash",
    "read_codes",
    "sharpness",
    "sobel",
    "ssim",
    "threshold",
];

#[test]
fn a_null_frame_and_a_damaged_picture_give_null_and_the_row_after_them_its_value() {
    let (good, empty, text) = (formula(SIZE.0, SIZE.1), jpeg(b""), jpeg(&[b'x'; 500]));
    let cut_off = jpeg(&JPEG[..60]);
    let other_size = picture(PixelFormat::Jpeg, (640, 480), &[JPEG.to_vec()]);
    let short = picture(PixelFormat::I420, (64, 64), &[vec![1; 4000], vec![1; 1024], vec![1; 1024]]);
    let no_chroma = picture(PixelFormat::Nv12, (64, 64), &[vec![1; 4096]]);
    let sizeless = picture(PixelFormat::Rgb8, (0, 10), &[vec![]]);
    let enormous = picture(PixelFormat::Gray8, (2_000_000_000, 2_000_000_000), &[vec![1; 100]]);
    let damaged = [&empty, &text, &cut_off, &other_size, &short, &no_chroma, &sizeless, &enormous];
    for name in of_frames() {
        let name = name.as_str();
        let size_only = ["width", "height"].contains(&name);
        let rows: Vec<Option<&Picture>> = std::iter::once(None).chain(damaged.into_iter().map(Some)).chain([Some(&good)]).collect();
        let column = apply(name, frames(&rows)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(column.is_null(0), "{name} of NULL");
        for row in 1..rows.len() - 1 {
            // Luma is all that these need, and of that picture it is there; a turned picture is not looked at.
            let luma_only = row == 6 && OF_LUMA.contains(&name);
            let unseen = name == "rotate" && !matches!(row, 7 | 8);
            assert_eq!(column.is_valid(row), size_only || luma_only || unseen, "{name} of damaged picture {row}");
        }
        assert!(column.is_valid(rows.len() - 1), "{name} of a good picture");
    }
}

#[test]
fn a_frame_without_pixels_is_a_mistake_in_the_query() {
    let column = frames(&[Some(&formula(8, 8))]);
    let bare: ArrayRef = Arc::new(without_pixels(column.as_struct()));
    for name in of_frames() {
        let result = apply(&name, Arc::clone(&bare));
        if ["width", "height"].contains(&name.as_str()) {
            assert_eq!(result.unwrap().as_primitive::<Int32Type>().value(0), 8);
        } else {
            assert!(result.unwrap_err().to_string().contains("only the reference is left"), "{name}");
        }
    }
}

#[test]
fn a_picture_that_is_turned_for_display_gives_what_the_same_one_gives_that_lies_as_it_is_seen() {
    for rotation in [90, 180, 270] {
        let turned = Picture { rotation, ..formula(SIZE.0, SIZE.1) };
        let upright = render(&turned, Order::Rgb, None).unwrap().into_picture();
        for name in of_frames().iter().filter(|name| !is_model(name)) {
            let [of_turned, of_upright] = [&turned, &upright].map(|picture| apply(name, frames(&[Some(picture)])).unwrap());
            // Scaled first and turned after: rows and columns are rounded in another order.
            if name == "phash" {
                let [a, b] = [&of_turned, &of_upright].map(|hash| hash.as_primitive::<Int64Type>().value(0));
                assert!((a ^ b).count_ones() <= 4, "{name} turned by {rotation}");
            } else if is_frame(of_turned.data_type()) {
                let [a, b] = [&of_turned, &of_upright].map(|frame| render(&picture_of(frame, 0).unwrap(), Order::Rgb, None).unwrap());
                assert_eq!((a.width, a.height), (b.width, b.height), "{name} turned by {rotation}");
                let furthest = a.data.iter().zip(b.data.iter()).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(furthest <= Some(if name == "resize" { 2 } else { 0 }), "{name} turned by {rotation}: up to {furthest:?}");
            } else {
                assert_eq!(&of_turned, &of_upright, "{name} turned by {rotation}");
            }
        }
    }
}

#[test]
fn constants_give_constants() {
    let frame = frames(&[Some(&formula(64, 64))]);
    let null: ArrayRef = Arc::new(NullArray::new(1));
    for name in of_frames() {
        let arguments = [vec![Arc::clone(&frame)], more(&name, &frame)].concat();
        assert_eq!(&call_constant(&name, &arguments).unwrap(), &call(&name, &arguments).unwrap(), "{name}");
        let nulls = vec![Arc::clone(&null); arguments.len()];
        assert!(call_constant(&name, &nulls).unwrap().is_null(0), "{name}");
    }
    assert!(call_constant("box_iou", &[Arc::clone(&null), boxes(1, [0.0, 0.0, 1.0, 1.0])]).unwrap().is_null(0));
}

#[test]
fn a_function_whose_model_an_engine_has_gives_null_for_null_and_says_where_it_can_be_called() {
    let frame = frames(&[Some(&formula(64, 64))]);
    let (null, name): (ArrayRef, ArrayRef) = (Arc::new(NullArray::new(1)), Arc::new(StringArray::from(vec!["objects"])));
    for (function, more) in [
        ("classify", vec![Arc::clone(&name)]),
        ("count_objects", vec![Arc::clone(&name)]),
        ("detect", vec![Arc::clone(&name)]),
        ("detect_objects", vec![]),
        ("embed", vec![Arc::clone(&name)]),
        ("face_embedding", vec![faces(1)]),
        ("infer", vec![name]),
    ] {
        assert!(call(function, &[vec![Arc::clone(&null)], more.clone()].concat()).unwrap().is_null(0), "{function}");
        let error = call(function, &[vec![Arc::clone(&frame)], more].concat()).unwrap_err().to_string();
        assert!(error.contains(&format!("{function} runs a model and is not supported here")), "{error}");
    }
}

#[test]
fn pixels_that_do_not_change_are_shared() {
    let good = formula(20, 10);
    let plane = good.planes[0].as_ref().unwrap().as_ptr();
    let column = frames(&[Some(&good)]);
    let null: ArrayRef = Arc::new(NullArray::new(1));
    let unchanged = [
        ("crop", vec![boxes(1, [-5.0, -5.0, 100.0, 100.0])]),
        ("resize", vec![ints(1, 20), ints(1, 10)]),
        ("draw_boxes", vec![Arc::clone(&null)]),
        ("draw_boxes", vec![boxes(1, [1.0, 1.0, 0.0, 5.0])]),
        ("pixelate", vec![null]),
        ("pixelate", vec![boxes(1, [50.0, 1.0, 9.0, 5.0])]),
    ];
    for (name, more) in unchanged {
        let made = call(name, &[vec![Arc::clone(&column)], more].concat()).unwrap();
        assert_eq!(picture_of(&made, 0).unwrap().planes[0].as_ref().unwrap().as_ptr(), plane, "{name} copies");
    }
    let gray = picture(PixelFormat::I420, (8, 4), &[vec![9; 32], vec![128; 8], vec![128; 8]]);
    let made = call("grayscale", &[frames(&[Some(&gray)])]).unwrap();
    let luma = picture_of(&made, 0).unwrap();
    assert_eq!(luma.planes[0].as_ref().unwrap().as_ptr(), gray.planes[0].as_ref().unwrap().as_ptr(), "grayscale copies");
}

#[test]
fn jpeg_passes_a_file_on_and_encodes_the_rest() {
    let made = call("jpeg", &[frames(&[Some(&jpeg(JPEG)), Some(&formula(SIZE.0, SIZE.1))])]).unwrap();
    assert_eq!(made.as_binary::<i32>().value(0), JPEG);
    let again = jpeg(made.as_binary::<i32>().value(1));
    let (ours, back) = (render(&formula(SIZE.0, SIZE.1), Order::Rgb, None).unwrap(), render(&again, Order::Rgb, None).unwrap());
    let mean = ours.data.iter().zip(back.data.iter()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / ours.data.len() as f64;
    assert!(mean < 10.0, "pixels change by {mean} on average");
    let small = call("jpeg", &[frames(&[Some(&jpeg(JPEG))]), ints(1, 30), ints(1, 50)]).unwrap();
    let small = picture(PixelFormat::Jpeg, (30, 20), &[small.as_binary::<i32>().value(0).to_vec()]);
    assert_eq!(render(&small, Order::Rgb, None).unwrap().height, 20);
    for (width, quality) in [(0, 50), (-1, 50), (10, 0), (10, 101)] {
        assert!(call("jpeg", &[frames(&[Some(&formula(4, 4))]), ints(1, width), ints(1, quality)]).is_err());
    }
}

#[test]
fn calls_that_cannot_be_meant_are_refused_when_planned() {
    let frame = frames(&[Some(&formula(4, 4))]);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["lobby"]));
    let refused = |name: &str, arguments: &[ArrayRef]| call(name, arguments).unwrap_err().strip_backtrace();
    assert!(refused("jpeg", std::slice::from_ref(&text)).contains("the first argument of jpeg is a frame, not text"));
    assert!(refused("crop", &[Arc::clone(&frame), ints(1, 3)]).contains("a box (x, y, w, h), not bigint"));
    assert!(refused("crop", &[Arc::clone(&frame), Arc::clone(&frame)]).contains("(x, y, w, h), not frame"));
    assert!(refused("pixelate", &[Arc::clone(&frame), text]).contains("a box (x, y, w, h) or a list of boxes, not text"));
    assert!(refused("resize", std::slice::from_ref(&frame)).contains("resize takes 2 to 3 argument(s), not 1"));
    assert!(refused("resize", &[Arc::clone(&frame), boxes(1, [0.0; 4])]).contains("a whole number, not double precision[]"));
    assert!(refused("width", &[Arc::clone(&frame), ints(1, 3)]).contains("width takes 1 argument(s), not 2"));
    let three: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some(vec![Some(1.0); 3])]));
    assert!(refused("crop", &[frame, three]).contains("four numbers"));
}

#[test]
fn boxes_may_be_detections_lists_and_structs() {
    let whole = formula(64, 48);
    let frame = frames(&[Some(&whole)]);
    let (bbox, score) = (Bbox { x: 8.0, y: 16.0, w: 16.0, h: 8.0 }, 0.93);
    let face = Detection { label: "face".into(), score, bbox, landmarks: None, track_id: Some(5) };
    let mut list = DetectionListBuilder::new();
    list.append(std::slice::from_ref(&face));
    let list = list.finish();
    let one = Arc::clone(list.values());
    let field = Arc::new(Field::new("item", DataType::Float64, true));
    let sides = Arc::new(Float64Array::from(vec![8.0, 16.0, 16.0, 8.0]));
    let fixed: ArrayRef = Arc::new(FixedSizeListArray::new(field, 4, sides, None));
    let nested = Arc::new(Field::new("item", fixed.data_type().clone(), true));
    let many: ArrayRef = Arc::new(ListArray::new(nested, OffsetBuffer::from_lengths([1]), Arc::clone(&fixed), None));
    let column = |at: usize| Arc::clone(one.as_struct().column(at));
    let named: ArrayRef = Arc::new(StructArray::from(vec![(Arc::new(Field::new("box", column(2).data_type().clone(), true)), column(2))]));
    let cut = |bbox: &ArrayRef| picture_of(&call("crop", &[Arc::clone(&frame), Arc::clone(bbox)]).unwrap(), 0).unwrap();
    let size = (cut(&fixed).width, cut(&fixed).height);
    assert_eq!(size, (16, 8));
    for bbox in [&one, &column(2), &named] {
        assert_eq!(cut(bbox).planes[0], cut(&fixed).planes[0]);
    }
    let mosaic = |boxes: &ArrayRef| picture_of(&call("pixelate", &[Arc::clone(&frame), Arc::clone(boxes)]).unwrap(), 0).unwrap();
    let list: ArrayRef = Arc::new(list);
    for boxes in [&list, &one, &column(2), &many, &named] {
        assert_eq!(mosaic(boxes).planes[0], mosaic(&fixed).planes[0], "{}", boxes.data_type());
    }
    assert_ne!(mosaic(&fixed).planes[0], whole.planes[0]);
    let drawn = |boxes: &ArrayRef| picture_of(&call("draw_boxes", &[Arc::clone(&frame), Arc::clone(boxes)]).unwrap(), 0).unwrap();
    assert_eq!(drawn(&column(2)).planes[0], drawn(&many).planes[0]);
    assert_ne!(drawn(&list).planes[0], drawn(&many).planes[0], "a detection has a caption");
    let overlap = call("box_iou", &[one, fixed]).unwrap();
    assert_eq!(overlap.as_primitive::<Float64Type>().value(0), 1.0);
}

#[test]
fn a_crop_is_found_in_by_its_own_pixels_and_may_be_cropped_again() {
    let whole = Picture { rotation: 90, ..formula(64, 48) };
    let first = call("crop", &[frames(&[Some(&whole)]), boxes(1, [10.0, 20.0, 30.0, 30.0])]).unwrap();
    let second = call("crop", &[first, boxes(1, [5.0, 6.0, 7.0, 8.0])]).unwrap();
    let direct = call("crop", &[frames(&[Some(&whole)]), boxes(1, [15.0, 26.0, 7.0, 8.0])]).unwrap();
    let (second, direct) = (picture_of(&second, 0).unwrap(), picture_of(&direct, 0).unwrap());
    assert_eq!(second.displayed(), (7, 8));
    assert_eq!(render(&second, Order::Rgb, None).unwrap(), render(&direct, Order::Rgb, None).unwrap());
}

#[test]
fn no_box_and_no_size_makes_a_function_panic() {
    let pictures =
        [formula(1, 1), formula(2, 1), formula(1, 7), formula(33, 5), picture(PixelFormat::I420, (1, 1), &[vec![1], vec![2], vec![3]])];
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 3.5e38, -1e9, -1.0, -0.0, 1e-40, 0.5, 1.0, 4.0, 1e9];
    for whole in &pictures {
        for rotation in [0, 90, 180, 270, 45, 450] {
            let column = frames(&[Some(&Picture { rotation, ..whole.clone() })]);
            for (at, x) in odd.iter().enumerate() {
                for (step, w) in odd.iter().enumerate() {
                    let sides = [*x, odd[(at + step) % odd.len()], *w, odd[(at * 3 + step) % odd.len()]];
                    for name in ["crop", "draw_boxes", "pixelate"] {
                        let made = call(name, &[Arc::clone(&column), boxes(1, sides)]).unwrap();
                        assert!(name == "crop" || made.is_valid(0), "{name} {sides:?}");
                    }
                    let overlap = call("box_iou", &[boxes(1, sides), boxes(1, [0.0, 0.0, *x, *w])]).unwrap();
                    let overlap = overlap.as_primitive::<Float64Type>();
                    assert!(overlap.is_null(0) || (0.0..=1.0).contains(&overlap.value(0)), "{sides:?}: {}", overlap.value(0));
                }
            }
            for name in of_frames() {
                let name = name.as_str();
                apply(name, Arc::clone(&column)).unwrap();
            }
        }
    }
}

#[test]
fn mutated_files_give_a_picture_or_null() {
    let files: [&[u8]; 5] =
        [JPEG, include_bytes!("rgb444.jpg"), include_bytes!("progressive.jpg"), include_bytes!("gray.jpg"), include_bytes!("cmyk.jpg")];
    // A small generator of our own (xorshift), so that a failing step can be had again.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut n_null = 0;
    for step in 0..1500 {
        let mut bytes = files[step % files.len()].to_vec();
        for _ in 0..1 + random(4) {
            let at = if random(2) == 0 { random(bytes.len().min(700)) } else { random(bytes.len()) };
            match random(4) {
                0 => bytes.truncate(at.max(2)),
                1 => bytes[at] = 0xff,
                _ => bytes[at] = random(256) as u8,
            }
        }
        let made = call("brightness", &[frames(&[Some(&jpeg(&bytes))])]).unwrap();
        n_null += made.null_count();
    }
    assert!((100..1400).contains(&n_null), "{n_null} of 1500 are NULL: the mutations are too strong or too weak");
}
