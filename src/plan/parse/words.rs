//! Words that the parser takes for more or other than Postgres does: `U&'…'` is a text, and `top` a name.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::is_word;

/// Puts the texts and names in their places.
pub(super) fn plain(words: &mut [TokenWithSpan]) {
    for at in 0..words.len() {
        let (before, behind) = (at.checked_sub(1).and_then(|before| words.get(before)), words.get(at + 1));
        // `SELECT TOP 5` stays another system's, and is refused as such.
        let clause = before.is_some_and(|word| is_word(&word.token, "select"))
            && behind.is_some_and(|word| matches!(word.token, Token::Number(..) | Token::LParen));
        let Some(word) = words.get_mut(at) else { continue };
        match &mut word.token {
            Token::UnicodeStringLiteral(text) => word.token = Token::SingleQuotedString(std::mem::take(text)),
            token if !clause && is_word(token, "top") => word.token = Token::make_word("top", Some('"')),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::parse::{parse, parse_query};

    #[test]
    fn what_is_no_word_of_postgres_is_a_name() {
        for (sql, expected) in
            [("SELECT top.a, Top FROM t AS top", "SELECT \"top\".a, \"top\" FROM t AS \"top\""), ("SELECT U&'d\\0061t'", "SELECT 'dat'")]
        {
            assert_eq!(parse_query(sql).unwrap().query.to_string(), expected);
        }
        assert!(parse("SELECT TOP 5 a FROM t").is_ok());
    }
}
