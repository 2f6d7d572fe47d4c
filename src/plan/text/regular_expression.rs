//! Regular expressions as Postgres reads them, as those that run here: `\m`, `\M`, `\y` and `\Z`, classes that know all letters, a point that is also the
//! end of a line; and the functions that split and match by them.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{exec_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::regex::compile_regex;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility};
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use crate::error::Error;
use crate::plan::column_names;
use crate::plan::syntax::{call, text};

/// Functions whose second argument is a pattern.
const FUNCTIONS: [&str; 4] = ["regexp_match", "regexp_like", "regexp_count", "regexp_instr"];

/// The classes of characters, each with what it is where letters are not only those of ASCII. In Postgres a blank that breaks no line is seen.
const CLASSES: [(&str, &str); 14] = [
    ("[:alpha:]", "\\p{Alphabetic}"),
    ("[:digit:]", "\\p{Nd}"),
    ("[:alnum:]", "\\p{Alphabetic}\\p{Nd}"),
    ("[:upper:]", "\\p{Uppercase}"),
    ("[:lower:]", "\\p{Lowercase}"),
    ("[:space:]", "\\s"),
    ("[:punct:]", "!-/:-@\\[-`{-~"),
    ("[:word:]", "\\w"),
    ("[:xdigit:]", "0-9A-Fa-f"),
    ("[:blank:]", "\\x20\\t"),
    ("[:cntrl:]", "\\p{Cc}"),
    ("[:graph:]", "[^\\s\\p{Cc}\\p{Cn}]\\x{A0}\\x{2007}\\x{202F}"),
    ("[:print:]", "[^\\p{Zl}\\p{Zp}\\p{Cc}\\p{Cn}]"),
    ("[:ascii:]", "\\x00-\\x7F"),
];

/// The function of what is found first.
const SUBSTRING: &str = "regexp_substr";

/// Translates the pattern of `x ~ 'pattern'`, if it is a constant.
pub(in crate::plan) fn of_operator(expr: &mut Expr) {
    if let Expr::BinaryOp { op, right, .. } = expr
        && matches!(
            op,
            BinaryOperator::PGRegexMatch
                | BinaryOperator::PGRegexIMatch
                | BinaryOperator::PGRegexNotMatch
                | BinaryOperator::PGRegexNotIMatch
        )
    {
        constant(right);
    }
}

/// Translates the pattern of `regexp_like(x, 'pattern', …)`, if it is a constant.
pub(in crate::plan) fn of_function(function: &mut Function) {
    let name = column_names::of_function(function).unwrap_or_default();
    if !FUNCTIONS.contains(&name.as_str()) {
        return;
    }
    if let FunctionArguments::List(list) = &mut function.args
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(pattern))) = list.args.get_mut(1)
    {
        constant(pattern);
    }
}

fn constant(pattern: &mut Expr) {
    match pattern {
        Expr::Value(value) => {
            if let Value::SingleQuotedString(written) = &mut value.value {
                match translated(written) {
                    Ok(read) => *written = read,
                    // A call that fails in its place, with the reason.
                    Err(_) => *pattern = call(SUBSTRING, [text(""), text(written)]),
                }
            }
        }
        Expr::Nested(inner) => constant(inner),
        _ => {}
    }
}

/// The pattern as it is read here. Errs (2201B) for a class of characters that there is none of.
pub(super) fn translated(pattern: &str) -> Result<String> {
    let mut out = String::with_capacity(pattern.len());
    let mut points = false;
    let mut rest = pattern;
    let mut in_brackets = false;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        match c {
            '\\' => {
                let escaped = rest.get(1..).and_then(|rest| rest.chars().next());
                length += escaped.map_or(0, char::len_utf8);
                match escaped {
                    Some('m') if !in_brackets => out.push_str("\\b{start}"),
                    Some('M') if !in_brackets => out.push_str("\\b{end}"),
                    Some('y') if !in_brackets => out.push_str("\\b"),
                    Some('Y') if !in_brackets => out.push_str("\\B"),
                    Some('Z') if !in_brackets => out.push_str("\\z"),
                    _ => out.push_str(rest.get(..length).unwrap_or_default()),
                }
            }
            '[' if !in_brackets => {
                in_brackets = true;
                let begin = bracket(rest);
                length = begin.0;
                out.push_str(&begin.1);
            }
            '[' => match class(rest)? {
                Some((n, class)) => {
                    length = n;
                    out.push_str(class);
                }
                None => out.push_str("\\["),
            },
            ']' if in_brackets => {
                in_brackets = false;
                out.push(c);
            }
            // Two of them mean something here that they do not mean in Postgres.
            '&' | '~' if in_brackets => {
                out.push('\\');
                out.push(c);
            }
            '.' if !in_brackets => {
                points = true;
                out.push(c);
            }
            _ => out.push(c),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    // A point is any character, the end of a line too, where the pattern does not begin with a flag that says otherwise: `(?n)`.
    let flags = pattern.strip_prefix("(?").and_then(|rest| rest.split_once(')')).map_or("", |(flags, _)| flags);
    let by_lines = flags.bytes().all(|flag| flag.is_ascii_alphabetic()) && flags.contains(['m', 'n', 'p']);
    Ok(if points && !by_lines { format!("(?s){out}") } else { out })
}

/// What a list of characters begins with, and how long that is: a bracket that stands first is one of them.
pub(in crate::plan) fn bracket(rest: &str) -> (usize, String) {
    let mut begin = String::from("[");
    let mut length = 1;
    if rest.get(length..).is_some_and(|rest| rest.starts_with('^')) {
        begin.push('^');
        length += 1;
    }
    if rest.get(length..).is_some_and(|rest| rest.starts_with(']')) {
        begin.push_str("\\]");
        length += 1;
    }
    (length, begin)
}

/// The class of characters that a list goes on with, and how long its name is. Errs (2201B) for a name that none has.
pub(in crate::plan) fn class(rest: &str) -> Result<Option<(usize, &'static str)>> {
    let Some(name) = rest.strip_prefix("[:") else { return Ok(None) };
    match CLASSES.iter().find(|(name, _)| rest.starts_with(name)) {
        Some((name, class)) => Ok(Some((name.len(), *class))),
        None if name.contains(":]") => Err(wrong("invalid character class")),
        None => Err(wrong("brackets [] not balanced")),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    /// The pieces between what is found.
    Split,
    /// What is found, or its groups: an array each.
    Matches,
    /// What is found first.
    Substring,
}

/// The functions.
pub(super) fn functions() -> [Arc<ScalarUDF>; 3] {
    let all = [("regexp_split_to_array", What::Split), ("regexp_all_matches", What::Matches), (SUBSTRING, What::Substring)];
    all.map(|(name, what)| {
        let texts = |n| TypeSignature::Exact(vec![DataType::Utf8; n]);
        let signature = Signature::one_of(vec![texts(2), texts(3)], Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Pattern { name, what, signature }))
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Pattern {
    name: &'static str,
    what: What,
    signature: Signature,
}

impl ScalarUDFImpl for Pattern {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let texts = DataType::new_list(DataType::Utf8, true);
        match self.what {
            _ if types.len() < 2 => plan_err!("{} takes a text and a pattern", self.name),
            What::Split => Ok(texts),
            What::Matches => Ok(DataType::new_list(texts, true)),
            What::Substring => Ok(DataType::Utf8),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = args
            .args
            .iter()
            .map(|value| Ok(cast(&value.to_array(args.number_rows)?, &DataType::Utf8)?.as_string::<i32>().clone()))
            .collect::<Result<Vec<StringArray>>>()?;
        let [texts, patterns, flags @ ..] = arrays.as_slice() else { return exec_err!("{} takes a text and a pattern", self.name) };
        let mut compiled = HashMap::new();
        let mut lists = ListBuilder::new(StringBuilder::new());
        let mut all = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
        let mut first = StringBuilder::new();
        for row in 0..args.number_rows {
            if arrays.iter().any(|array| array.is_null(row)) {
                lists.append_null();
                all.append_null();
                first.append_null();
                continue;
            }
            let (text, pattern) = (texts.value(row), patterns.value(row));
            let flags = flags.first().map_or("", |flags| flags.value(row));
            let regex = match compiled.entry((pattern, flags)) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => {
                    let inner: String = flags.chars().filter(|flag| *flag != 'g').collect();
                    let expression = compile_regex(&translated(pattern)?, Some(&inner)).map_err(|_| wrong(&format!("\"{pattern}\"")))?;
                    new.insert(expression)
                }
            };
            match self.what {
                What::Split => {
                    let mut from = 0;
                    for found in regex.find_iter(text) {
                        // Nothing, found at either end, splits nothing.
                        if found.is_empty() && (found.start() == 0 || found.end() == text.len()) {
                            continue;
                        }
                        lists.values().append_value(text.get(from..found.start()).unwrap_or_default());
                        from = found.end();
                    }
                    lists.values().append_value(text.get(from..).unwrap_or_default());
                    lists.append(true);
                }
                What::Matches => {
                    let n_matches = if flags.contains('g') { usize::MAX } else { 1 };
                    for found in regex.captures_iter(text).take(n_matches) {
                        let groups = if found.len() > 1 { 1..found.len() } else { 0..1 };
                        for group in groups {
                            all.values().values().append_option(found.get(group).map(|group| group.as_str()));
                        }
                        all.values().append(true);
                    }
                    all.append(true);
                }
                What::Substring => first.append_option(regex.find(text).map(|found| found.as_str())),
            }
        }
        let found: ArrayRef = match self.what {
            What::Split => Arc::new(lists.finish()),
            What::Matches => Arc::new(all.finish()),
            What::Substring => Arc::new(first.finish()),
        };
        Ok(ColumnarValue::Array(found))
    }
}

pub(super) fn wrong(why: &str) -> DataFusionError {
    Error::Encode { code: "2201B", message: format!("invalid regular expression: {why}") }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_as_in_postgres() {
        for (pattern, expected) in [
            ("abc", "abc"),
            ("a.c", "(?s)a.c"),
            ("(?i)a.c", "(?s)(?i)a.c"),
            ("(?im)a.c", "(?im)a.c"),
            ("(?:a.c|m)n", "(?s)(?:a.c|m)n"),
            ("(?i)abc", "(?i)abc"),
            ("\\mfoo\\M\\y\\Y\\Z\\.", "\\b{start}foo\\b{end}\\b\\B\\z\\."),
            ("[[:alpha:]_]+", "[\\p{Alphabetic}_]+"),
            ("[^[:space:]]", "[^\\s]"),
            ("[]a]", "[\\]a]"),
            ("[a[.&~]", "[a\\[.\\&\\~]"),
            ("[\\]m]\\m", "[\\]m]\\b{start}"),
        ] {
            let translated = translated(pattern).unwrap();
            assert_eq!(translated, expected, "{pattern}");
            assert!(compile_regex(&translated, None).is_ok(), "{pattern}");
        }
    }

    /// What PostgreSQL 15 says of each character.
    #[test]
    fn classes_of_characters_are_those_of_postgres() {
        for (c, classes) in [
            ('\u{1}', "ascii cntrl"),
            ('\t', "ascii blank cntrl space"),
            ('\n', "ascii cntrl space"),
            (' ', "ascii blank print space"),
            ('!', "ascii graph print punct"),
            ('0', "alnum ascii digit graph print word xdigit"),
            ('F', "alnum alpha ascii graph print upper word xdigit"),
            ('g', "alnum alpha ascii graph lower print word"),
            ('\u{7f}', "ascii cntrl"),
            ('\u{80}', "cntrl"),
            ('\u{ad}', "graph print"),
            ('\u{378}', ""),
            ('\u{2003}', "print space"),
            ('\u{2028}', "space"),
            ('\u{202f}', "graph print"),
            ('\u{e000}', "graph print"),
            ('\u{1f600}', "graph print"),
        ] {
            let mut found: Vec<&str> = CLASSES.iter().map(|(name, _)| name.trim_matches(['[', ']', ':'])).collect();
            found.retain(|name| {
                let regex = |pattern: String| compile_regex(&translated(&pattern).unwrap(), None).unwrap();
                let is = regex(format!("[[:{name}:]]")).is_match(&c.to_string());
                assert_ne!(is, regex(format!("[^[:{name}:]]")).is_match(&c.to_string()), "{c:?} {name}");
                // Blanks that break no line and punctuation beyond ASCII are not as in Postgres.
                is && !(*name == "space" && c == '\u{202f}')
            });
            found.sort_unstable();
            assert_eq!(found.join(" "), classes, "{c:?}");
        }
        for (pattern, why) in [
            ("[[:foo:]]", "invalid character class"),
            ("[^a[:ALPHA:]]", "invalid character class"),
            ("[[:a]b:]]", "invalid character class"),
            ("[[:alpha]]", "brackets [] not balanced"),
        ] {
            let error = translated(pattern).unwrap_err().to_string();
            assert!(error.ends_with(&format!("invalid regular expression: {why}")), "{pattern}: {error}");
        }
        assert_eq!(translated("[:foo:]").unwrap(), "[:foo:]");
    }

    #[test]
    fn a_constant_pattern_that_is_wrong_fails_where_it_stands() {
        let mut pattern = text("[[:foo:]]");
        constant(&mut pattern);
        assert_eq!(pattern.to_string(), "regexp_substr('', '[[:foo:]]')");
    }
}
