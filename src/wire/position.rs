//! Where in the text of a query it is wrong: the character that psql puts a caret under.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::error::Error;

/// Texts longer than this are not looked through for a name.
const MOST_BYTES: usize = 64 << 10;

/// The character, from 1, at which an error of the statement that begins at byte `from` stands. None if the error does not say.
pub(super) fn of(error: &Error, sql: &str, from: usize) -> Option<usize> {
    let message = error.to_string();
    match error.sqlstate() {
        "42601" => of_syntax(&message, sql),
        "42P01" | "42703" | "42702" | "42883" => of_name(&message, sql.get(from..)?).map(|at| sql.get(..from).map_or(0, n_chars) + at),
        _ => None,
    }
}

fn n_chars(text: &str) -> usize {
    text.chars().count()
}

/// The parser says the line and the column, or that the text ends too early.
fn of_syntax(message: &str, sql: &str) -> Option<usize> {
    if message.ends_with("found: EOF") || message.ends_with("at the end of the statement") {
        return Some(n_chars(sql.trim_end().trim_end_matches(';')) + 1);
    }
    let lower = message.to_lowercase();
    let (_, place) = lower.rsplit_once("at line")?;
    let mut numbers = place.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty()).map(str::parse::<u64>);
    at(sql, Location { line: numbers.next()?.ok()?, column: numbers.next()?.ok()? })
}

/// The character of a line and column.
fn at(sql: &str, place: Location) -> Option<usize> {
    let before = usize::try_from(place.line).ok()?.checked_sub(1)?;
    let lines: Vec<&str> = sql.split('\n').take(before + 1).collect();
    let line = lines.get(before)?;
    let column = usize::try_from(place.column).ok().filter(|column| (1..=n_chars(line) + 1).contains(column))?;
    Some(lines.iter().take(before).map(|line| n_chars(line) + 1).sum::<usize>() + column)
}

/// The first place of a name that is said to be missing.
fn of_name(message: &str, sql: &str) -> Option<usize> {
    enum Of {
        Column,
        Relation,
        Qualifier,
        Function,
    }
    let (kind, name) = [
        ("column \"", Of::Column),
        ("column reference \"", Of::Column),
        ("relation \"", Of::Relation),
        ("missing FROM-clause entry for table \"", Of::Qualifier),
        ("invalid function '", Of::Function),
        ("function ", Of::Function),
    ]
    .into_iter()
    .find_map(|(start, kind)| Some((kind, message.strip_prefix(start)?.split(['"', '\'', ' ', '(']).next()?)))?;
    if sql.len() > MOST_BYTES || name.is_empty() {
        return None;
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().ok()?;
    let tokens: Vec<&TokenWithSpan> = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let is = |at: usize, expected: &Token| tokens.get(at).is_some_and(|token| token.token == *expected);
    let named = |at: usize, name: &str| {
        let word = tokens.get(at).and_then(|token| if let Token::Word(word) = &token.token { Some(word) } else { None });
        word.is_some_and(|word| if word.quote_style.is_some() { word.value == name } else { word.value.to_lowercase() == name })
    };
    let parts: Vec<&str> = name.split('.').collect();
    let last = parts.last()?;
    let found = |parts: &[&str]| {
        (0..tokens.len()).find(|at| {
            let whole = parts.iter().enumerate().all(|(n, part)| named(at + 2 * n, part) && (n == 0 || is(at + 2 * n - 1, &Token::Period)));
            let behind = at + 2 * parts.len() - 1;
            whole
                && match kind {
                    Of::Column => !is(behind, &Token::LParen) && !is(behind, &Token::Period),
                    Of::Relation => !is(behind, &Token::LParen) && !is(behind, &Token::Period),
                    Of::Qualifier => is(behind, &Token::Period),
                    Of::Function => is(behind, &Token::LParen),
                }
        })
    };
    let first = found(&parts).or_else(|| found(std::slice::from_ref(last)))?;
    at(sql, tokens.get(first)?.span.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax(message: &str) -> Error {
        Error::Syntax { message: message.into(), hint: None }
    }

    #[test]
    fn a_syntax_error_stands_where_the_parser_says() {
        let error = syntax("syntax error: Expected: end of statement, found: x at Line: 2, Column: 3");
        assert_eq!(of(&error, "SELECT 'ä'\n, x y", 0), Some(14));
        assert_eq!(of(&syntax("expected TO, found: ( at line 1, column 9"), "COPY t  (a)", 0), Some(9));
        assert_eq!(of(&syntax("syntax error: Expected: an expression, found: EOF"), "SELECT ;", 0), Some(8));
        assert_eq!(of(&syntax("expected one query"), "SELECT", 0), None);
        assert_eq!(of(&syntax("found: x at Line: 9, Column: 3"), "SELECT", 0), None);
    }

    #[test]
    fn a_name_stands_where_it_is_written() {
        let column = |name: &str| Error::NotFound { kind: "column", name: name.into() };
        assert_eq!(of(&column("t.zz"), "SELECT zz, T.zz FROM t", 0), Some(12));
        assert_eq!(of(&column("Zz"), "SELECT zz, \"Zz\" FROM t", 0), Some(12));
        let relation = Error::NotFound { kind: "relation", name: "nosuch".into() };
        assert_eq!(of(&relation, "SELECT 1; SELECT 'ä' FROM nosuch", 10), Some(27));
        assert_eq!(of(&Error::NotFound { kind: "table", name: "nosuch".into() }, "DROP TABLE nosuch", 0), None);
    }
}
