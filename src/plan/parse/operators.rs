//! `a>-1` as Postgres reads it: an operator of several characters does not end in a sign, unless it holds one of those that no operator of SQL has.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// The characters with which an operator may end in + or -.
const OWN: [char; 10] = ['~', '!', '@', '#', '%', '^', '&', '|', '?', '`'];

/// `a OPERATOR(pg_catalog.=) b` as the operator itself: there are no others.
pub(super) fn unqualified(words: &mut Vec<TokenWithSpan>) {
    let is = |word: &TokenWithSpan, name: &str| matches!(&word.token, Token::Word(word) if word.value.eq_ignore_ascii_case(name));
    let mut at = 0;
    while let Some([operator, open, schema, point, own, close]) = words.get(at..at + 6) {
        let written = is(operator, "operator") && open.token == Token::LParen && is(schema, "pg_catalog");
        if written && point.token == Token::Period && close.token == Token::RParen {
            let own = own.clone();
            words.splice(at..at + 6, [own]);
        }
        at += 1;
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
