//! SET TRANSACTION: the modes of a transaction, and of those to come; and SET CONSTRAINTS.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::Reader;
use crate::error::Result;
use crate::plan::parse::{Body, is_word};

/// BEGIN and START TRANSACTION without `[NOT] DEFERRABLE`, which sqlparser does not read: no transaction of ours waits before it reads.
pub(super) fn drop_deferrable(tokens: &mut Vec<TokenWithSpan>) {
    let word = |token: Option<&TokenWithSpan>, word: &str| token.is_some_and(|token| is_word(&token.token, word));
    if !["begin", "start"].iter().any(|first| word(tokens.first(), first)) {
        return;
    }
    while let Some(at) = tokens.iter().position(|token| is_word(&token.token, "deferrable")) {
        let first = if at > 0 && word(tokens.get(at - 1), "not") { at - 1 } else { at };
        let comma = |at: usize| tokens.get(at).is_some_and(|token| token.token == Token::Comma);
        // One comma goes with it: that before, or if it stands first that behind.
        let (from, to) = match first.checked_sub(1).filter(|before| comma(*before)) {
            Some(before) => (before, at + 1),
            None => (first, at + 1 + usize::from(comma(at + 1))),
        };
        tokens.drain(from..to);
    }
}

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

    /// `CONSTRAINTS {ALL | name, …} {DEFERRED | IMMEDIATE}`: every constraint is checked at once, and none may be put off.
    pub(super) fn constraints(&mut self) -> Result<Body> {
        loop {
            self.name()?;
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        if !self.word("deferred") {
            self.expect("immediate")?;
        }
        self.end()?;
        Ok(Body::Nothing { tag: "SET CONSTRAINTS" })
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
