//! Runs every tests/slt/<topic>/<thing>.slt in an engine of its own, and every question of queries/ through the program.
//!
//! `UPDATE=1 cargo test` fills in the answers of queries, and the message behind an error's code (never the code); `SLT=window cargo test` runs only the files with that in their path.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use framesql::engine::Engine;
use framesql::engine::outcome::Outcome;
use framesql::engine::session::Session;
use framesql::error::Error;
use framesql::settings::{Settings, TimeZone};
use framesql::wire::write_text;
use futures::StreamExt;
use sqllogictest::runner::{RecordOutput, Runner, update_record_with_output};
use sqllogictest::{
    AsyncDB, ColumnType, Control, DBOutput, MakeConnection, QueryExpect, Record, default_normalizer, default_validator, parse_file,
    strict_column_validator,
};

use crate::files;

/// A file that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(180);

/// Every file that is run, in name order.
pub(crate) fn slt_files() -> Vec<PathBuf> {
    files::ending(&["tests/slt"], &["slt"])
}

#[test]
fn every_slt_file_gives_its_answers() {
    let only = std::env::var("SLT").unwrap_or_default();
    let files: Vec<PathBuf> = slt_files().into_iter().filter(|p| p.to_string_lossy().contains(&only)).collect();
    assert!(!files.is_empty(), "no file has {only:?} in its path");
    let (next, failures) = (AtomicUsize::new(0), parking_lot::Mutex::new(Vec::new()));
    let work = || {
        while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let ran = std::panic::catch_unwind(|| run_file(path)).unwrap_or_else(|_| Err("panicked".to_owned()));
            if let Err(reason) = ran {
                failures.lock().push(format!("{}: {reason}", path.display()));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner();
    assert!(failures.is_empty(), "\n{}\n{} of {} files failed", failures.join("\n"), failures.len(), files.len());
}

#[test]
fn every_question_of_queries_has_the_answer_that_run_prints() {
    let mut failures = Vec::new();
    for question in files::questions() {
        let answer = files::root().join(question.with_extension("out"));
        let run = Command::new(env!("CARGO_BIN_EXE_framesql"))
            .current_dir(files::root())
            .arg("run")
            .arg(&question)
            .args(["--source", "clip=media/lobby.mp4"])
            .output()
            .unwrap();
        let printed = String::from_utf8(run.stdout).unwrap();
        if !run.status.success() {
            failures.push(format!("{}: {}", question.display(), String::from_utf8_lossy(&run.stderr)));
        } else if files::update() {
            std::fs::write(&answer, printed).unwrap();
        } else if printed != std::fs::read_to_string(&answer).unwrap_or_default() {
            failures.push(format!("{} answers\n{printed}", question.display()));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn run_file(path: &Path) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let ran = async {
            if files::update() {
                fill(path).await?;
            }
            let mut runner = runner().await?;
            let ran = runner.run_file_async(files::root().join(path)).await.map_err(|e| e.to_string());
            runner.shutdown_async().await;
            ran
        };
        tokio::time::timeout(LIMIT, ran).await.unwrap_or_else(|_| Err(format!("did not end in {} s", LIMIT.as_secs())))
    })
}

/// A runner on an engine of its own; each `connection` of the file is a session of it. `${MEDIA}` is the folder of the bundled clip, `${MODELS}` that of small models, `${ROWS}` that of files of rows.
async fn runner() -> Result<Runner<Database, impl MakeConnection<Conn = Database>>, String> {
    let engine = Engine::open(Settings::default()).await.map_err(|e| e.to_string())?;
    let connect = move || {
        let session = engine.session("framesql", "framesql");
        async move { Ok::<_, Failure>(Database { session }) }
    };
    let mut runner = Runner::new(connect);
    runner.with_column_validator(strict_column_validator);
    runner.set_var("MEDIA".to_owned(), files::root().join("media").display().to_string());
    runner.set_var("MODELS".to_owned(), files::root().join("udfs/tests/models").display().to_string());
    runner.set_var("ROWS".to_owned(), files::root().join("tests/rows").display().to_string());
    runner.apply_record(Record::Control(Control::Substitution(true))).await;
    Ok(runner)
}

/// Writes the answers of queries into the file. What fails, or should fail and does not, stays as it is and is reported when the file is run.
async fn fill(path: &Path) -> Result<(), String> {
    let mut runner = runner().await?;
    let file = files::root().join(path);
    let mut text = String::new();
    for record in parse_file::<Column>(&file).map_err(|e| e.to_string())? {
        let output = runner.apply_record(record.clone()).await;
        let filled = match (&record, &output) {
            (Record::Query { expected: QueryExpect::Results { .. }, .. }, RecordOutput::Query { error: None, .. }) => {
                update_record_with_output(&record, &output, " ", default_validator, default_normalizer, strict_column_validator)
            }
            _ => None,
        };
        let record = filled.unwrap_or(record).to_string();
        text.push_str(&with_message(&record, &output).unwrap_or(record));
        text.push('\n');
    }
    runner.shutdown_async().await;
    std::fs::write(&file, format!("{}\n", text.trim_end())).map_err(|e| e.to_string())
}

/// The record with the message and the hint behind the code that its author wrote; None for one that says more than a code already, for one
/// that gives another code, and for what names a file of this machine.
fn with_message(record: &str, output: &RecordOutput<Column>) -> Option<String> {
    let (first, rest) = record.split_once('\n')?;
    let code = first.strip_prefix("statement error (")?.strip_suffix(')')?;
    let (RecordOutput::Statement { error: Some(error), .. } | RecordOutput::Query { error: Some(error), .. }) = output else { return None };
    let message = error.to_string();
    let told = message.starts_with(&format!("({code}) ")) && !message.contains("  ") && !message.contains(['\n', '/']);
    let escaped: String = message.chars().flat_map(|c| "\\.+*?()|[]{}^$".contains(c).then_some('\\').into_iter().chain([c])).collect();
    told.then(|| format!("statement error {escaped}\n{rest}"))
}

/// One session of the file's engine.
struct Database {
    session: Session,
}

/// An error as a test names it: by its code, or by a pattern over `(code) message`.
#[derive(Debug)]
struct Failure(Error);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) {}", self.0.sqlstate(), self.0)?;
        self.0.hint().map_or(Ok(()), |hint| write!(f, " HINT: {hint}"))
    }
}

impl std::error::Error for Failure {}

#[async_trait::async_trait]
impl AsyncDB for Database {
    type Error = Failure;
    type ColumnType = Column;

    /// Runs what the record holds, one statement after another, and gives the answer of the last.
    async fn run(&mut self, sql: &str) -> Result<DBOutput<Column>, Failure> {
        let mut answer = DBOutput::StatementComplete(0);
        for statement in self.session.parse(sql).map_err(Failure)? {
            answer = match self.session.execute(&statement, Vec::new()).await.map_err(Failure)? {
                Outcome::Done { .. } => DBOutput::StatementComplete(0),
                Outcome::Rows { mut stream, .. } | Outcome::Copy { mut stream, .. } => {
                    let types = stream.schema().fields().iter().map(|f| Column::of(f.data_type())).collect();
                    let mut rows = Vec::new();
                    while let Some(batch) = stream.next().await {
                        add_rows(&mut rows, &batch.map_err(|e| Failure(e.into()))?).map_err(Failure)?;
                    }
                    DBOutput::Rows { types, rows }
                }
            };
        }
        Ok(answer)
    }

    async fn shutdown(&mut self) {
        self.session.engine().shutdown().await;
    }

    fn error_sql_state(error: &Failure) -> Option<String> {
        Some(error.0.sqlstate().to_owned())
    }
}

/// The rows as text: NULL and the empty string have words of their own, as the file's lines could not show them.
fn add_rows(rows: &mut Vec<Vec<String>>, batch: &RecordBatch) -> Result<(), Error> {
    for row in 0..batch.num_rows() {
        let cell = |column: &Arc<dyn Array>| {
            if column.is_null(row) {
                return Ok("NULL".to_owned());
            }
            let mut text = String::new();
            write_text(&mut text, column.as_ref(), row, TimeZone::default())?;
            Ok(if text.is_empty() { "(empty)".to_owned() } else { text.replace('\n', "\\n") })
        };
        rows.push(batch.columns().iter().map(cell).collect::<Result<_, Error>>()?);
    }
    Ok(())
}

/// What a letter behind `query` says of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    /// B
    Boolean,
    /// I
    Integer,
    /// R: a float or a decimal.
    Real,
    /// T
    Text,
    /// P: a point in time.
    Time,
    /// ?: a frame, a box, a list …
    Other,
}

impl Column {
    fn of(data_type: &DataType) -> Column {
        match data_type {
            DataType::Boolean => Column::Boolean,
            t if t.is_integer() => Column::Integer,
            t if t.is_numeric() => Column::Real,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Column::Text,
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Column::Time,
            DataType::Dictionary(_, values) => Column::of(values),
            _ => Column::Other,
        }
    }
}

/// The letters.
const LETTERS: [(char, Column); 6] =
    [('B', Column::Boolean), ('I', Column::Integer), ('R', Column::Real), ('T', Column::Text), ('P', Column::Time), ('?', Column::Other)];

impl ColumnType for Column {
    fn from_char(value: char) -> Option<Column> {
        LETTERS.iter().find(|(letter, _)| *letter == value).map(|(_, column)| column.clone())
    }

    fn to_char(&self) -> char {
        LETTERS.iter().find(|(_, column)| column == self).map_or('?', |(letter, _)| *letter)
    }
}
