//! COPY: its words, in both directions.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::Reader;
use crate::error::{Error, Result};
use crate::plan::parse::copy::{CopyColumns, CopyForm, CopyHeader, CopyIn, Said, once};
use crate::plan::parse::{Body, QueryText, Subscribe, boolean, is_word, parse_query, parser_error, syntax};

impl Reader<'_> {
    /// `COPY (query | SUBSCRIBE …) TO STDOUT`, `COPY relation [(column, …)] TO STDOUT`.
    pub(super) fn copy_out(&mut self) -> Result<Body> {
        self.expect("copy")?;
        let binary = self.word("binary");
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
            let (name, columns) = (self.name()?, self.column_names()?);
            let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
            for (at, column) in columns.iter().enumerate() {
                if columns.iter().take(at).any(|before| before == column) {
                    return Err(Error::DuplicateColumn { name: column.clone() });
                }
            }
            let list: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
            let list = if list.is_empty() { "*".to_owned() } else { list.join(", ") };
            What::Query(parse_query(&format!("SELECT {list} FROM {}", quoted(&name)))?)
        };
        self.expect("to")?;
        self.expect("stdout")?;
        let form = self.copy_form(binary, false)?;
        self.end()?;
        Ok(match what {
            What::Subscribe(s) => Body::CopySubscribe(s, form),
            What::Query(q) => Body::CopyQuery(q, form),
        })
    }

    /// `COPY table [(column, …)] FROM STDIN`.
    pub(super) fn copy_in(&mut self) -> Result<Body> {
        self.expect("copy")?;
        let binary = self.word("binary");
        let (table, columns) = (self.name()?, self.column_names()?);
        self.expect("from")?;
        self.expect("stdin")?;
        let form = self.copy_form(binary, true)?;
        self.end()?;
        Ok(Body::CopyIn(CopyIn { table, columns, form }))
    }

    /// The options, in their list or as Postgres once wrote them.
    fn copy_form(&mut self, binary: bool, reads: bool) -> Result<CopyForm> {
        let mut said = Said { format: binary.then(|| "binary".to_owned()), ..Said::default() };
        if self.word("using") {
            self.expect("delimiters")?;
            said.delimiter = Some(self.copy_text()?);
        }
        self.word("with");
        if self.parser.consume_token(&Token::LParen) {
            loop {
                self.copy_option(&mut said)?;
                if self.parser.consume_token(&Token::RParen) {
                    break;
                }
                if !self.parser.consume_token(&Token::Comma) {
                    return Err(self.unexpected(", or )"));
                }
            }
        } else {
            while self.copy_word(&mut said)? {}
        }
        said.form(reads)
    }

    /// `FORMAT csv`, `HEADER`, `FORCE_QUOTE (a, b)`.
    fn copy_option(&mut self, said: &mut Said) -> Result<()> {
        let key = self.parser.parse_identifier().map_err(parser_error)?.value.to_lowercase();
        match key.as_str() {
            "format" => once(&mut said.format, self.copy_text()?.to_lowercase()),
            "delimiter" => once(&mut said.delimiter, self.copy_text()?),
            "null" => once(&mut said.null, self.copy_text()?),
            "quote" => once(&mut said.quote, self.copy_text()?),
            "escape" => once(&mut said.escape, self.copy_text()?),
            "encoding" => once(&mut said.encoding, self.copy_text()?),
            "force_quote" => once(&mut said.force_quote, self.copy_columns(true)?),
            "force_null" => once(&mut said.force_null, self.copy_columns(true)?),
            "force_not_null" => once(&mut said.force_not_null, self.copy_columns(true)?),
            "header" => {
                let value = self.copy_flag()?;
                let header = match value.as_deref().map(|value| (value, boolean("header", value))) {
                    None | Some((_, Ok(true))) => CopyHeader::Line,
                    Some((_, Ok(false))) => CopyHeader::None,
                    Some((value, _)) if value.eq_ignore_ascii_case("match") => CopyHeader::Match,
                    Some(_) => {
                        return Err(Error::Syntax { message: "header requires a Boolean value or \"match\"".into(), hint: None });
                    }
                };
                once(&mut said.header, header)
            }
            // Rows of a table of ours are never frozen; they are read the same.
            "freeze" => self.copy_flag().map(|_| ()),
            _ => Err(Error::Syntax {
                message: format!("option \"{key}\" not recognized"),
                hint: Some(
                    "The options are FORMAT, HEADER, DELIMITER, NULL, QUOTE, ESCAPE, FORCE_QUOTE, FORCE_NULL, FORCE_NOT_NULL and ENCODING."
                        .into(),
                ),
            }),
        }
    }

    /// `CSV`, `DELIMITER AS ';'`, `FORCE QUOTE a, b`; false if there is none.
    fn copy_word(&mut self, said: &mut Said) -> Result<bool> {
        if self.word("csv") {
            once(&mut said.format, "csv".to_owned())?;
        } else if self.word("binary") {
            once(&mut said.format, "binary".to_owned())?;
        } else if self.word("header") {
            once(&mut said.header, CopyHeader::Line)?;
        } else if self.word("delimiter") || self.word("delimiters") {
            once(&mut said.delimiter, self.copy_text()?)?;
        } else if self.word("null") {
            once(&mut said.null, self.copy_text()?)?;
        } else if self.word("quote") {
            once(&mut said.quote, self.copy_text()?)?;
        } else if self.word("escape") {
            once(&mut said.escape, self.copy_text()?)?;
        } else if self.word("encoding") {
            once(&mut said.encoding, self.copy_text()?)?;
        } else if self.word("force") {
            let place = if self.word("quote") {
                &mut said.force_quote
            } else if self.word("null") {
                &mut said.force_null
            } else {
                self.expect("not")?;
                self.expect("null")?;
                &mut said.force_not_null
            };
            once(place, self.copy_columns(false)?)?;
        } else if !self.word("freeze") {
            return Ok(false);
        }
        Ok(true)
    }

    /// The value of an option: a text in quotes, or a word.
    fn copy_text(&mut self) -> Result<String> {
        self.word("as");
        match self.parser.next_token().token {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => Ok(text),
            Token::Word(word) => Ok(word.value),
            Token::Number(number, _) => Ok(number),
            other => Err(syntax(format!("expected the value of an option, found: {other}"))),
        }
    }

    /// The value of an option that may have none.
    fn copy_flag(&mut self) -> Result<Option<String>> {
        match &self.parser.peek_token_ref().token {
            Token::Comma | Token::RParen => Ok(None),
            _ => self.copy_text().map(Some),
        }
    }

    /// `*`, or names, in parentheses or not.
    fn copy_columns(&mut self, parentheses: bool) -> Result<CopyColumns> {
        if self.parser.consume_token(&Token::Mul) {
            return Ok(CopyColumns::All);
        }
        if parentheses {
            let names = self.column_names()?;
            return if names.is_empty() { Err(self.unexpected("* or (column, …)")) } else { Ok(CopyColumns::Named(names)) };
        }
        let mut names = vec![self.name()?];
        while self.parser.consume_token(&Token::Comma) {
            names.push(self.name()?);
        }
        Ok(CopyColumns::Named(names))
    }
}
