//! SQL text to statements: our own recursive descent for framesql's statements, sqlparser for the queries inside them.

use datafusion::sql::sqlparser::ast::{self, Query};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::error::{Error, Result};

/// One statement, read but not planned.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The statement as the user wrote it, without the semicolon: the catalogue keeps this text.
    pub text: String,
    /// What it says.
    pub body: Body,
}

/// The kinds of objects that DROP and SHOW name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A camera, clip, folder or pattern.
    Source,
    /// A query under a name.
    View,
    /// A query's result, kept up to date.
    MaterializedView,
}

impl Kind {
    /// The kind in SQL's words, lower case.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Source => "source",
            Kind::View => "view",
            Kind::MaterializedView => "materialized view",
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

/// How COPY TO STDOUT writes rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CopyFormat {
    /// Tab separated, `\N` for NULL.
    #[default]
    Text,
    /// Comma separated, with a header line if asked for.
    Csv {
        /// Whether the first line names the columns.
        header: bool,
    },
    /// Postgres' binary COPY.
    Binary,
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
    /// `SHOW SOURCES`, `SHOW VIEWS`, `SHOW MATERIALIZED VIEWS`.
    ShowObjects(Kind),
    /// `SHOW name`, `SHOW ALL`.
    ShowVariable(String),
    /// `SET name = value`, `RESET name` (None), `RESET ALL` ("all", None).
    SetVariable {
        /// The setting.
        name: String,
        /// The value; None restores the default.
        value: Option<String>,
    },
    /// SUBSCRIBE by itself.
    Subscribe(Subscribe),
    /// `COPY (SUBSCRIBE …) TO STDOUT`.
    CopySubscribe(Subscribe, CopyFormat),
    /// `COPY (query) TO STDOUT`, `COPY relation TO STDOUT`.
    CopyQuery(QueryText, CopyFormat),
    /// FLUSH.
    Flush,
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
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, sql).tokenize_with_location().map_err(|e| syntax(e.to_string()))?;
    let offsets = line_offsets(sql);
    let mut statements = Vec::new();
    for part in tokens.split(|t| t.token == Token::SemiColon) {
        let mut words: Vec<TokenWithSpan> = part.iter().filter(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF)).cloned().collect();
        let (Some(first), Some(last)) = (words.first(), words.last()) else { continue };
        let text = slice(sql, &offsets, first.span.start, last.span.end).trim().to_owned();
        drop_table_keywords(&mut words);
        mark_emit(&mut words);
        let body = Reader { parser: Parser::new(&dialect).with_tokens_with_locations(words.clone()), tokens: words }.statement(sql, &offsets)?;
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
        ParserError::RecursionLimitExceeded => syntax("the statement is nested too deeply"),
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

/// No dialect of sqlparser reads `TABLE t` as an argument of a table function (Flink's spelling), so the keyword goes.
fn drop_table_keywords(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 1;
    while at + 1 < tokens.len() {
        let argument = matches!(tokens[at - 1].token, Token::LParen | Token::Comma | Token::RArrow);
        if argument && is_word(&tokens[at].token, "table") && matches!(tokens[at + 1].token, Token::Word(_)) {
            tokens.remove(at);
        } else {
            at += 1;
        }
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

struct Reader<'a> {
    parser: Parser<'a>,
    tokens: Vec<TokenWithSpan>,
}

impl Reader<'_> {
    fn statement(mut self, sql: &str, offsets: &[usize]) -> Result<Body> {
        let word = |at: usize, text: &str| self.tokens.get(at).is_some_and(|t| is_word(&t.token, text));
        if word(0, "create") && word(1, "source") {
            return self.create_source();
        }
        let replace = if word(1, "or") && word(2, "replace") { 2 } else { 0 };
        if word(0, "create") && word(1 + replace, "materialized") && word(2 + replace, "view") {
            return self.create_view(true, replace > 0);
        }
        if word(0, "create") && word(1 + replace, "view") {
            return self.create_view(false, replace > 0);
        }
        if word(0, "drop") && word(1, "source") {
            return self.drop_objects(Kind::Source, 2);
        }
        if word(0, "drop") && word(1, "materialized") && word(2, "view") {
            return self.drop_objects(Kind::MaterializedView, 3);
        }
        if word(0, "drop") && word(1, "view") {
            return self.drop_objects(Kind::View, 2);
        }
        if word(0, "show") {
            return self.show();
        }
        if word(0, "set") || word(0, "reset") {
            return self.set();
        }
        if word(0, "subscribe") {
            let subscribe = self.subscribe()?;
            self.end()?;
            return Ok(Body::Subscribe(subscribe));
        }
        if word(0, "flush") {
            self.parser.next_token();
            self.end()?;
            return Ok(Body::Flush);
        }
        if word(0, "copy") && self.tokens.iter().any(|t| is_word(&t.token, "stdout")) {
            return self.copy_out();
        }
        if word(0, "explain") {
            return self.explain(sql, offsets);
        }
        if word(0, "select") || word(0, "with") || word(0, "values") || word(0, "table") || matches!(self.tokens.first().map(|t| &t.token), Some(Token::LParen)) {
            let query = self.query()?;
            self.end()?;
            return Ok(Body::Query(query));
        }
        let statement = self.parser.parse_statement().map_err(parser_error)?;
        self.end()?;
        Ok(match statement {
            ast::Statement::Query(query) => Body::Query(QueryText { query, emit: Emit::Default }),
            other => Body::Other(Box::new(other)),
        })
    }

    fn word(&mut self, word: &str) -> bool {
        let found = is_word(&self.parser.peek_token_ref().token, word);
        if found {
            self.parser.next_token();
        }
        found
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        if self.word(word) { Ok(()) } else { Err(self.unexpected(&word.to_uppercase())) }
    }

    fn unexpected(&mut self, expected: &str) -> Error {
        let found = self.parser.peek_token();
        match found.token {
            Token::EOF => syntax(format!("expected {expected} at the end of the statement")),
            token => syntax(format!("expected {expected}, found: {token} at line {}, column {}", found.span.start.line, found.span.start.column)),
        }
    }

    fn end(&mut self) -> Result<()> {
        if self.parser.peek_token_ref().token == Token::EOF { Ok(()) } else { Err(self.unexpected("end of statement")) }
    }

    /// One name, perhaps after `public.`; unquoted names fold to lower case.
    fn name(&mut self) -> Result<String> {
        let parts = self.parser.parse_object_name(false).map_err(parser_error)?.0;
        let mut names = parts.into_iter().map(|p| match p {
            ast::ObjectNamePart::Identifier(i) if i.quote_style.is_some() => Ok(i.value),
            ast::ObjectNamePart::Identifier(i) => Ok(i.value.to_lowercase()),
            other => Err(syntax(format!("expected a name, found: {other}"))),
        });
        match (names.next().transpose()?, names.next().transpose()?, names.next().transpose()?) {
            (Some(name), None, None) => Ok(name),
            (Some(schema), Some(name), None) if schema == "public" => Ok(name),
            (Some(schema), Some(_), None) => Err(Error::NotFound { kind: "schema", name: schema }),
            _ => Err(syntax("expected a name")),
        }
    }

    fn if_words(&mut self, words: &[&str]) -> Result<bool> {
        if !self.word("if") {
            return Ok(false);
        }
        for w in words {
            self.expect(w)?;
        }
        Ok(true)
    }

    /// `(key = value, …)`: values are strings, numbers, words or true/false.
    fn options(&mut self) -> Result<Vec<(String, String)>> {
        let mut options: Vec<(String, String)> = Vec::new();
        if !self.parser.consume_token(&Token::LParen) {
            return Err(self.unexpected("("));
        }
        while !self.parser.consume_token(&Token::RParen) {
            if !options.is_empty() && !self.parser.consume_token(&Token::Comma) {
                return Err(self.unexpected(", or )"));
            }
            let key = self.parser.parse_identifier().map_err(parser_error)?.value.to_lowercase();
            let value = if self.parser.consume_token(&Token::Eq) { self.option_value()? } else { "true".to_owned() };
            if options.iter().any(|(k, _)| *k == key) {
                return Err(Error::Syntax { message: format!("option \"{key}\" is given twice"), hint: None });
            }
            options.push((key, value));
        }
        Ok(options)
    }

    fn option_value(&mut self) -> Result<String> {
        let minus = self.parser.consume_token(&Token::Minus);
        let token = self.parser.next_token().token;
        match token {
            Token::SingleQuotedString(s) if !minus => Ok(s),
            Token::Number(n, _) => Ok(if minus { format!("-{n}") } else { n }),
            // INTERVAL '5 seconds'
            Token::Word(w) if w.keyword == Keyword::INTERVAL => self.option_value(),
            Token::Word(w) if !minus => Ok(w.value),
            other => Err(syntax(format!("expected a value, found: {other}"))),
        }
    }

    fn create_source(&mut self) -> Result<Body> {
        self.expect("create")?;
        self.expect("source")?;
        let if_not_exists = self.if_words(&["not", "exists"])?;
        let name = self.name()?;
        self.expect("from")?;
        let url = match self.parser.next_token().token {
            Token::SingleQuotedString(url) => url,
            other => {
                return Err(Error::Syntax {
                    message: format!("syntax error: expected a URL in quotes, found: {other}"),
                    hint: Some("Write CREATE SOURCE name FROM 'file:///path/clip.mp4'.".into()),
                });
            }
        };
        let options = if self.word("with") { self.options()? } else { Vec::new() };
        self.end()?;
        Ok(Body::CreateSource { name, if_not_exists, url, options })
    }

    fn create_view(&mut self, materialized: bool, or_replace: bool) -> Result<Body> {
        self.expect("create")?;
        if or_replace {
            self.expect("or")?;
            self.expect("replace")?;
        }
        if materialized {
            self.expect("materialized")?;
        }
        self.expect("view")?;
        let if_not_exists = self.if_words(&["not", "exists"])?;
        let name = self.name()?;
        let mut columns = Vec::new();
        if self.parser.consume_token(&Token::LParen) {
            loop {
                let column = self.parser.parse_identifier().map_err(parser_error)?;
                columns.push(if column.quote_style.is_some() { column.value } else { column.value.to_lowercase() });
                if self.parser.consume_token(&Token::RParen) {
                    break;
                }
                if !self.parser.consume_token(&Token::Comma) {
                    return Err(self.unexpected(", or )"));
                }
            }
        }
        let options = if self.word("with") { self.options()? } else { Vec::new() };
        self.expect("as")?;
        let query = self.query()?;
        self.end()?;
        Ok(Body::CreateView { name, materialized, or_replace, if_not_exists, columns, options, query })
    }

    fn drop_objects(&mut self, kind: Kind, n_words: usize) -> Result<Body> {
        for _ in 0..n_words {
            self.parser.next_token();
        }
        let if_exists = self.if_words(&["exists"])?;
        let mut names = vec![self.name()?];
        while self.parser.consume_token(&Token::Comma) {
            names.push(self.name()?);
        }
        let cascade = self.word("cascade");
        if !cascade {
            self.word("restrict");
        }
        self.end()?;
        Ok(Body::Drop { kind, if_exists, names, cascade })
    }

    fn show(&mut self) -> Result<Body> {
        self.expect("show")?;
        let mut words = Vec::new();
        while let Token::Word(w) = &self.parser.peek_token_ref().token {
            words.push(w.value.to_lowercase());
            self.parser.next_token();
            if self.parser.consume_token(&Token::Period) {
                words.push(".".into());
            }
        }
        self.end()?;
        let text = words.join(" ").replace(" . ", ".");
        Ok(match text.as_str() {
            "" => return Err(self.unexpected("a name after SHOW")),
            "sources" => Body::ShowObjects(Kind::Source),
            "views" => Body::ShowObjects(Kind::View),
            "materialized views" => Body::ShowObjects(Kind::MaterializedView),
            _ => Body::ShowVariable(text),
        })
    }

    fn set(&mut self) -> Result<Body> {
        let reset = self.word("reset");
        if !reset {
            self.expect("set")?;
            if !self.word("session") {
                self.word("local");
            }
            // SET [SESSION CHARACTERISTICS AS] TRANSACTION … is the wire's business.
            if is_word(&self.parser.peek_token_ref().token, "transaction") || is_word(&self.parser.peek_token_ref().token, "characteristics") {
                while self.parser.next_token().token != Token::EOF {}
                return Ok(Body::SetVariable { name: "transaction_isolation".into(), value: None });
            }
        }
        let mut name = match self.parser.next_token().token {
            Token::Word(w) => w.value.to_lowercase(),
            other => return Err(syntax(format!("expected the name of a setting, found: {other}"))),
        };
        while self.parser.consume_token(&Token::Period) {
            name = format!("{name}.{}", self.parser.next_token().token);
        }
        if name == "time" && self.word("zone") {
            name = "timezone".into();
        } else if reset {
        } else if !self.word("to") && !self.parser.consume_token(&Token::Eq) {
            return Err(self.unexpected("= or TO"));
        }
        if reset {
            self.end()?;
            return Ok(Body::SetVariable { name, value: None });
        }
        let mut values = Vec::new();
        loop {
            values.push(self.option_value()?);
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        self.end()?;
        let value = values.join(", ");
        let value = if value.eq_ignore_ascii_case("default") { None } else { Some(value) };
        Ok(Body::SetVariable { name, value })
    }

    fn subscribe(&mut self) -> Result<Subscribe> {
        self.expect("subscribe")?;
        self.word("to");
        let of = if self.parser.consume_token(&Token::LParen) {
            let query = self.query()?;
            if !self.parser.consume_token(&Token::RParen) {
                return Err(self.unexpected(")"));
            }
            Subscribed::Query(query)
        } else {
            Subscribed::View(self.name()?)
        };
        let mut subscribe = Subscribe { of, snapshot: true, progress: false };
        if self.word("with") {
            for (key, value) in self.options()? {
                let value = boolean(&key, &value)?;
                match key.as_str() {
                    "snapshot" => subscribe.snapshot = value,
                    "progress" => subscribe.progress = value,
                    _ => {
                        return Err(Error::Option {
                            message: format!("option \"{key}\" of SUBSCRIBE does not exist"),
                            hint: Some("The options are snapshot and progress.".into()),
                        });
                    }
                }
            }
        }
        Ok(subscribe)
    }

    fn copy_out(&mut self) -> Result<Body> {
        self.expect("copy")?;
        enum What {
            Subscribe(Subscribe),
            Query(QueryText),
        }
        let what = if self.parser.consume_token(&Token::LParen) {
            let what = if is_word(&self.parser.peek_token_ref().token, "subscribe") {
                What::Subscribe(self.subscribe()?)
            } else {
                What::Query(self.query()?)
            };
            if !self.parser.consume_token(&Token::RParen) {
                return Err(self.unexpected(")"));
            }
            what
        } else {
            let name = self.name()?;
            What::Query(parse_query(&format!("SELECT * FROM \"{}\"", name.replace('"', "\"\"")))?)
        };
        self.expect("to")?;
        self.expect("stdout")?;
        let format = self.copy_format()?;
        self.end()?;
        Ok(match what {
            What::Subscribe(s) => Body::CopySubscribe(s, format),
            What::Query(q) => Body::CopyQuery(q, format),
        })
    }

    fn copy_format(&mut self) -> Result<CopyFormat> {
        let with = self.word("with");
        if self.parser.peek_token_ref().token == Token::LParen {
            let (mut format, mut header) = ("text".to_owned(), false);
            // COPY's options have no equals sign: (FORMAT csv, HEADER true).
            self.parser.next_token();
            loop {
                let key = self.parser.parse_identifier().map_err(parser_error)?.value.to_lowercase();
                let value = match &self.parser.peek_token_ref().token {
                    Token::Comma | Token::RParen => "true".to_owned(),
                    _ => self.option_value()?,
                };
                match key.as_str() {
                    "format" => format = value.to_lowercase(),
                    "header" => header = boolean("header", &value)?,
                    _ => return Err(Error::unsupported(format!("COPY option \"{key}\""), "The options are FORMAT and HEADER.")),
                }
                if self.parser.consume_token(&Token::RParen) {
                    break;
                }
                if !self.parser.consume_token(&Token::Comma) {
                    return Err(self.unexpected(", or )"));
                }
            }
            return match format.as_str() {
                "text" => Ok(CopyFormat::Text),
                "csv" => Ok(CopyFormat::Csv { header }),
                "binary" => Ok(CopyFormat::Binary),
                _ => Err(Error::Option { message: format!("COPY format \"{format}\" not recognized"), hint: Some("The formats are text, csv and binary.".into()) }),
            };
        }
        if self.word("csv") {
            return Ok(CopyFormat::Csv { header: self.word("header") });
        }
        if self.word("binary") {
            return Ok(CopyFormat::Binary);
        }
        if with { Err(self.unexpected("(")) } else { Ok(CopyFormat::Text) }
    }

    fn explain(&mut self, sql: &str, offsets: &[usize]) -> Result<Body> {
        self.expect("explain")?;
        let mut analyze = false;
        let mut n_words = 1;
        loop {
            if self.word("analyze") {
                analyze = true;
            } else if !self.word("verbose") {
                break;
            }
            n_words += 1;
        }
        let rest = self.tokens.split_off(n_words.min(self.tokens.len()));
        let (Some(first), Some(last)) = (rest.first(), rest.last()) else { return Err(self.unexpected("a statement after EXPLAIN")) };
        let text = slice(sql, offsets, first.span.start, last.span.end).to_owned();
        let dialect = PostgreSqlDialect {};
        let reader = Reader { parser: Parser::new(&dialect).with_tokens_with_locations(rest.clone()), tokens: rest };
        let body = reader.statement(sql, offsets)?;
        Ok(Body::Explain { analyze, statement: Box::new(Statement { text, body }) })
    }

    fn query(&mut self) -> Result<QueryText> {
        let query = self.parser.parse_query().map_err(parser_error)?;
        let emit = if self.parser.consume_token(&Token::SemiColon) { self.emit()? } else { Emit::Default };
        Ok(QueryText { query, emit })
    }

    fn emit(&mut self) -> Result<Emit> {
        if self.word("changes") {
            return Ok(Emit::Changes);
        }
        if self.word("every") {
            self.word("interval");
            let text = match self.parser.next_token().token {
                Token::SingleQuotedString(s) => s,
                other => return Err(syntax(format!("expected an interval, found: {other}"))),
            };
            let unit = match &self.parser.peek_token_ref().token {
                Token::Word(w) => w.value.clone(),
                _ => String::new(),
            };
            if !unit.is_empty() {
                self.parser.next_token();
            }
            let us = crate::settings::duration_us(&format!("{text} {unit}"), 1_000_000).filter(|us| *us > 0);
            return us.map(Emit::Every).ok_or_else(|| syntax(format!("'{text}' is not an interval")));
        }
        if self.word("on") {
            self.expect("window")?;
            self.expect("close")?;
            return Ok(Emit::OnWindowClose);
        }
        Err(Error::Syntax {
            message: "syntax error in EMIT".into(),
            hint: Some("Write EMIT ON WINDOW CLOSE, EMIT CHANGES or EMIT EVERY INTERVAL '1 second'.".into()),
        })
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
mod tests {
    use super::*;

    #[test]
    fn a_script_keeps_the_text_of_each_statement() {
        let all = parse("CREATE SOURCE a FROM 'x'; -- note\nSELECT 'é;', 2;\n;").unwrap();
        let texts: Vec<&str> = all.iter().map(|s| s.text.as_str()).collect();
        assert_eq!(texts, ["CREATE SOURCE a FROM 'x'", "SELECT 'é;', 2"]);
    }

    #[test]
    fn emit_is_cut_from_the_end_of_a_query() {
        let all = parse("CREATE MATERIALIZED VIEW v AS SELECT * FROM t EMIT CHANGES").unwrap();
        assert!(matches!(&all[0].body, Body::CreateView { query: QueryText { emit: Emit::Changes, .. }, .. }));
    }

    #[test]
    fn flinks_table_arguments_are_read() {
        for sql in [
            "SELECT * FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '10' SECOND))",
            "SELECT * FROM TUMBLE(DATA => TABLE bid, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '10' SECOND)",
            "SELECT * FROM TUMBLE(bid, ts, INTERVAL '10 seconds')",
        ] {
            assert!(matches!(parse(sql).unwrap()[0].body, Body::Query(_)), "{sql}");
        }
    }

    #[test]
    fn every_statement_of_ours_is_read() {
        for sql in [
            "CREATE SOURCE IF NOT EXISTS l FROM 'file:///c.mp4' WITH (pace = 'realtime', loop = true, fps = 12.5)",
            "DROP SOURCE IF EXISTS a, b CASCADE",
            "DROP MATERIALIZED VIEW v RESTRICT",
            "SHOW SOURCES",
            "SHOW search_path",
            "SET statement_timeout = '1s'",
            "SET TIME ZONE 'UTC'",
            "SUBSCRIBE TO v WITH (snapshot = false, progress)",
            "COPY (SUBSCRIBE (SELECT * FROM l)) TO STDOUT",
            "COPY (SELECT 1) TO STDOUT WITH (FORMAT csv, HEADER)",
            "COPY v TO STDOUT CSV HEADER",
            "FLUSH",
            "EXPLAIN ANALYZE SELECT 1",
        ] {
            assert!(parse(sql).is_ok(), "{sql}: {:?}", parse(sql));
        }
        assert_eq!(parse("CREATE SOURCE x 'y'").unwrap_err().sqlstate(), "42601");
    }
}
