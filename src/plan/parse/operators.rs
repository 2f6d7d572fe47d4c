//! `a>-1` as Postgres reads it: an operator of several characters does not end in a sign, unless it holds one of those that no operator of SQL has.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// The characters with which an operator may end in + or -.
const OWN: [char; 10] = ['~', '!', '@', '#', '%', '^', '&', '|', '?', '`'];

/// `a OPERATOR(pg_catalog.=) b` as the operator itself: there are no others.
pub(super) fn unqualified(words: &mut Vec<TokenWithSpan>) {
    let is_operator = |word: &TokenWithSpan| matches!(&word.token, Token::Word(word) if word.value.eq_ignore_ascii_case("operator") && word.quote_style.is_none());
    if !words.iter().any(is_operator) {
        return;
    }
    let blank = |word: &TokenWithSpan| matches!(word.token, Token::Whitespace(_));
    let mut at = 0;
    while at < words.len() {
        // The places of the next words that are no blanks.
        let next: Vec<usize> = (at..words.len()).filter(|at| words.get(*at).is_some_and(|word| !blank(word))).take(6).collect();
        let token = |n: usize| next.get(n).and_then(|at| words.get(*at));
        let starts = token(0).is_some_and(is_operator) && token(1).is_some_and(|word| word.token == Token::LParen);
        let schema = token(2).is_some_and(|word| matches!(&word.token, Token::Word(word) if word.value.eq_ignore_ascii_case("pg_catalog")));
        let found = match (next.first(), token(4), next.get(5)) {
            (Some(from), Some(operator), Some(to))
                if starts
                    && schema
                    && token(3).is_some_and(|word| word.token == Token::Period)
                    && token(5).is_some_and(|word| word.token == Token::RParen) =>
            {
                Some((*from, operator.clone(), *to))
            }
            _ => None,
        };
        match found {
            Some((from, operator, to)) => {
                words.splice(from..=to, [operator]);
                at = from + 1;
            }
            None => at += 1,
        }
    }
}

/// Parts such operators from the signs behind them.
pub(super) fn part_signs(words: &mut Vec<TokenWithSpan>) {
    let parted = |word: &TokenWithSpan| {
        let Token::CustomBinaryOperator(text) = &word.token else { return None };
        let operator = text.trim_end_matches(['+', '-']);
        let token = match operator {
            "=" => Token::Eq,
            "<" => Token::Lt,
            ">" => Token::Gt,
            "<=" => Token::LtEq,
            ">=" => Token::GtEq,
            "<>" => Token::Neq,
            "->>" => Token::LongArrow,
            "*" => Token::Mul,
            "/" => Token::Div,
            _ => return None,
        };
        let signs = text.get(operator.len()..)?.chars().map(|sign| if sign == '-' { Token::Minus } else { Token::Plus });
        let tokens = (!text.contains(OWN)).then(|| std::iter::once(token).chain(signs));
        Some(tokens?.map(|token| TokenWithSpan { token, span: word.span }).collect::<Vec<_>>())
    };
    // `->-1` is an arrow, which itself ends in what is no sign.
    let arrow = |word: &TokenWithSpan| match &word.token {
        Token::CustomBinaryOperator(text) if text == "->-" || text == "->+" => {
            let sign = if text.ends_with('-') { Token::Minus } else { Token::Plus };
            Some(vec![TokenWithSpan { token: Token::Arrow, span: word.span }, TokenWithSpan { token: sign, span: word.span }])
        }
        _ => None,
    };
    if words.iter().any(|word| matches!(word.token, Token::CustomBinaryOperator(_))) {
        *words = words.drain(..).flat_map(|word| arrow(&word).or_else(|| parted(&word)).unwrap_or_else(|| vec![word])).collect();
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::parse::parse_query;

    #[test]
    fn a_sign_behind_an_operator_is_of_the_number() {
        for (sql, expected) in [
            ("SELECT 1>-1, 1<=+2", "SELECT 1 > -1, 1 <= +2"),
            ("SELECT j->-1, j->>-2", "SELECT j -> -1, j ->> -2"),
            ("SELECT a WHERE b<>-1", "SELECT a WHERE b <> -1"),
            ("SELECT 3 OPERATOR(pg_catalog.+) 4, a OPERATOR ( pg_catalog.= ) ANY (b)", "SELECT 3 + 4, a = ANY(b)"),
            ("SELECT operator, a ~ b", "SELECT operator, a ~ b"),
        ] {
            assert_eq!(parse_query(sql).unwrap().query.to_string(), expected, "{sql}");
        }
    }
}
