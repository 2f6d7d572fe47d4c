//! jsonb as Postgres keeps it: one spacing, members by the length of their names and then by the names, of several of a name the last, strings
//! without needless escapes, numbers as numerics are written.

use super::text::{self, Json};
use super::values;

/// A value of JSON.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::plan) enum Node {
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    /// As it is written.
    Scalar(String),
}

/// Why a text is no jsonb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Fault {
    /// It is no JSON.
    Syntax,
    /// It has a character that no text has: U+0000.
    Character,
    /// Its numbers, written out, have more digits than one value may.
    Length,
}

/// The digits that the numbers of a text may have in all: an exponent of five letters stands for 10,000.
const MOST_DIGITS: usize = 1 << 28;

/// How JSON is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `{"a": 1, "b": [1, 2]}`
    Spaced,
    /// `{"a":1,"b":[1,2]}`
    Compact,
}

/// The text as jsonb.
pub(in crate::plan) fn canonical(text: &str) -> Result<String, Fault> {
    let mut out = String::with_capacity(text.len());
    write(&mut out, &parse(text)?, Style::Spaced);
    Ok(out)
}

/// Reads a text as jsonb.
pub(in crate::plan) fn parse(text: &str) -> Result<Node, Fault> {
    let mut node = parse_in_order(text)?;
    sort(&mut node);
    Ok(node)
}

/// Reads a text, its members in their own order.
pub(super) fn parse_in_order(text: &str) -> Result<Node, Fault> {
    let mut n_left = MOST_DIGITS;
    node(text, &mut n_left)
}

/// The same, with so many digits of numbers left.
fn node(text: &str, n_left: &mut usize) -> Result<Node, Fault> {
    Ok(match text::read(text).ok_or(Fault::Syntax)? {
        Json::Object(members) => {
            let member = |(name, value): (String, &str)| {
                checked(&name)?;
                Ok((name, node(value, n_left)?))
            };
            Node::Object(members.into_iter().map(member).collect::<Result<_, Fault>>()?)
        }
        Json::Array(elements) => Node::Array(elements.into_iter().map(|element| node(element, n_left)).collect::<Result<_, Fault>>()?),
        Json::Scalar(word) => Node::Scalar(match word.as_bytes().first() {
            Some(b'"') => {
                let plain: String = serde_json::from_str(word).map_err(|_| Fault::Syntax)?;
                checked(&plain)?;
                string(&plain)
            }
            Some(b'-' | b'0'..=b'9') => number(word, n_left)?,
            _ => word.to_owned(),
        }),
    })
}

fn checked(text: &str) -> Result<(), Fault> {
    if text.contains('\0') { Err(Fault::Character) } else { Ok(()) }
}

fn sort(node: &mut Node) {
    match node {
        Node::Object(members) => {
            members.iter_mut().for_each(|(_, value)| sort(value));
            members.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
            // Of several of a name the last.
            members.reverse();
            members.dedup_by(|(a, _), (b, _)| a == b);
            members.reverse();
        }
        Node::Array(elements) => elements.iter_mut().for_each(sort),
        Node::Scalar(_) => {}
    }
}

/// Gives an object a member, in its place.
pub(in crate::plan) fn put(members: &mut Vec<(String, Node)>, name: String, value: Node) {
    let place = members.binary_search_by(|(other, _)| (other.len(), other.as_str()).cmp(&(name.len(), name.as_str())));
    match place.map(|at| members.get_mut(at)) {
        Ok(Some(member)) => member.1 = value,
        Ok(None) => members.push((name, value)),
        Err(at) => members.insert(at, (name, value)),
    }
}

/// A string in its quotes.
pub(in crate::plan) fn string(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len() + 2);
    values::string(&mut out, plain);
    out
}

/// A number as a numeric is written: without an exponent, with the digits of its fraction. Errs if it has more than are left.
fn number(word: &str, n_left: &mut usize) -> Result<String, Fault> {
    let (sign, digits) = word.strip_prefix('-').map_or(("", word), |digits| ("-", digits));
    let (digits, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // What no numeric has room for stays as it is.
    let Some(exponent) = exponent.parse::<isize>().ok().filter(|exponent| exponent.unsigned_abs() <= 10_000) else {
        return Ok(word.to_owned());
    };
    let point = whole.len() as isize + exponent;
    // One digit at least stands before the point.
    let n_before = usize::try_from(1 - point).unwrap_or(0);
    let point = usize::try_from(point).unwrap_or(0).max(1);
    let n_behind = point.saturating_sub(n_before + whole.len() + fraction.len());
    *n_left = n_left.checked_sub(n_before + whole.len() + fraction.len() + n_behind).ok_or(Fault::Length)?;
    let all = ["0".repeat(n_before).as_str(), whole, fraction, "0".repeat(n_behind).as_str()].concat();
    let (whole, fraction) = all.split_at(point);
    let whole = whole.trim_start_matches('0');
    let sign = if all.bytes().all(|digit| digit == b'0') { "" } else { sign };
    let dot = if fraction.is_empty() { "" } else { "." };
    Ok(format!("{sign}{}{dot}{fraction}", if whole.is_empty() { "0" } else { whole }))
}

/// Appends a value.
pub(super) fn write(out: &mut String, node: &Node, style: Style) {
    let (comma, colon) = if style == Style::Spaced { (", ", ": ") } else { (",", ":") };
    match node {
        Node::Object(members) => {
            out.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                out.push_str(if at > 0 { comma } else { "" });
                values::string(out, name);
                out.push_str(colon);
                write(out, value, style);
            }
            out.push('}');
        }
        Node::Array(elements) => {
            out.push('[');
            for (at, value) in elements.iter().enumerate() {
                out.push_str(if at > 0 { comma } else { "" });
                write(out, value, style);
            }
            out.push(']');
        }
        Node::Scalar(word) => out.push_str(word),
    }
}

/// Appends a value with a line for each member and element, as `jsonb_pretty` does.
pub(super) fn write_lines(out: &mut String, node: &Node, depth: usize) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', 4 * depth));
    };
    match node {
        Node::Object(members) => {
            out.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                line(out, depth + 1);
                values::string(out, name);
                out.push_str(": ");
                write_lines(out, value, depth + 1);
            }
            line(out, depth);
            out.push('}');
        }
        Node::Array(elements) => {
            out.push('[');
            for (at, value) in elements.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                line(out, depth + 1);
                write_lines(out, value, depth + 1);
            }
            line(out, depth);
            out.push(']');
        }
        Node::Scalar(word) => out.push_str(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_text() {
        for (text, expected) in [
            (r#" {"bb":2,"a":1, "c" : [1,2 ,{}], "a":3}"#, r#"{"a": 3, "c": [1, 2, {}], "bb": 2}"#),
            (r#""a\u00e9\/\n\u0001\b""#, "\"a\u{e9}/\\n\\u0001\\b\""),
            (
                "[1.0, 1e2, 1.5e3, 1e-2, -0, -0.0, 100e-1, 12345678901234567890123, 1.50]",
                "[1.0, 100, 1500, 0.01, 0, 0.0, 10.0, 12345678901234567890123, 1.50]",
            ),
            ("null", "null"),
            ("1E100000", "1E100000"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(expected));
            assert_eq!(canonical(expected).as_deref(), Ok(expected));
        }
        assert_eq!(canonical("{a}"), Err(Fault::Syntax));
        assert_eq!(canonical(r#""\ud800""#), Err(Fault::Syntax));
        assert_eq!(canonical(r#"{"a": ["\u0000"]}"#), Err(Fault::Character));
        let text = r#"{"b": 1, "aa": 2, "a": {"d": 1, "c": 2, "d": 3}, "b": 4, "aa": 5, "b": 6}"#;
        assert_eq!(canonical(text).as_deref(), Ok(r#"{"a": {"c": 2, "d": 3}, "b": 6, "aa": 5}"#));
    }

    #[test]
    fn a_number_has_as_many_digits_as_are_left() {
        for (word, expected, n_digits) in [
            ("12.5e-3", "0.0125", 5),
            ("-12.5e1", "-125", 3),
            ("1e3", "1000", 4),
            ("0.001e2", "0.1", 4),
            ("5e-1", "0.5", 2),
            ("1.5e0", "1.5", 2),
        ] {
            let mut n_left = n_digits;
            assert_eq!(number(word, &mut n_left).as_deref(), Ok(expected), "{word}");
            assert_eq!(n_left, 0, "{word}");
            assert_eq!(number(word, &mut n_left), Err(Fault::Length), "{word}");
        }
        let (small, large) = (number("1e-10000", &mut 20_000), number("1e10000", &mut 20_000));
        assert_eq!((small.map(|text| text.len()), large.map(|text| text.len())), (Ok(10_002), Ok(10_001)));
    }
}
