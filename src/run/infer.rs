//! Runs models: each call once a frame, only for the rows that pass its guard, several frames at once, the results in order.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use framesql_udfs::frame::FrameColumn;
use framesql_udfs::function::inference::{ModelFunction, Part, Results};
use framesql_udfs::function::model_function;
use framesql_udfs::gallery::People;
use framesql_udfs::model::error::ModelError;
use framesql_udfs::pixels::Damaged;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::Run;
use super::expression::{evaluate, passes, physical_among};
use super::inference::{Found, Inference, Key, Loaded};
use super::operator::{Operator, Output};
use crate::error::Error;
use crate::frame::source::Source;
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
                let Some(function) = model_function(&c.function) else {
                    return datafusion::common::internal_err!("{} runs no model", c.function);
                };
                Ok(ReadyCall {
                    function,
                    loaded: fitting(function, &c.model, &run.inference)?,
                    arguments: c.arguments.iter().map(physical).collect::<Result<_>>()?,
                    guard: c.guard.as_ref().map(physical).transpose()?,
                    gallery: function
                        .gallery
                        .and_then(|at| c.arguments.get(at))
                        .map(|name| Gallery::named(name, &run.inference))
                        .transpose()?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(InferOperator { calls, schema: Arc::clone(&self.schema), inference: Arc::clone(&run.inference) })
    }
}

/// The model of that name. Errs if there is none, it cannot be loaded, or the function does not run models of its task.
fn fitting(function: &ModelFunction, name: &str, inference: &Inference) -> Result<Arc<Loaded>> {
    let loaded = inference.model(name)?;
    let task = loaded.model.task();
    if function.tasks.contains(&task) {
        return Ok(loaded);
    }
    let (function, hint) = (function.name.to_owned(), format!("Call {}(frame, '{name}').", task.function()));
    Err(ModelError::WrongTask { function, name: name.to_owned(), task: task.word(), hint }.into())
}

struct ReadyCall {
    function: &'static ModelFunction,
    loaded: Arc<Loaded>,
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    guard: Option<Arc<dyn PhysicalExpr>>,
    gallery: Option<Gallery>,
}

/// The gallery that a call looks its results up in.
struct Gallery {
    name: String,
    source: Arc<dyn Source>,
    /// The rows that were read last, and the people in them.
    read: Option<(RecordBatch, Arc<People>)>,
}

impl Gallery {
    fn named(name: &Expr, inference: &Inference) -> Result<Gallery> {
        let Expr::Literal(name, _) = name else { return datafusion::common::internal_err!("a gallery is named by {name}") };
        let name = name.try_as_str().flatten().unwrap_or_default().to_owned();
        Ok(Gallery { source: inference.gallery(&name)?, name, read: None })
    }

    /// The people that are in it now. Errs (55000) if another model than `key` has seen them.
    fn people(&mut self, key: &str) -> Result<Arc<People>> {
        let rows = self.source.now().and_then(|rows| rows.into_iter().next());
        let Some(rows) = rows else { return datafusion::common::internal_err!("gallery {} has no rows", self.name) };
        // A statement that writes makes columns anew: the same ones hold the same rows.
        let same = |known: &RecordBatch| known.columns().iter().zip(rows.columns()).all(|(a, b)| Arc::ptr_eq(a, b));
        let known = self.read.as_ref().filter(|(known, _)| same(known)).map(|(_, people)| Arc::clone(people));
        let people = match known {
            Some(people) => people,
            None => {
                let people = Arc::new(People::of(&rows)?);
                self.read = Some((rows, Arc::clone(&people)));
                people
            }
        };
        if people.made_by(key) {
            return Ok(people);
        }
        let name = &self.name;
        Err(Error::State {
            message: format!("gallery \"{name}\" holds faces that another model has seen"),
            hint: Some(format!("DELETE FROM {name} and insert its pictures again, or bring back the model that they were inserted with.")),
        }
        .into())
    }
}

pub(super) struct InferOperator {
    calls: Vec<ReadyCall>,
    schema: SchemaRef,
    inference: Arc<Inference>,
}

impl Operator for InferOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        let mut columns = rows.columns().to_vec();
        for call in &mut self.calls {
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
    function: &'static ModelFunction,
    loaded: Arc<Loaded>,
    inference: Arc<Inference>,
    arguments: Vec<ArrayRef>,
    guard: Option<BooleanArray>,
    /// What each row looks at, where the function looks at a part of the frame.
    parts: Option<Vec<Option<Part>>>,
    found: Vec<Mutex<Option<Result<Found>>>>,
}

impl ReadyCall {
    fn run(&mut self, rows: &RecordBatch, inference: &Arc<Inference>) -> Result<ArrayRef> {
        // A model that was replaced serves from here on; one that was removed goes on for the queries that have begun.
        if inference.replaced(&self.loaded) {
            self.loaded = fitting(self.function, self.loaded.name(), inference)?;
        }
        let guard = self.guard.as_ref().map(|g| passes(g, rows)).transpose()?;
        let arguments = self.arguments.iter().map(|a| evaluate(a, rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let Some(frames) = arguments.first() else { return datafusion::common::plan_err!("{} needs a frame", self.function.name) };
        FrameColumn::try_new(frames.as_ref())?;
        let parts = match &self.function.part {
            Some(part) => arguments.get(part.argument).map(part.read).transpose()?,
            None => None,
        };
        let found = (0..rows.num_rows()).map(|_| Mutex::new(None)).collect();
        let (function, loaded, shared) = (self.function, Arc::clone(&self.loaded), Arc::clone(inference));
        let looks = Arc::new(Looks { function, loaded, inference: shared, arguments, guard, parts, found });
        let theirs = Arc::clone(&looks);
        inference.at_once(rows.num_rows(), move |row| {
            if let Some(slot) = theirs.found.get(row) {
                *slot.lock() = theirs.look(row).transpose();
            }
        })?;
        let people = self.gallery.as_mut().map(|gallery| gallery.people(&self.loaded.key)).transpose()?;
        looks.column(people.as_deref())
    }
}

impl Looks {
    /// What the model finds in the frame of that row; None for a row that is not reached, and for a NULL among the arguments.
    fn look(&self, row: usize) -> Result<Option<Found>> {
        let reached = self.guard.as_ref().is_none_or(|g| g.value(row)) && self.arguments.iter().all(|a| a.is_valid(row));
        let Some(frames) = self.arguments.first().filter(|_| reached) else { return Ok(None) };
        let Some(view) = FrameColumn::try_new(frames.as_ref())?.get(row) else { return Ok(None) };
        let part = match &self.parts {
            None => None,
            Some(parts) => match parts.get(row).and_then(Option::as_ref) {
                Some(part) => Some(part),
                None => return Ok(None),
            },
        };
        let model = &self.loaded.model;
        let Some(picture) = view.picture() else {
            return Err(Error::refused(
                format!("{} needs the pixels of {}#{} and only the reference is left", model.name(), view.source, view.frame_no),
                "Call it below the aggregate, view or join that drops the pixels.",
            )
            .into());
        };
        let input_size = model.input_size(view.width, view.height);
        let key = (!view.derived).then(|| Key {
            source_id: view.source_id,
            frame_no: view.frame_no,
            model: Arc::clone(&self.loaded.key),
            input_size,
            part: part.map(Part::key),
        });
        let seen = match (part, &self.function.part) {
            (Some(part), Some(of)) => self.inference.find(&self.loaded, key, || Ok((of.cut)(&picture, part, input_size)?)),
            _ => self.inference.find(&self.loaded, key, || Ok(picture)),
        };
        match seen {
            Ok(found) => Ok(Some(found)),
            // The picture cannot be decoded: NULL, as in an expression.
            Err(error) if Damaged::caused(&error) => Ok(None),
            // Its numbers are none: one bad frame never stops another.
            Err(error) if ModelError::of_one_picture(&error) => {
                self.loaded.failed(view.source, view.frame_no, &error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What the function makes of the results.
    fn column(&self, people: Option<&People>) -> Result<ArrayRef> {
        let outputs = self.found.iter().map(|slot| slot.lock().take().transpose()).collect::<Result<Vec<_>>>()?;
        let results = Results::new(self.function, &outputs, self.arguments.clone(), self.loaded.model.default_score());
        let results = results.among(people);
        (self.function.column)(&results)
    }
}
