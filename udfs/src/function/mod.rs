//! The SQL functions over pictures: one file a function, one list of them.

mod adaptive_threshold;
mod align_face;
mod bar_lines;
mod bars;
mod bilateral;
mod blur;
mod box_area;
mod box_center;
mod box_iou;
pub mod boxes;
mod brightness;
pub(crate) mod call;
mod canny;
mod canvas;
mod clahe;
mod classify;
pub mod compared;
mod connected_components;
mod contours;
mod contrast;
mod cosine_similarity;
mod count_objects;
mod crop;
mod decode_picture;
mod detect;
mod detect_faces;
mod detect_lanes;
mod detect_motion;
mod detect_objects;
mod dilate;
mod distance_m;
mod dominant_color;
mod draw_boxes;
mod draw_line;
mod draw_polygon;
mod draw_text;
mod embed;
mod equalize_histogram;
mod erode;
mod face_embedding;
pub mod figures;
mod flip;
mod flow;
mod gaussian_blur;
mod glyphs;
mod gradients;
mod grayscale;
mod hamming_distance;
mod heading;
mod height;
mod histogram;
mod hough;
mod hough_lines;
mod hsv;
mod in_range;
mod in_zone;
mod infer;
pub mod inference;
mod is_blurred;
mod is_dark;
mod jpeg;
mod l2_distance;
mod lane;
mod laplacian;
pub(crate) mod lists;
mod matching;
mod median_blur;
mod motion;
mod neighbourhood;
mod nms;
mod optical_flow;
mod overlay_text;
pub mod parameters;
mod phash;
mod pixelate;
mod png;
mod point_in_polygon;
mod ppm;
mod products;
mod psnr;
mod read_codes;
mod read_plate;
mod read_text;
mod recognize_face;
mod regions;
mod resize;
mod rotate;
mod scene_changed;
mod sharpness;
mod side_by_side;
mod sobel;
mod speed_kmh;
mod ssim;
mod stripes;
mod template_match;
mod threshold;
mod time_to_collision;
pub mod type_name;
mod warp_perspective;
mod webp;
mod width;

use std::sync::Arc;

use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::{Documentation, Expr, ScalarUDF, ScalarUDFImpl};

use crate::aggregate;

use crate::model::description::Task;
use figures::FigureFunction;
use inference::{Chosen, ModelFunction};

/// The list: name order.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    fn udf(f: impl ScalarUDFImpl + 'static) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(f))
    }
    vec![
        udf(adaptive_threshold::AdaptiveThreshold::default()),
        udf(align_face::AlignFace::default()),
        udf(bilateral::Bilateral::default()),
        udf(blur::Blur::default()),
        udf(box_area::BoxArea::default()),
        udf(box_center::BoxCenter::default()),
        udf(box_iou::BoxIou::default()),
        udf(brightness::Brightness::default()),
        udf(canny::Canny::default()),
        udf(clahe::Clahe::default()),
        udf(classify::Classify::default()),
        udf(connected_components::ConnectedComponents::default()),
        udf(contours::Contours::default()),
        udf(contrast::Contrast::default()),
        udf(cosine_similarity::CosineSimilarity::default()),
        udf(count_objects::CountObjects::default()),
        udf(crop::Crop::default()),
        udf(decode_picture::DecodePicture::default()),
        udf(detect::Detect::default()),
        udf(detect_faces::DetectFaces::default()),
        udf(detect_lanes::DetectLanes::default()),
        udf(detect_motion::DetectMotion::default()),
        udf(detect_objects::DetectObjects::default()),
        udf(dilate::Dilate::default()),
        udf(distance_m::DistanceM::default()),
        udf(dominant_color::DominantColor::default()),
        udf(draw_boxes::DrawBoxes::default()),
        udf(draw_line::DrawLine::default()),
        udf(draw_polygon::DrawPolygon::default()),
        udf(draw_text::DrawText::default()),
        udf(embed::Embed::default()),
        udf(equalize_histogram::EqualizeHistogram::default()),
        udf(erode::Erode::default()),
        udf(face_embedding::FaceEmbedding::default()),
        udf(flip::Flip::default()),
        udf(gaussian_blur::GaussianBlur::default()),
        udf(grayscale::Grayscale::default()),
        udf(hamming_distance::HammingDistance::default()),
        udf(heading::Heading::default()),
        udf(height::Height::default()),
        udf(histogram::Histogram::default()),
        udf(hough_lines::HoughLines::default()),
        udf(hsv::Hsv::default()),
        udf(in_range::InRange::default()),
        udf(in_zone::InZone::default()),
        udf(infer::Infer::default()),
        udf(is_blurred::IsBlurred::default()),
        udf(is_dark::IsDark::default()),
        udf(jpeg::Jpeg::default()),
        udf(l2_distance::L2Distance::default()),
        udf(laplacian::Laplacian::default()),
        udf(median_blur::MedianBlur::default()),
        udf(motion::Motion::default()),
        udf(nms::Nms::default()),
        udf(optical_flow::OpticalFlow::default()),
        udf(overlay_text::OverlayText::default()),
        udf(phash::Phash::default()),
        udf(pixelate::Pixelate::default()),
        udf(png::Png::default()),
        udf(point_in_polygon::PointInPolygon::default()),
        udf(ppm::Ppm::default()),
        udf(psnr::Psnr::default()),
        udf(read_codes::ReadCodes::default()),
        udf(read_plate::ReadPlate::default()),
        udf(read_text::ReadText::default()),
        udf(recognize_face::RecognizeFace::default()),
        udf(resize::Resize::default()),
        udf(rotate::Rotate::default()),
        udf(scene_changed::SceneChanged::default()),
        udf(sharpness::Sharpness::default()),
        udf(side_by_side::SideBySide::default()),
        udf(sobel::Sobel::default()),
        udf(speed_kmh::SpeedKmh::default()),
        udf(ssim::Ssim::default()),
        udf(template_match::TemplateMatch::default()),
        udf(threshold::Threshold::default()),
        udf(time_to_collision::TimeToCollision::default()),
        udf(warp_perspective::WarpPerspective::default()),
        udf(webp::Webp::default()),
        udf(width::Width::default()),
    ]
}

/// The functions that run models: name order.
static WITH_MODELS: [ModelFunction; 11] = [
    classify::MODEL,
    count_objects::MODEL,
    detect::MODEL,
    detect_faces::MODEL,
    detect_objects::MODEL,
    embed::MODEL,
    face_embedding::MODEL,
    infer::MODEL,
    read_plate::MODEL,
    read_text::MODEL,
    recognize_face::MODEL,
];

/// The functions that hold something against a figure: name order.
static WITH_FIGURES: [FigureFunction; 4] = [distance_m::FIGURE, heading::FIGURE, in_zone::FIGURE, speed_kmh::FIGURE];

/// Which figure a function names; None if it names none.
pub fn figure_function(name: &str) -> Option<&'static FigureFunction> {
    WITH_FIGURES.iter().find(|f| f.name == name)
}

/// How a function runs its model; None if it runs none.
pub fn model_function(name: &str) -> Option<&'static ModelFunction> {
    WITH_MODELS.iter().find(|f| f.name == name)
}

/// Whether a function runs a model, so that the planner hoists its calls.
pub fn is_model(name: &str) -> bool {
    model_function(name).is_some()
}

/// The function by which a model is called: the one that runs that model and no other, else the one of its task.
pub fn caller(model: &str, task: Task) -> &'static str {
    let own = WITH_MODELS.iter().rev().find(|f| f.gallery.is_none() && matches!(f.chosen, Chosen::Named(own) if own == model));
    own.map_or(task.function(), |f| f.name)
}

/// The functions of boxes, numbers and sizes: all others look at pixels.
const WITHOUT_PIXELS: [&str; 16] = [
    "box_area",
    "box_center",
    "box_iou",
    "cosine_similarity",
    DECODE,
    "distance_m",
    "hamming_distance",
    "heading",
    "height",
    "in_zone",
    "l2_distance",
    "nms",
    "point_in_polygon",
    "speed_kmh",
    "time_to_collision",
    "width",
];
/// The function that makes a frame of a file.
const DECODE: &str = "decode_picture";

/// Whether a function looks at pixels, so that it is of no use where only the reference of a frame is left.
pub fn reads_pixels(name: &str) -> bool {
    !WITHOUT_PIXELS.contains(&name) && functions().iter().any(|f| f.name() == name)
}

/// Whether a call looks at the pixels of a frame that is given to it, and not only of one that it, or a call inside it, makes of a file.
pub fn needs_pixels(call: &ScalarFunction) -> bool {
    fn made_here(frame: &Expr) -> bool {
        matches!(frame, Expr::ScalarFunction(f) if f.func.name() == DECODE || !needs_pixels(f))
    }
    let frames = match call.func.name() {
        "psnr" | "side_by_side" | "ssim" | "template_match" => 2,
        _ => 1,
    };
    reads_pixels(call.func.name()) && !call.args.iter().take(frames).all(made_here)
}

/// The page docs/functions.md.
pub fn reference() -> String {
    let mut page = String::from(HEAD);
    documented().iter().for_each(|(name, doc)| page.push_str(&section(name, doc)));
    page
}

/// What the page says of one function.
pub fn section(name: &str, doc: &Documentation) -> String {
    let example = doc.sql_example.as_deref().unwrap_or_default();
    format!("\n## {name}\n\n    {}\n\n{}\n\n```sql\n{example};\n```\n", doc.syntax_example, doc.description)
}

/// The functions with their documentation, and after them the aggregates.
pub fn documented() -> Vec<(String, Documentation)> {
    let all = functions();
    let functions = all.iter().filter_map(|f| Some((f.name().to_owned(), f.documentation()?.clone())));
    functions.chain(aggregate::documented()).collect()
}

/// What holds for all functions.
const HEAD: &str = "# Functions of framesql

Generated from `udfs/src/function` and `udfs/src/aggregate`, where each function and each aggregate has its file; the aggregates stand behind the functions, and the table functions, of `src/plan`, at the end. Pixels count from the top left corner, x to the right, y down.

A picture that cannot be decoded gives NULL, not an error: `count(frame) - count(brightness(frame))` is how many there were. What a function passes on
unchanged it does not decode. A frame whose pixels are gone (after a window, in a view) is an error in every function that needs them.

A derived frame keeps the source, frame_no and ts of its original and never turns back into it.

The luma of a video frame is its Y, from 0 for black to 255 for white; that of a picture in RGB, as of a JPEG or PNG file, is by BT.601, as OpenCV's cvtColor makes it. What is derived of
video keeps its matrix, so that of BT.709 video it has BT.709's luma; where two pictures are compared, a file has the matrix of the other one.

An argument may be given by its name, `detect_objects(frame, min_score => 0.3)`, behind those without; what stands in square brackets may be left out.

A value that a function does not take is an error (22023), and so is a fraction for an int4 or int8: 3.0 is taken and 3.5 is not, `round(x)` makes a whole number of it.

Below each example stand the first rows that it gives where `clip` is frames 50 to 120 of the bundled clip (media/lobby.mp4), and its first picture.
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    /// Files of this folder that hold no function.
    const SHARED: [&str; 22] = [
        "bar_lines",
        "bars",
        "boxes",
        "call",
        "canvas",
        "compared",
        "figures",
        "flow",
        "glyphs",
        "gradients",
        "hough",
        "inference",
        "lane",
        "lists",
        "matching",
        "mod",
        "neighbourhood",
        "parameters",
        "products",
        "regions",
        "stripes",
        "type_name",
    ];

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/function")
    }

    #[test]
    fn every_function_is_documented_and_its_file_begins_with_its_signature() {
        for function in functions() {
            let name = function.name();
            let doc = function.documentation().unwrap_or_else(|| panic!("{name} has no documentation"));
            let source = std::fs::read_to_string(folder().join(format!("{name}.rs"))).unwrap();
            let syntax = &doc.syntax_example;
            assert!(syntax.starts_with(&format!("{name}(")) && syntax.contains(") -> "), "{name}: {syntax}");
            assert!(source.starts_with(&format!("//! `{syntax}`: ")), "{name}.rs does not begin with `{syntax}`");
            assert!(doc.description.contains("NULL"), "{name} does not say what NULL gives");
            let example = doc.sql_example.as_deref().unwrap_or_default();
            assert!(example.starts_with("SELECT ") && example.contains(&format!("{name}(")), "{name} has no example");
            assert!(reference().contains(&format!("\n## {name}\n\n    {syntax}\n")), "{name} is not on the page");
        }
    }

    #[test]
    fn the_list_is_in_name_order_and_holds_every_file() {
        let names: Vec<String> = functions().iter().map(|f| f.name().to_owned()).collect();
        let mut files: Vec<String> = std::fs::read_dir(folder())
            .unwrap()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|name| !SHARED.contains(&name.as_str()))
            .collect();
        files.sort();
        assert_eq!(names, files);
    }
}
