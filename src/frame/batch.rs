//! Rows of a video source as Arrow batches: the schema, and the builder that fills it without copying a pixel.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanBuilder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::Result;
use framesql_udfs::detection::{DetectionListBuilder, detection_type};
use framesql_udfs::frame::{FrameBuilder, FrameId, frame_field};

use super::reader::Shot;

/// The index of the event time in the schema below.
pub const TS: usize = 2;
/// The index of the frame.
pub const FRAME: usize = 8;
/// The index of the ground truth, which only `pattern:` has.
pub const TRUTH: usize = 9;

/// The type of every event time: µs, UTC.
pub fn ts_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The columns of a video source (DESIGN section 3); `truth` is the synthetic camera's.
pub fn schema(truth: bool) -> SchemaRef {
    let mut fields = vec![
        Field::new("source", DataType::Utf8, false),
        Field::new("frame_no", DataType::Int64, false),
        Field::new("ts", ts_type(), false),
        Field::new("pts_us", DataType::Int64, false),
        Field::new("width", DataType::Int32, false),
        Field::new("height", DataType::Int32, false),
        Field::new("keyframe", DataType::Boolean, false),
        Field::new("missed", DataType::Int32, false),
        frame_field("frame"),
    ];
    if truth {
        fields.push(Field::new("truth", DataType::List(Arc::new(Field::new("item", detection_type(), true))), true));
    }
    Arc::new(Schema::new(fields))
}

/// One row before it is in a batch: the shot with its place on the source's endless timeline.
#[derive(Debug)]
pub struct Row {
    /// The number on the timeline; a loop goes on counting.
    pub frame_no: i64,
    /// The event time, µs.
    pub ts_us: i64,
    /// The picture and what the container says of it.
    pub shot: Shot,
}

enum Column {
    Source(StringBuilder),
    Int64(fn(&Row) -> i64, Int64Builder),
    Int32(fn(&Row) -> i32, Int32Builder),
    Ts(TimestampMicrosecondBuilder),
    Keyframe(BooleanBuilder),
    Frame(Box<FrameBuilder>),
    Truth(Box<DetectionListBuilder>),
}

/// Collects rows into one batch of the projected columns.
pub struct BatchBuilder {
    source_id: u64,
    source: Arc<str>,
    schema: SchemaRef,
    columns: Vec<Column>,
    n_rows: usize,
    pixel_bytes: usize,
    max_ts_us: i64,
}

impl BatchBuilder {
    /// `projection` are indices of the schema above, in the order of the batch.
    pub fn new(source_id: u64, source: Arc<str>, projected: SchemaRef, projection: &[usize]) -> BatchBuilder {
        let columns = projection
            .iter()
            .map(|index| match *index {
                0 => Column::Source(StringBuilder::new()),
                1 => Column::Int64(|r| r.frame_no, Int64Builder::new()),
                TS => Column::Ts(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
                3 => Column::Int64(|r| r.shot.pts_us, Int64Builder::new()),
                4 => Column::Int32(|r| i32::try_from(r.shot.width).unwrap_or(i32::MAX), Int32Builder::new()),
                5 => Column::Int32(|r| i32::try_from(r.shot.height).unwrap_or(i32::MAX), Int32Builder::new()),
                6 => Column::Keyframe(BooleanBuilder::new()),
                7 => Column::Int32(|r| r.shot.missed, Int32Builder::new()),
                FRAME => Column::Frame(Box::default()),
                _ => Column::Truth(Box::new(DetectionListBuilder::new())),
            })
            .collect();
        BatchBuilder { source_id, source, schema: projected, columns, n_rows: 0, pixel_bytes: 0, max_ts_us: i64::MIN }
    }

    /// Takes one row; its planes are shared, not copied.
    pub fn push(&mut self, row: &Row) {
        self.n_rows += 1;
        self.max_ts_us = self.max_ts_us.max(row.ts_us);
        for column in &mut self.columns {
            match column {
                Column::Source(b) => b.append_value(&self.source),
                Column::Int64(of, b) => b.append_value(of(row)),
                Column::Int32(of, b) => b.append_value(of(row)),
                Column::Ts(b) => b.append_value(row.ts_us),
                Column::Keyframe(b) => b.append_value(row.shot.keyframe),
                Column::Frame(b) => match &row.shot.picture {
                    Some(picture) => {
                        self.pixel_bytes += picture.planes.iter().flatten().map(|p| p.len()).sum::<usize>();
                        let id = FrameId {
                            source_id: self.source_id,
                            source: Arc::clone(&self.source),
                            frame_no: row.frame_no,
                            ts_us: row.ts_us,
                            derived: false,
                        };
                        b.append(&id, row.shot.width, row.shot.height, Some(picture));
                    }
                    None => b.append_null(),
                },
                Column::Truth(b) => match &row.shot.truth {
                    Some(truth) => b.append(truth),
                    None => b.append_null(),
                },
            }
        }
    }

    /// Rows so far.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Bytes of planes so far.
    pub fn pixel_bytes(&self) -> usize {
        self.pixel_bytes
    }

    /// The batch, with the highest event time in it; the builder is empty again.
    pub fn finish(&mut self) -> Result<(RecordBatch, i64)> {
        let columns: Vec<ArrayRef> = self
            .columns
            .iter_mut()
            .map(|column| -> ArrayRef {
                match column {
                    Column::Source(b) => Arc::new(b.finish()),
                    Column::Int64(_, b) => Arc::new(b.finish()),
                    Column::Int32(_, b) => Arc::new(b.finish()),
                    Column::Ts(b) => Arc::new(b.finish()),
                    Column::Keyframe(b) => Arc::new(b.finish()),
                    Column::Frame(b) => Arc::new(b.finish()),
                    Column::Truth(b) => Arc::new(b.finish()),
                }
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.n_rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        let max_ts_us = self.max_ts_us;
        (self.n_rows, self.pixel_bytes, self.max_ts_us) = (0, 0, i64::MIN);
        Ok((batch, max_ts_us))
    }
}
