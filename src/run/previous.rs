//! Compares each frame with the one before: what is kept of it is its luma, small, one a source; it stands directly above the scan.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array, StringArray};
use datafusion::arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{DFSchemaRef, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use framesql_udfs::frame::FrameColumn;
use framesql_udfs::function::compared::compare;
use framesql_udfs::previous::{Pair, Small};
use serde::{Deserialize, Serialize};

use super::accumulate::table;
use super::expression::{evaluate, physical};
use super::operator::{Operator, Output, State};

/// The description: the calls that compare.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Previous {
    /// The columns that come in and, after them, one a call.
    #[serde(with = "super::written")]
    pub columns: DFSchemaRef,
    /// The calls; the first argument of each is the frame of the source, the others are constants.
    #[serde(with = "super::written")]
    pub calls: Vec<Expr>,
    /// The same columns, by name and type.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Previous {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        format!("calls=[{}]", self.calls.iter().map(|c| c.to_string()).collect::<Vec<_>>().join(", "))
    }

    /// The function of the first call.
    pub(super) fn function(&self) -> Option<&str> {
        match self.calls.first() {
            Some(Expr::ScalarFunction(call)) => Some(call.func.name()),
            _ => None,
        }
    }

    pub(super) fn build(&self) -> Result<PreviousOperator> {
        let call = |call: &Expr| {
            let Expr::ScalarFunction(call) = call else { return internal_err!("{call} is no call") };
            let arguments = call.args.iter().map(|a| physical(a, &self.columns)).collect::<Result<_>>()?;
            Ok(Call { function: call.func.name().to_owned(), arguments })
        };
        let calls = self.calls.iter().map(call).collect::<Result<_>>()?;
        Ok(PreviousOperator { calls, last: BTreeMap::new(), schema: Arc::clone(&self.schema) })
    }
}

struct Call {
    function: String,
    arguments: Vec<Arc<dyn PhysicalExpr>>,
}

/// The last frame of a source: its number, and what is kept of it.
struct Last {
    frame_no: i64,
    small: Arc<Small>,
}

pub(super) struct PreviousOperator {
    calls: Vec<Call>,
    /// The last frame of each source, by the source's name: its id is another after a restart.
    last: BTreeMap<Arc<str>, Last>,
    schema: SchemaRef,
}

impl PreviousOperator {
    /// Each frame with the one before; None where there is none.
    fn pairs(&mut self, frames: &ArrayRef) -> Result<Vec<Option<Pair>>> {
        let column = FrameColumn::try_new(frames.as_ref())?;
        let mut pairs = Vec::with_capacity(column.len());
        for row in 0..column.len() {
            let Some(view) = column.get(row) else {
                pairs.push(None);
                continue;
            };
            let function = self.calls.first().map_or("a comparison", |call| call.function.as_str());
            let now = match Small::of(&view.pixels(function)?) {
                Ok(small) => Arc::new(small),
                // A picture that is damaged is none: nothing is compared with it, nor the next one.
                Err(_) => {
                    pairs.push(None);
                    continue;
                }
            };
            let last = Last { frame_no: view.frame_no, small: Arc::clone(&now) };
            let before = match self.last.get_mut(view.source) {
                Some(kept) => Some(std::mem::replace(kept, last)),
                None => self.last.insert(view.source.into(), last),
            };
            let before = before.filter(|before| before.frame_no.checked_add(1) == Some(view.frame_no));
            pairs.push(before.and_then(|before| Pair::of(&before.small, &now)));
        }
        Ok(pairs)
    }
}

impl Operator for PreviousOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        let arguments = self.calls.iter().map(|call| call.arguments.iter().map(|a| evaluate(a, &rows)).collect::<Result<Vec<_>>>());
        let arguments = arguments.collect::<Result<Vec<_>>>()?;
        let Some(frames) = arguments.first().and_then(|a| a.first()) else { return internal_err!("a comparison without a frame") };
        let pairs = self.pairs(&Arc::clone(frames))?;
        let mut columns = rows.columns().to_vec();
        for (call, arguments) in self.calls.iter().zip(arguments) {
            columns.push(compare(&call.function, &pairs, arguments)?);
        }
        out.rows(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        let number = |of: fn(&Last) -> i64| Arc::new(self.last.values().map(of).collect::<Int64Array>()) as ArrayRef;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.last.keys().map(|source| Some(source.as_ref())).collect::<StringArray>()),
            number(|last| last.frame_no),
            number(|last| last.small.full().0.into()),
            number(|last| last.small.full().1.into()),
            number(|last| last.small.size().0.into()),
            number(|last| last.small.size().1.into()),
            Arc::new(self.last.values().map(|last| Some(last.small.luma())).collect::<BinaryArray>()),
        ];
        Ok(State { tables: [("last".to_owned(), vec![table(columns)?])].into(), ..State::default() })
    }

    fn restore(&mut self, state: State) -> Result<()> {
        for kept in state.tables.get("last").into_iter().flatten() {
            let [sources, numbers @ .., luma] = kept.columns() else { return internal_err!("a snapshot of frames has lost its columns") };
            for row in 0..kept.num_rows() {
                let values: Vec<i64> = numbers.iter().map(|n| n.as_primitive::<Int64Type>().value(row)).collect();
                let &[frame_no, full_width, full_height, width, height] = values.as_slice() else {
                    return internal_err!("a snapshot of frames has lost its columns");
                };
                let (full, size) = ((full_width as u32, full_height as u32), (width as u32, height as u32));
                let Some(small) = Small::kept(full, size, luma.as_binary::<i32>().value(row).to_vec()) else {
                    return internal_err!("a snapshot holds a frame that is not of its size");
                };
                self.last.insert(sources.as_string::<i32>().value(row).into(), Last { frame_no, small: Arc::new(small) });
            }
        }
        Ok(())
    }
}
