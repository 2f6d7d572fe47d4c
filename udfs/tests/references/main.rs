//! The models of the manifest against their reference runtimes, on tract and on ONNX Runtime: TensorFlow.js for those that are converted, Python's onnxruntime for all.
//!
//! Not among the tests that `cargo test` runs, as it needs what the README says: FRAMESQL_REFERENCES names a folder with the models and what the references gave.
//! `tests/shared/run references` fills such a folder with the models as they are pulled, and runs it.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

use std::path::{Path, PathBuf};

use arrow::buffer::Buffer;
use framesql_udfs::frame::{ColorMatrix, ColorRange, Picture, PixelFormat};
use framesql_udfs::model::description::{Layout, ModelDescription, Task};
use framesql_udfs::model::models::Models;
use framesql_udfs::model::output::Output;
use framesql_udfs::model::tfjs::onnx_from_tfjs;
use serde_json::Value;

/// Name, width and height, layout, mean and std as the references have them, the outputs that a converted graph keeps (none: the file is ONNX already).
type Pulled = (&'static str, (u32, u32), Layout, f32, f32, &'static [&'static str]);

const MODELS: [Pulled; 6] = [
    ("nanodet", (416, 416), Layout::Nchw, 116.0, 57.0, &["Identity", "Identity_1", "Identity_2", "Identity_3", "Identity_4", "Identity_5"]),
    ("faceres", (224, 224), Layout::Nhwc, -1024.0, 8.0, &["global_pooling/Mean", "conv_pw_7_relu/clip_by_value"]),
    ("centernet", (512, 512), Layout::Nhwc, 0.0, 1.0, &["tower_0/wh", "tower_0/keypoints"]),
    ("yunet", (640, 384), Layout::Nchw, 0.0, 1.0, &[]),
    ("text-detection", (640, 480), Layout::Nchw, 127.5, 127.5, &[]),
    ("text-recognition", (320, 48), Layout::Nchw, 127.5, 127.5, &[]),
];

/// What two runtimes may differ by, as a share of the greatest value.
const TOLERANCE: f32 = 1e-3;

/// The picture whose bytes, in the order of the input, are 7919 i mod 256.
fn pattern((width, height): (u32, u32), layout: Layout) -> Picture {
    let byte = |x: u32, y: u32, colour: u32| {
        let at = match layout {
            Layout::Nchw => (colour * height + y) * width + x,
            Layout::Nhwc => (y * width + x) * 3 + colour,
        };
        (u64::from(at) * 7919 % 256) as u8
    };
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let bytes: Vec<u8> = places.flat_map(|(x, y)| [byte(x, y, 0), byte(x, y, 1), byte(x, y, 2)]).collect();
    let (range, matrix) = (ColorRange::Full, ColorMatrix::Bt601);
    Picture { format: PixelFormat::Rgb8, width, height, range, matrix, rotation: 0, planes: [Some(Buffer::from_vec(bytes)), None, None] }
}

/// The folder of models and of what the references gave.
fn folder() -> PathBuf {
    let folder = std::env::var_os("FRAMESQL_REFERENCES");
    folder.map(PathBuf::from).expect("FRAMESQL_REFERENCES names the folder that README.md says how to fill")
}

/// The ONNX file of a model, made of what it is converted from if that is there, and then written for reference.py; None if neither is there.
fn file(folder: &Path, name: &str, outputs: &[&str]) -> Option<Vec<u8>> {
    let path = folder.join(format!("{name}.onnx"));
    if outputs.is_empty() {
        return std::fs::read(path).ok();
    }
    let Ok(json) = std::fs::read(folder.join(format!("{name}.json"))) else {
        // As it was converted when it was pulled.
        return std::fs::read(path).ok();
    };
    let weights = std::fs::read(folder.join(format!("{name}.bin"))).unwrap();
    let onnx = onnx_from_tfjs(&json, &weights, outputs).unwrap();
    assert_eq!(onnx, onnx_from_tfjs(&json, &weights, outputs).unwrap(), "{name} is converted to another file each time");
    std::fs::write(path, &onnx).unwrap();
    Some(onnx)
}

/// Compares every model whose file is there with every reference of it that is there, and tells how many outputs were compared. A file without a reference has failed.
fn compared(models: &Models, folder: &Path) -> usize {
    let mut n_compared = 0;
    for (name, size, layout, mean, std, outputs) in MODELS {
        let Some(file) = file(folder, name, outputs) else { continue };
        // The embedded model has the name already.
        let here = format!("{name}-here");
        let description =
            ModelDescription { layout, mean: [mean; 3], std: [std; 3], ..ModelDescription::new(&here, Task::Raw, size.0, size.1) };
        models.insert(description, file).unwrap();
        let Output::Tensors(made) = models.get(&here).unwrap().new_session().infer(&pattern(size, layout)).unwrap() else { panic!() };
        let references = [format!("{name}.expected.json"), format!("{name}.onnx.expected.json")];
        let references: Vec<String> = references.iter().filter_map(|file| std::fs::read_to_string(folder.join(file)).ok()).collect();
        assert!(!references.is_empty(), "{name} has no reference");
        for reference in references {
            let expected: Value = serde_json::from_str(&reference).unwrap();
            let expected = expected.as_array().unwrap();
            assert_eq!(made.len(), expected.len(), "{name} has so many outputs");
            for (made, expected) in made.iter().zip(expected) {
                let values: Vec<f32> = expected["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
                assert_eq!((made.name.as_str(), made.values.len()), (expected["name"].as_str().unwrap(), values.len()), "{name}");
                let most = values.iter().fold(1.0_f32, |most, v| most.max(v.abs()));
                let off = made.values.iter().zip(&values).fold(0.0_f32, |off, (a, b)| off.max((a - b).abs()));
                assert!(off <= TOLERANCE * most, "{name} {} on {}: off by {off} of {most}", made.name, models.runtime());
                n_compared += 1;
            }
        }
    }
    eprintln!("{n_compared} outputs compared on {}", models.runtime());
    n_compared
}

#[test]
fn tract_gives_what_the_references_give() {
    assert!(compared(&Models::default(), &folder()) > 0, "the folder has no model with a reference beside it");
}

#[test]
fn onnx_runtime_gives_what_the_references_give() {
    let library = std::env::var_os("ORT_DYLIB_PATH").expect("ORT_DYLIB_PATH names the library of ONNX Runtime");
    let models = Models::default();
    models.use_onnxruntime(Path::new(&library)).unwrap();
    assert!(compared(&models, &folder()) > 0, "the folder has no model with a reference beside it");
}
