//! When a left and a right row of a join belong together: equal keys, and a filter over both.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatchOptions, UInt32Array, new_null_array};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DFSchemaRef;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};

use super::expression::{evaluate, passes, physical};
use super::keys::KeyRows;

/// The values of a row's keys, as bytes that are equal when they are.
pub(super) type Key = Arc<[u8]>;

/// The description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Condition {
    /// The left columns.
    #[serde(with = "super::written")]
    pub left: DFSchemaRef,
    /// The right columns.
    #[serde(with = "super::written")]
    pub right: DFSchemaRef,
    /// What must be equal, over the left columns.
    #[serde(with = "super::written")]
    pub left_keys: Vec<Expr>,
    /// And over the right ones.
    #[serde(with = "super::written")]
    pub right_keys: Vec<Expr>,
    /// What else must be true, over both; None is nothing.
    #[serde(with = "super::written")]
    pub filter: Option<Expr>,
    /// Whether NULL equals NULL (IS NOT DISTINCT FROM).
    pub null_equals_null: bool,
}

impl Condition {
    /// What EXPLAIN shows.
    pub(super) fn detail(&self) -> String {
        let on: Vec<String> = self.left_keys.iter().zip(&self.right_keys).map(|(l, r)| format!("{l} = {r}")).collect();
        let filter = self.filter.as_ref().map_or(String::new(), |f| format!(", filter={f}"));
        format!("on=[{}]{filter}", on.join(", "))
    }

    /// The expressions that are evaluated.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.left_keys.iter().chain(&self.right_keys).chain(&self.filter)
    }

    pub(super) fn build(&self) -> Result<Matcher> {
        let keys = |exprs: &[Expr], schema: &DFSchemaRef| exprs.iter().map(|e| physical(e, schema)).collect::<Result<Vec<_>>>();
        let types = self.left_keys.iter().map(|e| e.get_type(&self.left)).collect::<Result<Vec<_>>>()?;
        let both = self.left.join(&self.right)?;
        Ok(Matcher {
            keys: [keys(&self.left_keys, &self.left)?, keys(&self.right_keys, &self.right)?],
            converter: if types.is_empty() { None } else { Some(KeyRows::try_new(&types)?) },
            types,
            filter: self.filter.as_ref().map(|f| physical(f, &both)).transpose()?,
            pairs: Arc::clone(both.inner()),
            null_equals_null: self.null_equals_null,
        })
    }
}

/// A condition at work.
pub(super) struct Matcher {
    keys: [Vec<Arc<dyn PhysicalExpr>>; 2],
    types: Vec<DataType>,
    converter: Option<KeyRows>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    pairs: SchemaRef,
    null_equals_null: bool,
}

impl Matcher {
    /// The key of each row of the left (0) or right (1) side; None where a NULL equals nothing.
    pub(super) fn keys(&self, side: usize, rows: &RecordBatch) -> Result<Vec<Option<Key>>> {
        let Some(converter) = &self.converter else { return Ok(vec![Some(Arc::from([])); rows.num_rows()]) };
        let columns = self.keys.get(side).into_iter().flatten().zip(&self.types).map(|(key, of)| {
            let values = evaluate(key, rows)?;
            Ok(if values.data_type() == of { values } else { cast(&values, of)? })
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let nulls: Vec<_> = columns.iter().filter_map(|c| c.logical_nulls()).collect();
        let keys = converter.convert_columns(&columns)?;
        let null = |row: usize| !self.null_equals_null && nulls.iter().any(|n| n.is_null(row));
        Ok(keys.iter().enumerate().map(|(row, key)| (!null(row)).then(|| Arc::from(key.as_ref()))).collect())
    }

    /// Which pairs pass the filter: the rows of `left` and `right` stand side by side.
    pub(super) fn passing(&self, left: &RecordBatch, right: &RecordBatch) -> Result<BooleanArray> {
        match &self.filter {
            None => Ok(BooleanArray::from(vec![true; left.num_rows()])),
            Some(filter) => passes(filter, &side_by_side(&self.pairs, left.num_rows(), Some(left), Some(right))?),
        }
    }
}

/// `n` rows of a left and a right side as rows of `schema`; a side that is not there is NULL.
pub(super) fn side_by_side(schema: &SchemaRef, n: usize, left: Option<&RecordBatch>, right: Option<&RecordBatch>) -> Result<RecordBatch> {
    let n_columns = |side: Option<&RecordBatch>| side.map(RecordBatch::num_columns);
    let all = schema.fields().len();
    let n_left = n_columns(left).unwrap_or_else(|| all.saturating_sub(n_columns(right).unwrap_or(0)));
    let null =
        |fields: &mut dyn Iterator<Item = &Arc<Field>>| -> Vec<ArrayRef> { fields.map(|f| new_null_array(f.data_type(), n)).collect() };
    let mut columns = match left {
        Some(rows) => rows.columns().to_vec(),
        None => null(&mut schema.fields().iter().take(n_left)),
    };
    match right {
        Some(rows) => columns.extend(rows.columns().iter().cloned()),
        None => columns.extend(null(&mut schema.fields().iter().skip(n_left))),
    }
    let options = RecordBatchOptions::new().with_row_count(Some(n));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// The rows of those numbers, NULLs where there is none; also of a batch without columns.
pub(super) fn rows_at(rows: &RecordBatch, at: &UInt32Array, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = rows.columns().iter().map(|c| take(c, at, None)).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(at.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// The columns, each of which may be NULL.
pub(super) fn nullable(schema: &SchemaRef) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect::<Vec<_>>()))
}
