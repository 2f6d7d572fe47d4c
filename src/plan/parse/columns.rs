//! The list of columns in a source's options: `id int8, ts timestamptz`, and for `datagen:` what each holds.

use datafusion::arrow::datatypes::Field;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::{is_word, parser_error, syntax};
use crate::capture::datagen::Values;
use crate::error::{Error, Result};
use crate::plan::value::column_type::{column_type, text_type};

/// Reads `name type, …`. Errs with 42601 if it cannot be read, and as `column_type` does.
pub fn columns(text: &str) -> Result<Vec<Field>> {
    let mut columns = Vec::new();
    for (field, values) in generated_columns(text)? {
        if values.is_some() {
            return Err(syntax(format!("column \"{}\" of a file holds what the file says", field.name())));
        }
        columns.push(field);
    }
    Ok(columns)
}

/// Reads `name type [SEQUENCE | BETWEEN number AND number | IN ('a', 'b')], …`.
pub fn generated_columns(text: &str) -> Result<Vec<(Field, Option<Values>)>> {
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect).try_with_sql(text).map_err(parser_error)?;
    let mut columns: Vec<(Field, Option<Values>)> = Vec::new();
    loop {
        let name = parser.parse_identifier().map_err(parser_error)?;
        let name = if name.quote_style.is_some() { name.value } else { name.value.to_lowercase() };
        let named = parser.parse_data_type().map_err(parser_error)?;
        if text_type(&named).is_some() {
            let what = format!("a column of type {} of a source", named.to_string().to_lowercase());
            return Err(Error::unsupported(what, "Write text: what a file holds is not checked."));
        }
        let (data_type, max_chars) = column_type(&named)?;
        if max_chars.is_some() {
            return Err(Error::unsupported(format!("a length of column \"{name}\" of a source"), "Write text."));
        }
        if columns.iter().any(|(field, _)| *field.name() == name) {
            return Err(Error::DuplicateColumn { name });
        }
        columns.push((Field::new(name, data_type, true), values(&mut parser)?));
        match parser.next_token().token {
            Token::Comma => {}
            Token::EOF => return Ok(columns),
            other => return Err(syntax(format!("expected , in the list of columns, found: {other}"))),
        }
    }
}

fn values(parser: &mut Parser) -> Result<Option<Values>> {
    let mut word = |word: &str| {
        let found = is_word(&parser.peek_token_ref().token, word);
        if found {
            parser.next_token();
        }
        found
    };
    if word("sequence") {
        return Ok(Some(Values::Sequence));
    }
    if word("between") {
        let low = number(parser)?;
        if !is_word(&parser.next_token().token, "and") {
            return Err(syntax("expected AND after BETWEEN and a number"));
        }
        return Ok(Some(Values::Between(low, number(parser)?)));
    }
    if !word("in") {
        return Ok(None);
    }
    if parser.next_token().token != Token::LParen {
        return Err(syntax("expected ( after IN"));
    }
    let mut words = Vec::new();
    loop {
        match parser.next_token().token {
            Token::SingleQuotedString(one) => words.push(one),
            other => return Err(syntax(format!("expected a text in quotes, found: {other}"))),
        }
        match parser.next_token().token {
            Token::Comma => {}
            Token::RParen => return Ok(Some(Values::OneOf(words))),
            other => return Err(syntax(format!("expected , or ), found: {other}"))),
        }
    }
}

fn number(parser: &mut Parser) -> Result<f64> {
    let minus = parser.consume_token(&Token::Minus);
    match parser.next_token().token {
        Token::Number(text, _) => {
            let value: f64 = text.parse().map_err(|_| syntax(format!("expected a number, found: {text}")))?;
            Ok(if minus { -value } else { value })
        }
        other => Err(syntax(format!("expected a number, found: {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_a_name_a_type_and_what_it_holds() {
        let all =
            generated_columns("id int8 sequence, \"V\" numeric(6, 2), speed float8 between -1.5 and 20, label text in ('car', 'bus')")
                .unwrap();
        let values: Vec<_> = all.iter().map(|(f, v)| (f.name().as_str(), v.clone())).collect();
        assert_eq!(values[0], ("id", Some(Values::Sequence)));
        assert_eq!(values[1], ("V", None));
        assert_eq!(values[2], ("speed", Some(Values::Between(-1.5, 20.0))));
        assert_eq!(values[3], ("label", Some(Values::OneOf(vec!["car".into(), "bus".into()]))));
        assert_eq!(columns("a int8, a text").unwrap_err().sqlstate(), "42701");
        assert_eq!(columns("a int8 sequence").unwrap_err().sqlstate(), "42601");
        assert_eq!(columns("a money").unwrap_err().sqlstate(), "42704");
    }
}
