//! Postgres' dialect, which also reads MATCH_RECOGNIZE behind a table, `BETWEEN SYMMETRIC`, `trim(leading FROM x)` and `x ISNULL`, and the signs and
//! `IS DISTINCT FROM` with Postgres' precedence.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{BinaryOperator, CastKind, DataType, Expr, TrimWhereField, UnaryOperator};
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// What queries are read with.
#[derive(Debug)]
pub(super) struct FramesqlDialect;

/// Hands the methods over that Postgres' dialect has of its own.
macro_rules! as_in_postgres {
    ($($method:ident($($argument:ident: $of:ty),*) -> $result:ty;)*) => {
        $(fn $method(&self $(, $argument: $of)*) -> $result { PostgreSqlDialect {}.$method($($argument),*) })*
    };
}

impl Dialect for FramesqlDialect {
    /// The parser asks for it where it does what only Postgres does.
    fn dialect(&self) -> TypeId {
        PostgreSqlDialect {}.dialect()
    }

    fn supports_match_recognize(&self) -> bool {
        true
    }

    /// `name := value` is `name => value`.
    fn supports_named_fn_args_with_assignment_operator(&self) -> bool {
        true
    }

    /// With names that are expressions the parser reads every argument twice, and calls in calls as many times as two to the power of their depth.
    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    /// `trim(leading FROM x)`: the parser wants a character between the words. A sign binds tighter than `^`: the parser takes the power first. And
    /// `jsonb '…'` is a cast: the planner has no such types for what is written out.
    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let op = match parser.peek_token_ref().token {
            Token::Minus => Some(UnaryOperator::Minus),
            Token::Plus => Some(UnaryOperator::Plus),
            _ => None,
        };
        if let Some(op) = op {
            skip(parser, 1);
            let of = parser.parse_subexpr(self.prec_value(Precedence::AtTz));
            return Some(of.map(|of| Expr::UnaryOp { op, expr: Box::new(of) }));
        }
        if let Some(read) = json_or_uuid(parser) {
            return Some(read);
        }
        if keyword(parser, 0) != Some(Keyword::TRIM) || parser.peek_nth_token_ref(1).token != Token::LParen {
            return None;
        }
        let side = match keyword(parser, 2)? {
            Keyword::LEADING => TrimWhereField::Leading,
            Keyword::TRAILING => TrimWhereField::Trailing,
            Keyword::BOTH => TrimWhereField::Both,
            _ => return None,
        };
        if keyword(parser, 3) != Some(Keyword::FROM) {
            return None;
        }
        skip(parser, 4);
        let of = parser.parse_expr().and_then(|of| parser.expect_token(&Token::RParen).map(|_| of));
        Some(of.map(|of| Expr::Trim { expr: Box::new(of), trim_where: Some(side), trim_what: None, trim_characters: None }))
    }

    /// `x ISNULL` is no operator to the parser.
    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        if is_null(parser) {
            return Some(Ok(self.prec_value(Precedence::Is)));
        }
        PostgreSqlDialect {}.get_next_precedence(parser)
    }

    /// `x BETWEEN SYMMETRIC a AND b` is between them in either order. Behind IS DISTINCT FROM the parser takes all that follows, AND and OR with it.
    fn parse_infix(&self, parser: &mut Parser, expr: &Expr, _: u8) -> Option<Result<Expr, ParserError>> {
        if is_null(parser) {
            skip(parser, 1);
            return Some(Ok(Expr::IsNull(Box::new(expr.clone()))));
        }
        if keyword(parser, 0) == Some(Keyword::IS) {
            let negated = keyword(parser, 1) == Some(Keyword::NOT);
            let at = 1 + usize::from(negated);
            if keyword(parser, at) != Some(Keyword::DISTINCT) || keyword(parser, at + 1) != Some(Keyword::FROM) {
                return None;
            }
            skip(parser, at + 2);
            let other = parser.parse_subexpr(self.prec_value(Precedence::Is));
            let distinct = if negated { Expr::IsNotDistinctFrom } else { Expr::IsDistinctFrom };
            return Some(other.map(|other| distinct(Box::new(expr.clone()), Box::new(other))));
        }
        let negated = keyword(parser, 0) == Some(Keyword::NOT);
        let at = usize::from(negated);
        if keyword(parser, at) != Some(Keyword::BETWEEN) || keyword(parser, at + 1) != Some(Keyword::SYMMETRIC) {
            return None;
        }
        skip(parser, at + 2);
        Some(parser.parse_between(expr.clone(), negated).map(|between| match &between {
            Expr::Between { expr, low, high, .. } => {
                let turned = Expr::Between { expr: expr.clone(), negated, low: high.clone(), high: low.clone() };
                let op = if negated { BinaryOperator::And } else { BinaryOperator::Or };
                Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(between.clone()), op, right: Box::new(turned) }))
            }
            _ => between,
        }))
    }

    as_in_postgres! {
        identifier_quote_style(name: &str) -> Option<char>;
        is_delimited_identifier_start(character: char) -> bool;
        is_identifier_start(character: char) -> bool;
        is_identifier_part(character: char) -> bool;
        supports_unicode_string_literal() -> bool;
        is_reserved_for_identifier(word: Keyword) -> bool;
        is_custom_operator_part(character: char) -> bool;
        supports_filter_during_aggregation() -> bool;
        supports_group_by_expr() -> bool;
        prec_value(precedence: Precedence) -> u8;
        allow_extract_custom() -> bool;
        allow_extract_single_quotes() -> bool;
        supports_create_index_with_clause() -> bool;
        supports_explain_with_utility_options() -> bool;
        supports_listen_notify() -> bool;
        supports_factorial_operator() -> bool;
        supports_bitwise_shift_operators() -> bool;
        supports_comment_on() -> bool;
        supports_load_extension() -> bool;
        supports_named_fn_args_with_colon_operator() -> bool;
        supports_empty_projections() -> bool;
        supports_nested_comments() -> bool;
        supports_string_escape_constant() -> bool;
        supports_numeric_literal_underscores() -> bool;
        supports_array_typedef_with_brackets() -> bool;
        supports_geometric_types() -> bool;
        supports_set_names() -> bool;
        supports_alter_column_type_using() -> bool;
        supports_notnull_operator() -> bool;
        supports_interval_options() -> bool;
        supports_insert_table_alias() -> bool;
        supports_create_table_like_parenthesized() -> bool;
        supports_select_wildcard_with_alias() -> bool;
        supports_comma_separated_trim() -> bool;
        supports_xml_expressions() -> bool;
        supports_comment_optimizer_hint() -> bool;
    }
}

/// A text behind the name of a type that is kept as text.
fn json_or_uuid(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let data_type = match keyword(parser, 0)? {
        Keyword::JSON => DataType::JSON,
        Keyword::JSONB => DataType::JSONB,
        Keyword::UUID => DataType::Uuid,
        _ => return None,
    };
    if !matches!(parser.peek_nth_token_ref(1).token, Token::SingleQuotedString(_)) {
        return None;
    }
    skip(parser, 1);
    let cast = |text| Expr::Cast { kind: CastKind::Cast, expr: Box::new(Expr::Value(text)), data_type, array: false, format: None };
    Some(parser.parse_value().map(cast))
}

/// Whether ISNULL comes next.
fn is_null(parser: &Parser) -> bool {
    matches!(&parser.peek_token_ref().token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("isnull"))
}

/// The word that comes so many tokens on.
fn keyword(parser: &Parser, at: usize) -> Option<Keyword> {
    match &parser.peek_nth_token_ref(at).token {
        Token::Word(word) => Some(word.keyword),
        _ => None,
    }
}

fn skip(parser: &mut Parser, n_tokens: usize) {
    for _ in 0..n_tokens {
        parser.advance_token();
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use datafusion::sql::sqlparser::ast::{Expr, Query, VisitMut, VisitorMut};

    use crate::plan::parse::parse_query;

    #[test]
    fn forms_that_the_parser_leaves_out_are_read() {
        for (sql, expected) in [
            ("SELECT trim(leading FROM a)", "SELECT TRIM(LEADING a)"),
            ("SELECT trim(LEADING 'x' FROM a)", "SELECT TRIM(LEADING 'x' FROM a)"),
            ("SELECT 1 WHERE a BETWEEN SYMMETRIC 2 AND 1 AND b", "SELECT 1 WHERE (a BETWEEN 2 AND 1 OR a BETWEEN 1 AND 2) AND b"),
            ("SELECT a NOT BETWEEN SYMMETRIC 2 AND 1", "SELECT (a NOT BETWEEN 2 AND 1 AND a NOT BETWEEN 1 AND 2)"),
            ("SELECT a BETWEEN 1 AND 2", "SELECT a BETWEEN 1 AND 2"),
            ("SELECT jsonb '1', uuid FROM t", "SELECT CAST('1' AS JSONB), uuid FROM t"),
            ("SELECT 1 WHERE a ISNULL AND b NOTNULL", "SELECT 1 WHERE a IS NULL AND b IS NOT NULL"),
        ] {
            assert_eq!(parse_query(sql).unwrap().query.to_string(), expected);
        }
    }

    /// A query as it is read, without where in the text its parts stand.
    fn without_places(query: &Query) -> String {
        let text = format!("{:?}", query.body);
        text.split("Span(Location(").enumerate().map(|(at, part)| if at == 0 { part } else { part.split_once("))").unwrap().1 }).collect()
    }

    #[test]
    fn what_binds_tighter_is_taken_first() {
        for (sql, same) in [
            ("SELECT a IS DISTINCT FROM b OR c", "SELECT (a IS DISTINCT FROM b) OR c"),
            ("SELECT a IS NOT DISTINCT FROM b = c AND d", "SELECT (a IS NOT DISTINCT FROM (b = c)) AND d"),
            ("SELECT -a ^ 2 ^ 3", "SELECT ((-a) ^ 2) ^ 3"),
            ("SELECT 2 ^ -a * 3", "SELECT (2 ^ (-a)) * 3"),
            ("SELECT -a::int", "SELECT -(a::int)"),
        ] {
            struct Bare;
            impl VisitorMut for Bare {
                type Break = ();

                fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
                    if let Expr::Nested(inner) = expr {
                        *expr = inner.as_ref().clone();
                    }
                    ControlFlow::Continue(())
                }
            }
            let mut bare = parse_query(same).unwrap().query;
            let _ = bare.visit(&mut Bare);
            assert_eq!(without_places(&bare), without_places(&parse_query(sql).unwrap().query), "{sql}");
        }
    }
}
