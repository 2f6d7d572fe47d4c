//! `TRACK(TABLE t PARTITION BY k ORDER BY ts, …)`: no dialect of sqlparser reads a table as an argument, so it becomes a call over a subquery.

use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::is_word;
use super::pattern::{closing, is, token};

/// The functions in FROM that read a table so.
const FUNCTIONS: [&str; 3] = ["track", "zone_visits", "line_crossings"];
/// The function that such an argument becomes a call of: `__table((SELECT …)) OVER (PARTITION BY … ORDER BY …)`.
pub(in crate::plan) const TABLE: &str = "__table";
/// The name of the argument, where it is given by name.
pub(in crate::plan) const DATA: &str = "data";

/// Rewrites the table argument of every such call in FROM. What cannot be read stays, for the parser to refuse.
pub(super) fn mark(tokens: &mut Vec<TokenWithSpan>) {
    // From the last to the first, as what is within is rewritten before what it stands in moves.
    for at in (1..tokens.len()).rev() {
        if called(tokens, at)
            && let Some(argument) = find(tokens, at + 1)
            && let Some(read) = argument_at(tokens, argument)
        {
            tokens.splice(argument..read.end, read.tokens);
        }
    }
}

/// Whether a call of one of them stands here. A table may have such a name: `WITH track (a) AS (…)`, `INSERT INTO track (a)`.
fn called(tokens: &[TokenWithSpan], at: usize) -> bool {
    let named = FUNCTIONS.iter().any(|function| is(tokens, at, function)) && token(tokens, at + 1) == Some(&Token::LParen);
    let in_from = match token(tokens, at.saturating_sub(1)) {
        Some(Token::Comma | Token::LParen) => true,
        Some(before) => ["from", "join", "lateral"].iter().any(|word| is_word(before, word)),
        None => false,
    };
    named && in_from && closing(tokens, at + 1).is_some_and(|close| !common_table(tokens, close + 1))
}

/// `AS (`, `AS MATERIALIZED (`, `AS NOT MATERIALIZED (`: what stood before were the columns of a common table expression.
fn common_table(tokens: &[TokenWithSpan], at: usize) -> bool {
    let body = (at + 1..).find(|at| !is(tokens, *at, "not") && !is(tokens, *at, "materialized"));
    is(tokens, at, "as") && body.is_some_and(|body| token(tokens, body) == Some(&Token::LParen))
}

/// Where the table begins in the arguments that open at `open`: first, or behind `data =>`.
fn find(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let close = closing(tokens, open)?;
    let arrow = |at: usize| matches!(token(tokens, at), Some(Token::RArrow | Token::Assignment));
    let mut at = open + 1;
    if !arrow(at + 1) {
        return Some(at);
    }
    while at < close {
        if is(tokens, at, DATA) && arrow(at + 1) {
            return Some(at + 2);
        }
        at = if token(tokens, at) == Some(&Token::LParen) { closing(tokens, at)? + 1 } else { at + 1 };
    }
    None
}

struct Read {
    /// Where it ends.
    end: usize,
    /// What it becomes.
    tokens: Vec<TokenWithSpan>,
}

/// `[TABLE] name`, `[TABLE] (query)`, `[TABLE] function(…)`, with PARTITION BY and ORDER BY behind it.
fn argument_at(tokens: &[TokenWithSpan], start: usize) -> Option<Read> {
    let mut at = start + usize::from(is(tokens, start, "table"));
    let relation = match token(tokens, at)? {
        Token::LParen => {
            let close = closing(tokens, at)?;
            let inside = (at + 1, close);
            at = close + 1;
            inside
        }
        Token::Word(_) => {
            let first = at;
            at += 1;
            while token(tokens, at) == Some(&Token::Period) {
                at += 2;
            }
            if token(tokens, at) == Some(&Token::LParen) {
                at = closing(tokens, at)? + 1;
            }
            (first, at)
        }
        _ => return None,
    };
    let clauses = at;
    if is(tokens, at, "partition") && is(tokens, at + 1, "by") {
        at = keys(tokens, at + 2)?;
    }
    if is(tokens, at, "order") && is(tokens, at + 1, "by") {
        at = keys(tokens, at + 2)?;
    }
    if !matches!(token(tokens, at)?, Token::Comma | Token::RParen) {
        return None;
    }
    let span = tokens.get(start).map_or(Span::empty(), |t| t.span);
    let made = |token: Token| TokenWithSpan { token, span };
    let query = ["select", "with", "values", "table"].iter().any(|word| is(tokens, relation.0, word))
        || token(tokens, relation.0) == Some(&Token::LParen);
    let mut out: Vec<TokenWithSpan> = [Token::make_word(TABLE, None), Token::LParen, Token::LParen].map(made).into();
    if !query {
        out.extend([Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")].map(made));
    }
    out.extend_from_slice(tokens.get(relation.0..relation.1)?);
    out.extend([Token::RParen, Token::RParen].map(made));
    if at > clauses {
        out.extend([Token::make_keyword("OVER"), Token::LParen].map(made));
        out.extend_from_slice(tokens.get(clauses..at)?);
        out.push(made(Token::RParen));
    }
    Some(Read { end: at, tokens: out })
}

/// Where a list of keys ends: at ORDER, at the closing parenthesis, or at the comma behind which no name of a column stands alone.
fn keys(tokens: &[TokenWithSpan], from: usize) -> Option<usize> {
    let mut end = part(tokens, from)?;
    while token(tokens, end) == Some(&Token::Comma) {
        let next = part(tokens, end + 1)?;
        let constant = |t: &Token| ["true", "false", "null"].iter().any(|word| is_word(t, word));
        let name = |t: &TokenWithSpan| matches!(t.token, Token::Word(_) | Token::Period) && !constant(&t.token);
        if !tokens.get(end + 1..next)?.iter().all(name) {
            break;
        }
        end = next;
    }
    Some(end)
}

/// Where a part of a list ends.
fn part(tokens: &[TokenWithSpan], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        match token(tokens, at)? {
            Token::LParen => at = closing(tokens, at)? + 1,
            Token::Comma | Token::RParen => return Some(at),
            _ if at > from && is(tokens, at, "order") && is(tokens, at + 1, "by") => return Some(at),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::parse::parse_query;

    fn read(from: &str) -> String {
        let sql = format!("SELECT * FROM {from}");
        let query = parse_query(&sql).unwrap_or_else(|e| panic!("{sql}: {e}")).query.to_string();
        query.strip_prefix("SELECT * FROM ").unwrap().to_owned()
    }

    #[test]
    fn a_table_is_read_with_its_keys_in_every_spelling() {
        let over = "OVER (PARTITION BY source ORDER BY ts)";
        for (sql, is) in [
            (
                "TRACK(TABLE d PARTITION BY source ORDER BY ts, method => 'sort')",
                format!("TRACK(__table((SELECT * FROM d)) {over}, method => 'sort')"),
            ),
            ("TRACK(d PARTITION BY source ORDER BY ts)", format!("TRACK(__table((SELECT * FROM d)) {over})")),
            ("track((SELECT a FROM d) PARTITION BY source ORDER BY ts) AS t", format!("track(__table((SELECT a FROM d)) {over}) AS t")),
            ("TRACK(TABLE (SELECT a FROM d) ORDER BY ts)", "TRACK(__table((SELECT a FROM d)) OVER (ORDER BY ts))".into()),
            ("TRACK(TABLE(d) ORDER BY ts)", "TRACK(__table((SELECT * FROM d)) OVER (ORDER BY ts))".into()),
            ("TRACK(public.d, INTERVAL '1 s')", "TRACK(__table((SELECT * FROM public.d)), INTERVAL '1 s')".into()),
            (
                "LINE_CROSSINGS(TABLE d PARTITION BY source, camera ORDER BY ts, frame_no DESC, 'door', true)",
                "LINE_CROSSINGS(__table((SELECT * FROM d)) OVER (PARTITION BY source, camera ORDER BY ts, frame_no DESC), 'door', true)"
                    .into(),
            ),
            (
                "ZONE_VISITS(d PARTITION BY (source, camera) ORDER BY ts, gap => INTERVAL '1 s')",
                "ZONE_VISITS(__table((SELECT * FROM d)) OVER (PARTITION BY (source, camera) ORDER BY ts), gap => INTERVAL '1 s')".into(),
            ),
            (
                "ZONE_VISITS(TRACK(d PARTITION BY source ORDER BY ts) ORDER BY ts, 'z')",
                format!("ZONE_VISITS(__table((SELECT * FROM TRACK(__table((SELECT * FROM d)) {over}))) OVER (ORDER BY ts), 'z')"),
            ),
            (
                "TABLE(TRACK(method => 'sort', data => TABLE d PARTITION BY source ORDER BY ts, min_hits => 2))",
                format!("TABLE(TRACK(method => 'sort', data => __table((SELECT * FROM d)) {over}, min_hits => 2))"),
            ),
        ] {
            assert_eq!(read(sql), is, "{sql}");
        }
    }

    #[test]
    fn a_table_of_such_a_name_is_left_alone() {
        assert_eq!(read("track AS t"), "track AS t");
        let with = parse_query("WITH a AS (SELECT 1), track (b) AS (SELECT 2) SELECT * FROM track").unwrap().query.to_string();
        assert!(with.contains("track (b) AS"), "{with}");
    }
}
