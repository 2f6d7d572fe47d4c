//! `CREATE TABLE name (column, …) AS query`: sqlparser wants a type behind every column, so the names are cut out and put back.

use datafusion::sql::sqlparser::ast::{ColumnDef, DataType, Ident};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use crate::plan::parse::is_word;

/// Takes the names out, if the statement is one of these.
pub(super) fn cut_names(tokens: &mut Vec<TokenWithSpan>) -> Vec<ColumnDef> {
    let word = |at: usize, word: &str| tokens.get(at).is_some_and(|token| is_word(&token.token, word));
    if !(word(0, "create") && word(1, "table")) {
        return Vec::new();
    }
    let Some(open) = tokens.iter().position(|token| !matches!(token.token, Token::Word(_) | Token::Period)) else { return Vec::new() };
    // Behind AS it is a call in the query: `AS SELECT jpeg(frame) AS picture`.
    if tokens.get(open).is_none_or(|token| token.token != Token::LParen) || (2..open).any(|at| word(at, "as")) {
        return Vec::new();
    }
    let (mut names, mut at) = (Vec::new(), open + 1);
    loop {
        let Some(Token::Word(name)) = tokens.get(at).map(|token| &token.token) else { return Vec::new() };
        let name = Ident { value: name.value.clone(), quote_style: name.quote_style, span: Span::empty() };
        names.push(ColumnDef { name, data_type: DataType::Unspecified, options: Vec::new() });
        match tokens.get(at + 1).map(|token| &token.token) {
            Some(Token::Comma) => at += 2,
            Some(Token::RParen) if word(at + 2, "as") => break,
            _ => return Vec::new(),
        }
    }
    tokens.drain(open..at + 2);
    names
}
