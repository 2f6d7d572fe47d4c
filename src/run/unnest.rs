//! One row an element of a list: the other columns are repeated by reference, so that a frame with ten faces is still one picture.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt32Array, new_null_array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::Result;
use serde::{Deserialize, Serialize};

use super::operator::{Operator, Output, row_by_row};

/// The description: which column is a list, and what becomes of rows without elements.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unnest {
    /// The list column, as an index of the input.
    pub list: usize,
    /// A row whose list is NULL stays, with a NULL element.
    pub keep_null: bool,
    /// A row whose list is empty stays, with a NULL element.
    pub keep_empty: bool,
    /// The columns that go out: those of the input with the element in the list's place.
    #[serde(with = "super::written")]
    pub schema: SchemaRef,
}

impl Unnest {
    /// What EXPLAIN shows.
    pub fn detail(&self) -> String {
        let keep = if self.keep_empty { ", rows without elements stay" } else { "" };
        format!("list={}{keep}", self.schema.field(self.list).name())
    }

    pub(super) fn build(&self) -> UnnestOperator {
        UnnestOperator { description: self.clone() }
    }
}

pub(super) struct UnnestOperator {
    description: Unnest,
}

impl Operator for UnnestOperator {
    fn rows(&mut self, _input: usize, rows: RecordBatch, out: &mut Output) -> Result<()> {
        let d = &self.description;
        let (parents, elements) = explode(rows.column(d.list), d.keep_null, d.keep_empty)?;
        let columns = rows
            .columns()
            .iter()
            .enumerate()
            .map(|(i, column)| if i == d.list { Ok(Arc::clone(&elements)) } else { take(column, &parents, None) })
            .collect::<Result<Vec<ArrayRef>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(parents.len()));
        out.rows(RecordBatch::try_new_with_options(Arc::clone(&d.schema), columns, &options)?);
        Ok(())
    }

    fn changes(&mut self, input: usize, gone: RecordBatch, come: RecordBatch, out: &mut Output) -> Result<()> {
        let schema = Arc::clone(&self.description.schema);
        row_by_row(self, &schema, input, gone, come, out)
    }
}

/// The row that each element comes from, and the elements.
pub(super) fn explode(list: &ArrayRef, keep_null: bool, keep_empty: bool) -> Result<(UInt32Array, ArrayRef)> {
    let mut parents: Vec<u32> = Vec::new();
    let mut positions: Vec<Option<u32>> = Vec::new();
    let mut add = |row: usize, range: std::ops::Range<usize>, null: bool| {
        let keep = if null { keep_null } else { range.is_empty() && keep_empty };
        if keep {
            parents.push(row as u32);
            positions.push(None);
        } else if !null {
            for at in range {
                parents.push(row as u32);
                positions.push(Some(at as u32));
            }
        }
    };
    let values = match list.data_type() {
        DataType::List(_) => {
            let lists = list.as_list::<i32>();
            for (row, w) in lists.offsets().windows(2).enumerate() {
                add(row, w[0] as usize..w[1] as usize, lists.is_null(row));
            }
            Arc::clone(lists.values())
        }
        DataType::LargeList(_) => {
            let lists = list.as_list::<i64>();
            for (row, w) in lists.offsets().windows(2).enumerate() {
                add(row, w[0] as usize..w[1] as usize, lists.is_null(row));
            }
            Arc::clone(lists.values())
        }
        DataType::FixedSizeList(_, size) => {
            let (lists, size) = (list.as_fixed_size_list(), *size as usize);
            for row in 0..lists.len() {
                add(row, row * size..(row + 1) * size, lists.is_null(row));
            }
            Arc::clone(lists.values())
        }
        other => return datafusion::common::internal_err!("unnest of {other}"),
    };
    let elements = if values.is_empty() {
        new_null_array(values.data_type(), positions.len())
    } else {
        take(&values, &UInt32Array::from(positions), None)?
    };
    Ok((UInt32Array::from(parents), elements))
}
