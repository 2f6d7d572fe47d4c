//! What the operators over tracks share: their rows, each of a track with a box, and the columns that name a track.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use framesql_udfs::detection::Box as Bbox;
use framesql_udfs::function::boxes::boxes;

use super::keys::KeyRows;
use crate::plan::tracked::Tracks;

/// A track: its partition's values, as bytes that are equal when they are, and its number there.
pub(super) type Key = (Vec<u8>, i64);

/// One row of a track.
pub(super) struct Seen {
    pub(super) key: Key,
    /// When, µs.
    pub(super) at_us: i64,
    /// Where, px.
    pub(super) bbox: Bbox,
}

/// Reads rows, and names tracks.
pub(super) struct Reader {
    tracks: Tracks,
    converter: KeyRows,
}

impl Reader {
    pub(super) fn try_new(tracks: &Tracks, input: &Schema) -> Result<Reader> {
        let fields = tracks.partition.iter().filter_map(|at| input.fields().get(*at));
        let converter = KeyRows::try_new(fields.map(|f| f.data_type()))?;
        Ok(Reader { tracks: tracks.clone(), converter })
    }

    /// The rows that are of a track and have a box, in their order.
    pub(super) fn read(&self, rows: &RecordBatch) -> Result<Vec<Seen>> {
        let times = rows.column(self.tracks.time()).as_primitive::<TimestampMicrosecondType>();
        let numbers = rows.column(self.tracks.track_id).as_primitive::<Int64Type>();
        let boxes = boxes(rows.column(self.tracks.bbox))?;
        let columns: Vec<ArrayRef> = self.tracks.partition.iter().map(|at| Arc::clone(rows.column(*at))).collect();
        let partitions = if columns.is_empty() { None } else { Some(self.converter.convert_columns(&columns)?) };
        let partition = |row: usize| partitions.as_ref().map_or_else(Vec::new, |all| all.row(row).as_ref().to_vec());
        let seen = boxes.into_iter().enumerate().filter_map(|(row, bbox)| {
            let known = numbers.is_valid(row) && times.is_valid(row);
            bbox.filter(|_| known).map(|bbox| Seen { key: (partition(row), numbers.value(row)), at_us: times.value(row), bbox })
        });
        Ok(seen.collect())
    }

    /// The partition's columns and the number of each of these tracks, for the first columns of `schema`.
    pub(super) fn columns(&self, keys: &[Key], schema: &SchemaRef) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::new();
        if !self.tracks.partition.is_empty() {
            let parser = self.converter.parser();
            columns = self.converter.convert_rows(keys.iter().map(|(partition, _)| parser.parse(partition)))?;
        }
        for (column, field) in columns.iter_mut().zip(schema.fields()) {
            if column.data_type() != field.data_type() {
                *column = cast(column, field.data_type())?;
            }
        }
        columns.push(Arc::new(keys.iter().map(|(_, number)| *number).collect::<Int64Array>()));
        Ok(columns)
    }
}

/// Tracks as columns of a snapshot.
pub(super) fn kept<'a>(keys: impl Iterator<Item = &'a Key> + Clone) -> [ArrayRef; 2] {
    let partitions: BinaryArray = keys.clone().map(|(partition, _)| Some(partition.as_slice())).collect();
    [Arc::new(partitions), Arc::new(keys.map(|(_, number)| *number).collect::<Int64Array>())]
}

/// Those of such columns, the first two of a table.
pub(super) fn keys(kept: &RecordBatch) -> Vec<Key> {
    let (partitions, numbers) = (kept.column(0).as_binary::<i32>(), kept.column(1).as_primitive::<Int64Type>());
    partitions.iter().zip(numbers.values()).map(|(partition, number)| (partition.unwrap_or_default().to_vec(), *number)).collect()
}
