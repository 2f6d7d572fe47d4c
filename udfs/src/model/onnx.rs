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
use super::{Model, Session};
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
        let graph = guarded(|| runtime.load(file.into()))
            .map_err(|m| bad(m, Some("It must be a whole ONNX file whose only input is a picture.")))?;
        check_input(&description, graph.input()).map_err(|(message, hint)| bad(message, Some(hint)))?;
        let (input, key) = (Input::new(&description), key(&description));
        let model = OnnxModel(Arc::new(Shared { description, version: version.to_string(), key, runtime: runtime.name(), graph, input }));
        let gray = rgb8(64, 64, 0, Buffer::from_vec(vec![128_u8; 64 * 64 * 3]));
        match model.new_session().infer(&gray) {
            Ok(_) => Ok(model),
            Err(error) => {
                let message = match ModelError::caused(&error) {
                    Some(ModelError::Failed { message, .. }) => message.clone(),
                    _ => error.strip_backtrace(),
                };
                Err(bad(message, Some("It is tried on a gray picture when it is loaded.")))
            }
        }
    }
}

/// Under which name results are kept: the file, and all of the description that changes what is made of it.
fn key(description: &ModelDescription) -> String {
    let ModelDescription { task, sha256: file, width, height, layout, color, mean, std, decode, labels, iou, .. } = description;
    let floor = floor(description);
    let all = format!(
        "{file} {task:?} {width} {height} {layout:?} {color:?} {mean:?} {std:?} {:?} {decode:?} {labels:?} {iou} {floor}",
        description.fitted()
    );
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
    if declared.is_empty() {
        return Ok(());
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
        let placed = self.model.input.fill(picture, &mut self.numbers)?;
        let failed = |message: String| DataFusionError::from(ModelError::Failed { name: self.model.description.name.clone(), message });
        let held = self.graph.take();
        let (tensors, graph) = guarded(|| {
            let mut graph = match held {
                Some(graph) => graph,
                None => Arc::clone(&self.model.graph).session()?,
            };
            let tensors = graph.run(&self.model.description.input_shape(), &self.numbers)?;
            Ok((tensors, graph))
        })
        .map_err(failed)?;
        self.graph = Some(graph);
        read(&self.model.description, tensors, &placed).map_err(failed)
    }
}

/// What the numbers mean.
fn read(description: &ModelDescription, tensors: Vec<Tensor>, placed: &Placed) -> Result<Output, String> {
    if let Some(broken) = tensors.iter().find(|t| t.values.iter().any(|v| !v.is_finite())) {
        return Err(format!("output {} holds a number that is not finite", broken.name));
    }
    match description.task {
        Task::Detection => Ok(Output::Detections(decode::detections(description, &tensors, placed, floor(description))?)),
        Task::Classification => {
            classes(description, vector(tensors, "a classification model gives one score a class")?).map(Output::Classes)
        }
        Task::Embedding => Ok(Output::Embedding(vector(tensors, "an embedding model gives one vector")?)),
        Task::Segmentation | Task::Raw => Ok(Output::Tensors(tensors)),
        Task::Text => Err("text is read by two graphs".into()),
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

/// Every class with its score, the surest first. Scores that are not shares (0 to 1, together 1) already are made shares by softmax.
fn classes(description: &ModelDescription, mut scores: Vec<f32>) -> Result<Vec<Class>, String> {
    let n_named = description.labels.len();
    if n_named > 0 && n_named != scores.len() {
        return Err(format!("it has {} classes and the description names {n_named}", scores.len()));
    }
    let shares = scores.iter().all(|s| (0.0..=1.0).contains(s)) && (scores.iter().sum::<f32>() - 1.0).abs() < 1e-3;
    if !shares {
        let greatest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        scores.iter_mut().for_each(|s| *s = (*s - greatest).exp());
        let sum: f32 = scores.iter().sum();
        scores.iter_mut().for_each(|s| *s /= sum);
    }
    let mut all: Vec<Class> = scores.into_iter().enumerate().map(|(at, score)| Class { label: description.label(at), score }).collect();
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok(all)
}
