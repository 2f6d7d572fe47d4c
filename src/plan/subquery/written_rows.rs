//! Rows that are written out, `VALUES (…)` and a SELECT without FROM, where DataFusion works them out before anything is read: with a subquery in them they
//! are SELECTs, and behind LATERAL they are elements of a list.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, GroupByExpr, Ident, Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier,
    TableAliasColumnDef, TableFactor, Value, visit_expressions,
};

use crate::plan::array::series::is_series;
use crate::plan::column_names;
use crate::plan::parse::bare_select::select_of;
use crate::plan::rewrite::folded;
use crate::plan::syntax::{call, cast, quoted, text};

/// `VALUES (date '2024-01-01'), ('2024-01-02')`: a text or NULL beside a value whose type is written there is one of that type.
pub(in crate::plan) fn typed(query: &mut Query) {
    let SetExpr::Values(values) = query.body.as_mut() else { return };
    let n_rows = values.rows.len();
    for at in 0..values.rows.first().map_or(0, |row| row.len()) {
        let column = values.rows.iter_mut().filter_map(|row| row.get_mut(at)).collect::<Vec<_>>();
        if n_rows < 2 {
            continue;
        }
        let (untyped, others): (Vec<_>, Vec<_>) = column
            .into_iter()
            .partition(|value| matches!(value, Expr::Value(v) if matches!(v.value, Value::SingleQuotedString(_) | Value::Null)));
        // Of several types the planner finds the one that has room for all.
        let mut types = others.iter().map(|value| type_of(value).map(without_length));
        let Some(Some(of)) = types.next().filter(|first| types.all(|other| other == *first)) else { continue };
        untyped.into_iter().for_each(|value| *value = cast(value.clone(), of.clone()));
    }
}

/// The type without what a cast to it would cut.
fn without_length(of: DataType) -> DataType {
    match of {
        DataType::Varchar(_) | DataType::CharacterVarying(_) | DataType::Character(_) | DataType::Char(_) => DataType::Text,
        DataType::Numeric(_) | DataType::Decimal(_) => DataType::Numeric(ExactNumberInfo::None),
        DataType::Timestamp(_, zone) => DataType::Timestamp(None, zone),
        DataType::Time(_, zone) => DataType::Time(None, zone),
        other => other,
    }
}

/// The type that is written with a value.
fn type_of(value: &Expr) -> Option<DataType> {
    match value {
        Expr::Nested(inner) => type_of(inner),
        Expr::TypedString(typed) => Some(typed.data_type.clone()),
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, data_type, .. } => Some(data_type.clone()),
        Expr::Interval(_) => Some(DataType::Interval { fields: None, precision: None }),
        Expr::Value(value) if matches!(value.value, Value::Boolean(_)) => Some(DataType::Boolean),
        _ => None,
    }
}

/// VALUES with a subquery in it as SELECTs.
pub(in crate::plan) fn as_selects(query: &mut Query) {
    let SetExpr::Values(values) = query.body.as_mut() else { return };
    if !values.rows.iter().any(|row| row.iter().any(asks)) {
        return;
    }
    let named = |(at, expr): (usize, &Expr)| SelectItem::ExprWithAlias { expr: expr.clone(), alias: quoted(&format!("column{}", at + 1)) };
    let select = |row: Vec<Expr>| {
        let mut select = select_of(SelectItem::UnnamedExpr(text("")));
        select.projection = row.iter().enumerate().map(named).collect();
        SetExpr::Select(Box::new(select))
    };
    let rows = std::mem::take(&mut values.rows).into_iter().map(|row| select(row.to_vec())).collect();
    if let Some(body) = together(rows) {
        *query.body = body;
    }
}

fn asks(expr: &Expr) -> bool {
    let asked = visit_expressions(expr, |e| match e {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    asked.is_break()
}

/// One below the other, halved as long as there are several: a long chain would be deep.
fn together(mut rows: Vec<SetExpr>) -> Option<SetExpr> {
    match rows.len() {
        0 => None,
        1 => rows.pop(),
        n => {
            let others = rows.split_off(n / 2);
            let (left, right) = (Box::new(together(rows)?), Box::new(together(others)?));
            Some(SetExpr::SetOperation { op: SetOperator::Union, set_quantifier: SetQuantifier::All, left, right })
        }
    }
}

/// `LATERAL (SELECT t.a + 1 AS b)` and `LATERAL (VALUES (t.a), (t.b))` as the elements of a list, one for each row.
pub(in crate::plan) fn lateral(relation: &mut TableFactor) {
    let TableFactor::Derived { lateral: true, subquery, alias: Some(alias), sample: None } = relation else { return };
    let plain = subquery.with.is_none() && subquery.order_by.is_none() && subquery.limit_clause.is_none() && subquery.fetch.is_none();
    let Some(rows) = rows(&subquery.body).filter(|rows| plain && reads(rows)) else { return };
    let names: Vec<&String> = rows.first().into_iter().flatten().map(|(name, _)| name).collect();
    if names.is_empty() || names.iter().enumerate().any(|(at, name)| names.iter().take(at).any(|before| before == name)) {
        return;
    }
    // The alias names the first columns.
    let said = alias.columns.len();
    let more = names.iter().skip(said).map(|name| TableAliasColumnDef { name: quoted(name), data_type: None });
    let mut alias = alias.clone();
    alias.columns.extend(more.collect::<Vec<_>>());
    let row = |row: Vec<(String, Expr)>| call("named_struct", row.into_iter().flat_map(|(name, value)| [text(&name), value]));
    let array_exprs = vec![call("make_array", rows.into_iter().map(row).collect::<Vec<_>>())];
    let with_ordinality = false;
    *relation = TableFactor::UNNEST { alias: Some(alias), array_exprs, with_offset: false, with_offset_alias: None, with_ordinality };
}

/// The values of each row with the names of their columns; None for what reads relations, or gives another number of rows.
fn rows(body: &SetExpr) -> Option<Vec<Vec<(String, Expr)>>> {
    match body {
        SetExpr::Values(values) => {
            let named = |(at, value): (usize, &Expr)| (format!("column{}", at + 1), value.clone());
            Some(values.rows.iter().map(|row| row.iter().enumerate().map(named).collect()).collect())
        }
        SetExpr::Select(select) => Some(vec![row(select)?]),
        _ => None,
    }
}

fn row(select: &Select) -> Option<Vec<(String, Expr)>> {
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    if !select.from.is_empty() || select.selection.is_some() || select.having.is_some() || select.distinct.is_some() || grouped {
        return None;
    }
    let column = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) => Some((column_names::of_expr(expr), expr.clone())),
        SelectItem::ExprWithAlias { expr, alias } => Some((folded(alias), expr.clone())),
        _ => None,
    };
    select.projection.iter().map(column).collect()
}

/// Whether the values read columns, of the relations beside, and each is one.
fn reads(rows: &[Vec<(String, Expr)>]) -> bool {
    let mut reads = false;
    let single = rows.iter().flatten().all(|(_, value)| {
        let looked = visit_expressions(value, |e| {
            reads |= matches!(e, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            let several = match e {
                Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => true,
                Expr::Function(function) => {
                    let of = |name: &Ident| ["unnest", "generate_subscripts"].contains(&folded(name).as_str());
                    is_series(&function.name) || function.name.0.last().and_then(|part| part.as_ident()).is_some_and(of)
                }
                _ => false,
            };
            if several { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        looked.is_continue()
    });
    single && reads
}
