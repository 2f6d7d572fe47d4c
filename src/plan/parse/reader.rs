//! The recursive descent itself: one function a statement, over sqlparser's tokens.

mod comment;
mod copy;
mod create_table;
mod figure;
mod maintain;
mod model;
mod modes;
mod written_with;

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::dialect::FramesqlDialect;
use super::{Body, Emit, Kind, QueryText, Statement, Subscribe, Subscribed, boolean, depth, is_word, parser_error, slice, syntax};
use crate::error::{Error, Result};

/// The most levels of the parser's own that one of a statement takes: a query in brackets is three.
const PARSER_LEVELS: usize = 4;

/// Reads one statement.
pub(super) struct Reader<'a> {
    parser: Parser<'a>,
    tokens: Vec<TokenWithSpan>,
    /// What is cut out of `CREATE TABLE name (column, …) AS`.
    cut: create_table::Cut,
}

impl<'a> Reader<'a> {
    pub(super) fn new(dialect: &'a FramesqlDialect, mut tokens: Vec<TokenWithSpan>) -> Reader<'a> {
        modes::drop_deferrable(&mut tokens);
        let cut = create_table::cut(&mut tokens);
        // How deep a statement may be is told before: the parser's own limit is for programs with small stacks.
        let parser = Parser::new(dialect).with_recursion_limit(PARSER_LEVELS * depth::MOST);
        Reader { parser: parser.with_tokens_with_locations(tokens.clone()), tokens, cut }
    }

    pub(super) fn statement(mut self, sql: &str, offsets: &[usize]) -> Result<Body> {
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
        if word(0, "create") && word(1 + replace, "model") {
            return self.create_model(replace > 0);
        }
        if word(0, "create") && word(1, "gallery") {
            return self.create_gallery();
        }
        if word(0, "drop") && word(1, "model") {
            return self.drop_objects(Kind::Model, 2);
        }
        if word(0, "drop") && word(1, "gallery") {
            return self.drop_objects(Kind::Gallery, 2);
        }
        if let Some(kind) = figure::kind(&self.tokens, 1 + replace).filter(|_| word(0, "create")) {
            return self.create_figure(kind, replace > 0);
        }
        if let Some(kind) = figure::kind(&self.tokens, 1) {
            if word(0, "alter") {
                return self.alter_figure(kind);
            }
            if word(0, "drop") {
                return self.drop_objects(kind, 2);
            }
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
        if word(0, "drop") && word(1, "table") {
            return self.drop_objects(Kind::Table, 2);
        }
        if word(0, "comment") {
            return self.comment();
        }
        if word(0, "alter") && word(1, "materialized") && word(2, "view") {
            return self.alter_view();
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
        if word(0, "vacuum") || word(0, "analyze") || word(0, "analyse") {
            let vacuum = word(0, "vacuum");
            return self.maintain(vacuum);
        }
        if word(0, "refresh") && word(1, "materialized") {
            return self.refresh();
        }
        if word(0, "copy") && self.tokens.iter().any(|t| is_word(&t.token, "stdout")) {
            return self.copy_out();
        }
        if word(0, "copy") && self.tokens.iter().any(|t| is_word(&t.token, "stdin")) {
            return self.copy_in();
        }
        if word(0, "explain") {
            return self.explain(sql, offsets);
        }
        if word(0, "select")
            || word(0, "with")
            || word(0, "values")
            || word(0, "table")
            || matches!(self.tokens.first().map(|t| &t.token), Some(Token::LParen))
        {
            let query = self.query()?;
            self.end()?;
            return Ok(written_with::body(query));
        }
        let statement = self.parser.parse_statement().map_err(parser_error)?;
        self.end()?;
        Ok(match statement {
            ast::Statement::Query(query) => Body::Query(QueryText { query, emit: Emit::Default }),
            ast::Statement::CreateTable(create) => Body::Other(Box::new(ast::Statement::CreateTable(self.cut.put_back(create)))),
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
            token => {
                syntax(format!("expected {expected}, found: {token} at line {}, column {}", found.span.start.line, found.span.start.column))
            }
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
        let columns = self.column_names()?;
        let options = if self.word("with") { self.options()? } else { Vec::new() };
        self.expect("as")?;
        let query = self.query()?;
        self.end()?;
        Ok(Body::CreateView { name, materialized, or_replace, if_not_exists, columns, options, query })
    }

    /// `(name, …)`, if it is there.
    fn column_names(&mut self) -> Result<Vec<String>> {
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
        Ok(columns)
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
            "tables" => Body::ShowObjects(Kind::Table),
            "views" => Body::ShowObjects(Kind::View),
            "materialized views" => Body::ShowObjects(Kind::MaterializedView),
            "models" => Body::ShowObjects(Kind::Model),
            "galleries" => Body::ShowObjects(Kind::Gallery),
            "zones" => Body::ShowObjects(Kind::Zone),
            "lines" => Body::ShowObjects(Kind::Line),
            "calibrations" => Body::ShowObjects(Kind::Calibration),
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
            let session = self.word("characteristics");
            if session {
                self.expect("as")?;
            }
            if session || is_word(&self.parser.peek_token_ref().token, "transaction") {
                return self.transaction_modes(session);
            }
        }
        let mut name = match self.parser.next_token().token {
            Token::Word(w) => w.value.to_lowercase(),
            other => return Err(syntax(format!("expected the name of a setting, found: {other}"))),
        };
        while self.parser.consume_token(&Token::Period) {
            name = format!("{name}.{}", self.parser.next_token().token).to_lowercase();
        }
        if name == "constraints" && !reset {
            return self.constraints();
        }
        if name == "time" && self.word("zone") {
            name = "timezone".into();
        } else if matches!(name.as_str(), "session" | "authorization") && (name != "session" || self.word("authorization")) {
            // `SET SESSION AUTHORIZATION x`, `RESET SESSION AUTHORIZATION`.
            name = "session_authorization".into();
        } else if reset {
        } else if name == "names" {
            name = "client_encoding".into();
        } else if name == "role" {
            // `SET ROLE x`, or as of any other.
            let _ = self.word("to") || self.parser.consume_token(&Token::Eq);
        } else if !self.word("to") && !self.parser.consume_token(&Token::Eq) {
            return Err(self.unexpected("= or TO"));
        }
        if reset {
            self.end()?;
            return Ok(Body::SetVariable { name, value: None, reset });
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
        Ok(Body::SetVariable { name, value, reset })
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
        if let Some((asked, after)) = self.explain_options()? {
            (analyze, n_words) = (analyze || asked, after);
        }
        let rest = self.tokens.split_off(n_words.min(self.tokens.len()));
        let (Some(first), Some(last)) = (rest.first(), rest.last()) else { return Err(self.unexpected("a statement after EXPLAIN")) };
        let text = slice(sql, offsets, first.span.start, last.span.end).to_owned();
        let dialect = FramesqlDialect;
        let body = Reader::new(&dialect, rest).statement(sql, offsets)?;
        Ok(Body::Explain { analyze, statement: Box::new(Statement { text, body }) })
    }

    /// Postgres' `EXPLAIN (ANALYZE, VERBOSE off, …)`: whether ANALYZE is asked for, and where the statement begins. Errs for another FORMAT
    /// than TEXT.
    fn explain_options(&self) -> Result<Option<(bool, usize)>> {
        const OPTIONS: [&str; 10] =
            ["analyze", "verbose", "costs", "settings", "generic_plan", "buffers", "wal", "timing", "summary", "format"];
        let token = |at: usize| self.tokens.get(at).map(|t| &t.token);
        if token(1) != Some(&Token::LParen) || !OPTIONS.iter().any(|o| token(2).is_some_and(|t| is_word(t, o))) {
            return Ok(None);
        }
        let Some(end) = self.tokens.iter().position(|t| t.token == Token::RParen) else { return Ok(None) };
        let format = (2..end).find(|at| token(*at).is_some_and(|t| is_word(t, "format"))).and_then(|at| token(at + 1));
        if let Some(format) = format.filter(|format| !is_word(format, "text")) {
            return Err(Error::unsupported(format!("EXPLAIN with FORMAT {format}"), "The format is TEXT."));
        }
        let off = |at: usize| ["off", "false"].iter().any(|w| token(at).is_some_and(|t| is_word(t, w)));
        let analyze = (2..end).any(|at| token(at).is_some_and(|t| is_word(t, "analyze")) && !off(at + 1));
        Ok(Some((analyze, end + 1)))
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
