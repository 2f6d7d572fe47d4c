//! CREATE GALLERY: the faces of people by name, kept as a table is; their pictures are not kept.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use framesql_udfs::embedding::embedding_type;
use framesql_udfs::gallery::COLUMNS;

use crate::engine::block::Undo;
use crate::engine::catalog::{Body, Object};
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::engine::store::Change;
use crate::error::Result;
use crate::plan::parse::Statement;
use crate::view::table::{Table, TableColumn};

/// Makes the gallery.
pub(super) async fn run(session: &Session, statement: &Statement, name: &str, if_not_exists: bool) -> Result<Outcome> {
    let engine = session.engine();
    let _changing = engine.changing.lock().await;
    let done = || Ok(Outcome::Done { tag: "CREATE GALLERY".into() });
    if if_not_exists && engine.catalog.find(name).is_some() {
        session.skips("42P07", format!("relation \"{name}\" already exists, skipping"));
        return done();
    }
    engine.catalog.check_free(name)?;
    session.check_not_held(name)?;
    // In a transaction block it gets its file at COMMIT.
    let file = engine.store.as_ref().filter(|_| !session.in_block()).map(|store| store.table_file(name));
    let table = Arc::new(Table::open(name, columns()?, Vec::new(), file, session.in_background())?);
    session.keep(vec![Change::Add(name.to_owned(), statement.text.clone())])?;
    let object =
        Object { name: name.to_owned(), body: Body::Gallery(Arc::clone(&table)), definition: statement.text.clone(), reads: Vec::new() };
    engine.catalog.add(object.clone())?;
    session.did(Undo::Made(object));
    engine.inference.add_gallery(name, table);
    engine.missing.forget(name);
    done()
}

fn columns() -> Result<Vec<TableColumn>> {
    let [name, embedding, model] = COLUMNS;
    let column = |name: &str, data_type: DataType, sql_type: &str| -> Result<TableColumn> {
        let default = ScalarValue::try_from(&data_type)?;
        Ok(TableColumn { field: Field::new(name, data_type, false), sql_type: sql_type.to_owned(), max_chars: None, default })
    };
    Ok(vec![
        column(name, DataType::Utf8, "text")?,
        column(embedding, embedding_type(), "float4[]")?,
        column(model, DataType::Utf8, "text")?,
    ])
}
