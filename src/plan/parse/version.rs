//! `FOR SYSTEM_TIME AS OF time` behind a table, which no dialect that reads the rest of our SQL knows: it travels as an argument of the table.

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::is_word;

/// The name of that argument.
pub const VERSION: &str = "__version";

/// Makes `t FOR SYSTEM_TIME AS OF time` into `t(__version => time)`. What is no expression is left as it is, for the parser to name.
pub(super) fn mark(dialect: &dyn Dialect, tokens: &mut Vec<TokenWithSpan>) {
    const WORDS: [&str; 4] = ["for", "system_time", "as", "of"];
    let mut at = 1;
    while at + WORDS.len() < tokens.len() {
        let clause = WORDS.iter().zip(&tokens[at..]).all(|(word, token)| is_word(&token.token, word));
        if !clause {
            at += 1;
            continue;
        }
        let rest: Vec<TokenWithSpan> = tokens[at + WORDS.len()..].to_vec();
        let mut parser = Parser::new(dialect).with_tokens_with_locations(rest);
        if parser.parse_expr().is_err() {
            return;
        }
        let (start, end) = (tokens[at].span, at + WORDS.len() + parser.index());
        let here = |token: Token| TokenWithSpan { token, span: start };
        let name = Word { value: VERSION.to_owned(), quote_style: None, keyword: Keyword::NoKeyword };
        tokens.insert(end, here(Token::RParen));
        tokens.splice(at..at + WORDS.len(), [here(Token::LParen), here(Token::Word(name)), here(Token::RArrow)]);
        at += WORDS.len();
    }
}
