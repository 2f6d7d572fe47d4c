//! The SQL functions over pictures: one file a function, one list of them.

mod adaptive_threshold;
mod align_face;
mod blur;
mod box_area;
mod box_center;
mod box_iou;
mod boxes;
mod brightness;
mod call;
mod canny;
mod classify;
mod contrast;
mod cosine_similarity;
mod count_objects;
mod crop;
mod detect;
mod detect_faces;
mod detect_objects;
mod dilate;
mod dominant_color;
mod draw_boxes;
mod embed;
mod equalize_histogram;
mod erode;
mod face_embedding;
mod flip;
mod gaussian_blur;
mod glyphs;
mod grayscale;
mod hamming_distance;
mod height;
mod histogram;
mod infer;
pub mod inference;
mod is_blurred;
mod is_dark;
mod jpeg;
mod l2_distance;
mod laplacian;
mod median_blur;
mod neighbourhood;
mod nms;
mod phash;
mod pixelate;
mod png;
mod point_in_polygon;
mod psnr;
mod resize;
mod rotate;
mod sharpness;
mod side_by_side;
mod sobel;
mod ssim;
mod threshold;
mod width;

use std::sync::Arc;

use datafusion_expr::{ScalarUDF, ScalarUDFImpl};

use crate::model::Task;
use inference::{Chosen, ModelFunction};

/// The list: name order.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    fn udf(f: impl ScalarUDFImpl + 'static) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(f))
    }
    vec![
        udf(adaptive_threshold::AdaptiveThreshold::default()),
        udf(align_face::AlignFace::default()),
        udf(blur::Blur::default()),
        udf(box_area::BoxArea::default()),
        udf(box_center::BoxCenter::default()),
        udf(box_iou::BoxIou::default()),
        udf(brightness::Brightness::default()),
        udf(canny::Canny::default()),
        udf(classify::Classify::default()),
        udf(contrast::Contrast::default()),
        udf(cosine_similarity::CosineSimilarity::default()),
        udf(count_objects::CountObjects::default()),
        udf(crop::Crop::default()),
        udf(detect::Detect::default()),
        udf(detect_faces::DetectFaces::default()),
        udf(detect_objects::DetectObjects::default()),
        udf(dilate::Dilate::default()),
        udf(dominant_color::DominantColor::default()),
        udf(draw_boxes::DrawBoxes::default()),
        udf(embed::Embed::default()),
        udf(equalize_histogram::EqualizeHistogram::default()),
        udf(erode::Erode::default()),
        udf(face_embedding::FaceEmbedding::default()),
        udf(flip::Flip::default()),
        udf(gaussian_blur::GaussianBlur::default()),
        udf(grayscale::Grayscale::default()),
        udf(hamming_distance::HammingDistance::default()),
        udf(height::Height::default()),
        udf(histogram::Histogram::default()),
        udf(infer::Infer::default()),
        udf(is_blurred::IsBlurred::default()),
        udf(is_dark::IsDark::default()),
        udf(jpeg::Jpeg::default()),
        udf(l2_distance::L2Distance::default()),
        udf(laplacian::Laplacian::default()),
        udf(median_blur::MedianBlur::default()),
        udf(nms::Nms::default()),
        udf(phash::Phash::default()),
        udf(pixelate::Pixelate::default()),
        udf(png::Png::default()),
        udf(point_in_polygon::PointInPolygon::default()),
        udf(psnr::Psnr::default()),
        udf(resize::Resize::default()),
        udf(rotate::Rotate::default()),
        udf(sharpness::Sharpness::default()),
        udf(side_by_side::SideBySide::default()),
        udf(sobel::Sobel::default()),
        udf(ssim::Ssim::default()),
        udf(threshold::Threshold::default()),
        udf(width::Width::default()),
    ]
}

/// The functions that run models: name order.
static WITH_MODELS: [ModelFunction; 8] = [
    classify::MODEL,
    count_objects::MODEL,
    detect::MODEL,
    detect_faces::MODEL,
    detect_objects::MODEL,
    embed::MODEL,
    face_embedding::MODEL,
    infer::MODEL,
];

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
    let own = WITH_MODELS.iter().rev().find(|f| f.chosen == Chosen::Named(model));
    own.map_or(task.function(), |f| f.name)
}

/// The functions of boxes, numbers and sizes: all others look at pixels.
const WITHOUT_PIXELS: [&str; 10] = [
    "box_area",
    "box_center",
    "box_iou",
    "cosine_similarity",
    "hamming_distance",
    "height",
    "l2_distance",
    "nms",
    "point_in_polygon",
    "width",
];

/// Whether a function looks at pixels, so that it is of no use where only the reference of a frame is left.
pub fn reads_pixels(name: &str) -> bool {
    !WITHOUT_PIXELS.contains(&name) && functions().iter().any(|f| f.name() == name)
}

/// The page docs/functions.md.
pub fn reference() -> String {
    let mut page = String::from(HEAD);
    for function in functions() {
        if let Some(doc) = function.documentation() {
            let example = doc.sql_example.as_deref().unwrap_or_default();
            page.push_str(&format!(
                "\n## {}\n\n    {}\n\n{}\n\n```sql\n{example};\n```\n",
                function.name(),
                doc.syntax_example,
                doc.description
            ));
        }
    }
    page
}

/// What holds for all functions.
const HEAD: &str = "# Functions of framesql

Generated from `udfs/src/function`, where each function has its file. Pixels count from the top left corner, x to the right, y down.

A picture that cannot be decoded gives NULL, not an error: `count(frame) - count(brightness(frame))` is how many there were. What a function passes on
unchanged it does not decode. A frame whose pixels are gone (after a window, in a view) is an error in every function that needs them.

A derived frame keeps the source, frame_no and ts of its original and never turns back into it.
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    /// Files of this folder that hold no function.
    const SHARED: [&str; 6] = ["boxes", "call", "glyphs", "inference", "mod", "neighbourhood"];

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
