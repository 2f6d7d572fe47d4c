//! The keys that a window aggregate knows, so that a window without rows of one gives a row all the same.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use super::groups::take_keys;
use super::operator::State;
use crate::plan::window::Windows;

/// So many windows without any row in a row are a mistake in the data, and no silence.
const MOST_EMPTY: u64 = 1_000_000;

/// The keys known, and how far windows have been given.
pub(super) struct Fill {
    keys: SchemaRef,
    known: Option<Box<dyn GroupValues>>,
    fired_end_us: Option<i64>,
    n_empty: u64,
}

/// The known keys that have no row in a window.
pub(super) struct Missing {
    pub(super) n_groups: usize,
    pub(super) keys: Vec<ArrayRef>,
}

impl Fill {
    pub(super) fn new(keys: &SchemaRef) -> Result<Fill> {
        let mut fill = Fill { keys: Arc::clone(keys), known: None, fired_end_us: None, n_empty: 0 };
        fill.forget()?;
        Ok(fill)
    }

    fn forget(&mut self) -> Result<()> {
        self.known =
            if self.keys.fields().is_empty() { None } else { Some(new_group_values(SchemaRef::clone(&self.keys), &GroupOrdering::None)?) };
        Ok(())
    }

    /// The end of the window that follows the last given; None before the first.
    pub(super) fn next_end(&self, windows: &Windows) -> Option<i64> {
        self.fired_end_us.map(|end| end.saturating_add(windows.slide_us))
    }

    /// A window has fired with `n_groups` groups of these keys: remembers them, and gives the known keys that it has not.
    pub(super) fn fired(&mut self, end_us: i64, keys: &[ArrayRef], n_groups: usize) -> Result<Missing> {
        self.fired_end_us = Some(end_us);
        self.n_empty = if n_groups == 0 { self.n_empty + 1 } else { 0 };
        if self.n_empty > MOST_EMPTY {
            return exec_err!("more than {MOST_EMPTY} windows in a row have no row: look for a time that is far off, or leave fill out");
        }
        let Some(known) = &mut self.known else {
            return Ok(Missing { n_groups: usize::from(n_groups == 0), keys: Vec::new() });
        };
        let mut groups = Vec::with_capacity(n_groups);
        known.intern(keys, &mut groups)?;
        let mut missing = vec![true; known.len()];
        for group in groups {
            if let Some(there) = missing.get_mut(group) {
                *there = false;
            }
        }
        let rows: UInt32Array = missing.iter().enumerate().filter(|(_, missing)| **missing).map(|(at, _)| at as u32).collect();
        // To read the keys is to take them out: they are put back in their order.
        let all = take_keys(known.as_mut())?;
        known.intern(&all, &mut Vec::new())?;
        Ok(Missing { n_groups: rows.len(), keys: all.iter().map(|c| take(c, &rows, None)).collect::<Result<_, _>>()? })
    }

    pub(super) fn snapshot(&mut self, state: &mut State) -> Result<()> {
        state.numbers.insert("n_empty".into(), self.n_empty as i64);
        if let Some(end_us) = self.fired_end_us {
            state.numbers.insert("fired_end_us".into(), end_us);
        }
        if let Some(known) = &mut self.known {
            let all = take_keys(known.as_mut())?;
            known.intern(&all, &mut Vec::new())?;
            state.tables.insert("known".into(), vec![RecordBatch::try_new(SchemaRef::clone(&self.keys), all)?]);
        }
        Ok(())
    }

    pub(super) fn restore(&mut self, state: &State) -> Result<()> {
        self.n_empty = state.numbers.get("n_empty").map_or(0, |n| *n as u64);
        self.fired_end_us = state.numbers.get("fired_end_us").copied();
        for batch in state.tables.get("known").into_iter().flatten() {
            if let Some(known) = &mut self.known
                && batch.num_rows() > 0
            {
                known.intern(batch.columns(), &mut Vec::new())?;
            }
        }
        Ok(())
    }
}
