//! Words that the parser takes for more or other than Postgres does: `U&'…'` is a text, `top` a name, `(t).*` is `t.*`, and `FETCH FIRST (…) ROWS ONLY` a
//! LIMIT.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use super::is_word;

/// Puts the texts and names in their places.
pub(super) fn plain(words: &mut [TokenWithSpan]) {
    for at in 0..words.len() {
        let (before, behind) = (at.checked_sub(1).and_then(|before| words.get(before)), words.get(at + 1));
        // `SELECT TOP 5` stays another system's, and is refused as such.
        let clause = before.is_some_and(|word| is_word(&word.token, "select"))
            && behind.is_some_and(|word| matches!(word.token, Token::Number(..) | Token::LParen));
        match words.get(at).map(|word| &word.token) {
            Some(Token::Period) if behind.is_some_and(|next| next.token == Token::Mul) => {
                bare_row(words, at);
                continue;
            }
            Some(token) if is_word(token, "fetch") => {
                fetch(words, at);
                continue;
            }
            _ => {}
        }
        let Some(word) = words.get_mut(at) else { continue };
        match &mut word.token {
            Token::UnicodeStringLiteral(text) => word.token = Token::SingleQuotedString(std::mem::take(text)),
            token if !clause && is_word(token, "top") => word.token = Token::make_word("top", Some('"')),
            _ => {}
        }
    }
}

/// The name of a row in brackets before `.*` without them.
fn bare_row(words: &mut [TokenWithSpan], period: usize) {
    let Some(begin) = period.checked_sub(3) else { return };
    let shape = words.get(begin..period).map(|shape| shape.iter().map(|word| &word.token).collect::<Vec<_>>());
    if !matches!(shape.as_deref(), Some([Token::LParen, Token::Word(name), Token::RParen]) if name.keyword == Keyword::NoKeyword) {
        return;
    }
    // Behind a name they are those of a call.
    let called =
        |word: &TokenWithSpan| matches!(&word.token, Token::Word(word) if word.keyword == Keyword::NoKeyword || word.quote_style.is_some());
    if begin.checked_sub(1).and_then(|before| words.get(before)).is_some_and(called) {
        return;
    }
    for at in [begin, period - 1] {
        leave_out(words, at);
    }
}

/// The parser reads a number there and nothing else.
fn fetch(words: &mut [TokenWithSpan], at: usize) {
    let is = |at: usize, all: &[&str]| words.get(at).is_some_and(|word| all.iter().any(|name| is_word(&word.token, name)));
    if !is(at + 1, &["first", "next"]) || words.get(at + 2).is_none_or(|word| word.token != Token::LParen) {
        return;
    }
    let mut depth = 0_usize;
    let end = words.iter().enumerate().skip(at + 2).find_map(|(at, word)| {
        match word.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        (depth == 0).then_some(at)
    });
    let Some(end) = end.filter(|end| is(end + 1, &["row", "rows"]) && is(end + 2, &["only"])) else { return };
    if let Some(word) = words.get_mut(at) {
        word.token = Token::make_keyword("LIMIT");
    }
    for at in [at + 1, end + 1, end + 2] {
        leave_out(words, at);
    }
}

fn leave_out(words: &mut [TokenWithSpan], at: usize) {
    if let Some(word) = words.get_mut(at) {
        word.token = Token::Whitespace(Whitespace::Space);
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::parse::{parse, parse_query};

    #[test]
    fn what_is_no_word_of_postgres_is_a_name() {
        for (sql, expected) in [
            ("SELECT top.a, Top FROM t AS top", "SELECT \"top\".a, \"top\" FROM t AS \"top\""),
            ("SELECT U&'d\\0061t'", "SELECT 'dat'"),
            ("SELECT (t).*, count(t.*) FROM t", "SELECT t.*, count(t.*) FROM t"),
            ("SELECT a FROM t OFFSET 1 ROWS FETCH NEXT (1 + (2)) ROWS ONLY", "SELECT a FROM t LIMIT (1 + (2)) OFFSET 1 ROWS"),
        ] {
            assert_eq!(parse_query(sql).unwrap().query.to_string(), expected);
        }
        assert!(parse("SELECT TOP 5 a FROM t").is_ok());
    }
}
