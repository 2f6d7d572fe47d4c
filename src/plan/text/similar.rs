//! `x SIMILAR TO pattern` as in Postgres: the pattern of SQL, which must fit the whole text, as a regular expression.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility};

use super::regular_expression::{bracket, class};
use crate::error::Error;

/// The function's name, as in Postgres.
pub(in crate::plan) const SIMILAR: &str = "similar_to_escape";

/// `similar_to_escape(pattern)`, or with the character that takes the meaning of the next one away, which is the backslash else.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    let texts = |n| TypeSignature::Exact(vec![DataType::Utf8; n]);
    let signature = Signature::one_of(vec![texts(1), texts(2)], Volatility::Immutable);
    [Arc::new(ScalarUDF::new_from_impl(SimilarToEscape { signature }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SimilarToEscape {
    signature: Signature,
}

impl ScalarUDFImpl for SimilarToEscape {
    fn name(&self) -> &str {
        SIMILAR
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(patterns) = arrays.first() else { return internal_err!("{SIMILAR} takes a pattern") };
        let patterns = patterns.as_string::<i32>();
        let escapes = arrays.get(1).map(|escapes| escapes.as_string::<i32>());
        let one = |row: usize| -> Result<Option<String>> {
            if patterns.is_null(row) || escapes.is_some_and(|escapes| escapes.is_null(row)) {
                return Ok(None);
            }
            let escape = escapes.map_or("\\", |escapes| escapes.value(row));
            let mut characters = escape.chars();
            let first = characters.next();
            if characters.next().is_some() {
                let message = "invalid escape string".to_owned();
                return Err(Error::Encode { code: "22025", message }.into());
            }
            regular_expression(patterns.value(row), first).map(Some)
        };
        let found = (0..patterns.len()).map(one).collect::<Result<StringArray>>()?;
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

/// `%` is any text and `_` any character; `|`, `*`, `+`, `?`, `{}`, `()` and `[]` are what they are in regular expressions, all else is itself.
fn regular_expression(pattern: &str, escape: Option<char>) -> Result<String> {
    let mut regex = String::from("(?s)^(?:");
    let (mut escaped, mut in_brackets) = (false, false);
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        if escaped {
            literal(&mut regex, c);
            escaped = false;
        } else if Some(c) == escape {
            escaped = true;
        } else if in_brackets {
            match class(rest)? {
                Some((n, class)) => {
                    length = n;
                    regex.push_str(class);
                }
                None => {
                    in_brackets = c != ']';
                    if matches!(c, '\\' | '[' | '&' | '~') {
                        regex.push('\\');
                    }
                    regex.push(c);
                }
            }
        } else {
            match c {
                '%' => regex.push_str(".*"),
                '_' => regex.push('.'),
                '(' => regex.push_str("(?:"),
                '[' => {
                    in_brackets = true;
                    let (n, begin) = bracket(rest);
                    length = n;
                    regex.push_str(&begin);
                }
                ')' | '|' | '*' | '+' | '?' | '{' | '}' => regex.push(c),
                other => literal(&mut regex, other),
            }
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    regex.push_str(")$");
    Ok(regex)
}

fn literal(regex: &mut String, c: char) {
    // Behind a backslash these two are the edges of a word.
    if c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
        regex.push('\\');
    }
    regex.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_sql_become_regular_expressions() {
        for (pattern, regex) in [
            ("abc", "(?s)^(?:abc)$"),
            ("%(b|d)%", "(?s)^(?:.*(?:b|d).*)$"),
            ("_.^$", "(?s)^(?:.\\.\\^\\$)$"),
            ("50\\%", "(?s)^(?:50\\%)$"),
            ("[a-c%]+", "(?s)^(?:[a-c%]+)$"),
            ("[[:alpha:]_]+", "(?s)^(?:[\\p{Alphabetic}_]+)$"),
            ("[^[:digit:]]", "(?s)^(?:[^\\p{Nd}])$"),
            ("a[]]b", "(?s)^(?:a[\\]]b)$"),
            ("[[:xdigit:]]", "(?s)^(?:[0-9A-Fa-f])$"),
        ] {
            assert_eq!(regular_expression(pattern, Some('\\')).unwrap(), regex);
        }
        assert_eq!(regular_expression("5#%\\", Some('#')).unwrap(), "(?s)^(?:5\\%\\\\)$");
        let error = regular_expression("a[[:foo:]]", Some('\\')).unwrap_err().to_string();
        assert!(error.ends_with("invalid regular expression: invalid character class"), "{error}");
    }
}
