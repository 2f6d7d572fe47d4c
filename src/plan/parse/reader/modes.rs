//! SET TRANSACTION: the modes of a transaction, and of those to come.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::Reader;
use crate::error::Result;
use crate::plan::parse::Body;

impl Reader<'_> {
    /// `TRANSACTION mode [[,] mode …]`.
    pub(super) fn transaction_modes(&mut self, session: bool) -> Result<Body> {
        self.expect("transaction")?;
        let (mut isolation, mut read_only, mut n_modes) = (None, None, 0);
        loop {
            if self.word("isolation") {
                self.expect("level")?;
                isolation = Some(self.level()?);
            } else if self.word("read") {
                read_only = Some(self.word("only"));
                if read_only == Some(false) {
                    self.expect("write")?;
                }
            } else if self.word("not") {
                self.expect("deferrable")?;
            } else if !self.word("deferrable") {
                break;
            }
            n_modes += 1;
            let _ = self.parser.consume_token(&Token::Comma);
        }
        if n_modes == 0 {
            return Err(self.unexpected("ISOLATION LEVEL, READ ONLY or READ WRITE"));
        }
        self.end()?;
        Ok(Body::SetTransaction { session, isolation, read_only })
    }

    fn level(&mut self) -> Result<&'static str> {
        if self.word("serializable") {
            return Ok("serializable");
        }
        if self.word("repeatable") {
            self.expect("read")?;
            return Ok("repeatable read");
        }
        self.expect("read")?;
        if self.word("uncommitted") {
            return Ok("read uncommitted");
        }
        self.expect("committed")?;
        Ok("read committed")
    }
}
