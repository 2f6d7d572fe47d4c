//! What sqlparser cannot read of cursors: DECLARE … FOR SUBSCRIBE, MOVE, and FETCH … WITH (timeout = …).

use std::time::Duration;

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::plan::parse::{Body, Statement};
use crate::settings::duration_us;
use crate::wire::rows::Patience;

/// What stands before the statement that a cursor reads.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::wire) struct Head<'a> {
    /// The cursor.
    pub(in crate::wire) name: String,
    /// WITH HOLD.
    pub(in crate::wire) hold: bool,
    /// The statement, from SUBSCRIBE on.
    pub(in crate::wire) rest: &'a str,
}

/// Reads a script as the session does; a cursor over SUBSCRIBE comes back as its SUBSCRIBE with the whole text, MOVE and FETCH as FETCH.
pub(in crate::wire) fn parse(session: &Session, sql: &str) -> Result<Vec<Statement>> {
    let error = match session.parse(sql) {
        Ok(statements) => return Ok(statements),
        Err(error) => error,
    };
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize() else { return Err(error) };
    let comment =
        |token: &Token| matches!(token, Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)));
    let text = |part: &[Token]| part.iter().map(|token| if comment(token) { "\n".to_owned() } else { token.to_string() }).collect();
    let parts: Vec<String> = tokens.split(|token| *token == Token::SemiColon).map(text).collect();
    if parts.iter().all(|part| head(part).is_none() && fetch(part).is_none()) {
        return Err(error);
    }
    let mut statements = Vec::new();
    for part in &parts {
        match (head(part), fetch(part)) {
            (None, None) => statements.extend(session.parse(part)?),
            (None, Some(plain)) => {
                let inner = session.parse(&plain)?;
                statements.extend(inner.into_iter().map(|inner| Statement { text: part.trim().to_owned(), body: inner.body }));
            }
            (Some(head), _) => {
                let inner = session.parse(head.rest)?;
                statements.extend(inner.into_iter().map(|inner| Statement { text: part.trim().to_owned(), body: inner.body }));
            }
        }
    }
    Ok(statements)
}

/// The head of a cursor over SUBSCRIBE; None for all other statements.
pub(in crate::wire) fn of(statement: &Statement) -> Option<Head<'_>> {
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

/// FETCH or MOVE as sqlparser reads it: with FROM, without WITH. None for all other statements.
fn fetch(text: &str) -> Option<String> {
    let (text, _) = split_with(text.trim());
    let words: Vec<&str> = text.split_whitespace().collect();
    let (verb, rest) = words.split_first()?;
    let (name, direction) = rest.split_last()?;
    if !["fetch", "move"].iter().any(|known| verb.eq_ignore_ascii_case(known)) {
        return None;
    }
    let from = |word: &&str| word.eq_ignore_ascii_case("from") || word.eq_ignore_ascii_case("in");
    let direction = match direction.split_last() {
        Some((last, before)) if from(last) => before,
        _ => direction,
    };
    let direction = match direction {
        [] => "NEXT".to_owned(),
        // Without a number FORWARD is one row.
        [forward] if forward.eq_ignore_ascii_case("forward") => "NEXT".to_owned(),
        words => words.join(" "),
    };
    Some(format!("FETCH {direction} FROM {name}"))
}

/// A text before its last WITH, and what stands behind it.
fn split_with(text: &str) -> (&str, Option<&str>) {
    let found = text.to_ascii_lowercase().rfind(" with").map(|at| (text.get(..at), text.get(at + 5..)));
    match found {
        Some((Some(before), Some(after))) if after.trim_start().starts_with('(') => (before, Some(after.trim())),
        _ => (text, None),
    }
}

/// What a statement that sqlparser reads as FETCH is.
#[derive(Debug, PartialEq)]
pub(super) enum Tail {
    /// MOVE.
    Move,
    /// FETCH, which waits so long.
    Fetch(Patience),
}

/// Reads it from the statement's own text. Errs for an option that FETCH has not, and for a time that is none (22023).
pub(super) fn tail(text: &str) -> Result<Tail> {
    let refuse = |message: String| {
        Err(Error::Option { message, hint: Some("The option is timeout, as in WITH (timeout = '1s'); '0s' does not wait.".into()) })
    };
    let (text, with) = split_with(text.trim());
    let moves = text.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("move"));
    let options = with.map(|with| with.trim_start_matches('(').trim_end_matches(')').trim());
    let Some(options) = options else { return Ok(if moves { Tail::Move } else { Tail::Fetch(Patience::All) }) };
    let (name, value) = options.split_once('=').unwrap_or((options, ""));
    let (name, value) = (name.trim().to_lowercase(), value.trim_start_matches('>').trim().trim_matches('\''));
    match (moves, name.as_str(), duration_us(value, 1_000).and_then(|us| u64::try_from(us).ok())) {
        (false, "timeout", Some(us)) => Ok(Tail::Fetch(Patience::First(Duration::from_micros(us)))),
        (false, "timeout", None) => refuse(format!("timeout of FETCH is a time such as '1s', not \"{value}\"")),
        (moves, ..) => refuse(format!("option \"{name}\" of {} does not exist", if moves { "MOVE" } else { "FETCH" })),
    }
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

    #[test]
    fn fetch_and_move_are_read_with_what_sqlparser_does_not_know() {
        for (sql, plain) in [
            ("MOVE FORWARD 5 c", Some("FETCH FORWARD 5 FROM c")),
            ("move c", Some("FETCH NEXT FROM c")),
            ("FETCH 10 FROM \"C\" WITH (timeout = '1s')", Some("FETCH 10 FROM \"C\"")),
            ("FETCH ALL IN c", Some("FETCH ALL FROM c")),
            ("SELECT 1", None),
        ] {
            assert_eq!(fetch(sql).as_deref(), plain, "{sql}");
        }
        assert_eq!(tail("MOVE 1 c").unwrap(), Tail::Move);
        assert_eq!(tail("FETCH 1 c").unwrap(), Tail::Fetch(Patience::All));
        assert_eq!(tail("FETCH 1 c WITH (timeout = '0s')").unwrap(), Tail::Fetch(Patience::First(Duration::ZERO)));
        for sql in ["FETCH 1 c WITH (speed = 1)", "FETCH 1 c WITH (timeout = 'soon')", "MOVE 1 c WITH (timeout = '1s')"] {
            assert_eq!(tail(sql).unwrap_err().sqlstate(), "22023", "{sql}");
        }
    }
}
