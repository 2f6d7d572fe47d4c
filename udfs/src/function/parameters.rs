//! The names of a function's arguments, as its signature has them, what one is that a call leaves out between others, and what a text is read as in its place.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use super::{documented, functions};

/// One argument of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Whether a call may leave it out.
    pub optional: bool,
    /// What stands for it where a call leaves it out and gives a later one, as SQL; None: then it cannot.
    pub default: Option<&'static str>,
}

/// What is left out by a call that gives a later argument: function, argument, and the SQL that does the same as leaving it out.
const DEFAULTS: [(&str, &str, &str); 11] = [
    ("bilateral", "size", "9"),
    ("bilateral", "sigma_color", "75"),
    ("canny", "low", "50"),
    ("clahe", "clip_limit", "2"),
    ("detect_motion", "threshold", "25"),
    ("detect_objects", "labels", "ARRAY['*']"),
    ("draw_line", "color", "'green'"),
    ("draw_polygon", "color", "'green'"),
    ("draw_text", "color", "'green'"),
    ("jpeg", "width", "NULL"),
    ("resize", "width", "NULL"),
];

/// The arguments of a function or an aggregate, in order; None if there is none of that name.
pub fn parameters(function: &str) -> Option<Vec<Parameter>> {
    let (name, documentation) = documented().into_iter().find(|(name, _)| name == function)?;
    let syntax = documentation.syntax_example.split(" -> ").next()?;
    let list = syntax.strip_prefix(&name)?.strip_prefix('(')?.strip_suffix(')')?;
    // The brackets of a type say nothing of the argument.
    let list = list.replace("[]", "");
    let mut optional = false;
    let mut found = Vec::new();
    for written in list.split(',') {
        let argument = written.trim_matches([' ', ']', '[']).split(' ').next().unwrap_or_default();
        let default = DEFAULTS.iter().find(|(of, named, _)| *of == function && *named == argument).map(|(_, _, sql)| *sql);
        found.push(Parameter { name: argument.to_owned(), optional, default });
        // `[, argument` begins what may be left out.
        optional |= written.trim_end().ends_with('[');
    }
    Some(found)
}

/// All functions: every text in a call asks whether the call is of one of them.
static BY_NAME: LazyLock<HashMap<String, Arc<ScalarUDF>>> =
    LazyLock::new(|| functions().into_iter().map(|f| (f.name().to_owned(), f)).collect());

/// How a call of a function is written; None where there is no such function.
pub(super) fn written(function: &str) -> Option<&'static str> {
    BY_NAME.get(function)?.documentation().map(|documentation| documentation.syntax_example.as_str())
}

/// The type as which a text that is written out is read in the place of an argument, as SQL names it; None where it stays a text, or is a number, and where there is no such
/// function. `n_given` is how many arguments the call has.
pub fn literal_type(function: &str, at: usize, n_given: usize, text: &str) -> Option<&'static str> {
    let function = BY_NAME.get(function)?;
    // What it makes of NULL, which has no type either.
    let types = function.coerce_types(&vec![DataType::Null; n_given]).ok()?;
    match types.get(at)? {
        DataType::Binary => Some("bytea"),
        DataType::Timestamp(..) => Some("timestamptz"),
        DataType::List(item) if item.data_type().is_string() => Some("text[]"),
        DataType::List(item) if item.data_type().is_numeric() => Some("double precision[]"),
        // A box may be written as a list of its numbers.
        DataType::Null if text.trim_start().starts_with('{') => Some("double precision[]"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_what_stands_in_its_place() {
        assert_eq!(literal_type("detect_objects", 1, 2, "{}"), Some("text[]"));
        assert_eq!(literal_type("decode_picture", 0, 1, "\\x00"), Some("bytea"));
        assert_eq!(literal_type("in_range", 1, 3, "{1,2,3}"), Some("double precision[]"));
        assert_eq!(literal_type("cosine_similarity", 1, 2, "{1,2}"), Some("double precision[]"));
        assert_eq!(literal_type("crop", 1, 2, "{1,2,3,4}"), Some("double precision[]"));
        assert_eq!(literal_type("crop", 1, 2, "(1,2,3,4)"), None);
        assert_eq!(literal_type("flip", 1, 2, "horizontal"), None);
        assert_eq!(literal_type("resize", 1, 2, "640"), None);
        assert_eq!(literal_type("detect_objects", 1, 9, "{}"), None);
        assert_eq!(literal_type("abs", 0, 1, "{}"), None);
    }

    fn named(function: &str) -> Vec<(String, bool)> {
        parameters(function).unwrap().into_iter().map(|p| (p.name, p.optional)).collect()
    }

    #[test]
    fn the_arguments_of_a_signature_are_read_in_order() {
        let expected = [("frame".to_owned(), false), ("labels".to_owned(), true), ("min_score".to_owned(), true)];
        assert_eq!(named("detect_objects"), expected);
        let expected =
            [("vx", false), ("vy", false), ("box", true), ("calibration", true)].map(|(name, optional)| (name.to_owned(), optional));
        assert_eq!(named("heading"), expected);
        assert_eq!(named("vote"), [("text".to_owned(), false), ("score".to_owned(), false)]);
        assert_eq!(named("width"), [("frame".to_owned(), false)]);
        assert_eq!(parameters("abs"), None);
    }

    #[test]
    fn every_argument_has_a_name_of_its_own_and_what_may_be_left_out_before_another_has_a_default() {
        for (function, _) in documented() {
            let all = parameters(&function).unwrap();
            let plain = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            assert!(all.iter().all(|p| plain(&p.name)), "{function}: {all:?}");
            for (at, parameter) in all.iter().enumerate() {
                assert!(all[at + 1..].iter().all(|other| other.name != parameter.name), "{function} has two arguments {}", parameter.name);
                // The two of heading belong together.
                let left_out = parameter.optional && at + 1 < all.len() && function != "heading";
                assert!(!left_out || parameter.default.is_some(), "{function}: {} may be left out and has no default", parameter.name);
            }
        }
        for (function, argument, _) in DEFAULTS {
            assert!(parameters(function).unwrap().iter().any(|p| p.name == argument), "{function} has no argument {argument}");
        }
    }
}
