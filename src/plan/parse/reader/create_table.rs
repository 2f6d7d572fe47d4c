//! `CREATE TABLE name (column, …) AS query [WITH NO DATA]`: sqlparser wants a type behind every column, so the names are cut out and put back, and it does not
//! know the words at the end.

use datafusion::sql::sqlparser::ast::{ColumnDef, CreateTable, DataType, Expr, Ident, LimitClause, Query, Value};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use crate::plan::parse::is_word;

/// What was cut out of the statement.
pub(super) struct Cut {
    columns: Vec<ColumnDef>,
    without_rows: bool,
}

impl Cut {
    /// The statement with it.
    pub(super) fn put_back(self, mut create: CreateTable) -> CreateTable {
        if !self.columns.is_empty() {
            create.columns = self.columns;
        }
        if let Some(query) = create.query.as_mut().filter(|_| self.without_rows) {
            without_rows(query);
        }
        create
    }
}

/// Cuts it out.
pub(super) fn cut(tokens: &mut Vec<TokenWithSpan>) -> Cut {
    Cut { columns: cut_names(tokens), without_rows: cut_data(tokens) }
}

/// Takes the names out, if the statement is one of these.
fn cut_names(tokens: &mut Vec<TokenWithSpan>) -> Vec<ColumnDef> {
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

/// Takes `WITH DATA` and `WITH NO DATA` out, if the statement is one of these, and says whether no rows are wanted.
fn cut_data(tokens: &mut Vec<TokenWithSpan>) -> bool {
    let n = tokens.iter().rposition(|token| token.token != Token::EOF).map_or(0, |last| last + 1);
    let word = |at: usize, word: &str| tokens.get(at).is_some_and(|token| is_word(&token.token, word));
    // Before them there is a query at least.
    if n < 7 || !(word(0, "create") && word(1, "table") && word(n - 1, "data")) || !(2..n).any(|at| word(at, "as")) {
        return false;
    }
    let without = word(n - 2, "no") && word(n - 3, "with");
    if !without && !word(n - 2, "with") {
        return false;
    }
    tokens.drain(if without { n - 3 } else { n - 2 }..n);
    without
}

/// The query without its rows.
fn without_rows(query: &mut Query) {
    let limit = Some(Expr::Value(Value::Number("0".to_owned(), false).with_empty_span()));
    query.limit_clause = Some(LimitClause::LimitOffset { limit, offset: None, limit_by: Vec::new() });
    query.fetch = None;
}
