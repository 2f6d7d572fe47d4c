//! jsonb as Postgres keeps it: one spacing, members by the length of their names and then by the names, of several of a name the last, strings
//! without needless escapes, numbers as numerics are written.

use super::json_text::{self, Json};
use super::value_json;

/// A value of JSON.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    /// As it is written.
    Scalar(String),
}

/// Why a text is no jsonb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is no JSON.
    Syntax,
    /// It has a character that no text has: U+0000.
    Character,
}

/// How JSON is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `{"a": 1, "b": [1, 2]}`
    Spaced,
    /// `{"a":1,"b":[1,2]}`
    Compact,
}

/// The text as jsonb.
pub(super) fn canonical(text: &str) -> Result<String, Fault> {
    let mut out = String::with_capacity(text.len());
    write(&mut out, &parse(text)?, Style::Spaced);
    Ok(out)
}

/// Reads a text as jsonb.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let mut node = parse_in_order(text)?;
    sort(&mut node);
    Ok(node)
}

/// Reads a text, its members in their own order.
pub(super) fn parse_in_order(text: &str) -> Result<Node, Fault> {
    Ok(match json_text::read(text).ok_or(Fault::Syntax)? {
        Json::Object(members) => {
            let member = |(name, value): (String, &str)| {
                checked(&name)?;
                Ok((name, parse_in_order(value)?))
            };
            Node::Object(members.into_iter().map(member).collect::<Result<_, Fault>>()?)
        }
        Json::Array(elements) => Node::Array(elements.into_iter().map(parse_in_order).collect::<Result<_, Fault>>()?),
        Json::Scalar(word) => Node::Scalar(match word.as_bytes().first() {
            Some(b'"') => {
                let plain: String = serde_json::from_str(word).map_err(|_| Fault::Syntax)?;
                checked(&plain)?;
                string(&plain)
            }
            Some(b'-' | b'0'..=b'9') => number(word),
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
            let given = std::mem::take(members);
            for (name, mut value) in given {
                sort(&mut value);
                put(members, name, value);
            }
        }
        Node::Array(elements) => elements.iter_mut().for_each(sort),
        Node::Scalar(_) => {}
    }
}

/// Gives an object a member, in its place.
pub(super) fn put(members: &mut Vec<(String, Node)>, name: String, value: Node) {
    let place = members.binary_search_by(|(other, _)| (other.len(), other.as_str()).cmp(&(name.len(), name.as_str())));
    match place.map(|at| members.get_mut(at)) {
        Ok(Some(member)) => member.1 = value,
        Ok(None) => members.push((name, value)),
        Err(at) => members.insert(at, (name, value)),
    }
}

/// A string in its quotes.
pub(super) fn string(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len() + 2);
    value_json::string(&mut out, plain);
    out
}

/// A number as a numeric is written: without an exponent, with the digits of its fraction.
fn number(word: &str) -> String {
    let (sign, digits) = word.strip_prefix('-').map_or(("", word), |digits| ("-", digits));
    let (digits, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // What no numeric has room for stays as it is.
    let Some(exponent) = exponent.parse::<isize>().ok().filter(|exponent| exponent.unsigned_abs() <= 10_000) else {
        return word.to_owned();
    };
    let mut all = format!("{whole}{fraction}");
    let mut point = whole.len() as isize + exponent;
    while point <= 0 {
        all.insert(0, '0');
        point += 1;
    }
    while all.len() < point.unsigned_abs() {
        all.push('0');
    }
    let (whole, fraction) = all.split_at(point.unsigned_abs());
    let whole = whole.trim_start_matches('0');
    let sign = if all.bytes().all(|digit| digit == b'0') { "" } else { sign };
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{dot}{fraction}", if whole.is_empty() { "0" } else { whole })
}

/// Appends a value.
pub(super) fn write(out: &mut String, node: &Node, style: Style) {
    let (comma, colon) = if style == Style::Spaced { (", ", ": ") } else { (",", ":") };
    match node {
        Node::Object(members) => {
            out.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                out.push_str(if at > 0 { comma } else { "" });
                value_json::string(out, name);
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
                value_json::string(out, name);
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
    }
}
