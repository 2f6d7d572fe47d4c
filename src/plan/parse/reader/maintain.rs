//! ANALYZE, VACUUM and REFRESH MATERIALIZED VIEW: read for the tools that send them.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::Reader;
use crate::error::{Error, Result};
use crate::plan::parse::Body;

impl Reader<'_> {
    /// `VACUUM [(option, …)] [FULL] [FREEZE] [VERBOSE] [ANALYZE] [table [(column, …)], …]`, and ANALYZE.
    pub(super) fn maintain(&mut self, vacuum: bool) -> Result<Body> {
        self.parser.next_token();
        if self.parser.consume_token(&Token::LParen) {
            // What they ask for does nothing here.
            while !self.parser.consume_token(&Token::RParen) {
                if self.parser.next_token().token == Token::EOF {
                    return Err(self.unexpected(")"));
                }
            }
        }
        let words: &[&str] = if vacuum { &["full", "freeze", "verbose", "analyze", "analyse"] } else { &["verbose"] };
        while words.iter().any(|word| self.word(word)) {}
        let mut tables = Vec::new();
        if self.parser.peek_token_ref().token != Token::EOF {
            loop {
                tables.push(self.name()?);
                self.column_names()?;
                if !self.parser.consume_token(&Token::Comma) {
                    break;
                }
            }
        }
        self.end()?;
        Ok(Body::Maintain { vacuum, tables })
    }

    /// `REFRESH MATERIALIZED VIEW [CONCURRENTLY] name [WITH DATA]`.
    pub(super) fn refresh(&mut self) -> Result<Body> {
        for word in ["refresh", "materialized", "view"] {
            self.expect(word)?;
        }
        self.word("concurrently");
        let name = self.name()?;
        if self.word("with") {
            if self.word("no") {
                return Err(Error::unsupported("REFRESH … WITH NO DATA", "DROP MATERIALIZED VIEW takes a view and its rows away."));
            }
            self.expect("data")?;
        }
        self.end()?;
        Ok(Body::Refresh(name))
    }
}
