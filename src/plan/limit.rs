//! LIMIT and OFFSET as DataFusion reads them: whole numbers, in one clause.

use datafusion::sql::sqlparser::ast::{DataType, Expr, Fetch, LimitClause, Query, Value};

use super::syntax::{cast, number};

/// `FETCH FIRST n ROWS ONLY` is a LIMIT. What is written as a text or with a fraction is a whole number there.
pub(super) fn plain(query: &mut Query) {
    fetch(query);
    if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
        limit.iter_mut().chain(offset.as_mut().map(|offset| &mut offset.value)).for_each(whole);
    }
}

fn whole(n: &mut Expr) {
    let Expr::Value(value) = &mut *n else { return };
    match &value.value {
        Value::SingleQuotedString(text) => match text.trim().parse::<i64>() {
            Ok(n) if n >= 0 => value.value = Value::Number(n.to_string(), false),
            _ => *n = cast(n.clone(), DataType::BigInt(None)),
        },
        // As numeric becomes bigint: halves go up.
        Value::Number(text, _) if text.parse::<i64>().is_err() => {
            if let Some(n) = text.parse::<f64>().ok().filter(|n| (0.0..9e18).contains(n)) {
                value.value = Value::Number(format!("{:.0}", n.round()), false);
            }
        }
        _ => {}
    }
}

fn fetch(query: &mut Query) {
    let Some(Fetch { with_ties: false, percent: false, quantity }) = &query.fetch else { return };
    let limit = Some(quantity.clone().unwrap_or_else(|| number("1")));
    let offset = match query.limit_clause.take() {
        None => None,
        Some(LimitClause::LimitOffset { limit: None, offset, limit_by }) if limit_by.is_empty() => offset,
        // Two limits: DataFusion's refusal says so.
        other => {
            query.limit_clause = other;
            return;
        }
    };
    query.limit_clause = Some(LimitClause::LimitOffset { limit, offset, limit_by: Vec::new() });
    query.fetch = None;
}
