//! SQL text to statements: our own recursive descent for framesql's statements, sqlparser for the queries inside them.

pub mod bare_select;
pub mod columns;
pub mod copies;
pub mod copy;
mod depth;
mod dialect;
mod leading;
mod operators;
mod partition;
pub(super) mod pattern;
mod qualified;
mod reader;
pub(super) mod table_argument;
mod version;
mod words;

use datafusion::sql::sqlparser::ast::{self, Query};
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};
use framesql_udfs::figure::FigureKind;

use crate::error::{Error, Result};
use copy::{CopyForm, CopyIn};
use dialect::FramesqlDialect;
use reader::Reader;

pub use version::VERSION;

/// The argument of SESSION that holds what its PARTITION BY names.
pub(super) const PARTITION: &str = "partition";

/// One statement, read but not planned.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The statement as the user wrote it, without the semicolon: the catalogue keeps this text.
    pub text: String,
    /// What it says.
    pub body: Body,
}

impl Statement {
    /// What it does, in the two or three words that Postgres calls it by: CREATE VIEW, CREATE MATERIALIZED VIEW.
    pub fn verb(&self) -> String {
        let mut words: Vec<String> = self
            .text
            .split(|c: char| c.is_whitespace() || c == '(')
            .filter(|word| !word.is_empty())
            .map(str::to_uppercase)
            .take(5)
            .collect();
        if words.get(1).is_some_and(|word| word == "OR") && words.get(2).is_some_and(|word| word == "REPLACE") {
            words.drain(1..3);
        }
        words.truncate(if words.get(1).is_some_and(|word| word == "MATERIALIZED") { 3 } else { 2 });
        words.join(" ")
    }
}

/// The kinds of objects that DROP and SHOW name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A camera, clip, folder or pattern.
    Source,
    /// A query under a name.
    View,
    /// A query's result, kept up to date.
    MaterializedView,
    /// Rows that statements write.
    Table,
    /// A model that a user has brought; nothing is read from it.
    Model,
    /// Faces of people by name.
    Gallery,
    /// A polygon over the picture of a source.
    Zone,
    /// A line across it.
    Line,
    /// What its pixels are in metres.
    Calibration,
}

impl Kind {
    /// The kind in SQL's words, lower case.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Source => "source",
            Kind::View => "view",
            Kind::MaterializedView => "materialized view",
            Kind::Table => "table",
            Kind::Model => "model",
            Kind::Gallery => "gallery",
            Kind::Zone => "zone",
            Kind::Line => "line",
            Kind::Calibration => "calibration",
        }
    }

    /// Which figure it is; None if it is none.
    pub fn figure(self) -> Option<FigureKind> {
        match self {
            Kind::Zone => Some(FigureKind::Zone),
            Kind::Line => Some(FigureKind::Line),
            Kind::Calibration => Some(FigureKind::Calibration),
            Kind::Source | Kind::View | Kind::MaterializedView | Kind::Table | Kind::Model | Kind::Gallery => None,
        }
    }
}

/// When a continuous query gives its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Emit {
    /// What the query's shape asks for: rows at once, windows when they close.
    #[default]
    Default,
    /// EMIT ON WINDOW CLOSE.
    OnWindowClose,
    /// EMIT CHANGES.
    Changes,
    /// EMIT EVERY interval, in µs of event time.
    Every(i64),
}

/// A query with its EMIT clause cut off.
#[derive(Clone, Debug)]
pub struct QueryText {
    /// The query as sqlparser reads it.
    pub query: Box<Query>,
    /// The clause, if there was one.
    pub emit: Emit,
}

/// What SUBSCRIBE reads.
#[derive(Clone, Debug)]
pub enum Subscribed {
    /// A materialized view by name.
    View(String),
    /// A query of its own.
    Query(QueryText),
}

/// `SUBSCRIBE [TO] view | (query) [WITH (snapshot = …, progress = …)]`.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// What is read.
    pub of: Subscribed,
    /// Whether the rows that are there already come first.
    pub snapshot: bool,
    /// Whether watermarks without rows are shown.
    pub progress: bool,
}

/// What a comment is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Commented {
    /// An object of that kind and name.
    Relation(Kind, String),
    /// A column.
    Column {
        /// The object that has it.
        relation: String,
        /// Its name.
        column: String,
    },
    /// A role.
    Role(String),
}

/// `CREATE [OR REPLACE] ZONE | LINE | CALIBRATION [IF NOT EXISTS] name ON source AS shape 'points' [WITH (…)]`.
#[derive(Clone, Debug)]
pub struct CreateFigure {
    /// The kind of figure.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// OR REPLACE.
    pub or_replace: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The relation over whose picture it is drawn.
    pub source: String,
    /// Its points.
    pub shape: String,
    /// The WITH list, keys lower case.
    pub options: Vec<(String, String)>,
}

/// `ALTER ZONE | LINE | CALIBRATION name [AS shape 'points'] [WITH (…)]`.
#[derive(Clone, Debug)]
pub struct AlterFigure {
    /// The kind of figure.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its new points; None leaves them.
    pub shape: Option<String>,
    /// The WITH list, keys lower case.
    pub options: Vec<(String, String)>,
}

/// What a statement says.
#[derive(Clone, Debug)]
pub enum Body {
    /// `CREATE SOURCE name FROM 'url' [WITH (…)]`.
    CreateSource {
        /// Its name, folded as Postgres folds identifiers.
        name: String,
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// What it opens.
        url: String,
        /// The WITH list, keys lower case.
        options: Vec<(String, String)>,
    },
    /// `CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name FROM 'file' TASK task [WITH (…)]`.
    CreateModel {
        /// Its name.
        name: String,
        /// OR REPLACE.
        or_replace: bool,
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// The ONNX file: a path or a `file:` URL.
        file: String,
        /// The word behind TASK, lower case.
        task: String,
        /// The WITH list, keys lower case.
        options: Vec<(String, String)>,
    },
    /// `CREATE GALLERY [IF NOT EXISTS] name`.
    CreateGallery {
        /// Its name.
        name: String,
        /// IF NOT EXISTS.
        if_not_exists: bool,
    },
    /// `CREATE [OR REPLACE] [MATERIALIZED] VIEW [IF NOT EXISTS] name [WITH (…)] AS query [EMIT …]`.
    CreateView {
        /// Its name.
        name: String,
        /// MATERIALIZED.
        materialized: bool,
        /// OR REPLACE.
        or_replace: bool,
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// The names in parentheses after the view's name.
        columns: Vec<String>,
        /// The WITH list, keys lower case.
        options: Vec<(String, String)>,
        /// The query.
        query: QueryText,
    },
    /// A figure of a source.
    CreateFigure(CreateFigure),
    /// Another shape of a figure.
    AlterFigure(AlterFigure),
    /// `DROP kind [IF EXISTS] name, … [CASCADE | RESTRICT]`.
    Drop {
        /// The kind named.
        kind: Kind,
        /// IF EXISTS.
        if_exists: bool,
        /// The objects.
        names: Vec<String>,
        /// CASCADE.
        cascade: bool,
    },
    /// `COMMENT ON kind name IS 'text' | NULL`.
    Comment {
        /// What it is about.
        on: Commented,
        /// What is said; None takes it back.
        text: Option<String>,
    },
    /// `ALTER MATERIALIZED VIEW name SET (option = value, …) | RESET (option, …)`.
    AlterView {
        /// The view.
        name: String,
        /// The options, None for those that are reset.
        options: Vec<(String, Option<String>)>,
    },
    /// `SHOW SOURCES` and its like: `TABLES`, `VIEWS`, `MATERIALIZED VIEWS`, `MODELS`, `GALLERIES`, `ZONES`, `LINES`, `CALIBRATIONS`.
    ShowObjects(Kind),
    /// `SHOW name`, `SHOW ALL`.
    ShowVariable(String),
    /// `SET name = value`, `RESET name` (None), `RESET ALL` ("all", None).
    SetVariable {
        /// The setting.
        name: String,
        /// The value; None restores the default.
        value: Option<String>,
        /// Whether it is RESET.
        reset: bool,
    },
    /// What has nothing to change here, with its command tag.
    Nothing {
        /// The tag.
        tag: &'static str,
    },
    /// `SET TRANSACTION modes`, `SET SESSION CHARACTERISTICS AS TRANSACTION modes`.
    SetTransaction {
        /// SESSION CHARACTERISTICS: for the transactions to come.
        session: bool,
        /// ISOLATION LEVEL, lower case.
        isolation: Option<&'static str>,
        /// READ ONLY, or READ WRITE.
        read_only: Option<bool>,
    },
    /// SUBSCRIBE by itself.
    Subscribe(Subscribe),
    /// `COPY (SUBSCRIBE …) TO STDOUT`.
    CopySubscribe(Subscribe, CopyForm),
    /// `COPY (query) TO STDOUT`, `COPY relation [(column, …)] TO STDOUT`.
    CopyQuery(QueryText, CopyForm),
    /// `COPY table [(column, …)] FROM STDIN`.
    CopyIn(CopyIn),
    /// FLUSH.
    Flush,
    /// ANALYZE and VACUUM, of tables or of all.
    Maintain {
        /// VACUUM.
        vacuum: bool,
        /// The tables named.
        tables: Vec<String>,
    },
    /// `REFRESH MATERIALIZED VIEW name`.
    Refresh(String),
    /// `EXPLAIN [ANALYZE] [VERBOSE] statement`.
    Explain {
        /// ANALYZE: run it and show the counters.
        analyze: bool,
        /// What is explained.
        statement: Box<Statement>,
    },
    /// A query that ends.
    Query(QueryText),
    /// Any other statement that sqlparser reads (BEGIN, DECLARE, DISCARD …): for the engine or the wire to take or refuse.
    Other(Box<ast::Statement>),
}

/// Reads a script: statements separated by semicolons; empty ones are left out. Errs with 42601 at the first that cannot be read.
pub fn parse(sql: &str) -> Result<Vec<Statement>> {
    let dialect = FramesqlDialect;
    let tokens = Tokenizer::new(&dialect, sql).tokenize_with_location().map_err(|e| syntax(e.to_string()))?;
    let offsets = line_offsets(sql);
    let mut statements = Vec::new();
    for part in tokens.split(|t| t.token == Token::SemiColon) {
        let mut words: Vec<TokenWithSpan> =
            part.iter().filter(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF)).cloned().collect();
        let (Some(first), Some(last)) = (words.first(), words.last()) else { continue };
        let text = slice(sql, &offsets, first.span.start, last.span.end).trim().to_owned();
        operators::unqualified(&mut words);
        operators::part_signs(&mut words);
        words::plain(&mut words);
        depth::check(&words)?;
        drop_table_keywords(&mut words);
        version::mark(&dialect, &mut words);
        table_argument::mark(&mut words);
        select_tables(&mut words);
        qualified::unqualify(&mut words);
        partition::name_session_keys(&mut words);
        mark_emit(&mut words);
        pattern::mark(&mut words)?;
        leading::read(&mut words)?;
        let body = Reader::new(&dialect, words).statement(sql, &offsets)?;
        statements.push(Statement { text, body });
    }
    Ok(statements)
}

/// Reads one query, for a definition taken from the catalogue.
pub fn parse_query(sql: &str) -> Result<QueryText> {
    let mut all = parse(sql)?;
    match (all.pop().map(|s| s.body), all.is_empty()) {
        (Some(Body::Query(query)), true) => Ok(query),
        _ => Err(syntax("expected one query")),
    }
}

fn syntax(message: impl Into<String>) -> Error {
    Error::Syntax { message: format!("syntax error: {}", message.into()), hint: None }
}

fn parser_error(e: ParserError) -> Error {
    match e {
        ParserError::TokenizerError(m) | ParserError::ParserError(m) => syntax(m.trim_start_matches("sql parser error: ").to_owned()),
        ParserError::RecursionLimitExceeded => depth::exceeded(),
    }
}

/// Byte offset of each line's first character.
fn line_offsets(sql: &str) -> Vec<usize> {
    std::iter::once(0).chain(sql.match_indices('\n').map(|(i, _)| i + 1)).collect()
}

fn byte_at(sql: &str, offsets: &[usize], at: Location) -> usize {
    let Some(line) = (at.line as usize).checked_sub(1).and_then(|l| offsets.get(l)) else { return sql.len() };
    let rest = sql.get(*line..).unwrap_or("");
    line + rest.char_indices().nth((at.column as usize).saturating_sub(1)).map_or(rest.len(), |(i, _)| i)
}

fn slice<'a>(sql: &'a str, offsets: &[usize], from: Location, to: Location) -> &'a str {
    sql.get(byte_at(sql, offsets, from)..byte_at(sql, offsets, to)).unwrap_or("")
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// No dialect of sqlparser reads `TABLE t` as an argument of a table function (Flink's spelling), so the keyword goes. In other parentheses
/// it is a query.
fn drop_table_keywords(tokens: &mut Vec<TokenWithSpan>) {
    const FUNCTIONS: [&str; 4] = ["tumble", "hop", "cumulate", "session"];
    let mut at = 2;
    while at + 1 < tokens.len() {
        let argument = match tokens[at - 1].token {
            Token::LParen => FUNCTIONS.iter().any(|function| is_word(&tokens[at - 2].token, function)),
            Token::Comma | Token::RArrow => true,
            _ => false,
        };
        if argument && is_word(&tokens[at].token, "table") && matches!(tokens[at + 1].token, Token::Word(_)) {
            tokens.remove(at);
        } else {
            at += 1;
        }
    }
}

/// `TABLE t` as a query is short for `SELECT * FROM t`; sqlparser's reading of it swallows what follows.
fn select_tables(tokens: &mut Vec<TokenWithSpan>) {
    // A column may be called so: `SELECT relname AS table FROM …`.
    const CLAUSES: [&str; 8] = ["from", "where", "group", "having", "order", "limit", "union", "window"];
    const BEFORE: [&str; 9] = ["as", "all", "distinct", "union", "except", "intersect", "explain", "analyze", "verbose"];
    let mut at = 0;
    while at + 1 < tokens.len() {
        let begins = match at.checked_sub(1).map(|before| &tokens[before].token) {
            None | Some(Token::LParen) => true,
            Some(before) => BEFORE.iter().any(|word| is_word(before, word)),
        };
        let named = matches!(tokens[at + 1].token, Token::Word(_)) && !CLAUSES.iter().any(|clause| is_word(&tokens[at + 1].token, clause));
        if begins && is_word(&tokens[at].token, "table") && named {
            let span = tokens[at].span;
            let words = [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")];
            tokens.splice(at..=at, words.map(|token| TokenWithSpan { token, span }));
        }
        at += 1;
    }
}

/// `FROM t EMIT CHANGES` would read EMIT as the alias of t, so the word becomes a semicolon, at which a query ends.
fn mark_emit(tokens: &mut [TokenWithSpan]) {
    for at in 1..tokens.len().saturating_sub(1) {
        let clause = ["changes", "every", "on"].iter().any(|w| is_word(&tokens[at + 1].token, w));
        if clause && is_word(&tokens[at].token, "emit") {
            tokens[at].token = Token::SemiColon;
        }
    }
}

/// Reads `true`, `on`, `1`, `yes` and their opposites.
pub fn boolean(name: &str, value: &str) -> Result<bool> {
    match value.to_lowercase().as_str() {
        "true" | "on" | "1" | "yes" => Ok(true),
        "false" | "off" | "0" | "no" => Ok(false),
        _ => Err(Error::Option { message: format!("option \"{name}\" is true or false, not \"{value}\""), hint: None }),
    }
}

#[cfg(test)]
mod tests;
