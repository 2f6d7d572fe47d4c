//! Models from ONNX files: what is loaded, what is refused and why, and what they give for pictures whose answer is known.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod graph;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::buffer::Buffer;
use framesql_udfs::detection::Detection;
use framesql_udfs::frame::{ColorMatrix, ColorRange, Picture, PixelFormat};
use framesql_udfs::model::description::{Color, Decode, Layout, ModelDescription, Scores, Task};
use framesql_udfs::model::error::ModelError;
use framesql_udfs::model::models::Models;
use framesql_udfs::model::onnx::sha256;
use framesql_udfs::model::output::Output;
use tract_onnx::pb::tensor_proto::DataType;

use graph::{
    bright_cells, four_classes, long_work, mean_and_picture, mean_by_itself, mean_colour, mean_gray, mean_then, no_number, of_two_pictures,
    wide_work,
};

fn picture(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Picture {
    let bytes: Vec<u8> = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| pixel(x, y)).collect();
    let (range, matrix) = (ColorRange::Full, ColorMatrix::Bt601);
    Picture { format: PixelFormat::Rgb8, width, height, range, matrix, rotation: 0, planes: [Some(Buffer::from_vec(bytes)), None, None] }
}

fn run(models: &Models, name: &str, picture: &Picture) -> Output {
    models.get(name).unwrap().new_session().infer(picture).unwrap()
}

fn colours(name: &str, task: Task) -> ModelDescription {
    ModelDescription::new(name, task, 8, 8)
}

fn detector() -> ModelDescription {
    let labels = vec!["red".to_owned(), "blue".to_owned()];
    ModelDescription { decode: Decode::Yolox, labels, score: 0.3, ..ModelDescription::new("cells", Task::Detection, 32, 32) }
}

fn refused(description: ModelDescription, file: Vec<u8>) -> String {
    let models = Models::default();
    let name = description.name.clone();
    let error = models.insert(description, file).unwrap_err();
    assert!(matches!(models.get(&name), Err(ModelError::NotFound { .. })), "a model that is refused is there");
    assert_eq!(error.sqlstate(), "22023");
    error.to_string()
}

#[test]
fn a_classifier_gives_every_class_the_surest_first() {
    let models = Models::default();
    let labels = ["red", "green", "blue"].map(str::to_owned).to_vec();
    let description = ModelDescription { labels, std: [255.0; 3], ..colours("colours", Task::Classification) };
    models.insert(description, mean_colour()).unwrap();
    let Output::Classes(classes) = run(&models, "colours", &picture(20, 10, |_, _| [0, 255, 51])) else { panic!("no classes") };
    assert_eq!(classes.iter().map(|c| c.label.as_str()).collect::<Vec<_>>(), ["green", "blue", "red"]);
    // Softmax of 1, 0.2 and 0.
    let (sum, share) = (1_f32.exp() + 0.2_f32.exp() + 1.0, |v: f32| v.exp());
    let expected = [share(1.0) / sum, share(0.2) / sum, 1.0 / sum];
    assert!(classes.iter().zip(expected).all(|(c, e)| (c.score - e).abs() < 1e-5), "{classes:?}");
}

#[test]
fn scores_are_made_the_same_of_every_picture() {
    let models = Models::default();
    let classifier = |scores| ModelDescription { std: [255.0; 3], scores, ..colours("m", Task::Classification) };
    // The means of the first picture happen to be shares, those of the others are none.
    let pictures = [[255, 0, 0], [255, 255, 0], [51, 102, 0]].map(|pixel| picture(8, 8, move |_, _| pixel));
    let scores = |picture: &Picture| match run(&models, "m", picture) {
        Output::Classes(mut classes) => {
            classes.sort_by(|a, b| a.label.cmp(&b.label));
            classes.into_iter().map(|c| c.score).collect::<Vec<f32>>()
        }
        other => panic!("{other:?}"),
    };
    let softmax = |numbers: [f32; 3]| {
        let sum: f32 = numbers.iter().map(|n| n.exp()).sum();
        numbers.map(|n| n.exp() / sum)
    };
    let means = [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.2, 0.4, 0.0]];
    let near = |ours: Vec<f32>, expected: [f32; 3]| {
        assert!(ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{ours:?} instead of {expected:?}");
    };
    for said in [None, Some(Scores::Softmax)] {
        models.insert(classifier(said), mean_colour()).unwrap();
        pictures.iter().zip(means).for_each(|(picture, means)| near(scores(picture), softmax(means)));
    }
    models.insert(classifier(Some(Scores::None)), mean_colour()).unwrap();
    pictures.iter().zip(means).for_each(|(picture, means)| near(scores(picture), means));
    // A graph that ends in scores keeps them, whatever shape they are put in behind.
    for last in [vec![("Softmax", "axis", 1)], vec![("Softmax", "axis", 1), ("Flatten", "axis", 1)]] {
        models.insert(classifier(None), mean_then(&last)).unwrap();
        pictures.iter().zip(means).for_each(|(picture, means)| near(scores(picture), softmax(means)));
    }
    models.insert(classifier(None), mean_then(&[("Sigmoid", "axis", 1)])).unwrap();
    let sigmoid = |numbers: [f32; 3]| numbers.map(|n| 1.0 / (1.0 + (-n).exp()));
    pictures.iter().zip(means).for_each(|(picture, means)| near(scores(picture), sigmoid(means)));
    let twice = ModelDescription { scores: Some(Scores::Softmax), ..classifier(None) };
    models.insert(twice, mean_then(&[("Softmax", "axis", 1)])).unwrap();
    near(scores(&pictures[0]), softmax(softmax(means[0])));
    let raw = ModelDescription { scores: Some(Scores::None), ..colours("m", Task::Raw) };
    assert!(refused(raw, mean_colour()).contains("says what its scores are and is no classification model"));
}

#[test]
fn a_classifier_that_gives_the_place_of_a_class_is_refused() {
    // In floats, too.
    let file = mean_then(&[("ArgMax", "axis", 1), ("Cast", "to", DataType::Float as i64)]);
    let error = Models::default().insert(colours("m", Task::Classification), file.clone()).unwrap_err();
    let expected = "its output is whole numbers (ArgMax), and a classification model gives one score a class";
    assert!(error.to_string().contains(expected), "{error}");
    assert!(error.hint().unwrap().contains("TASK raw"));
    Models::default().insert(colours("m", Task::Raw), file).unwrap();
}

#[test]
fn a_graph_that_takes_several_pictures_at_once_is_refused() {
    let error = refused(colours("m", Task::Raw), of_two_pictures());
    assert!(error.contains("its input is a batch of 2 pictures, and it is given one at a time"), "{error}");
}

#[test]
fn the_boxes_of_an_ssd_of_four_classes_are_told_by_name_or_refused() {
    let ssd = || ModelDescription { decode: Decode::Ssd, ..colours("m", Task::Detection) };
    for (first, boxes, scores) in
        [(true, "boxes", "b"), (false, "boxes", "b"), (true, "a", "scores"), (false, "a", "scores"), (true, "loc", "conf")]
    {
        let models = Models::default();
        models.insert(ssd(), four_classes(first, boxes, scores)).unwrap();
        let Output::Detections(found) = run(&models, "m", &picture(100, 50, |_, _| [9; 3])) else { panic!("no detections") };
        assert_eq!(found.len(), 1, "{boxes} {scores}");
        let Detection { label, bbox, .. } = &found[0];
        let sides = [bbox.x, bbox.y, bbox.w, bbox.h];
        assert!(label == "1" && sides.iter().zip([10.0, 10.0, 40.0, 20.0]).all(|(a, b)| (a - b).abs() < 1e-3), "{found:?}");
    }
    for (boxes, scores) in [("a", "b"), ("box_scores", "b"), ("boxes", "locations")] {
        let error = refused(ssd(), four_classes(true, boxes, scores));
        assert!(error.contains("one is named so where both are [1, n, 4]"), "{error}");
    }
}

#[test]
fn an_embedder_gives_one_vector_and_a_raw_model_all_its_outputs() {
    let models = Models::default();
    models.insert(colours("vector", Task::Embedding), mean_colour()).unwrap();
    models.insert(colours("all", Task::Raw), mean_and_picture()).unwrap();
    let shot = picture(8, 8, |x, _| [if x < 4 { 100 } else { 50 }, 0, 200]);
    let Output::Embedding(vector) = run(&models, "vector", &shot) else { panic!("no vector") };
    assert_eq!(vector, [75.0, 0.0, 200.0]);
    let output = run(&models, "all", &shot);
    assert!(output.bytes() > 4 * (3 + 192));
    let Output::Tensors(all) = output else { panic!("no tensors") };
    assert_eq!(
        all.iter().map(|t| (t.name.as_str(), t.shape.as_slice())).collect::<Vec<_>>(),
        [("mean", &[1, 3][..]), ("same", &[1, 3, 8, 8])]
    );
    assert_eq!((all[1].values[0], all[1].values[7], all[1].values[191]), (100.0, 50.0, 200.0));
    assert!(refused(colours("vector", Task::Embedding), mean_and_picture()).contains("an embedding model gives one vector"));
}

#[test]
fn gray_bytes_and_halves_are_inputs_too() {
    let models = Models::default();
    let gray = |name: &str| ModelDescription { color: Color::Gray, ..colours(name, Task::Embedding) };
    models.insert(ModelDescription { layout: Layout::Nhwc, ..gray("bytes") }, mean_gray(DataType::Uint8, &[1, 8, 8, 1])).unwrap();
    models.insert(ModelDescription { std: [255.0; 3], ..gray("halves") }, mean_gray(DataType::Float16, &[1, 1, 8, 8])).unwrap();
    // OpenCV's cvtColor gives 150 for green, of which a half has 10 bits.
    let shot = picture(8, 8, |_, _| [0, 255, 0]);
    let mean = |name: &str| match run(&models, name, &shot) {
        Output::Embedding(vector) => vector,
        other => panic!("{other:?}"),
    };
    assert_eq!(mean("bytes"), [150.0]);
    let halves = mean("halves");
    assert!(halves.len() == 1 && (halves[0] - 150.0 / 255.0).abs() < 1e-3, "{halves:?}");
    let double = refused(gray("double"), mean_gray(DataType::Double, &[1, 1, 8, 8]));
    assert!(double.contains("its input is not of 32-bit or 16-bit floats, nor of bytes"), "{double}");
    let three = refused(colours("three", Task::Embedding), mean_gray(DataType::Float, &[1, 1, 8, 8]));
    assert!(three.contains("its input is [1, 1, 8, 8], and the description makes [1, 3, 8, 8]"), "{three}");
}

#[test]
fn a_detector_finds_boxes_in_pixels_of_the_picture() {
    let models = Models::default();
    models.insert(detector(), bright_cells()).unwrap();
    // Twice the size of the input, and a third lower: the letterbox's lower part is gray. A white-red field covers one cell of stride 8.
    let shot = picture(64, 40, |x, y| if (16..32).contains(&x) && y < 16 { [255, 200, 100] } else { [0; 3] });
    let Output::Detections(found) = run(&models, "cells", &shot) else { panic!("no detections") };
    let best: &Detection = found.first().unwrap();
    assert_eq!(best.label, "red");
    // Its edges are blurred by the scaling.
    assert!(best.score > 0.6 && best.score <= 555.0 / 765.0 + 1e-5, "{best:?}");
    let b = best.bbox;
    assert_eq!((b.x, b.y, b.w, b.h), (16.0, 0.0, 16.0, 16.0));
    assert!(found.iter().all(|d| d.bbox.x + d.bbox.w <= 64.0 && d.bbox.y + d.bbox.h <= 40.0), "{found:?}");
    // A lower default is a lower floor, and another key.
    let key = models.get("cells").unwrap().key().to_owned();
    models.insert(ModelDescription { score: 0.05, ..detector() }, bright_cells()).unwrap();
    let lower = models.get("cells").unwrap();
    assert_eq!(lower.floor_score(), 0.05);
    assert_ne!(lower.key(), key);
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let file = mean_colour();
    let is = |error: String, text: &str| assert!(error.contains(text), "{error}");
    is(refused(colours("m", Task::Embedding), file[..file.len() / 2].to_vec()), "model \"m\" cannot be loaded: ");
    is(refused(colours("m", Task::Embedding), Vec::new()), "model \"m\" cannot be loaded: ");
    is(refused(colours("m", Task::Embedding), b"GIF89a".to_vec()), "model \"m\" cannot be loaded: ");
    is(
        refused(ModelDescription::new("m", Task::Embedding, 16, 8), file.clone()),
        "its input is [1, 3, 8, 8], and the description makes [1, 3, 8, 16]",
    );
    is(refused(ModelDescription { layout: Layout::Nhwc, ..colours("m", Task::Embedding) }, file.clone()), "[1, 8, 8, 3]");
    is(
        refused(ModelDescription { labels: vec!["one".into()], ..colours("m", Task::Classification) }, file.clone()),
        "3 classes and the description names 1",
    );
    is(refused(ModelDescription { sha256: "00".repeat(32), ..colours("m", Task::Embedding) }, file.clone()), "its file has the sha256");
    is(refused(ModelDescription { decode: Decode::Yolox, ..colours("m", Task::Detection) }, file.clone()), "and it gives mean [1, 3]");
    is(refused(colours("m", Task::Detection), file.clone()), "does not say how its output is read");
    is(refused(ModelDescription { decode: Decode::Ssd, ..colours("m", Task::Raw) }, file.clone()), "is no detection model");
    is(refused(ModelDescription { std: [1.0, 0.0, 1.0], ..colours("m", Task::Raw) }, file.clone()), "std is zero");
    is(refused(ModelDescription::new("m", Task::Raw, 0, 8), file.clone()), "an input of 0x8");
    is(refused(colours("m", Task::Raw), no_number()), "output mean holds a number that is not finite");
}

#[test]
fn no_number_for_one_picture_is_an_error_of_that_picture() {
    let models = Models::default();
    models.insert(colours("m", Task::Embedding), mean_by_itself()).unwrap();
    let mut session = models.get("m").unwrap().new_session();
    let error = session.infer(&picture(8, 8, |_, _| [0, 9, 9])).unwrap_err();
    assert!(ModelError::of_one_picture(&error), "{error}");
    assert_eq!(ModelError::caused(&error).unwrap().to_string(), "model \"m\" has failed: output share holds a number that is not finite");
    assert_eq!(session.infer(&picture(8, 8, |_, _| [3, 9, 9])).unwrap(), Output::Embedding(vec![1.0; 3]));
}

#[test]
fn damaged_files_are_refused_or_run_and_nothing_panics() {
    let file = bright_cells();
    for step in 0..200_usize {
        let mut bytes = file.clone();
        let at = step * 7919 % bytes.len();
        bytes[at] ^= 1 << (step % 8);
        let models = Models::default();
        if models.insert(detector(), bytes).is_ok() {
            run(&models, "cells", &picture(32, 32, |x, y| [x as u8, y as u8, 0]));
        }
    }
    for length in (0..file.len()).step_by(37) {
        let _ = Models::default().insert(detector(), file[..length].to_vec());
    }
}

#[test]
fn a_model_is_replaced_under_a_higher_version_and_the_old_one_goes_on() {
    let models = Models::default();
    models.insert(colours("m", Task::Embedding), mean_colour()).unwrap();
    let old = models.get("m").unwrap();
    models.insert(colours("m", Task::Raw), mean_and_picture()).unwrap();
    let new = models.get("m").unwrap();
    assert_eq!((old.version(), new.version(), old.task(), new.task()), ("1", "2", Task::Embedding, Task::Raw));
    assert!(old.new_session().infer(&picture(8, 8, |_, _| [1, 2, 3])).is_ok());
    // One that cannot be loaded leaves what was there.
    assert!(models.insert(colours("m", Task::Raw), no_number()).is_err());
    assert!(Arc::ptr_eq(&models.get("m").unwrap(), &new));
    assert!(models.remove("m") && !models.remove("m"));
    assert_eq!(models.get("m").unwrap_err().to_string(), "model \"m\" does not exist");
}

#[test]
fn two_registries_do_not_meet_and_the_embedded_model_stays() {
    let (one, other) = (Models::default(), Models::default());
    one.insert(colours("m", Task::Raw), mean_colour()).unwrap();
    assert!(other.get("m").is_err());
    let names =
        |models: &Models| models.list().iter().map(|l| (l.description.name.clone(), l.state, l.version.clone())).collect::<Vec<_>>();
    assert_eq!(names(&one), [("face-yunet".into(), "embedded", "2023mar".into()), ("m".into(), "loaded", "1".into())]);
    assert_eq!(one.list()[1].runtime, Some("tract"));
    assert!(!one.remove("yunet"));
    let error = one.insert(colours("yunet", Task::Raw), mean_colour()).unwrap_err();
    assert_eq!(error.to_string(), "model \"yunet\" is part of framesql and cannot be replaced");
}

/// A file that is gone when the test is.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, bytes: &[u8]) -> Temporary {
        let path = std::env::temp_dir().join(format!("framesql-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Temporary(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn an_offered_model_is_loaded_at_its_first_use_and_only_if_it_is_the_one_that_was_named() {
    let models = Models::default();
    let described = |sha256: String| ModelDescription { sha256, ..colours("m", Task::Embedding) };
    let hint = "Run framesql models pull m.";
    let file = Temporary::new("offered.onnx", &mean_colour());
    let nowhere = vec![file.0.with_extension("gone")];
    models.offer(described(sha256(&mean_colour())), nowhere.clone(), hint).unwrap();
    assert_eq!(models.list()[1].state, "not installed");
    let error = models.get("m").unwrap_err();
    assert_eq!((error.to_string(), error.hint().unwrap()), ("model \"m\" is not installed".into(), "Run framesql models pull m.".into()));
    assert_eq!(error.sqlstate(), "55000");
    let files: Vec<PathBuf> = nowhere.into_iter().chain([file.0.clone()]).collect();
    assert!(models.offer(described(String::new()), files.clone(), hint).is_err());
    models.offer(described(sha256(&mean_and_picture())), files.clone(), hint).unwrap();
    assert!(models.get("m").unwrap_err().to_string().contains("its file has the sha256"));
    models.offer(described(sha256(&mean_colour())), files, hint).unwrap();
    assert_eq!(models.list()[1].state, "installed");
    let model = models.get("m").unwrap();
    assert_eq!((models.list()[1].state, model.version()), ("loaded", "3"));
    assert!(Arc::ptr_eq(&model, &models.get("m").unwrap()));
    models.offer(described(sha256(&mean_colour())), vec![std::env::temp_dir()], hint).unwrap();
    assert!(matches!(models.get("m"), Err(ModelError::NotInstalled { .. })));
}

#[test]
fn a_library_that_is_none_leaves_tract() {
    let models = Models::default();
    let file = Temporary::new("library.so", b"no library");
    assert!(models.use_onnxruntime(&file.0).is_err());
    assert_eq!(models.runtime(), "tract");
}

#[test]
fn a_graph_that_takes_too_long_or_too_much_is_stopped() {
    let models = Models::new(Duration::from_millis(30));
    let error = models.insert(colours("slow", Task::Embedding), long_work(512)).unwrap_err();
    assert!(error.to_string().contains("it took longer than 30ms for one picture"), "{error}");
    models.insert(colours("quick", Task::Embedding), mean_colour()).unwrap();
    // A matrix of 16384 by 16384 has 1 GB.
    assert!(refused(colours("large", Task::Embedding), long_work(16_384)).contains("has more than 67108864 numbers"));
    // Nine of 6000 by 6000 have 1.2 GB, each of them 137 MB; of eight by eight there is room for any number.
    let wide = refused(colours("wide", Task::Embedding), wide_work(6000));
    assert!(wide.contains("MB at once, and 1024 MB are the limit of a call"), "{wide}");
    models.insert(colours("narrow", Task::Embedding), wide_work(8)).unwrap();
}

#[test]
fn many_threads_use_one_model_at_once() {
    let models = Models::default();
    models.insert(colours("m", Task::Embedding), mean_colour()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let models = &models;
            scope.spawn(move || {
                for round in 0..20_u8 {
                    let value = thread * 20 + round;
                    assert_eq!(run(models, "m", &picture(8, 8, |_, _| [value, 0, 0])), Output::Embedding(vec![f32::from(value), 0.0, 0.0]));
                }
            });
        }
    });
}

#[test]
fn the_files_that_the_tests_of_sql_read_are_these_graphs() {
    for (name, file) in [
        ("bright_cells", bright_cells()),
        ("mean_colour", mean_colour()),
        ("mean_and_picture", mean_and_picture()),
        ("mean_by_itself", mean_by_itself()),
    ] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/models/{name}.onnx"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &file).unwrap();
        }
        assert!(std::fs::read(&path).unwrap_or_default() == file, "{name}.onnx is another graph: run UPDATE=1 cargo test -p framesql-udfs");
    }
}
