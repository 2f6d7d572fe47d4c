//! What sqlparser does not read of MATCH_RECOGNIZE, put into words that it does: the pattern with WITHIN as text, a subquery as the table, FINAL.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use super::{is_word, syntax};
use crate::error::{Error, Result};

/// The name of the table function that a subquery before MATCH_RECOGNIZE is made an argument of.
pub(in crate::plan) const ROWS: &str = "__rows";
/// What the names of functions behind FINAL begin with.
pub(in crate::plan) const FINAL: &str = "__final_";

/// Rewrites every MATCH_RECOGNIZE of a statement. Errs with 0A000 for a clause that is not supported.
pub(super) fn mark(tokens: &mut Vec<TokenWithSpan>) -> Result<()> {
    // From the last to the first, as what is within is rewritten before what it stands in moves.
    for at in (0..tokens.len()).rev() {
        if is(tokens, at, "match_recognize") && token(tokens, at + 1) == Some(&Token::LParen) {
            clauses(tokens, at + 1)?;
            table(tokens, at);
        }
    }
    Ok(())
}

pub(super) fn token(tokens: &[TokenWithSpan], at: usize) -> Option<&Token> {
    tokens.get(at).map(|t| &t.token)
}

pub(super) fn is(tokens: &[TokenWithSpan], at: usize, word: &str) -> bool {
    token(tokens, at).is_some_and(|t| is_word(t, word))
}

/// The parenthesis that closes the one at `open`.
pub(super) fn closing(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, t) in tokens.iter().enumerate().skip(open) {
        match t.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// The parenthesis that opens the one at `close`.
fn opening(tokens: &[TokenWithSpan], close: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for at in (0..=close).rev() {
        match token(tokens, at)? {
            Token::RParen => depth += 1,
            Token::LParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn made(token: Token) -> TokenWithSpan {
    TokenWithSpan { token, span: Span::empty() }
}

fn word(text: String, quote_style: Option<char>) -> TokenWithSpan {
    made(Token::Word(Word { value: text, quote_style, keyword: Keyword::NoKeyword }))
}

/// The clauses in the parentheses that open at `open`.
fn clauses(tokens: &mut Vec<TokenWithSpan>, open: usize) -> Result<()> {
    let Some(end) = closing(tokens, open) else { return Err(syntax("expected ) at the end of MATCH_RECOGNIZE")) };
    let mut pattern = None;
    let mut at = open + 1;
    while at < end {
        match token(tokens, at) {
            Some(Token::LParen) => at = closing(tokens, at).unwrap_or(end),
            Some(_) if is(tokens, at, "subset") => {
                return Err(Error::unsupported("SUBSET in MATCH_RECOGNIZE", "Name the variables one by one."));
            }
            Some(_) if is(tokens, at, "pattern") && token(tokens, at + 1) == Some(&Token::LParen) => {
                pattern = closing(tokens, at + 1).map(|close| (at + 1, close));
                break;
            }
            _ => {}
        }
        at += 1;
    }
    let Some((from, to)) = pattern else { return Err(syntax("expected PATTERN (…) in MATCH_RECOGNIZE")) };
    let text = |tokens: &[TokenWithSpan]| tokens.iter().map(|t| t.token.to_string()).collect::<Vec<_>>().join(" ");
    let mut parts = vec![word(text(tokens.get(from + 1..to).unwrap_or_default()), Some('"'))];
    let mut after = to + 1;
    if is(tokens, after, "within") {
        let define = (after..end).find(|at| is(tokens, *at, "define") || is(tokens, *at, "subset")).unwrap_or(end);
        parts.push(word(text(tokens.get(after + 1..define).unwrap_or_default()), Some('"')));
        after = define;
    }
    if is(tokens, after, "subset") {
        return Err(Error::unsupported("SUBSET in MATCH_RECOGNIZE", "Name the variables one by one."));
    }
    if !is(tokens, after, "define") {
        return Err(Error::Syntax {
            message: "syntax error: expected DEFINE after the pattern of MATCH_RECOGNIZE".into(),
            hint: Some("A variable that every row may be needs no definition, but one of them has to have one.".into()),
        });
    }
    let n_before = tokens.len();
    tokens.splice(from + 1..after, parts.into_iter().chain([made(Token::RParen)]));
    let end = (end + tokens.len()).saturating_sub(n_before);
    // `FINAL LAST(…)`, `RUNNING LAST(…)`: RUNNING is what a measure is without a word.
    for at in (open..end).rev() {
        let called = token(tokens, at + 2) == Some(&Token::LParen);
        let Some(Token::Word(function)) = token(tokens, at + 1).cloned() else { continue };
        if called && is(tokens, at, "final") {
            tokens.splice(at..at + 2, [word(format!("{FINAL}{}", function.value.to_lowercase()), None)]);
        } else if called && is(tokens, at, "running") {
            tokens.remove(at);
        }
    }
    Ok(())
}

/// `(SELECT …) [[AS] alias [(column, …)]] MATCH_RECOGNIZE`: sqlparser takes only a name or a function there.
fn table(tokens: &mut Vec<TokenWithSpan>, at: usize) {
    let last = at.saturating_sub(1);
    let alias = |at: usize| {
        let before = at.saturating_sub(1);
        if is(tokens, before, "as") { before.saturating_sub(1) } else { before }
    };
    let closes = |at: usize| token(tokens, at) == Some(&Token::RParen);
    let close = if matches!(token(tokens, last), Some(Token::Word(_))) {
        alias(last)
    } else {
        // Names of columns behind an alias, or the subquery itself: before that stands FROM, and before FROM any list of calls.
        let begins = |at: usize| is(tokens, at, "from") || is(tokens, at, "join");
        let name = opening(tokens, last).and_then(|open| open.checked_sub(1)).filter(|name| !begins(*name));
        match name {
            Some(name) if matches!(token(tokens, name), Some(Token::Word(_))) && closes(alias(name)) => alias(name),
            _ => last,
        }
    };
    if !closes(close) {
        return;
    }
    let Some(open) = opening(tokens, close) else { return };
    let before = open.checked_sub(1).and_then(|before| token(tokens, before));
    let relation = match before {
        Some(Token::Comma | Token::LParen) => true,
        Some(before) => is_word(before, "from") || is_word(before, "join"),
        None => false,
    };
    if relation {
        tokens.insert(close, made(Token::RParen));
        tokens.splice(open..open, [word(ROWS.to_owned(), None), made(Token::LParen)]);
    }
}
