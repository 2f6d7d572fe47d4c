//! DECLARE … CURSOR FOR SUBSCRIBE, which sqlparser cannot read: its head is read here, the rest by the engine's parser.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::engine::session::Session;
use crate::error::Result;
use crate::plan::parse::{Body, Statement};

/// What stands before the statement that a cursor reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    /// The cursor.
    pub(super) name: String,
    /// WITH HOLD.
    pub(super) hold: bool,
    /// The statement, from SUBSCRIBE on.
    pub(super) rest: &'a str,
}

/// Reads a script as the session does; a cursor over SUBSCRIBE comes back as its SUBSCRIBE with the whole text.
pub(super) fn parse(session: &Session, sql: &str) -> Result<Vec<Statement>> {
    let error = match session.parse(sql) {
        Ok(statements) => return Ok(statements),
        Err(error) => error,
    };
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize() else { return Err(error) };
    let parts: Vec<String> =
        tokens.split(|token| *token == Token::SemiColon).map(|part| part.iter().map(Token::to_string).collect()).collect();
    if parts.iter().all(|part| head(part).is_none()) {
        return Err(error);
    }
    let mut statements = Vec::new();
    for part in &parts {
        match head(part) {
            None => statements.extend(session.parse(part)?),
            Some(head) => {
                let inner = session.parse(head.rest)?;
                statements.extend(inner.into_iter().map(|inner| Statement { text: part.trim().to_owned(), body: inner.body }));
            }
        }
    }
    Ok(statements)
}

/// The head of a cursor over SUBSCRIBE; None for all other statements.
pub(super) fn of(statement: &Statement) -> Option<Head<'_>> {
    if matches!(statement.body, Body::Subscribe(_)) { head(&statement.text) } else { None }
}

fn head(text: &str) -> Option<Head<'_>> {
    let mut rest = text.trim();
    let mut word = || {
        let end = rest.find(char::is_whitespace)?;
        let (word, after) = rest.split_at(end);
        rest = after.trim_start();
        Some(word)
    };
    if !word()?.eq_ignore_ascii_case("declare") {
        return None;
    }
    let name = word()?;
    let name = match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.to_owned(),
        None => name.to_lowercase(),
    };
    let (mut cursor, mut hold, mut without) = (false, false, false);
    loop {
        match word()?.to_lowercase().as_str() {
            "for" => break,
            "cursor" => cursor = true,
            "without" => without = true,
            "hold" => hold = !without,
            "no" | "scroll" | "insensitive" | "asensitive" | "binary" | "with" => {}
            _ => return None,
        }
    }
    let subscribes = rest.get(..9).is_some_and(|word| word.eq_ignore_ascii_case("subscribe"));
    (cursor && subscribes).then_some(Head { name, hold, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cursor_over_subscribe_is_read_here() {
        let read = head("DECLARE C no scroll CURSOR WITH HOLD FOR\nSUBSCRIBE TO v WITH (snapshot = false)").unwrap();
        assert_eq!(read, Head { name: "c".into(), hold: true, rest: "SUBSCRIBE TO v WITH (snapshot = false)" });
        for sql in ["DECLARE c CURSOR FOR SELECT 1", "SUBSCRIBE TO v", "DECLARE", "DECLARE c FOR SUBSCRIBE TO v"] {
            assert_eq!(head(sql), None, "{sql}");
        }
    }
}
