//! `regexp_replace` as in Postgres: in what stands for a match `\1` is its first group, `\&` the match and `\\` a backslash, and `$` is a dollar; it may
//! begin at a character, and replace one match of several.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::functions::regex::compile_regex;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::lengths::Lengths;
use super::regular_expression::{translated, wrong};
use crate::error::Error;

/// The function in place of DataFusion's.
pub(super) fn functions() -> [Arc<ScalarUDF>; 1] {
    [Arc::new(ScalarUDF::new_from_impl(Replace { signature: Signature::user_defined(Volatility::Immutable) }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Replace {
    signature: Signature,
}

impl ScalarUDFImpl for Replace {
    fn name(&self) -> &str {
        "regexp_replace"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let text = |of: &DataType| matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null);
        let whole = |of: &DataType| of.is_integer() || of.is_null();
        let mut takes = vec![DataType::Utf8; 3];
        let fits = match given {
            [texts @ .., flags] if texts.len() == 3 && text(flags) => {
                takes.push(DataType::Utf8);
                texts.iter().all(text)
            }
            [a, b, c, numbers @ ..] => {
                let (numbers, flags) = match numbers {
                    [start, n, flags] => (vec![start, n], Some(flags)),
                    _ => (numbers.iter().collect(), None),
                };
                takes.extend(numbers.iter().map(|_| DataType::Int64));
                takes.extend(flags.map(|_| DataType::Utf8));
                given.len() <= 6 && [a, b, c].into_iter().chain(flags).all(text) && numbers.into_iter().all(whole)
            }
            _ => false,
        };
        if fits { Ok(takes) } else { plan_err!("regexp_replace takes a text, a pattern and what stands for it, and start, n and flags") }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = args.args.iter().map(|value| value.to_array(args.number_rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let [texts, patterns, replacements, options @ ..] = arrays.as_slice() else {
            return exec_err!("regexp_replace takes a text, a pattern and what stands for it");
        };
        let of_texts = |array: &ArrayRef| -> Result<StringArray> { Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone()) };
        let (texts, patterns, replacements) = (of_texts(texts)?, of_texts(patterns)?, of_texts(replacements)?);
        let flags = options.last().filter(|last| *last.data_type() == DataType::Utf8).map(of_texts).transpose()?;
        let numbers: Vec<_> = options.iter().filter_map(|array| array.as_primitive_opt::<Int64Type>()).collect();
        let mut compiled = HashMap::new();
        let mut found = StringBuilder::new();
        let mut lengths = Lengths::default();
        for row in 0..args.number_rows {
            if arrays.iter().any(|array| array.is_null(row)) {
                found.append_null();
                continue;
            }
            let flags = flags.as_ref().map_or("", |flags| flags.value(row));
            let pattern = patterns.value(row);
            let regex = match compiled.entry((pattern, flags)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let inner: String = flags.chars().filter(|flag| *flag != 'g').collect();
                    new.insert(compile_regex(&translated(pattern)?, Some(&inner)).map_err(|_| wrong(&format!("\"{pattern}\"")))?)
                }
            };
            let number = |at: usize| numbers.get(at).map(|of: &&_| of.value(row));
            let start = number(0).unwrap_or(1);
            if start < 1 {
                let message = format!("invalid value for parameter \"start\": {start}");
                return Err(Error::Encode { code: "22023", message }.into());
            }
            let n = match number(1) {
                Some(n) if n < 0 => {
                    return Err(Error::Encode { code: "22023", message: format!("invalid value for parameter \"n\": {n}") }.into());
                }
                Some(n) => n,
                None if flags.contains('g') => 0,
                None => 1,
            };
            let text = texts.value(row);
            let search = |at: usize| {
                let groups = regex.captures_at(text, at)?;
                Some(groups.iter().map(|group| group.map(|group| group.range())).collect())
            };
            let text = replaced(search, text, replacements.value(row), start, n)?;
            lengths.add(text.len() as u64)?;
            found.append_value(text);
        }
        Ok(ColumnarValue::Array(Arc::new(found.finish())))
    }
}

/// Where a match and its groups are.
type Groups = Vec<Option<Range<usize>>>;

/// The text with another in place of its n-th match from a character on, of all if n is 0. Errs once it is longer than a text may be.
fn replaced(search: impl Fn(usize) -> Option<Groups>, text: &str, by: &str, start: i64, n: i64) -> Result<String> {
    let before = usize::try_from(start - 1).unwrap_or(usize::MAX);
    let from = text.char_indices().nth(before).map_or(text.len(), |(at, _)| at);
    let mut out = String::with_capacity(text.len());
    let mut last = 0;
    let beyond = before > text.chars().count();
    let mut at = from;
    let mut number = 0;
    while let Some(found) = search(at).filter(|_| !beyond) {
        let Some(Some(whole)) = found.first() else { break };
        number += 1;
        if n == 0 || n == number {
            out.push_str(text.get(last..whole.start).unwrap_or_default());
            expand(&mut out, text, &found, by);
            Lengths::default().add(out.len() as u64)?;
            last = whole.end;
        }
        // Behind a match of nothing the next character is passed over.
        let step = if whole.is_empty() { text.get(whole.end..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8) } else { 0 };
        at = whole.end + step;
        if n == number || at > text.len() {
            break;
        }
    }
    out.push_str(text.get(last..).unwrap_or_default());
    Ok(out)
}

fn expand(out: &mut String, text: &str, found: &Groups, by: &str) {
    let group = |at: usize| found.get(at).cloned().flatten().and_then(|range| text.get(range)).unwrap_or_default();
    let mut rest = by;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = behind.chars();
        match chars.next() {
            Some('\\') => out.push('\\'),
            Some('&') => out.push_str(group(0)),
            Some(digit @ '1'..='9') => out.push_str(digit.to_digit(10).map_or("", |at| group(at as usize))),
            _ => {
                out.push('\\');
                chars = behind.chars();
            }
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_match_is_read_as_in_postgres() {
        let of = |text: &str, pattern: &str, by: &str, start: i64, n: i64| {
            let regex = compile_regex(pattern, None).unwrap();
            let groups = |at: usize| Some(regex.captures_at(text, at)?.iter().map(|group| group.map(|group| group.range())).collect());
            replaced(groups, text, by, start, n).unwrap()
        };
        assert_eq!(of("price", "price", "$5", 1, 1), "$5");
        assert_eq!(of("abc", "(b)", "[\\1\\&\\\\$1\\0\\x]", 1, 1), "a[bb\\$1\\0\\x]c");
        assert_eq!(of("foobarbaz", "b..", "X", 1, 0), "fooXX");
        assert_eq!(of("A PostgreSQL function", "a|e|i|o|u", "X", 1, 3), "A PostgreSQL fXnction");
        assert_eq!(of("ééa", "a", "x", 4, 0), "ééa");
        assert_eq!(of("ééa", "a", "x", 3, 0), "ééx");
        assert_eq!(of("abc", "", "-", 1, 0), "-a-b-c-");
        assert_eq!(of("abc", "x*", "-", 1, 0), "-a-b-c-");
        assert_eq!(of("baaac", "a*", "x", 1, 0), "xbxxcx");
    }
}
