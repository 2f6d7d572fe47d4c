//! The text of a COPY to lines of fields, as Postgres writes both of its forms.

use crate::error::{Error, Result};
use crate::plan::parse::copy::CopyForm;

/// A line: its number from 1, and its fields; None is NULL.
pub(super) type Line = (usize, Vec<Option<String>>);

/// What is wrong with a line.
pub(super) fn bad(table: &str, line: usize, code: &'static str, message: String, column: Option<&str>) -> Error {
    let column = column.map(|column| format!(", column {column}")).unwrap_or_default();
    Error::Data { code, message, detail: Some(format!("COPY {table}, line {line}{column}")) }
}

/// Delimiters between fields, a text for NULL, a backslash before what would be read otherwise; `\.` is the end. Errs (22021) for bytes that are no
/// text.
pub(super) fn text_lines(text: &str, form: &CopyForm, table: &str) -> Result<Vec<Line>> {
    let bytes = text.as_bytes();
    let (mut lines, mut fields) = (Vec::<Line>::new(), Vec::new());
    let (mut number, mut first, mut at) = (1, 1, 0);
    // Where the line begins, and the field, and what the field stands for so far.
    let (mut line, mut from, mut value) = (0, 0, Vec::<u8>::new());
    let ended = |raw: &str, value: &mut Vec<u8>, number: usize| {
        let value = std::mem::take(value);
        if raw == form.null {
            return Ok(None);
        }
        // A backslash can write any byte, zero too.
        match String::from_utf8(value) {
            Ok(text) if !text.contains('\0') => Ok(Some(text)),
            _ => Err(bad(table, number, "22021", "invalid byte sequence for encoding \"UTF8\"".into(), None)),
        }
    };
    while let Some(&byte) = bytes.get(at) {
        let ends_line = byte == b'\n' || byte == b'\r' && bytes.get(at + 1) == Some(&b'\n');
        if ends_line || byte == form.delimiter as u8 {
            let raw = text.get(from..at).unwrap_or_default();
            if ends_line && text.get(line..at) == Some("\\.") {
                return Ok(lines);
            }
            fields.push(ended(raw, &mut value, first)?);
            at += 1 + usize::from(byte == b'\r' && ends_line);
            from = at;
            if ends_line {
                lines.push((first, std::mem::take(&mut fields)));
                number += 1;
                (line, first) = (at, number);
            }
        } else if byte == b'\\' {
            let (n_bytes, meant) = escaped(bytes.get(at + 1..).unwrap_or_default());
            number += usize::from(meant == b'\n' && n_bytes == 1);
            value.push(meant);
            at += 1 + n_bytes;
        } else {
            value.push(byte);
            at += 1;
        }
    }
    if line < bytes.len() && text.get(line..) != Some("\\.") {
        fields.push(ended(text.get(from..).unwrap_or_default(), &mut value, first)?);
        lines.push((first, fields));
    }
    Ok(lines)
}

/// What stands behind a backslash: how many bytes of it belong to it, and the byte that is meant.
fn escaped(rest: &[u8]) -> (usize, u8) {
    let digits = |from: usize, most: usize, base: u32| {
        let digits = rest.iter().skip(from).take(most).map_while(|byte| char::from(*byte).to_digit(base));
        digits.fold((0, 0), |(n, value), digit| (n + 1, value * base + digit))
    };
    match rest.first() {
        None => (0, b'\\'),
        Some(b'b') => (1, 8),
        Some(b'f') => (1, 12),
        Some(b'n') => (1, b'\n'),
        Some(b'r') => (1, b'\r'),
        Some(b't') => (1, b'\t'),
        Some(b'v') => (1, 11),
        Some(b'0'..=b'7') => {
            let (n, value) = digits(0, 3, 8);
            (n, (value & 255) as u8)
        }
        Some(b'x') => match digits(1, 2, 16) {
            (0, _) => (1, b'x'),
            (n, value) => (1 + n, (value & 255) as u8),
        },
        Some(other) => (1, *other),
    }
}

/// Delimiters between fields, quotes around those that hold one; a field without quotes that is NULL's text is NULL.
pub(super) fn csv(text: &str, form: &CopyForm, table: &str) -> Result<Vec<Line>> {
    let (mut lines, mut fields) = (Vec::<Line>::new(), Vec::new());
    let (mut field, mut quoted, mut open) = (String::new(), false, false);
    let (mut number, mut first) = (1, 1);
    let mut chars = text.chars().peekable();
    let ended = |field: &mut String, quoted: &mut bool| {
        let text = std::mem::take(field);
        (std::mem::take(quoted) || text != form.null).then_some(text)
    };
    // Whether something of a line has been read.
    let mut begun = false;
    while let Some(c) = chars.next() {
        number += usize::from(c == '\n');
        begun = true;
        if open {
            match chars.next_if(|next| c == form.escape && (*next == form.quote || *next == form.escape)) {
                Some(meant) => field.push(meant),
                None if c == form.quote => open = false,
                None => field.push(c),
            }
        } else if c == form.quote {
            (quoted, open) = (true, true);
        } else if c == form.delimiter {
            fields.push(ended(&mut field, &mut quoted));
        } else if c == '\n' {
            fields.push(ended(&mut field, &mut quoted));
            lines.push((first, std::mem::take(&mut fields)));
            (first, begun) = (number, false);
        } else if c != '\r' || chars.peek() != Some(&'\n') {
            field.push(c);
        }
    }
    if open {
        return Err(bad(table, first, "22P04", "unterminated CSV quoted field".into(), None));
    }
    if begun {
        fields.push(ended(&mut field, &mut quoted));
        lines.push((first, fields));
    }
    if lines.last().is_some_and(|(_, fields)| fields.as_slice() == [Some("\\.".to_owned())]) {
        lines.pop();
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::parse::copy::CopyFormat;

    fn text(t: &str) -> Option<String> {
        Some(t.to_owned())
    }

    fn comma() -> CopyForm {
        CopyForm { format: CopyFormat::Csv, delimiter: ',', null: String::new(), ..CopyForm::default() }
    }

    #[test]
    fn csv_tells_an_empty_text_from_null_and_counts_lines() {
        let lines = csv("1,\"\",\r\n2,\"a\n\"\"b\",x\n3", &comma(), "t").unwrap();
        assert_eq!(lines[0], (1, vec![text("1"), text(""), None]));
        assert_eq!(lines[1], (2, vec![text("2"), text("a\n\"b"), text("x")]));
        assert_eq!(lines[2], (4, vec![text("3")]));
        assert_eq!(csv("\"a", &comma(), "t").unwrap_err().sqlstate(), "22P04");
    }

    #[test]
    fn csv_has_the_quote_the_escape_and_the_null_that_are_said() {
        let form = CopyForm { delimiter: ';', quote: '\'', escape: '\\', null: "NULL".into(), ..comma() };
        let lines = csv("'it\\'s';NULL;'NULL';;\"a,b\"\n", &form, "t").unwrap();
        assert_eq!(lines, [(1, vec![text("it's"), None, text("NULL"), text(""), text("\"a,b\"")])]);
    }

    #[test]
    fn text_has_its_escapes_and_its_end() {
        let form = CopyForm::default();
        let lines = text_lines("a\\tb\t\\N\t\\\\N\n\\.\nmore\n", &form, "t").unwrap();
        assert_eq!(lines, [(1, vec![text("a\tb"), None, text("\\N")])]);
        let lines = text_lines("\\101\\x42\\\n\tä\r\n\n2", &form, "t").unwrap();
        assert_eq!(lines, [(1, vec![text("AB\n"), text("ä")]), (3, vec![text("")]), (4, vec![text("2")])]);
        assert_eq!(text_lines("\\377", &form, "t").unwrap_err().sqlstate(), "22021");
        let form = CopyForm { delimiter: '|', null: "-".into(), ..form };
        assert_eq!(text_lines("a\\|b|-|\\-\n", &form, "t").unwrap(), [(1, vec![text("a|b"), None, text("-")])]);
    }
}
