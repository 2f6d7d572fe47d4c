//! What an operator is: a small synchronous struct, rows in, time advanced, snapshot, restore; it knows no channel, no task, no clock.

use std::collections::{BTreeMap, VecDeque};

use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::internal_err;
use datafusion::error::Result;

use crate::event::Event;

/// What an operator gives to the one above, in order.
#[derive(Debug, Default)]
pub struct Output(VecDeque<Event>);

impl Output {
    /// Gives rows; a batch without rows is not worth an event.
    pub fn rows(&mut self, rows: RecordBatch) {
        if rows.num_rows() > 0 {
            self.0.push_back(Event::Rows(rows));
        }
    }

    /// Takes rows back and gives others in their place, in one step.
    pub fn changes(&mut self, gone: RecordBatch, come: RecordBatch) {
        if gone.num_rows() == 0 {
            self.rows(come);
        } else {
            self.0.push_back(Event::Changes { gone, come });
        }
    }

    /// Gives a watermark, µs.
    pub fn watermark(&mut self, us: i64) {
        self.0.push_back(Event::Watermark(us));
    }

    pub(super) fn push(&mut self, event: Event) {
        self.0.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.0.pop_front()
    }

    /// The rows among what was given.
    pub(super) fn into_rows(self) -> Vec<RecordBatch> {
        self.0.into_iter().filter_map(|e| if let Event::Rows(rows) = e { Some(rows) } else { None }).collect()
    }
}

/// The changes that an operator gives whose rows depend each on one row of its input: what it makes of those gone, and of those come.
pub(super) fn row_by_row<O: Operator>(
    operator: &mut O,
    schema: &SchemaRef,
    input: usize,
    gone: RecordBatch,
    come: RecordBatch,
    out: &mut Output,
) -> Result<()> {
    let mut made = |rows: RecordBatch| -> Result<RecordBatch> {
        let mut part = Output::default();
        operator.rows(input, rows, &mut part)?;
        match part.into_rows().as_slice() {
            [one] => Ok(one.clone()),
            several => Ok(concat_batches(schema, several)?),
        }
    };
    let (gone, come) = (made(gone)?, made(come)?);
    out.changes(gone, come);
    Ok(())
}

/// What an operator remembers between events, in a form that can be written down.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Named tables of state.
    pub tables: BTreeMap<String, Vec<RecordBatch>>,
    /// Named numbers of state.
    pub numbers: BTreeMap<String, i64>,
}

/// One step of a running query.
pub trait Operator: Send {
    /// Takes rows from the input of that number.
    fn rows(&mut self, input: usize, rows: RecordBatch, out: &mut Output) -> Result<()>;

    /// Takes rows that are taken back and rows that come, in one step. The plan lets them reach only operators that can.
    fn changes(&mut self, input: usize, gone: RecordBatch, come: RecordBatch, out: &mut Output) -> Result<()> {
        let _ = (input, gone, come, out);
        internal_err!("an operator that takes no changes was given some")
    }

    /// Event time has reached `us` on every input that is not idle; it never goes back.
    fn watermark(&mut self, us: i64, out: &mut Output) -> Result<()> {
        out.watermark(us);
        Ok(())
    }

    /// Event time has reached `us` on one input, which may be ahead of the others; it never goes back.
    fn input_watermark(&mut self, input: usize, us: i64) {
        let _ = (input, us);
    }

    /// Whether what comes is kept, here or above, until the other inputs are as far: then an input that is ahead waits, if it can.
    fn keeps_pace(&self) -> bool {
        false
    }

    /// Whether it needs no more input: what is below it stops.
    fn finished(&self) -> bool {
        false
    }

    /// What must be kept so that a new operator goes on from here.
    fn snapshot(&mut self) -> Result<State> {
        Ok(State::default())
    }

    /// Takes up what an operator of the same description kept.
    fn restore(&mut self, state: State) -> Result<()> {
        let _ = state;
        Ok(())
    }
}
