//! `pg_catalog.substring(…)`: a function that SQL has a form of its own for, behind its schema, where sqlparser reads a column.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::is_word;

/// The functions whose names are keywords.
const FUNCTIONS: [&str; 5] = ["substring", "position", "overlay", "trim", "extract"];

/// Takes the schema away.
pub(super) fn unqualify(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 0;
    while at + 3 < tokens.len() {
        let called = is_word(&tokens[at].token, "pg_catalog")
            && tokens[at + 1].token == Token::Period
            && FUNCTIONS.iter().any(|function| is_word(&tokens[at + 2].token, function))
            && tokens[at + 3].token == Token::LParen;
        if called {
            tokens.drain(at..at + 2);
        }
        at += 1;
    }
}
