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
/// What a query in a query takes, in levels of an expression: the planner's steps for one are long.
const QUERY: usize = 8;

/// Errs (54001) for a statement that is too deep.
pub(super) fn check(words: &[TokenWithSpan]) -> Result<()> {
    // In each bracket that is open: the operators since the last comma, and the queries, of which one may stand on those before it.
    let mut open = vec![(0, 0)];
    let mut all = 0;
    let (mut after_as, mut after_bracket) = (false, false);
    let mut n_calls = 0;
    for word in words {
        let (mut operators, mut queries) = (0, 0);
        match &word.token {
            Token::Word(word) if after_bracket && matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES) => {
                queries = QUERY
            }
            Token::LParen | Token::LBracket => {
                // `WITH a AS (…), b AS (…)`: it counts where the list is, not inside.
                if let Some((_, queries)) = open.last_mut().filter(|_| after_as) {
                    *queries += QUERY;
                    all += QUERY;
                }
                open.push((0, 0));
                operators = 1;
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
            Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod => operators = ARITHMETIC,
            // All else are operators that are planned as calls.
            _ => {
                operators = if n_calls < CHAIN { CALL } else { CHAINED_CALL };
                n_calls += 1;
            }
        }
        after_bracket = word.token == Token::LParen;
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
            format!("SELECT {}1{}", "(SELECT ".repeat(400), ")".repeat(400)),
        ] {
            assert_eq!(parse(&deep).unwrap_err().sqlstate(), "54001", "{}", &deep[..40]);
        }
        for flat in [
            format!("SELECT 1 IN (-1{})", ", -1".repeat(20_000)),
            format!("SELECT {}1{}", "coalesce(a, ".repeat(500), ")".repeat(500)),
            format!("SELECT {}1{}", "coalesce(".repeat(500), ", 2)".repeat(500)),
            format!("SELECT {}1{}", "(".repeat(500), ")".repeat(500)),
            format!("SELECT {}1{}", "(SELECT ".repeat(100), ")".repeat(100)),
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
