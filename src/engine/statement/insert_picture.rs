//! INSERT INTO a gallery: the one face of each picture is found, turned upright and looked at by the model, once; all pictures are kept, or none.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{Column, ExprSchema, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, ScalarUDF, cast, lit};
use datafusion::sql::sqlparser::ast::{self, SetExpr};
use framesql_udfs::frame::is_frame;

use super::insert::{check_clauses, check_width, expression};
use super::table_rows::{Written, folded, keep, refuse, rows_of};
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::view::table::Table;

/// The model that looks at the faces.
const MODEL: &str = "face-embedding";
/// The columns that a statement writes, and their types in VALUES.
const WRITTEN: [(&str, &str); 2] = [("name", "text"), ("picture", "bytea")];

/// Inserts all pictures, or none.
pub(super) async fn run(session: &Session, insert: &ast::Insert, gallery: &Arc<Table>, parameters: Vec<ScalarValue>) -> Result<Outcome> {
    check_clauses(insert)?;
    refuse(insert.returning.is_some(), "RETURNING of a gallery", "Read the rows with a SELECT behind it.")?;
    refuse(insert.on.is_some(), "ON CONFLICT of a gallery", "A person may have many pictures; DELETE those that are not wanted.")?;
    let writing = gallery.write().await;
    // Before the faces are looked at, so that whoever has no model is told so at once.
    let key = session.engine().inference.model(MODEL)?.key.to_string();
    let rows = rows_of(session, faces(session, insert).await?, parameters).await?;
    check_faces(&rows)?;
    let column = |at: usize| rows.columns().get(at).cloned().ok_or_else(|| Error::Internal("a column that is not there".into()));
    let n = rows.num_rows();
    let models: ArrayRef = Arc::new(StringArray::from_iter_values(std::iter::repeat_n(key, n)));
    keep(gallery, &writing, Written { replaced: Vec::new(), columns: vec![column(0)?, column(3)?, models], n_rows: n }).await?;
    Ok(Outcome::Done { tag: format!("INSERT 0 {n}") })
}

/// The query's plan: its parameters and their types.
pub(super) async fn describe(session: &Session, insert: &ast::Insert) -> Result<LogicalPlan> {
    check_clauses(insert)?;
    faces(session, insert).await
}

/// name, whether there is a picture, how many faces are in it, the vector of the first.
async fn faces(session: &Session, insert: &ast::Insert) -> Result<LogicalPlan> {
    let (source, places) = source(session, insert).await?;
    let given = source.schema().columns();
    let value = |at: usize| -> Result<(Expr, DataType)> {
        let column: Option<&Column> = places.iter().position(|place| *place == at).and_then(|from| given.get(from));
        match column {
            Some(column) => Ok((Expr::Column(column.clone()), source.schema().field_from_column(column)?.data_type().clone())),
            None => Ok((lit(ScalarValue::Null), DataType::Null)),
        }
    };
    let state = session.state();
    let function = |name: &str| -> Result<Arc<ScalarUDF>> { Ok(state.udf(name)?) };
    if places.iter().all(|place| *place != 1) {
        let message = "a row of a gallery is a name and a picture, and no picture is given".into();
        return Err(Error::Option { message, hint: Some("Write INSERT INTO people (name, picture) VALUES (…).".into()) });
    }
    let (name, picture) = (value(0)?.0, value(1)?);
    let frame = match picture {
        (frame, data_type) if is_frame(&data_type) => frame,
        (file, _) => function("decode_picture")?.call(vec![cast(file, DataType::Binary)]),
    };
    // The frame has a name first, so that a file is decoded once for all that look at it.
    let named = Projection::try_new(vec![cast(name, DataType::Utf8).alias("name"), frame.alias("frame")], Arc::new(source))?;
    let (name, frame) = (Expr::Column(Column::from_name("name")), Expr::Column(Column::from_name("frame")));
    let faces = function("detect_faces")?.call(vec![frame.clone()]);
    let first = function("array_element")?.call(vec![faces.clone(), lit(1_i64)]);
    let vector = function("face_embedding")?.call(vec![frame, first]);
    let n_faces = cast(function("cardinality")?.call(vec![faces.clone()]), DataType::Int64);
    let columns = vec![name, faces.is_not_null().alias("seen"), n_faces.alias("n"), vector.alias("embedding")];
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(LogicalPlan::Projection(named)))?))
}

/// The rows that are given, and which of the columns written each of theirs is.
async fn source(session: &Session, insert: &ast::Insert) -> Result<(LogicalPlan, Vec<usize>)> {
    let names: Vec<String> = insert.columns.iter().filter_map(|c| c.0.last()?.as_ident()).map(folded).collect();
    let mut places = Vec::new();
    for name in &names {
        let at = WRITTEN.iter().position(|(column, _)| column == name).ok_or_else(|| Error::Option {
            message: format!("column \"{name}\" of a gallery cannot be written"),
            hint: Some("Write INSERT INTO people (name, picture) …: the face is looked at when it is inserted.".into()),
        })?;
        if places.contains(&at) {
            return Err(Error::DuplicateColumn { name: name.clone() });
        }
        places.push(at);
    }
    if names.is_empty() {
        places = (0..WRITTEN.len()).collect();
    }
    let Some(query) = &insert.source else {
        return Err(Error::unsupported("DEFAULT VALUES of a gallery", "Write INSERT INTO people (name, picture) VALUES (…) or SELECT …."));
    };
    let mut query = query.clone();
    if let SetExpr::Values(values) = query.body.as_mut() {
        for row in &mut values.rows {
            check_width(row.len(), &places, !names.is_empty())?;
            for (expr, at) in row.iter_mut().zip(&places) {
                let sql_type = WRITTEN.get(*at).map_or("text", |(_, sql_type)| *sql_type);
                *expr = expression(&format!("CAST({expr} AS {sql_type})"))?;
            }
        }
    }
    let plan = session.plan(&query).await?;
    check_width(plan.schema().fields().len(), &places, true)?;
    Ok((plan, places))
}

/// Errs for a row whose picture has no face or several, with the name that it was to have.
fn check_faces(rows: &RecordBatch) -> Result<()> {
    let names = rows.column(0).as_string_opt::<i32>();
    let seen = rows.column(1).as_boolean_opt();
    let counts = rows.column(2).as_primitive_opt::<Int64Type>();
    let (Some(names), Some(seen), Some(counts)) = (names, seen, counts) else {
        return Err(Error::Internal("the faces of a picture are of another type".into()));
    };
    for row in 0..rows.num_rows() {
        let name = if names.is_valid(row) { names.value(row) } else { "NULL" };
        if name.trim().is_empty() {
            let hint = "Name who is seen: the name is what recognize_face gives.".to_owned();
            return Err(Error::Option { message: "a face of a gallery has no name".into(), hint: Some(hint) });
        }
        let n = if counts.is_valid(row) { counts.value(row) } else { 0 };
        let (message, hint) = match (seen.value(row), n) {
            (false, _) => (
                format!("the picture of \"{name}\" is NULL or cannot be decoded"),
                "Give a frame, or a JPEG, PNG, WebP, GIF or BMP file as bytea.",
            ),
            (true, 0) => (
                format!("there is no face in the picture of \"{name}\""),
                "Give a picture in which the face is seen from the front and is at least 30 pixels high.",
            ),
            (true, 1) => continue,
            (true, n) => (format!("there are {n} faces in the picture of \"{name}\""), "Cut out the one that is meant: crop(frame, box)."),
        };
        return Err(Error::Option { message, hint: Some(hint.to_owned()) });
    }
    Ok(())
}
