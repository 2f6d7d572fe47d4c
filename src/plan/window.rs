//! A window function in FROM as a node of the plan: it gives each row its window_start, window_end and window_time.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::{Column, DFSchema, DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use serde::{Deserialize, Serialize};

use crate::frame::batch::ts_type;

/// The three columns that a window function adds.
pub const COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// The last millisecond of a window is its time, as in Flink.
pub const TIME_BEFORE_END_US: i64 = 1_000;

/// How windows lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Serialize, Deserialize)]
pub enum Shape {
    /// TUMBLE and HOP: one of `size` begins at every `slide`; TUMBLE is a slide of the size.
    Hop,
    /// CUMULATE: one begins at every `size`, and grows by `slide` until it has it.
    Cumulate,
    /// SESSION: from a row to the first that comes `size` or more after the one before.
    Session,
}

/// Windows of one kind. All in µs, whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Serialize, Deserialize)]
pub struct Windows {
    /// How they lie.
    pub shape: Shape,
    /// From one window's end to the next; a session's gap.
    pub slide_us: i64,
    /// From a window's start to its end, CUMULATE's at its longest; a multiple of the slide. A session's gap.
    pub size_us: i64,
    /// Where the windows are anchored, after 1970-01-01.
    pub offset_us: i64,
}

impl Windows {
    /// Windows that follow one another.
    pub fn tumble(size_us: i64, offset_us: i64) -> Windows {
        Windows { shape: Shape::Hop, slide_us: size_us, size_us, offset_us }
    }

    /// The start of the pane that holds `time_us`: the stretch of one slide whose rows are in the same windows.
    pub fn pane(&self, time_us: i64) -> i64 {
        self.floor(time_us, self.slide_us)
    }

    fn floor(&self, time_us: i64, size_us: i64) -> i64 {
        time_us.saturating_sub(time_us.wrapping_sub(self.offset_us).rem_euclid(size_us))
    }

    /// The end of the last window that holds the pane which starts there; its first window ends with the pane.
    pub fn last_end(&self, pane_us: i64) -> i64 {
        match self.shape {
            Shape::Hop => pane_us.saturating_add(self.size_us),
            Shape::Cumulate => self.floor(pane_us, self.size_us).saturating_add(self.size_us),
            Shape::Session => pane_us.saturating_add(self.slide_us),
        }
    }

    /// The start of the window that ends there.
    pub fn start_of(&self, end_us: i64) -> i64 {
        match self.shape {
            Shape::Cumulate => self.floor(end_us.saturating_sub(self.slide_us), self.size_us),
            Shape::Hop | Shape::Session => end_us.saturating_sub(self.size_us),
        }
    }

    /// What to add to a column of the window, by its place in `COLUMNS`, to have the moment at which all rows with that value have come, µs;
    /// also how far it lies behind the watermark. None for a session's start: nobody knows how long the session grows.
    pub fn to_end_us(&self, which: usize) -> Option<i64> {
        match which {
            0 => (self.shape != Shape::Session).then_some(self.size_us),
            1 => Some(0),
            _ => Some(TIME_BEFORE_END_US),
        }
    }

    /// Whether a row may be in several windows.
    pub fn overlap(&self) -> bool {
        self.size_us > self.slide_us
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slide, size) = (self.slide_us / 1_000, self.size_us / 1_000);
        match self.shape {
            Shape::Hop if self.slide_us == self.size_us => write!(f, "TUMBLE(size={size} ms")?,
            Shape::Hop => write!(f, "HOP(slide={slide} ms, size={size} ms")?,
            Shape::Cumulate => write!(f, "CUMULATE(step={slide} ms, max_size={size} ms")?,
            Shape::Session => write!(f, "SESSION(gap={size} ms")?,
        }
        if self.offset_us != 0 {
            write!(f, ", offset={} ms", self.offset_us / 1_000)?;
        }
        f.write_str(")")
    }
}

/// The node: its input's columns and the three of the window, one row a window that a row belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AssignWindow {
    /// What is put into windows.
    pub input: LogicalPlan,
    /// The event time.
    pub time: Column,
    /// The windows.
    pub windows: Windows,
    /// A session is of rows that have the same values in these.
    pub partition: Vec<Column>,
    /// Whether windows without rows are asked for: an aggregate gives one row a key that it knows.
    pub fill: bool,
    schema: DFSchemaRef,
}

impl AssignWindow {
    /// Errs if a name of the window's columns is taken.
    pub fn try_new(input: LogicalPlan, time: Column, windows: Windows, partition: Vec<Column>, fill: bool) -> Result<AssignWindow> {
        let mut fields: Vec<_> = input.schema().iter().map(|(q, f)| (q.cloned(), Arc::clone(f))).collect();
        for name in COLUMNS {
            fields.push((None, Arc::new(Field::new(name, ts_type(), false))));
        }
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(AssignWindow { input, time, windows, partition, fill, schema })
    }
}

impl PartialOrd for AssignWindow {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let key = |n: &AssignWindow| (n.time.clone(), n.windows, n.partition.clone(), n.fill);
        (key(self), &self.input).partial_cmp(&(key(other), &other.input))
    }
}

impl UserDefinedLogicalNodeCore for AssignWindow {
    fn name(&self) -> &str {
        "AssignWindow"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        std::iter::once(&self.time).chain(&self.partition).cloned().map(Expr::Column).collect()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        let own = COLUMNS.iter().map(|c| (*c).to_owned());
        if self.windows.shape != Shape::Session && !self.fill {
            return own.collect();
        }
        // A row that WHERE leaves out still holds its session together, and still says how far time has come; only whole sessions may go before.
        let free: HashSet<&str> = if self.fill { HashSet::new() } else { self.partition.iter().map(|c| c.name.as_str()).collect() };
        own.chain(self.input.schema().fields().iter().map(|f| f.name().clone()).filter(|name| !free.contains(name.as_str()))).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssignWindow: time={}, {}", self.time, self.windows)?;
        if !self.partition.is_empty() {
            let keys: Vec<String> = self.partition.iter().map(ToString::to_string).collect();
            write!(f, ", partition=[{}]", keys.join(", "))?;
        }
        if self.fill { f.write_str(", fill=zero") } else { Ok(()) }
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut columns = Vec::with_capacity(exprs.len());
        for expr in exprs {
            match expr {
                Expr::Column(column) => columns.push(column),
                other => return plan_err!("a window's time and keys are columns, not {other}"),
            }
        }
        match (columns.split_first(), inputs.into_iter().next()) {
            (Some((time, partition)), Some(input)) => {
                AssignWindow::try_new(input, time.clone(), self.windows, partition.to_vec(), self.fill)
            }
            _ => plan_err!("a window needs an input and a time"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let schema = self.input.schema();
        let n_input = schema.fields().len();
        let mut needed: Vec<usize> = output_columns.iter().copied().filter(|c| *c < n_input).collect();
        for column in std::iter::once(&self.time).chain(&self.partition) {
            needed.push(schema.index_of_column(column).ok()?);
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The windows of a time, by start and end.
    fn of(w: Windows, t: i64) -> Vec<(i64, i64)> {
        let pane = w.pane(t);
        let mut all = Vec::new();
        let mut end = pane + w.slide_us;
        while end <= w.last_end(pane) {
            all.push((w.start_of(end), end));
            end += w.slide_us;
        }
        all
    }

    #[test]
    fn a_row_before_the_epoch_is_in_the_window_below_it() {
        assert_eq!(of(Windows::tumble(10, 0), -1), [(-10, 0)]);
        assert_eq!(of(Windows::tumble(10, 0), 0), [(0, 10)]);
        assert_eq!(of(Windows::tumble(10, 0), 10), [(10, 20)]);
        assert_eq!(of(Windows::tumble(10, -3), 0), [(-3, 7)]);
        assert_eq!(of(Windows::tumble(10, 13), 2), [(-7, 3)]);
    }

    #[test]
    fn a_row_is_in_size_over_slide_hops() {
        let hop = Windows { slide_us: 5, ..Windows::tumble(10, 0) };
        assert_eq!(of(hop, 12), [(5, 15), (10, 20)]);
        assert_eq!(of(hop, 10), [(5, 15), (10, 20)]);
    }

    #[test]
    fn a_row_is_in_the_cumulating_windows_that_end_after_it() {
        let cumulate = Windows { shape: Shape::Cumulate, slide_us: 2, ..Windows::tumble(6, 0) };
        assert_eq!(of(cumulate, 0), [(0, 2), (0, 4), (0, 6)]);
        assert_eq!(of(cumulate, 3), [(0, 4), (0, 6)]);
        assert_eq!(of(cumulate, -1), [(-6, 0)]);
        assert_eq!(of(Windows { offset_us: 1, ..cumulate }, 0), [(-5, 1)]);
    }
}
