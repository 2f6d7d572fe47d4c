//! One statement run to its end, its notices and its result printed: what run, sql and demo share.

use futures::StreamExt;

use super::print;
use super::table::{Format, Layout, Writer};
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::plan::column_names::Names;
use crate::plan::parse::{Body, Statement};

/// Runs the statement and prints what it gives, rows of a SUBSCRIBE as they come.
pub(super) async fn run(session: &Session, statement: &Statement, format: Format) -> Result<()> {
    let outcome = session.execute(statement, Vec::new()).await;
    for notice in session.take_notices() {
        print::notice(&notice);
    }
    let (mut stream, layout) = match outcome? {
        // A command tag among the rows of a csv or json file would spoil it.
        Outcome::Done { tag } => return if format == Format::Table { print::line(&tag) } else { Ok(()) },
        Outcome::Copy { stream, form } => (stream, Layout::copy(&form)?),
        Outcome::Rows { stream, .. } => (stream, Layout::of(format, matches!(statement.body, Body::Subscribe(_)))),
    };
    let zone = session.variables().lock().time_zone();
    let mut writer = Writer::new(layout, &stream.schema(), &Names::of_statement(statement)).in_zone(zone);
    while let Some(batch) = stream.next().await {
        print_part(writer.rows(&batch?)?)?;
        for notice in session.take_notices() {
            print::notice(&notice);
        }
    }
    print_part(writer.end())
}

fn print_part(text: String) -> Result<()> {
    if text.is_empty() { Ok(()) } else { print::out(&text) }
}

/// The same, until Ctrl-C: then the statement is cancelled (57014).
pub(super) async fn run_until_interrupted(session: &Session, statement: &Statement, format: Format) -> Result<()> {
    tokio::select! {
        result = run(session, statement, format) => result,
        () = super::stop::interrupted() => Err(Error::Cancelled { reason: "user request" }),
    }
}
