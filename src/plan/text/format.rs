//! `format('%s of %I is %L', …)` as in Postgres: values as text, as names and as literals of SQL.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{internal_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::error::Error;
use crate::plan::value::write;
use crate::settings::TimeZone;

/// `format(text, values…)`.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::new(ScalarUDF::new_from_impl(Format { signature: Signature::user_defined(Volatility::Immutable) }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Format {
    signature: Signature,
}

impl ScalarUDFImpl for Format {
    fn name(&self) -> &str {
        "format"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given.split_first() {
            Some((_, values)) => Ok(std::iter::once(DataType::Utf8).chain(values.iter().cloned()).collect()),
            None => plan_err!("format takes a text"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some((formats, values)) = arrays.split_first() else { return internal_err!("format takes a text") };
        let formats = formats.as_string::<i32>();
        let one = |row: usize| -> Result<Option<String>> {
            if formats.is_null(row) {
                return Ok(None);
            }
            let values = values.iter().map(|values| written(values, row)).collect::<Result<Vec<_>>>()?;
            Ok(Some(formatted(formats.value(row), &values)?))
        };
        let texts = (0..formats.len()).map(one).collect::<Result<StringArray>>()?;
        Ok(ColumnarValue::Array(Arc::new(texts)))
    }
}

/// A value as text; None for NULL.
fn written(values: &ArrayRef, row: usize) -> Result<Option<String>> {
    if values.is_null(row) || values.data_type().is_null() {
        return Ok(None);
    }
    let mut text = String::new();
    match values.data_type() {
        DataType::Dictionary(_, of) => return written(&cast(values, of)?, row),
        _ => write::write(&mut text, values.as_ref(), row, TimeZone::default())?,
    }
    Ok(Some(text))
}

fn wrong(message: &str) -> DataFusionError {
    Error::Encode { code: "22023", message: message.to_owned() }.into()
}

/// The text with the values in their places: `%s`, `%2$I`, `%-10L`, `%%`.
fn formatted(format: &str, values: &[Option<String>]) -> Result<String> {
    let (mut out, mut next) = (String::new(), 0);
    let mut rest = format.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if rest.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut digits = String::new();
        let mut left = rest.next_if_eq(&'-').is_some();
        while let Some(digit) = rest.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        if !left && rest.next_if_eq(&'$').is_some() {
            let place: usize = digits.parse().map_err(|_| wrong("format specifies argument 0, but arguments are numbered from 1"))?;
            next = place.checked_sub(1).ok_or_else(|| wrong("format specifies argument 0, but arguments are numbered from 1"))?;
            digits.clear();
            left = rest.next_if_eq(&'-').is_some();
            while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
        }
        let value = |next: usize| values.get(next).ok_or_else(|| wrong("too few arguments for format()"));
        let text = match rest.next() {
            Some('s') => value(next)?.clone().unwrap_or_default(),
            Some('I') => match value(next)? {
                Some(name) => identifier(name),
                None => {
                    return Err(
                        Error::Encode { code: "22004", message: "null values cannot be formatted as an SQL identifier".into() }.into()
                    );
                }
            },
            Some('L') => value(next)?.as_deref().map_or_else(|| "NULL".to_owned(), literal),
            Some(other) => return Err(wrong(&format!("unrecognized format() type specifier \"{other}\""))),
            None => return Err(wrong("unterminated format() type specifier")),
        };
        next += 1;
        let width = if digits.is_empty() {
            0
        } else {
            digits.parse::<usize>().ok().filter(|n| *n <= 1 << 20).ok_or_else(|| wrong("number is out of range"))?
        };
        let padding = " ".repeat(width.saturating_sub(text.chars().count()));
        out.push_str(&if left { text + &padding } else { padding + &text });
    }
    Ok(out)
}

/// The words of SQL that are names only in quotes.
const WORDS: &str = "all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast char \
    character check coalesce collate collation column concurrently constraint create cross current_catalog current_date \
    current_role current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct do \
    else end except exists extract false fetch float for foreign freeze from full grant greatest group grouping having \
    ilike in initially inner inout int integer intersect interval into is isnull join lateral leading least left like limit \
    localtime localtimestamp national natural nchar none normalize not notnull null nullif numeric offset on only or order \
    out outer overlaps overlay placing position precision primary real references returning right row select session_user \
    setof similar smallint some substring symmetric table tablesample then time timestamp to trailing treat trim true union \
    unique user using values varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists \
    xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable";

/// A name in quotes, if it needs them.
fn identifier(name: &str) -> String {
    let plain = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !WORDS.split(' ').any(|word| word == name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_their_places() {
        let values = [Some("a".to_owned()), Some("B c".to_owned()), Some("it's".to_owned()), None];
        for (format, expected) in [
            ("%s is %I or %L, %%", "a is \"B c\" or 'it''s', %"),
            ("%2$s %1$s %s", "B c a B c"),
            ("%5s|%-5s|", "    a|B c  |"),
            ("%4$s%4$L", "NULL"),
            ("none", "none"),
        ] {
            assert_eq!(formatted(format, &values).unwrap(), expected, "{format}");
        }
        let words = [Some("select".to_owned()), Some("name".to_owned())];
        assert_eq!(formatted("%I %I", &words).unwrap(), "\"select\" name");
        for format in ["%", "%q", "%5$s", "%0$s", "%4$I"] {
            assert!(formatted(format, &values).is_err(), "{format}");
        }
    }
}
