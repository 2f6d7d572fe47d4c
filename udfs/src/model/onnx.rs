//! A model from an ONNX file: checked when it is loaded, run by the runtime of the engine, its output read as its description says.

use std::fmt;
use std::sync::Arc;

use arrow::buffer::Buffer;
use datafusion_common::{DataFusionError, Result};
use sha2::{Digest, Sha256};

use super::decode;
use super::description::{ModelDescription, Task};
use super::error::ModelError;
use super::input::{Input, Placed};
use super::output::{Class, Output, Tensor};
use super::runtime::{Graph, GraphSession, MAX_ELEMENTS, Runtime, guarded};
use super::{Model, Session, scores};
use crate::frame::Picture;
use crate::pixels::rgb8;

/// The least score that a detector gives, unless its own default is lower: every threshold above it is a filter on the same result.
pub const FLOOR_SCORE: f32 = 0.1;
/// The largest file that is read: 1 GiB.
pub const MAX_FILE_BYTES: usize = 1 << 30;

/// The model; its sessions share it.
pub(super) struct OnnxModel(Arc<Shared>);

struct Shared {
    description: ModelDescription,
    version: String,
    key: String,
    runtime: &'static str,
    graph: Arc<dyn Graph>,
    input: Input,
    /// Whether the scores of a classification model are made shares: the same for all pictures.
    softmax: bool,
}

impl fmt::Debug for OnnxModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnnxModel").field("name", &self.0.description.name).field("runtime", &self.0.runtime).finish_non_exhaustive()
    }
}

/// The sha256 of some bytes, lower case hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl OnnxModel {
    /// Loads a file and looks at a gray picture once. Errs if the file is not the one that the description names, cannot be loaded, has another
    /// input than the description, gives shapes that its task or its decoder does not read, or a number that is not finite.
    pub(super) fn load(
        mut description: ModelDescription,
        version: u64,
        file: Vec<u8>,
        runtime: &dyn Runtime,
    ) -> Result<OnnxModel, ModelError> {
        description.check()?;
        let name = description.name.clone();
        let bad = |message: String, hint: Option<&str>| ModelError::File { name: name.clone(), message, hint: hint.map(str::to_owned) };
        if file.len() > MAX_FILE_BYTES {
            return Err(bad(format!("its file has {} bytes, and {MAX_FILE_BYTES} are the most", file.len()), None));
        }
        let found = sha256(&file);
        if !description.sha256.is_empty() && !description.sha256.eq_ignore_ascii_case(&found) {
            let message = format!("its file has the sha256 {found}, not {}", description.sha256);
            return Err(bad(message, Some("Fetch the file again: it is damaged, or another one.")));
        }
        description.sha256 = found;
        let file: Arc<[u8]> = file.into();
        let graph = guarded(|| runtime.load(Arc::clone(&file)))
            .map_err(|m| bad(m, Some("It must be a whole ONNX file whose only input is a picture.")))?;
        check_input(&description, graph.input()).map_err(|(message, hint)| bad(message, Some(hint)))?;
        let (input, key) = (Input::new(&description), key(&description));
        let version = version.to_string();
        let shared = Shared { description, version, key, runtime: runtime.name(), graph, input, softmax: false };
        let model = OnnxModel(Arc::new(shared.decided(&file).map_err(|(message, hint)| bad(message, Some(hint)))?));
        let gray = rgb8(64, 64, 0, Buffer::from_vec(vec![128_u8; 64 * 64 * 3]));
        match model.new_session().infer(&gray) {
            Ok(_) => Ok(model),
            Err(error) => {
                let message = match ModelError::caused(&error) {
                    Some(ModelError::Failed { message, .. }) => message.clone(),
                    Some(ModelError::NotFinite { output, .. }) => format!("output {output} holds a number that is not finite"),
                    _ => error.strip_backtrace(),
                };
                Err(bad(message, Some("It is tried on a gray picture when it is loaded.")))
            }
        }
    }
}

impl Shared {
    /// The same, knowing whether its scores are made shares.
    fn decided(self, file: &[u8]) -> Result<Shared, (String, &'static str)> {
        if self.description.task != Task::Classification {
            return Ok(self);
        }
        let (mut session, mut numbers) = (None, Vec::new());
        // What fails here fails again when it is looked at on its own.
        let tried = |picture: &Picture| Some(self.tensors(picture, &mut session, &mut numbers).ok()?.0.into_iter().next()?.values);
        let softmax = scores::softmax(self.description.scores, file, tried)?;
        Ok(Shared { softmax, ..self })
    }

    /// What the graph gives for a picture, and how that was fitted. The session is opened if it is not there, and gone if it failed.
    fn tensors(
        &self,
        picture: &Picture,
        session: &mut Option<Box<dyn GraphSession>>,
        numbers: &mut Vec<f32>,
    ) -> Result<(Vec<Tensor>, Placed)> {
        let placed = self.input.fill(picture, numbers)?;
        let held = session.take();
        let (tensors, graph) = guarded(|| {
            let mut graph = match held {
                Some(graph) => graph,
                None => Arc::clone(&self.graph).session()?,
            };
            let tensors = graph.run(&self.description.input_shape(), numbers)?;
            Ok((tensors, graph))
        })
        .map_err(|message| self.failed(message))?;
        *session = Some(graph);
        Ok((tensors, placed))
    }

    fn failed(&self, message: String) -> DataFusionError {
        ModelError::Failed { name: self.description.name.clone(), message }.into()
    }
}

/// Under which name results are kept: the file, and all of the description that changes what is made of it.
fn key(description: &ModelDescription) -> String {
    let ModelDescription { task, sha256: file, width, height, layout, color, mean, std, decode, scores, labels, iou, .. } = description;
    let floor = floor(description);
    let mut all = format!(
        "{file} {task:?} {width} {height} {layout:?} {color:?} {mean:?} {std:?} {:?} {decode:?} {labels:?} {iou} {floor}",
        description.fitted()
    );
    // Those of a model that says nothing of its scores stay what they were.
    if let Some(scores) = scores {
        all.push_str(&format!(" {scores:?}"));
    }
    sha256(all.as_bytes())
}

fn floor(description: &ModelDescription) -> f32 {
    description.score.min(FLOOR_SCORE)
}

fn check_input(description: &ModelDescription, declared: &[Option<usize>]) -> Result<(), (String, &'static str)> {
    let wanted = description.input_shape();
    if wanted.iter().product::<usize>() > MAX_ELEMENTS {
        return Err((format!("an input of {wanted:?} has more than {MAX_ELEMENTS} numbers"), "Use a smaller width or height."));
    }
    // A graph that does not say is asked by the gray picture.
    let Some(batch) = declared.first() else { return Ok(()) };
    if let Some(batch) = batch.filter(|batch| *batch != 1) {
        let message = format!("its input is a batch of {batch} pictures, and it is given one at a time");
        return Err((message, "Export it with a batch of 1, or of any size (dynamic axes)."));
    }
    let fits = declared.len() == wanted.len()
        && declared.iter().zip(wanted).skip(1).all(|(declared, wanted)| declared.is_none_or(|d| d == wanted));
    if fits {
        return Ok(());
    }
    let side = |side: &Option<usize>| side.map_or("any".to_owned(), |side| side.to_string());
    let declared = declared.iter().map(side).collect::<Vec<_>>().join(", ");
    let message = format!("its input is [{declared}], and the description makes [{}]", wanted.map(|side| side.to_string()).join(", "));
    Err((message, "Set input, layout (nchw or nhwc) and color (rgb or bgr of three channels, gray of one) to those of the file."))
}

impl Model for OnnxModel {
    fn name(&self) -> &str {
        &self.0.description.name
    }

    fn version(&self) -> &str {
        &self.0.version
    }

    fn sha256(&self) -> &str {
        &self.0.description.sha256
    }

    fn key(&self) -> &str {
        &self.0.key
    }

    fn licence(&self) -> &str {
        &self.0.description.licence
    }

    fn task(&self) -> Task {
        self.0.description.task
    }

    fn runtime(&self) -> &'static str {
        self.0.runtime
    }

    fn input_size(&self, _: u32, _: u32) -> (u32, u32) {
        (self.0.description.width, self.0.description.height)
    }

    fn floor_score(&self) -> f32 {
        floor(&self.0.description)
    }

    fn default_score(&self) -> f32 {
        self.0.description.score
    }

    fn new_session(&self) -> Box<dyn Session> {
        Box::new(OnnxSession { model: Arc::clone(&self.0), graph: None, numbers: Vec::new() })
    }
}

struct OnnxSession {
    model: Arc<Shared>,
    /// Opened by the first picture, and again after one that failed.
    graph: Option<Box<dyn GraphSession>>,
    /// The input, kept from one picture to the next.
    numbers: Vec<f32>,
}

impl Session for OnnxSession {
    fn infer(&mut self, picture: &Picture) -> Result<Output> {
        let (tensors, placed) = self.model.tensors(picture, &mut self.graph, &mut self.numbers)?;
        if let Some(broken) = tensors.iter().find(|t| t.values.iter().any(|v| !v.is_finite())) {
            return Err(ModelError::NotFinite { name: self.model.description.name.clone(), output: broken.name.clone() }.into());
        }
        self.model.read(tensors, &placed).map_err(|message| self.model.failed(message))
    }
}

impl Shared {
    /// What the numbers mean, which are finite.
    fn read(&self, tensors: Vec<Tensor>, placed: &Placed) -> Result<Output, String> {
        let description = &self.description;
        match description.task {
            Task::Detection => Ok(Output::Detections(decode::detections(description, &tensors, placed, floor(description))?)),
            Task::Classification => {
                let numbers = vector(tensors, "a classification model gives one score a class")?;
                classes(description, numbers, self.softmax).map(Output::Classes)
            }
            Task::Embedding => Ok(Output::Embedding(vector(tensors, "an embedding model gives one vector")?)),
            Task::Segmentation | Task::Raw => Ok(Output::Tensors(tensors)),
            Task::Text => Err("text is read by two graphs".into()),
        }
    }
}

/// The values of the only output, whose axes have the length 1 but for one.
fn vector(tensors: Vec<Tensor>, expected: &str) -> Result<Vec<f32>, String> {
    let shapes = || tensors.iter().map(|t| format!("{} {:?}", t.name, t.shape)).collect::<Vec<_>>().join(", ");
    match tensors.as_slice() {
        [one] if !one.values.is_empty() && one.shape.iter().filter(|side| **side != 1).count() <= 1 => {}
        _ => return Err(format!("{expected}, and it gives {}", shapes())),
    }
    Ok(tensors.into_iter().next().map(|t| t.values).unwrap_or_default())
}

/// Every class with its score, the surest first; with softmax the scores are made shares.
fn classes(description: &ModelDescription, mut scores: Vec<f32>, softmax: bool) -> Result<Vec<Class>, String> {
    let n_named = description.labels.len();
    if n_named > 0 && n_named != scores.len() {
        return Err(format!("it has {} classes and the description names {n_named}", scores.len()));
    }
    if softmax {
        let greatest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        scores.iter_mut().for_each(|s| *s = (*s - greatest).exp());
        let sum: f32 = scores.iter().sum();
        scores.iter_mut().for_each(|s| *s /= sum);
    }
    let mut all: Vec<Class> = scores.into_iter().enumerate().map(|(at, score)| Class { label: description.label(at), score }).collect();
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok(all)
}
