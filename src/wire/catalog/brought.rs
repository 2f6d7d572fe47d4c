//! The relations that Postgres brings and that never change, as version 16 has them, with columns that say of which type they are.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::error::Result;
use datafusion_pg_catalog::pg_catalog::PgCatalogTable;

use super::shared::Shared;
use crate::wire::value::column_types::{self, marked_schema};
use crate::wire::value::columns;

/// The columns of one; None if there is none of that name.
pub(in crate::wire) fn schema(shared: &Shared, name: &str) -> Result<Option<SchemaRef>> {
    Ok(shared.fixed.build_table_by_name(name)?.map(|table| as_in_postgres(&table.schema())))
}

/// Its rows; None if there is none of that name, or if they are not fixed.
pub(in crate::wire) fn rows(shared: &Shared, name: &str) -> Result<Option<(SchemaRef, Vec<RecordBatch>)>> {
    let Some(table) = shared.fixed.build_table_by_name(name)? else { return Ok(None) };
    let schema = as_in_postgres(&table.schema());
    let rows = match &table {
        PgCatalogTable::Static(table) => table.data(),
        PgCatalogTable::Empty(_) => &[],
        PgCatalogTable::Dynamic(_) => return Ok(None),
    };
    let column = |(array, field): (&ArrayRef, &Arc<Field>)| match column_types::of_field(field) {
        Some(data_type) if *field.data_type() == DataType::Utf8 && columns::element_of(&data_type).is_some() => Arc::new(braced(array)),
        _ => Arc::clone(array),
    };
    let columns = |rows: &RecordBatch| rows.columns().iter().zip(schema.fields()).map(column).collect();
    let rows = rows.iter().map(|rows| RecordBatch::try_new(Arc::clone(&schema), columns(rows)));
    let rows = rows.collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(Some((schema, rows)))
}

/// One as a table.
pub(in crate::wire) async fn table(shared: &Shared, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
    match rows(shared, name)? {
        Some((schema, rows)) => Ok(Some(Arc::new(MemTable::try_new(schema, vec![rows])?))),
        None => shared.fixed.table(name).await,
    }
}

/// Arrays that were brought as Python writes lists, as Postgres writes them.
fn braced(texts: &ArrayRef) -> StringArray {
    let one = |text: &str| match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(items) => {
            let items = items.split(", ").map(|item| item.trim_matches('\''));
            let items: Vec<&str> = items.map(|item| if item.is_empty() { "\"\"" } else { item }).collect();
            format!("{{{}}}", items.join(","))
        }
        None => text.to_owned(),
    };
    texts.as_string::<i32>().iter().map(|text| text.map(one)).collect()
}

/// The rows that were brought are those of PostgreSQL 17, which has one column under another name than 16, whose manners these are, and one of another
/// type.
fn as_in_postgres(schema: &Schema) -> SchemaRef {
    let named = |field: &Arc<Field>| match field.name().as_str() {
        "colllocale" => Arc::new(field.as_ref().clone().with_name("colliculocale")),
        "stxstattarget" => Arc::new(field.as_ref().clone().with_data_type(DataType::Int32)),
        _ => Arc::clone(field),
    };
    Arc::new(marked_schema(&Schema::new(schema.fields().iter().map(named).collect::<Vec<_>>())))
}
