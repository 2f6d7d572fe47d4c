//! CREATE MODEL: a user's own ONNX file under a name, loaded and tried before anything is changed.

use std::path::{Path, PathBuf};

use framesql_udfs::model::description::{Color, Decode, Fit, Layout, ModelDescription, Scores, Task};
use framesql_udfs::model::error::ModelError;
use framesql_udfs::model::{labels, onnx};

use crate::capture::location;
use crate::engine::Engine;
use crate::engine::catalog::model_key;
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::plan::parse::Statement;

/// The options, for the hint of one that is not among them.
const OPTIONS: &str = "input, layout, color, mean, std, fit, decode, scores, labels, score, iou, licence";

/// What the statement says.
pub(super) struct CreateModel<'a> {
    pub(super) name: &'a str,
    pub(super) or_replace: bool,
    pub(super) if_not_exists: bool,
    pub(super) file: &'a str,
    pub(super) task: &'a str,
    pub(super) options: &'a [(String, String)],
}

impl CreateModel<'_> {
    pub(super) async fn run(&self, session: &Session, statement: &Statement) -> Result<Outcome> {
        session.check_no_block("CREATE MODEL")?;
        let engine = session.engine();
        let _changing = engine.changing.lock().await;
        let done = || Ok(Outcome::Done { tag: "CREATE MODEL".into() });
        if engine.catalog.model(self.name).is_some() {
            if self.if_not_exists {
                session.skips("42710", format!("model \"{}\" already exists, skipping", self.name));
                return done();
            }
            if !self.or_replace {
                return Err(Error::Duplicate { kind: "model", name: self.name.to_owned() });
            }
        }
        engine.inference.models().free(self.name)?;
        let fence = &engine.settings.files;
        let (file, mut description) = (location::file(self.file, fence)?, self.description(fence)?);
        description.origin = file.display().to_string();
        self.check_dependents(engine, description.task)?;
        let models = std::sync::Arc::clone(engine.inference.models());
        // Reading and trying a model takes its time, which is no network thread's.
        let inserted = tokio::task::spawn_blocking(move || models.insert(description, read(&file)?).map_err(Error::from)).await;
        inserted.map_err(|e| Error::Internal(e.to_string()))??;
        let key = model_key(self.name);
        if let Some(store) = &engine.store {
            store.add(&key, &statement.text)?;
        }
        engine.catalog.put_model(self.name);
        engine.missing.forget(&key);
        engine.inference.set_not_started(self.name, None);
        done()
    }

    /// A model of another task would end the views that call it.
    fn check_dependents(&self, engine: &Engine, task: Task) -> Result<()> {
        let old = engine.inference.models().description(self.name);
        if old.is_none_or(|old| old.task == task) {
            return Ok(());
        }
        let dependents = engine.catalog.dependents(&model_key(self.name));
        if dependents.is_empty() {
            return Ok(());
        }
        let dependents = dependents.iter().map(|o| format!("{} {}", o.kind().word(), o.name)).collect();
        Err(Error::Dependents { kind: "model", name: self.name.to_owned(), dependents })
    }

    fn description(&self, fence: &[PathBuf]) -> Result<ModelDescription> {
        let task = word("task", self.task, &TASKS)?;
        let mut description = ModelDescription::new(self.name, task, 0, 0);
        for (key, value) in self.options {
            let number = || value.parse::<f32>().map_err(|_| wrong(key, value, "a number"));
            match key.as_str() {
                "input" => {
                    let size = value.split_once('x').and_then(|(w, h)| Some((w.trim().parse().ok()?, h.trim().parse().ok()?)));
                    (description.width, description.height) =
                        size.ok_or_else(|| wrong(key, value, "a width and a height such as '640x640'"))?;
                }
                "layout" => description.layout = word(key, value, &[("nchw", Layout::Nchw), ("nhwc", Layout::Nhwc)])?,
                "color" => description.color = word(key, value, &[("rgb", Color::Rgb), ("bgr", Color::Bgr), ("gray", Color::Gray)])?,
                "fit" => description.fit = Some(word(key, value, &[("stretch", Fit::Stretch), ("letterbox", Fit::Letterbox)])?),
                "mean" => description.mean = three(key, value)?,
                "std" => description.std = three(key, value)?,
                "decode" => description.decode = word(key, value, &DECODES)?,
                "scores" => description.scores = Some(word(key, value, &[("softmax", Scores::Softmax), ("none", Scores::None)])?),
                "labels" => description.labels = self.labels(value, fence)?,
                "score" => description.score = number()?,
                "iou" => description.iou = number()?,
                "licence" => description.licence = value.clone(),
                _ => {
                    return Err(Error::Option {
                        message: format!("option \"{key}\" of a model does not exist"),
                        hint: Some(format!("The options are {OPTIONS}.")),
                    });
                }
            }
        }
        if description.width == 0 && self.options.iter().all(|(key, _)| key != "input") {
            return Err(Error::Option {
                message: format!("model \"{}\" does not say how large its input is", self.name),
                hint: Some("Add WITH (input = '640x640'): the width and the height of the picture that it takes.".into()),
            });
        }
        description.check()?;
        Ok(description)
    }

    /// `coco80`, names with commas between them (one name has one behind it), or a file with a name a line.
    fn labels(&self, value: &str, fence: &[PathBuf]) -> Result<Vec<String>> {
        if let Some(known) = labels::named(value) {
            return Ok(known);
        }
        let kept = |names: Vec<&str>| names.into_iter().map(|name| name.trim().to_owned()).collect();
        if value.contains(',') {
            // A comma at the end has no name behind it: it tells one name from a file.
            return Ok(kept(value.trim_end().trim_end_matches(',').split(',').collect()));
        }
        // A word that looks like no file and is none: a detector of one class.
        if !value.contains(['/', '.', ':']) && !Path::new(value).exists() {
            return Ok(kept(vec![value]));
        }
        let file = location::file(value, fence)?;
        let text = std::fs::read_to_string(&file).map_err(|e| Error::io(format!("could not read file \"{}\"", file.display()), e))?;
        // Some editors begin a file of UTF-8 with a mark.
        let text = text.trim_start_matches('\u{feff}').trim_end();
        if text.is_empty() {
            let message = format!("file \"{}\" has no labels", file.display());
            return Err(Error::Option { message, hint: Some("It has a name a line.".into()) });
        }
        Ok(kept(text.lines().collect()))
    }
}

const TASKS: [(&str, Task); 5] = [
    ("detection", Task::Detection),
    ("classification", Task::Classification),
    ("embedding", Task::Embedding),
    ("segmentation", Task::Segmentation),
    ("raw", Task::Raw),
];

const DECODES: [(&str, Decode); 7] = [
    ("yolox", Decode::Yolox),
    ("yolov8", Decode::Yolov8),
    ("ssd", Decode::Ssd),
    ("nanodet", Decode::Nanodet),
    ("centernet", Decode::Centernet),
    ("yunet", Decode::Yunet),
    ("none", Decode::None),
];

fn wrong(key: &str, value: &str, expected: &str) -> Error {
    Error::Option { message: format!("option \"{key}\" is {expected}, not \"{value}\""), hint: None }
}

/// What a word stands for. Errs (22023) with the words that there are.
fn word<T: Copy>(key: &str, value: &str, words: &[(&str, T)]) -> Result<T> {
    let found = words.iter().find(|(word, _)| value.eq_ignore_ascii_case(word)).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        wrong(key, value, &format!("one of {}", all.join(", ")))
    })
}

/// One number for all colours, or one each: `'123.7, 116.3, 103.5'`.
fn three(key: &str, value: &str) -> Result<[f32; 3]> {
    let numbers: Option<Vec<f32>> = value.trim_matches(['[', ']', '(', ')']).split(',').map(|n| n.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some([one]) => Ok([*one; 3]),
        Some([a, b, c]) => Ok([*a, *b, *c]),
        _ => Err(wrong(key, value, "a number, or one for each colour such as '123.7, 116.3, 103.5'")),
    }
}

/// The bytes of a model's file; more than a model may have are not read.
fn read(file: &Path) -> Result<Vec<u8>> {
    let failed = |e| Error::io(format!("could not read file \"{}\"", file.display()), e);
    let length = file.metadata().map_err(failed)?.len();
    if usize::try_from(length).is_ok_and(|length| length <= onnx::MAX_FILE_BYTES) {
        return std::fs::read(file).map_err(failed);
    }
    let message = format!("file \"{}\" has {length} bytes, and a model has at most {}", file.display(), onnx::MAX_FILE_BYTES);
    Err(ModelError::Description { message, hint: "Weights beside the file are not read: export it as one file.".to_owned() }.into())
}
