//! Passes a number of rows and then ends its input, so that a reader under a LIMIT stops reading.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use serde::{Deserialize, Serialize};

use super::operator::{Operator, Output, State};

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Limit {
    /// Rows left out at the start.
    pub skip: usize,
    /// Rows passed after them; None is all.
    pub fetch: Option<usize>,
    /// The columns, as they came.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Limit {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let fetch = self.fetch.map_or("all".to_owned(), |n| n.to_string());
        if self.skip == 0 { format!("fetch={fetch}") } else { format!("skip={}, fetch={fetch}", self.skip) }
    }

    pub(super) fn build(&self) -> LimitOperator {
        LimitOperator { skip: self.skip, fetch: self.fetch.unwrap_or(usize::MAX) }
    }
}

pub(super) struct LimitOperator {
    skip: usize,
    fetch: usize,
}

impl Operator for LimitOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        let skipped = self.skip.min(rows.num_rows());
        self.skip -= skipped;
        let passed = self.fetch.min(rows.num_rows() - skipped);
        self.fetch -= passed;
        out.rows(rows.slice(skipped, passed));
        Ok(())
    }

    fn finished(&self) -> bool {
        self.fetch == 0
    }

    fn snapshot(&mut self) -> Result<State> {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        Ok(State { numbers: [("skip".into(), number(self.skip)), ("fetch".into(), number(self.fetch))].into(), ..State::default() })
    }

    fn restore(&mut self, state: State) -> Result<()> {
        let kept = |name: &str| state.numbers.get(name).and_then(|n| usize::try_from(*n).ok());
        self.skip = kept("skip").unwrap_or(self.skip);
        self.fetch = kept("fetch").unwrap_or(self.fetch);
        Ok(())
    }
}
