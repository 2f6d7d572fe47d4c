//! SHOW: the objects of a kind, or a setting.

use datafusion::arrow::datatypes::SchemaRef;

use super::{query, text_rows, text_schema};
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::plan::parse::{Kind, QueryText, parse_query};
use crate::settings::{SESSION_SETTINGS, shown_name};

/// What SHOW of a kind selects.
fn text_of(kind: Kind) -> Result<QueryText> {
    parse_query(match kind {
        Kind::Source => "SELECT name, url, codec, width, height, frames, pace, loop FROM framesql.sources ORDER BY name",
        Kind::Table => "SELECT name, rows, primary_key FROM framesql.tables ORDER BY name",
        Kind::Model => "SELECT name, task, state, version, runtime, licence, origin FROM framesql.models ORDER BY name",
        Kind::Gallery => "SELECT name, people, pictures FROM framesql.galleries ORDER BY name",
        Kind::View => "SELECT name, definition FROM framesql.views WHERE NOT materialized ORDER BY name",
        Kind::MaterializedView => {
            "SELECT v.name, s.state, s.rows, s.watermark FROM framesql.views v JOIN framesql.view_stats s ON s.name = v.name ORDER BY v.name"
        }
        Kind::Zone => "SELECT name, source, points, anchor FROM framesql.figures WHERE kind = 'zone' ORDER BY name",
        Kind::Line => "SELECT name, source, points, anchor FROM framesql.figures WHERE kind = 'line' ORDER BY name",
        Kind::Calibration => "SELECT name, source, points, anchor FROM framesql.figures WHERE kind = 'calibration' ORDER BY name",
    })
}

/// SHOW SOURCES and its like.
pub(super) async fn objects(session: &Session, kind: Kind) -> Result<Outcome> {
    Ok(Outcome::Rows { stream: query::run(session, &text_of(kind)?, Vec::new()).await?, tag: "SHOW" })
}

/// Their columns.
pub(super) async fn schema(session: &Session, kind: Kind) -> Result<SchemaRef> {
    let described = query::describe(session, &text_of(kind)?).await?;
    described.columns.ok_or_else(|| Error::Internal("a SELECT has columns".into()))
}

/// SHOW name, SHOW ALL.
pub(super) fn variable(session: &Session, name: &str) -> Result<Outcome> {
    let in_block = session.in_block();
    let variables = session.variables().lock();
    let columns = match name {
        "all" => {
            let values = SESSION_SETTINGS.iter().map(|s| variables.show(s.name)).collect::<Result<_>>()?;
            let texts = |of: fn(&crate::settings::SessionSetting) -> &str| SESSION_SETTINGS.iter().map(|s| of(s).to_owned()).collect();
            vec![texts(|s| shown_name(s.name)), values, texts(|s| s.meaning)]
        }
        // Outside of a block it is what the next one will have.
        "transaction_isolation" | "transaction isolation level" if !in_block => {
            vec![vec![variables.show("default_transaction_isolation")?]]
        }
        "transaction_read_only" if !in_block => vec![vec![variables.show("default_transaction_read_only")?]],
        name => vec![vec![variables.show(name)?]],
    };
    Ok(Outcome::Rows { stream: text_rows(variable_schema(name), columns)?, tag: "SHOW" })
}

/// Their columns.
pub(super) fn variable_schema(name: &str) -> SchemaRef {
    match name {
        "all" => text_schema(&["name", "setting", "description"]),
        name => text_schema(&[shown_name(name)]),
    }
}
