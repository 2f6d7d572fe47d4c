//! COPY: its words, in both directions.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::Reader;
use crate::error::{Error, Result};
use crate::plan::parse::{Body, CopyFormat, CopyIn, QueryText, Subscribe, boolean, is_word, parse_query, parser_error};

impl Reader<'_> {
    /// `COPY (query | SUBSCRIBE …) TO STDOUT`, `COPY relation TO STDOUT`.
    pub(super) fn copy_out(&mut self) -> Result<Body> {
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

    /// `COPY table [(column, …)] FROM STDIN`.
    pub(super) fn copy_in(&mut self) -> Result<Body> {
        self.expect("copy")?;
        let (table, columns) = (self.name()?, self.column_names()?);
        self.expect("from")?;
        self.expect("stdin")?;
        let format = self.copy_format()?;
        self.end()?;
        Ok(Body::CopyIn(CopyIn { table, columns, format }))
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
                _ => Err(Error::Option {
                    message: format!("COPY format \"{format}\" not recognized"),
                    hint: Some("The formats are text, csv and binary.".into()),
                }),
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
}
