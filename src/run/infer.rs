//! Runs models: each call once a frame, only for the rows that pass its guard, several frames at once, the results in order.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use framesql_udfs::detection::DetectionListBuilder;
use framesql_udfs::frame::FrameColumn;
use framesql_udfs::model::keep_above;
use framesql_udfs::pixels::Damaged;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::Run;
use super::expression::{evaluate, passes, physical_among};
use super::inference::{Found, Inference, Key, Loaded};
use super::operator::{Operator, Output};
use crate::error::Error;
use crate::plan::infer::Call;

/// The description: the calls, in an order in which guards see the results they need.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Infer {
    /// The columns that come in and, after them, one a call.
    #[serde(with = "super::written")]
    pub columns: DFSchemaRef,
    /// The calls.
    #[serde(with = "super::written")]
    pub calls: Vec<Call>,
    /// The same columns, by name and type.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Infer {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let call = |c: &Call| {
            let arguments: Vec<String> = c.arguments.iter().map(|a| a.to_string()).collect();
            let guard = c.guard.as_ref().map_or(String::new(), |g| format!(" where {g}"));
            format!("{}({}){guard}", c.function, arguments.join(", "))
        };
        format!("calls=[{}]", self.calls.iter().map(call).collect::<Vec<_>>().join(", "))
    }

    pub(super) fn build(&self, run: &Run) -> Result<InferOperator> {
        let physical = |e: &Expr| physical_among(e, &self.columns, &run.subqueries);
        let calls = self
            .calls
            .iter()
            .map(|c| {
                Ok(ReadyCall {
                    loaded: run.inference.model(&c.function)?,
                    frame: c.arguments.first().map(physical).transpose()?,
                    min_score: c.arguments.get(1).map(physical).transpose()?,
                    guard: c.guard.as_ref().map(physical).transpose()?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(InferOperator { calls, schema: Arc::clone(&self.schema), inference: Arc::clone(&run.inference) })
    }
}

struct ReadyCall {
    loaded: Arc<Loaded>,
    frame: Option<Arc<dyn PhysicalExpr>>,
    min_score: Option<Arc<dyn PhysicalExpr>>,
    guard: Option<Arc<dyn PhysicalExpr>>,
}

pub(super) struct InferOperator {
    calls: Vec<ReadyCall>,
    schema: SchemaRef,
    inference: Arc<Inference>,
}

impl Operator for InferOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        let mut columns = rows.columns().to_vec();
        for call in &self.calls {
            // Guards and arguments may read the results of the calls before.
            let so_far = RecordBatch::try_new(Arc::new(self.schema.project(&(0..columns.len()).collect::<Vec<_>>())?), columns.clone())?;
            columns.push(call.run(&so_far, &self.inference)?);
        }
        out.rows(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
        Ok(())
    }
}

/// One call over the rows of a batch, as the threads that work on it share it.
struct Looks {
    loaded: Arc<Loaded>,
    inference: Arc<Inference>,
    frames: ArrayRef,
    guard: Option<BooleanArray>,
    scores: Option<Float64Array>,
    found: Vec<Mutex<Option<Result<Found>>>>,
}

impl ReadyCall {
    fn run(&self, rows: &RecordBatch, inference: &Arc<Inference>) -> Result<ArrayRef> {
        let guard = self.guard.as_ref().map(|g| passes(g, rows)).transpose()?;
        let Some(frame) = &self.frame else { return datafusion::common::plan_err!("{} needs a frame", self.loaded.model.name()) };
        let frames = evaluate(frame, rows)?;
        FrameColumn::try_new(frames.as_ref())?;
        let scores = self
            .min_score
            .as_ref()
            .map(|s| -> Result<Float64Array> { Ok(cast(&evaluate(s, rows)?, &DataType::Float64)?.as_primitive::<Float64Type>().clone()) });
        let scores = scores.transpose()?;
        let found = (0..rows.num_rows()).map(|_| Mutex::new(None)).collect();
        let (loaded, shared) = (Arc::clone(&self.loaded), Arc::clone(inference));
        let looks = Arc::new(Looks { loaded, inference: shared, frames, guard, scores, found });
        let theirs = Arc::clone(&looks);
        inference.at_once(rows.num_rows(), move |row| {
            if let Some(slot) = theirs.found.get(row) {
                *slot.lock() = theirs.look(row).transpose();
            }
        })?;
        looks.list()
    }
}

impl Looks {
    /// What the model finds in the frame of that row; None for a row that is not reached, and for a frame that is NULL.
    fn look(&self, row: usize) -> Result<Option<Found>> {
        let reached = self.guard.as_ref().is_none_or(|g| g.value(row)) && self.scores.as_ref().is_none_or(|s| s.is_valid(row));
        if !reached {
            return Ok(None);
        }
        let Some(view) = FrameColumn::try_new(self.frames.as_ref())?.get(row) else { return Ok(None) };
        let model = &self.loaded.model;
        let Some(picture) = view.picture() else {
            return Err(Error::refused(
                format!("{} needs the pixels of {}#{} and only the reference is left", model.name(), view.source, view.frame_no),
                "Call it below the aggregate, view or join that drops the pixels.",
            )
            .into());
        };
        let key = (!view.derived).then(|| Key {
            source_id: view.source_id,
            frame_no: view.frame_no,
            sha256: Arc::clone(&self.loaded.sha256),
            input_size: model.input_size(view.width, view.height),
        });
        match self.inference.find(&self.loaded, key, &picture) {
            Ok(found) => Ok(Some(found)),
            // The picture cannot be decoded: NULL, as in an expression.
            Err(error) if Damaged::caused(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The rows' detections above the score that each asks for.
    fn list(&self) -> Result<ArrayRef> {
        let floor = self.loaded.model.default_score();
        let mut list = DetectionListBuilder::new();
        for (row, slot) in self.found.iter().enumerate() {
            match slot.lock().take().transpose()? {
                None => list.append_null(),
                Some(all) => {
                    let min_score = self.scores.as_ref().map_or(floor, |s| s.value(row) as f32);
                    list.append(&keep_above(&all, min_score));
                }
            }
        }
        Ok(Arc::new(list.finish()))
    }
}
