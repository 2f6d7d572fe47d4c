//! The functions of pictures: milliseconds a frame of 1920x1080, each on one thread, as `benches/peer/pictures.py` measures OpenCV's.

use std::sync::Arc;

use criterion::{Criterion, Throughput};
use datafusion::arrow::array::{ArrayRef, Float64Array, Int32Array, ListArray, StringArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use framesql::frame::reader::{Media, MediaOptions, Wanted};
use framesql_udfs::frame::{FrameBuilder, FrameId, Picture};
use framesql_udfs::function::compared::compare;
use framesql_udfs::function::functions;
use framesql_udfs::pixels::{Order, render};
use framesql_udfs::previous::{Pair, Small};

const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/media/lobby.mp4");
/// A frame of the clip that shows four faces.
const FOUR_FACES: i64 = 260;

/// The picture as the only row of a column.
fn column(picture: &Picture) -> ArrayRef {
    let mut frames = FrameBuilder::new();
    let id = FrameId { source_id: 1, source: "bench".into(), frame_no: 0, ts_us: 0, derived: false };
    let (width, height) = picture.displayed();
    frames.append(&id, width, height, Some(picture));
    Arc::new(frames.finish())
}

fn call(name: &str, arguments: &[ArrayRef]) -> ArrayRef {
    let function = functions().into_iter().find(|f| f.name() == name).expect("a function of the list");
    let given: Vec<DataType> = arguments.iter().map(|a| a.data_type().clone()).collect();
    let types = function.coerce_types(&given).expect("arguments that it takes");
    let field = |data_type: &DataType| Arc::new(Field::new("value", data_type.clone(), true));
    let args = ScalarFunctionArgs {
        args: arguments.iter().map(|a| ColumnarValue::Array(Arc::clone(a))).collect(),
        arg_fields: types.iter().map(field).collect(),
        number_rows: 1,
        return_field: field(&function.return_type(&types).expect("a type")),
        config_options: Arc::new(ConfigOptions::default()),
    };
    function.invoke_with_args(args).and_then(|value| value.into_array(1)).expect("a whole picture")
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let media = Arc::new(Media::open(CLIP, &MediaOptions::default(), &[]).expect("the bundled clip opens"));
    let wanted = Wanted { pixels: true, from_frame_no: Some(FOUR_FACES), ..Wanted::default() };
    let shot = media.read(wanted, Arc::default()).and_then(|mut r| r.next()).expect("the bundled clip is whole");
    let small = shot.and_then(|s| s.picture).expect("the frame can be decoded");
    let picture = render(&small, Order::Rgb, Some((1920, 1080))).expect("a whole picture").into_picture();
    let frame = column(&picture);
    let int = |value: i32| Arc::new(Int32Array::from(vec![value])) as ArrayRef;
    let float = |value: f64| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
    let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let numbers = |values: [f64; 3]| Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some(values.map(Some))])) as ArrayRef;
    let area = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some([900.0, 400.0, 64.0, 64.0].map(Some))])) as ArrayRef;
    let part = call("crop", &[Arc::clone(&frame), Arc::clone(&area)]);
    // The same area as the only box of a list.
    let boxes = || -> ArrayRef {
        let item = Arc::new(Field::new_list_field(area.data_type().clone(), true));
        Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([1]), Arc::clone(&area), None))
    };
    let other = call("blur", &[Arc::clone(&frame)]);
    let file = call("jpeg", &[Arc::clone(&frame)]);
    let bright = call("threshold", &[Arc::clone(&frame), float(128.0)]);
    let edges = call("canny", &[Arc::clone(&frame)]);
    let cases: Vec<(&str, Vec<ArrayRef>)> = vec![
        ("grayscale", vec![Arc::clone(&frame)]),
        ("blur", vec![Arc::clone(&frame), int(5)]),
        ("blur, 31", vec![Arc::clone(&frame), int(31)]),
        ("gaussian_blur", vec![Arc::clone(&frame), int(5)]),
        ("median_blur", vec![Arc::clone(&frame), int(5)]),
        ("median_blur, 9", vec![Arc::clone(&frame), int(9)]),
        ("median_blur, 31", vec![Arc::clone(&frame), int(31)]),
        ("bilateral", vec![Arc::clone(&frame), int(5)]),
        ("erode", vec![Arc::clone(&frame), int(5)]),
        ("dilate", vec![Arc::clone(&frame), int(5)]),
        ("dilate, 31", vec![Arc::clone(&frame), int(31)]),
        ("threshold", vec![Arc::clone(&frame), float(128.0)]),
        ("adaptive_threshold", vec![Arc::clone(&frame), int(11), float(5.0)]),
        ("resize", vec![Arc::clone(&frame), int(640), int(360)]),
        ("crop", vec![Arc::clone(&frame), Arc::clone(&area)]),
        ("flip", vec![Arc::clone(&frame), text("horizontal")]),
        ("rotate", vec![Arc::clone(&frame), int(90)]),
        ("histogram", vec![Arc::clone(&frame)]),
        ("brightness", vec![Arc::clone(&frame)]),
        ("contrast", vec![Arc::clone(&frame)]),
        ("sharpness", vec![Arc::clone(&frame)]),
        ("dominant_color", vec![Arc::clone(&frame)]),
        ("psnr", vec![Arc::clone(&frame), Arc::clone(&other)]),
        ("ssim", vec![Arc::clone(&frame), Arc::clone(&other)]),
        ("draw_boxes", vec![Arc::clone(&frame), boxes()]),
        ("pixelate", vec![Arc::clone(&frame), boxes()]),
        ("side_by_side", vec![Arc::clone(&frame), other]),
        ("decode_picture", vec![file]),
        ("sobel", vec![Arc::clone(&frame)]),
        ("laplacian", vec![Arc::clone(&frame)]),
        ("canny", vec![Arc::clone(&frame)]),
        ("equalize_histogram", vec![Arc::clone(&frame)]),
        ("clahe", vec![Arc::clone(&frame)]),
        ("hsv", vec![Arc::clone(&frame)]),
        ("in_range", vec![Arc::clone(&frame), numbers([50.0, 20.0, 30.0]), numbers([200.0, 220.0, 210.0])]),
        ("warp_perspective", vec![Arc::clone(&frame), text("((100 80, 1800 60, 1700 1000, 150 950))"), int(1280), int(720)]),
        ("connected_components", vec![Arc::clone(&bright)]),
        ("contours", vec![bright]),
        ("hough_lines", vec![edges]),
        ("template_match", vec![Arc::clone(&frame), part]),
        ("read_codes", vec![Arc::clone(&frame)]),
        ("detect_lanes", vec![Arc::clone(&frame)]),
        ("phash", vec![Arc::clone(&frame)]),
        ("jpeg", vec![Arc::clone(&frame)]),
        ("png", vec![Arc::clone(&frame)]),
        ("webp", vec![Arc::clone(&frame)]),
        ("overlay_text", vec![Arc::clone(&frame), text("lobby 2026-05-01 12:00:00")]),
    ];
    let mut group = criterion.benchmark_group("pictures");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    for (name, arguments) in &cases {
        let function = name.split(',').next().unwrap_or(name);
        group.bench_function(*name, |bencher| bencher.iter(|| call(function, arguments)));
    }
    group.bench_function("the luma that is kept of a frame", |bencher| bencher.iter(|| Small::of(&picture).expect("a whole picture")));
    let (before, now) = (Arc::new(Small::of(&picture).expect("a whole picture")), Arc::new(Small::of(&picture).expect("a whole picture")));
    let pair = [Pair::of(&before, &now)];
    for name in ["motion", "scene_changed", "detect_motion", "optical_flow"] {
        group.bench_function(name, |bencher| bencher.iter(|| compare(name, &pair, vec![Arc::clone(&frame)]).expect("a pair")));
    }
    group.finish();
    criterion.final_summary();
}
