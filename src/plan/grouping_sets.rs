//! GROUP BY as DataFusion reads it: `ROLLUP((a, b), c)` and `GROUPING SETS (ROLLUP(a), b)` are written out as sets, `(a, b)` is two keys, and `()` none.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, GroupByExpr, Select, SelectItem,
    Value, ValueWithSpan,
};

use super::rewrite::folded;
use super::syntax::{binary, call, number};
use crate::error::{Error, Result};

/// The most parts of a CUBE: each doubles the sets.
const MOST_OF_CUBE: usize = 12;

/// Writes the keys out. Errs with 54011 for a CUBE of too many, and with 42P10 for a place that the SELECT list does not have.
pub(super) fn write_out(select: &mut Select) -> Result<()> {
    let GroupByExpr::Expressions(keys, _) = &mut select.group_by else { return Ok(()) };
    let plain = |key: &Expr| !matches!(key, Expr::Tuple(_) | Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_));
    if keys.iter().all(plain) {
        return Ok(());
    }
    let mut written = Vec::with_capacity(keys.len());
    let mut one_group = false;
    for key in std::mem::take(keys) {
        match key {
            Expr::Tuple(parts) => {
                one_group |= parts.is_empty();
                written.extend(parts);
            }
            // What the planner reads stays as it is.
            Expr::Rollup(parts) if single(&parts) => written.push(Expr::Rollup(parts)),
            Expr::Cube(parts) if single(&parts) => written.push(Expr::Cube(parts)),
            other => match sets_of(&other)? {
                Some(sets) => written.push(Expr::GroupingSets(sets)),
                None => written.push(other),
            },
        }
    }
    if one_group && written.is_empty() && select.having.is_none() {
        // One group, of no keys: what has no aggregate is not grouped otherwise.
        select.having = Some(binary(count(), BinaryOperator::GtEq, number("0")));
    }
    for sets in &mut written {
        let (Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets)) = sets else { continue };
        for part in sets.iter_mut().flatten() {
            if let Some(meant) = by_place(part, &select.projection)? {
                *part = meant;
            }
        }
    }
    *keys = written;
    Ok(())
}

/// What a whole number stands for: DataFusion reads places among plain keys only. None for any other key, and beside `*`, whose columns are not known yet.
fn by_place(key: &Expr, list: &[SelectItem]) -> Result<Option<Expr>> {
    let Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) = key else { return Ok(None) };
    let Ok(place) = digits.parse::<usize>() else { return Ok(None) };
    match place.checked_sub(1).and_then(|at| list.get(at)) {
        Some(SelectItem::UnnamedExpr(meant) | SelectItem::ExprWithAlias { expr: meant, .. }) => Ok(Some(meant.clone())),
        Some(_) => Ok(None),
        None => Err(Error::Data { code: "42P10", message: format!("GROUP BY position {place} is not in select list"), detail: None }),
    }
}

fn count() -> Expr {
    let mut count = call("count", []);
    if let Expr::Function(Function { args: FunctionArguments::List(FunctionArgumentList { args, .. }), .. }) = &mut count {
        args.push(FunctionArg::Unnamed(FunctionArgExpr::Wildcard));
    }
    count
}

fn single(parts: &[Vec<Expr>]) -> bool {
    parts.iter().all(|part| part.len() == 1)
}

/// The sets that a key stands for; None for one that is an expression.
fn sets_of(key: &Expr) -> Result<Option<Vec<Vec<Expr>>>> {
    Ok(Some(match key {
        Expr::Rollup(parts) => rollup(parts),
        Expr::Cube(parts) => cube(parts)?,
        Expr::GroupingSets(sets) => {
            let mut all = Vec::new();
            for set in sets {
                match set.as_slice() {
                    [one] => match sets_of(one)? {
                        Some(inner) => all.extend(inner),
                        None => all.push(set.clone()),
                    },
                    _ => all.push(set.clone()),
                }
            }
            all
        }
        // In a list of sets the parser takes the words for names of functions.
        Expr::Function(function) => match (function.name.0.as_slice(), parts_of(function)) {
            ([name], Some(parts)) => match name.as_ident().map(folded).as_deref() {
                Some("rollup") => rollup(&parts),
                Some("cube") => cube(&parts)?,
                _ => return Ok(None),
            },
            _ => return Ok(None),
        },
        _ => return Ok(None),
    }))
}

fn parts_of(function: &Function) -> Option<Vec<Vec<Expr>>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let part = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Tuple(parts))) => Some(parts.clone()),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(part)) => Some(vec![part.clone()]),
        _ => None,
    };
    list.args.iter().map(part).collect()
}

/// From all parts to none.
fn rollup(parts: &[Vec<Expr>]) -> Vec<Vec<Expr>> {
    (0..=parts.len()).rev().map(|n| parts.iter().take(n).flatten().cloned().collect()).collect()
}

/// Every choice of the parts.
fn cube(parts: &[Vec<Expr>]) -> Result<Vec<Vec<Expr>>> {
    if parts.len() > MOST_OF_CUBE {
        return Err(Error::Data { code: "54011", message: format!("CUBE is limited to {MOST_OF_CUBE} elements"), detail: None });
    }
    let chosen = |set: u32| parts.iter().enumerate().filter(move |(at, _)| set >> at & 1 == 1).flat_map(|(_, part)| part.clone()).collect();
    Ok((0..1_u32 << parts.len()).rev().map(chosen).collect())
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::SetExpr;

    use super::*;
    use crate::plan::parse::parse_query;

    #[test]
    fn sets_are_written_out() {
        for (keys, expected) in [
            ("ROLLUP (2, 3), 1", "ROLLUP (y, z), 1"),
            ("CUBE((1, 2), a)", "GROUPING SETS ((x + 1, y, a), (a), (x + 1, y), ())"),
            ("a, (b, c)", "a, b, c"),
            ("ROLLUP(a, b)", "ROLLUP (a, b)"),
            ("ROLLUP((a, b), c)", "GROUPING SETS ((a, b, c), (a, b), ())"),
            ("CUBE((a, b), c)", "GROUPING SETS ((a, b, c), (c), (a, b), ())"),
            ("GROUPING SETS (ROLLUP(a, b), (c), ())", "GROUPING SETS ((a, b), (a), (), (c), ())"),
            ("(), a", "a"),
        ] {
            let mut query = parse_query(&format!("SELECT x + 1, y AS b, z FROM t GROUP BY {keys}")).unwrap().query;
            if let SetExpr::Select(select) = query.body.as_mut() {
                write_out(select).unwrap();
            }
            assert_eq!(query.to_string(), format!("SELECT x + 1, y AS b, z FROM t GROUP BY {expected}"));
        }
    }
}
