//! How SQL functions run models: which model, on which part of the frame, and what column its results become.

use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err};

use super::call::Arguments;
use crate::detection::{Box as Bbox, Detection, DetectionListBuilder};
use crate::frame::{FrameColumn, Picture};
use crate::gallery::People;
use crate::model::description::Task;
use crate::model::output::Output;
use crate::pixels::Damaged;

/// Which model a function runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// Always that one.
    Named(&'static str),
    /// The one whose name is that argument, a constant.
    Argument(usize),
}

/// A function that runs a model. Its calls are hoisted out of expressions, so that each runs once a frame: `column` makes of the results
/// what the function returns.
#[derive(Debug)]
pub struct ModelFunction {
    /// The function. Its first argument is the frame.
    pub name: &'static str,
    /// The model.
    pub chosen: Chosen,
    /// Of what task the model must be.
    pub tasks: &'static [Task],
    /// The part of the frame that the model sees; None is all of it.
    pub part: Option<PartOf>,
    /// The argument that names the gallery in which results are looked up, a constant; None looks nothing up.
    pub gallery: Option<usize>,
    /// The column of a batch of calls: one row each.
    pub column: fn(&Results<'_>) -> Result<ArrayRef>,
}

/// Where a part of the frame is named, and how it becomes a picture.
#[derive(Debug)]
pub struct PartOf {
    /// The argument.
    pub argument: usize,
    /// The part that each row names; None gives NULL.
    pub read: fn(&ArrayRef) -> Result<Vec<Option<Part>>>,
    /// The picture of a part, made for an input of that size.
    pub cut: Cut,
}

/// How a model's picture is cut out of a frame: the frame, the part, the size of the model's input.
pub type Cut = fn(&Picture, &Part, (u32, u32)) -> Result<Picture, Damaged>;

/// A part of a frame: a box, with five landmarks where they are known.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The box, in pixels of the frame.
    pub bbox: Bbox,
    /// Five points in the order of `detect_faces`.
    pub landmarks: Option<[(f32, f32); 5]>,
}

impl Part {
    /// The numbers that tell it from other parts of the frame: results are kept under them.
    pub fn key(&self) -> Arc<[u32]> {
        let Bbox { x, y, w, h } = self.bbox;
        let points = self.landmarks.iter().flatten().flat_map(|(x, y)| [*x, *y]);
        [x, y, w, h].into_iter().chain(points).map(f32::to_bits).collect()
    }
}

/// What the model gave for the rows of a batch, and the arguments of the call.
pub struct Results<'a> {
    outputs: &'a [Option<Arc<Output>>],
    arguments: Arguments,
    default_score: f32,
    people: Option<&'a People>,
}

impl<'a> Results<'a> {
    /// `outputs`: a row each, None for NULL; `arguments` as the call has them; `default_score` the model's.
    pub fn new(
        function: &'static ModelFunction,
        outputs: &'a [Option<Arc<Output>>],
        arguments: Vec<ArrayRef>,
        default_score: f32,
    ) -> Results<'a> {
        Results::of(Arguments::of(function.name, arguments, outputs.len()), outputs, default_score)
    }

    /// The same, of arguments that are read already.
    pub(super) fn of(arguments: Arguments, outputs: &'a [Option<Arc<Output>>], default_score: f32) -> Results<'a> {
        Results { outputs, arguments, default_score, people: None }
    }

    /// The same with the people of the call's gallery.
    pub fn among(self, people: Option<&'a People>) -> Results<'a> {
        Results { people, ..self }
    }

    /// The people of the gallery; None where the function has none.
    pub(super) fn people(&self) -> Option<&'a People> {
        self.people
    }

    /// The arguments.
    pub(super) fn arguments(&self) -> &Arguments {
        &self.arguments
    }

    /// The outputs, a row each; None is NULL.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, Option<&'a Output>)> {
        self.outputs.iter().map(|output| output.as_deref()).enumerate()
    }

    /// The least score where a call names none: the model's own.
    pub(super) fn default_score(&self) -> f32 {
        self.default_score
    }

    /// The least score of a row: the argument's, or the model's where the call has no such argument. Errs for a negative one and for NaN.
    fn min_score(&self, argument: usize, row: usize) -> Result<f32> {
        Ok(self.arguments.amount(argument, row, "min_score")?.map_or(self.default_score, |score| score as f32))
    }

    /// A column of detections: of each row those at or above the least score, which that argument has, that `keep` keeps beside those kept before.
    pub(super) fn detections(&self, min_score: usize, mut keep: impl FnMut(usize, &[&Detection], &Detection) -> bool) -> Result<ArrayRef> {
        let mut list = DetectionListBuilder::new();
        for (row, output) in self.rows() {
            match output {
                None => list.append_null(),
                Some(output) => {
                    let least = self.min_score(min_score, row)?;
                    list.append(kept_of(output, least, |kept, found| keep(row, kept, found)));
                }
            }
        }
        Ok(Arc::new(list.finish()))
    }
}

/// The detections of a picture at or above a score that `keep` keeps beside those kept before, the surest first. What a model gives at its floor is so made what it
/// would give at `least`: greedy NMS lets only a higher score suppress a box, so the boxes below a threshold never decide about those above it.
pub(super) fn kept_of(output: &Output, least: f32, mut keep: impl FnMut(&[&Detection], &Detection) -> bool) -> Vec<&Detection> {
    let mut kept = Vec::new();
    for found in output.detections().iter().filter(|found| found.score >= least) {
        if keep(&kept, found) {
            kept.push(found);
        }
    }
    kept
}

/// The value of a call that is evaluated on its own: NULL for NULL frames. The planner takes all other calls out of expressions, where the
/// engine's models are: an error says that one was left.
pub(super) fn without_frames(arguments: &Arguments, function: &str, returns: &DataType) -> Result<ArrayRef> {
    let frames = FrameColumn::try_new(arguments.array(0)?.as_ref())?;
    match (0..frames.len()).find(|row| frames.get(*row).is_some()) {
        None => Ok(new_null_array(returns, arguments.n_rows)),
        Some(_) => exec_err!("{function} runs a model and is not supported here: call it in a query over a source"),
    }
}
