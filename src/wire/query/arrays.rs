//! Arrays of arrays that are written as a text, `'{{1,2},{3,4}}'`, as what they are.

use datafusion::sql::sqlparser::ast::{Array, Expr, Value};

use crate::engine::relation::elements;

/// The array, and how deep it is; None for a text that is another, and where those within are not of one length.
pub(super) fn nested(text: &str) -> Option<(Expr, usize)> {
    let mut rest = text;
    let (array, lengths) = list(&mut rest)?;
    (rest.trim().is_empty() && lengths.len() > 1).then_some((array, lengths.len()))
}

/// Reads a list; gives its length and those of the lists within.
fn list(rest: &mut &str) -> Option<(Expr, Vec<usize>)> {
    let begin = rest.trim_start();
    let inner = begin.strip_prefix('{')?;
    if !inner.trim_start().starts_with('{') {
        let end = end_of(begin)?;
        let (flat, behind) = (begin.get(..end)?, begin.get(end..)?);
        *rest = behind;
        let item = |item: Option<String>| Expr::Value(item.map_or(Value::Null, Value::SingleQuotedString).with_empty_span());
        let elem: Vec<Expr> = elements(flat)?.into_iter().map(item).collect();
        let length = elem.len();
        return Some((Expr::Array(Array { elem, named: true }), vec![length]));
    }
    *rest = inner;
    let (mut elem, mut lengths): (Vec<Expr>, Option<Vec<usize>>) = (Vec::new(), None);
    loop {
        let (one, within) = list(rest)?;
        elem.push(one);
        if lengths.get_or_insert_with(|| within.clone()) != &within {
            return None;
        }
        *rest = rest.trim_start();
        match rest.chars().next()? {
            ',' => *rest = rest.get(1..)?,
            '}' => {
                *rest = rest.get(1..)?;
                let all = std::iter::once(elem.len()).chain(lengths.into_iter().flatten()).collect();
                return Some((Expr::Array(Array { elem, named: true }), all));
            }
            _ => return None,
        }
    }
}

/// Where a list without others in it ends.
fn end_of(list: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in list.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_lists_are_of_one_length() {
        let read = |text: &str| nested(text).map(|(array, depth)| (array.to_string(), depth));
        let some = |text: &str, depth: usize| Some((text.to_owned(), depth));
        assert_eq!(read("{{1,2},{3,NULL}}"), some("ARRAY[ARRAY['1', '2'], ARRAY['3', NULL]]", 2));
        assert_eq!(read(" { {\"a}\"} , {b} }"), some("ARRAY[ARRAY['a}'], ARRAY['b']]", 2));
        assert_eq!(read("{{{1}},{{2}}}"), some("ARRAY[ARRAY[ARRAY['1']], ARRAY[ARRAY['2']]]", 3));
        for text in ["{1,2}", "{{1,2},{3}}", "{{1},2}", "{{1}", "{{1}}x", ""] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
