//! A late row as the text of a JSON object: its columns by name, a frame as its reference.

use std::sync::Arc;

use arrow::json::{LineDelimitedWriter, WriterBuilder, writer::LineDelimited};
use datafusion::arrow::array::{ArrayRef, StringArray};
use datafusion::arrow::record_batch::RecordBatch;
use framesql_udfs::frame::{FrameColumn, is_frame};

/// None for a row with a column that has no JSON.
pub(super) fn json(row: &RecordBatch) -> Option<String> {
    let schema = row.schema();
    let columns = schema.fields().iter().zip(row.columns()).map(|(field, column)| -> (String, ArrayRef) {
        let column = if is_frame(column.data_type()) { Arc::new(StringArray::from(vec![reference(column)])) } else { Arc::clone(column) };
        (field.name().clone(), column)
    });
    let mut unique: Vec<(String, ArrayRef)> = Vec::with_capacity(row.num_columns());
    for (name, column) in columns {
        if unique.iter().all(|(n, _)| *n != name) {
            unique.push((name, column));
        }
    }
    let plain = RecordBatch::try_from_iter(unique).ok()?;
    let mut writer: LineDelimitedWriter<Vec<u8>> = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    writer.write(&plain).ok()?;
    writer.finish().ok()?;
    String::from_utf8(writer.into_inner()).ok().map(|text| text.trim_end().to_owned())
}

fn reference(frames: &ArrayRef) -> Option<String> {
    let frame = FrameColumn::try_new(frames).ok()?.get(0)?;
    Some(format!("{}#{} {}x{}", frame.source, frame.frame_no, frame.width, frame.height))
}
