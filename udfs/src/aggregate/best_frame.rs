//! `best_frame(frame, score float8) -> FRAME`: the frame with the greatest score.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StructArray};
use arrow::datatypes::{DataType, Float64Type};
use datafusion_common::{Result, ScalarValue, internal_err};
use datafusion_expr::Accumulator;

use super::define::sql_aggregate;
use crate::frame::{FrameColumn, frame_type, without_pixels};

sql_aggregate!(
    BestFrame, "best_frame", arguments: [Frame, Float], required: 2, returns: frame_type(),
    state: [frame_type(), DataType::Float64, DataType::Binary], accumulator: || Ok(Box::new(Best { file: false, best: None })),
    syntax: "best_frame(frame, score float8) -> FRAME",
    description: "The frame with the greatest score, as a reference without its pixels, which do not outlive the row: it prints as source#frame_no and size. best_jpeg gives its picture. Of several with the same score the earliest. Rows whose frame or score is NULL or not a number do not count; NULL where none counts.",
    example: "SELECT best_frame(frame, sharpness(frame)) FROM clip WHERE frame_no < 100"
);

/// The best row so far, with its file where one is asked for.
#[derive(Debug)]
pub(super) struct Best {
    pub(super) file: bool,
    pub(super) best: Option<Row>,
}

/// A frame with its score.
#[derive(Clone, Debug)]
pub(super) struct Row {
    score: f64,
    /// Its time, source and number, by which one of several with the same score is chosen whatever their order.
    which: (i64, String, i64),
    /// One row, without pixels.
    frame: StructArray,
    file: Option<Vec<u8>>,
}

impl Row {
    fn better(&self, than: &Row) -> bool {
        self.score.total_cmp(&than.score).then_with(|| than.which.cmp(&self.which)) == Ordering::Greater
    }
}

impl Best {
    fn offer(&mut self, frames: &ArrayRef, scores: &ArrayRef, files: Option<&ArrayRef>) -> Result<()> {
        let (column, scores) = (FrameColumn::try_new(frames.as_ref())?, scores.as_primitive::<Float64Type>());
        let files = files.map(|f| f.as_binary::<i32>());
        for row in 0..column.len() {
            let file = match &files {
                Some(files) if files.is_null(row) => continue,
                Some(files) => Some(files.value(row)),
                None => None,
            };
            let score = if scores.is_valid(row) { scores.value(row) } else { f64::NAN };
            let Some(view) = column.get(row).filter(|_| !score.is_nan()) else { continue };
            // Most rows are not better, and cost no copy.
            if self.best.as_ref().is_some_and(|best| score < best.score) {
                continue;
            }
            let frame = without_pixels(&frames.as_struct().slice(row, 1));
            let candidate = Row {
                score: score + 0.0,
                which: (view.ts_us, view.source.to_owned(), view.frame_no),
                frame,
                file: file.map(<[u8]>::to_vec),
            };
            if self.best.as_ref().is_none_or(|best| candidate.better(best)) {
                self.best = Some(candidate);
            }
        }
        Ok(())
    }
}

impl Accumulator for Best {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match values {
            [frames, scores] => self.offer(frames, scores, None),
            [frames, scores, files] => self.offer(frames, scores, Some(files)),
            _ => internal_err!("the best of frames has two or three arguments"),
        }
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match (&self.best, self.file) {
            (best, true) => Ok(ScalarValue::Binary(best.as_ref().and_then(|b| b.file.clone()))),
            (Some(best), false) => Ok(ScalarValue::Struct(Arc::new(best.frame.clone()))),
            (None, false) => ScalarValue::try_from(&frame_type()),
        }
    }

    fn size(&self) -> usize {
        let of = |row: &Row| row.frame.get_array_memory_size() + row.file.as_ref().map_or(0, Vec::len);
        size_of_val(self) + self.best.as_ref().map_or(0, of)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(match &self.best {
            Some(best) => vec![
                ScalarValue::Struct(Arc::new(best.frame.clone())),
                ScalarValue::Float64(Some(best.score)),
                ScalarValue::Binary(best.file.clone()),
            ],
            None => vec![ScalarValue::try_from(&frame_type())?, ScalarValue::Float64(None), ScalarValue::Binary(None)],
        })
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [frames, scores, files] = states else { return internal_err!("the best of frames keeps three values") };
        self.offer(frames, scores, self.file.then_some(files))
    }
}
