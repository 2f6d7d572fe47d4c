//! What `\d`, `\dt` and `\dm` show: the relations of the catalogue, and the columns of one.

use arrow::datatypes::{DataType, TimeUnit};
use framesql_udfs::frame::is_frame;

use super::table::Format;
use super::{print, statement};
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};

/// `\d`: every source, table and view.
const RELATIONS: &str = "SELECT table_schema AS \"Schema\", table_name AS \"Name\", lower(table_type) AS \"Type\" \
     FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name";

/// Prints what `\dt` (sources), `\dm` (materialized views) or `\d` (all) lists.
pub(super) async fn list(session: &Session, command: &str) -> Result<()> {
    let sql = match command {
        "\\dt" => "SHOW SOURCES",
        "\\dm" => "SHOW MATERIALIZED VIEWS",
        _ => RELATIONS,
    };
    for one in session.parse(sql)? {
        statement::run(session, &one, Format::Table).await?;
    }
    Ok(())
}

/// `\d name`: its columns, as an empty SELECT gives them. Errs if there is no such relation (42P01).
pub(super) async fn columns(session: &Session, name: &str) -> Result<()> {
    let quoted = match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
        Some(_) => name.to_owned(),
        None => format!("\"{}\"", name.trim_start_matches("public.").to_lowercase().replace('"', "\"\"")),
    };
    let query = session.parse(&format!("SELECT * FROM {quoted} LIMIT 0"))?;
    let Some(query) = query.first() else { return Ok(()) };
    let Outcome::Rows { stream, .. } = session.execute(query, Vec::new()).await? else {
        return Err(Error::Internal("a SELECT gave no rows".to_owned()));
    };
    // The SELECT serves only to learn the columns; what it may say about its rows is of no interest here.
    session.take_notices();
    let rows: Vec<(String, String, &str)> = stream
        .schema()
        .fields()
        .iter()
        .map(|f| (f.name().clone(), type_name(f.data_type()), if f.is_nullable() { "" } else { "not null" }))
        .collect();
    let width = |of: &dyn Fn(&(String, String, &str)) -> usize, name: &str| rows.iter().map(of).max().unwrap_or(0).max(name.len());
    let names = width(&|r| r.0.chars().count(), "Column");
    let types = width(&|r| r.1.len(), "Type");
    let mut text =
        format!(" {:^names$} | {:^types$} | Nullable \n-{}-+-{}-+----------\n", "Column", "Type", "-".repeat(names), "-".repeat(types));
    for (name, data_type, nullable) in &rows {
        text.push_str(&format!(" {name:<names$} | {data_type:<types$} | {nullable}\n"));
    }
    print::line(&text)
}

/// The type in SQL's words, as Postgres prints it.
fn type_name(data_type: &DataType) -> String {
    let name = match data_type {
        frame if is_frame(frame) => "frame",
        DataType::Boolean => "boolean",
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint",
        DataType::Int32 | DataType::UInt16 => "integer",
        DataType::Int64 | DataType::UInt32 => "bigint",
        DataType::UInt64 | DataType::Decimal128(..) | DataType::Decimal256(..) => "numeric",
        DataType::Float16 | DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "bytea",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time without time zone",
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond, zone) => match zone {
            Some(_) => "timestamp with time zone",
            None => "timestamp without time zone",
        },
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        DataType::Struct(_) | DataType::Map(..) => "jsonb",
        DataType::Dictionary(_, values) => return type_name(values),
        DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => return format!("{}[]", type_name(f.data_type())),
        other => return other.to_string(),
    };
    name.to_owned()
}
