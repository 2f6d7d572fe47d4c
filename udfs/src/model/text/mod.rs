//! Reading: one graph finds lines of text, another says what each of them says (PP-OCR: `text-detection` and `text-recognition` of the manifest).

mod find;
mod rect;
mod spell;

use std::fmt;
use std::sync::Arc;

use datafusion_common::{DataFusionError, Result};

use super::description::{ModelDescription, Task};
use super::error::ModelError;
use super::onnx::sha256;
use super::output::{Line, Output, Tensor};
use super::runtime::{Graph, GraphSession, Runtime, guarded};
use super::{Model, Session};
use crate::frame::Picture;
use crate::pixels::{Order, render};

/// A line whose characters are less sure in the mean is not given, 0 to 1.
const LEAST_SCORE: f32 = 0.5;

/// The model; its sessions share it.
pub(super) struct TextModel(Arc<Shared>);

struct Shared {
    description: ModelDescription,
    version: String,
    key: String,
    runtime: &'static str,
    finder: Arc<dyn Graph>,
    speller: Arc<dyn Graph>,
    alphabet: Vec<String>,
}

impl fmt::Debug for TextModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextModel").field("name", &self.0.description.name).field("runtime", &self.0.runtime).finish_non_exhaustive()
    }
}

impl TextModel {
    /// Loads the graph that finds lines and the one that reads them. Errs if one of them cannot be loaded, or does not name its characters.
    pub(super) fn load(
        description: &ModelDescription,
        version: u64,
        finder: Vec<u8>,
        speller: Vec<u8>,
        runtime: &dyn Runtime,
    ) -> Result<TextModel, ModelError> {
        let wrong = |message: String| ModelError::File { name: description.name.clone(), message, hint: None };
        let key = sha256(format!("{} {} {LEAST_SCORE}", sha256(&finder), sha256(&speller)).as_bytes());
        let alphabet = spell::alphabet(&speller).map_err(wrong)?;
        let load = |file: Vec<u8>| guarded(|| runtime.load(file.into())).map_err(wrong);
        let (finder, speller) = (load(finder)?, load(speller)?);
        let description = ModelDescription { sha256: key.clone(), ..description.clone() };
        Ok(TextModel(Arc::new(Shared {
            description,
            version: version.to_string(),
            key,
            runtime: runtime.name(),
            finder,
            speller,
            alphabet,
        })))
    }
}

impl Model for TextModel {
    fn name(&self) -> &str {
        &self.0.description.name
    }

    fn version(&self) -> &str {
        &self.0.version
    }

    fn sha256(&self) -> &str {
        &self.0.key
    }

    fn licence(&self) -> &str {
        &self.0.description.licence
    }

    fn task(&self) -> Task {
        Task::Text
    }

    fn runtime(&self) -> &'static str {
        self.0.runtime
    }

    fn input_size(&self, width: u32, height: u32) -> (u32, u32) {
        find::size((width, height))
    }

    fn floor_score(&self) -> f32 {
        LEAST_SCORE
    }

    fn default_score(&self) -> f32 {
        LEAST_SCORE
    }

    fn new_session(&self) -> Box<dyn Session> {
        Box::new(TextSession { model: Arc::clone(&self.0), graphs: None })
    }
}

struct TextSession {
    model: Arc<Shared>,
    /// Opened by the first picture, and again after one that failed.
    graphs: Option<Graphs>,
}

struct Graphs {
    finder: Box<dyn GraphSession>,
    speller: Box<dyn GraphSession>,
}

impl Session for TextSession {
    fn infer(&mut self, picture: &Picture) -> Result<Output> {
        let size = picture.displayed();
        let (shape, numbers) = find::input(picture)?;
        let pixels = render(picture, Order::Bgr, None)?;
        let mut broken = None;
        let held = self.graphs.take();
        let model = &self.model;
        let (lines, graphs) = guarded(|| {
            let mut graphs = match held {
                Some(graphs) => graphs,
                None => Graphs { finder: Arc::clone(&model.finder).session()?, speller: Arc::clone(&model.speller).session()? },
            };
            let map = only(graphs.finder.run(&shape, &numbers)?, &mut broken)?;
            let mut lines = Vec::new();
            for corners in find::lines(&map, size)? {
                let (shape, numbers) = spell::input(&pixels, &corners);
                let (text, score) = spell::text(&only(graphs.speller.run(&shape, &numbers)?, &mut broken)?, &model.alphabet)?;
                if score >= LEAST_SCORE && !text.trim().is_empty() {
                    lines.push(Line { text: text.trim().to_owned(), score, corners });
                }
            }
            Ok((lines, graphs))
        })
        .map_err(|message| {
            let name = self.model.description.name.clone();
            DataFusionError::from(match broken {
                Some(output) => ModelError::NotFinite { name, output },
                None => ModelError::Failed { name, message },
            })
        })?;
        self.graphs = Some(graphs);
        Ok(Output::Lines(lines))
    }
}

/// The only output of a graph. Errs for several, and for a number that is not finite: then the output is named `broken`.
fn only(tensors: Vec<Tensor>, broken: &mut Option<String>) -> Result<Tensor, String> {
    match <[Tensor; 1]>::try_from(tensors) {
        Ok([tensor]) if tensor.values.iter().all(|v| v.is_finite()) => Ok(tensor),
        Ok([tensor]) => {
            *broken = Some(tensor.name);
            Err("its output holds a number that is not finite".to_owned())
        }
        Err(tensors) => Err(format!("it has {} outputs, and one is read", tensors.len())),
    }
}
