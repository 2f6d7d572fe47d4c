//! How deep the tree of a statement is, told from its words before anything goes down it: a chain of a thousand operators is as many levels, and
//! whatever goes down more of them than its stack has room for ends the program.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, Result};

/// The levels that a statement may have: the threads of the program have stacks for several times as many.
pub(super) const MOST: usize = 3_000;
/// What an operator of arithmetic counts: a chain of them is one call in the end, and looked through at each of them before.
const ARITHMETIC: usize = 3;
/// What an operator counts that is planned as a call of a function.
const CALL: usize = 8;
/// What it counts as one of a chain of them: at each the name of all that stands below it is written anew.
const CHAINED_CALL: usize = 60;
/// Where such a chain begins.
const CHAIN: usize = 10;
/// What a call counts that is written as one: the types of all that stands in it are worked out anew at each.
const NESTED_CALL: usize = 40;
/// What a query counts that stands for a value: each of its expressions is gone through with those of the queries inside.
const VALUE_QUERY: usize = 180;
/// What a query in a query takes, in levels of an expression: the planner's steps for one are long.
const QUERY: usize = 8;

/// Words behind which a query in brackets is a relation.
const RELATION: [Keyword; 8] = [
    Keyword::FROM,
    Keyword::JOIN,
    Keyword::LATERAL,
    Keyword::UNION,
    Keyword::EXCEPT,
    Keyword::INTERSECT,
    Keyword::AS,
    Keyword::MATERIALIZED,
];
/// Words that are no function's name before a bracket.
const BEFORE_BRACKETS: [Keyword; 34] = [
    Keyword::ALL,
    Keyword::AND,
    Keyword::ANY,
    Keyword::ARRAY,
    Keyword::AS,
    Keyword::BETWEEN,
    Keyword::BY,
    Keyword::CASE,
    Keyword::DISTINCT,
    Keyword::ELSE,
    Keyword::EXCEPT,
    Keyword::EXISTS,
    Keyword::FILTER,
    Keyword::FROM,
    Keyword::HAVING,
    Keyword::ILIKE,
    Keyword::IN,
    Keyword::INTERSECT,
    Keyword::JOIN,
    Keyword::LATERAL,
    Keyword::LIKE,
    Keyword::MATERIALIZED,
    Keyword::NOT,
    Keyword::ON,
    Keyword::OR,
    Keyword::OVER,
    Keyword::SELECT,
    Keyword::SETS,
    Keyword::THEN,
    Keyword::UNION,
    Keyword::USING,
    Keyword::VALUES,
    Keyword::WHEN,
    Keyword::WHERE,
];

/// Errs (54001) for a statement that is too deep.
pub(super) fn check(words: &[TokenWithSpan]) -> Result<()> {
    // In each bracket that is open: the operators since the last comma, and the queries, of which one may stand on those before it.
    let mut open = vec![(0, 0)];
    let mut all = 0;
    let (mut after_as, mut after_bracket, mut after_name, mut after_sign, mut in_from) = (false, false, false, false, false);
    let mut n_calls = 0;
    for word in words {
        let (mut operators, mut queries) = (0, 0);
        match &word.token {
            Token::Word(word) if after_bracket && matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES) => {
                queries = if in_from { QUERY } else { VALUE_QUERY };
            }
            Token::LParen | Token::LBracket => {
                // `WITH a AS (…), b AS (…)`: it counts where the list is, not inside.
                if let Some((_, queries)) = open.last_mut().filter(|_| after_as) {
                    *queries += QUERY;
                    all += QUERY;
                }
                open.push((0, 0));
                // Not an operator before a comma, which it outlives.
                queries = if after_name && word.token == Token::LParen { NESTED_CALL } else { 1 };
            }
            Token::RParen | Token::RBracket if open.len() > 1 => {
                let (operators, queries) = open.pop().unwrap_or_default();
                all -= operators + queries;
            }
            Token::Comma => {
                n_calls = 0;
                if let Some((operators, _)) = open.last_mut() {
                    all -= std::mem::take(operators);
                }
            }
            Token::Word(word) => match word.keyword {
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::JOIN => queries = QUERY,
                Keyword::AND | Keyword::OR => (operators, n_calls) = (1, 0),
                Keyword::NOT | Keyword::WHEN | Keyword::COLLATE | Keyword::AT => operators = 1,
                Keyword::IS | Keyword::IN | Keyword::LIKE | Keyword::ILIKE | Keyword::BETWEEN | Keyword::SIMILAR => operators = 1,
                Keyword::NOTNULL => operators = 1,
                _ => {}
            },
            Token::StringConcat | Token::DoubleColon => operators = 1,
            Token::Eq | Token::DoubleEq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq => operators = 1,
            Token::RParen | Token::RBracket | Token::LBrace | Token::RBrace | Token::Period | Token::Colon | Token::SemiColon => {}
            Token::Number(..) | Token::Char(_) | Token::Placeholder(_) | Token::Whitespace(_) | Token::EOF | Token::Backslash => {}
            Token::SingleQuotedString(_) | Token::DollarQuotedString(_) | Token::EscapedStringLiteral(_) | Token::HexStringLiteral(_) => {}
            Token::NationalStringLiteral(_) | Token::UnicodeStringLiteral(_) | Token::DoubleQuotedString(_) => {}
            Token::Plus | Token::Minus if after_sign => operators = NESTED_CALL,
            Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod => operators = ARITHMETIC,
            // All else are operators that are planned as calls.
            _ => {
                operators = if n_calls < CHAIN { CALL } else { CHAINED_CALL };
                n_calls += 1;
            }
        }
        after_sign = matches!(word.token, Token::Plus | Token::Minus);
        // A query behind FROM, or in brackets behind it, is a relation.
        if word.token != Token::LParen {
            in_from = matches!(&word.token, Token::Word(word) if RELATION.contains(&word.keyword));
        }
        after_bracket = word.token == Token::LParen;
        after_name = matches!(&word.token, Token::Word(word) if !BEFORE_BRACKETS.contains(&word.keyword));
        after_as = matches!(&word.token, Token::Word(word) if matches!(word.keyword, Keyword::AS | Keyword::MATERIALIZED));
        if let Some((before, queries_before)) = open.last_mut() {
            *before += operators;
            *queries_before += queries;
            all += operators + queries;
        }
        if all > MOST {
            return Err(exceeded());
        }
    }
    Ok(())
}

/// The error for a statement that is too deep.
pub(super) fn exceeded() -> Error {
    Error::Data {
        code: "54001",
        message: "stack depth limit exceeded".into(),
        detail: Some(format!("The statement has more than {MOST} operators, brackets or queries in one another.")),
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::parse::parse;

    #[test]
    fn a_long_list_is_not_deep_and_a_long_chain_is() {
        let chain = |n: usize| format!("SELECT 1{}", " + 1".repeat(n));
        assert!(parse(&chain(900)).is_ok());
        assert!(parse(&format!("SELECT 1 WHERE 1 = 0{}", " OR 1 = 2".repeat(1_400))).is_ok());
        for deep in [
            chain(100_000),
            format!("SELECT 1 WHERE 1 = 0{}", " OR 1 = 2".repeat(100_000)),
            format!("SELECT 1{}", "::int".repeat(100_000)),
            format!("SELECT '{{}}'::jsonb{}", " -> 'a'".repeat(70)),
            format!("SELECT true{}", " IS TRUE".repeat(10_000)),
            format!("SELECT true{}", " = true".repeat(10_000)),
            format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(10_000)),
            format!("SELECT CASE{} END", " WHEN true THEN 1".repeat(10_000)),
            format!("WITH a AS (SELECT 1){} SELECT 1", ", a AS (SELECT 1)".repeat(10_000)),
            format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
            format!("SELECT {}1{}", "(SELECT ".repeat(20), ")".repeat(20)),
            format!("SELECT {}1{}", "abs(".repeat(80), ")".repeat(80)),
        ] {
            assert_eq!(parse(&deep).unwrap_err().sqlstate(), "54001", "{}", &deep[..40]);
        }
        for flat in [
            format!("SELECT 1 IN (-1{})", ", -1".repeat(20_000)),
            format!("SELECT {}1{}", "coalesce(a, ".repeat(60), ")".repeat(60)),
            format!("SELECT {}1{}", "coalesce(".repeat(60), ", 2)".repeat(60)),
            format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(200), ") AS q".repeat(200)),
            format!("SELECT 1 WHERE true{}", " AND f(a)".repeat(500)),
            format!("SELECT {}1{}", "(".repeat(500), ")".repeat(500)),
            format!("SELECT {}1{}", "(SELECT ".repeat(15), ")".repeat(15)),
            format!("SELECT {}1{}", "CASE WHEN a THEN ".repeat(500), " END".repeat(500)),
            format!("INSERT INTO t VALUES (1, -2){}", ", (1 + 2, -2 * 3)".repeat(20_000)),
            format!("SELECT a{} FROM t", ", a + 1 AS b".repeat(5_000)),
            format!("SELECT '{{}}'::jsonb{}", " -> 'a'".repeat(50)),
            format!("SELECT 1 WHERE true{}", " AND a ->> 'b' = 'c'".repeat(200)),
        ] {
            assert!(parse(&flat).is_ok(), "{}", &flat[..40]);
        }
    }
}
