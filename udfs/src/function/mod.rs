//! The SQL functions over pictures: one file a function, one list of them.

mod adaptive_threshold;
mod blur;
mod box_area;
mod box_center;
mod box_iou;
mod boxes;
mod brightness;
mod call;
mod canny;
mod contrast;
mod crop;
mod detect_faces;
mod dilate;
mod dominant_color;
mod draw_boxes;
mod equalize_histogram;
mod erode;
mod flip;
mod gaussian_blur;
mod glyphs;
mod grayscale;
mod hamming_distance;
mod height;
mod histogram;
mod is_blurred;
mod is_dark;
mod jpeg;
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

/// The list: name order.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    fn udf(f: impl ScalarUDFImpl + 'static) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(f))
    }
    vec![
        udf(adaptive_threshold::AdaptiveThreshold::default()),
        udf(blur::Blur::default()),
        udf(box_area::BoxArea::default()),
        udf(box_center::BoxCenter::default()),
        udf(box_iou::BoxIou::default()),
        udf(brightness::Brightness::default()),
        udf(canny::Canny::default()),
        udf(contrast::Contrast::default()),
        udf(crop::Crop::default()),
        udf(detect_faces::DetectFaces::default()),
        udf(dilate::Dilate::default()),
        udf(dominant_color::DominantColor::default()),
        udf(draw_boxes::DrawBoxes::default()),
        udf(equalize_histogram::EqualizeHistogram::default()),
        udf(erode::Erode::default()),
        udf(flip::Flip::default()),
        udf(gaussian_blur::GaussianBlur::default()),
        udf(grayscale::Grayscale::default()),
        udf(hamming_distance::HammingDistance::default()),
        udf(height::Height::default()),
        udf(histogram::Histogram::default()),
        udf(is_blurred::IsBlurred::default()),
        udf(is_dark::IsDark::default()),
        udf(jpeg::Jpeg::default()),
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

/// Whether a function runs a model, so that the planner hoists its calls.
pub fn is_model(name: &str) -> bool {
    crate::model::model_of(name).is_some()
}

/// The functions of boxes, numbers and sizes: all others look at pixels.
const WITHOUT_PIXELS: [&str; 8] = ["box_area", "box_center", "box_iou", "hamming_distance", "height", "nms", "point_in_polygon", "width"];

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
    const SHARED: [&str; 5] = ["boxes", "call", "glyphs", "mod", "neighbourhood"];

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
