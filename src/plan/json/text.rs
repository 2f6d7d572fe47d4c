//! JSON as text: its members and elements as they are written, so that a number loses no digit and a key keeps its place.
//!
//! The words are read by serde_json; only what stands between them is looked at here. The crates that offer this as functions of DataFusion ask for
//! features of its own crates by which all of it would be built anew, and slower.

use std::borrow::Cow;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Deserializer, Value};

use super::tree::Fault;

/// What a text of JSON is.
pub(in crate::plan) enum Json<'a> {
    /// Its members in the order of the text.
    Object(Vec<(String, &'a str)>),
    /// Its elements.
    Array(Vec<&'a str>),
    /// A string, a number, true, false or null: as it is written.
    Scalar(&'a str),
}

/// Reads a text one level deep; None for a text that is no JSON.
pub(in crate::plan) fn read(text: &str) -> Option<Json<'_>> {
    let mut rest = text.trim_ascii();
    match rest.as_bytes().first()? {
        b'{' => {
            let mut members = Vec::new();
            rest = rest.get(1..)?.trim_ascii_start();
            while !rest.starts_with('}') {
                let (key, after) = value::<String>(rest)?;
                let (of, after) = word(after.trim_ascii_start().strip_prefix(':')?.trim_ascii_start())?;
                members.push((key, of));
                rest = next(after, '}')?;
            }
            (rest == "}").then_some(Json::Object(members))
        }
        b'[' => {
            let mut elements = Vec::new();
            rest = rest.get(1..)?.trim_ascii_start();
            while !rest.starts_with(']') {
                let (of, after) = word(rest)?;
                elements.push(of);
                rest = next(after, ']')?;
            }
            (rest == "]").then_some(Json::Array(elements))
        }
        _ => {
            let (of, after) = word(rest)?;
            after.is_empty().then_some(Json::Scalar(of))
        }
    }
}

/// The value that a text begins with, and what follows it.
fn value<T: DeserializeOwned>(text: &str) -> Option<(T, &str)> {
    let mut stream = Deserializer::from_str(text).into_iter::<T>();
    let value = stream.next()?.ok()?;
    Some((value, text.get(stream.byte_offset()..)?))
}

/// The same, as it is written.
fn word(text: &str) -> Option<(&str, &str)> {
    let (_, after) = value::<IgnoredAny>(text)?;
    Some((text.get(..text.len() - after.len())?, after))
}

/// What follows the comma after an element, or the end of all.
fn next(after: &str, end: char) -> Option<&str> {
    let after = after.trim_ascii_start();
    match after.strip_prefix(',') {
        Some(more) => Some(more.trim_ascii_start()).filter(|more| !more.starts_with(end)),
        None => after.starts_with(end).then_some(after),
    }
}

/// A step into a value.
pub(in crate::plan) enum Step<'a> {
    /// The member of that name; of an array the element of that number, if it is one and `of_arrays`.
    Key { name: Cow<'a, str>, of_arrays: bool },
    /// The element of that number from 0; -1 is the last.
    Index(i64),
}

/// What is there, as it is written; None where nothing is.
pub(in crate::plan) fn step<'a>(of: &Json<'a>, step: &Step<'_>) -> Option<&'a str> {
    let element = |elements: &[&'a str], index: i64| {
        let from_end = || i64::try_from(elements.len()).ok()?.checked_add(index);
        let at = if index < 0 { from_end()? } else { index };
        elements.get(usize::try_from(at).ok()?).copied()
    };
    match (of, step) {
        // Of several members of a name the last counts.
        (Json::Object(members), Step::Key { name, .. }) => {
            members.iter().rev().find(|(key, _)| key == name.as_ref()).map(|(_, value)| *value)
        }
        (Json::Array(elements), Step::Index(index)) => element(elements, *index),
        (Json::Array(elements), Step::Key { name, of_arrays: true }) => element(elements, name.trim().parse().ok()?),
        _ => None,
    }
}

/// The text that a value is: a string without its quotes, null as none. Errs for escapes that stand for no text.
pub(in crate::plan) fn as_text(value: &str) -> Result<Option<String>, Fault> {
    match value.as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(value).map_err(|_| Fault::Syntax)?;
            if text.contains('\0') { Err(Fault::Character) } else { Ok(Some(text)) }
        }
        None | Some(b'n') => Ok(None),
        _ => Ok(Some(value.to_owned())),
    }
}

/// Whether all of `part` is found in `whole`: members by their names, elements in any order (`@>` of Postgres).
pub(in crate::plan) fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        // An array may be asked for one thing in it.
        (Value::Array(elements), part) if !part.is_array() && !part.is_object() => elements.iter().any(|one| contains_inside(one, part)),
        (whole, part) => contains_inside(whole, part),
    }
}

fn contains_inside(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| contains_inside(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => part.iter().all(|part| whole.iter().any(|whole| contains_inside(whole, part))),
        // Whole numbers by all their digits, a fraction by its value.
        (Value::Number(a), Value::Number(b)) => a == b || (a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64(),
        (whole, part) => whole == part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, of: &Step<'_>) -> Option<String> {
        step(&read(text)?, of).map(str::to_owned)
    }

    #[test]
    fn values_are_found_as_they_are_written() {
        let text = r#" {"a" : 1.10, "b\"c":[ 12345678901234567890123 , {"x":[]} ,"y,]" ], "a": null} "#;
        assert_eq!(at(text, &Step::Key { name: "a".into(), of_arrays: false }).as_deref(), Some("null"));
        let list = at(text, &Step::Key { name: "b\"c".into(), of_arrays: false }).unwrap();
        for (index, element) in
            [(0, Some("12345678901234567890123")), (1, Some("{\"x\":[]}")), (-1, Some("\"y,]\"")), (3, None), (-4, None), (i64::MIN, None)]
        {
            assert_eq!(at(&list, &Step::Index(index)).as_deref(), element, "{index}");
        }
        assert_eq!(at(&list, &Step::Key { name: "0".into(), of_arrays: true }).as_deref(), Some("12345678901234567890123"));
        assert_eq!(at(&list, &Step::Key { name: "0".into(), of_arrays: false }), None);
        assert_eq!(at("[]", &Step::Index(0)), None);
    }

    #[test]
    fn what_is_no_json_is_not_read() {
        for text in ["", "{", "[1,]", "[,1]", "[1 2]", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "1 2", "[1]]", "{} {}", "tru"] {
            assert!(read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_text_is_a_string_without_its_quotes() {
        for (value, text) in
            [("\"a\\u0041\"", Some("aA")), ("null", None), ("1.10", Some("1.10")), ("[1]", Some("[1]")), ("true", Some("true"))]
        {
            assert_eq!(as_text(value).unwrap().as_deref(), text, "{value}");
        }
    }

    #[test]
    fn a_part_is_found_wherever_it_stands() {
        for (whole, part, found) in [
            ("{\"a\":{\"b\":1,\"c\":2},\"d\":[1,2,3]}", "{\"a\":{\"b\":1.0},\"d\":[3,1]}", true),
            ("{\"a\":1}", "{\"a\":1,\"b\":2}", false),
            ("[1,[2,3]]", "[[2]]", true),
            ("[1,[2,3]]", "[2]", false),
            ("[\"x\"]", "\"x\"", true),
            ("[[\"x\"]]", "\"x\"", false),
            ("[1.0]", "1", true),
            ("{\"a\":9007199254740993}", "{\"a\":9007199254740992}", false),
        ] {
            let of = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(contains(&of(whole), &of(part)), found, "{whole} {part}");
        }
    }
}
